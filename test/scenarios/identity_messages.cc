// SPDX-License-Identifier: BSD-3-Clause
// Who sent it: records of a signalfd, credentials that come and go with messages.
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <thread>

#include "test/scenario.h"

namespace {

// In plain mode a thread of the MPI library, which blocks nothing, may take a signal of the process: so a thread's own.
SCENARIO(signalfd_tells_the_sender_that_the_application_knows, .ranks = 2) {
  sigset_t mask, before;
  sigemptyset(&mask);
  for (const int one : {SIGUSR1, SIGUSR2, SIGRTMIN + 3}) sigaddset(&mask, one);
  pthread_sigmask(SIG_BLOCK, &mask, &before);
  const int kept = signalfd(-1, &mask, SFD_CLOEXEC);
  const auto send = [](int number) { return syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), number); };
  const auto ask = [&](int number) {
    CHECK_EQ(send(SIGUSR1), 0L);
    signalfd_siginfo info[3] = {};
    CHECK_EQ(read(number, info, sizeof info), static_cast<ssize_t>(sizeof info[0]));
    CHECK_EQ(info[0].ssi_code, SI_TKILL);
    CHECK_EQ(static_cast<pid_t>(info[0].ssi_pid), getpid());
    const pid_t self = static_cast<pid_t>(syscall(SYS_gettid));
    const pid_t child = fork();
    if (child == 0) _exit(syscall(SYS_tgkill, getppid(), self, SIGUSR2) == 0 ? 7 : 1);
    int status = 0;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 7 << 8);
    CHECK_EQ(pthread_sigqueue(pthread_self(), SIGRTMIN + 3, {.sival_int = 42}), 0);
    char first[10], second[sizeof info - 10];
    const iovec parts[] = {{first, sizeof first}, {second, sizeof second}};
    memset(info, 0, sizeof info);
    ssize_t got = readv(number, parts, 2);
    if (got > 0) {
      memcpy(info, first, sizeof first);
      memcpy(reinterpret_cast<char*>(info) + sizeof first, second, sizeof second);
    } else {  // before Linux 6.8 each part is read by itself
      got = read(number, info, sizeof info);
    }
    CHECK_EQ(got, static_cast<ssize_t>(2 * sizeof info[0]));
    CHECK_EQ(static_cast<pid_t>(info[0].ssi_pid), child);
    CHECK_EQ(static_cast<pid_t>(info[1].ssi_pid), getpid());
    CHECK_EQ(info[1].ssi_int, 42);
  };
  ask(kept);
  CHECK_EQ(send(SIGUSR1), 0L);  // pending across the checkpoint
  std::atomic<pid_t> waiter{0}, from{0};
  std::thread reader([&] {
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR2);
    const int own = signalfd(-1, &one, SFD_CLOEXEC);
    waiter = static_cast<pid_t>(syscall(SYS_gettid));
    signalfd_siginfo info = {};
    from = read(own, &info, sizeof info) == sizeof info ? static_cast<pid_t>(info.ssi_pid) : -1;
    close(own);
  });
  while (waiter == 0) usleep(500);
  job.checkpoint_here();
  CHECK_EQ(syscall(SYS_tgkill, getpid(), waiter.load(), SIGUSR2), 0L);
  reader.join();
  CHECK_EQ(from.load(), getpid());
  signalfd_siginfo info = {};
  CHECK_EQ(read(kept, &info, sizeof info), static_cast<ssize_t>(sizeof info));
  CHECK_EQ(static_cast<pid_t>(info.ssi_pid), getpid());
  ask(kept);
  const int made_after = signalfd(-1, &mask, SFD_CLOEXEC), copy = dup(made_after);
  ask(made_after);
  ask(copy);
  for (const int one : {kept, made_after, copy}) close(one);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// A message of one byte, with room for credentials.
struct Message {
  explicit Message(char content) : byte(content) {
    head.msg_iov = &part;
    head.msg_iovlen = 1;
    head.msg_control = control;
    head.msg_controllen = sizeof control;
  }
  Message(const Message&) = delete;
  // As this process's.
  Message& with_credentials() {
    cmsghdr* one = CMSG_FIRSTHDR(&head);
    one->cmsg_level = SOL_SOCKET;
    one->cmsg_type = SCM_CREDENTIALS;
    one->cmsg_len = CMSG_LEN(sizeof(ucred));
    const ucred own{getpid(), getuid(), getgid()};
    memcpy(CMSG_DATA(one), &own, sizeof own);
    return *this;
  }
  pid_t sender() {
    for (cmsghdr* one = CMSG_FIRSTHDR(&head); one != nullptr; one = CMSG_NXTHDR(&head, one)) {
      ucred who;
      memcpy(&who, CMSG_DATA(one), sizeof who);
      if (one->cmsg_level == SOL_SOCKET && one->cmsg_type == SCM_CREDENTIALS) return who.pid;
    }
    return -1;
  }
  char byte;
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))] = {};
  msghdr head = {};
};

