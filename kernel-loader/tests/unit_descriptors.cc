// SPDX-License-Identifier: BSD-3-Clause
// Descriptors described in one process and made again in another.  Each process is a forked one of
// its own, because holding the application's numbers changes a process for good.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "kernel-loader/descriptor_table.h"
#include "kernel-loader/gate.h"
#include "kernel-loader/gate_data.h"
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

// What the gate does for the application, without an application.
int app_open(const std::string& path, int flags, mode_t mode = 0) {
  return static_cast<int>(adopt_descriptor(open(path.c_str(), flags, mode)));
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
  EXPECT(hold_descriptors().ok());
  EXPECT(open("/dev/null", O_RDONLY) >= descriptor_table().first_lower());  // a lower half's own
  const int log = app_open(folder + "/log", O_CREAT | O_WRONLY | O_APPEND | O_EXCL, 0600);
  EXPECT(log == 3);
  EXPECT(write(log, "hello", 5) == 5);
  const int data = app_open(folder + "/data", O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600);
  EXPECT(data == 4);
  EXPECT(write(data, "0123456789", 10) == 10);
  EXPECT(lseek(data, 4, SEEK_SET) == 4);
  EXPECT(app_open(folder, O_RDONLY | O_DIRECTORY) == 5);
  EXPECT(app_open("/dev/zero", O_RDONLY) == 6);
  EXPECT(dup3(data, 9, 0) == 9);  // as the gate's dup2 does
  descriptor_table().set_used(9, descriptor_table().description(data));
  EXPECT(dup3(2, 8, 0) == 8);
  descriptor_table().set_inherited(8, 2);
  descriptor_table().release(0);  // close(0)

  const auto all = described();
  EXPECT(all.size() == 8);
  EXPECT(all[0].number == 1 && all[0].kind == DescriptorKind::standard &&
         all[0].standard_number == 1);
  EXPECT(all[2].number == 3 && all[2].kind == DescriptorKind::file &&
         (all[2].flags & O_APPEND) != 0);
  EXPECT((all[2].flags & (O_CREAT | O_EXCL)) == 0 && all[2].offset == 5);
  EXPECT(all[3].number == 4 && all[3].offset == 4 && all[3].close_on_exec == 1);
  EXPECT(all[4].kind == DescriptorKind::directory && all[5].kind == DescriptorKind::device);
  EXPECT(all[6].number == 8 && all[6].kind == DescriptorKind::standard &&
         all[6].standard_number == 2);
  EXPECT(all[7].number == 9 && all[7].same_as == 4 && all[7].close_on_exec == 0);
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
  EXPECT(!is_application_descriptor(0));
  EXPECT(app_open("/dev/null", O_RDONLY) == 0);
  EXPECT(app_open("/dev/null", O_RDONLY) == 7);
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
            EXPECT(hold_descriptors().ok());
            int ends[2];
            EXPECT(pipe(ends) == 0);
            const int first = static_cast<int>(adopt_descriptor(ends[0]));
            const int second = static_cast<int>(adopt_descriptor(socket(AF_UNIX, SOCK_STREAM, 0)));
            char name[] = "/tmp/mana-gone-XXXXXX";
            const int gone = mkstemp(name);
            unlink(name);
            const int third = static_cast<int>(adopt_descriptor(gone));
            for (const Descriptor& descriptor : described()) {
              const char* why = cannot_restore(descriptor);
              if (descriptor.number < 3) EXPECT(why == nullptr);
              if (descriptor.number == first) EXPECT(std::strcmp(why, "pipe") == 0);
              if (descriptor.number == second) EXPECT(std::strcmp(why, "socket") == 0);
              if (descriptor.number == third) EXPECT(std::strcmp(why, "deleted file") == 0);
            }
            return 0;
          }) == 0);
}
