// SPDX-License-Identifier: BSD-3-Clause
// Waits for a span, which a checkpoint interrupts: they go on for what is left of it.  What is left is read where the kernel tells which
// call a thread is blocked in, with its arguments.
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "test/scenario.h"

namespace {

constexpr int64_t kSecond = 1'000'000'000, kMillisecond = 1'000'000;
constexpr int64_t kSpan = 3600 * kSecond;
constexpr timespec kTime{3600, 0};
constexpr int kMilliseconds = 3'600'000;

int64_t now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * kSecond + time.tv_nsec;
}

enum class Unit { milliseconds, timespec, timeval };

// What the threads wait for: this file is readable, this word is woken, or a signal comes.
struct Things {
  int file = eventfd(0, EFD_CLOEXEC);
  int set = epoll_create1(EPOLL_CLOEXEC);
  uint32_t word = 0;
  Things() {
    epoll_event readable{};
    readable.events = EPOLLIN;
    epoll_ctl(set, EPOLL_CTL_ADD, file, &readable);
  }
  ~Things() { close(file), close(set); }
  Things(const Things&) = delete;
  Things& operator=(const Things&) = delete;
};

struct Kind {
  const char* name;
  long number;    // of the system call
  int argument;   // which is the span, or points to it
  Unit unit;
  std::function<long(Things&)> wait;
  long woken;     // what it comes to: its result, or -errno
};

long told(long result) { return result < 0 ? -errno : result; }

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = {
      {"poll", SYS_poll, 2, Unit::milliseconds,
       [](Things& things) {
         pollfd one{things.file, POLLIN, 0};
         return told(poll(&one, 1, kMilliseconds));
       }, 1},
      {"epoll_wait", SYS_epoll_wait, 3, Unit::milliseconds,
       [](Things& things) {
         epoll_event event;
         return told(syscall(SYS_epoll_wait, things.set, &event, 1, kMilliseconds));
       }, 1},
      {"epoll_pwait", SYS_epoll_pwait, 3, Unit::milliseconds,
       [](Things& things) {
         epoll_event event;
         return told(syscall(SYS_epoll_pwait, things.set, &event, 1, kMilliseconds, nullptr, 8));
       }, 1},
      {"epoll_pwait with a mask", SYS_epoll_pwait, 3, Unit::milliseconds,
       [](Things& things) {
         epoll_event event;
         const uint64_t none = 0;
         return told(syscall(SYS_epoll_pwait, things.set, &event, 1, kMilliseconds, &none, 8));
       }, 1},
      {"epoll_pwait2", 441, 3, Unit::timespec,
       [](Things& things) {
         epoll_event event;
         return told(syscall(441, things.set, &event, 1, &kTime, nullptr, 8));
       }, 1},
      {"select", SYS_select, 4, Unit::timeval,
       [](Things& things) {
         fd_set set;
         FD_ZERO(&set);
         FD_SET(things.file, &set);
         timeval time{3600, 0};
         return told(syscall(SYS_select, things.file + 1, &set, nullptr, nullptr, &time));
       }, 1},
      {"pselect", SYS_pselect6, 4, Unit::timespec,
       [](Things& things) {
         fd_set set;
         FD_ZERO(&set);
         FD_SET(things.file, &set);
         sigset_t none;
         sigemptyset(&none);
         return told(pselect(things.file + 1, &set, nullptr, nullptr, &kTime, &none));
       }, 1},
      {"ppoll", SYS_ppoll, 2, Unit::timespec,
       [](Things& things) {
         pollfd one{things.file, POLLIN, 0};
         return told(ppoll(&one, 1, &kTime, nullptr));
       }, 1},
      {"nanosleep", SYS_nanosleep, 0, Unit::timespec, [](Things&) { return told(syscall(SYS_nanosleep, &kTime, nullptr)); }, -EINTR},
      {"nanosleep with a place for the rest", SYS_nanosleep, 0, Unit::timespec,
       [](Things&) {
         timespec rest;
         return told(syscall(SYS_nanosleep, &kTime, &rest));
       }, -EINTR},
      {"clock_nanosleep", SYS_clock_nanosleep, 2, Unit::timespec,
       [](Things&) { return told(syscall(SYS_clock_nanosleep, CLOCK_BOOTTIME, 0, &kTime, nullptr)); }, -EINTR},
      {"clock_nanosleep with a place for the rest", SYS_clock_nanosleep, 2, Unit::timespec,
       [](Things&) {
         timespec rest;
         return told(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &kTime, &rest));
       }, -EINTR},
      {"FUTEX_WAIT", SYS_futex, 3, Unit::timespec,
       [](Things& things) { return told(syscall(SYS_futex, &things.word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, &kTime, nullptr, 0)); }, 0},
      {"sigtimedwait", SYS_rt_sigtimedwait, 2, Unit::timespec,
       [](Things&) {
         sigset_t set;
         sigemptyset(&set);
         sigaddset(&set, SIGUSR1);
         return told(sigtimedwait(&set, nullptr, &kTime));
       }, SIGUSR1},
  };
  return all;
}

