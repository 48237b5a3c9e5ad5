// SPDX-License-Identifier: BSD-3-Clause
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>
#include <thread>

#include "kernel-loader/tests/inside.h"

extern char** environ;

namespace {

volatile sig_atomic_t handled;
void count(int) { handled = handled + 1; }
void map_in_handler(int) {
  void* got = mmap(nullptr, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (got != MAP_FAILED) munmap(got, 1 << 16);
  handled = handled + 1;
}

void set_handler(int signal, void (*handler)(int), int flags = 0) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigfillset(&action.sa_mask);
  CHECK_EQUAL(sigaction(signal, &action, nullptr), 0);
}

constexpr int kCheckpointSignal = 60;

// Sends SIGUSR1 to the main thread as soon as it waits in the kernel.
void interrupt_when_waiting(pid_t process, pid_t thread) {
  const std::string path = "/proc/self/task/" + std::to_string(thread) + "/stat";
  for (;;) {
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    char text[256] = {};
    const ssize_t got = read(file, text, sizeof text - 1);
    close(file);
    const char* state = got > 0 ? std::strrchr(text, ')') : nullptr;
    if (state != nullptr && state[2] == 'S') break;
    sched_yield();
  }
  syscall(SYS_tgkill, process, thread, SIGUSR1);
}

template <class Call>
long interrupted(Call call) {
  const pid_t process = getpid();
  const pid_t self = static_cast<pid_t>(syscall(SYS_gettid));
  std::thread other([&] { interrupt_when_waiting(process, self); });
  const long result = call();
  const int saved = errno;
  other.join();
  errno = saved;
  return result;
}

}  // namespace

