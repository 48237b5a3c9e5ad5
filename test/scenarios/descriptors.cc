// SPDX-License-Identifier: BSD-3-Clause
// Descriptors of every kind: the same numbers, with what was in them.
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <thread>
#include <utility>
#include <vector>

#include "test/scenarios/descriptor_calls.h"

namespace {

using namespace mana::test;

SCENARIO(eventfd_keeps_count_and_semaphore_flag, .ranks = 2) {
  const int counter = eventfd(41, EFD_NONBLOCK | EFD_CLOEXEC), semaphore = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
  const int again = dup(counter);
  const uint64_t one = 1, large = 0x123456789abcdef0;
  const int full = eventfd(0, 0);
  CHECK(write(counter, &one, sizeof one) == sizeof one);
  CHECK(write(full, &large, sizeof large) == sizeof large);
  job.checkpoint_here();
  CHECK(closes_on_exec(counter) && !closes_on_exec(again) && nonblocking(counter) && !nonblocking(full));
  CHECK_EQ(count_of(again), 42u);
  CHECK_EQ(count_of(counter), 0u);  // one open file for both
  CHECK_EQ(count_of(semaphore), 1u);
  CHECK_EQ(count_of(semaphore), 1u);
  CHECK_EQ(count_of(semaphore), 0u);
  CHECK_EQ(count_of(full), large);
  close_all({counter, semaphore, again, full});
}

SCENARIO(timerfd_keeps_remaining_time_and_expirations, .ranks = 2) {
  const int far = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), expired = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  const int once = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK), noon = timerfd_create(CLOCK_REALTIME, 0),
            idle = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);
  const itimerspec in_an_hour{{7, 0}, {3600, 0}}, every_ms{{0, 1000000}, {0, 1000000}}, soon{{0, 0}, {0, 1000000}},
      at{{0, 0}, {4000000000, 5}};
  timerfd_settime(far, 0, &in_an_hour, nullptr);
  timerfd_settime(expired, 0, &every_ms, nullptr);
  timerfd_settime(once, 0, &soon, nullptr);
  timerfd_settime(noon, TFD_TIMER_ABSTIME, &at, nullptr);
  pollfd wait{once, POLLIN, 0};
  CHECK_EQ(poll(&wait, 1, -1), 1);
  wait.fd = expired;
  CHECK_EQ(poll(&wait, 1, -1), 1);
  job.checkpoint_here();
  itimerspec left{};
  timerfd_gettime(far, &left);
  CHECK_EQ(left.it_interval.tv_sec, 7);
  CHECK(left.it_value.tv_sec > 3400 && left.it_value.tv_sec <= 3600);
  CHECK(closes_on_exec(far) && !nonblocking(far) && nonblocking(expired));
  CHECK(count_of(expired) >= 1);
  CHECK_EQ(count_of(once), 1u);
  CHECK_EQ(count_of(once), 0u);
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  timerfd_gettime(noon, &left);
  CHECK(std::abs(left.it_value.tv_sec + now.tv_sec - 4000000000) <= 1);
  timerfd_gettime(idle, &left);
  CHECK(left.it_value.tv_sec == 0 && left.it_value.tv_nsec == 0);
  close_all({far, expired, once, noon, idle});
}

