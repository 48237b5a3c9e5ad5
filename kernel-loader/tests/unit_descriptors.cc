// SPDX-License-Identifier: BSD-3-Clause
// Descriptors described in one process and made again in another.  Each process is a forked one of
// its own, because parting the numbers changes a process for good.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "kernel-loader/descriptor_line.h"
#include "kernel-loader/gate.h"
#include "kernel-loader/inherited.h"
#include "kernel-loader/report.h"

using namespace mana::loader;

namespace {

std::vector<Descriptor> described() {
  std::vector<Descriptor> all;
  const Outcome outcome = describe_descriptors(
      [](const Descriptor& descriptor, void* closure) {
        static_cast<std::vector<Descriptor>*>(closure)->push_back(descriptor);
        return true;
      },
      &all);
  if (!outcome.ok()) all.clear();
  return all;
}

int open_at(const std::string& path, int flags, mode_t mode = 0) {
  return open(path.c_str(), flags, mode);
}

// Runs in a child that owns nothing above 2; the result is the child's exit code.
template <class Body>
int in_new_process(Body body) {
  const pid_t child = fork();
  if (child == 0) {
    close_range(3, ~0U, 0);
    _exit(body());
  }
  int status = -1;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

#define EXPECT(condition)                                        \
  do {                                                           \
    if (!(condition)) {                                          \
      dprintf(2, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      return 1;                                                  \
    }                                                            \
  } while (false)

struct Folder {
  Folder() {
    char name[] = "/tmp/mana-descriptors-XXXXXX";
    path = mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string path;
};

int describe_into(const std::string& folder) {
  EXPECT(begin_lower_half().ok());
  EXPECT(open_above("/dev/null") >= first_lower_descriptor());  // the lower half's own
  const int log = open_at(folder + "/log", O_CREAT | O_WRONLY | O_APPEND | O_EXCL, 0600);
  EXPECT(log == 3);
  EXPECT(write(log, "hello", 5) == 5);
  const int data = open_at(folder + "/data", O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600);
  EXPECT(data == 4);
  EXPECT(write(data, "0123456789", 10) == 10);
  EXPECT(lseek(data, 4, SEEK_SET) == 4);
  EXPECT(open_at(folder, O_RDONLY | O_DIRECTORY) == 5);
  EXPECT(open_at("/dev/zero", O_RDONLY) == 6);
  EXPECT(dup2(data, 9) == 9);
  EXPECT(dup2(2, 8) == 8);
  close(0);

  auto all = described();
  EXPECT(all.size() == 8);
  // What lower/descriptor_identity.cc finds out.
  for (const auto& [at, stream] : {std::pair{0, 1}, {1, 2}, {6, 2}}) {
    all[at].kind = DescriptorKind::standard;
    all[at].standard_number = stream;
  }
  EXPECT(all[7].same_as == 9);
  all[7].same_as = 4;
  EXPECT(all[0].number == 1);
  EXPECT(all[2].number == 3 && all[2].kind == DescriptorKind::file &&
         (all[2].flags & O_APPEND) != 0);
  EXPECT((all[2].flags & (O_CREAT | O_EXCL)) == 0 && all[2].offset == 5);
  EXPECT(all[3].number == 4 && all[3].offset == 4 && all[3].close_on_exec == 1);
  EXPECT(all[4].kind == DescriptorKind::directory && all[5].kind == DescriptorKind::device);
  EXPECT(all[6].number == 8);
  EXPECT(all[7].number == 9 && all[7].close_on_exec == 0);
  for (const Descriptor& descriptor : all) EXPECT(cannot_restore(descriptor) == nullptr);
  std::ofstream out(folder + "/described", std::ios::binary);
  out.write(reinterpret_cast<const char*>(all.data()),
            static_cast<std::streamsize>(all.size() * sizeof(Descriptor)));
  return 0;
}

std::vector<Descriptor> read_described(const std::string& folder) {
  std::ifstream in(folder + "/described", std::ios::binary);
  std::vector<Descriptor> all(8);
  in.read(reinterpret_cast<char*>(all.data()),
          static_cast<std::streamsize>(all.size() * sizeof(Descriptor)));
  return all;
}

int restore_from(const std::string& folder) {
  const auto all = read_described(folder);
  EXPECT(begin_lower_half().ok());
  EXPECT(begin_descriptor_restore().ok());
  for (const Descriptor& descriptor : all) EXPECT(restore_descriptor(descriptor).ok());
  EXPECT(end_descriptor_restore().ok());
  char text[16] = {};
  EXPECT(read(4, text, 3) == 3 && std::strcmp(text, "456") == 0);
  EXPECT(read(9, text, 3) == 3 && std::strcmp(text, "789") == 0);  // one offset for both
  EXPECT(write(3, "!", 1) == 1);
  EXPECT((fcntl(4, F_GETFD) & FD_CLOEXEC) != 0 && fcntl(9, F_GETFD) == 0);
  struct stat left, right;
  EXPECT(fstat(8, &left) == 0 && fstat(2, &right) == 0 && left.st_ino == right.st_ino &&
         left.st_dev == right.st_dev);
  EXPECT(fcntl(0, F_GETFD) < 0);
  EXPECT(open_at("/dev/null", O_RDONLY) == 0);
  EXPECT(open_at("/dev/null", O_RDONLY) == 7);
  EXPECT(described().size() == 10);
  return 0;
}

}  // namespace

TEST_CASE("descriptors_are_the_same_after_a_restore") {
  const Folder folder;
  REQUIRE(in_new_process([&] { return describe_into(folder.path); }) == 0);
  REQUIRE(in_new_process([&] { return restore_from(folder.path); }) == 0);
  std::ifstream log(folder.path + "/log");
  std::string text;
  std::getline(log, text);
  REQUIRE(text == "hello!");
}

TEST_CASE("a_missing_file_is_named") {
  const Folder folder;
  REQUIRE(in_new_process([&] { return describe_into(folder.path); }) == 0);
  std::filesystem::remove(folder.path + "/log");
  REQUIRE(in_new_process([&] {
            const auto all = read_described(folder.path);
            EXPECT(begin_lower_half().ok());
            EXPECT(begin_descriptor_restore().ok());
            EXPECT(restore_descriptor(all[0]).ok());
            EXPECT(restore_descriptor(all[1]).ok());
            const Outcome missing = restore_descriptor(all[2]);
            EXPECT(!missing.ok());
            char message[512];
            format_error("restore", missing.error(), message, sizeof message);
            EXPECT(std::strstr(message, "/log: ") != nullptr);
            EXPECT(std::strstr(message, "No such file or directory") != nullptr);
            return 0;
          }) == 0);
}

TEST_CASE("what_cannot_be_restored_is_named") {
  REQUIRE(in_new_process([] {
            EXPECT(begin_lower_half().ok());
            int ends[2];
            EXPECT(pipe(ends) == 0);
            const int first = ends[0];
            const int second = socket(AF_UNIX, SOCK_STREAM, 0);
            char name[] = "/tmp/mana-gone-XXXXXX";
            const int third = mkstemp(name);
            unlink(name);
            for (const Descriptor& descriptor : described()) {
              const char* why = cannot_restore(descriptor);
              if (descriptor.number == first) EXPECT(std::strcmp(why, "pipe") == 0);
              if (descriptor.number == second) EXPECT(std::strcmp(why, "socket") == 0);
              if (descriptor.number == third) EXPECT(std::strcmp(why, "deleted file") == 0);
            }
            return 0;
          }) == 0);
}

TEST_CASE("the_limit_of_open_files_is_the_applications") {
  REQUIRE(in_new_process([] {
            EXPECT(begin_lower_half().ok());
            const FileLimit before = file_limit();
            EXPECT(set_file_limit({before.soft + 1, before.soft}) == -EINVAL);
            EXPECT(set_file_limit({20, before.hard}) == 0);
            EXPECT(file_limit().soft == 20);
            rlimit kernel{};
            EXPECT(getrlimit(RLIMIT_NOFILE, &kernel) == 0 && kernel.rlim_cur == 20 &&
                   kernel.rlim_max == before.hard);
            EXPECT(fcntl(2, F_DUPFD, 20) < 0 && errno == EINVAL && dup2(2, 20) < 0 &&
                   errno == EBADF);
            EXPECT(open_above("/dev/null") >=
                   first_lower_descriptor());  // the lower half can open all the same
            EXPECT(set_file_limit({before.hard, before.hard}) == 0);
            EXPECT(file_limit().soft == before.hard);
            EXPECT(getrlimit(RLIMIT_NOFILE, &kernel) == 0 &&
                   kernel.rlim_cur == static_cast<rlim_t>(first_lower_descriptor()));
            return 0;
          }) == 0);
}

TEST_CASE("only_the_lower_halfs_late_numbers_are_strays") {
  REQUIRE(in_new_process([] {
            EXPECT(begin_lower_half().ok());
            remember_numbers();
            const int stray = dup(2);
            find_strays();
            const int own = dup(2);
            EXPECT(is_stray(stray) && !is_stray(2));
            for (const Descriptor& one : described()) EXPECT(one.number != stray);
            EXPECT(described().back().number == own);
            close(stray);
            EXPECT(open("/dev/zero", O_RDONLY) == stray);  // another file: the application's
            EXPECT(!is_stray(stray));
            return 0;
          }) == 0);
}
