// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "kernel-loader/layout.h"
#include "lower/descriptor_contents.h"
#include "lower/descriptor_signals.h"
#include "lower/descriptor_identity.h"
#include "lower/moved_files.h"

namespace mana::lower {
namespace {

using loader::Descriptor;
using loader::DescriptorKind;

// The bytes of files without a name travel in the notes of the image, which have a bound of their own.
constexpr uint64_t kMostFileBytes = 512 << 20;
constexpr std::size_t kPiece = 1 << 20;
constexpr unsigned long kHugeTlbMagic = 0x958458f6;

bool starts(const std::string& text, const char* with) { return text.rfind(with, 0) == 0; }

bool ends(const std::string& text, const std::string& with) {
  return text.size() >= with.size() && text.compare(text.size() - with.size(), with.size(), with) == 0;
}

std::string failure(const char* what) { return std::string(what) + ": " + std::strerror(errno); }

bool is_the_launchers(const Descriptor& descriptor) {
  return descriptor.kind == DescriptorKind::standard || descriptor.kind == DescriptorKind::inherited;
}

// The lowest number whose open file is of the same inode and made again with it.
int first_of_inode(const Descriptor& descriptor, const SeenDescriptors& all) {
  for (const Descriptor* one : all.of(inode_of(descriptor))) {
    if (!is_the_launchers(*one)) return one->number;
  }
  return descriptor.number;
}

// "1: FLOCK  ADVISORY  WRITE 8792 fe:00:10954784 0 EOF" (proc_pid_fdinfo(5)); the process's own POSIX locks are shown
// at each of its descriptors of the file.
std::string save_locks(const Descriptor& descriptor, const std::string& info, Contents& into) {
  for (std::size_t at = 0; (at = info.find("lock:\t", at)) != std::string::npos; ++at) {
    char kind[16], type[16], end[32];
    unsigned long long start = 0;
    if (std::sscanf(info.c_str() + at, "lock:\t%*d: %15s %*s %15s %*d %*s %llu %31s", kind, type, &start, end) != 4)
      return "a lock of an unknown kind";
    const std::string what = kind;
    LockKind lock;
    if (what == "FLOCK")
      lock = LockKind::flock;
    else if (what == "POSIX")
      lock = LockKind::posix;
    else if (what == "OFDLCK")
      lock = LockKind::open_file;
    else
      return "a lease or another lock that cannot be taken again";
    const bool writes = std::string(type) == "WRITE";
    const uint64_t length = std::string(end) == "EOF" ? 0 : std::strtoull(end, nullptr, 10) - start + 1;
    // One that this descriptor may not take (a write lock needs a descriptor open for writing) is another one's.
    const int access = descriptor.flags & O_ACCMODE;
    if (lock == LockKind::posix && (writes ? access == O_RDONLY : access == O_WRONLY)) continue;
    into.add(ItemKind::lock, {}, static_cast<uint64_t>(lock), static_cast<uint64_t>(writes ? F_WRLCK : F_RDLCK), start,
             length);
  }
  return {};
}

std::string save_extents(int file, uint64_t bytes, Contents& into) {
  // lseek moves the application's offset; it is put back before anybody sees it.
  const off_t offset = lseek(file, 0, SEEK_CUR);
  uint64_t taken = 0;
  const auto put_back = [&](std::string why) {
    lseek(file, offset, SEEK_SET);
    return why;
  };
  for (off_t at = 0; static_cast<uint64_t>(at) < bytes;) {
    at = lseek(file, at, SEEK_DATA);
    if (at < 0) break;  // ENXIO: nothing but a hole is left
    const off_t hole = lseek(file, at, SEEK_HOLE);
    const off_t end = hole < 0 ? static_cast<off_t>(bytes) : std::min(hole, static_cast<off_t>(bytes));
    while (at < end) {
      std::string piece(std::min(kPiece, static_cast<std::size_t>(end - at)), '\0');
      const ssize_t got = pread(file, piece.data(), piece.size(), at);
      if (got <= 0) return put_back(failure("read it"));
      if ((taken += static_cast<uint64_t>(got)) > kMostFileBytes)
        return put_back("larger than an image takes of a file without a name");
      piece.resize(static_cast<std::size_t>(got));
      into.add(ItemKind::extent, std::move(piece), static_cast<uint64_t>(at));
      at += got;
    }
  }
  return put_back({});
}

// Shared mappings of the file below the line: they are mapped again, so that they stay the file's.
void save_mappings(const Inode& inode, Contents& into) {
  const std::unique_ptr<FILE, int (*)(FILE*)> maps(std::fopen("/proc/thread-self/maps", "re"), std::fclose);
  if (maps == nullptr) return;
  char line[8192];
  while (std::fgets(line, sizeof line, maps.get()) != nullptr) {
    uint64_t begin, end, offset, number;
    unsigned high, low;
    char mode[5] = {};
    if (std::sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64, &begin, &end, mode, &offset, &high,
                    &low, &number) != 7)
      continue;
    if (begin >= loader::kLine || mode[3] != 's' || number != inode.number || makedev(high, low) != inode.device)
      continue;
    const int protection =
        (mode[0] == 'r' ? PROT_READ : 0) | (mode[1] == 'w' ? PROT_WRITE : 0) | (mode[2] == 'x' ? PROT_EXEC : 0);
    into.add(ItemKind::mapping, {}, begin, end - begin, static_cast<uint64_t>(protection), offset);
  }
}

// A regular file that no path leads to.
std::string save_nameless(const Descriptor& descriptor, const SeenDescriptors& all, Contents& into) {
  const std::string path = descriptor.path;
  struct stat status {};
  struct statfs system {};
  if (fstat(descriptor.number, &status) != 0 || fstatfs(descriptor.number, &system) != 0) return failure("fstat");
  if (path[0] != '/') return "nothing makes it again";  // a name space
  if (!ends(path, " (deleted)")) return "another file has its name now";
  if (starts(path, "/secretmem")) return "secret memory";
  if (status.st_nlink != 0) return "deleted, but it has another name";
  if (static_cast<unsigned long>(system.f_type) == kHugeTlbMagic) return "file in huge pages";
  if ((descriptor.flags & O_PATH) != 0) return "deleted file, open as a path only";
  into.kind = starts(path, "/memfd:") ? ContentsKind::memfd : ContentsKind::unlinked;
  into.words[0] = static_cast<uint64_t>(first_of_inode(descriptor, all));
  into.words[1] = static_cast<uint64_t>(status.st_size);
  into.words[2] = status.st_mode & 07777;
  if (into.words[0] != static_cast<uint64_t>(descriptor.number)) return {};
  into.add(ItemKind::owner, {}, status.st_uid, status.st_gid);
  for (const timespec& time : {status.st_atim, status.st_mtim})
    into.add(ItemKind::time, {}, static_cast<uint64_t>(time.tv_sec), static_cast<uint64_t>(time.tv_nsec));
  if (into.kind == ContentsKind::memfd)
    into.words[3] = static_cast<uint64_t>(std::max(0, fcntl(descriptor.number, F_GET_SEALS)));
  save_mappings({status.st_dev, status.st_ino}, into);
  if ((descriptor.flags & O_ACCMODE) != O_WRONLY) return save_extents(descriptor.number, into.words[1], into);
  // Closing what is opened here gives up the process's POSIX locks of the file.
  for (const Item& item : into.items) {
    if (item.kind == ItemKind::lock && item.words[0] == static_cast<uint64_t>(LockKind::posix))
      return "deleted file, locked and only for writing";
  }
  const int reader = open(("/proc/self/fd/" + std::to_string(descriptor.number)).c_str(), O_RDONLY | O_CLOEXEC);
  if (reader < 0) return failure("open it for reading");
  std::string why = save_extents(reader, into.words[1], into);
  close(reader);
  return why;
}

std::string save_removed_directory(const Descriptor& descriptor, const SeenDescriptors& all, Contents& into) {
  struct stat status {};
  if (fstat(descriptor.number, &status) != 0) return failure("fstat");
  if (starts(descriptor.path, "/proc/") || !ends(descriptor.path, " (deleted)")) return "nothing makes it again";
  if (descriptor.offset != 0) return "it is being listed";
  into.kind = ContentsKind::removed_directory;
  into.words[0] = static_cast<uint64_t>(first_of_inode(descriptor, all));
  into.words[2] = status.st_mode & 07777;
  struct stat working {};
  into.words[3] = stat(".", &working) == 0 && Inode{working.st_dev, working.st_ino} == inode_of(descriptor);
  return {};
}

// What a read of more than one takes.  All is put back.
bool is_semaphore(int number, uint64_t count) {
  constexpr uint64_t kEnough = 2;
  if (count < kEnough && write(number, &kEnough, sizeof kEnough) < 0) return false;
  const uint64_t before = count < kEnough ? count + kEnough : count;
  uint64_t got = 0;
  if (read(number, &got, sizeof got) != sizeof got) return false;
  if (got == before) {
    if (count > 0) static_cast<void>(!write(number, &count, sizeof count));
    return false;
  }
  for (uint64_t left = before - got; left > count; --left) static_cast<void>(!read(number, &got, sizeof got));
  if (before == count) static_cast<void>(!write(number, &got, sizeof got));
  return true;
}

std::string save_eventfd(int number, const std::string& info, Contents& into) {
  into.kind = ContentsKind::eventfd;
  into.words[0] = std::strtoull(field(info, "eventfd-count:").c_str(), nullptr, 16);
  const std::string semaphore = field(info, "eventfd-semaphore:");  // Linux 6.5
  into.words[1] = semaphore.empty() ? is_semaphore(number, into.words[0]) : std::strtoull(semaphore.c_str(), nullptr, 10);
  return {};
}

std::string save_timerfd(int number, Contents& into) {
  into.kind = ContentsKind::timerfd;
  // Also makes the kernel count the expirations of a periodic timer up to now.
  itimerspec timer{};
  if (timerfd_gettime(number, &timer) != 0) return failure("timerfd_gettime");
  const std::string info = fdinfo(number);
  if (field(info, "clockid:").empty()) return "its state is not told (CONFIG_PROC_FS)";
  const auto clock = static_cast<clockid_t>(std::atoi(field(info, "clockid:").c_str()));
  into.words[0] = static_cast<uint64_t>(clock);
  into.words[1] = std::strtoull(field(info, "settime flags:").c_str(), nullptr, 8);
  into.words[6] = std::strtoull(field(info, "ticks:").c_str(), nullptr, 10);
  const bool armed = timer.it_value.tv_sec != 0 || timer.it_value.tv_nsec != 0;
  // A time of the day stays one; all other timers keep what was left.
  const bool of_the_day = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_ALARM;
  if (!of_the_day) into.words[1] &= ~uint64_t{TFD_TIMER_ABSTIME};
  if (armed && (into.words[1] & TFD_TIMER_ABSTIME) != 0) {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    timer.it_value.tv_sec += now.tv_sec;
    timer.it_value.tv_nsec += now.tv_nsec;
    if (timer.it_value.tv_nsec >= 1'000'000'000) timer.it_value.tv_nsec -= 1'000'000'000, timer.it_value.tv_sec++;
  }
  into.words[2] = static_cast<uint64_t>(timer.it_value.tv_sec);
  into.words[3] = static_cast<uint64_t>(timer.it_value.tv_nsec);
  into.words[4] = static_cast<uint64_t>(timer.it_interval.tv_sec);
  into.words[5] = static_cast<uint64_t>(timer.it_interval.tv_nsec);
  return {};
}

std::string save_signalfd(const std::string& info, Contents& into) {
  into.kind = ContentsKind::signalfd;
  into.words[0] = std::strtoull(field(info, "sigmask:").c_str(), nullptr, 16);
  return {};
}

// An epoll remembers open files, not numbers; fdinfo tells the number under which each was added.  That number must
// still be this open file's.
bool watches(int epoll, int number) {
  kcmp_epoll_slot slot{static_cast<uint32_t>(epoll), static_cast<uint32_t>(number), 0};
  const pid_t self = gettid();  // the main thread may have ended, and shows nothing then
  const long compared = syscall(SYS_kcmp, self, self, KCMP_EPOLL_TFD, number, &slot);
  return compared == 0 || (compared < 0 && (errno == ENOSYS || errno == EPERM));  // this kernel does not tell
}

std::string save_epoll(int number, const std::string& info, const SeenDescriptors& all, Contents& into) {
  into.kind = ContentsKind::epoll;
  for (std::size_t at = 0; (at = info.find("tfd:", at)) != std::string::npos; ++at) {
    int watched = -1;
    unsigned events = 0;
    unsigned long long data = 0;
    if (std::sscanf(info.c_str() + at, "tfd: %d events: %x data: %llx", &watched, &events, &data) != 3)
      return "its set is not told";
    if (all.find(watched) == nullptr || !watches(number, watched))
      return "it watches an open file whose number " + std::to_string(watched) + " was closed";
    into.add(ItemKind::watch, {}, static_cast<uint64_t>(watched), events, data);
  }
  return {};
}

// --- pipes
struct Pipe {
  Pipe() {
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) ends[0] = ends[1] = -1;
  }
  ~Pipe() {
    close(ends[0]);
    close(ends[1]);
  }
  int ends[2];
};

// tee() copies references to what is in the pipe and takes nothing out; a read of the copy ends at the boundary of a
// packet.
std::string copy_pipe(int reader, int capacity, Contents& into) {
  int unread = 0;
  if (ioctl(reader, FIONREAD, &unread) != 0) return failure("FIONREAD");
  if (unread == 0) return {};
  Pipe copy;
  if (copy.ends[0] < 0 || (fcntl(copy.ends[1], F_GETPIPE_SZ) != capacity && fcntl(copy.ends[1], F_SETPIPE_SZ, capacity) < 0))
    return failure("make a pipe of its capacity");
  const ssize_t copied = tee(reader, copy.ends[1], static_cast<std::size_t>(unread), SPLICE_F_NONBLOCK);
  if (copied != unread) return copied < 0 ? failure("tee") : "its bytes cannot be copied at once";
  for (ssize_t left = copied; left > 0;) {
    std::string packet(static_cast<std::size_t>(left), '\0');
    const ssize_t got = read(copy.ends[0], packet.data(), packet.size());
    if (got <= 0) return failure("read its copy");
    packet.resize(static_cast<std::size_t>(got));
    into.add(ItemKind::packet, std::move(packet));
    left -= got;
  }
  return {};
}

std::string save_pipe(const Descriptor& descriptor, const SeenDescriptors& all, Contents& into) {
  const bool named = descriptor.path[0] == '/' && !ends(descriptor.path, " (deleted)");
  into.kind = named ? ContentsKind::fifo : ContentsKind::pipe;
  if ((descriptor.flags & O_PATH) != 0) return "FIFO, open as a path only";
  struct stat status {};
  fstat(descriptor.number, &status);
  const int capacity = fcntl(descriptor.number, F_GETPIPE_SZ);
  if (capacity <= 0) return failure("F_GETPIPE_SZ");
  into.words[0] = static_cast<uint64_t>(first_of_inode(descriptor, all));
  into.words[1] = static_cast<uint64_t>(capacity);
  into.words[3] = status.st_mode & 07777;
  if ((descriptor.flags & O_ACCMODE) == O_WRONLY) return {};
  // The bytes are saved once, with the first that can read them.
  for (const Descriptor* other : all.of(inode_of(descriptor))) {
    if (other->number >= descriptor.number) break;
    if ((other->flags & O_ACCMODE) != O_WRONLY) return {};
  }
  return copy_pipe(descriptor.number, capacity, into);
}

bool has_state(const std::string& path) {
  for (const char* device : {"/dev/kvm", "/dev/vhost-", "/dev/vfio/", "/dev/net/tun", "/dev/fuse", "/dev/userfaultfd",
                             "/dev/infiniband/", "/dev/nvidia", "/dev/dri/", "/dev/kfd"}) {
    if (starts(path, device)) return true;
  }
  return false;
}

bool is_message_queue(int number) {
  constexpr unsigned long kMessageQueues = 0x19800202;  // linux/magic.h
  struct statfs system {};
  return fstatfs(number, &system) == 0 && static_cast<unsigned long>(system.f_type) == kMessageQueues;
}

// Why it cannot be saved; empty: it is, and `is_needed` says whether `into` is to be in the image.
std::string save_one(const Descriptor& descriptor, const SeenDescriptors& all, Contents& into, bool& is_needed) {
  const int number = descriptor.number;
  const std::string path = descriptor.path, info = fdinfo(number);
  if (is_the_launchers(descriptor) || descriptor.same_as != number) return {};
  if (descriptor.kind == DescriptorKind::file && is_message_queue(number)) return "a POSIX message queue belongs to its host";
  if (std::string why = save_locks(descriptor, info, into); !why.empty()) return why;
  if (descriptor.kind == DescriptorKind::device) {
    if (has_state(path)) return "device with a state of its own";
    std::string why = save_terminal(descriptor, info, all, into, is_needed);
    const bool terminal = is_needed || starts(path, "/dev/pts/");
    if (why.empty() && !terminal && descriptor.unlinked != 0) return "its name leads to no device, or to another one, now";
    return why;
  }
  if (starts(path, ("/proc/" + std::to_string(getpid()) + "/task/").c_str())) return "a file of one thread in /proc";
  if (loader::cannot_restore(descriptor) == nullptr) {
    note_file(descriptor, into);
    is_needed = !into.items.empty() || into.words[0] != 0;
    return {};
  }
  is_needed = true;
  if (descriptor.kind == DescriptorKind::file) return save_nameless(descriptor, all, into);
  if (descriptor.kind == DescriptorKind::directory) return save_removed_directory(descriptor, all, into);
  if (path == "anon_inode:[eventfd]") return save_eventfd(descriptor.number, info, into);
  if (path == "anon_inode:[timerfd]") return save_timerfd(number, into);
  if (path == "anon_inode:[signalfd]") return save_signalfd(info, into);
  if (path == "anon_inode:[eventpoll]") return save_epoll(number, info, all, into);
  if (path == "anon_inode:inotify") return save_inotify(number, info, all, into);
  if (starts(path, "socket:")) return save_socket(descriptor, all, into);
  struct stat status {};
  if (fstat(number, &status) == 0 && S_ISFIFO(status.st_mode)) return save_pipe(descriptor, all, into);
  return "nothing makes it again";
}

}  // namespace

