// SPDX-License-Identifier: BSD-3-Clause
// The requests that upper threads make of the lender's thread, and the mailbox between them.  The requesting side is
// freestanding: it runs with the upper %fs.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>

#include "trampolines/call_lower.h"
#include "trampolines/thread_record.h"

namespace mana::lower {

struct LendingRequest {  // on the requester's stack
  ThreadRecord* record;  // null: the process is to leave with `code`
  int32_t tid, code;
  std::atomic<uint32_t> state;  // futex: 0 waiting, 1 done, 2 refused
  LendingRequest* next;
};

struct Lending {
  std::atomic<LendingRequest*> first;  // pushed by requesters, taken all at once by the lender
  std::atomic<uint32_t> bell;          // futex
  uint64_t main_fs;
  ThreadRecord** main_current_record;
  uint64_t flags;                      // for ThreadRecord::flags
};
extern Lending lending;
extern BorrowedThread memory_thread_to_borrow;  // start_memory_thread (threads.h) makes it

// The lender's side: waits for requests and serves them.  Freestanding too.
void serve_lending(bool (*lend)(ThreadRecord* record, pid_t tid), void (*leave)(int code));

}  // namespace mana::lower
