// SPDX-License-Identifier: BSD-3-Clause
// Whose the numbers of descriptors are: closed ones, many, shared open files, limits, locks.
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <set>
#include <thread>
#include <vector>

#include "test/scenarios/descriptor_calls.h"

namespace {

using namespace mana::test;

// Those below `end` that /proc/self/fd shows, without the one that reads it.
std::vector<int> listed(int end) {
  std::vector<int> numbers;
  DIR* folder = opendir("/proc/self/fd");
  while (const dirent* entry = readdir(folder)) {
    const int number = std::atoi(entry->d_name);
    if (entry->d_name[0] != '.' && number != dirfd(folder) && number < end) numbers.push_back(number);
  }
  closedir(folder);
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

rlimit limit_of_files() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit;
}

// What a program is told that this one executes.
std::string told_to_children(const char* command) {
  FILE* child = popen(command, "r");
  char text[64] = {};
  if (fgets(text, sizeof text, child) == nullptr) text[0] = '\0';
  pclose(child);
  return text;
}

SCENARIO(closed_numbers_are_closed_for_every_call, .ranks = 2) {
  const int number = open("/dev/null", O_RDWR);
  CHECK_EQ(fcntl(number, F_DUPFD, 700), 700);
  close_all({number, 700});
  for (int round = 0; round < 2; ++round) {
    for (const int closed : {number, 700}) {
      struct stat status {};
      CHECK(fstat(closed, &status) < 0 && errno == EBADF);
      fd_set set;
      FD_ZERO(&set);
      FD_SET(closed, &set);
      timeval at_once{0, 0};
      CHECK(select(closed + 1, &set, nullptr, nullptr, &at_once) < 0 && errno == EBADF);
      pollfd one{closed, POLLIN, 0};
      CHECK(poll(&one, 1, 0) == 1 && one.revents == POLLNVAL);
      CHECK(ioctl(closed, FIONREAD, &status) < 0 && errno == EBADF);
    }
    if (round == 0) job.checkpoint_here();
  }
}

SCENARIO(only_open_numbers_are_listed, .ranks = 2) {
  const std::vector<int> before = listed(900);
  const int first = open("/dev/null", O_RDWR), second = fcntl(first, F_DUPFD, 800);
  std::vector<int> expected = before;
  expected.insert(std::lower_bound(expected.begin(), expected.end(), first), first);
  expected.push_back(second);
  CHECK_EQ(second, 800);
  CHECK(listed(900) == expected);
  job.checkpoint_here();
  struct stat status {};
  CHECK(fstat(first, &status) == 0 && fstat(second, &status) == 0);
  close_all({first, second});
  const std::vector<int> after = listed(900);
  CHECK(std::find(after.begin(), after.end(), second) == after.end());
  CHECK(std::find(after.begin(), after.end(), first) == after.end());
}

SCENARIO(opening_a_locked_file_keeps_its_locks, .ranks = 2) {
  char path[] = "/tmp/mana-locked-XXXXXX";
  const int file = mkstemp(path);
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  const auto locked = [&] {  // as another process sees it
    const pid_t child = fork();
    if (child == 0) {
      struct flock ask = lock;
      _exit(fcntl(file, F_GETLK, &ask) == 0 && ask.l_type == F_WRLCK ? 1 : 0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WEXITSTATUS(status) == 1;
  };
  CHECK_EQ(fcntl(file, F_SETLK, &lock), 0);
  CHECK(locked());
  const int again = open(path, O_RDWR), copy = dup(file);
  CHECK(locked());
  job.checkpoint_here();
  CHECK(locked());
  close(again);  // fcntl_locking(2): this gives them up
  CHECK(!locked());
  close_all({file, copy});
  unlink(path);
}

SCENARIO(thousands_of_descriptors_come_back, .ranks = 2) {
  const rlimit before = limit_of_files();
  const rlim_t wanted = std::min<rlim_t>(3000, before.rlim_max / 2);
  const rlimit raised{std::max(wanted, before.rlim_cur), before.rlim_max};
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &raised), 0);
  std::vector<int> counters;
  const int most = static_cast<int>(wanted) - 200;
  while (counters.empty() || counters.back() < most) {
    const int counter = eventfd(static_cast<unsigned>(counters.size()) + 1, EFD_NONBLOCK);
    CHECK(counter >= 0);
    if (counter < 0) break;
    counters.push_back(counter);
  }
  // Each third one is the same open file as one far below.
  const std::size_t half = counters.size() / 2;
  for (std::size_t i = 0; i < half; i += 3) CHECK_EQ(dup2(counters[i], counters[half + i]), counters[half + i]);
  job.checkpoint_here();
  CHECK_EQ(limit_of_files().rlim_cur, raised.rlim_cur);
  int wrong = 0;
  for (std::size_t i = 0; i < half; ++i) {
    wrong += count_of(counters[i]) != i + 1;
    wrong += count_of(counters[half + i]) != (i % 3 == 0 ? 0 : half + i + 1);  // read through the other number
  }
  CHECK_EQ(wrong, 0);
  for (const int counter : counters) close(counter);
  setrlimit(RLIMIT_NOFILE, &before);
}

SCENARIO(the_limit_of_open_files_is_kept, .ranks = 2) {
  const rlimit before = limit_of_files();
  std::vector<int> opened;
  const int next = dup(2);
  close(next);
  const rlimit lowered{static_cast<rlim_t>(next) + 5, before.rlim_max};
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &lowered), 0);
  for (int round = 0; round < 2; ++round) {
    CHECK_EQ(limit_of_files().rlim_cur, lowered.rlim_cur);
    CHECK_EQ(limit_of_files().rlim_max, before.rlim_max);
    CHECK_EQ(sysconf(_SC_OPEN_MAX), static_cast<long>(lowered.rlim_cur));
    CHECK_EQ(told_to_children("ulimit -Sn"), std::to_string(lowered.rlim_cur) + "\n");
    for (int got; (got = open("/dev/null", O_RDONLY)) >= 0;) opened.push_back(got);
    CHECK(errno == EMFILE && !opened.empty() && opened.back() == static_cast<int>(lowered.rlim_cur) - 1);
    CHECK(dup2(2, static_cast<int>(lowered.rlim_cur)) < 0 && errno == EBADF);
    CHECK(fcntl(2, F_DUPFD, static_cast<int>(lowered.rlim_cur)) < 0 && errno == EINVAL);
    for (const int number : opened) close(number);
    opened.clear();
    if (round == 0) job.checkpoint_here();
  }
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  CHECK_EQ(limit_of_files().rlim_cur, before.rlim_cur);
}

