// SPDX-License-Identifier: BSD-3-Clause
// Memory calls of the upper half: what the kernel would place by itself goes into the arena.
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/uio.h>

#include <atomic>
#include <cerrno>

#include "kernel-loader/arena.h"
#include "kernel-loader/caught_calls.h"
#include "kernel-loader/gate_data.h"
#include "kernel-loader/ids.h"
#include "kernel-loader/loader.h"
#include "kernel-loader/maps.h"

namespace mana::loader {
namespace {

constexpr uint64_t kLowestMapping =
    65536;  // vm.mmap_min_addr's usual value; lower hints mean nothing
constexpr uint64_t kGigabyte = uint64_t{1} << 30;
constexpr int kMapType = 0x0f, kDroppable = 0x08;  // MAP_DROPPABLE, Linux 6.11

// Set once, while other threads may be in the handler.
constinit std::atomic<void (*)(uint64_t address, uint64_t length)> watcher{nullptr};

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

// What only the kernel may place (io_uring's rings) lies above the line.  It runs there, no image has it, and a checkpoint is refused
// (placed_by_kernel).
struct Placed {
  std::atomic<uint64_t> begin;  // 0: free; 1: being filled
  uint64_t length;
};
constexpr int kMostPlaced = 64;
constinit Placed placed[kMostPlaced] = {};

long place_by_kernel(const CaughtCall& call) {
  for (Placed& one : placed) {
    uint64_t free = 0;
    if (!one.begin.compare_exchange_strong(free, 1)) continue;
    const long got = call.pass();
    one.length = page_up(call.argument(1));
    one.begin.store(sys::failed(got) ? 0 : static_cast<uint64_t>(got));
    return got;
  }
  return -ENOMEM;
}

// -EINVAL: it is none of these, whole.
long unmap_placed(const CaughtCall& call) {
  for (Placed& one : placed) {
    uint64_t begin = call.argument(0);
    if (begin < kLine || one.length != page_up(call.argument(1)) || !one.begin.compare_exchange_strong(begin, 1)) continue;
    const long got = call.pass();
    one.begin.store(sys::failed(got) ? begin : 0);
    return got;
  }
  return -EINVAL;
}

// The mapping that holds `address`; false: none.
bool mapping_at(uint64_t address, MapsLine& found) {
  MapsReader maps;
  while (maps.next(found)) {
    if (found.region.low <= address && address < found.region.high) return true;
  }
  return false;
}

// mremap of a range that comes from the image in part: the kernel would not take it for one mapping, and would make it grow by what
// comes next in the image.  What it grows by is a mapping of its own, and each piece is moved.  `target` 0: anywhere, or in
// place.
long remap_pieces(uint64_t old, uint64_t old_length, uint64_t new_length, uint64_t target, bool may_move) {
  const uint64_t kept = old_length < new_length ? old_length : new_length;
  MapsLine piece;
  if (!mapping_at(old + kept - kPage, piece)) return -EFAULT;
  constexpr int kAnonymous = MAP_PRIVATE | MAP_ANONYMOUS;
  if (target == 0) {
    if (new_length == old_length) return static_cast<long>(old);
    const long grown = sys::mmap(old + old_length, new_length - old_length, piece.protection, kAnonymous | MAP_FIXED_NOREPLACE);
    if (!sys::failed(grown)) {
      say_the_same(old + kept - kPage, {old + old_length, old + new_length});
      return static_cast<long>(old);
    }
    if (!may_move) return -ENOMEM;
  }
  const long place = target != 0 ? sys::mmap(target, new_length, piece.protection, kAnonymous | MAP_FIXED)
                                 : map_in_arena(new_length, piece.protection, kAnonymous, -1, 0, alignment_for(new_length, 0));
  if (sys::failed(place)) return place;
  const auto at = static_cast<uint64_t>(place);
  for (uint64_t done = 0; done < kept;) {
    if (!mapping_at(old + done, piece)) return -EFAULT;
    const uint64_t end = piece.region.high < old + kept ? piece.region.high - old : kept;
    const long moved = sys::raw(__NR_mremap, old + done, end - done, end - done, MREMAP_MAYMOVE | MREMAP_FIXED, at + done);
    if (sys::failed(moved)) return moved;
    piece.region = {at + done, at + end};
    note_moved(piece);
    done = end;
  }
  if (kept < old_length) sys::munmap(old + kept, old_length - kept);
  if (kept < new_length) say_the_same(at + kept - kPage, {at + kept, at + new_length});
  return place;
}

}  // namespace

void tell_unmap(uint64_t address, uint64_t length) {
  const auto tell = watcher.load(std::memory_order_acquire);
  if (tell != nullptr && in_original_process() && is_application_memory(address, length)) tell(address, length);
}

bool placed_by_kernel() {
  for (const Placed& one : placed) {
    if (one.begin.load() > 1) return true;
  }
  return false;
}

long do_mmap(CaughtCall& call) {
  const uint64_t hint = page_down(call.argument(0));
  const uint64_t length = call.argument(1);
  const int protection = static_cast<int>(call.argument(2));
  const int flags = static_cast<int>(call.argument(3));
  const int descriptor = static_cast<int>(call.argument(4));
  const uint64_t offset = call.argument(5);
  if (length == 0) return call.pass();
  if ((flags & (MAP_GROWSDOWN | MAP_LOCKED)) != 0 || (flags & kMapType) == kDroppable) live_state().memory_flags |= kMemoryFlagsWereUsed;
  if ((flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) != 0) {
    if (!is_application_memory(call.argument(0), length)) return -ENOMEM;
    if ((flags & MAP_FIXED_NOREPLACE) == 0) tell_unmap(call.argument(0), length);
    const long got = call.pass();
    if (!sys::failed(got)) note_mapped(static_cast<uint64_t>(got), length);
    return got;
  }
  if ((flags & MAP_32BIT) != 0)
    return call.pass();  // the kernel finds room between 1 and 2 GiB: upper half
  if (hint >= kLowestMapping && is_application_memory(hint, length)) {
    const long got =
        sys::mmap(hint, length, protection, flags | MAP_FIXED_NOREPLACE, descriptor, offset);
    if (!sys::failed(got)) {
      note_mapped(static_cast<uint64_t>(got), length);
      return got;
    }
  }
  const long got = place_anywhere(length, protection, flags, descriptor, offset);
  const bool has_no_address = got == -EINVAL && hint == 0 && (flags & MAP_ANONYMOUS) == 0;
  return has_no_address && in_original_process() ? place_by_kernel(call) : got;
}

long do_munmap(CaughtCall& call) {
  const uint64_t address = call.argument(0);
  const uint64_t length = call.argument(1);
  if (!is_application_memory(address, length)) return unmap_placed(call);
  tell_unmap(address, length);
  const uint64_t stack = call.stack_pointer() - sizeof(uint64_t);  // what it would push next
  const auto here = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
  const bool ends = stack >= address && stack < page_up(address + length);
  if (ends || (here >= address && here < page_up(address + length))) {
    // A thread that ends takes its own stack away (musl does): no handler can return to that.
    note_unmapped(address, length);
    const VdsoTable* table = vdso_table(live_state().vdso);
    call.set_reg(REG_R9, call.reg(REG_RIP));
    if (ends && ids_are_translated()) {
      leave_robust_locks();
      call.set_mask(~uint64_t{0});
      call.set_reg(REG_R9, live_state().vdso + table->exit_without_stack);
    }
    call.set_reg(REG_RAX, __NR_munmap);
    call.set_reg(REG_RIP, live_state().vdso + table->unmap_own_stack);
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
  if (!is_application_memory(old_address, old_length)) return -EFAULT;
  if (new_length == 0 || page_up(new_length) < new_length) return -EINVAL;
  const bool fixed = (flags & MREMAP_FIXED) != 0;
  tell_unmap(old_address, old_length);
  if (fixed) tell_unmap(call.argument(4), new_length);
  const uint64_t old_end = page_up(old_length), new_end = page_up(new_length);
  const bool shrinks_in_place = new_end <= old_end && !fixed;
  long got;
  if (!keeps_old && !shrinks_in_place && page_down(old_address) == old_address && comes_from_image(old_address, old_end)) {
    const uint64_t target = fixed ? call.argument(4) : 0;
    if (fixed && (page_down(target) != target || !is_application_memory(target, new_length) || (flags & MREMAP_MAYMOVE) == 0 ||
                  (target < old_address + old_end && old_address < target + new_end))) {
      return -EINVAL;
    }
    got = remap_pieces(old_address, old_end, new_end, target, (flags & MREMAP_MAYMOVE) != 0);
  } else if (fixed) {
    if (!is_application_memory(call.argument(4), new_length)) return -ENOMEM;
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

// The kernel does these rightly.  What must be known is that there are flags to save.
long do_flag_memory(CaughtCall& call) {
  const uint64_t advice = call.number() == __NR_madvise ? call.argument(2) : 0;
  const bool gives_away = advice != 0 && advice < MADV_DONTFORK;
  if (gives_away) tell_unmap(call.argument(0), call.argument(1));
  if (advice != 0 && is_application_memory(call.argument(0), call.argument(1)))
    prepare_image_memory(call.argument(0), call.argument(1), advice);
  const long got = call.pass();
  if (got == -EACCES && advice == MADV_REMOVE && comes_from_image(call.argument(0), call.argument(1))) return -EINVAL;  // it is of no file
  if (gives_away || !in_original_process()) return got;
  uint64_t& flags = live_state().memory_flags;
  if (!sys::failed(got) && (call.number() == __NR_mlockall || call.number() == __NR_munlockall)) {
    const uint64_t all = call.number() == __NR_mlockall ? call.argument(0) : 0;
    flags = (flags & kMemoryFlagsWereUsed) | ((all & MCL_FUTURE) != 0 ? all << kLockAllShift : 0);
  }
  flags |= kMemoryFlagsWereUsed;
  return got;
}

// What it gives away (Linux 6.13, and of no other process) reads as the image has it for a moment.
long do_process_madvise(CaughtCall& call) {
  const long got = call.pass();
  const uint64_t advice = call.argument(3);
  if (sys::failed(got)) return got;
  if (advice >= MADV_DONTFORK && in_original_process()) live_state().memory_flags |= kMemoryFlagsWereUsed;
  const auto* range = sys::pointer<const iovec>(call.argument(1));
  for (auto left = static_cast<uint64_t>(got); left > 0; range++) {
    const uint64_t length = range->iov_len < left ? range->iov_len : left;
    if (prepare_image_memory(sys::bits(range->iov_base), length, advice)) sys::raw(__NR_madvise, sys::bits(range->iov_base), length, advice);
    left -= length;
  }
  return got;
}

// The mapping ends where another object is mapped.
long do_shmdt(CaughtCall& call) {
  MapsReader maps;
  const uint64_t begin = call.argument(0);
  for (MapsLine line; maps.next(line);) {
    if (line.region.low == begin) tell_unmap(begin, line.region.high - begin);
  }
  return call.pass();
}

Outcome watch_memory(void (*tell)(uint64_t address, uint64_t length)) {
  watcher.store(tell, std::memory_order_release);
  // The libraries that watch may have kept memory of the application from children (ibv_fork_init), which the gate has not seen.
  live_state().memory_flags |= kMemoryFlagsWereUsed;
  return install_filter(live_state().vdso, In::watched);
}

long do_shmat(CaughtCall& call) {
  const uint64_t id = real_segment(call.argument(0));
  if (call.argument(1) != 0) {
    if (!is_application_memory(call.argument(1))) return -EINVAL;
    return sys::raw(call.number(), id, call.argument(1), call.argument(2));
  }
  shmid_ds segment;
  const long known = sys::raw(__NR_shmctl, id, IPC_STAT, sys::bits(&segment));
  if (sys::failed(known)) return known;
  const uint64_t length = page_up(segment.shm_segsz);
  // A place is held by a mapping that the segment then replaces.
  const long target = map_in_arena(length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                                   -1, 0, alignment_for(length, 0));
  if (sys::failed(target)) return target;
  const long got = sys::raw(__NR_shmat, id, static_cast<uint64_t>(target),
                            call.argument(2) | SHM_REMAP);
  if (sys::failed(got)) {
    sys::munmap(static_cast<uint64_t>(target), length);
    note_unmapped(static_cast<uint64_t>(target), length);
  }
  return got;
}

}  // namespace mana::loader
