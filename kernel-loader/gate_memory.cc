// SPDX-License-Identifier: BSD-3-Clause
// Memory calls of the upper half: what the kernel would place by itself goes into the arena.
#include <sys/mman.h>
#include <sys/shm.h>

#include <cerrno>

#include "kernel-loader/arena.h"
#include "kernel-loader/gate_data.h"

namespace mana::loader {
namespace {

constexpr uint64_t kLowestMapping =
    65536;  // vm.mmap_min_addr's usual value; lower hints mean nothing
constexpr uint64_t kGigabyte = uint64_t{1} << 30;

bool ends_below_line(uint64_t address, uint64_t length) {
  return address < kLine && page_up(length) >= length && page_up(length) <= kLine - address;
}

void tell_unmap(uint64_t address, uint64_t length) {
  if (gate_hooks().before_unmap != nullptr && in_original_process())
    gate_hooks().before_unmap(address, length);
}

// Some files can only be mapped at multiples of their own huge page size and refuse everything
// else.
long place_anywhere(uint64_t length, int protection, int flags, int descriptor, uint64_t offset) {
  uint64_t alignment = alignment_for(length, flags);
  for (;;) {
    const long got = map_in_arena(length, protection, flags, descriptor, offset, alignment);
    const bool may_be_alignment =
        got == -EINVAL && (flags & MAP_ANONYMOUS) == 0 && alignment < kGigabyte;
    if (!may_be_alignment) return got;
    alignment = alignment < kHugePage ? kHugePage : kGigabyte;
  }
}

}  // namespace

long do_mmap(CaughtCall& call) {
  const uint64_t hint = page_down(call.argument(0));
  const uint64_t length = call.argument(1);
  const int protection = static_cast<int>(call.argument(2));
  const int flags = static_cast<int>(call.argument(3));
  const int descriptor = static_cast<int>(call.argument(4));
  const uint64_t offset = call.argument(5);
  if (length == 0) return call.pass();
  if ((flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) != 0) {
    if (!ends_below_line(call.argument(0), length)) return -ENOMEM;
    if ((flags & MAP_FIXED_NOREPLACE) == 0) tell_unmap(call.argument(0), length);
    const long got = call.pass();
    if (!sys::failed(got)) note_mapped(static_cast<uint64_t>(got), length);
    return got;
  }
  if ((flags & MAP_32BIT) != 0)
    return call.pass();  // the kernel finds room between 1 and 2 GiB: upper half
  if (hint >= kLowestMapping && ends_below_line(hint, length)) {
    const long got =
        sys::mmap(hint, length, protection, flags | MAP_FIXED_NOREPLACE, descriptor, offset);
    if (!sys::failed(got)) {
      note_mapped(static_cast<uint64_t>(got), length);
      return got;
    }
  }
  return place_anywhere(length, protection, flags, descriptor, offset);
}

long do_munmap(CaughtCall& call) {
  const uint64_t address = call.argument(0);
  const uint64_t length = call.argument(1);
  if (!ends_below_line(address, length)) return -EINVAL;
  tell_unmap(address, length);
  const uint64_t stack = call.stack_pointer();
  const auto here = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
  if ((stack >= address && stack < page_up(address + length)) ||
      (here >= address && here < page_up(address + length))) {
    // A thread that ends takes its own stack away (musl does): no handler can return to that.
    note_unmapped(address, length);
    call.set_reg(REG_R9, call.reg(REG_RIP));
    call.set_reg(REG_RAX, __NR_munmap);
    call.set_reg(REG_RIP, live_state().vdso + vdso_table(live_state().vdso)->unmap_own_stack);
    call.set_redirected();
    return 0;
  }
  const long got = call.pass();
  if (!sys::failed(got)) note_unmapped(address, length);
  return got;
}

long do_mremap(CaughtCall& call) {
  const uint64_t old_address = call.argument(0);
  const uint64_t old_length = call.argument(1);
  const uint64_t new_length = call.argument(2);
  const uint64_t flags = call.argument(3);
  const bool keeps_old = (flags & MREMAP_DONTUNMAP) != 0 || old_length == 0;
  if (!ends_below_line(old_address, old_length)) return -EFAULT;
  if (new_length == 0 || page_up(new_length) < new_length) return -EINVAL;
  tell_unmap(old_address, old_length);
  long got;
  if ((flags & MREMAP_FIXED) != 0) {
    if (!ends_below_line(call.argument(4), new_length)) return -ENOMEM;
    got = call.pass();
  } else {
    const bool in_place_only = (flags & MREMAP_MAYMOVE) == 0;
    got = -ENOMEM;
    if (in_place_only || !keeps_old) {
      got = sys::raw(__NR_mremap, old_address, old_length, new_length, in_place_only ? flags : 0);
    }
    if (got == -ENOMEM && !in_place_only) {
      // mremap replaces what is at its target, so the target is held by a mapping of its own first.
      const uint64_t alignment = alignment_for(new_length, 0);
      const long target = map_in_arena(
          new_length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, alignment);
      if (sys::failed(target)) return target;
      got = sys::raw(__NR_mremap, old_address, old_length, new_length, flags | MREMAP_FIXED,
                     static_cast<uint64_t>(target));
      if (sys::failed(got)) {
        sys::munmap(static_cast<uint64_t>(target), new_length);
        note_unmapped(static_cast<uint64_t>(target), new_length);
      }
    }
  }
  if (sys::failed(got)) return got;
  if (!keeps_old) note_unmapped(old_address, old_length);
  note_mapped(static_cast<uint64_t>(got), new_length);
  return got;
}

// The kernel has one program break and it is the lower half's.  As there, failure is told by the
// old value.
long do_brk(CaughtCall& call) {
  GateState& state = live_state();
  const Hold hold(fork_local().action_lock);
  const uint64_t wanted = call.argument(0);
  const auto unchanged = static_cast<long>(state.brk_current);
  if (wanted < state.brk_start || wanted > state.brk_limit) return unchanged;
  const uint64_t old_end = page_up(state.brk_current);
  const uint64_t new_end = page_up(wanted);
  if (new_end > old_end) {
    const long got = sys::mmap(old_end, new_end - old_end, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE);
    if (sys::failed(got)) return unchanged;
  } else if (new_end < old_end) {
    tell_unmap(new_end, old_end - new_end);
    if (sys::failed(sys::munmap(new_end, old_end - new_end))) return unchanged;
  }
  state.brk_current = wanted;
  return static_cast<long>(wanted);
}

long do_shmat(CaughtCall& call) {
  if (call.argument(1) != 0) {
    if (!in_upper_half(call.argument(1))) return -EINVAL;
    return call.pass();
  }
  shmid_ds segment;
  const long known = sys::raw(__NR_shmctl, call.argument(0), IPC_STAT, sys::bits(&segment));
  if (sys::failed(known)) return known;
  const uint64_t length = page_up(segment.shm_segsz);
  // A place is held by a mapping that the segment then replaces.
  const long target = map_in_arena(length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                                   -1, 0, alignment_for(length, 0));
  if (sys::failed(target)) return target;
  const long got = sys::raw(__NR_shmat, call.argument(0), static_cast<uint64_t>(target),
                            call.argument(2) | SHM_REMAP);
  if (sys::failed(got)) {
    sys::munmap(static_cast<uint64_t>(target), length);
    note_unmapped(static_cast<uint64_t>(target), length);
  }
  return got;
}

}  // namespace mana::loader
