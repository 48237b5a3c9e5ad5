// SPDX-License-Identifier: BSD-3-Clause
#include "kernel-loader/clocks.h"

#include <time.h>

#include "kernel-loader/sys.h"

extern "C" {
extern const char __start_mana_shifted_clock[] __attribute__((visibility("hidden")));
extern const char __stop_mana_shifted_clock[] __attribute__((visibility("hidden")));
}

namespace mana::loader {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

constinit Clocks offsets{};

// By number of the clock, normalised (0 <= nanoseconds < kSecond); zero for clocks that stay the kernel's.
constexpr uint32_t kClockNumbers = 16;
constinit KernelTime shift_of[kClockNumbers] = {};

using ClockGettime = int (*)(int32_t clock, KernelTime* time);
constinit ClockGettime kernel_clock_gettime = nullptr;

void add(KernelTime& time, const KernelTime& shift) {
  time.seconds += shift.seconds;
  time.nanoseconds += shift.nanoseconds;
  if (time.nanoseconds >= kSecond) time.nanoseconds -= kSecond, time.seconds++;
}

// In a section of its own, whose bounds the linker tells.
[[gnu::section("mana_shifted_clock"), gnu::noinline]] int clock_gettime_of_application(int32_t clock, KernelTime* time) {
  const int got = kernel_clock_gettime(clock, time);
  if (got == 0 && static_cast<uint32_t>(clock) < kClockNumbers) add(*time, shift_of[clock]);
  return got;
}

int64_t kernel_now(int32_t clock) {
  KernelTime now{};
  sys::raw(__NR_clock_gettime, static_cast<uint64_t>(clock), sys::bits(&now));
  return now.seconds * kSecond + now.nanoseconds;
}

int64_t ticks_now() { return sys::raw(__NR_times); }

KernelTime normalised(int64_t nanoseconds) {
  int64_t seconds = nanoseconds / kSecond, rest = nanoseconds % kSecond;
  if (rest < 0) rest += kSecond, seconds--;
  return {seconds, rest};
}

}  // namespace

// CLOCK_BOOTTIME is CLOCK_MONOTONIC and the time of suspension: read in this order here, and in the other below, it stays so.
Clocks clocks_now() {
  const int64_t monotonic = kernel_now(CLOCK_MONOTONIC) + offsets.monotonic;
  const int64_t raw = kernel_now(CLOCK_MONOTONIC_RAW) + offsets.raw;
  const int64_t boot = kernel_now(CLOCK_BOOTTIME) + offsets.boot;
  return {monotonic, raw, boot, ticks_now() + offsets.ticks};
}

Clocks clock_offsets() { return offsets; }

// CLOCK_MONOTONIC_COARSE lags behind by up to a tick and must not tell a time before `then` either; the lag is given to all.
Clocks offsets_to_go_on_from(const Clocks& then) {
  const int64_t ticks = ticks_now();
  const int64_t boot = kernel_now(CLOCK_BOOTTIME);
  const int64_t raw = kernel_now(CLOCK_MONOTONIC_RAW);
  const int64_t coarse = kernel_now(CLOCK_MONOTONIC_COARSE);
  const int64_t lag = kernel_now(CLOCK_MONOTONIC) - coarse;
  return {then.monotonic - coarse, then.raw - raw + lag, then.boot - boot + lag, then.ticks - ticks};
}

void set_clock_offsets(const Clocks& wanted) {
  offsets = wanted;
  shift_of[CLOCK_MONOTONIC] = shift_of[CLOCK_MONOTONIC_COARSE] = normalised(wanted.monotonic);
  shift_of[CLOCK_MONOTONIC_RAW] = normalised(wanted.raw);
  shift_of[CLOCK_BOOTTIME] = shift_of[CLOCK_BOOTTIME_ALARM] = normalised(wanted.boot);
}

bool is_shifted(int32_t clock) {
  switch (clock) {
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_BOOTTIME:
    case CLOCK_BOOTTIME_ALARM:
      return true;
    default:
      return false;
  }
}

KernelTime application_time(int32_t clock, KernelTime time) {
  add(time, shift_of[clock]);
  return time;
}

KernelTime kernel_time(int32_t clock, KernelTime time) {
  if (time.seconds < 0 || time.nanoseconds < 0 || time.nanoseconds >= kSecond) return time;  // the kernel refuses it
  const KernelTime& shift = shift_of[clock];
  if (__builtin_sub_overflow(time.seconds, shift.seconds, &time.seconds)) return {INT64_MAX, 0};  // it never comes
  time.nanoseconds -= shift.nanoseconds;
  if (time.nanoseconds < 0) time.nanoseconds += kSecond, time.seconds--;
  constexpr KernelTime kFirst{0, 1};  // 0 would disarm a timer
  return time.seconds < 0 || (time.seconds == 0 && time.nanoseconds == 0) ? kFirst : time;
}

bool in_shifted_clock(uint64_t pc) {
  return pc >= reinterpret_cast<uint64_t>(&__start_mana_shifted_clock) && pc < reinterpret_cast<uint64_t>(&__stop_mana_shifted_clock);
}

uint64_t shifted_clock_gettime(uint64_t kernels) {
  kernel_clock_gettime = reinterpret_cast<ClockGettime>(kernels);
  return reinterpret_cast<uint64_t>(&clock_gettime_of_application);
}

}  // namespace mana::loader
