// SPDX-License-Identifier: BSD-3-Clause
// In the gate's handler: upper %fs, all signals blocked.
#include <linux/futex.h>

#include <atomic>

#include "kernel-loader/sys.h"
#include "lower/lending.h"
#include "lower/memory_watch.h"
#include "trampolines/call_lower.h"

namespace mana::lower {
namespace {

// There is one thread to borrow.  Who has it waits for nobody who could wait for it: the MPI library takes its own locks there, whose
// holders are in MPI and not in the gate.
std::atomic<uint32_t> taken{0};  // futex: 0 free, 1 taken, 2 taken and waited for

void take() {
  uint32_t free = 0;
  if (taken.compare_exchange_strong(free, 1, std::memory_order_acquire)) return;
  while (taken.exchange(2, std::memory_order_acquire) != 0) sys::raw(__NR_futex, sys::bits(&taken), FUTEX_WAIT_PRIVATE, 2, 0);
}

void give_back() {
  if (taken.exchange(0, std::memory_order_release) == 2) sys::raw(__NR_futex, sys::bits(&taken), FUTEX_WAKE_PRIVATE, 1);
}

}  // namespace

void tell_unmap(uint64_t address, uint64_t length) {
  if (length < 2) return;
  Unmapped gone{address, length};
  take();
  mana_call_lower(tell_libc, &gone, &memory_thread_to_borrow);
  give_back();
}

}  // namespace mana::lower
