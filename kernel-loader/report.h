// SPDX-License-Identifier: BSD-3-Clause
// One line on stderr, written with one raw system call: safe in every zone, also in the gate and
// before libc is there.
//   mana: rank 3: restore: place [heap] 0x160000a00000: File exists (errno 17): what to do
#pragma once

#include "kernel-loader/result.h"

namespace mana::loader {

void set_report_rank(int rank);  // -1 (the start value): unknown, the line then has no rank

// The text of the line without "mana: rank N: " and without newline, cut to `size`.
void format_error(const char* area, const Error& error, char* text, size_t size);

void report(const char* area, const Error& error);
// Invariants broken, or a fault that leaves nothing to go on with: reports and ends the process
// with exit code 86.
[[noreturn]] void fail(const char* area, const Error& error);

}  // namespace mana::loader