SCENARIO(memfd_keeps_contents_seals_and_shared_mappings, .ranks = 2) {
  const int file = memfd_create("of the application", MFD_ALLOW_SEALING | MFD_CLOEXEC);
  const std::size_t bytes = 3 << 20;
  CHECK_EQ(ftruncate(file, static_cast<off_t>(bytes)), 0);
  CHECK_EQ(pwrite(file, "begin", 5, 0), 5);
  CHECK_EQ(pwrite(file, "end", 3, static_cast<off_t>(bytes - 3)), 3);
  CHECK_EQ(lseek(file, 1, SEEK_SET), 1);
  auto* first = static_cast<char*>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
  auto* second = static_cast<char*>(mmap(nullptr, 4096, PROT_READ, MAP_SHARED, file, 4096));
  CHECK_EQ(fcntl(file, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK), 0);
  const int reader = open(("/proc/self/fd/" + std::to_string(file)).c_str(), O_RDONLY);
  const int sealed = memfd_create("sealed", MFD_ALLOW_SEALING);
  CHECK(put(sealed, "final"));
  CHECK_EQ(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL), 0);
  job.checkpoint_here();
  CHECK_EQ(fcntl(file, F_GET_SEALS), F_SEAL_GROW | F_SEAL_SHRINK);
  CHECK(ftruncate(file, 1) != 0);
  CHECK_EQ(take(file, 4), "egin");
  CHECK_EQ(lseek(reader, static_cast<off_t>(bytes - 3), SEEK_SET), static_cast<off_t>(bytes - 3));
  CHECK_EQ(take(reader, 10), "end");
  CHECK(write(reader, "x", 1) < 0);
  std::memcpy(first + 4096, "through", 7);
  CHECK_EQ(std::string(second, 7), "through");  // still one memory
  char seen[8] = {};
  CHECK(pread(file, seen, 7, 4096) == 7 && std::string(seen) == "through");
  CHECK_EQ(fcntl(sealed, F_GET_SEALS), F_SEAL_WRITE | F_SEAL_SEAL);
  CHECK(pread(sealed, seen, 5, 0) == 5 && std::string(seen, 5) == "final");
  CHECK(!put(sealed, "more"));
  munmap(first, bytes);
  munmap(second, 4096);
  close_all({file, reader, sealed});
}

SCENARIO(files_without_a_name_keep_their_contents, .ranks = 2) {
  char path[] = "/tmp/mana-scenario-XXXXXX";
  const int unlinked = mkstemp(path);
  const int appender = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
  unlink(path);
  CHECK(put(unlinked, "hello world"));
  CHECK_EQ(lseek(unlinked, 6, SEEK_SET), 6);
  const int again = dup(unlinked);
  const int temporary = open("/tmp", O_TMPFILE | O_RDWR, 0640);
  const std::vector<char> large = pattern<char>(3 << 20, 5);
  CHECK(write(temporary, large.data(), large.size()) == static_cast<ssize_t>(large.size()));
  CHECK_EQ(ftruncate(temporary, 1L << 40), 0);  // sparse
  job.checkpoint_here();
  CHECK_EQ(take(again, 3), "wor");
  CHECK_EQ(lseek(unlinked, 0, SEEK_CUR), 9);  // one offset for both
  CHECK(put(appender, "!"));
  CHECK_EQ(take(unlinked, 10), "ld!");
  CHECK((fcntl(appender, F_GETFL) & (O_APPEND | O_ACCMODE)) == (O_APPEND | O_WRONLY) && closes_on_exec(appender));
  struct stat status {};
  fstat(temporary, &status);
  CHECK_EQ(status.st_size, 1L << 40);
  CHECK_EQ(status.st_mode & 0777, 0640u);
  CHECK_EQ(status.st_nlink, 0u);
  std::vector<char> got(large.size());
  CHECK(pread(temporary, got.data(), got.size(), 0) == static_cast<ssize_t>(got.size()) && got == large);
  close_all({unlinked, appender, again, temporary});
}