// Its own files in /proc are those of the process that it becomes.
void name_own_files(Descriptor& descriptor) {
  const std::string own = "/proc/" + std::to_string(getpid()), path = descriptor.path;
  if (path != own && !starts(path, (own + "/").c_str())) return;
  const std::string renamed = "/proc/self" + path.substr(own.size());
  if (renamed.size() < sizeof descriptor.path) std::strcpy(descriptor.path, renamed.c_str());
}

SavedDescriptors save_descriptors() {
  SavedDescriptors saved;
  Descriptors found;
  const auto each = [](const Descriptor& descriptor, void* closure) {
    static_cast<Descriptors*>(closure)->push_back(descriptor);
    return true;
  };
  const auto described = loader::describe_descriptors(each, &found);
  if (!described.ok())
    saved.error = std::string("describe the application's descriptors: ") + std::strerror(described.error().number);
  identify_descriptors(found);
  saved.signals = descriptor_signals(found);
  const SeenDescriptors all(std::move(found));
  for (const Descriptor& descriptor : all.all()) {
    Descriptor described_as = descriptor;
    name_own_files(described_as);
    append(saved.table, described_as);
    Contents contents;
    contents.number = descriptor.number;
    bool is_needed = false;
    const std::string why = save_one(descriptor, all, contents, is_needed);
    if (!why.empty()) {
      const char* kind = loader::cannot_restore(descriptor);
      saved.error = "the application has descriptor " + std::to_string(descriptor.number) +
                    " open, which cannot be saved: " + (kind != nullptr ? std::string(kind) + ": " : "") + why + " (" +
                    descriptor.path + ")";
    } else if (is_needed) {
      for (const Item& item : contents.items) {
        if (item.kind == ItemKind::mapping) saved.mapped.insert(item.words[0]);
      }
      append(saved.contents, contents);
    }
  }
  return saved;
}

}  // namespace mana::lower
