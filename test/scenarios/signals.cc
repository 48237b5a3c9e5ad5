// SPDX-License-Identifier: BSD-3-Clause
// Signals, timers, what belongs to a thread or to the process besides memory, and children.
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

extern char** environ;

namespace {

using mana::test::Job;

sigset_t set_of(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  return set;
}

// Blocks for the calling thread as long as it lives.
class Blocked {
 public:
  explicit Blocked(const sigset_t& set) { pthread_sigmask(SIG_BLOCK, &set, &before_); }
  ~Blocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  Blocked(const Blocked&) = delete;
  Blocked& operator=(const Blocked&) = delete;

 private:
  sigset_t before_;
};

class Handled {
 public:
  Handled(int signal, void (*handler)(int, siginfo_t*, void*), int flags = 0) : signal_(signal) {
    struct sigaction action = {};
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | flags;
    sigaction(signal, &action, &before_);
  }
  ~Handled() { sigaction(signal_, &before_, nullptr); }
  Handled(const Handled&) = delete;
  Handled& operator=(const Handled&) = delete;

 private:
  int signal_;
  struct sigaction before_ = {};
};

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

namespace {
std::atomic<long> interruptions{0};
int64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}
// Half of the time: so a checkpoint comes while it runs.
void take_long(int) {
  const int64_t end = now_ns() + 120'000;
  while (now_ns() < end) {
  }
  interruptions++;
}
}  // namespace

SCENARIO(handler_that_interrupts_the_clock_goes_on_after, .ranks = 2) {
  std::atomic<bool> stop{false};
  std::atomic<long> turns{0};
  sigset_t ticks, before;
  sigemptyset(&ticks);
  sigaddset(&ticks, SIGALRM);
  pthread_sigmask(SIG_BLOCK, &ticks, &before);
  struct sigaction action {}, old {};
  action.sa_handler = take_long;
  action.sa_flags = SA_RESTART;
  CHECK_EQ(sigaction(SIGALRM, &action, &old), 0);
  std::thread clock([&] {
    sigset_t own;
    sigemptyset(&own);
    sigaddset(&own, SIGALRM);
    pthread_sigmask(SIG_UNBLOCK, &own, nullptr);
    timespec last{}, now{};
    while (!stop) {
      clock_gettime(CLOCK_MONOTONIC, &now);
      if (now.tv_sec < last.tv_sec || (now.tv_sec == last.tv_sec && now.tv_nsec < last.tv_nsec)) turns = -1'000'000'000;
      last = now;
      turns++;
    }
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
    if (sigismember(&blocked, SIGALRM) != 0 || sigismember(&blocked, SIGUSR1) != 0) turns = -1'000'000'000;
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
  CHECK(turns > 0);
  sigaction(SIGALRM, &old, nullptr);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
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

SCENARIO(thread_keeps_name_mask_stack_and_place, .ranks = 2) {
  cpu_set_t usable;
  CPU_ZERO(&usable);
  sched_getaffinity(0, sizeof usable, &usable);
  int last = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (CPU_ISSET(cpu, &usable)) last = cpu;
  }
  const bool narrower = CPU_COUNT(&usable) > 1;
  std::atomic<int> ready{0}, go{0};
  std::thread other([&] {
    static char alternate[1 << 16];
    stack_t stack = {};
    stack.ss_sp = alternate;
    stack.ss_size = sizeof alternate;
    sigaltstack(&stack, nullptr);
    const Blocked blocked(set_of({SIGUSR2, SIGRTMIN + 6}));
    pthread_setname_np(pthread_self(), "worker bee");
    cpu_set_t one, now;
    CPU_ZERO(&one);
    CPU_SET(last, &one);
    if (narrower) sched_setaffinity(0, sizeof one, &one);
    setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + 1);
    const int nice = getpriority(PRIO_PROCESS, 0);
    sched_param batch = {};
    CHECK_EQ(sched_setscheduler(0, SCHED_BATCH, &batch), 0);
    ready = 1;
    while (go == 0) sched_yield();
    char name[16] = {};
    pthread_getname_np(pthread_self(), name, sizeof name);
    CHECK_EQ(std::string(name), "worker bee");
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, nullptr, &mask);
    CHECK_EQ(sigismember(&mask, SIGUSR2), 1);
    CHECK_EQ(sigismember(&mask, SIGRTMIN + 6), 1);
    CHECK_EQ(sigismember(&mask, SIGUSR1), 0);
    stack_t got = {};
    sigaltstack(nullptr, &got);
    CHECK_EQ(got.ss_sp, static_cast<void*>(alternate));
    CPU_ZERO(&now);
    sched_getaffinity(0, sizeof now, &now);
    if (narrower) CHECK(CPU_EQUAL(&now, &one));
    CHECK_EQ(getpriority(PRIO_PROCESS, 0), nice);
    CHECK_EQ(sched_getscheduler(0), SCHED_BATCH);
    stack.ss_flags = SS_DISABLE;
    sigaltstack(&stack, nullptr);
  });
  while (ready == 0) sched_yield();
  job.checkpoint_here();
  CHECK_EQ(sched_getscheduler(0), SCHED_OTHER);
  go = 1;
  other.join();  // by the word that the kernel clears
}