SCENARIO(pipe_keeps_its_bytes_and_capacity, .ranks = 2) {
  int ends[2], packets[2], no_writer[2], no_reader[2];
  CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
  CHECK_EQ(pipe2(packets, O_DIRECT | O_NONBLOCK), 0);
  CHECK_EQ(pipe(no_writer), 0);
  CHECK_EQ(pipe(no_reader), 0);
  CHECK_EQ(fcntl(ends[0], F_SETPIPE_SZ, 256 << 10), 256 << 10);
  const int writer = dup(ends[1]);
  const std::vector<char> data = pattern<char>(200000, 3);
  CHECK(write(ends[1], data.data(), data.size()) == static_cast<ssize_t>(data.size()));
  CHECK(put(packets[1], "one") && put(packets[1], "second"));
  CHECK(put(no_writer[1], "last words"));
  close(no_writer[1]);
  close(no_reader[0]);
  const auto before = signal(SIGPIPE, SIG_IGN);
  job.checkpoint_here();
  CHECK_EQ(fcntl(ends[1], F_GETPIPE_SZ), 256 << 10);
  CHECK(closes_on_exec(ends[0]) && !closes_on_exec(writer) && !nonblocking(ends[0]));
  CHECK(put(writer, "behind"));
  std::vector<char> got(data.size());
  CHECK(read(ends[0], got.data(), got.size()) == static_cast<ssize_t>(got.size()) && got == data);
  CHECK_EQ(take(ends[0], 100), "behind");
  CHECK((fcntl(packets[1], F_GETFL) & O_DIRECT) != 0 && nonblocking(packets[0]));
  CHECK_EQ(take(packets[0], 100), "one");
  CHECK_EQ(take(packets[0], 100), "second");
  CHECK_EQ(take(packets[0], 100), "errno " + std::to_string(EAGAIN));
  CHECK_EQ(take(no_writer[0], 100), "last words");
  CHECK_EQ(take(no_writer[0], 100), "");
  CHECK(!put(no_reader[1], "x") && errno == EPIPE);
  signal(SIGPIPE, before);
  close_all({ends[0], ends[1], writer, packets[0], packets[1], no_writer[0], no_reader[1]});
}

SCENARIO(fifo_keeps_its_bytes, .ranks = 2) {
  const std::string path = "/tmp/mana-fifo-" + std::to_string(getpid());
  CHECK_EQ(mkfifo(path.c_str(), 0600), 0);
  const int reader = open(path.c_str(), O_RDONLY | O_NONBLOCK), writer = open(path.c_str(), O_WRONLY);
  CHECK(put(writer, "kept"));
  job.checkpoint_here();
  CHECK_EQ(take(reader, 100), "kept");
  CHECK(put(writer, "more"));
  CHECK_EQ(take(reader, 100), "more");
  CHECK(nonblocking(reader) && !nonblocking(writer));
  close(writer);
  CHECK_EQ(take(reader, 100), "");
  close(reader);
  unlink(path.c_str());
}

