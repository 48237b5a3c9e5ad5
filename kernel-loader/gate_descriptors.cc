// SPDX-License-Identifier: BSD-3-Clause
// Descriptor calls of the upper half.  In the original process the application owns the numbers
// below first_lower_descriptor() and nothing else.  In its children there is no lower half to
// protect: closing is the kernel's own there, and only "the lowest free number" still counts
// placeholders as free.
#include <fcntl.h>

#include <cerrno>

#include "kernel-loader/descriptor_table.h"
#include "kernel-loader/gate_data.h"

namespace mana::loader {
namespace {

constexpr uint64_t kCloseRangeCloexec = 4;

using Number = DescriptorTable::Number;

bool original() { return process_kind() == ProcessKind::original; }

uint64_t as_argument(int number) { return static_cast<uint64_t>(number); }

class HoldTable : Hold {
 public:
  HoldTable() : Hold(fork_local().descriptor_lock, By::lasting_process) {}
};

bool closes_on_exec(int number) {
  return (sys::raw(__NR_fcntl, as_argument(number), F_GETFD) & FD_CLOEXEC) != 0;
}

// What the number is to the application.
Number look_at(int number, bool in_original) {
  const DescriptorTable& table = descriptor_table();
  if (number < 0 || number == table.placeholder()) return Number::closed;
  if (number >= table.first_lower()) return in_original ? Number::closed : Number::other;
  const Number seen = table.look_at(number);
  return seen == Number::free ? Number::closed : seen;
}

// In children: moves a new descriptor down to a placeholder's number if there is a lower one.
long settle_in_child(int made, int least, ProcessKind kind) {
  DescriptorTable& table = descriptor_table();
  int lowest = -1;
  if (kind == ProcessKind::forked) {
    const HoldTable hold;
    lowest = table.claim(least, true);
    if (lowest > made) {
      table.release(lowest);
      lowest = -1;
    }
  } else {
    lowest = table.find_placeholder(least, made);
  }
  if (lowest < 0) return made;
  const long moved = sys::raw(__NR_dup3, as_argument(made), as_argument(lowest),
                              closes_on_exec(made) ? O_CLOEXEC : 0);
  sys::close(made);
  return moved;
}

// Original process.  `made` lies above; it moves to the lowest free number.
long settle(int made) {
  DescriptorTable& table = descriptor_table();
  const int flags = closes_on_exec(made) ? O_CLOEXEC : 0;
  int number;
  {
    const HoldTable hold;
    if (made <
        table.first_lower()) {  // somebody closed a placeholder with a call that is not caught
      table.set_used(made);
      return made;
    }
    number = table.claim(0, false);
    if (number >= 0) table.set_used(number);
  }
  long moved = -EMFILE;
  if (number >= 0)
    moved = sys::raw(__NR_dup3, as_argument(made), as_argument(number), as_argument(flags));
  sys::close(made);
  return moved;
}

// close(2) tells write errors of some file systems (NFS, quotas); replacing a descriptor does not.
// So a duplicate is closed first: each close of an open file flushes it.
long release(int number, Number what) {
  DescriptorTable& table = descriptor_table();
  long result = 0;
  if (what == Number::file) {
    const long copy = sys::raw(__NR_fcntl, as_argument(number), F_DUPFD_CLOEXEC,
                               as_argument(table.first_lower()));
    if (!sys::failed(copy)) result = sys::close(static_cast<int>(copy));
  }
  const HoldTable hold;
  table.release(number);
  return result;
}

long duplicate(int number, int least, bool close_on_exec) {
  const ProcessKind kind = process_kind();
  if (look_at(number, kind == ProcessKind::original) == Number::closed) return -EBADF;
  if (kind != ProcessKind::original) {
    const long made = sys::raw(__NR_fcntl, as_argument(number),
                               close_on_exec ? F_DUPFD_CLOEXEC : F_DUPFD, as_argument(least));
    return sys::failed(made) ? made : settle_in_child(static_cast<int>(made), least, kind);
  }
  DescriptorTable& table = descriptor_table();
  if (least < 0 || least >= table.first_lower()) return -EINVAL;
  int target;
  {
    const HoldTable hold;
    target = table.claim(least, false);
    if (target < 0) return -EMFILE;
    table.set_used(target, table.description(number));
  }
  const long made =
      sys::raw(__NR_dup3, as_argument(number), as_argument(target), close_on_exec ? O_CLOEXEC : 0);
  if (sys::failed(made)) {
    const HoldTable hold;
    table.release(target);
  }
  return made;
}

}  // namespace

bool is_application_descriptor(int number) { return look_at(number, original()) != Number::closed; }

long adopt_descriptor(long result) {
  if (sys::failed(result)) return result;
  const int made = static_cast<int>(result);
  const ProcessKind kind = process_kind();
  return kind == ProcessKind::original ? settle(made) : settle_in_child(made, 0, kind);
}

long do_close(CaughtCall& call) {
  const int number = static_cast<int>(call.argument(0));
  const bool in_original = original();
  const Number what = look_at(number, in_original);
  if (what == Number::closed) return -EBADF;
  return in_original ? release(number, what) : sys::close(number);
}

long do_close_range(CaughtCall& call) {
  const auto first = static_cast<uint32_t>(call.argument(0));
  const auto last = static_cast<uint32_t>(call.argument(1));
  const uint64_t flags = call.argument(2);
  const DescriptorTable& table = descriptor_table();
  if (first > last) return -EINVAL;
  if (!original()) {
    // Everything, except the placeholder's own number: it is needed as long as this program runs.
    const auto kept = static_cast<uint32_t>(table.placeholder());
    if (kept < first || kept > last || (flags & kCloseRangeCloexec) != 0) return call.pass();
    if (kept > first) {
      const long got = sys::raw(__NR_close_range, first, kept - 1, flags);
      if (sys::failed(got)) return got;
    }
    return kept < last ? sys::raw(__NR_close_range, kept + 1, last, flags) : 0;
  }
  const auto end = static_cast<uint32_t>(table.first_lower());
  if ((flags & ~kCloseRangeCloexec) != 0)
    return -EINVAL;  // a private table (CLOSE_RANGE_UNSHARE): not in this process
  if (first >= end) return 0;
  const uint32_t below = last >= end ? end : last + 1;
  if ((flags & kCloseRangeCloexec) != 0) return sys::raw(__NR_close_range, first, below - 1, flags);
  for (uint32_t number = first; number < below; number++) {
    const Number what = look_at(static_cast<int>(number), true);
    if (what != Number::closed) release(static_cast<int>(number), what);
  }
  return 0;
}

long do_dup(CaughtCall& call) { return duplicate(static_cast<int>(call.argument(0)), 0, false); }

long do_fcntl(CaughtCall& call) {
  if (call.argument(1) == F_GETFD || call.argument(1) == F_GETFL) {
    return is_application_descriptor(static_cast<int>(call.argument(0))) ? call.pass() : -EBADF;
  }
  return duplicate(static_cast<int>(call.argument(0)), static_cast<int>(call.argument(2)),
                   call.argument(1) == F_DUPFD_CLOEXEC);
}

long do_dup_onto(CaughtCall& call) {
  const int from = static_cast<int>(call.argument(0));
  const int to = static_cast<int>(call.argument(1));
  const uint64_t flags = call.number() == __NR_dup3 ? call.argument(2) : 0;
  DescriptorTable& table = descriptor_table();
  const bool in_original = original();
  if (look_at(from, in_original) == Number::closed || to < 0 || to == table.placeholder())
    return -EBADF;
  if (from == to) return call.number() == __NR_dup3 ? -EINVAL : to;
  if (!in_original) return call.pass();
  if (to >= table.first_lower()) return -EBADF;  // as beyond the limit of open files
  const long made = sys::raw(__NR_dup3, as_argument(from), as_argument(to), flags);
  if (sys::failed(made)) return made;
  const HoldTable hold;
  table.set_used(to, table.description(from));
  return made;
}

long do_make_pair(CaughtCall& call, int pointer_argument) {
  const long got = call.pass();
  if (sys::failed(got)) return got;
  int* pair = sys::pointer<int>(call.argument(pointer_argument));
  const int made[2] = {pair[0], pair[1]};
  const long first = adopt_descriptor(made[0]);
  if (sys::failed(first)) {
    sys::close(made[1]);
    return first;
  }
  const long second = adopt_descriptor(made[1]);
  if (sys::failed(second)) {
    if (original())
      release(static_cast<int>(first), Number::other);
    else
      sys::close(static_cast<int>(first));
    return second;
  }
  pair[0] = static_cast<int>(first);
  pair[1] = static_cast<int>(second);
  return 0;
}

}  // namespace mana::loader
