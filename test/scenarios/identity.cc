// SPDX-License-Identifier: BSD-3-Clause
// Ids that the kernel tells by itself: who sent a signal, who holds a lock, who is at the other end.
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "test/scenario.h"

namespace {

std::atomic<pid_t> sender{-1};
std::atomic<int> code{0};
void on_signal(int, siginfo_t* info, void*) { sender = info->si_pid, code = info->si_code; }

struct Handled {
  explicit Handled(int number, void (*handler)(int, siginfo_t*, void*) = on_signal) : number_(number) {
    struct sigaction action = {};
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    sigaction(number, &action, &old_);
  }
  ~Handled() { sigaction(number_, &old_, nullptr); }
  int number_;
  struct sigaction old_ = {};
};

struct Blocked {
  explicit Blocked(std::initializer_list<int> numbers) {
    sigemptyset(&set);
    for (const int number : numbers) sigaddset(&set, number);
    pthread_sigmask(SIG_BLOCK, &set, &old_);
  }
  ~Blocked() { pthread_sigmask(SIG_SETMASK, &old_, nullptr); }
  sigset_t set, old_;
};

int code_of_child(pid_t child) {
  int status = 0;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

SCENARIO(sender_of_a_signal_is_who_the_application_knows, .ranks = 2) {
  const Handled user(SIGUSR1), queued(SIGRTMIN + 3);
  const auto ask = [&] {
    CHECK_EQ(kill(getpid(), SIGUSR1), 0);
    CHECK_EQ(sender.load(), getpid());
    CHECK_EQ(code.load(), SI_USER);
    sender = -1;
    CHECK_EQ(raise(SIGUSR1), 0);
    CHECK_EQ(sender.load(), getpid());
    CHECK_EQ(code.load(), SI_TKILL);
    sender = -1;
    CHECK_EQ(sigqueue(getpid(), SIGRTMIN + 3, {}), 0);
    CHECK_EQ(sender.load(), getpid());
    const pid_t child = fork();
    if (child == 0) _exit(kill(getppid(), SIGUSR1));
    CHECK_EQ(code_of_child(child), 0);
    CHECK_EQ(sender.load(), child);
    // A child that its parent tells to go on knows it by getppid().
    const Blocked blocked({SIGUSR2});
    const pid_t listener = fork();
    if (listener == 0) {
      siginfo_t info{};
      _exit(sigwaitinfo(&blocked.set, &info) == SIGUSR2 && info.si_pid == getppid() ? 7 : 1);
    }
    CHECK_EQ(kill(listener, SIGUSR2), 0);
    CHECK_EQ(code_of_child(listener), 7);
  };
  ask();
  job.checkpoint_here();
  ask();
}

SCENARIO(sender_is_known_to_who_waited_for_the_signal_before, .ranks = 2) {
  if (job.plain()) return job.checkpoint_here();  // natively a thread of the MPI library, which blocks nothing, may take them
  const Blocked blocked({SIGUSR1, SIGRTMIN + 4});
  std::atomic<int> waits{0};
  std::atomic<pid_t> from{0};
  std::thread waiter([&] {
    waits = 1;
    siginfo_t info{};
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    from = sigwaitinfo(&one, &info) == SIGUSR1 ? info.si_pid : -1;
  });
  while (waits == 0) usleep(500);
  CHECK_EQ(sigqueue(getpid(), SIGRTMIN + 4, {}), 0);  // pending across the checkpoint
  CHECK_EQ(kill(getpid(), SIGRTMIN + 4), 0);
  job.checkpoint_here();
  CHECK_EQ(kill(getpid(), SIGUSR1), 0);
  waiter.join();
  CHECK_EQ(from.load(), getpid());
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, SIGRTMIN + 4);
  const timespec no_time{};
  for (const int expected : {SI_QUEUE, SI_USER}) {
    siginfo_t info{};
    CHECK_EQ(sigtimedwait(&one, &info, &no_time), SIGRTMIN + 4);
    CHECK_EQ(info.si_code, expected);
    CHECK_EQ(info.si_pid, getpid());
  }
  siginfo_t none{};
  CHECK_EQ(sigtimedwait(&one, &none, &no_time), -1);
}

mana::test::Job* job_of_handler = nullptr;
std::atomic<int> order{0}, first_at{0}, second_at{0};
std::atomic<pid_t> second_sender{-1};
void on_first(int, siginfo_t* info, void*) { first_at = ++order, second_sender = info->si_pid; }
void on_second(int, siginfo_t*, void*) {
  second_at = ++order;
  job_of_handler->checkpoint_here();
}

// The kernel makes a frame for each before the first instruction of any handler runs.
SCENARIO(two_signals_at_once_and_a_checkpoint_in_the_first_handler, .ranks = 2) {
  job_of_handler = &job;
  order = 0;
  const Handled first(SIGUSR1, on_first), second(SIGUSR2, on_second);
  {
    const Blocked blocked({SIGUSR1, SIGUSR2});
    raise(SIGUSR1);
    raise(SIGUSR2);
  }
  CHECK_EQ(second_at.load(), 1);  // that of the last frame
  CHECK_EQ(first_at.load(), 2);
  CHECK_EQ(second_sender.load(), getpid());
}

SCENARIO(owners_and_peers_are_who_the_application_knows, .ranks = 2) {
  char path[] = "/tmp/mana-scenario-XXXXXX";
  const int file = mkstemp(path);
  struct flock whole = {};
  whole.l_type = F_WRLCK;
  CHECK_EQ(fcntl(file, F_SETLK, &whole), 0);
  int pair[2];
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  const auto ask = [&](int one_end) {
    struct ucred peer = {};
    socklen_t size = sizeof peer;
    CHECK_EQ(getsockopt(one_end, SOL_SOCKET, SO_PEERCRED, &peer, &size), 0);
    CHECK_EQ(peer.pid, getpid());
    CHECK_EQ(fcntl(one_end, F_SETOWN, getpid()), 0);
    CHECK_EQ(fcntl(one_end, F_GETOWN), getpid());
    CHECK_EQ(fcntl(one_end, F_SETOWN, -getpgrp()), 0);
    f_owner_ex owner = {};
    CHECK_EQ(fcntl(one_end, F_GETOWN_EX, &owner), 0);
    CHECK_EQ(static_cast<int>(owner.type), static_cast<int>(F_OWNER_PGRP));
    CHECK_EQ(owner.pid, getpgrp());
    owner = {F_OWNER_TID, static_cast<pid_t>(syscall(SYS_gettid))};
    CHECK_EQ(fcntl(one_end, F_SETOWN_EX, &owner), 0);
    owner = {};
    CHECK_EQ(fcntl(one_end, F_GETOWN_EX, &owner), 0);
    CHECK_EQ(owner.pid, static_cast<pid_t>(syscall(SYS_gettid)));
    CHECK_EQ(fcntl(one_end, F_SETOWN, 0), 0);
    const pid_t child = fork();
    if (child == 0) {
      struct flock held = {};
      held.l_type = F_WRLCK;
      const bool by_posix = fcntl(file, F_GETLK, &held) == 0 && held.l_type == F_WRLCK && held.l_pid == getppid();
      held = {};
      held.l_type = F_WRLCK;
      const int again = open(path, O_RDWR);
      const bool by_file = fcntl(again, F_OFD_GETLK, &held) == 0 && held.l_type == F_WRLCK && held.l_pid == getppid();
      _exit(by_posix && by_file ? 7 : 1);
    }
    CHECK_EQ(code_of_child(child), 7);
  };
  ask(pair[0]);
  job.checkpoint_here();
  ask(pair[0]);
  int made_after[2];
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, made_after), 0);
  ask(made_after[0]);
  for (const int one : {pair[0], pair[1], made_after[0], made_after[1], file}) close(one);
  unlink(path);
}

