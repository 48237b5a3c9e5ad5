// SPDX-License-Identifier: BSD-3-Clause
#include "lower/lending.h"

#include <linux/futex.h>

#include "kernel-loader/sys.h"
#include "lower/threads.h"
#include "upper/core_ops.h"

namespace mana::lower {

Lending lending;
BorrowedThread memory_thread_to_borrow;

namespace {

constexpr int kErrOther = abi::ERR_OTHER;
constexpr uint64_t kSigsys = 1ull << (31 - 1);
constexpr int kSetMask = 2;

using sys::bits;

void wait_on(std::atomic<uint32_t>& futex, uint32_t value) {
  sys::raw(__NR_futex, bits(&futex), FUTEX_WAIT_PRIVATE, value, 0);
}
void wake(std::atomic<uint32_t>& futex) { sys::raw(__NR_futex, bits(&futex), FUTEX_WAKE_PRIVATE, 1); }

void submit(LendingRequest* request) {
  LendingRequest* first = lending.first.load();
  do request->next = first;
  while (!lending.first.compare_exchange_weak(first, request));
  lending.bell.fetch_add(1);
  wake(lending.bell);
}

}  // namespace

void serve_lending(bool (*lend)(ThreadRecord* record, pid_t tid), void (*leave)(int code)) {
  const uint32_t bell = lending.bell.load();
  LendingRequest* request = lending.first.exchange(nullptr);
  if (request == nullptr) return wait_on(lending.bell, bell);
  while (request != nullptr) {
    LendingRequest* next = request->next;  // the requester goes on as soon as state is set
    if (request->record == nullptr) leave(request->code);
    request->state.store(lend(request->record, request->tid) ? 1 : 2);
    wake(request->state);
    request = next;
  }
}

// No signal comes in between: a handler of the application on top of this frame could be parked, and the frame below it would
// be of a lower half that is gone after a restart.
int attach_thread(void* arguments) {
  const uint64_t all_but_sigsys = ~kSigsys;
  uint64_t mask = 0;
  sys::rt_sigprocmask(kSetMask, &all_but_sigsys, &mask);
  auto* record = static_cast<ThreadRecord*>(static_cast<core::AttachThread*>(arguments)->record);
  const auto tid = sys::gettid();
  uint32_t state = 1;
  if (tid == sys::getpid()) {  // the lower main thread is this very task
    record->flags = lending.flags;
    record->lower_fs = lending.main_fs;
    record->tid.store(static_cast<uint32_t>(tid));
    *lending.main_current_record = record;
  } else {
    LendingRequest request{record, tid, 0, {}, nullptr};
    submit(&request);
    while ((state = request.state.load()) == 0) wait_on(request.state, 0);
  }
  sys::rt_sigprocmask(kSetMask, &mask, nullptr);
  return state == 1 ? 0 : kErrOther;
}

void exit_on_lender(int code) {
  LendingRequest request{nullptr, 0, code, {}, nullptr};
  submit(&request);
  for (;;) wait_on(request.state, 0);
}

}  // namespace mana::lower
