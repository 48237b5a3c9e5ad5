// SPDX-License-Identifier: BSD-3-Clause
// Locks whose word holds the id of their owner, which the kernel compares: mutexes with priority inheritance, robust mutexes.
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <thread>

#include "test/scenario.h"

namespace {

struct Kind {
  int type = PTHREAD_MUTEX_NORMAL, protocol = PTHREAD_PRIO_INHERIT, robust = PTHREAD_MUTEX_STALLED, shared = PTHREAD_PROCESS_PRIVATE;
};

void make(pthread_mutex_t* mutex, const Kind& kind) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_settype(&attributes, kind.type);
  pthread_mutexattr_setprotocol(&attributes, kind.protocol);
  pthread_mutexattr_setrobust(&attributes, kind.robust);
  pthread_mutexattr_setpshared(&attributes, kind.shared);
  pthread_mutex_init(mutex, &attributes);
  pthread_mutexattr_destroy(&attributes);
}

void wait_until(const std::atomic<int>& value, int wanted) {
  while (value != wanted) usleep(500);
}

// FUTEX_WAITERS in the lock word, which glibc's mutexes begin with.
void wait_for_waiters(const pthread_mutex_t& mutex) {
  const auto* word = reinterpret_cast<const volatile int*>(&mutex);
  while (*word >= 0) usleep(500);
}

