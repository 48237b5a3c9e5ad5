// SPDX-License-Identifier: BSD-3-Clause
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "kernel-loader/tests/inside.h"

namespace {

int open_null(int more = 0) { return open("/dev/null", O_RDWR | more); }
bool is_open(int number) { return fcntl(number, F_GETFD) >= 0; }

}  // namespace

CLAIM(new_descriptors_get_the_lowest_number) {
  const int first = open_null();
  const int second = dup(first);
  const int third = open_null(O_CLOEXEC);
  CHECK_EQUAL(second, first + 1);
  CHECK_EQUAL(third, first + 2);
  CHECK_EQUAL(fcntl(third, F_GETFD), FD_CLOEXEC);
  CHECK_EQUAL(fcntl(second, F_GETFD), 0);
  CHECK_EQUAL(close(second), 0);
  CHECK_EQUAL(eventfd(0, 0), second);
  CHECK_EQUAL(fcntl(first, F_DUPFD, 100), 100);
  CHECK_EQUAL(fcntl(first, F_DUPFD_CLOEXEC, 100), 101);
  CHECK_EQUAL(fcntl(101, F_GETFD), FD_CLOEXEC);
  CHECK_EQUAL(dup2(first, 200), 200);
  CHECK_EQUAL(dup2(first, first), first);
  CHECK_EQUAL(dup3(first, first, 0), -1);
  CHECK_EQUAL(errno, EINVAL);
  CHECK_EQUAL(dup3(first, 201, O_CLOEXEC), 201);
  CHECK_EQUAL(dup2(333, 5), -1);
  CHECK_EQUAL(errno, EBADF);
  int ends[2];
  CHECK_EQUAL(pipe2(ends, O_CLOEXEC), 0);
  CHECK_EQUAL(ends[0], first + 3);
  CHECK_EQUAL(ends[1], first + 4);
  CHECK_EQUAL(write(ends[1], "p", 1), 1);
  char letter = 0;
  CHECK_EQUAL(read(ends[0], &letter, 1), 1);
  int pair[2];
  CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  CHECK_EQUAL(pair[1], first + 6);
  CHECK_EQUAL(epoll_create1(EPOLL_CLOEXEC), first + 7);
  CHECK_EQUAL(timerfd_create(CLOCK_MONOTONIC, 0), first + 8);
  CHECK_EQUAL(memfd_create("m", 0), first + 9);
  CHECK_EQUAL(close_range(first, 300, 0), 0);
  CHECK_EQUAL(open_null(), first);
  close(first);
}

CLAIM(closed_numbers_answer_ebadf) {
  const int number = open_null();
  CHECK_EQUAL(close(number), 0);
  CHECK_EQUAL(close(number), -1);
  CHECK_EQUAL(errno, EBADF);
  char letter = 0;
  CHECK_EQUAL(read(number, &letter, 1), -1);
  CHECK_EQUAL(errno, EBADF);
  CHECK_EQUAL(write(number, &letter, 1), -1);
  CHECK_EQUAL(errno, EBADF);
  CHECK_EQUAL(lseek(number, 0, SEEK_SET), -1);
  CHECK_EQUAL(errno, EBADF);
  CHECK_EQUAL(dup(number), -1);
  CHECK_EQUAL(errno, EBADF);
  CHECK_EQUAL(fcntl(number, F_GETFD), -1);
  CHECK_EQUAL(fcntl(number, F_GETFL), -1);
  CHECK_EQUAL(close(-1), -1);
  CHECK_EQUAL(errno, EBADF);
}

