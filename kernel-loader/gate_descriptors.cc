// SPDX-License-Identifier: BSD-3-Clause
// What is left of the application's descriptor calls for the gate to do: the numbers of the lower
// half do not exist for it (descriptor_line.h), and the limit of open files is what it has set.  In
// a child there is no lower half to protect, and calls are the kernel's.
#include <fcntl.h>
#include <sys/resource.h>

#include <cerrno>

#include "kernel-loader/descriptor_line.h"
#include "kernel-loader/gate_data.h"
#include "kernel-loader/ids.h"

namespace mana::loader {
namespace {

constexpr uint64_t kCloseRangeUnshare = 2;

bool is_original() { return process_kind() == ProcessKind::original; }

// While a descriptor of the lower half is on its way above the line it has a number that is free to
// the application.
class HoldNumbers : Hold {
 public:
  HoldNumbers() : Hold(fork_local().descriptor_lock, By::lasting_process) {}
};

bool is_this_process(uint64_t argument) {
  const auto id = static_cast<int32_t>(argument);
  return id == 0 || real_id(id) == sys::getpid();
}

long child_file_limit(uint64_t wanted, uint64_t old) {
  const long got = sys::raw(__NR_prlimit64, 0, RLIMIT_NOFILE, wanted, old);
  if (!sys::failed(got) && old != 0) {
    auto* told = sys::pointer<FileLimit>(old);
    *told = seen_by_child(*told);
  }
  return got;
}

}  // namespace

long do_at_the_line(CaughtCall& call) {
  const auto number = static_cast<int64_t>(static_cast<int32_t>(call.argument(0)));
  if (is_original() && number >= first_lower_descriptor()) return -EBADF;
  const long got = call.pass();
  if (call.number() != __NR_close) note_duplicate(call.argument(0), got);
  return got;
}

long do_dup_onto(CaughtCall& call) {
  long got;
  if (is_original()) {
    const HoldNumbers hold;
    got = call.pass();
  } else {
    got = call.pass();
  }
  note_duplicate(call.argument(0), got);
  return got;
}

long do_close_range(CaughtCall& call) {
  if (!is_original()) return call.pass();
  const auto first = static_cast<uint32_t>(call.argument(0));
  const auto last = static_cast<uint32_t>(call.argument(1));
  const uint64_t flags = call.argument(2);
  const auto end = static_cast<uint32_t>(first_lower_descriptor());
  if (first > last || (flags & kCloseRangeUnshare) != 0)
    return -EINVAL;  // a private table: not in this process
  if (first >= end) return 0;
  const HoldNumbers hold;
  return sys::raw(__NR_close_range, first, last < end ? last : end - 1, flags);
}

long do_file_limit(CaughtCall& call) {
  uint64_t wanted = 0, old = 0;
  switch (call.number()) {
    case __NR_getrlimit:
      old = call.argument(1);
      break;
    case __NR_setrlimit:
      wanted = call.argument(1);
      break;
    default:  // prlimit64; of other limits and processes in a restarted process only, for its ids
      if (static_cast<uint32_t>(call.argument(1)) != RLIMIT_NOFILE ||
          !is_this_process(call.argument(0)))
        return do_id_call(call);
      wanted = call.argument(2);
      old = call.argument(3);
  }
  if (!is_original()) return child_file_limit(wanted, old);
  if (wanted != 0 && !(readable_word(wanted) && readable_word(wanted + 8))) return -EFAULT;
  const FileLimit before = file_limit();
  const FileLimit asked =
      wanted != 0 ? *sys::pointer<const FileLimit>(wanted) : before;  // the two may be one place
  if (old != 0) {
    const long got =
        sys::raw(__NR_prlimit64, 0, RLIMIT_NOFILE, 0, old);  // finds out a wrong pointer
    if (sys::failed(got)) return got;
    *sys::pointer<FileLimit>(old) = before;
  }
  return wanted != 0 ? set_file_limit(asked) : 0;
}

}  // namespace mana::loader
