// SPDX-License-Identifier: BSD-3-Clause
#include "trampolines/tests/halves.h"

#include <pthread.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <semaphore>
#include <thread>

#include "kernel-loader/gate.h"
#include "kernel-loader/ids.h"
#include "trampolines/callback.h"
#include "trampolines/signal_entry.h"

uint64_t mana::loader::mana_signal_handlers[mana::loader::kSignals];  // the gate's, which is not linked here
int32_t mana::loader::mana_process_ids[4];

namespace mana::test {
namespace {

constexpr std::size_t kStackBytes = 1 << 20;

struct Start {
  ThreadRecord* record;
  const std::function<void(ThreadRecord&)>* body;
};

void* upper_main(void* argument) {
  auto* start = static_cast<Start*>(argument);
  start->record->upper_fs = fs_base();
  (*start->body)(*start->record);
  return nullptr;
}

}  // namespace

unsigned long fs_base() { return reinterpret_cast<unsigned long>(__builtin_thread_pointer()); }

bool fsgsbase_allowed() {
  constexpr unsigned long kFsgsbase = 2;  // HWCAP2_FSGSBASE
  return (getauxval(AT_HWCAP2) & kFsgsbase) != 0;
}

void run_upper(bool by_call, const std::function<void(ThreadRecord&)>& body) {
  static unsigned long next = 0x170000000000;
  void* stack = mmap(reinterpret_cast<void*>(next), kStackBytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  next += 2 * kStackBytes;
  if (stack == MAP_FAILED) {
    std::perror("map a stack below the line");
    std::abort();
  }
  ThreadRecord record{};
  record.flags = by_call ? kSetFsByCall : 0;
  record.depth = 1;
  mana_signal_entry_by_call = by_call;

  std::binary_semaphore lent{0}, given_back{0};
  std::thread lender([&] {
    mana_current_record = &record;
    record.lower_fs = fs_base();
    lent.release();
    given_back.acquire();  // parked while its TLS is borrowed
  });
  lent.acquire();

  Start start{&record, &body};
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstack(&attributes, stack, kStackBytes);
  pthread_t upper;
  if (pthread_create(&upper, &attributes, upper_main, &start) != 0) std::abort();
  pthread_join(upper, nullptr);
  pthread_attr_destroy(&attributes);
  given_back.release();
  lender.join();
  munmap(stack, kStackBytes);
}

}  // namespace mana::test
