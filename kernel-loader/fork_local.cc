// SPDX-License-Identifier: BSD-3-Clause
#include "kernel-loader/fork_local.h"

#include <sys/mman.h>

#include <cerrno>

#include "kernel-loader/layout.h"
#include "kernel-loader/sys.h"

namespace mana::loader {
namespace {

ForkLocal* page = nullptr;
constexpr int kYieldsBeforeDoubt = 1000;

}  // namespace

Outcome init_fork_local() {
  if (page != nullptr) return Done{};
  const long at = sys::mmap(0, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  if (sys::failed(at)) return Error{"map a page for the gate", sys::error_of(at)};
  const uint64_t address = static_cast<uint64_t>(at);
  const long wiped = sys::raw(__NR_madvise, address, kPage, 18 /* MADV_WIPEONFORK, Linux 4.14 */);
  if (sys::failed(wiped)) return Error{"madvise(MADV_WIPEONFORK)", sys::error_of(wiped)};
  page = sys::pointer<ForkLocal>(address);
  page->pid.store(sys::getpid());
  page->original = 1;
  page->memory_learned.store(1);
  return Done{};
}

bool fork_local_ready() { return page != nullptr; }

ForkLocal& fork_local() { return *page; }

ProcessKind process_kind() {
  const int self = sys::getpid();
  int owner = page->pid.load(std::memory_order_relaxed);
  // Only a forked child sees 0, and only its own threads: whoever of them comes first writes the
  // same value.
  if (owner == 0) {
    page->pid.compare_exchange_strong(owner, self);
    owner = page->pid.load();
  }
  if (owner != self) return ProcessKind::vforked;
  return page->original != 0 ? ProcessKind::original : ProcessKind::forked;
}

Hold::Hold(std::atomic<int32_t>& lock, By by) : lock_(lock) {
  const int self = by == By::anyone ? sys::gettid() : -1;
  int yields = 0;
  for (;;) {
    int32_t holder = 0;
    if (lock_.compare_exchange_weak(holder, self, std::memory_order_acquire)) return;
    if (holder == 0) continue;
    sys::yield();
    if (holder < 0 || ++yields % kYieldsBeforeDoubt != 0) continue;
    const long alive = sys::raw(__NR_tkill, static_cast<uint64_t>(holder), 0);
    if (alive == -ESRCH && lock_.compare_exchange_strong(holder, self, std::memory_order_acquire))
      return;
  }
}

}  // namespace mana::loader