SCENARIO(groups_made_after_have_the_number_of_their_leader, .ranks = 2) {
  const pid_t group = getpgrp();
  job.checkpoint_here();
  CHECK_EQ(getpgrp(), group);
  const pid_t child = fork();  // in this group
  if (child == 0) _exit(7);
  int status = 0;
  CHECK_EQ(waitpid(-group, &status, 0), child);
  siginfo_t ended{};
  const pid_t second = fork();
  if (second == 0) _exit(7);
  CHECK_EQ(waitid(P_PGID, static_cast<id_t>(group), &ended, WEXITED), 0);
  CHECK_EQ(ended.si_pid, second);
  if (group != getpid()) {  // a leader cannot leave its group, and come back
    CHECK_EQ(setpgid(0, 0), 0);
    CHECK_EQ(getpgrp(), getpid());
    CHECK_EQ(getpgid(getpid()), getpid());
    CHECK_EQ(setpgid(0, group), 0);
    CHECK_EQ(getpgrp(), group);
  }
}

SCENARIO(clock_of_a_thread_can_be_slept_on, .ranks = 2) {
  std::atomic<bool> over{false};
  std::thread busy([&] {
    while (!over) {
    }
  });
  clockid_t clock = 0;
  CHECK_EQ(pthread_getcpuclockid(busy.native_handle(), &clock), 0);
  job.checkpoint_here();
  const timespec nap{0, 10'000'000};
  CHECK_EQ(clock_nanosleep(clock, 0, &nap, nullptr), 0);
  over = true;
  busy.join();
}

