// SPDX-License-Identifier: BSD-3-Clause
// The way down for the gate's handler (call_lower_x86_64.S).  A thread of the application that has never called MPI has
// borrowed no thread of the lower half; so the handler takes one that is kept for it, stack and TLS.  Freestanding.
#pragma once

#include <cstdint>

namespace mana {

struct BorrowedThread {
  uint64_t fs;     // base of its TLS; it sleeps for ever
  uint64_t stack;  // top of a stack that it does not use
  uint64_t flags;  // kSetFsByCall (thread_record.h)
};

}  // namespace mana

// With the upper %fs and all signals blocked; one caller at a time for each `thread`.
extern "C" void mana_call_lower(void (*function)(void* argument), void* argument, const mana::BorrowedThread* thread);