SCENARIO(directory_mask_limits_and_name_of_the_process_stay, .ranks = 2) {
  char before[4096], now[4096], folder[] = "/tmp/mana-scenario-XXXXXX";
  CHECK(getcwd(before, sizeof before) != nullptr);
  CHECK(mkdtemp(folder) != nullptr);
  CHECK_EQ(chdir(folder), 0);
  const mode_t mask = umask(031);
  char name[16] = {};
  prctl(PR_GET_NAME, name);
  prctl(PR_SET_NAME, "renamed");
  rlimit core{}, files{}, got{};
  getrlimit(RLIMIT_CORE, &core);
  const rlimit own_core{std::min<rlim_t>(core.rlim_max, 4096 * 3), core.rlim_max};
  CHECK_EQ(setrlimit(RLIMIT_CORE, &own_core), 0);
  getrlimit(RLIMIT_STACK, &files);
  const rlimit own_stack{(3 << 20) + 4096, files.rlim_max};
  CHECK_EQ(setrlimit(RLIMIT_STACK, &own_stack), 0);
  job.checkpoint_here();
  CHECK(getcwd(now, sizeof now) != nullptr);
  CHECK_EQ(std::string(now), std::string(folder));
  CHECK_EQ(umask(mask), 031u);
  char name_now[16] = {};
  prctl(PR_GET_NAME, name_now);
  CHECK_EQ(std::string(name_now), "renamed");
  getrlimit(RLIMIT_CORE, &got);
  CHECK_EQ(got.rlim_cur, own_core.rlim_cur);
  getrlimit(RLIMIT_STACK, &got);
  CHECK_EQ(got.rlim_cur, own_stack.rlim_cur);
  setrlimit(RLIMIT_CORE, &core);
  setrlimit(RLIMIT_STACK, &files);
  prctl(PR_SET_NAME, name);
  CHECK_EQ(chdir(before), 0);
  rmdir(folder);
}