SCENARIO(socket_pairs_keep_their_messages, .ranks = 2) {
  int stream[2], datagram[2], sequence[2], half[2], gone[2];
  for (int* pair : {stream, half, gone}) CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, datagram), 0);
  CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sequence), 0);
  const std::vector<char> data = pattern<char>(100000, 9);
  CHECK(write(stream[0], data.data(), data.size()) == static_cast<ssize_t>(data.size()));
  CHECK(put(stream[1], "back"));
  CHECK(put(datagram[0], "first") && send(datagram[0], "", 0, 0) == 0 && put(datagram[0], "third"));
  CHECK(put(sequence[1], "a") && put(sequence[1], "bc") && put(sequence[0], "d"));
  CHECK(put(half[0], "before"));
  CHECK_EQ(shutdown(half[0], SHUT_WR), 0);
  CHECK(put(gone[0], "testament"));
  close(gone[0]);
  timeval patience{5, 0};
  setsockopt(stream[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  job.checkpoint_here();
  std::vector<char> got(data.size());
  CHECK(recv(stream[1], got.data(), got.size(), MSG_WAITALL) == static_cast<ssize_t>(got.size()) && got == data);
  CHECK_EQ(take(stream[0], 100), "back");
  CHECK(put(stream[1], "again"));
  CHECK_EQ(take(stream[0], 100), "again");
  socklen_t length = sizeof patience;
  getsockopt(stream[0], SOL_SOCKET, SO_RCVTIMEO, &patience, &length);
  CHECK_EQ(patience.tv_sec, 5);
  CHECK_EQ(take(datagram[1], 100), "first");
  CHECK_EQ(take(datagram[1], 100), "");
  CHECK_EQ(take(datagram[1], 100), "third");
  CHECK_EQ(take(datagram[1], 100), "errno " + std::to_string(EAGAIN));
  CHECK_EQ(take(sequence[0], 100), "a");
  CHECK_EQ(take(sequence[0], 100), "bc");
  CHECK_EQ(take(sequence[1], 100), "d");
  CHECK_EQ(take(half[1], 100), "before");
  CHECK_EQ(take(half[1], 100), "");
  CHECK(send(half[0], "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
  CHECK(put(half[1], "answer"));
  CHECK_EQ(take(half[0], 100), "answer");
  CHECK_EQ(take(gone[1], 100), "testament");
  CHECK_EQ(take(gone[1], 100), "");
  CHECK(closes_on_exec(stream[0]) && nonblocking(datagram[0]) && !closes_on_exec(sequence[1]));
  close_all({stream[0], stream[1], datagram[0], datagram[1], sequence[0], sequence[1], half[0], half[1], gone[1]});
}

SCENARIO(epoll_keeps_its_set, .ranks = 2) {
  const int set = epoll_create1(EPOLL_CLOEXEC), outer = epoll_create1(0), event = eventfd(0, EFD_NONBLOCK);
  int ends[2];
  CHECK_EQ(pipe(ends), 0);
  const auto add = [&](int to, int number, uint32_t events, uint64_t data) {
    epoll_event one{};
    one.events = events;
    one.data.u64 = data;
    CHECK_EQ(epoll_ctl(to, EPOLL_CTL_ADD, number, &one), 0);
  };
  add(set, event, EPOLLIN, 0xfedcba9876543210);
  add(set, ends[0], EPOLLIN | EPOLLET, 77);
  add(outer, set, EPOLLIN, 5);
  job.checkpoint_here();
  epoll_event got[4];
  CHECK_EQ(epoll_wait(set, got, 4, 0), 0);
  const uint64_t one = 1;
  CHECK(write(event, &one, sizeof one) == sizeof one);
  CHECK_EQ(epoll_wait(outer, got, 4, 0), 1);
  CHECK_EQ(static_cast<uint64_t>(got[0].data.u64), 5u);
  CHECK_EQ(epoll_wait(set, got, 4, 0), 1);
  CHECK_EQ(static_cast<uint64_t>(got[0].data.u64), 0xfedcba9876543210u);
  CHECK_EQ(count_of(event), 1u);
  CHECK(put(ends[1], "x"));
  CHECK_EQ(epoll_wait(set, got, 4, 0), 1);
  CHECK_EQ(static_cast<uint64_t>(got[0].data.u64), 77u);
  CHECK_EQ(epoll_wait(set, got, 4, 0), 0);  // edge-triggered
  CHECK(closes_on_exec(set));
  close_all({set, outer, event, ends[0], ends[1]});
}

SCENARIO(signalfd_keeps_its_mask, .ranks = 2) {
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGUSR2);
  sigprocmask(SIG_BLOCK, &mask, nullptr);
  const int number = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
  job.checkpoint_here();
  signalfd_siginfo info{};
  CHECK(read(number, &info, sizeof info) < 0 && errno == EAGAIN);
  CHECK_EQ(raise(SIGUSR2), 0);
  CHECK(read(number, &info, sizeof info) == sizeof info);
  CHECK_EQ(info.ssi_signo, static_cast<uint32_t>(SIGUSR2));
  sigprocmask(SIG_UNBLOCK, &mask, nullptr);
  close(number);
}

SCENARIO(inotify_keeps_its_watches, .ranks = 2) {
  char folder[] = "/tmp/mana-watched-XXXXXX";
  CHECK(mkdtemp(folder) != nullptr);
  const int number = inotify_init1(IN_NONBLOCK);
  const int dropped = inotify_add_watch(number, "/dev", IN_CREATE);
  const int watch = inotify_add_watch(number, folder, IN_CREATE);
  inotify_rm_watch(number, dropped);
  alignas(inotify_event) char events[4096];
  CHECK(read(number, events, sizeof events) > 0);  // IN_IGNORED
  job.checkpoint_here();
  CHECK(read(number, events, sizeof events) < 0 && errno == EAGAIN);
  const std::string file = std::string(folder) + "/new";
  close(open(file.c_str(), O_CREAT | O_WRONLY, 0600));
  CHECK(read(number, events, sizeof events) > 0);
  const auto* event = reinterpret_cast<const inotify_event*>(events);
  CHECK_EQ(event->wd, watch);
  CHECK_EQ(event->mask, static_cast<uint32_t>(IN_CREATE));
  CHECK_EQ(std::string(event->name), "new");
  unlink(file.c_str());
  rmdir(folder);
  close(number);
}

std::atomic<int> told_of[2];
std::atomic<pid_t> told_thread;
void on_ready(int, siginfo_t* info, void*) {
  told_of[0] = info->si_fd;
  told_thread = static_cast<pid_t>(syscall(SYS_gettid));
  told_of[1]++;
}

SCENARIO(ready_descriptors_send_their_signals, .ranks = 2) {
  const int number = SIGRTMIN + 5;
  struct sigaction action {}, before {};
  action.sa_sigaction = on_ready;
  action.sa_flags = SA_SIGINFO;
  sigaction(number, &action, &before);
  int pair[2], ends[2];
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  CHECK_EQ(pipe(ends), 0);
  std::atomic<pid_t> other_thread{0};
  std::atomic<int> over{0};
  std::thread other([&] {
    other_thread = static_cast<pid_t>(syscall(SYS_gettid));
    while (over == 0) sched_yield();
  });
  while (other_thread == 0) sched_yield();
  const f_owner_ex thread{F_OWNER_TID, other_thread}, process{F_OWNER_PID, getpid()};
  for (const auto& [one, owner] : {std::pair(pair[0], &thread), std::pair(ends[0], &process)}) {
    CHECK_EQ(fcntl(one, F_SETOWN_EX, owner), 0);
    CHECK_EQ(fcntl(one, F_SETSIG, number), 0);
    CHECK_EQ(fcntl(one, F_SETFL, fcntl(one, F_GETFL) | O_ASYNC), 0);
  }
  const auto comes = [&](int to, int from, bool to_thread) {
    const int count = told_of[1];
    CHECK(put(to, "x"));
    while (told_of[1] == count) sched_yield();
    CHECK_EQ(told_of[0], from);
    if (to_thread) CHECK_EQ(told_thread.load(), other_thread.load());
    CHECK_EQ(take(from, 1), "x");
  };
  const auto both_come = [&] {
    comes(pair[1], pair[0], true);
    comes(ends[1], ends[0], false);
  };
  both_come();
  job.checkpoint_here();
  for (const auto& [one, owner] : {std::pair(pair[0], &thread), std::pair(ends[0], &process)}) {
    f_owner_ex now{};
    CHECK_EQ(fcntl(one, F_GETOWN_EX, &now), 0);
    CHECK(now.type == owner->type && now.pid == owner->pid);
    CHECK_EQ(fcntl(one, F_GETSIG), number);
    CHECK((fcntl(one, F_GETFL) & O_ASYNC) != 0);
  }
  both_come();
  over = 1;
  other.join();
  close_all({pair[0], pair[1], ends[0], ends[1]});
  sigaction(number, &before, nullptr);
}

SCENARIO(pseudo_terminal_goes_on_talking, .ranks = 2) {
  const int master = posix_openpt(O_RDWR | O_NOCTTY);
  CHECK(grantpt(master) == 0 && unlockpt(master) == 0);
  char name[64] = {};
  CHECK_EQ(ptsname_r(master, name, sizeof name), 0);
  const int slave = open(name, O_RDWR | O_NOCTTY);
  termios mode{};
  tcgetattr(slave, &mode);
  cfmakeraw(&mode);
  tcsetattr(slave, TCSANOW, &mode);
  const winsize size{33, 99, 0, 0};
  ioctl(master, TIOCSWINSZ, &size);
  job.checkpoint_here();
  CHECK(put(master, "to the program\n"));
  CHECK_EQ(hear(slave, 15), "to the program\n");
  CHECK(put(slave, "out\n"));
  CHECK_EQ(hear(master, 4), "out\n");  // raw: no carriage return
  winsize now{};
  ioctl(slave, TIOCGWINSZ, &now);
  CHECK_EQ(now.ws_row, 33);
  CHECK_EQ(now.ws_col, 99);
  close_all({slave, master});
}

SCENARIO(file_locks_are_held_again, .ranks = 2) {
  char path[] = "/tmp/mana-locked-XXXXXX";
  const int file = mkstemp(path), whole = open(path, O_RDWR);
  CHECK_EQ(ftruncate(file, 100), 0);
  CHECK_EQ(flock(whole, LOCK_EX), 0);
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_len = 10;
  CHECK_EQ(fcntl(file, F_SETLK, &lock), 0);
  lock.l_type = F_RDLCK;
  lock.l_start = 20;
  CHECK_EQ(fcntl(file, F_OFD_SETLK, &lock), 0);
  job.checkpoint_here();
  // Asked by a child: closing a file, as it does, gives up the POSIX locks of the process that closes.
  const auto seen = [&](auto question) {
    const pid_t child = fork();
    if (child == 0) _exit(question(open(path, O_RDWR)));
    int status = 0;
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
  };
  const auto locked_at = [&](off_t start) {
    return seen([&](int other) {
      struct flock ask {};
      ask.l_type = F_WRLCK;
      ask.l_whence = SEEK_SET;
      ask.l_start = start;
      ask.l_len = 1;
      return fcntl(other, F_GETLK, &ask) == 0 ? ask.l_type : 99;
    });
  };
  CHECK_EQ(seen([](int other) { return flock(other, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK ? 1 : 0; }), 1);
  CHECK_EQ(locked_at(5), F_WRLCK);
  CHECK_EQ(locked_at(25), F_RDLCK);
  CHECK_EQ(locked_at(50), F_UNLCK);
  close_all({file, whole});
  unlink(path);
}

SCENARIO(connections_to_the_outside_are_reset_and_listeners_listen, .ranks = 2) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;  // or nobody may bind it while connections of a killed process are remembered
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* name = reinterpret_cast<sockaddr*>(&address);
  CHECK(bind(listener, name, length) == 0 && listen(listener, 5) == 0 && getsockname(listener, name, &length) == 0);
  const int client = socket(AF_INET, SOCK_STREAM, 0);
  CHECK_EQ(connect(client, name, length), 0);
  const int server = accept(listener, nullptr, nullptr);
  CHECK(put(server, "before"));
  CHECK_EQ(take(client, 100), "before");
  const int udp = socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in own = address;
  own.sin_port = 0;
  CHECK(bind(udp, reinterpret_cast<sockaddr*>(&own), sizeof own) == 0 &&
        getsockname(udp, reinterpret_cast<sockaddr*>(&own), &length) == 0);
  job.checkpoint_here();
  if ((ready(client) & (POLLERR | POLLHUP)) != 0) {  // another process now
    CHECK_EQ(take(client, 10), "errno " + std::to_string(ECONNRESET));
    CHECK(send(client, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
    CHECK_EQ(take(server, 10), "errno " + std::to_string(ECONNRESET));
  } else {
    CHECK(put(client, "after"));
    CHECK_EQ(take(server, 100), "after");
  }
  const int next = socket(AF_INET, SOCK_STREAM, 0);
  CHECK_EQ(connect(next, name, sizeof address), 0);
  const int accepted = accept(listener, nullptr, nullptr);
  CHECK(accepted >= 0 && put(next, "hello"));
  CHECK_EQ(take(accepted, 100), "hello");
  CHECK(sendto(udp, "to myself", 9, 0, reinterpret_cast<sockaddr*>(&own), sizeof own) == 9);
  CHECK_EQ(take(udp, 100), "to myself");
  close_all({listener, client, server, udp, next, accepted});
}

SCENARIO(unix_listener_listens_under_its_name, .ranks = 2) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::snprintf(name.sun_path, sizeof name.sun_path, "/tmp/mana-socket-%d", getpid());
  const auto* at = reinterpret_cast<sockaddr*>(&name);
  const int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK(bind(listener, at, sizeof name) == 0 && listen(listener, 3) == 0 && connect(client, at, sizeof name) == 0);
  const int server = accept(listener, nullptr, nullptr);
  CHECK(put(client, "sent"));
  job.checkpoint_here();
  CHECK_EQ(take(server, 100), "sent");  // both ends are ours
  const int next = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK_EQ(connect(next, at, sizeof name), 0);
  const int accepted = accept(listener, nullptr, nullptr);
  CHECK(put(next, "hello"));
  CHECK_EQ(take(accepted, 100), "hello");
  close_all({listener, client, server, next, accepted});
  unlink(name.sun_path);
}

}  // namespace
