// SPDX-License-Identifier: BSD-3-Clause
// What no path leads to any more, or another path than before: removed folders and files, the process's own files in /proc, watches.
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "test/scenarios/descriptor_calls.h"

namespace {

using namespace mana::test;

SCENARIO(removed_folders_stay_empty_and_nameless, .ranks = 2) {
  char before[PATH_MAX];
  CHECK(getcwd(before, sizeof before) != nullptr);
  char folder[] = "/tmp/mana-removed-XXXXXX";
  CHECK(mkdtemp(folder) != nullptr);
  const std::string inner = std::string(folder) + "/inner";
  CHECK_EQ(mkdir(inner.c_str(), 0710), 0);
  CHECK_EQ(chdir(folder), 0);
  const int number = open("inner", O_RDONLY | O_DIRECTORY), again = open("inner", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  CHECK(rmdir(inner.c_str()) == 0 && rmdir(folder) == 0);
  job.checkpoint_here();
  char now[PATH_MAX];
  CHECK(getcwd(now, sizeof now) == nullptr && errno == ENOENT);
  CHECK(open("file", O_CREAT | O_WRONLY, 0600) < 0 && errno == ENOENT);
  CHECK(openat(number, "file", O_CREAT | O_WRONLY, 0600) < 0 && errno == ENOENT);
  struct stat one {}, other {};
  CHECK(fstat(number, &one) == 0 && fstat(again, &other) == 0);
  CHECK_EQ(one.st_ino, other.st_ino);
  CHECK_EQ(one.st_mode, static_cast<mode_t>(S_IFDIR | 0710));
  CHECK(access(folder, F_OK) != 0);
  CHECK_EQ(chdir(before), 0);
  close_all({number, again});
}

// As the working directory, twice opened, and once as a path only.
SCENARIO(removed_working_folder_and_its_descriptors_are_one, .ranks = 2) {
  char before[PATH_MAX];
  CHECK(getcwd(before, sizeof before) != nullptr);
  char folder[] = "/tmp/mana-removed-XXXXXX", other[] = "/tmp/mana-removed-XXXXXX";
  CHECK(mkdtemp(folder) != nullptr && mkdtemp(other) != nullptr);
  CHECK_EQ(chdir(folder), 0);
  const int by_path = open(folder, O_RDONLY | O_DIRECTORY), by_dot = open(".", O_RDONLY | O_DIRECTORY), as_path = open(".", O_PATH | O_DIRECTORY);
  const int different = open(other, O_RDONLY | O_DIRECTORY);
  CHECK(rmdir(folder) == 0 && rmdir(other) == 0);
  const auto ask = [&] {
    struct stat here {}, there {}, above {}, temporary {};
    CHECK_EQ(stat(".", &here), 0);
    for (const int one : {by_path, by_dot, as_path}) {
      CHECK_EQ(fstat(one, &there), 0);
      CHECK_EQ(there.st_ino, here.st_ino);
      CHECK(fstatat(one, "..", &above, 0) == 0 && stat("/tmp", &temporary) == 0);
      CHECK_EQ(above.st_ino, temporary.st_ino);
    }
    CHECK_EQ(there.st_nlink, 0u);
    CHECK_EQ(fstat(different, &there), 0);
    CHECK(there.st_ino != here.st_ino);
    CHECK_EQ(fchmod(by_dot, 0750), 0);  // seen through the others
    CHECK(stat(".", &here) == 0 && fstat(by_path, &there) == 0);
    CHECK_EQ(here.st_mode & 07777, 0750u);
    CHECK_EQ(there.st_mode & 07777, 0750u);
    CHECK_EQ(fchmod(by_dot, 0700), 0);
    CHECK(chdir("/") == 0 && fchdir(by_path) == 0);
  };
  ask();
  job.checkpoint_here();
  ask();
  CHECK_EQ(chdir(before), 0);
  close_all({by_path, by_dot, as_path, different});
}

SCENARIO(file_without_a_name_keeps_times_owner_and_flags, .ranks = 2) {
  char path[] = "/tmp/mana-nameless-XXXXXX";
  const int number = mkstemp(path);
  unlink(path);
  CHECK(put(number, "contents"));
  const timespec times[] = {{1000000000, 1}, {1100000000, 2}};
  CHECK_EQ(futimens(number, times), 0);
  const uid_t owner = geteuid() == 0 ? 4711 : geteuid();
  CHECK_EQ(fchown(number, owner, static_cast<gid_t>(-1)), 0);
  CHECK_EQ(fchmod(number, 04711), 0);
  const int flags = fcntl(number, F_GETFL);
  job.checkpoint_here();
  struct stat status {};
  CHECK_EQ(fstat(number, &status), 0);
  CHECK_EQ(status.st_mtim.tv_sec, times[1].tv_sec);
  CHECK_EQ(status.st_mtim.tv_nsec, times[1].tv_nsec);
  CHECK_EQ(status.st_uid, owner);
  CHECK_EQ(status.st_mode & 07777, 04711u);
  CHECK_EQ(fcntl(number, F_GETFL), flags);
  close(number);
}

SCENARIO(memfd_can_be_executed, .ranks = 2) {
  const int program = memfd_create("program", 0), source = open("/bin/true", O_RDONLY);
  char piece[4096];
  for (ssize_t got; (got = read(source, piece, sizeof piece)) > 0;) CHECK_EQ(write(program, piece, static_cast<std::size_t>(got)), got);
  close(source);
  job.checkpoint_here();
  const pid_t child = fork();
  if (child == 0) {
    const char* const words[] = {"true", nullptr};
    fexecve(program, const_cast<char**>(words), environ);
    _exit(errno);
  }
  int status = -1;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  close(program);
}

SCENARIO(own_files_in_proc_are_those_of_the_new_process, .ranks = 2) {
  const int maps = open("/proc/self/maps", O_RDONLY), folder = open(("/proc/" + std::to_string(getpid())).c_str(), O_RDONLY | O_DIRECTORY);
  CHECK(!take(maps, 64).empty());
  job.checkpoint_here();
  CHECK(lseek(maps, 0, SEEK_SET) == 0 && take(maps, 64).find('-') != std::string::npos);
  const int name = openat(folder, "comm", O_RDONLY), own = open("/proc/self/comm", O_RDONLY);
  CHECK_EQ(take(name, 64), take(own, 64));
  struct stat there {}, here {};
  CHECK(fstatat(folder, "maps", &there, 0) == 0 && stat("/proc/self/maps", &here) == 0);
  CHECK_EQ(there.st_ino, here.st_ino);
  close_all({maps, folder, name, own});
}

SCENARIO(inotify_keeps_the_numbers_of_several_watches, .ranks = 2) {
  char folders[3][32] = {"/tmp/mana-watch-a-XXXXXX", "/tmp/mana-watch-b-XXXXXX", "/tmp/mana-watch-c-XXXXXX"};
  const int number = inotify_init1(IN_NONBLOCK);
  int watches[3];
  for (int i = 0; i < 3; i++) {
    CHECK(mkdtemp(folders[i]) != nullptr);
    watches[i] = inotify_add_watch(number, folders[i], IN_CREATE);
  }
  job.checkpoint_here();
  alignas(inotify_event) char events[4096];
  for (int i = 0; i < 3; i++) {
    const std::string file = std::string(folders[i]) + "/new";
    close(open(file.c_str(), O_CREAT | O_WRONLY, 0600));
    CHECK(read(number, events, sizeof events) > 0);
    CHECK_EQ(reinterpret_cast<const inotify_event*>(events)->wd, watches[i]);
    unlink(file.c_str());
    rmdir(folders[i]);
    CHECK(read(number, events, sizeof events) > 0);  // IN_IGNORED
  }
  close(number);
}

}  // namespace