class Waiter {
 public:
  Waiter(const Kind& kind, Things& things)
      : kind_(kind), begun_(now()), thread_([this, &things] {
          tid_ = static_cast<int>(syscall(SYS_gettid));
          const long got = kind_.wait(things);
          result_ = got;
          ended_ = true;
        }) {
    look();
  }
  const Kind& kind() const { return kind_; }
  int64_t begun() const { return begun_; }  // not later than it
  int64_t rest() const { return rest_; }    // of the call that it was last seen in; -1: the wait has ended
  int64_t seen() const { return seen_; }    // not before that call was made
  void look() {
    rest_ = rest_now();
    seen_ = now();
  }
  long wake(Things& things) {
    if (kind_.woken == -EINTR) pthread_kill(thread_.native_handle(), SIGUSR2);
    if (kind_.woken == SIGUSR1) pthread_kill(thread_.native_handle(), SIGUSR1);
    if (kind_.number == SYS_futex) syscall(SYS_futex, &things.word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, nullptr, nullptr, 0);
    thread_.join();
    return result_;
  }

 private:
  // What the call that the thread is blocked in waits for at most, ns.
  int64_t rest_now() const {
    for (;; usleep(200)) {
      if (ended_) return -1;
      char path[64], text[256] = "";
      std::snprintf(path, sizeof path, "/proc/self/task/%d/syscall", tid_.load());
      if (FILE* file = std::fopen(path, "r")) {
        if (std::fgets(text, sizeof text, file) == nullptr) text[0] = 0;
        std::fclose(file);
      }
      long number = -1;
      unsigned long long arguments[6] = {};
      if (std::sscanf(text, "%ld %llx %llx %llx %llx %llx %llx", &number, &arguments[0], &arguments[1], &arguments[2], &arguments[3],
                      &arguments[4], &arguments[5]) != 7) continue;
      if (number != kind_.number || (number == SYS_futex && arguments[3] == 0)) continue;  // it is not there yet
      const unsigned long long at = arguments[kind_.argument];
      if (kind_.unit == Unit::milliseconds) return static_cast<int64_t>(at) * kMillisecond;
      const auto* words = reinterpret_cast<const int64_t*>(at);
      return words[0] * kSecond + words[1] * (kind_.unit == Unit::timeval ? 1000 : 1);
    }
  }

