// SPDX-License-Identifier: BSD-3-Clause
#include "kernel-loader/inherited.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "kernel-loader/descriptor_line.h"
#include "kernel-loader/layout.h"
#include "kernel-loader/report.h"
#include "kernel-loader/sys.h"
#include "kernel-loader/text.h"

namespace mana::loader {
namespace {

constexpr int kMostStrays = 32;
constexpr int kFirstUnixTerminal = 136, kLastUnixTerminal = 143;  // majors of /dev/pts

struct Stray {
  int number;
  uint64_t device, inode;
};

constinit Inherited inherited[kMostInherited]{};
constinit int inherited_count = 0;
constinit Stray strays[kMostStrays]{};
constinit int stray_count = 0;
constinit uint64_t remembered[kMostApplicationDescriptors / 64]{};

bool look_at(int number, struct stat& status) {
  return !sys::failed(sys::raw(__NR_fstat, static_cast<uint64_t>(number), sys::bits(&status)));
}

bool inode_is_enough(const struct stat& status) {
  if (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)) return true;
  const unsigned kind = major(status.st_rdev);
  return S_ISCHR(status.st_mode) &&
         (kind == 4 || kind == 5 || (kind >= kFirstUnixTerminal && kind <= kLastUnixTerminal));
}

long keep(int descriptor) {
  const MakingDescriptors making;
  return sys::raw(__NR_fcntl, static_cast<uint64_t>(descriptor), F_DUPFD_CLOEXEC,
                  static_cast<uint64_t>(first_lower_descriptor()));
}

// linux_dirent64, which no header has.
struct Entry {
  uint64_t inode;
  int64_t offset;
  uint16_t bytes;
  uint8_t type;
  char name[];
};

}  // namespace

Outcome for_each_number(bool (*each)(int number, void* closure), void* closure) {
  const MakingDescriptors alone;
  const long folder = move_above(alone, sys::open_read("/proc/thread-self/fd", O_DIRECTORY));
  if (sys::failed(folder)) return Error{"open", sys::error_of(folder)}.at("/proc/thread-self/fd");
  alignas(Entry) char room[2048];
  bool more = true;
  while (more) {
    const long got =
        sys::raw(__NR_getdents64, static_cast<uint64_t>(folder), sys::bits(room), sizeof room);
    if (got <= 0) break;
    for (long at = 0; at < got && more;) {
      const auto* entry = reinterpret_cast<const Entry*>(room + at);
      at += entry->bytes;
      const char* name = entry->name;
      if (*name == '.') continue;
      const auto number = static_cast<int>(read_number(name, 10));
      if (number < first_lower_descriptor()) more = each(number, closure);
    }
  }
  sys::close(static_cast<int>(folder));
  return Done{};
}

Outcome add_inherited(int number, int descriptor) {
  struct stat status;
  if (inherited_count == kMostInherited || !look_at(descriptor, status)) return Done{};
  long kept = -1;
  if (!inode_is_enough(status)) {
    kept = keep(descriptor);
    if (sys::failed(kept)) {
      return Error{"keep what was inherited as descriptor", sys::error_of(kept),
                   static_cast<uint64_t>(number)}
          .so("raise the limit of open files (ulimit -n)");
    }
  }
  inherited[inherited_count++] = {number, static_cast<int32_t>(kept), status.st_dev, status.st_ino};
  return Done{};
}

Outcome note_inherited() {
  if (inherited_count != 0) return Done{};
  remember_numbers();
  for (int number = 0; number < first_lower_descriptor(); number++) {
    if ((remembered[number / 64] >> (number % 64) & 1) == 0) continue;
    if (Outcome added = add_inherited(number, number); !added.ok()) return added;
  }
  return Done{};
}

const Inherited* inherited_descriptors(int& count) {
  count = inherited_count;
  return inherited;
}

void remember_numbers() {
  for (uint64_t& word : remembered) word = 0;
  const auto remember = [](int number, void*) {
    remembered[number / 64] |= uint64_t{1} << (number % 64);
    return true;
  };
  static_cast<void>(
      for_each_number(remember, nullptr));  // without /proc nothing works, and load_program says so
}

void find_strays() {
  const int before = stray_count;
  const auto look = [](int number, void*) {
    struct stat status;
    if ((remembered[number / 64] >> (number % 64) & 1) != 0 || stray_count == kMostStrays ||
        !look_at(number, status))
      return true;
    strays[stray_count++] = {number, status.st_dev, status.st_ino};
    return true;
  };
  static_cast<void>(for_each_number(look, nullptr));
  for (int i = before; i < stray_count; i++) {
    char link[64], path[160];
    TextLine(link, sizeof link).add("/proc/thread-self/fd/").decimal(strays[i].number);
    const long length = sys::raw(__NR_readlink, sys::bits(link), sys::bits(path), sizeof path - 1);
    path[sys::failed(length) ? 0 : length] = 0;
    report("descriptors", Error{"a library of the lower half keeps a number of the application's",
                                0, static_cast<uint64_t>(strays[i].number)}
                              .at(path)
                              .so("it works, and is left out of checkpoints"));
  }
}

bool is_stray(int number) {
  for (int i = 0; i < stray_count; i++) {
    struct stat status;
    if (strays[i].number == number && look_at(number, status) &&
        status.st_dev == strays[i].device && status.st_ino == strays[i].inode)
      return true;
  }
  return false;
}

}  // namespace mana::loader
