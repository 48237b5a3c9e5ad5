// SPDX-License-Identifier: BSD-3-Clause
// Calls that wait for a span, in any process.  A checkpoint interrupts a wait, and the wait is made again (lower/park.cc): for what is
// left, or a wait of a day would not end where a checkpoint comes every hour.
//
// The kernel tells what is left in select, pselect6, ppoll, and in sleeps that have a place for it.  The others wait in the synthetic vdso,
// with the end of their span in the BlockingCall: long ones are caught for that.  What is not worth a trap (milliseconds, and whatever a
// socket with SO_RCVTIMEO or SO_SNDTIMEO waits for) begins anew once, at the first checkpoint that interrupts it, and waits in the vdso from
// then on; so it is longer by its span at most, however many checkpoints come.
//
// A socket's own span cannot be shortened for one call.  So the thread waits in poll, for what is left, and then makes its call.
#include <linux/futex.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include <climits>

#include "kernel-loader/caught_calls.h"
#include "kernel-loader/clocks.h"
#include "kernel-loader/gate_data.h"

namespace mana::loader {
namespace {

constexpr int64_t kSecond = 1'000'000'000, kMillisecond = 1'000'000;
constexpr int64_t kMostSeconds = 4'000'000'000;  // longer than any job
constexpr uint64_t kSyscallLength = 2;           // of the instruction

struct Span {
  int argument;
  enum Unit { kNone, kMilliseconds, kTime } unit;  // an int, or the address of a time
};

// Not one of processor time.
bool counts_by_itself(uint64_t clock) {
  const auto id = static_cast<int32_t>(clock);
  return id >= 0 && id != CLOCK_PROCESS_CPUTIME_ID && id != CLOCK_THREAD_CPUTIME_ID;
}

Span span_of(uint64_t number, const uint64_t (&arguments)[6]) {
  switch (number) {
    case __NR_poll:
      return {2, Span::kMilliseconds};
    case __NR_epoll_wait:
    case __NR_epoll_pwait:
      return {3, Span::kMilliseconds};
    case __NR_nanosleep:
      return {0, Span::kTime};
    case __NR_clock_nanosleep:
      return {2, (arguments[1] & TIMER_ABSTIME) == 0 && arguments[3] == 0 && counts_by_itself(arguments[0]) ? Span::kTime : Span::kNone};
    case __NR_futex:
      return {3, (arguments[1] & FUTEX_CMD_MASK) == FUTEX_WAIT ? Span::kTime : Span::kNone};
    case __NR_rt_sigtimedwait:
      return {2, Span::kTime};
    case kEpollPwait2:
      return {3, Span::kTime};
    default:
      return {0, Span::kNone};
  }
}

// 0: it has none, or none that this can count.
int64_t length_of(const Span& span, uint64_t argument) {
  if (span.unit == Span::kMilliseconds) {
    const auto milliseconds = static_cast<int32_t>(argument);
    return milliseconds > 0 ? milliseconds * kMillisecond : 0;
  }
  if (span.unit == Span::kNone || argument == 0 || !readable_words(argument, 2)) return 0;
  const KernelTime time = *sys::pointer<const KernelTime>(argument);
  if (time.seconds < 0 || time.seconds > kMostSeconds || time.nanoseconds < 0 || time.nanoseconds >= kSecond) return 0;
  return time.seconds * kSecond + time.nanoseconds;
}

int64_t monotonic_now() {
  KernelTime now{};
  sys::raw(__NR_clock_gettime, CLOCK_MONOTONIC, sys::bits(&now));
  now = application_time(CLOCK_MONOTONIC, now);
  return now.seconds * kSecond + now.nanoseconds;
}

struct SocketWait {
  int option;  // which holds the span; 0: the call is no socket's
  int16_t event;
};

SocketWait socket_wait_of(long number) {
  switch (number) {
    case __NR_read:
    case __NR_readv:
    case __NR_recvfrom:
    case __NR_recvmsg:
    case __NR_recvmmsg:
    case __NR_accept:
    case __NR_accept4:
      return {SO_RCVTIMEO_OLD, POLLIN};
    case __NR_write:
    case __NR_writev:
    case __NR_sendto:
    case __NR_sendmsg:
    case __NR_sendmmsg:
    case __NR_connect:
      return {SO_SNDTIMEO_OLD, POLLOUT};
    default:
      return {0, 0};
  }
}

// Of the socket, ns; 0: it is none, or waits for ever.
int64_t span_of_socket(uint64_t descriptor, int option) {
  struct {
    int64_t seconds, microseconds;
  } span{};
  socklen_t size = sizeof span;
  if (sys::failed(sys::raw(__NR_getsockopt, descriptor, SOL_SOCKET, static_cast<uint64_t>(option), sys::bits(&span), sys::bits(&size)))) return 0;
  return span.seconds >= 0 && span.seconds <= kMostSeconds ? span.seconds * kSecond + span.microseconds * 1000 : 0;
}

}  // namespace

void note_span(BlockingCall& blocking) {
  const Span span = span_of(blocking.number, blocking.arguments);
  const int64_t length = length_of(span, blocking.arguments[span.argument]);
  if (length > 0) blocking.until = monotonic_now() + length;
}

long wait_for_span(CaughtCall& call) {
  note_span(call.block());
  return 0;
}

void set_rest_of_span(CaughtCall& call, BlockingCall& blocking) {
  const Span span = span_of(blocking.number, blocking.arguments);
  const int64_t now = monotonic_now(), rest = now < blocking.until ? blocking.until - now : 0;
  if (span.unit == Span::kMilliseconds) {
    const int64_t milliseconds = (rest + kMillisecond - 1) / kMillisecond;
    call.set_argument(span.argument, static_cast<uint64_t>(milliseconds < INT_MAX ? milliseconds : INT_MAX));
    return;
  }
  blocking.pair[0] = static_cast<uint64_t>(rest / kSecond);
  blocking.pair[1] = static_cast<uint64_t>(rest % kSecond);
  call.set_argument(span.argument, sys::bits(blocking.pair));
}

bool wait_in_vdso(int64_t number, void* context, StackRoom& room) {
  static_assert(sizeof room == sizeof(WaitRoom));
  CaughtCall call(number, static_cast<ucontext_t*>(context), reinterpret_cast<WaitRoom*>(&room));
  if (live_state().vdso == 0 || blocking_call_at(call.reg(REG_RIP), call.stack_pointer()) >= 0) return false;
  const uint64_t arguments[6] = {call.argument(0), call.argument(1), call.argument(2), call.argument(3), call.argument(4), call.argument(5)};
  const Span span = span_of(static_cast<uint64_t>(number), arguments);
  if (span.unit == Span::kMilliseconds) {  // with others it waits there already, or the kernel tells what is left
    if (length_of(span, arguments[span.argument]) == 0) return false;
    note_span(call.block());
    return true;
  }
  const SocketWait wait = socket_wait_of(number);
  const int64_t length = wait.option != 0 ? span_of_socket(arguments[0], wait.option) : 0;
  if (length == 0) return false;
  BlockingCall& blocking = call.block();
  const pollfd socket{static_cast<int32_t>(arguments[0]), wait.event, 0};
  static_assert(sizeof socket == sizeof blocking.pair[0]);
  __builtin_memcpy(&blocking.pair[0], &socket, sizeof socket);
  blocking.pair[1] = static_cast<uint64_t>(number);
  blocking.number = __NR_poll;
  blocking.finish = FINISH_ALWAYS;
  blocking.until = monotonic_now() + length;
  call.set_reg(REG_RAX, __NR_poll);
  call.set_argument(0, sys::bits(&blocking.pair[0]));
  call.set_argument(1, 1);
  set_rest_of_span(call, blocking);
  return true;
}

void finish_socket_wait(BlockingCall& blocking, long& result) {
  const auto number = static_cast<long>(blocking.pair[1]);
  if (result == 0) result = number == __NR_connect ? -EINPROGRESS : -EAGAIN;
  if (result < 0) return;
  result = number;
  blocking.return_rip -= kSyscallLength;
}

}  // namespace mana::loader
