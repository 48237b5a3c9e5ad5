// SPDX-License-Identifier: BSD-3-Clause
#include "kernel-loader/descriptor_line.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <cerrno>

#include "kernel-loader/layout.h"
#include "kernel-loader/sys.h"

namespace mana::loader {
namespace {

constexpr int kLeastDescriptors = 8;  // of the application
constexpr int kSetMask = 2;           // SIG_SETMASK

struct Limits {
  FileLimit told;        // what the application knows
  uint64_t kernel_hard;  // not lowered with the application's: the lower half's room
  int line;
  int raised;    // how many need room above the line now
  bool settled;  // the kernel's soft limit follows the application's
};
constinit Limits limits{};

void kernel_limit(const FileLimit* wanted, FileLimit* before) {
  sys::raw(__NR_prlimit64, 0, RLIMIT_NOFILE, sys::bits(wanted), sys::bits(before));
}

// The first call is before main, or in it, while there is one thread.
void learn() {
  if (limits.line != 0) return;
  kernel_limit(nullptr, &limits.told);
  limits.kernel_hard = limits.told.hard;
  limits.line = first_lower_descriptor(limits.kernel_hard);
}

uint64_t soft_limit_below_the_line() {
  const auto line = static_cast<uint64_t>(limits.line);
  return limits.told.soft < line ? limits.told.soft : line;
}

// A value that nobody asks for: a child that was forked meanwhile is known by it (seen_by_child).
uint64_t raised_soft_limit() { return limits.kernel_hard - 1; }

void set_soft_limit(uint64_t soft) {
  const FileLimit wanted{soft, limits.kernel_hard};
  kernel_limit(&wanted, nullptr);
}

bool is_privileged() { return sys::raw(__NR_geteuid) == 0; }

// Before main there is one thread, and no application.
bool is_original() { return !fork_local_ready() || process_kind() == ProcessKind::original; }

// Before main there is no lock, and no need for one.
void take_lock(std::optional<Hold>& hold) {
  if (fork_local_ready()) hold.emplace(fork_local().descriptor_lock, Hold::By::lasting_process);
}

// With the lock.
void raise_limit() {
  learn();
  if (limits.raised++ == 0) set_soft_limit(raised_soft_limit());
}

void lower_limit() {
  if (--limits.raised == 0)
    set_soft_limit(limits.settled ? soft_limit_below_the_line() : limits.told.soft);
}

}  // namespace

int first_lower_descriptor() {
  learn();
  return limits.line;
}

Outcome settle_file_limit() {
  learn();
  if (limits.settled) return Done{};
  if (limits.line < kLeastDescriptors) {
    return Error{"the limit of open files is too low", 0, limits.kernel_hard}.so(
        "raise it (ulimit -n 1024)");
  }
  limits.settled = true;
  if (limits.raised == 0) set_soft_limit(soft_limit_below_the_line());
  return Done{};
}

FileLimit file_limit() {
  learn();
  return limits.told;
}

long set_file_limit(const FileLimit& wanted) {
  if (wanted.soft > wanted.hard) return -EINVAL;
  const MakingDescriptors alone;
  if (wanted.hard > limits.kernel_hard) {
    const FileLimit higher{wanted.soft, wanted.hard};
    const long got = sys::raw(__NR_prlimit64, 0, RLIMIT_NOFILE, sys::bits(&higher), 0);
    if (sys::failed(got)) return got;
    limits.kernel_hard = wanted.hard;
  } else if (wanted.hard > limits.told.hard && !is_privileged()) {
    return -EPERM;
  }
  limits.told = wanted;
  return 0;
}

void raise_file_limit() {
  std::optional<Hold> hold;
  take_lock(hold);
  raise_limit();
}

void lower_file_limit() {
  std::optional<Hold> hold;
  take_lock(hold);
  lower_limit();
}

MakingDescriptors::MakingDescriptors() : original_(is_original()) {
  if (!original_) return;
  const uint64_t all = ~uint64_t{0};
  sys::rt_sigprocmask(kSetMask, &all, &mask_);
  take_lock(hold_);
  raise_limit();
}

MakingDescriptors::~MakingDescriptors() {
  if (!original_) return;
  lower_limit();
  hold_.reset();
  sys::rt_sigprocmask(kSetMask, &mask_, nullptr);
}

long move_above(const MakingDescriptors& making, long made) {
  if (!making.in_original() || sys::failed(made) || made >= limits.line) return made;
  const auto low = static_cast<uint64_t>(made);
  const long flags = sys::raw(__NR_fcntl, low, F_GETFD);
  const bool close_on_exec = !sys::failed(flags) && (flags & FD_CLOEXEC) != 0;
  const long moved = sys::raw(__NR_fcntl, low, close_on_exec ? F_DUPFD_CLOEXEC : F_DUPFD,
                              static_cast<uint64_t>(limits.line));
  if (moved == -EBADF) return kWasClosed;
  sys::close(static_cast<int>(made));
  return moved;
}

long open_above(const char* path, int more_flags) {
  const MakingDescriptors making;
  for (;;) {
    const long moved = move_above(making, sys::open_read(path, more_flags));
    if (moved != kWasClosed) return moved;
  }
}

long open_for_a_moment(const char* path) {
  const long opened = sys::open_read(path, 0);
  return opened == -EMFILE ? open_above(path) : opened;  // the application has all of its numbers in use
}

FileLimit seen_by_child(const FileLimit& kernel) {
  const bool untouched =
      kernel.hard == limits.kernel_hard &&
      (kernel.soft == soft_limit_below_the_line() || kernel.soft == raised_soft_limit());
  return untouched ? limits.told : kernel;
}

// The original keeps its hard limit: lowered, it could not be raised again when execve fails.
LimitForExec::LimitForExec() : original_(is_original()), before_{} {
  if (original_) take_lock(hold_);
  kernel_limit(nullptr, &before_);
  FileLimit wanted = seen_by_child(before_);
  if (original_) wanted.hard = before_.hard;
  kernel_limit(&wanted, nullptr);
}

LimitForExec::~LimitForExec() { kernel_limit(&before_, nullptr); }

}  // namespace mana::loader