std::string contents(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

SCENARIO(proc_shows_the_application_after, .ranks = 2) {
  const auto files = [] {
    return std::vector<std::string>{contents("/proc/self/cmdline"), contents("/proc/self/environ"), contents("/proc/self/auxv"), contents("/proc/self/comm")};
  };
  const std::vector<std::string> before = files();
  CHECK(before[0].find("scenarios_") != std::string::npos);
  CHECK_EQ(before[0].find("--launch"), std::string::npos);
  job.checkpoint_here();
  CHECK_EQ(files() == before, true);
  const std::string own = "/proc/" + std::to_string(getpid()) + "/cmdline";
  CHECK_EQ(contents(own), before[0]);
  char& letter = program_invocation_name[0];  // argv[0]: a title is written over it
  const char was = letter;
  letter = '?';
  CHECK_EQ(contents("/proc/self/cmdline")[0], '?');
  letter = was;
}

SCENARIO(links_and_paths_of_proc_name_the_ids_that_the_application_knows, .ranks = 2) {
  const auto ask = [&] {
    const auto link = [](const std::string& path) {
      char text[400] = {};
      return readlink(path.c_str(), text, sizeof text - 1) < 0 ? std::string("error ") + strerror(errno) : std::string(text);
    };
    const std::string own = std::to_string(getpid()), folder = "/proc/" + own;
    const std::string thread = std::to_string(syscall(SYS_gettid));
    CHECK_EQ(link("/proc/self"), own);
    CHECK_EQ(link("/proc/thread-self"), own + "/task/" + thread);
    CHECK_EQ(link(folder + "/exe"), link("/proc/self/exe"));
    CHECK_EQ(link(folder + "/cwd"), link("/proc/self/cwd"));
    CHECK_EQ(link(folder + "/task/" + thread + "/cwd"), link("/proc/self/cwd"));
    char three[4] = "...";
    CHECK_EQ(readlink("/proc/self", three, 1), 1);
    CHECK_EQ(three[0], own[0]);
    CHECK_EQ(three[1], '.');
    CHECK_EQ(std::filesystem::canonical("/proc/self/exe").string(), link("/proc/self/exe"));
    for (const pid_t process : {getpid(), getppid()}) {
      const std::string path = "/proc/" + std::to_string(process);
      struct stat by_path = {}, by_link = {};
      struct statx more = {};
      CHECK_EQ(access(path.c_str(), F_OK), 0);
      CHECK_EQ(faccessat(AT_FDCWD, (path + "/status").c_str(), R_OK, AT_EACCESS), 0);
      CHECK_EQ(lstat(path.c_str(), &by_path), 0);
      CHECK_EQ(statx(AT_FDCWD, path.c_str(), 0, STATX_INO, &more), 0);
      CHECK_EQ(more.stx_ino, by_path.st_ino);
      CHECK_EQ(syscall(SYS_stat, path.c_str(), &by_path), 0);
      CHECK_EQ(stat("/proc/self", &by_link), 0);
      CHECK_EQ(by_path.st_ino == by_link.st_ino, process == getpid());
    }
    CHECK_EQ(access("/proc/self/task/no/such", F_OK), -1);
    CHECK_EQ(errno, ENOENT);
    CHECK_EQ(syscall(SYS_access, 4711, F_OK), -1L);
    CHECK_EQ(errno, EFAULT);
    CHECK_EQ(syscall(SYS_newfstatat, AT_FDCWD, 4711, &own, 0), -1L);
    CHECK_EQ(errno, EFAULT);
  };
  ask();
  job.checkpoint_here();
  ask();
}

}  // namespace
