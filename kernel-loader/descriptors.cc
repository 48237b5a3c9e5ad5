// SPDX-License-Identifier: BSD-3-Clause
// What the application's descriptors are, for the image, and how they are made again.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "kernel-loader/descriptor_line.h"
#include "kernel-loader/gate.h"
#include "kernel-loader/inherited.h"
#include "kernel-loader/layout.h"
#include "kernel-loader/sys.h"
#include "kernel-loader/text.h"

namespace mana::loader {
namespace {

constexpr int kStandardStreams = 3;
constexpr uint64_t kHere = static_cast<uint64_t>(AT_FDCWD);
// What must not happen again when a file is opened again, and what open does not take.
constexpr int kNotAgain = O_CREAT | O_EXCL | O_TRUNC | O_ASYNC;

uint64_t as_argument(int number) { return static_cast<uint64_t>(number); }

// "pos:\t123\nflags:\t0100002\n..." (proc_pid_fdinfo(5))
bool read_fdinfo(int number, Descriptor& into) {
  char path[64];
  TextLine(path, sizeof path).add("/proc/thread-self/fdinfo/").decimal(number);
  const long file = open_for_a_moment(path);
  if (sys::failed(file)) return false;
  char text[256];
  const long got = sys::read(static_cast<int>(file), text, sizeof text - 1);
  sys::close(static_cast<int>(file));
  if (got <= 0) return false;
  text[got] = 0;
  for (const char* at = text; *at != 0;) {
    if (starts_with(at, "pos:\t"))
      into.offset = static_cast<int64_t>(read_number(at += 5, 10));
    else if (starts_with(at, "flags:\t"))
      into.flags = static_cast<int32_t>(read_number(at += 7, 8));
    while (*at != 0 && *at++ != '\n') {
    }
  }
  into.close_on_exec = (into.flags & O_CLOEXEC) != 0 ? 1 : 0;
  into.flags &= ~(O_CLOEXEC | kNotAgain);
  return true;
}

DescriptorKind kind_of(uint32_t mode) {
  if (S_ISREG(mode)) return DescriptorKind::file;
  if (S_ISDIR(mode)) return DescriptorKind::directory;
  if (S_ISCHR(mode)) return DescriptorKind::device;
  return DescriptorKind::other;
}

Outcome describe(int number, Descriptor& into) {
  into.number = number;
  into.offset = 0;
  into.flags = 0;
  into.unlinked = 0;
  into.standard_number = -1;
  char link[64];
  TextLine(link, sizeof link).add("/proc/thread-self/fd/").decimal(number);
  const long length =
      sys::raw(__NR_readlink, sys::bits(link), sys::bits(into.path), sizeof into.path - 1);
  if (sys::failed(length)) return Error{"read", sys::error_of(length)}.at(link);
  into.path[length] = 0;
  if (!read_fdinfo(number, into)) return Error{"read the fdinfo of a descriptor"}.at(link);
  struct stat status;
  const long seen = sys::raw(__NR_fstat, as_argument(number), sys::bits(&status));
  if (sys::failed(seen)) return Error{"fstat", sys::error_of(seen)}.at(link);
  into.kind = kind_of(status.st_mode);
  into.device = status.st_dev;
  into.inode = status.st_ino;
  into.same_as = number;
  if (into.kind == DescriptorKind::other) return Done{};
  struct stat named;
  const long there = sys::raw(__NR_stat, sys::bits(into.path), sys::bits(&named));
  const bool same_file =
      !sys::failed(there) && named.st_ino == status.st_ino && named.st_dev == status.st_dev;
  into.unlinked = same_file ? 0 : 1;
  return Done{};
}

// During a restore: the new process's own streams, and what has been restored of their numbers.
struct Restore {
  int streams[kStandardStreams] = {-1, -1, -1};
  uint64_t done[kMostApplicationDescriptors / 64] = {};
  bool is_done(int number) const { return (done[number / 64] >> (number % 64) & 1) != 0; }
};
constinit Restore restore;

// Above the line: below it the numbers are being given away.
long open_for_restore(const char* path, int flags) {
  const MakingDescriptors making;
  return move_above(making, sys::raw(__NR_openat, kHere, sys::bits(path), as_argument(flags)));
}

Result<int> open_again(const Descriptor& descriptor) {
  const int flags = (descriptor.flags & ~kNotAgain) | O_CLOEXEC | O_NOCTTY;
  const long got = open_for_restore(descriptor.path, flags);
  if (sys::failed(got))
    return Error{"open again for the application", sys::error_of(got)}.at(descriptor.path);
  const int opened = static_cast<int>(got);
  struct stat status;
  sys::raw(__NR_fstat, as_argument(opened), sys::bits(&status));
  if (kind_of(status.st_mode) != descriptor.kind) {
    sys::close(opened);
    return Error{"open again for the application: it is another kind of file now"}.at(
        descriptor.path);
  }
  if ((flags & O_PATH) == 0 && descriptor.kind != DescriptorKind::device) {
    const long moved = sys::raw(__NR_lseek, as_argument(opened),
                                static_cast<uint64_t>(descriptor.offset), SEEK_SET);
    if (sys::failed(moved)) {
      sys::close(opened);
      return Error{"set the offset of", sys::error_of(moved),
                   static_cast<uint64_t>(descriptor.offset)}
          .at(descriptor.path);
    }
  }
  return opened;
}

Outcome check_number(const Descriptor& descriptor) {
  const int number = descriptor.number;
  if (number < 0 || number >= first_lower_descriptor()) {
    return Error{"the application's descriptor is above the limit of open files", 0,
                 as_argument(number), as_argument(first_lower_descriptor())}
        .so("raise the hard limit (ulimit -Hn) to what it was at the launch");
  }
  if (!is_stray(number)) return Done{};
  return Error{"a library of the lower half keeps the number of an application's descriptor", 0,
               as_argument(number)}
      .at(descriptor.path)
      .so("restart it with another MPI");
}

Outcome put_at(int from, const Descriptor& descriptor) {
  const int number = descriptor.number;
  const MakingDescriptors alone;
  const long put = sys::raw(__NR_dup3, as_argument(from), as_argument(number),
                            descriptor.close_on_exec != 0 ? O_CLOEXEC : 0);
  if (sys::failed(put))
    return Error{"give a descriptor its number", sys::error_of(put), as_argument(number)}.at(
        descriptor.path);
  restore.done[number / 64] |= uint64_t{1} << (number % 64);
  return Done{};
}

Outcome restore_stream(const Descriptor& descriptor) {
  const int stream = descriptor.standard_number;
  if (stream < 0 || stream >= kStandardStreams)
    return Error{"unusable description of a descriptor", 0, as_argument(descriptor.number)};
  if (restore.streams[stream] < 0) {
    const long null = open_for_restore("/dev/null", O_RDWR | O_CLOEXEC);
    if (sys::failed(null)) return Error{"open", sys::error_of(null)}.at("/dev/null");
    restore.streams[stream] = static_cast<int>(null);
    if (Outcome added = add_inherited(stream, restore.streams[stream]); !added.ok()) return added;
  }
  return put_at(restore.streams[stream], descriptor);
}

// The application's numbers, in ascending order.  Only the agent asks; too large for its stack.
struct Numbers {
  int count = 0;
  int all[kMostApplicationDescriptors];
};
constinit Numbers numbers{};

Outcome collect_numbers() {
  numbers.count = 0;
  const auto add = [](int number, void*) {
    if (!is_stray(number)) numbers.all[numbers.count++] = number;
    return true;
  };
  if (Outcome listed = for_each_number(add, nullptr); !listed.ok()) return listed;
  std::sort(numbers.all, numbers.all + numbers.count);
  return Done{};
}

}  // namespace

Outcome describe_descriptors(bool (*each)(const Descriptor&, void* closure), void* closure) {
  static Descriptor descriptor;
  if (Outcome collected = collect_numbers(); !collected.ok()) return collected;
  for (int i = 0; i < numbers.count; i++) {
    // The application stands still: what has gone meanwhile was inside a function of the lower
    // half's libc.
    const Outcome described = describe(numbers.all[i], descriptor);
    if (!described.ok() &&
        (described.error().number == ENOENT || described.error().number == EBADF))
      continue;
    if (!described.ok()) return described;
    if (!each(descriptor, closure)) break;
  }
  return Done{};
}

const char* cannot_restore(const Descriptor& descriptor) {
  struct Word {
    const char* prefix;
    const char* word;
  };
  static constexpr Word kWords[] = {
      {"socket:", "socket"},
      {"pipe:", "pipe"},
      {"anon_inode:[eventpoll]", "epoll"},
      {"anon_inode:[eventfd]", "eventfd"},
      {"anon_inode:[timerfd]", "timerfd"},
      {"anon_inode:[signalfd]", "signalfd"},
      {"anon_inode:inotify", "inotify"},
      {"anon_inode:[perf_event]", "performance counter"},
      {"anon_inode:[io_uring]", "io_uring"},
      {"anon_inode:[pidfd]", "pidfd"},
      {"anon_inode:[userfaultfd]", "userfaultfd"},
  };
  if (descriptor.kind == DescriptorKind::standard || descriptor.kind == DescriptorKind::inherited)
    return nullptr;
  if (descriptor.kind == DescriptorKind::other) {
    for (const Word& known : kWords) {
      if (starts_with(descriptor.path, known.prefix)) return known.word;
    }
    return "special file";
  }
  return descriptor.unlinked != 0 ? "deleted file" : nullptr;
}

Outcome begin_descriptor_restore() {
  find_strays();  // since main began nobody but the lower half has opened anything
  restore = Restore{};
  raise_file_limit();
  for (int stream = 0; stream < kStandardStreams; stream++) {
    const long kept = sys::raw(__NR_fcntl, as_argument(stream), F_DUPFD_CLOEXEC,
                               as_argument(first_lower_descriptor()));
    if (kept == -EBADF) continue;
    if (sys::failed(kept))
      return Error{"keep a standard stream", sys::error_of(kept), as_argument(stream)};
    restore.streams[stream] = static_cast<int>(kept);
  }
  return Done{};
}

Outcome restore_descriptor(const Descriptor& descriptor) {
  if (Outcome known = check_number(descriptor); !known.ok()) return known;
  if (descriptor.kind == DescriptorKind::inherited) return Done{};
  const bool duplicate = descriptor.same_as >= 0 && descriptor.same_as < descriptor.number;
  if (const char* why = cannot_restore(descriptor); why != nullptr && !duplicate) {
    return Error{"the application's descriptor cannot be made again"}.at(descriptor.path).so(why);
  }
  if (descriptor.kind == DescriptorKind::standard) return restore_stream(descriptor);
  if (duplicate) return put_at(descriptor.same_as, descriptor);
  const Result<int> opened = open_again(descriptor);
  if (!opened.ok()) return opened.error();
  const Outcome put = put_at(opened.value(), descriptor);
  sys::close(opened.value());
  return put;
}

Outcome place_descriptor(const Descriptor& descriptor, int made) {
  if (Outcome known = check_number(descriptor); !known.ok()) return known;
  const Outcome put = put_at(made, descriptor);
  sys::close(made);
  return put;
}

Outcome end_descriptor_restore() {
  for (int stream = 0; stream < kStandardStreams; stream++) {
    if (restore.streams[stream] >= 0) sys::close(restore.streams[stream]);
  }
  if (Outcome collected = collect_numbers(); !collected.ok()) return collected;
  for (int i = 0; i < numbers.count; i++) {
    if (!restore.is_done(numbers.all[i])) sys::close(numbers.all[i]);
  }
  lower_file_limit();
  return Done{};
}

}  // namespace mana::loader
