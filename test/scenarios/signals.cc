// SPDX-License-Identifier: BSD-3-Clause
// Signals and timers.
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "test/scenario.h"
#include "test/scenarios/signals.h"

namespace {

using namespace mana::test;

// The next pending one of the set; si_signo -1: there is none.
siginfo_t take(const sigset_t& set) {
  siginfo_t info = {};
  const timespec no_time{};
  if (sigtimedwait(&set, &info, &no_time) < 0) info.si_signo = -1;
  return info;
}

// For the calling thread.
long queue_here(int signal, sigval value) {
  siginfo_t info = {};
  info.si_signo = signal;
  info.si_code = SI_QUEUE;
  info.si_pid = getpid();
  info.si_uid = getuid();
  info.si_value = value;
  return syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), signal, &info);
}

int64_t nanoseconds(const timespec& time) { return time.tv_sec * 1000000000LL + time.tv_nsec; }
constexpr int64_t kSecond = 1000000000;

SCENARIO(pending_signals_of_the_process_keep_what_they_carry, .ranks = 2) {
  if (job.plain()) return job.checkpoint_here();  // natively a thread of the MPI library, which blocks nothing, may take them
  const int real_time = SIGRTMIN + 2;
  const sigset_t set = set_of({SIGUSR1, SIGUSR2, real_time});
  const Blocked blocked(set);
  sigval value = {};
  for (int i = 0; i < 3; i++) {
    value.sival_int = 100 + i;
    CHECK_EQ(sigqueue(getpid(), real_time, value), 0);
  }
  value.sival_int = 7;
  CHECK_EQ(sigqueue(getpid(), SIGUSR2, value), 0);
  CHECK_EQ(kill(getpid(), SIGUSR1), 0);
  job.checkpoint_here();
  siginfo_t info = take(set);
  CHECK_EQ(info.si_signo, SIGUSR1);
  CHECK_EQ(info.si_code, SI_USER);
  CHECK_EQ(info.si_uid, getuid());
  info = take(set);
  CHECK_EQ(info.si_signo, SIGUSR2);
  CHECK_EQ(info.si_code, SI_QUEUE);
  CHECK_EQ(info.si_value.sival_int, 7);
  for (int i = 0; i < 3; i++) {
    info = take(set);
    CHECK_EQ(info.si_signo, real_time);
    CHECK_EQ(info.si_value.sival_int, 100 + i);
  }
  CHECK_EQ(take(set).si_signo, -1);
}

SCENARIO(pending_signals_of_a_thread_stay_its_own, .ranks = 2) {
  const int real_time = SIGRTMIN + 3;
  const sigset_t set = set_of({SIGUSR1, real_time});
  const Blocked blocked(set);  // the other thread inherits it
  std::atomic<int> ready{0}, go{0};
  std::vector<int> got;
  std::thread other([&] {
    ready = 1;
    while (go == 0) sched_yield();
    for (int i = 0; i < 3; i++) {
      const siginfo_t info = take(set);
      got.push_back(info.si_signo == real_time ? info.si_value.sival_int : -info.si_signo);
    }
  });
  while (ready == 0) sched_yield();
  sigval value = {};
  for (int i = 0; i < 2; i++) {
    value.sival_int = 40 + i;
    CHECK_EQ(pthread_sigqueue(other.native_handle(), real_time, value), 0);
  }
  CHECK_EQ(pthread_kill(pthread_self(), SIGUSR1), 0);
  job.checkpoint_here();
  sigset_t pending;
  sigpending(&pending);
  CHECK_EQ(sigismember(&pending, real_time), 0);
  const siginfo_t info = take(set);
  CHECK_EQ(info.si_signo, SIGUSR1);
  CHECK_EQ(info.si_code, SI_USER);  // what glibc makes of SI_TKILL
  CHECK_EQ(take(set).si_signo, -1);
  go = 1;
  other.join();
  CHECK_EQ(got.size(), 3u);
  CHECK_EQ(got[0], 40);
  CHECK_EQ(got[1], 41);
  CHECK_EQ(got[2], 1);
}

std::atomic<int> handled_value{0}, handled_count{0};
void on_value(int, siginfo_t* info, void*) {
  handled_value = info->si_value.sival_int;
  handled_count++;
}

SCENARIO(pending_signal_is_handled_once_when_unblocked_after, .ranks = 2) {
  const sigset_t set = set_of({SIGUSR1});
  const Handled handled(SIGUSR1, on_value);
  handled_value = handled_count = 0;
  {
    const Blocked blocked(set);
    sigval value = {};
    value.sival_int = 12;
    CHECK_EQ(queue_here(SIGUSR1, value), 0);
    job.checkpoint_here();
    CHECK_EQ(handled_count.load(), 0);
  }
  CHECK_EQ(handled_count.load(), 1);
  CHECK_EQ(handled_value.load(), 12);
}