timespec soon(clockid_t clock) {
  timespec at{};
  clock_gettime(clock, &at);
  at.tv_nsec += 30'000'000;
  if (at.tv_nsec >= 1'000'000'000) at.tv_sec++, at.tv_nsec -= 1'000'000'000;
  return at;
}

int in_another_thread(int (*call)(pthread_mutex_t*), pthread_mutex_t* mutex) {
  int result = -1;
  std::thread([&] { result = call(mutex); }).join();
  return result;
}

SCENARIO(inherited_priority_mutex_is_held_and_waited_for, .ranks = 2) {
  pthread_mutex_t mutex;
  make(&mutex, {});
  std::atomic<int> entered{0}, wrong{0};
  CHECK_EQ(pthread_mutex_lock(&mutex), 0);
  const auto take = [&](bool timed) {
    timespec late{};
    clock_gettime(CLOCK_REALTIME, &late);
    late.tv_sec += 3600;
    if ((timed ? pthread_mutex_timedlock(&mutex, &late) : pthread_mutex_lock(&mutex)) != 0) wrong++;
    entered++;
    if (pthread_mutex_unlock(&mutex) != 0) wrong++;
  };
  std::thread first(take, false), second(take, false), third(take, true);
  wait_for_waiters(mutex);
  job.checkpoint_here();
  CHECK_EQ(entered.load(), 0);
  CHECK_EQ(pthread_mutex_unlock(&mutex), 0);
  first.join(), second.join(), third.join();
  CHECK_EQ(entered.load(), 3);
  CHECK_EQ(wrong.load(), 0);
  CHECK_EQ(pthread_mutex_lock(&mutex), 0);
  CHECK_EQ(pthread_mutex_unlock(&mutex), 0);
  CHECK_EQ(pthread_mutex_destroy(&mutex), 0);
}

SCENARIO(inherited_priority_mutex_knows_its_owner, .ranks = 2) {
  pthread_mutex_t recursive, checking;
  make(&recursive, {.type = PTHREAD_MUTEX_RECURSIVE});
  make(&checking, {.type = PTHREAD_MUTEX_ERRORCHECK});
  CHECK_EQ(pthread_mutex_lock(&recursive), 0);
  CHECK_EQ(pthread_mutex_lock(&recursive), 0);
  CHECK_EQ(pthread_mutex_lock(&checking), 0);
  job.checkpoint_here();
  CHECK_EQ(pthread_mutex_lock(&recursive), 0);
  CHECK_EQ(pthread_mutex_lock(&checking), EDEADLK);
  CHECK_EQ(in_another_thread(pthread_mutex_unlock, &checking), EPERM);
  for (pthread_mutex_t* mutex : {&recursive, &checking}) {
    CHECK_EQ(in_another_thread(pthread_mutex_trylock, mutex), EBUSY);
    const auto timed = [](pthread_mutex_t* held) {
      const timespec at = soon(CLOCK_REALTIME);
      return pthread_mutex_timedlock(held, &at);
    };
    CHECK_EQ(in_another_thread(timed, mutex), ETIMEDOUT);
    const auto clocked = [](pthread_mutex_t* held) {
      const timespec at = soon(CLOCK_MONOTONIC);
      return pthread_mutex_clocklock(held, CLOCK_MONOTONIC, &at);
    };
    CHECK_EQ(in_another_thread(clocked, mutex), ETIMEDOUT);
  }
  for (int i = 0; i < 3; i++) CHECK_EQ(pthread_mutex_unlock(&recursive), 0);
  CHECK_EQ(pthread_mutex_unlock(&checking), 0);
  for (pthread_mutex_t* mutex : {&recursive, &checking}) {
    const auto lock_and_unlock = [](pthread_mutex_t* free) { return pthread_mutex_lock(free) + pthread_mutex_unlock(free); };
    CHECK_EQ(in_another_thread(lock_and_unlock, mutex), 0);
    CHECK_EQ(pthread_mutex_destroy(mutex), 0);
  }
}

// Every wake-up that was lost would leave a thread asleep for ever.
SCENARIO(inherited_priority_mutex_is_fought_for, .ranks = 2) {
  pthread_mutex_t mutex;
  make(&mutex, {});
  long count = 0;
  std::atomic<int> wrong{0};
  const auto fight = [&](int times) {
    for (int i = 0; i < times; i++) {
      const timespec at = soon(CLOCK_REALTIME);
      const int got = i % 3 == 0 ? pthread_mutex_timedlock(&mutex, &at) : pthread_mutex_lock(&mutex);
      if (got == ETIMEDOUT) continue;
      if (got != 0) wrong++;
      const long before = count;
      if (i % 16 == 0) sched_yield();
      count = before + 1;
      if (pthread_mutex_unlock(&mutex) != 0) wrong++;
    }
  };
  std::atomic<bool> over{false};
  std::atomic<int> rounds{0};
  std::thread before([&] {
    while (!over) fight(100), rounds++;
  });
  while (rounds == 0) usleep(500);
  job.checkpoint_here();
  std::thread others[3];
  for (auto& other : others) other = std::thread(fight, 2000);
  for (auto& other : others) other.join();
  over = true;
  before.join();
  CHECK_EQ(wrong.load(), 0);
  CHECK(count > 0);
  CHECK_EQ(pthread_mutex_destroy(&mutex), 0);
}

// The owner's thread is older or younger than the restart, and ends without unlocking; a thread waits, or comes later.
SCENARIO(robust_mutex_tells_that_its_owner_has_ended, .ranks = 2) {
  for (const int protocol : {PTHREAD_PRIO_NONE, PTHREAD_PRIO_INHERIT}) {
    pthread_mutex_t old_one, new_one;
    make(&old_one, {.protocol = protocol, .robust = PTHREAD_MUTEX_ROBUST});
    make(&new_one, {.protocol = protocol, .robust = PTHREAD_MUTEX_ROBUST});
    std::atomic<int> held{0}, may_end{0};
    std::thread owner([&] {
      if (pthread_mutex_lock(&old_one) == 0) held = 1;
      wait_until(may_end, 1);
    });
    wait_until(held, 1);
    std::atomic<int> got{-1};
    std::thread waiter([&] {
      got = pthread_mutex_lock(&old_one);
      if (pthread_mutex_consistent(&old_one) + pthread_mutex_unlock(&old_one) != 0) got = -2;
    });
    wait_for_waiters(old_one);
    job.checkpoint_here();
    CHECK_EQ(got.load(), -1);
    may_end = 1;
    owner.join();
    waiter.join();
    CHECK_EQ(got.load(), EOWNERDEAD);
    CHECK_EQ(in_another_thread(pthread_mutex_lock, &new_one), 0);
    CHECK_EQ(pthread_mutex_lock(&new_one), EOWNERDEAD);
    CHECK_EQ(pthread_mutex_consistent(&new_one), 0);
    for (pthread_mutex_t* mutex : {&old_one, &new_one}) {
      if (mutex == &old_one) CHECK_EQ(pthread_mutex_lock(mutex), 0);
      CHECK_EQ(in_another_thread(pthread_mutex_trylock, mutex), EBUSY);
      CHECK_EQ(pthread_mutex_unlock(mutex), 0);
      CHECK_EQ(pthread_mutex_destroy(mutex), 0);
    }
  }
}

SCENARIO(robust_mutex_is_shared_with_a_child, .ranks = 2) {
  void* room = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto* mutex = static_cast<pthread_mutex_t*>(room);
  make(mutex, {.protocol = PTHREAD_PRIO_NONE, .robust = PTHREAD_MUTEX_ROBUST, .shared = PTHREAD_PROCESS_SHARED});
  std::atomic<int> held{0}, may_end{0};
  std::thread owner([&] {
    if (pthread_mutex_lock(mutex) == 0) held = 1;
    wait_until(may_end, 1);
  });
  wait_until(held, 1);
  job.checkpoint_here();
  const pid_t waiting = fork();
  if (waiting == 0) {
    const int got = pthread_mutex_lock(mutex);
    _exit(got == EOWNERDEAD && pthread_mutex_consistent(mutex) == 0 && pthread_mutex_unlock(mutex) == 0 ? 7 : 1);
  }
  wait_for_waiters(*mutex);
  may_end = 1;
  owner.join();
  int status = 0;
  CHECK_EQ(waitpid(waiting, &status, 0), waiting);
  CHECK_EQ(WEXITSTATUS(status), 7);
  const pid_t ending = fork();
  if (ending == 0) _exit(pthread_mutex_lock(mutex));
  CHECK_EQ(waitpid(ending, &status, 0), ending);
  CHECK_EQ(status, 0);
  CHECK_EQ(pthread_mutex_lock(mutex), EOWNERDEAD);
  CHECK_EQ(pthread_mutex_consistent(mutex), 0);
  CHECK_EQ(pthread_mutex_unlock(mutex), 0);
  munmap(room, 4096);
}

// As musl ends a detached thread: it takes its own stack away and can do nothing but exit.  `running` becomes 0.
void run_thread_without_a_stack(std::atomic<int>* running) {
  constexpr std::size_t kBytes = 64 << 10;
  void* stack = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  long id = SYS_clone;
  constexpr long kFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_CHILD_CLEARTID;
  register void* ended asm("r10") = running;
  register long no_tls asm("r8") = 0;
  register void* low asm("r12") = stack;
  register long bytes asm("r13") = kBytes;
  asm volatile(
      "syscall\n"
      "test %%eax, %%eax\n"
      "jnz 1f\n"
      "mov %%r12, %%rdi\n"
      "mov %%r13, %%rsi\n"
      "mov $11, %%eax\n"  // munmap
      "syscall\n"
      "xor %%edi, %%edi\n"
      "mov $60, %%eax\n"  // exit
      "syscall\n"
      "ud2\n"
      "1:\n"
      : "+a"(id)
      : "D"(kFlags), "S"(static_cast<char*>(stack) + kBytes), "d"(0), "r"(ended), "r"(no_tls), "r"(low), "r"(bytes)
      : "rcx", "r11", "memory", "cc");
}

SCENARIO(thread_that_has_no_stack_any_more_can_end, .ranks = 2) {
  const auto run = [&] {
    sigset_t all, before;  // nothing of the process's is for a thread without TLS
    sigfillset(&all);
    std::atomic<int> running[20];
    for (auto& one : running) {
      one = 1;
      pthread_sigmask(SIG_SETMASK, &all, &before);
      run_thread_without_a_stack(&one);
      pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }
    for (auto& one : running) wait_until(one, 0);
  };
  run();
  job.checkpoint_here();
  run();
}

}  // namespace
