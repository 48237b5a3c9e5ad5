// SPDX-License-Identifier: BSD-3-Clause
// Ids in what is read: folders and files of /proc, records of a signalfd, credentials that come with a message.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <thread>

#include "test/scenario.h"

namespace {

struct OldRecord {
  unsigned long inode, next;
  unsigned short length;
  char name[];
};

// What a folder lists, read with a buffer of `size`, from where it stands.
std::vector<std::string> listed(mana::test::Job& job, int folder, std::size_t size, bool old = false) {
  std::vector<std::string> names;
  alignas(8) char buffer[4096];
  for (;;) {
    const long got = syscall(old ? SYS_getdents : SYS_getdents64, folder, buffer, size);
    CHECK(got >= 0);
    if (got <= 0) return names;
    CHECK(static_cast<std::size_t>(got) <= size);
    for (long at = 0; at < got;) {
      const auto* record = reinterpret_cast<const dirent64*>(buffer + at);
      const auto* record_of_old = reinterpret_cast<const OldRecord*>(buffer + at);
      const int type = old ? buffer[at + record_of_old->length - 1] : record->d_type;
      names.emplace_back(old ? record_of_old->name : record->d_name);
      if (names.back() == std::to_string(getpid())) CHECK_EQ(type, static_cast<int>(DT_DIR));
      at += record->d_reclen;
    }
  }
}

bool all_differ(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  return std::adjacent_find(names.begin(), names.end()) == names.end();
}

struct Threads {
  explicit Threads(int count) {
    for (int i = 0; i < count; i++) {
      all.emplace_back([this, i] {
        ids[i] = static_cast<pid_t>(syscall(SYS_gettid));
        while (!over) usleep(500);
      });
    }
    for (const auto& id : ids) {
      while (id == 0 && &id - ids < count) usleep(500);
    }
  }
  ~Threads() {
    over = true;
    for (std::thread& one : all) one.join();
  }
  std::vector<std::thread> all;
  std::atomic<pid_t> ids[40] = {};
  std::atomic<bool> over{false};
};

SCENARIO(folders_of_proc_list_the_ids_that_the_application_knows, .ranks = 2) {
  const int kThreads = 40;  // more than one read of the listing
  const Threads threads(kThreads);
  const std::string folder = "/proc/self/task";
  const int kept = open(folder.c_str(), O_RDONLY | O_DIRECTORY);
  const auto ask = [&] {
    for (const std::string& path : {folder, "/proc/" + std::to_string(getpid()) + "/task"}) {
      const int task = open(path.c_str(), O_RDONLY | O_DIRECTORY);
      const std::vector<std::string> names = listed(job, task, 4096);
      CHECK(all_differ(names));
      for (int i = 0; i < kThreads; i++) CHECK_EQ(std::count(names.begin(), names.end(), std::to_string(threads.ids[i])), 1);
      CHECK_EQ(std::count(names.begin(), names.end(), std::to_string(getpid())), 1);
      for (const std::string& name : names) {
        if (name[0] != '.') CHECK_EQ(access((path + "/" + name + "/comm").c_str(), R_OK), 0);
      }
      for (const std::size_t size : {32, 48, 100, 768, 1024, 1500}) {
        lseek(task, 0, SEEK_SET);
        CHECK_EQ(listed(job, task, size) == names, true);
        lseek(task, 0, SEEK_SET);
        CHECK_EQ(listed(job, task, size, true) == names, true);
      }
      char small[16];
      lseek(task, 0, SEEK_SET);
      CHECK_EQ(syscall(SYS_getdents64, task, small, sizeof small), -1L);
      CHECK_EQ(errno, EINVAL);
      CHECK_EQ(syscall(SYS_getdents64, task, 4711, 4096), -1L);
      CHECK_EQ(errno, EFAULT);
      CHECK_EQ(listed(job, task, 4096) == names, true);  // nothing was lost
      close(task);
    }
    DIR* task = opendir(folder.c_str());
    std::vector<long> places;
    std::vector<std::string> names;
    while (const dirent* entry = readdir(task)) names.emplace_back(entry->d_name), places.push_back(telldir(task));
    for (std::size_t i = names.size() - 1; i-- > 0;) {
      seekdir(task, places[i]);
      CHECK_EQ(std::string(readdir(task)->d_name), names[i + 1]);
    }
    closedir(task);
    lseek(kept, 0, SEEK_SET);
    CHECK_EQ(listed(job, kept, 4096) == names, true);

    const int processes = open("/proc", O_RDONLY | O_DIRECTORY);
    for (const std::size_t size : {4096, 64}) {
      lseek(processes, 0, SEEK_SET);
      const std::vector<std::string> all = listed(job, processes, size);
      CHECK(all_differ(all));
      for (const pid_t one : {getpid(), getppid()}) CHECK_EQ(std::count(all.begin(), all.end(), std::to_string(one)), 1);
      for (const char* other : {"self", "meminfo", "sys"}) CHECK_EQ(std::count(all.begin(), all.end(), other), 1);
    }
    close(processes);
  };
  ask();
  job.checkpoint_here();
  ask();
  close(kept);
}

}  // namespace