SCENARIO(every_signal_may_be_blocked_or_used, .ranks = 2) {
  sigset_t all;
  sigfillset(&all);
  std::atomic<int> stop{0};
  const Handled usr1(SIGUSR1, on_value), usr2(SIGUSR2, on_value), alarmed(SIGALRM, on_value), last(SIGRTMAX, on_value);
  handled_count = 0;
  std::thread blocking([&] {
    const Blocked blocked(all);
    while (stop == 0) poll(nullptr, 0, 5);
  });
  {
    const Blocked blocked(all);
    job.checkpoint_here();
  }
  for (const int signal : {SIGUSR1, SIGUSR2, SIGALRM, SIGRTMAX}) raise(signal);
  CHECK_EQ(handled_count.load(), 4);
  stop = 1;
  blocking.join();
}

Job* job_of_handler = nullptr;
int handler_got = 0;
void checkpoint_in_handler(int, siginfo_t* info, void*) {
  const int before = info->si_value.sival_int;
  job_of_handler->checkpoint_here();
  handler_got = before + info->si_value.sival_int;
}

SCENARIO(handler_on_alternate_stack_goes_on_after, .ranks = 2) {
  static char alternate[1 << 18];
  stack_t stack = {}, before = {};
  stack.ss_sp = alternate;
  stack.ss_size = sizeof alternate;
  sigaltstack(&stack, &before);
  job_of_handler = &job;
  handler_got = 0;
  {
    const Handled handled(SIGUSR1, checkpoint_in_handler, SA_ONSTACK);
    sigval value = {};
    value.sival_int = 21;
    CHECK_EQ(queue_here(SIGUSR1, value), 0);
  }
  CHECK_EQ(handler_got, 42);
  stack_t now = {};
  sigaltstack(nullptr, &now);
  CHECK_EQ(now.ss_flags & SS_ONSTACK, 0);
  CHECK_EQ(now.ss_sp, static_cast<void*>(alternate));
  sigaltstack(&before, nullptr);
}

std::atomic<long> interruptions{0};
int64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return nanoseconds(now);
}
// Half of the time: so a checkpoint comes while it runs.
void take_long(int) {
  const int64_t end = now_ns() + 120'000;
  while (now_ns() < end) {
  }
  interruptions++;
}

SCENARIO(handler_that_interrupts_the_clock_goes_on_after, .ranks = 2) {
  std::atomic<bool> stop{false};
  std::atomic<long> turns{0}, backwards{0};
  const sigset_t ticks = set_of({SIGALRM});
  const Blocked blocked(ticks);
  const Handled handled(SIGALRM, take_long, SA_RESTART);
  std::thread clock([&] {
    pthread_sigmask(SIG_UNBLOCK, &ticks, nullptr);
    timespec last{}, now{};
    while (!stop) {
      clock_gettime(CLOCK_MONOTONIC, &now);
      if (nanoseconds(now) < nanoseconds(last)) backwards++;
      last = now;
      turns++;
    }
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, nullptr, &mask);
    CHECK(sigismember(&mask, SIGALRM) == 0 && sigismember(&mask, SIGUSR1) == 0);
  });
  const itimerval often{{0, 250}, {0, 250}}, never{};
  CHECK_EQ(setitimer(ITIMER_REAL, &often, nullptr), 0);
  while (interruptions < 10) sched_yield();
  job.checkpoint_here();
  const long then = interruptions;
  const long turned = turns;
  while (interruptions < then + 10 || turns < turned + 1000) sched_yield();
  CHECK_EQ(setitimer(ITIMER_REAL, &never, nullptr), 0);
  stop = true;
  clock.join();
  CHECK_EQ(backwards.load(), 0);
}

SCENARIO(blocking_calls_see_no_interruption, .ranks = 2) {
  std::atomic<int> interrupted{0}, ready{0};
  sem_t semaphore;
  sem_init(&semaphore, 0, 0);
  const sigset_t awaited = set_of({SIGRTMIN + 4});
  const Blocked blocked(awaited);
  std::atomic<int> stop{0};
  std::thread in_semaphore([&] {
    ready++;
    if (sem_wait(&semaphore) != 0) interrupted++;
  });
  std::thread in_sigwait([&] {
    ready++;
    siginfo_t info;
    if (sigwaitinfo(&awaited, &info) != SIGRTMIN + 4 || info.si_value.sival_int != 5) interrupted++;
  });
  std::thread in_poll([&] {
    ready++;
    while (stop == 0) {
      if (poll(nullptr, 0, 20) != 0) interrupted++;
    }
  });
  std::thread in_select([&] {
    ready++;
    while (stop == 0) {
      timeval time{0, 20000};
      if (select(0, nullptr, nullptr, nullptr, &time) != 0) interrupted++;
    }
  });
  while (ready < 4) sched_yield();
  job.checkpoint_here();
  sem_post(&semaphore);
  sigval value = {};
  value.sival_int = 5;
  if (job.plain()) {  // natively a thread of the MPI library may take one for the process
    pthread_sigqueue(in_sigwait.native_handle(), SIGRTMIN + 4, value);
  } else {
    sigqueue(getpid(), SIGRTMIN + 4, value);
  }
  stop = 1;
  for (std::thread* thread : {&in_semaphore, &in_sigwait, &in_poll, &in_select}) thread->join();
  CHECK_EQ(interrupted.load(), 0);
}