void check_credentials(mana::test::Job& job, int from, int to) {
  CHECK_EQ(write(from, "a", 1), 1L);
  Message seen('?'), got('?'), named('?');
  CHECK_EQ(recvmsg(to, &seen.head, MSG_PEEK), 1L);
  CHECK_EQ(seen.sender(), getpid());
  CHECK_EQ(recvmsg(to, &got.head, 0), 1L);
  CHECK_EQ(got.byte, 'a');
  CHECK_EQ(got.sender(), getpid());
  Message own('b');
  CHECK_EQ(sendmsg(from, &own.with_credentials().head, 0), 1L);
  CHECK_EQ(own.sender(), getpid());  // is as it was
  CHECK_EQ(recvmsg(to, &named.head, 0), 1L);
  CHECK_EQ(named.byte, 'b');
  CHECK_EQ(named.sender(), getpid());
  const pid_t child = fork();
  if (child == 0) {
    Message childs('c');
    _exit(write(from, "d", 1) == 1 && sendmsg(from, &childs.with_credentials().head, 0) == 1 ? 7 : 1);
  }
  int status = 0;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 7 << 8);
  Message two[] = {Message('?'), Message('?')};
  mmsghdr heads[] = {{two[0].head, 0}, {two[1].head, 0}};
  CHECK_EQ(recvmmsg(to, heads, 2, 0, nullptr), 2);
  for (int i = 0; i < 2; i++) {
    two[i].head = heads[i].msg_hdr;
    CHECK_EQ(two[i].sender(), child);
  }
  CHECK_EQ(two[1].byte, 'c');
}

SCENARIO(credentials_of_messages_name_who_the_application_knows, .ranks = 2) {
  const int on = 1;
  int kept[2], stream[2];
  CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, kept), 0);
  CHECK_EQ(setsockopt(kept[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "mana-scenario-%d-%d", getpid(), job.rank);
  const int listening = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK_EQ(bind(listening, reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
  CHECK_EQ(setsockopt(listening, SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
  CHECK_EQ(listen(listening, 4), 0);
  check_credentials(job, kept[0], kept[1]);
  CHECK_EQ(write(kept[0], "q", 1), 1L);
  job.checkpoint_here();
  Message queued('?');
  CHECK_EQ(recvmsg(kept[1], &queued.head, 0), 1L);
  CHECK_EQ(queued.byte, 'q');
  CHECK_EQ(queued.sender(), getpid());
  check_credentials(job, kept[0], kept[1]);
  CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, stream), 0);
  CHECK_EQ(setsockopt(stream[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
  check_credentials(job, stream[1], stream[0]);
  const int copy = dup(stream[0]);
  check_credentials(job, stream[1], copy);
  const int calling = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK_EQ(connect(calling, reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
  const int accepted = accept(listening, nullptr, nullptr);
  CHECK_EQ(write(calling, "a", 1), 1L);
  Message got('?');
  CHECK_EQ(recvmsg(accepted, &got.head, 0), 1L);
  CHECK_EQ(got.sender(), getpid());
  // What a message has besides stays as it is, also where nothing can be read.
  Message wrong('?');
  wrong.head.msg_control = reinterpret_cast<void*>(4711);
  CHECK_EQ(sendmsg(calling, &wrong.head, 0), -1L);
  CHECK_EQ(errno, EFAULT);
  CHECK_EQ(syscall(SYS_sendmsg, calling, 4711, 0), -1L);
  CHECK_EQ(errno, EFAULT);
  for (const int one : {kept[0], kept[1], stream[0], stream[1], copy, listening, calling, accepted}) close(one);
}

SCENARIO(message_with_credentials_that_waits_is_sent, .ranks = 2) {
  const int on = 1;
  int pair[2];
  CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
  CHECK_EQ(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
  int waiting = 0;
  while (send(pair[0], "f", 1, MSG_DONTWAIT) == 1) waiting++;
  std::atomic<bool> begun{false};
  std::atomic<long> sent{0};
  std::thread sender([&] {
    Message own('w');
    begun = true;
    sent = sendmsg(pair[0], &own.with_credentials().head, 0);
  });
  std::atomic<long> received{0};
  std::atomic<pid_t> who{0};
  int other[2];
  CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, other), 0);
  CHECK_EQ(setsockopt(other[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
  std::thread receiver([&] {
    Message got('?');
    received = recvmsg(other[1], &got.head, 0);
    who = got.sender();
  });
  while (!begun) usleep(500);
  job.checkpoint_here();
  CHECK_EQ(sent.load(), 0L);
  for (int i = 0; i <= waiting; i++) {
    Message got('?');
    CHECK_EQ(recvmsg(pair[1], &got.head, 0), 1L);
    CHECK_EQ(got.byte, i < waiting ? 'f' : 'w');
    CHECK_EQ(got.sender(), getpid());
  }
  sender.join();
  CHECK_EQ(sent.load(), 1L);
  CHECK_EQ(send(other[0], "r", 1, 0), 1L);
  receiver.join();
  CHECK_EQ(received.load(), 1L);
  CHECK_EQ(who.load(), getpid());
  for (const int one : {pair[0], pair[1], other[0], other[1]}) close(one);
}

}  // namespace
