// SPDX-License-Identifier: BSD-3-Clause
// Monotonic clocks of a restarted process: the arithmetic, which a scenario meets at a few values only.
#include <catch2/catch.hpp>
#include <time.h>

#include <cstdint>

#include "kernel-loader/clocks.h"

namespace mana::loader {

static bool operator==(const KernelTime& a, const KernelTime& b) { return a.seconds == b.seconds && a.nanoseconds == b.nanoseconds; }

namespace {

constexpr int64_t kSecond = 1'000'000'000;

// The offsets are the process's.
struct Offsets {
  explicit Offsets(const Clocks& clocks) { set_clock_offsets(clocks); }
  ~Offsets() { set_clock_offsets({}); }
};

}  // namespace

TEST_CASE("a_time_there_and_back_is_itself") {
  for (const int64_t offset : {int64_t{0}, int64_t{1}, int64_t{-1}, 5 * kSecond + 7, -5 * kSecond - 7, -kSecond, 400'000'000 * kSecond}) {
    const Offsets offsets({offset, offset, offset, 0});
    for (const int64_t nanoseconds : {int64_t{0}, int64_t{1}, kSecond - 1}) {
      const KernelTime kernels{1000, nanoseconds};
      const KernelTime applications = application_time(CLOCK_MONOTONIC, kernels);
      CHECK(applications.nanoseconds >= 0);
      CHECK(applications.nanoseconds < kSecond);
      CHECK(applications.seconds * kSecond + applications.nanoseconds == 1000 * kSecond + nanoseconds + offset);
      CHECK(kernel_time(CLOCK_MONOTONIC, applications) == kernels);
    }
  }
}

TEST_CASE("each_clock_has_its_offset") {
  const Offsets offsets({1 * kSecond, 2 * kSecond, 3 * kSecond, 0});
  const KernelTime at{10, 5};
  CHECK(application_time(CLOCK_MONOTONIC, at) == KernelTime{11, 5});
  CHECK(application_time(CLOCK_MONOTONIC_COARSE, at) == KernelTime{11, 5});
  CHECK(application_time(CLOCK_MONOTONIC_RAW, at) == KernelTime{12, 5});
  CHECK(application_time(CLOCK_BOOTTIME, at) == KernelTime{13, 5});
  CHECK(application_time(CLOCK_BOOTTIME_ALARM, at) == KernelTime{13, 5});
  CHECK(application_time(CLOCK_REALTIME, at) == at);
  CHECK_FALSE(is_shifted(CLOCK_REALTIME));
  CHECK_FALSE(is_shifted(CLOCK_PROCESS_CPUTIME_ID));
  CHECK_FALSE(is_shifted(-6));
}

TEST_CASE("deadlines_outside_the_kernels_time") {
  const Offsets ahead({100 * kSecond, 0, 0, 0});
  CHECK(kernel_time(CLOCK_MONOTONIC, {50, 0}) == KernelTime{0, 1});  // passed, and not "disarm"
  CHECK(kernel_time(CLOCK_MONOTONIC, {100, 0}) == KernelTime{0, 1});
  CHECK(kernel_time(CLOCK_MONOTONIC, {100, 1}) == KernelTime{0, 1});
  CHECK(kernel_time(CLOCK_MONOTONIC, {100, 2}) == KernelTime{0, 2});
  CHECK(kernel_time(CLOCK_MONOTONIC, {-1, 0}) == KernelTime{-1, 0});  // wrong, and stays so
  CHECK(kernel_time(CLOCK_MONOTONIC, {7, -1}) == KernelTime{7, -1});
  CHECK(kernel_time(CLOCK_MONOTONIC, {7, kSecond}) == KernelTime{7, kSecond});
  const Offsets behind({-100 * kSecond, 0, 0, 0});
  CHECK(kernel_time(CLOCK_MONOTONIC, {INT64_MAX, 5}) == KernelTime{INT64_MAX, 0});
  CHECK(kernel_time(CLOCK_MONOTONIC, {0, 0}) == KernelTime{100, 0});
}

TEST_CASE("no_clock_goes_back_whatever_it_was") {
  for (const int64_t then : {int64_t{0}, 1000 * kSecond, 4'000'000'000 * kSecond}) {
    const Clocks image{then, then + 1, then + 2, then / 10'000'000};
    const Offsets offsets(offsets_to_go_on_from(image));
    const Clocks now = clocks_now();
    CHECK(now.monotonic >= image.monotonic);
    CHECK(now.raw >= image.raw);
    CHECK(now.boot >= image.boot);
    CHECK(now.ticks >= image.ticks);
    CHECK(now.boot > now.monotonic);
    timespec coarse{};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &coarse);
    const KernelTime seen = application_time(CLOCK_MONOTONIC_COARSE, {coarse.tv_sec, coarse.tv_nsec});
    CHECK(seen.seconds * kSecond + seen.nanoseconds >= image.monotonic);
  }
}

TEST_CASE("the_clock_for_the_vdso_adds_to_the_kernels") {
  const auto kernels = [](int32_t clock, KernelTime* time) {
    *time = {20, kSecond - 1};
    return clock == 99 ? -22 : 0;
  };
  int (*const plain)(int32_t, KernelTime*) = kernels;
  const auto shifted = reinterpret_cast<int (*)(int32_t, KernelTime*)>(shifted_clock_gettime(reinterpret_cast<uint64_t>(plain)));
  const Offsets offsets({5 * kSecond + 1, 0, 0, 0});
  KernelTime time{};
  CHECK(shifted(CLOCK_MONOTONIC, &time) == 0);
  CHECK(time == KernelTime{26, 0});
  CHECK(shifted(CLOCK_REALTIME, &time) == 0);
  CHECK(time == KernelTime{20, kSecond - 1});
  CHECK(shifted(99, &time) == -22);
}

}  // namespace mana::loader