SCENARIO(alarm_and_interval_timers_keep_the_time_that_is_left, .ranks = 2) {
  const Handled handled(SIGALRM, on_value), virtual_time(SIGVTALRM, on_value);
  handled_count = 0;
  alarm(1000);
  const itimerval hour{{3600, 0}, {3000, 0}};
  setitimer(ITIMER_VIRTUAL, &hour, nullptr);
  job.checkpoint_here();
  itimerval now{};
  getitimer(ITIMER_VIRTUAL, &now);
  CHECK_EQ(now.it_interval.tv_sec, 3600);
  CHECK(now.it_value.tv_sec >= 2900 && now.it_value.tv_sec <= 3000);
  const itimerval off{};
  setitimer(ITIMER_VIRTUAL, &off, nullptr);
  const unsigned left = alarm(0);
  CHECK(left > 600 && left <= 1000);
  CHECK_EQ(handled_count.load(), 0);
  // One that goes off by itself, however long the checkpoint took.
  const itimerval soon{{0, 0}, {0, 300000}};
  setitimer(ITIMER_REAL, &soon, nullptr);
  job.checkpoint_here();
  while (handled_count == 0) poll(nullptr, 0, 5);
  CHECK_EQ(handled_count.load(), 1);
}

std::atomic<int> thread_calls{0};

SCENARIO(posix_timers_keep_id_value_and_time_left, .ranks = 2) {
  const int real_time = SIGRTMIN + 5;
  const Handled handled(real_time, on_value);
  handled_count = handled_value = 0;
  timer_t gone, silent, far, ticking;
  sigevent event = {};
  event.sigev_notify = SIGEV_NONE;
  CHECK_EQ(timer_create(CLOCK_MONOTONIC, &event, &gone), 0);
  CHECK_EQ(timer_create(CLOCK_REALTIME, &event, &silent), 0);
  timer_delete(gone);  // so that ids have a gap
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = real_time;
  event.sigev_value.sival_int = 31;
  CHECK_EQ(timer_create(CLOCK_MONOTONIC, &event, &far), 0);
  event.sigev_value.sival_int = 32;
  CHECK_EQ(timer_create(CLOCK_MONOTONIC, &event, &ticking), 0);
  const itimerspec hours{{7200, 0}, {3600, 0}}, soon{{0, 20000000}, {0, 100000000}};
  CHECK_EQ(timer_settime(silent, 0, &hours, nullptr), 0);
  CHECK_EQ(timer_settime(far, 0, &hours, nullptr), 0);
  const sigset_t set = set_of({real_time});
  {
    const Blocked blocked(set);  // the ticks wait, as one pending signal
    CHECK_EQ(timer_settime(ticking, 0, &soon, nullptr), 0);
    job.checkpoint_here();
    for (const timer_t timer : {silent, far}) {
      itimerspec now{};
      CHECK_EQ(timer_gettime(timer, &now), 0);
      CHECK_EQ(now.it_interval.tv_sec, 7200);
      CHECK(nanoseconds(now.it_value) > 3000 * kSecond && nanoseconds(now.it_value) <= 3600 * kSecond);
    }
  }
  handled_count = 0;
  while (handled_count < 3) poll(nullptr, 0, 5);
  CHECK_EQ(handled_value.load(), 32);
  timer_t another;
  CHECK_EQ(timer_create(CLOCK_MONOTONIC, &event, &another), 0);
  CHECK(another != far && another != silent && another != ticking);
  for (const timer_t timer : {silent, far, ticking, another}) CHECK_EQ(timer_delete(timer), 0);
  const Blocked blocked(set);
  while (take(set).si_signo > 0) {
  }
}

SCENARIO(posix_timer_that_calls_a_thread_goes_on, .ranks = 2) {
  thread_calls = 0;
  sigevent event = {};
  event.sigev_notify = SIGEV_THREAD;
  event.sigev_value.sival_int = 3;
  event.sigev_notify_function = [](sigval value) { thread_calls += value.sival_int; };
  timer_t timer;
  CHECK_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
  const itimerspec soon{{0, 30000000}, {0, 30000000}};
  CHECK_EQ(timer_settime(timer, 0, &soon, nullptr), 0);
  while (thread_calls == 0) poll(nullptr, 0, 5);
  job.checkpoint_here();
  const int before = thread_calls;
  while (thread_calls < before + 9) poll(nullptr, 0, 5);
  CHECK_EQ(timer_delete(timer), 0);
  CHECK_EQ(thread_calls % 3, 0);
}

}  // namespace
