// SPDX-License-Identifier: BSD-3-Clause
// Calls that tell a monotonic time or take a deadline (clocks.h).  Caught in a restarted process only, and deadlines only where they
// are absolute.
//
// A thread that waits for a deadline does so in the synthetic vdso, and the kernel's deadline lies in its BlockingCall.  The image of
// a thread that stands there has the offset of its own time; at the restart the deadline is made again (take_up_deadline) from the
// application's, which lies where the arguments of the call say, as it does for a call that the kernel restarts.
#include <linux/futex.h>
#include <sys/sysinfo.h>
#include <time.h>

#include "kernel-loader/caught_calls.h"
#include "kernel-loader/clocks.h"
#include "kernel-loader/descriptor_line.h"
#include "kernel-loader/gate_data.h"
#include "kernel-loader/text.h"

namespace mana::loader {
namespace {

constexpr int32_t kNoClock = -1;

struct Deadline {
  int argument;  // which points to it
  int32_t clock;
};

bool is_futex_deadline(uint64_t operation) {
  const uint64_t command = operation & FUTEX_CMD_MASK;
  const bool absolute = command == FUTEX_WAIT_BITSET || command == FUTEX_LOCK_PI2 || command == FUTEX_WAIT_REQUEUE_PI;
  return absolute && (operation & FUTEX_CLOCK_REALTIME) == 0;
}

Deadline deadline_of(uint64_t number, const uint64_t (&arguments)[6]) {
  switch (number) {
    case __NR_clock_nanosleep:
      return {2, (arguments[1] & TIMER_ABSTIME) != 0 ? static_cast<int32_t>(arguments[0]) : kNoClock};
    case __NR_futex:
      return {3, is_futex_deadline(arguments[1]) ? CLOCK_MONOTONIC : kNoClock};
    case kFutexWaitv:
      return {3, static_cast<int32_t>(arguments[4])};
    case kFutexWait:
      return {4, static_cast<int32_t>(arguments[5])};
    default:
      return {0, kNoClock};
  }
}

// A small file of /proc, line by line; what is too long is cut.
class Lines {
 public:
  explicit Lines(const char* path) : file_(open_above(path)) {}
  ~Lines() {
    if (!sys::failed(file_)) sys::close(static_cast<int>(file_));
  }
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;

  bool next() {
    TextLine line(line_, sizeof line_);
    for (;; at_++) {
      if (at_ == end_) {
        const long got = sys::failed(file_) ? 0 : sys::read(static_cast<int>(file_), piece_, sizeof piece_);
        at_ = 0;
        end_ = got > 0 ? got : 0;
        if (end_ == 0) return false;
      }
      if (piece_[at_] == '\n') break;
      line.add(piece_[at_]);
    }
    at_++;
    return true;
  }
  const char* line() const { return line_; }

 private:
  long file_;
  long at_ = 0, end_ = 0;
  char line_[48], piece_[256];
};

// Of the next line that begins with `key`, which is followed by a number.  One of processor time is negative, and none.
int32_t clock_in(Lines& lines, const char* key) {
  while (lines.next()) {
    if (!starts_with(lines.line(), key)) continue;
    const char* number = lines.line() + text_length(key);
    return *number >= '0' && *number <= '9' ? static_cast<int32_t>(read_number(number, 10)) : kNoClock;
  }
  return kNoClock;
}

// Only the kernel knows: the timer may be from before the restart.
int32_t clock_of_timer(uint64_t timer) {
  char wanted[24];
  TextLine(wanted, sizeof wanted).add("ID: ").decimal(static_cast<int32_t>(timer));
  Lines lines("/proc/self/timers");
  while (lines.next()) {
    if (same_text(lines.line(), wanted)) return clock_in(lines, "ClockID: ");
  }
  return kNoClock;
}

int32_t clock_of_descriptor(uint64_t descriptor) {
  char path[48];
  TextLine(path, sizeof path).add("/proc/thread-self/fdinfo/").decimal(static_cast<int32_t>(descriptor));
  Lines lines(path);
  return clock_in(lines, "clockid: ");
}

// timer_settime, timerfd_settime with an absolute time.  What they tell of the timer before is a remaining time.
long set_timer(const CaughtCall& call, int32_t clock) {
  struct Times {
    KernelTime interval, value;
  };
  const uint64_t at = call.argument(2);
  if (!is_shifted(clock) || at == 0 || !readable_words(at, 4)) return call.pass();
  Times times = *sys::pointer<const Times>(at);
  const bool disarms = times.value.seconds == 0 && times.value.nanoseconds == 0;
  if (!disarms) times.value = kernel_time(clock, times.value);
  return sys::raw(call.number(), call.argument(0), call.argument(1), sys::bits(&times), call.argument(3));
}

long do_clock_gettime(const CaughtCall& call) {
  const long got = call.pass();
  if (sys::failed(got)) return got;
  auto* time = sys::pointer<KernelTime>(call.argument(1));
  *time = application_time(static_cast<int32_t>(call.argument(0)), *time);
  return got;
}

// The kernel counts a second that has begun.
long do_sysinfo(const CaughtCall& call) {
  const long got = call.pass();
  constexpr int64_t kSecond = 1'000'000'000;
  if (!sys::failed(got)) sys::pointer<struct sysinfo>(call.argument(0))->uptime = (clocks_now().boot + kSecond - 1) / kSecond;
  return got;
}

long do_times(const CaughtCall& call) {
  const long got = call.pass();
  return sys::failed(got) ? got : got + clock_offsets().ticks;
}

}  // namespace

void take_up_deadline(CaughtCall& call, BlockingCall& blocking) {
  const Deadline deadline = deadline_of(blocking.number, blocking.arguments);
  if (!is_shifted(deadline.clock)) return;
  const uint64_t at = blocking.arguments[deadline.argument];
  if (at == 0 || !readable_words(at, 2)) return;  // none, or EFAULT
  const KernelTime time = kernel_time(deadline.clock, *sys::pointer<const KernelTime>(at));
  blocking.pair[0] = static_cast<uint64_t>(time.seconds);
  blocking.pair[1] = static_cast<uint64_t>(time.nanoseconds);
  call.set_argument(deadline.argument, sys::bits(blocking.pair));
}

long wait_until_deadline(CaughtCall& call) {
  BlockingCall& blocking = call.block();
  take_up_deadline(call, blocking);
  return 0;
}

long do_clock_call(CaughtCall& call) {
  switch (call.number()) {
    case __NR_clock_gettime:
      return do_clock_gettime(call);
    case __NR_timer_settime:
      return set_timer(call, clock_of_timer(call.argument(0)));
    case __NR_timerfd_settime:
      return set_timer(call, clock_of_descriptor(call.argument(0)));
    case __NR_sysinfo:
      return do_sysinfo(call);
    case __NR_times:
      return do_times(call);
    default:  // futex_waitv, futex_wait
      return wait_until_deadline(call);
  }
}

}  // namespace mana::loader
