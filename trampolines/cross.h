// SPDX-License-Identifier: BSD-3-Clause
// The crossing: one call from the upper half to the lower half.  Linked into the front ends (no libc, no TLS).
// Called by a thread that has been attached (record->lower_fs is set) and that has record->depth > 0.
#pragma once

#include "trampolines/thread_record.h"

// Calls function(arguments) with %fs = record->lower_fs, on the caller's stack; returns with %fs = record->upper_fs and
// with the function's result.  `function` has the type mana::LowerFunction (upper/interface.h).
extern "C" int mana_cross(int (*function)(void*), void* arguments, mana::ThreadRecord* record);
