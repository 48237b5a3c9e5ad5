// SPDX-License-Identifier: BSD-3-Clause
#include "lower/threads.h"

#include <dirent.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <set>

#include "kernel-loader/loader.h"
#include "kernel-loader/sys.h"
#include "lower/lending.h"
#include "trampolines/callback.h"
#include "trampolines/signal_entry.h"

namespace mana::lower {
namespace {

// Enough for what of the lower half runs on a thread's own stack: nothing but its parking.  (Lower code runs on the
// stack of the thread that borrows.)
constexpr std::size_t kShadowStackBytes = 128 << 10;

struct Shadow {
  pthread_t thread{};
  uint64_t fs = 0;
  ThreadRecord* record = nullptr;        // null: free
  ThreadRecord** current_record = nullptr;  // its mana_current_record
  std::atomic<uint32_t> ready{0};
};

struct OurThreads {
  std::mutex mutex;
  std::set<pid_t> tids;
};
OurThreads& our_threads() {
  static auto* all = new OurThreads;  // never destroyed: threads outlive exit handlers
  return *all;
}

struct Shadows {
  std::mutex mutex;
  std::vector<Shadow*> all;
};
Shadows& shadows() {
  static auto* all = new Shadows;
  return *all;
}

uint64_t main_fs;
ThreadRecord** main_current_record;
void (*leave_hook)(int);

loader::LowerRseq own_rseq() {
  // What glibc registers is this long, however much of it this kernel uses (__rseq_size).
  constexpr uint32_t kRegisteredBytes = 32;
  return {reinterpret_cast<uint64_t>(__builtin_thread_pointer()) + static_cast<uint64_t>(__rseq_offset),
          __rseq_size == 0 ? 0 : std::max<uint32_t>(__rseq_size, kRegisteredBytes)};
}

uint64_t own_fs() { return reinterpret_cast<uint64_t>(__builtin_thread_pointer()); }

// A task has one area for restartable sequences.  Without one of its own the lower libc asks the kernel for the CPU it runs on,
// which is right too when its TLS is lent to another task.
void give_up_rseq() {
  if (__rseq_size != 0) loader::unregister_rseq(own_rseq());
}

long futex(std::atomic<uint32_t>* word, int operation, uint32_t value) {
  return syscall(SYS_futex, word, operation, value, nullptr, nullptr, 0);
}

void* shadow_main(void* argument) {
  auto* shadow = static_cast<Shadow*>(argument);
  give_up_rseq();
  shadow->fs = own_fs();
  shadow->current_record = &mana_current_record;
  shadow->ready.store(1);
  futex(&shadow->ready, FUTEX_WAKE_PRIVATE, 1);
  // From here on this thread's TLS belongs to the thread that borrows it; errno included.
  std::atomic<uint32_t> never{0};
  for (;;) sys::raw(__NR_futex, sys::bits(&never), FUTEX_WAIT_PRIVATE, 0, 0);
}

Shadow* make_shadow() {
  auto* shadow = new Shadow;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kShadowStackBytes);
  const int error = pthread_create(&shadow->thread, &attributes, shadow_main, shadow);
  pthread_attr_destroy(&attributes);
  if (error != 0) {
    delete shadow;
    return nullptr;
  }
  while (shadow->ready.load() == 0) futex(&shadow->ready, FUTEX_WAIT_PRIVATE, 0);
  return shadow;
}

bool has_ended(uint32_t tid) { return tid != 0 && syscall(SYS_tgkill, getpid(), tid, 0) != 0 && errno == ESRCH; }

// Records of threads that have ended become free, and so do the threads that they had borrowed.  A record with the id of the
// thread that is being served now is one of a dead thread whose id the kernel has used again.
void collect_ended(const ThreadRecord* served, pid_t served_tid) {
  for (Shadow* shadow : shadows().all) {
    ThreadRecord* record = shadow->record;
    if (record == nullptr || record == served) continue;
    const uint32_t tid = record->tid.load();
    if (tid != static_cast<uint32_t>(served_tid) && !has_ended(tid)) continue;
    shadow->record = nullptr;
    *shadow->current_record = nullptr;
    record->lower_fs = 0;
    record->tid.store(0);
  }
}

Shadow* free_shadow() {
  for (Shadow* shadow : shadows().all) {
    if (shadow->record == nullptr) return shadow;
  }
  Shadow* made = make_shadow();
  if (made != nullptr) shadows().all.push_back(made);
  return made;
}

std::atomic<pid_t> lender_tid{0};

void* lender_main(void*) {
  lender_tid.store(gettid());
  for (;;) {
    serve_lending([](ThreadRecord* record, pid_t tid) { return lend(record, tid); },
                  [](int code) {
                    leave_hook(code);
                    std::abort();
                  });
  }
}

}  // namespace

void start_lending() {
  main_fs = own_fs();
  main_current_record = &mana_current_record;
  mana_signal_entry_by_call = set_fs_by_call();
  lending.main_fs = main_fs;
  lending.main_current_record = main_current_record;
  lending.flags = set_fs_by_call() ? kSetFsByCall : 0;
  give_up_rseq();
  pthread_t lender;
  if (pthread_create(&lender, nullptr, lender_main, nullptr) != 0) {
    std::perror("mana: launch: start the thread that lends threads");
    std::exit(70);
  }
  pthread_detach(lender);
}

bool start_memory_thread() {
  alignas(64) static char stack[256 << 10];
  const Shadow* shadow = make_shadow();
  if (shadow == nullptr) return false;
  memory_thread_to_borrow = {shadow->fs, reinterpret_cast<uint64_t>(stack) + sizeof stack, lending.flags};
  return true;
}

uint64_t main_lower_fs() { return main_fs; }
pid_t lending_thread() { return lender_tid.load(); }

bool set_fs_by_call() {
  constexpr unsigned long kFsgsbase = 2;  // HWCAP2_FSGSBASE: CPUID alone does not say that the kernel has enabled it
  return (getauxval(AT_HWCAP2) & kFsgsbase) == 0;
}

bool lend(ThreadRecord* record, pid_t tid) {
  const std::lock_guard lock(shadows().mutex);
  record->flags = lending.flags;
  if (tid == getpid()) {
    record->lower_fs = main_fs;
    *main_current_record = record;
  } else {
    collect_ended(record, tid);
    Shadow* shadow = free_shadow();
    if (shadow == nullptr) return false;
    shadow->record = record;
    *shadow->current_record = record;
    record->lower_fs = shadow->fs;
  }
  record->tid.store(static_cast<uint32_t>(tid));
  return true;
}

void set_leave(void (*leave)(int code)) { leave_hook = leave; }

void add_lower_thread(pid_t tid) {
  const std::lock_guard lock(our_threads().mutex);
  our_threads().tids.insert(tid);
}

void remove_lower_thread(pid_t tid) {
  const std::lock_guard lock(our_threads().mutex);
  our_threads().tids.erase(tid);
}

bool is_lower_thread(pid_t tid) {
  const std::lock_guard lock(our_threads().mutex);
  return our_threads().tids.count(tid) != 0;
}

std::vector<pid_t> upper_threads() {
  std::vector<pid_t> found;
  DIR* tasks = opendir("/proc/self/task");
  if (tasks == nullptr) return found;
  while (const dirent* entry = readdir(tasks)) {
    const pid_t tid = std::atoi(entry->d_name);
    if (tid > 0 && !is_lower_thread(tid)) found.push_back(tid);
  }
  closedir(tasks);
  return found;
}

}  // namespace mana::lower
