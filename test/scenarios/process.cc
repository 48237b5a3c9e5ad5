// SPDX-License-Identifier: BSD-3-Clause
// What an application has from the kernel and from its own libc, before and after: memory, files, signals, ids, floating point.
#include <dlfcn.h>
#include <fenv.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <thread>

#include "test/scenario.h"

namespace {

using mana::test::pattern;

SCENARIO(memory_of_every_kind_outlives_the_process, .ranks = 2) {
  std::vector<std::vector<int>> small;
  for (int i = 0; i < 1000; i++) small.push_back(pattern(static_cast<std::size_t>(i), i));
  const std::size_t bytes = 5 << 20;
  auto* mapped = static_cast<char*>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  for (std::size_t i = 0; i < bytes; i += 4096) mapped[i] = static_cast<char>(i >> 12);
  mprotect(mapped, 4096, PROT_READ);
  auto* old_break = static_cast<char*>(sbrk(8192));
  const bool has_break = old_break != reinterpret_cast<char*>(-1);
  if (has_break) std::fill_n(old_break, 8192, 'b');
  std::vector<char> on_stack_until(1);
  char stack[200000];
  for (std::size_t i = 0; i < sizeof stack; i++) stack[i] = static_cast<char>(i * 7);
  job.checkpoint_here();
  bool same = true;
  for (int i = 0; i < 1000; i++) same = same && small[i] == pattern(static_cast<std::size_t>(i), i);
  CHECK(same);
  for (std::size_t i = 0; i < bytes; i += 4096) same = same && mapped[i] == static_cast<char>(i >> 12);
  CHECK(same);
  for (std::size_t i = 0; i < sizeof stack; i++) same = same && stack[i] == static_cast<char>(i * 7);
  CHECK(same);
  if (has_break) CHECK(std::all_of(old_break, old_break + 8192, [](char c) { return c == 'b'; }));
  CHECK_EQ(munmap(mapped, bytes), 0);
  std::vector<char> large(64 << 20, 'x');
  CHECK_EQ(large[large.size() - 1], 'x');
  if (has_break) CHECK(sbrk(4096) != reinterpret_cast<void*>(-1));
}

SCENARIO(open_files_keep_number_offset_and_mode, .ranks = 2) {
  char path[] = "/tmp/mana-scenario-XXXXXX";
  const int file = mkstemp(path);
  CHECK(write(file, "hello world", 11) == 11);
  CHECK_EQ(lseek(file, 6, SEEK_SET), 6);
  const int again = dup(file);
  const int reader = open(path, O_RDONLY | O_CLOEXEC);
  const int appender = open(path, O_WRONLY | O_APPEND);
  FILE* stream = fopen(path, "r");
  char word[20] = {};
  CHECK(fread(word, 1, 5, stream) == 5);
  job.checkpoint_here();
  std::memset(word, 0, sizeof word);
  CHECK_EQ(read(again, word, 3), 3);  // shares the offset
  CHECK_EQ(std::string(word), "wor");
  CHECK_EQ(lseek(file, 0, SEEK_CUR), 9);
  CHECK_EQ(fcntl(reader, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  CHECK_EQ(fcntl(file, F_GETFD) & FD_CLOEXEC, 0);
  CHECK_EQ(write(appender, "!", 1), 1);
  CHECK_EQ(lseek(reader, 0, SEEK_END), 12);
  std::memset(word, 0, sizeof word);
  CHECK(fread(word, 1, 6, stream) == 6);
  CHECK_EQ(std::string(word), " world");
  fclose(stream);
  for (int one : {file, again, reader, appender}) CHECK_EQ(close(one), 0);
  unlink(path);
}

volatile sig_atomic_t signalled = 0;
void on_signal(int number) { signalled = number; }

SCENARIO(signal_handlers_masks_and_stacks_outlive_the_process, .ranks = 2) {
  struct sigaction action = {}, old = {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  sigaction(SIGUSR1, &action, &old);
  static char alternate[65536];
  stack_t stack = {}, before = {};
  stack.ss_sp = alternate;
  stack.ss_size = sizeof alternate;
  sigaltstack(&stack, &before);
  sigset_t blocked, now;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR2);
  sigprocmask(SIG_BLOCK, &blocked, nullptr);
  signalled = 0;
  job.checkpoint_here();
  CHECK_EQ(raise(SIGUSR1), 0);
  CHECK_EQ(static_cast<int>(signalled), SIGUSR1);
  sigprocmask(SIG_BLOCK, nullptr, &now);
  CHECK_EQ(sigismember(&now, SIGUSR2), 1);
  CHECK_EQ(sigismember(&now, SIGUSR1), 0);
  stack_t got = {};
  sigaltstack(nullptr, &got);
  CHECK_EQ(got.ss_sp, static_cast<void*>(alternate));
  sigaltstack(&before, nullptr);
  sigprocmask(SIG_UNBLOCK, &blocked, nullptr);
  sigaction(SIGUSR1, &old, nullptr);
}

// Another thread ignores the signal while its delivery to the handler has begun.
SCENARIO(signal_on_its_way_finds_a_handler_when_it_becomes_ignored, .ranks = 2) {
  static std::atomic<int> handled;
  handled = 0;
  const auto storm = [&job] {
    struct sigaction handle {}, ignore {};
    handle.sa_handler = [](int) { ++handled; };
    ignore.sa_handler = SIG_IGN;
    sigaction(SIGUSR2, &handle, nullptr);
    std::atomic<bool> end{false};
    std::thread changes([&] {
      while (!end) {
        sigaction(SIGUSR2, &ignore, nullptr);
        sigaction(SIGUSR2, &handle, nullptr);
      }
    });
    for (int i = 0; i < 20000; i++) raise(SIGUSR2);
    end = true;
    changes.join();
    const int before = handled;
    raise(SIGUSR2);
    CHECK_EQ(handled - before, 1);
  };
  storm();
  job.checkpoint_here();
  storm();
  signal(SIGUSR2, SIG_DFL);
}

SCENARIO(process_and_thread_ids_stay_what_the_application_saw, .ranks = 2) {
  const pid_t process = getpid();
  const auto thread = syscall(SYS_gettid);
  job.checkpoint_here();
  CHECK_EQ(getpid(), process);
  CHECK_EQ(syscall(SYS_gettid), thread);
  CHECK_EQ(kill(process, 0), 0);
}

// Every call that takes or tells an id, with ids that were asked for before.
SCENARIO(ids_that_were_asked_for_before_are_still_good, .ranks = 2) {
  static std::atomic<int> heard;
  static std::atomic<pid_t> heard_in;
  heard = 0;
  struct sigaction action = {}, old = {};
  action.sa_handler = [](int) { heard_in = static_cast<pid_t>(syscall(SYS_gettid)), heard++; };
  sigaction(SIGUSR1, &action, &old);
  const pid_t process = getpid(), parent = getppid(), group = getpgrp(), session = getsid(0);
  std::atomic<pid_t> other_id{0};
  std::atomic<bool> over{false};
  std::thread other([&] {
    other_id = static_cast<pid_t>(syscall(SYS_gettid));
    while (!over) usleep(500);
  });
  while (other_id == 0) usleep(500);
  clockid_t clock_of_other = 0;
  CHECK_EQ(pthread_getcpuclockid(other.native_handle(), &clock_of_other), 0);
  const auto ask = [&](int times) {
    CHECK_EQ(getpid(), process);
    CHECK_EQ(getppid(), parent);
    CHECK_EQ(getpgrp(), group);
    CHECK_EQ(getpgid(process), group);
    CHECK_EQ(getsid(0), session);
    CHECK_EQ(getsid(process), session);
    CHECK_EQ(kill(parent, 0), 0);
    CHECK_EQ(raise(SIGUSR1), 0);
    CHECK_EQ(heard, times * 3 - 2);
    CHECK_EQ(heard_in, process);
    CHECK_EQ(pthread_kill(other.native_handle(), SIGUSR1), 0);
    while (heard < times * 3 - 1) usleep(500);
    CHECK_EQ(heard_in, other_id);
    CHECK_EQ(syscall(SYS_tgkill, process, other_id.load(), SIGUSR1), 0);
    while (heard < times * 3) usleep(500);
    CHECK_EQ(heard_in, other_id);
    cpu_set_t cores;
    CHECK_EQ(sched_getaffinity(other_id, sizeof cores, &cores), 0);
    CHECK_EQ(sched_getscheduler(process), SCHED_OTHER);
    errno = 0;
    CHECK(getpriority(PRIO_PROCESS, static_cast<id_t>(process)) != -1 || errno == 0);
    rlimit limit;
    CHECK_EQ(prlimit(process, RLIMIT_NOFILE, nullptr, &limit), 0);
    timespec used;
    CHECK_EQ(clock_gettime(clock_of_other, &used), 0);
    const std::string folder = "/proc/" + std::to_string(process) + "/";
    for (const std::string& name : {folder + "status", folder + "task/" + std::to_string(other_id) + "/status",
                                    "/proc/self/task/" + std::to_string(other_id) + "/comm"}) {
      CHECK(std::ifstream(name).good());
    }
    const pid_t child = fork();
    if (child == 0) _exit(getppid() == process && getpid() != process ? 7 : 1);
    int status = 0;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(WEXITSTATUS(status), 7);
  };
  ask(1);
  job.checkpoint_here();
  ask(2);
  over = true;
  other.join();
  sigaction(SIGUSR1, &old, nullptr);
}

SCENARIO(children_can_be_run_after, .ranks = 2) {
  const auto run = [&] {
    const pid_t child = fork();
    if (child == 0) _exit(getppid() == 1 ? 1 : 7);
    int status = 0;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(WEXITSTATUS(status), 7);
  };
  run();
  job.checkpoint_here();
  run();
  CHECK_EQ(system("exit 3"), 3 << 8);
  FILE* pipe = popen("echo from a child", "r");
  char line[50] = {};
  CHECK(pipe != nullptr && fgets(line, 49, pipe) != nullptr);
  CHECK_EQ(std::string(line), "from a child\n");
  if (pipe != nullptr) pclose(pipe);
}

// Where a thread stands that has just been made, or one whose libc does not want them.
SCENARIO(thread_without_restartable_sequences_can_register_them_after, .ranks = 2) {
  constexpr unsigned kUnregister = 1, kLength = 32;
  const auto rseq = [](unsigned flags) {
    return syscall(SYS_rseq, static_cast<char*>(__builtin_thread_pointer()) + __rseq_offset, kLength, flags, RSEQ_SIG);
  };
  const bool registered = __rseq_size != 0;  // not where GLIBC_TUNABLES turn them off
  if (registered) CHECK_EQ(rseq(kUnregister), 0);
  job.checkpoint_here();
  if (registered) CHECK_EQ(rseq(0), 0);
  job.checkpoint_here();
  if (registered) CHECK_EQ(rseq(kUnregister), 0);
  if (registered) CHECK_EQ(rseq(0), 0);
}

SCENARIO(language_runtime_works_after, .ranks = 2) {
  const auto weak = std::make_shared<std::string>("kept");
  jmp_buf place;
  volatile int jumped = 0;
  fesetround(FE_UPWARD);
  setenv("MANA_SCENARIO_WORD", "kept", 1);
  if (setjmp(place) == 0) {
    job.checkpoint_here();
    CHECK_EQ(fegetround(), FE_UPWARD);
    jumped = 1;
    longjmp(place, 1);
  }
  CHECK_EQ(static_cast<int>(jumped), 1);
  fesetround(FE_TONEAREST);
  CHECK_EQ(std::string(getenv("MANA_SCENARIO_WORD")), "kept");
  int caught = 0;
  try {
    throw std::runtime_error("thrown after");
  } catch (const std::exception& error) {
    caught = std::string(error.what()) == "thrown after";
  }
  CHECK_EQ(caught, 1);
  void* library = dlopen("libm.so.6", RTLD_NOW);
  CHECK(library != nullptr);
  const auto cosine = reinterpret_cast<double (*)(double)>(dlsym(library, "cos"));
  CHECK(cosine != nullptr && cosine(0.0) == 1.0);
  CHECK_EQ(*weak, "kept");
  char link[400] = {};
  CHECK(readlink("/proc/self/exe", link, sizeof link - 1) > 0);
  CHECK(std::string(link).find("scenarios_") != std::string::npos);
}

SCENARIO(sleeping_is_not_cut_short, .ranks = 2) {
  job.announce();
  int cut = 0;
  while (!job.over()) {
    timespec nap{0, 30000000}, left{};
    if (nanosleep(&nap, &left) != 0) cut++;
  }
  CHECK_EQ(cut, 0);
}

}  // namespace