CLAIM(all_blocked_then_mmap) {
  sigset_t all, old;
  sigfillset(&all);
  CHECK_EQUAL(pthread_sigmask(SIG_SETMASK, &all, &old), 0);
  void* got = mmap(nullptr, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK_THAT(got != MAP_FAILED);
  sigset_t now;
  CHECK_EQUAL(pthread_sigmask(SIG_SETMASK, &old, &now), 0);
  CHECK_THAT(sigismember(&now, SIGUSR1) == 1 && sigismember(&now, SIGTERM) == 1);
  CHECK_EQUAL(pthread_sigmask(SIG_SETMASK, nullptr, &now), 0);
  CHECK_EQUAL(sigismember(&now, SIGUSR1), 0);
  if (inside::launched()) {
    CHECK_EQUAL(pthread_sigmask(SIG_BLOCK, &all, nullptr), 0);
    CHECK_EQUAL(pthread_sigmask(SIG_SETMASK, &old, &now), 0);
    CHECK_EQUAL(sigismember(&now, SIGSYS), 0);
    CHECK_EQUAL(sigismember(&now, kCheckpointSignal), 0);
  }
}

CLAIM(pending_signals_come_at_once_when_unblocked) {
  set_handler(SIGUSR1, count);
  handled = 0;
  sigset_t one, old;
  sigemptyset(&one);
  sigaddset(&one, SIGUSR1);
  sigprocmask(SIG_BLOCK, &one, &old);
  raise(SIGUSR1);
  CHECK_EQUAL(handled, 0);
  sigprocmask(SIG_SETMASK, &old, nullptr);
  CHECK_EQUAL(handled, 1);
}

CLAIM(handlers_may_make_caught_calls) {
  set_handler(SIGUSR1, map_in_handler);
  handled = 0;
  for (int i = 0; i < 100; i++) raise(SIGUSR1);
  CHECK_EQUAL(handled, 100);
  sigset_t none;
  sigemptyset(&none);
  struct itimerval timer {
    {0, 2000}, { 0, 2000 }
  };
  set_handler(SIGALRM, map_in_handler);
  setitimer(ITIMER_REAL, &timer, nullptr);
  for (int i = 0; i < 2000; i++) {
    void* got = mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK_THAT(got != MAP_FAILED);
    munmap(got, 1 << 20);
  }
  timer = {};
  setitimer(ITIMER_REAL, &timer, nullptr);
}

CLAIM(actions_read_back_as_they_were_set) {
  struct sigaction action {
  }, old{};
  action.sa_handler = count;
  action.sa_flags = SA_RESTART | SA_NODEFER;
  sigaddset(&action.sa_mask, SIGHUP);
  for (const int signal : {SIGUSR2, SIGSYS, kCheckpointSignal}) {
    CHECK_EQUAL(sigaction(signal, &action, nullptr), 0);
    CHECK_EQUAL(sigaction(signal, nullptr, &old), 0);
    CHECK_THAT(old.sa_handler == count);
    CHECK_THAT((old.sa_flags & (SA_RESTART | SA_NODEFER)) == (SA_RESTART | SA_NODEFER));
    CHECK_EQUAL(sigismember(&old.sa_mask, SIGHUP), 1);
    action.sa_handler = SIG_DFL;
    CHECK_EQUAL(sigaction(signal, &action, &old), 0);
    CHECK_THAT(old.sa_handler == count);
    CHECK_EQUAL(sigaction(signal, nullptr, &old), 0);
    CHECK_THAT(old.sa_handler == SIG_DFL);
    action.sa_handler = count;
  }
  set_handler(SIGUSR2, count, static_cast<int>(SA_RESETHAND));
  handled = 0;
  raise(SIGUSR2);
  CHECK_EQUAL(handled, 1);
  CHECK_EQUAL(sigaction(SIGUSR2, nullptr, &old), 0);
  CHECK_THAT(old.sa_handler == SIG_DFL);
  CHECK_THAT(sigaction(SIGKILL, &action, nullptr) != 0);
  CHECK_EQUAL(errno, EINVAL);
}

CLAIM(own_sigsys_reaches_the_application) {
  set_handler(SIGSYS, count);
  handled = 0;
  raise(SIGSYS);
  CHECK_EQUAL(handled, 1);
  signal(SIGSYS, SIG_DFL);
  const pid_t child = fork();
  if (child == 0) {
    raise(SIGSYS);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK_THAT(WIFSIGNALED(status));
  CHECK_EQUAL(WTERMSIG(status), SIGSYS);
}

CLAIM(vforked_children_leave_the_actions_alone) {
  set_handler(SIGUSR2, count);
  for (int i = 0; i < 20; i++) {
    const pid_t child = vfork();
    if (child == 0) {
      signal(SIGUSR2, SIG_DFL);
      signal(SIGUSR1, SIG_IGN);
      const int file = open("/dev/null", O_RDONLY);
      dup2(file, 0);
      close(file);
      _exit(file == 3 ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK_EQUAL(status, 0);
  }
  struct sigaction old {};
  sigaction(SIGUSR2, nullptr, &old);
  CHECK_THAT(old.sa_handler == count);
  handled = 0;
  raise(SIGUSR2);
  CHECK_EQUAL(handled, 1);
  const int next = open("/dev/null", O_RDONLY);
  CHECK_EQUAL(next, 3);
  close(next);
}

CLAIM(posix_spawn_with_actions_and_attributes) {
  set_handler(SIGUSR1, count);
  int pipe_ends[2];
  CHECK_EQUAL(pipe(pipe_ends), 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], 1);
  posix_spawn_file_actions_addclose(&actions, pipe_ends[0]);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t all;
  sigfillset(&all);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  char echo[] = "echo", word[] = "spawned";
  char* words[] = {echo, word, nullptr};
  pid_t child;
  CHECK_EQUAL(posix_spawnp(&child, "echo", &actions, &attributes, words, environ), 0);
  close(pipe_ends[1]);
  char text[32] = {};
  CHECK_EQUAL(read(pipe_ends[0], text, sizeof text), 8);
  CHECK_THAT(std::strcmp(text, "spawned\n") == 0);
  int status = -1;
  waitpid(child, &status, 0);
  CHECK_EQUAL(status, 0);
  close(pipe_ends[0]);
  handled = 0;
  raise(SIGUSR1);
  CHECK_EQUAL(handled, 1);
}

CLAIM(waiting_calls_are_interrupted_and_restarted_as_natively) {
  const std::string fifo = "/tmp/mana-fifo-" + std::to_string(getpid());
  CHECK_EQUAL(mkfifo(fifo.c_str(), 0600), 0);
  set_handler(SIGUSR1, map_in_handler);
  handled = 0;
  CHECK_EQUAL(interrupted([&] { return open(fifo.c_str(), O_RDONLY); }), -1);
  CHECK_EQUAL(errno, EINTR);
  CHECK_EQUAL(handled, 1);

  const int server = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr nameless {
    AF_UNIX, {}
  };
  CHECK_EQUAL(bind(server, &nameless, sizeof nameless.sa_family), 0);
  CHECK_EQUAL(listen(server, 1), 0);
  CHECK_EQUAL(interrupted([&] { return accept(server, nullptr, nullptr); }), -1);
  CHECK_EQUAL(errno, EINTR);

  sigset_t all, most;
  sigfillset(&all);
  most = all;
  sigdelset(&most, SIGUSR1);
  CHECK_EQUAL(interrupted([&] { return sigsuspend(&most); }), -1);
  CHECK_EQUAL(errno, EINTR);
  struct pollfd nothing {
    server, POLLIN, 0
  };
  CHECK_EQUAL(interrupted([&] { return ppoll(&nothing, 1, nullptr, &most); }), -1);
  CHECK_EQUAL(errno, EINTR);
  CHECK_EQUAL(interrupted([&] { return pselect(0, nullptr, nullptr, nullptr, nullptr, &most); }),
              -1);
  CHECK_EQUAL(errno, EINTR);
  const int epoll = epoll_create1(0);
  struct epoll_event event;
  CHECK_EQUAL(interrupted([&] { return epoll_pwait(epoll, &event, 1, -1, &most); }), -1);
  CHECK_EQUAL(errno, EINTR);
  CHECK_EQUAL(handled, 6);

  // With SA_RESTART an open goes on waiting, and comes back with the lowest free number.
  set_handler(SIGUSR1, map_in_handler, SA_RESTART);
  const int lowest = open("/dev/null", O_RDONLY);
  close(lowest);
  const pid_t process = getpid();
  const pid_t self = static_cast<pid_t>(syscall(SYS_gettid));
  std::atomic<int> writer{-1};
  std::thread other([&] {
    interrupt_when_waiting(process, self);
    interrupt_when_waiting(process, self);
    writer = open(fifo.c_str(), O_WRONLY);
  });
  const int reader = open(fifo.c_str(), O_RDONLY);
  other.join();
  CHECK_EQUAL(handled, 8);
  CHECK_EQUAL(reader < writer ? reader : writer.load(), lowest);
  CHECK_EQUAL(write(writer, "x", 1), 1);
  char letter = 0;
  CHECK_EQUAL(read(reader, &letter, 1), 1);
  unlink(fifo.c_str());
}

CLAIM(waiting_for_all_signals_gets_only_the_applications) {
  sigset_t all;
  sigfillset(&all);
  sigdelset(&all, SIGSEGV);
  CHECK_EQUAL(sigprocmask(SIG_BLOCK, &all, nullptr), 0);
  raise(SIGTERM);
  siginfo_t info;
  CHECK_EQUAL(sigwaitinfo(&all, &info), SIGTERM);
  const int file = signalfd(-1, &all, SFD_CLOEXEC);
  CHECK_THAT(file >= 0);
  raise(SIGHUP);
  struct signalfd_siginfo got;
  CHECK_EQUAL(read(file, &got, sizeof got), sizeof got);
  CHECK_EQUAL(got.ssi_signo, SIGHUP);
  close(file);
  sigemptyset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
}

CLAIM(wrong_pointers_give_efault) {
  void* const bad = reinterpret_cast<void*>(8);
  CHECK_EQUAL(syscall(SYS_rt_sigprocmask, SIG_BLOCK, bad, nullptr, 8), -1);
  CHECK_EQUAL(errno, EFAULT);
  sigset_t none;
  sigemptyset(&none);
  CHECK_EQUAL(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &none, bad, 8), -1);
  CHECK_EQUAL(errno, EFAULT);
  CHECK_EQUAL(syscall(SYS_rt_sigaction, SIGUSR1, bad, nullptr, 8), -1);
  CHECK_EQUAL(errno, EFAULT);
  CHECK_EQUAL(syscall(SYS_openat, AT_FDCWD, bad, O_RDONLY), -1);
  CHECK_EQUAL(errno, EFAULT);
  CHECK_EQUAL(syscall(SYS_pipe2, bad, 0), -1);
  CHECK_EQUAL(errno, EFAULT);
  CHECK_EQUAL(syscall(SYS_readlink, "/proc/self/exe", bad, 100), -1);
  CHECK_EQUAL(errno, EFAULT);
  CHECK_EQUAL(syscall(SYS_ppoll, nullptr, 0, nullptr, bad, 8), -1);
  CHECK_EQUAL(errno, EFAULT);
  CHECK_EQUAL(syscall(SYS_execve, bad, nullptr, nullptr), -1);
  CHECK_EQUAL(errno, EFAULT);
}