  const Kind& kind_;
  const int64_t begun_;
  int64_t rest_ = kSpan, seen_ = 0;
  std::atomic<int> tid_{0};
  std::atomic<long> result_{0};
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

void quiet(int) {}

SCENARIO(waits_go_on_for_what_is_left_of_their_span, .ranks = 1) {
  struct sigaction action {};
  action.sa_handler = quiet;
  sigaction(SIGUSR2, &action, nullptr);
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &one, nullptr);
  Things things;
  std::deque<Waiter> waiters;
  for (const Kind& kind : kinds()) waiters.emplace_back(kind, things);
  for (int round = 0; round < 2; round++) {
    usleep(30'000);  // of which nothing may come back
    const int64_t before = now();
    job.checkpoint_here();
    for (Waiter& waiter : waiters) {
      const auto check = [&](const char* what, int64_t got, int64_t expected) {
        mana::test::check_equal(job, __FILE__, __LINE__, (std::string(waiter.kind().name) + ": " + what).c_str(), got, expected);
      };
      const int64_t most = waiter.rest() - (before - waiter.seen()) + kMillisecond;
      waiter.look();
      const int64_t least = kSpan - (now() - waiter.begun());
      if (!job.plain() && waiter.rest() > most) check("begins anew", waiter.rest(), most);
      if (waiter.rest() < least) check("has ended or is cut short", waiter.rest(), least);
    }
  }
  const uint64_t readable = 1;
  CHECK_EQ(write(things.file, &readable, sizeof readable), 8);
  for (Waiter& waiter : waiters) {
    mana::test::check_equal(job, __FILE__, __LINE__, waiter.kind().name, waiter.wake(things), waiter.kind().woken);
  }
}

// Calls that wait on a socket with a time-out.  The first checkpoint makes them begin anew, in poll, and is the last that does.
struct SocketCall {
  const char* name;
  std::function<long(int)> wait;
  std::function<void(int)> wake;  // of the other end
  long woken;
  int type = SOCK_STREAM;
};

constexpr timeval kSocketTime{3600, 0};

void set_time_outs(int socket, timeval time) {
  setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
  setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
}

void send_byte(int other) { (void)!write(other, "x", 1); }
void read_all(int other) {
  char bytes[4096];
  while (recv(other, bytes, sizeof bytes, MSG_DONTWAIT) > 0) {}
}

const std::vector<SocketCall>& socket_calls() {
  static char byte;
  static const std::vector<SocketCall> all = {
      {"recv", [](int socket) { return told(recv(socket, &byte, 1, 0)); }, send_byte, 1},
      {"read", [](int socket) { return told(read(socket, &byte, 1)); }, send_byte, 1},
      {"recvmsg", [](int socket) {
         iovec part{&byte, 1};
         msghdr message{};
         message.msg_iov = &part;
         message.msg_iovlen = 1;
         return told(recvmsg(socket, &message, 0));
       }, send_byte, 1},
      {"send", [](int socket) {
         while (send(socket, &byte, 1, MSG_DONTWAIT) == 1) {}
         return told(send(socket, &byte, 1, 0));
       }, read_all, 1, SOCK_DGRAM},  // full when there are so many datagrams
      {"recv that a handler interrupts", [](int socket) { return told(recv(socket, &byte, 1, 0)); }, nullptr, -EINTR},
  };
  return all;
}

SCENARIO(time_outs_of_sockets_begin_anew_once, .ranks = 1) {
  struct sigaction action {};
  action.sa_handler = quiet;
  action.sa_flags = SA_RESTART;  // which does not help a socket with a time-out
  sigaction(SIGUSR2, &action, nullptr);
  const std::vector<SocketCall>& calls = socket_calls();
  std::vector<std::array<int, 2>> pairs(calls.size());
  std::vector<std::atomic<int>> tids(calls.size());
  std::vector<long> results(calls.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < calls.size(); i++) {
    CHECK_EQ(socketpair(AF_UNIX, calls[i].type, 0, pairs[i].data()), 0);
    set_time_outs(pairs[i][0], kSocketTime);
    threads.emplace_back([&, i] {
      tids[i] = static_cast<int>(syscall(SYS_gettid));
      results[i] = calls[i].wait(pairs[i][0]);
    });
  }
  // What the poll that the thread waits in waits for at most, ns.
  const auto rest_of = [&](size_t i) {
    for (;; usleep(200)) {
      char path[64], text[256] = "";
      std::snprintf(path, sizeof path, "/proc/self/task/%d/syscall", tids[i].load());
      if (FILE* file = std::fopen(path, "r")) {
        if (std::fgets(text, sizeof text, file) == nullptr) text[0] = 0;
        std::fclose(file);
      }
      long number = -1;
      unsigned long long milliseconds = 0;
      if (std::sscanf(text, "%ld %*x %*x %llx", &number, &milliseconds) != 2) continue;
      if (number == SYS_poll) return static_cast<int64_t>(milliseconds) * kMillisecond;
      if (job.plain() && (number == SYS_recvfrom || number == SYS_read || number == SYS_recvmsg || number == SYS_sendto)) return kSpan;
    }
  };
  for (size_t i = 0; i < calls.size(); i++) {
    while (tids[i] == 0) usleep(200);
  }
  usleep(30'000);
  job.checkpoint_here();
  std::vector<int64_t> before(calls.size());
  for (size_t i = 0; i < calls.size(); i++) before[i] = rest_of(i);
  const int64_t seen = now();
  usleep(30'000);  // of which nothing may come back
  const int64_t asked = now();
  job.checkpoint_here();
  for (size_t i = 0; i < calls.size(); i++) {
    const int64_t rest = rest_of(i), most = job.plain() ? kSpan : before[i] - (asked - seen) + kMillisecond;
    if (rest > most) mana::test::check_equal(job, __FILE__, __LINE__, calls[i].name, rest, most);
  }
  for (size_t i = 0; i < calls.size(); i++) {
    if (calls[i].wake)
      calls[i].wake(pairs[i][1]);
    else
      pthread_kill(threads[i].native_handle(), SIGUSR2);
    threads[i].join();
    mana::test::check_equal(job, __FILE__, __LINE__, calls[i].name, results[i], calls[i].woken);
    close(pairs[i][0]), close(pairs[i][1]);
  }
}

// A span that ends soon does so although checkpoints come again and again; and one that is none is told at once.
SCENARIO(spans_that_end_and_spans_that_are_none, .ranks = 1) {
  Things things;
  long results[7] = {};
  int sockets[2];
  CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, sockets), 0);
  set_time_outs(sockets[0], {1, 100'000});
  const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  CHECK_EQ(bind(listener, reinterpret_cast<sockaddr*>(&name), sizeof name.sun_family), 0);  // a name that the kernel chooses
  CHECK_EQ(listen(listener, 1), 0);
  set_time_outs(listener, {1, 100'000});
  const timespec soon{1, 100'000'000}, none{0, 0}, wrong{0, -1};
  pollfd file{things.file, POLLIN, 0};
  epoll_event event;
  char byte;
  const std::function<long()> waits[7] = {
      [&] { return told(poll(&file, 1, 1100)); },
      [&] { return told(syscall(SYS_nanosleep, &soon, nullptr)); },
      [&] { return told(syscall(SYS_futex, &things.word, FUTEX_WAIT, 0, &soon, nullptr, 0)); },
      [&] { return told(epoll_wait(things.set, &event, 1, 1100)); },
      [&] { return told(poll(&file, 1, 900)); },
      [&] { return told(recv(sockets[0], &byte, 1, 0)); },
      [&] { return told(accept(listener, nullptr, nullptr)); },
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 7; i++) {
    threads.emplace_back([&, i] { results[i] = waits[i](); });
  }
  for (int i = 0; i < 3; i++) job.checkpoint_here();
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(results[0], 0);
  CHECK_EQ(results[1], 0);
  CHECK_EQ(results[2], -ETIMEDOUT);
  CHECK_EQ(results[3], 0);
  CHECK_EQ(results[4], 0);
  CHECK_EQ(results[5], -EAGAIN);
  CHECK_EQ(results[6], -EAGAIN);
  close(sockets[0]), close(sockets[1]), close(listener);
  CHECK_EQ(told(syscall(SYS_nanosleep, &none, nullptr)), 0);
  CHECK_EQ(told(syscall(SYS_nanosleep, &wrong, nullptr)), -EINVAL);
  CHECK_EQ(told(syscall(SYS_nanosleep, nullptr, nullptr)), -EFAULT);
  CHECK_EQ(told(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &wrong, nullptr)), -EINVAL);
  CHECK_EQ(told(syscall(SYS_clock_nanosleep, 77, 0, &none, nullptr)), -EINVAL);
  CHECK_EQ(told(syscall(SYS_futex, &things.word, FUTEX_WAIT, 1, &soon, nullptr, 0)), -EAGAIN);
  CHECK_EQ(told(syscall(SYS_futex, &things.word, FUTEX_WAIT, 0, &wrong, nullptr, 0)), -EINVAL);
  CHECK_EQ(told(syscall(SYS_poll, &file, 0, 1000)), 0);
  CHECK_EQ(told(syscall(SYS_poll, nullptr, 1, 1000)), -EFAULT);
}

}  // namespace