CLAIM(closing_everything_leaves_the_lower_half_alone) {
  const int kept = open_null();
  (void)kept;
  rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  for (int number = 3; number < static_cast<int>(limit.rlim_cur) && number < 4096; number++)
    close(number);
  CHECK_EQUAL(open_null(), 3);
  CHECK_EQUAL(close_range(3, ~0U, 0), 0);
  CHECK_EQUAL(open_null(), 3);
  close(3);
  void* got = mmap(nullptr, 1 << 16, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK_THAT(got != MAP_FAILED);
}

CLAIM(standard_streams_can_be_replaced) {
  const int saved = fcntl(1, F_DUPFD, 10);
  CHECK_EQUAL(saved, 10);
  CHECK_EQUAL(close(0), 0);
  CHECK_EQUAL(open_null(), 0);
  CHECK_EQUAL(close(1), 0);
  CHECK_THAT(!is_open(1));
  CHECK_EQUAL(dup(saved), 1);
  close(saved);
}

CLAIM(children_have_the_kernels_own_table) {
  const int first = open_null();
  const pid_t child = fork();
  if (child == 0) {
    if (open_null() != first + 1) _exit(1);
    if (close(first) != 0 || open_null() != first) _exit(2);
    int ends[2];
    if (pipe(ends) != 0 || ends[0] != first + 2 || ends[1] != first + 3) _exit(3);
    if (close_range(3, ~0U, 0) != 0 || open_null() != 3) _exit(4);
    if (dup2(3, 50) != 50 || dup(3) != 4) _exit(5);
    const pid_t grandchild = fork();
    if (grandchild == 0) _exit(open_null() == 5 ? 0 : 1);
    int status = -1;
    waitpid(grandchild, &status, 0);
    if (status != 0) _exit(6);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++) {
      threads.emplace_back([] {
        for (int k = 0; k < 200; k++) {
          const int a = open_null();
          const int b = dup(a);
          if (a < 0 || b < 0 || a == b || close(a) != 0 || close(b) != 0) _exit(7);
        }
      });
    }
    for (auto& thread : threads) thread.join();
    _exit(0);
  }
  int status = -1;
  waitpid(child, &status, 0);
  CHECK_EQUAL(WEXITSTATUS(status), 0);
  CHECK_THAT(WIFEXITED(status));
  CHECK_THAT(is_open(first));
  close(first);
}

CLAIM(threads_never_get_the_same_number) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([] {
      for (int k = 0; k < 500; k++) {
        int ends[2];
        CHECK_EQUAL(pipe(ends), 0);
        CHECK_EQUAL(write(ends[1], &k, sizeof k), sizeof k);
        int got = -1;
        CHECK_EQUAL(read(ends[0], &got, sizeof got), sizeof got);
        CHECK_EQUAL(got, k);
        CHECK_EQUAL(close(ends[0]), 0);
        CHECK_EQUAL(close(ends[1]), 0);
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

CLAIM(descriptors_sent_in_messages_are_the_applications) {
  int pair[2];
  CHECK_EQUAL(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
  const int sent = open_null();
  char letter = 'x';
  struct iovec part {
    &letter, 1
  };
  alignas(cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {};
  struct msghdr message {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = room;
  message.msg_controllen = sizeof room;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &sent, sizeof sent);
  CHECK_EQUAL(sendmsg(pair[0], &message, 0), 1);
  message.msg_controllen = sizeof room;
  CHECK_EQUAL(recvmsg(pair[1], &message, MSG_CMSG_CLOEXEC), 1);
  int received = -1;
  std::memcpy(&received, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof received);
  CHECK_EQUAL(received, sent + 1);
  CHECK_EQUAL(fcntl(received, F_GETFD), FD_CLOEXEC);
  CHECK_EQUAL(write(received, "x", 1), 1);
  for (const int number : {pair[0], pair[1], sent, received}) CHECK_EQUAL(close(number), 0);
}

CLAIM(the_program_is_the_application) {
  char path[4096] = {};
  CHECK_THAT(readlink("/proc/self/exe", path, sizeof path - 1) > 0);
  CHECK_THAT(std::strstr(path, "kernel_loader_inside") != nullptr);
  char other[4096] = {};
  const std::string by_number = "/proc/" + std::to_string(getpid()) + "/exe";
  CHECK_THAT(readlinkat(AT_FDCWD, by_number.c_str(), other, sizeof other - 1) > 0);
  CHECK_EQUAL(std::strcmp(path, other), 0);
  char four[4];
  CHECK_EQUAL(readlink("/proc/self/exe", four, 4), 4);
  const int file = open("/proc/self/exe", O_RDONLY);
  const std::string link = "/proc/self/fd/" + std::to_string(file);
  std::memset(other, 0, sizeof other);
  CHECK_THAT(readlink(link.c_str(), other, sizeof other - 1) > 0);
  CHECK_EQUAL(std::strcmp(path, other), 0);
  close(file);
}

CLAIM(clocks_do_not_enter_the_kernel) {
  timespec before, after, now;
  CHECK_EQUAL(clock_gettime(CLOCK_MONOTONIC, &before), 0);
  for (int i = 0; i < 1000; i++) CHECK_EQUAL(clock_gettime(CLOCK_REALTIME, &now), 0);
  CHECK_EQUAL(clock_gettime(CLOCK_MONOTONIC, &after), 0);
  CHECK_THAT(after.tv_sec > before.tv_sec || after.tv_nsec > before.tv_nsec);
  timespec resolution;
  CHECK_EQUAL(clock_getres(CLOCK_MONOTONIC, &resolution), 0);
  CHECK_EQUAL(resolution.tv_nsec, 1);
  CHECK_THAT(time(nullptr) > 1000000000);
}