SCENARIO(a_shared_open_file_stays_shared, .ranks = 2) {
  char path[] = "/tmp/mana-shared-XXXXXX";
  const int file = mkstemp(path);
  CHECK(put(file, "0123456789"));
  const int alone = open(path, O_RDWR), onto = dup2(file, 500), copy = fcntl(alone, F_DUPFD_CLOEXEC, 300);
  CHECK_EQ(fcntl(alone, F_SETSIG, SIGUSR2), 0);
  int pair[2];
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  const int other = dup(pair[0]), output = dup(1);
  job.checkpoint_here();
  CHECK_EQ(lseek(file, 7, SEEK_SET), 7);
  CHECK_EQ(take(onto, 2), "78");
  CHECK_EQ(take(copy, 3), "012");
  CHECK_EQ(take(alone, 3), "345");
  CHECK(closes_on_exec(copy) && !closes_on_exec(onto));
  CHECK_EQ(fcntl(copy, F_GETSIG), SIGUSR2);
  CHECK_EQ(fcntl(file, F_GETSIG), 0);
  CHECK_EQ(fcntl(other, F_SETFL, O_NONBLOCK), 0);
  CHECK(nonblocking(pair[0]) && !nonblocking(pair[1]));
  struct stat mine {}, theirs {};
  CHECK(fstat(output, &mine) == 0 && fstat(1, &theirs) == 0 && mine.st_ino == theirs.st_ino && mine.st_dev == theirs.st_dev);
  close_all({file, alone, onto, copy, pair[0], pair[1], other, output});
  unlink(path);
}

// A few names of an open folder, as many as go into a small buffer.
std::vector<std::string> some_names(int folder) {
  alignas(8) char room[512];
  std::vector<std::string> names;
  const long got = syscall(SYS_getdents64, folder, room, sizeof room);
  for (long at = 0; at < got;) {
    const char* name = room + at + 19;  // linux_dirent64
    uint16_t bytes = 0;
    std::memcpy(&bytes, room + at + 16, sizeof bytes);
    if (*name != '.') names.emplace_back(name);
    at += bytes;
  }
  return names;
}

SCENARIO(a_folder_is_read_on_from_where_it_was, .ranks = 2) {
  char path[] = "/tmp/mana-folder-XXXXXX";
  CHECK(mkdtemp(path) != nullptr);
  constexpr int kFiles = 100;
  const auto file = [&](int i) { return std::string(path) + "/file-" + std::to_string(i); };
  for (int i = 0; i < kFiles; i++) close(open(file(i).c_str(), O_CREAT | O_WRONLY, 0600));
  const int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), again = dup(folder);
  DIR* stream = opendir(path);
  const std::vector<std::string> before = some_names(folder);
  const dirent* first = readdir(stream);
  CHECK(!before.empty() && before.size() < kFiles && first != nullptr);
  job.checkpoint_here();
  std::set<std::string> all(before.begin(), before.end());
  std::size_t told = before.size();
  for (std::vector<std::string> more; !(more = some_names(again)).empty(); told += more.size()) all.insert(more.begin(), more.end());
  CHECK_EQ(all.size(), static_cast<std::size_t>(kFiles));
  CHECK_EQ(told, static_cast<std::size_t>(kFiles));  // none twice
  int entries = 1;
  while (readdir(stream) != nullptr) entries++;
  CHECK_EQ(entries, kFiles + 2);
  const int inside = openat(again, "file-7", O_RDONLY);
  CHECK(closes_on_exec(folder) && inside >= 0);
  closedir(stream);
  close_all({folder, again, inside});
  for (int i = 0; i < kFiles; i++) unlink(file(i).c_str());
  CHECK_EQ(rmdir(path), 0);
}

// While the lower half opens files of its own, which have a number below for a moment.
SCENARIO(numbers_chosen_during_a_checkpoint_are_the_applications, .ranks = 2) {
  std::atomic<bool> over{false};
  int wrong = 0;
  job.announce();
  std::thread chooser([&] {
    const int zero = open("/dev/zero", O_RDONLY), chosen = zero + 1;
    struct stat expected {}, seen {};
    fstat(zero, &expected);
    do {
      wrong += dup2(zero, chosen) != chosen;
      wrong += fstat(chosen, &seen) != 0 || seen.st_rdev != expected.st_rdev;
      wrong += close(chosen) != 0;
    } while (!over);
    close(zero);
  });
  job.wait_until_over();
  over = true;
  chooser.join();
  CHECK_EQ(wrong, 0);
}

}  // namespace
