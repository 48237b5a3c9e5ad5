// SPDX-License-Identifier: BSD-3-Clause
// The monotonic clocks of a restarted process go on from what they were in the image, on any host: the application's time is the
// kernel's plus an offset, constant from before the application runs.  One offset for each clock of the kernel that counts by itself
// from the start of the host.  A launched process sees the kernel's time, and so does what is executed.
//
// Two things need the offset: what tells a time (the vdso, and the calls themselves), and what takes a deadline (gate_clocks.cc).
// What takes or tells a span (sleeps, time-outs, remaining times of timers) does not.
#pragma once

#include <cstdint>

namespace mana::loader {

struct Clocks {
  int64_t monotonic;  // ns; also CLOCK_MONOTONIC_COARSE
  int64_t raw;        // ns; CLOCK_MONOTONIC_RAW, which nobody slews
  int64_t boot;       // ns; CLOCK_BOOTTIME, _ALARM and sysinfo(2), which go on while the host is suspended
  int64_t ticks;      // what times(2) returns
};

Clocks clocks_now();     // as the application sees them
Clocks clock_offsets();  // all 0: launched
// The offsets with which no clock tells a time before `then`, from now on.
Clocks offsets_to_go_on_from(const Clocks& then);
// Before any thread of the application runs.
void set_clock_offsets(const Clocks& offsets);

struct KernelTime {  // struct timespec
  int64_t seconds, nanoseconds;
};

// Whether times of this clock (CLOCK_*) are not the kernel's.
bool is_shifted(int32_t clock);
KernelTime application_time(int32_t clock, KernelTime kernels);
// A deadline for the kernel; one from before its clock began has passed.
KernelTime kernel_time(int32_t clock, KernelTime applications);

// For the table of the synthetic vdso, with the kernel's own function to call: clock_gettime as the application sees it.  It lies
// above the line, where nobody is parked, so the kernel's time and the offset that is added are of one restart.
uint64_t shifted_clock_gettime(uint64_t kernels);
bool in_shifted_clock(uint64_t pc);

}  // namespace mana::loader
