// SPDX-License-Identifier: BSD-3-Clause
// What belongs to a thread or to the process besides memory and signals, and children.
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <string>
#include <thread>

#include "test/scenario.h"
#include "test/scenarios/signals.h"

extern char** environ;

namespace {

using namespace mana::test;

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
    constexpr long kThread = 1, kLowest = 2 << 13 | 7;  // IOPRIO_WHO_PROCESS; of IOPRIO_CLASS_BE
    CHECK_EQ(syscall(SYS_ioprio_set, kThread, 0, kLowest), 0);
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
    CHECK_EQ(syscall(SYS_ioprio_get, kThread, 0), kLowest);
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
  const rlimit lowered{12345, 23456};  // for good, so of something that nothing obeys any more
  CHECK_EQ(setrlimit(RLIMIT_LOCKS, &lowered), 0);
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
  getrlimit(RLIMIT_LOCKS, &got);
  CHECK(got.rlim_cur == lowered.rlim_cur && got.rlim_max == lowered.rlim_max);
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

SCENARIO(process_keeps_what_it_asked_for_itself, .ranks = 2) {
  const auto score = [] {
    int value = 0;
    std::ifstream("/proc/self/oom_score_adj") >> value;
    return value;
  };
  const auto set_score = [](int value) { std::ofstream("/proc/self/oom_score_adj") << value; };
  const int before = score(), raised = std::min(before + 321, 1000);
  set_score(raised);
  job.checkpoint_here();
  CHECK_EQ(score(), raised);
  set_score(before);
}

// What hardly anybody asks for.  Of each thread: here the main one and another have asked for different things.
struct RareState {
  int personality, keeps_capabilities, memory_errors, tsc, gains_no_privileges, flushes_io;
  static RareState now() {
    RareState state{};
    state.personality = personality_now();
    state.keeps_capabilities = prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0);
    state.memory_errors = prctl(PR_MCE_KILL_GET, 0, 0, 0, 0);
    prctl(PR_GET_TSC, &state.tsc);
    state.gains_no_privileges = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
    state.flushes_io = prctl(kGetFlusher, 0, 0, 0, 0);
    return state;
  }
  static constexpr int kSetFlusher = 57, kGetFlusher = 58;  // PR_SET_IO_FLUSHER, Linux 5.6
  static int personality_now() { return ::personality(0xffffffff); }
  friend bool operator==(const RareState&, const RareState&) = default;
};

SCENARIO(threads_keep_what_hardly_anybody_asks_for, .ranks = 2) {
  const RareState before = RareState::now();
  std::atomic<int> ready{0}, go{0};
  std::thread other([&] {
    ::personality(static_cast<unsigned>(before.personality) | STICKY_TIMEOUTS);
    prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
    prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0);
    prctl(PR_SET_TSC, PR_TSC_SIGSEGV);
    prctl(RareState::kSetFlusher, 1, 0, 0, 0);  // not every user may
    CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    const RareState own = RareState::now();
    CHECK_EQ(own.personality, before.personality | STICKY_TIMEOUTS);
    CHECK_EQ(own.keeps_capabilities, 1);
    CHECK_EQ(own.tsc, PR_TSC_SIGSEGV);
    ready = 1;
    while (go == 0) sched_yield();
    CHECK(RareState::now() == own);
  });
  while (ready == 0) sched_yield();
  job.checkpoint_here();
  go = 1;
  other.join();
  CHECK(RareState::now() == before);
}

SCENARIO(process_keeps_what_hardly_anybody_asks_for, .ranks = 2) {
  constexpr int kSetMerge = 67, kGetMerge = 68;  // PR_SET_MEMORY_MERGE, Linux 6.4
  const auto filter = [] {
    std::string text;
    std::ifstream("/proc/self/coredump_filter") >> text;
    return text;
  };
  const std::string before = filter();
  std::ofstream("/proc/self/coredump_filter") << "0x7b";
  const bool merges = prctl(kSetMerge, 1, 0, 0, 0) == 0;
  job.checkpoint_here();
  CHECK_EQ(filter(), "0000007b");
  if (merges) CHECK_EQ(prctl(kGetMerge, 0, 0, 0, 0), 1);
  std::ofstream("/proc/self/coredump_filter") << "0x" + before;
  prctl(kSetMerge, 0, 0, 0, 0);
}

// Its files in /proc are root's then.
SCENARIO(process_that_is_not_dumpable_stays_so, .ranks = 1) {
  CHECK_EQ(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), 0);
  int ends[2];
  CHECK_EQ(pipe(ends), 0);
  std::atomic<long> got{0};
  std::thread waiting([&] {
    char byte;
    got = read(ends[0], &byte, 1);
  });
  job.checkpoint_here();
  CHECK_EQ(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
  CHECK_EQ(write(ends[1], "x", 1), 1);
  waiting.join();
  CHECK_EQ(got.load(), 1);
  CHECK_EQ(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
  close(ends[0]), close(ends[1]);
}

}  // namespace