SCENARIO(what_was_asked_for_by_prctl_stays, .ranks = 2) {
  constexpr int kRegisterGlobal = 1 << 2, kPrivateSyncCore = 1 << 5, kRegisterPrivateSyncCore = 1 << 6;  // membarrier(2)
  constexpr int kGetRegistrations = 1 << 9;
  int reaps_before = 0, reaps = 0, death_signal = 0;
  prctl(PR_GET_CHILD_SUBREAPER, &reaps_before);
  const int without_huge_pages_before = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), slack_before = prctl(PR_GET_TIMERSLACK);
  CHECK_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  CHECK_EQ(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
  CHECK_EQ(prctl(PR_SET_TIMERSLACK, 123456), 0);
  const long registrations_are_told = syscall(SYS_membarrier, kGetRegistrations, 0, 0);  // Linux 6.3
  CHECK_EQ(syscall(SYS_membarrier, kRegisterGlobal, 0, 0), 0);
  CHECK_EQ(syscall(SYS_membarrier, kRegisterPrivateSyncCore, 0, 0), 0);
  volatile int ready = 0, go = 0;
  std::thread other([&] {
    CHECK_EQ(prctl(PR_SET_TIMERSLACK, 654321), 0);
    CHECK_EQ(prctl(PR_SET_PDEATHSIG, SIGUSR1), 0);
    ready = 1;
    while (go == 0) sched_yield();
    int signal_now = 0;
    CHECK_EQ(prctl(PR_GET_TIMERSLACK), 654321);
    CHECK_EQ(prctl(PR_GET_PDEATHSIG, &signal_now), 0);
    CHECK_EQ(signal_now, SIGUSR1);
  });
  while (ready == 0) sched_yield();
  job.checkpoint_here();
  go = 1;
  other.join();
  CHECK_EQ(prctl(PR_GET_CHILD_SUBREAPER, &reaps), 0);
  CHECK_EQ(reaps, 1);
  CHECK_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
  CHECK_EQ(prctl(PR_GET_TIMERSLACK), 123456);
  CHECK_EQ(prctl(PR_GET_PDEATHSIG, &death_signal), 0);
  if (registrations_are_told >= 0) {
    CHECK_EQ(syscall(SYS_membarrier, kPrivateSyncCore, 0, 0), 0);
    CHECK_EQ(syscall(SYS_membarrier, kGetRegistrations, 0, 0) & kRegisterGlobal, kRegisterGlobal);
  }
  prctl(PR_SET_CHILD_SUBREAPER, reaps_before);
  prctl(PR_SET_THP_DISABLE, without_huge_pages_before, 0, 0, 0);
  prctl(PR_SET_TIMERSLACK, slack_before);
}

SCENARIO(children_of_every_kind_run_after, .ranks = 2) {
  const auto run_all = [&] {
    CHECK_EQ(system("exit 3"), 3 << 8);
    FILE* pipe = popen("echo word", "r");
    char line[50] = {};
    CHECK(pipe != nullptr && fgets(line, sizeof line - 1, pipe) != nullptr);
    CHECK_EQ(std::string(line), "word\n");
    if (pipe != nullptr) CHECK_EQ(pclose(pipe), 0);
    char shell[] = "sh", option[] = "-c", command[] = "exit 5";
    char* words[] = {shell, option, command, nullptr};
    pid_t child = 0;
    int status = 0;
    CHECK_EQ(posix_spawnp(&child, "sh", nullptr, nullptr, words, environ), 0);
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(WEXITSTATUS(status), 5);
    child = fork();
    if (child == 0) {
      execvp("sh", words);
      _exit(99);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(WEXITSTATUS(status), 5);
    child = vfork();
    if (child == 0) {
      execvp("sh", words);
      _exit(99);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(WEXITSTATUS(status), 5);
    child = fork();
    if (child == 0) {
      std::string* made = new std::string(100000, 'x');
      _exit(made->size() == 100000 ? 6 : 98);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(WEXITSTATUS(status), 6);
  };
  run_all();
  job.checkpoint_here();
  run_all();
}

SCENARIO(checkpoint_waits_for_a_child_and_its_parent, .ranks = 2) {
  job.announce();
  const pid_t child = fork();
  if (child == 0) {
    job.wait_until_underway();
    poll(nullptr, 0, 300);
    _exit(7);
  }
  int status = 0;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(WEXITSTATUS(status), 7);
  job.wait_until_over();
  CHECK_EQ(waitpid(-1, &status, WNOHANG), -1);
  CHECK_EQ(errno, ECHILD);
}

}  // namespace
