// SPDX-License-Identifier: BSD-3-Clause
// Order: every open file is made and gets its number; then what refers to other numbers, or must be last: sets of
// epoll, mappings, seals, modes; then, when everything that was opened on the way, or inherited, is closed, locks.
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "lower/descriptor_contents.h"
#include "lower/moved_files.h"
#include "lower/removed_directory.h"
#include "lower/session.h"

namespace mana::lower {
namespace {

using loader::Descriptor;
using loader::DescriptorKind;
using loader::Done;
using loader::Error;
using loader::Outcome;
using loader::Result;

// What F_SETFL sets of what was open.
constexpr int kChangeable = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME;

Error failure(const char* what, const char* where) { return Error{what, errno}.at(where); }

uint64_t bits(int number) { return static_cast<uint64_t>(number); }

std::string own(int number) { return "/proc/self/fd/" + std::to_string(number); }

// A pipe, FIFO or file that several of the application's open files belong to; closed when all have been made.
struct Shared {
  int reader = -1, writer = -1;  // the same one of a file
};

class Restorer {
 public:
  Restorer(std::map<int, Contents> contents, const Options& options) : contents_(std::move(contents)), options_(options) {}
  ~Restorer() { close_shared(); }

  Outcome restore(const Descriptor& descriptor) {
    const auto known = contents_.find(descriptor.number);
    if (descriptor.kind == DescriptorKind::inherited)
      inherited_ += (inherited_.empty() ? "" : ", ") + std::to_string(descriptor.number);
    if (is_old_terminal(descriptor, known != contents_.end())) return place_terminal(descriptor);
    if (known == contents_.end() || known->second.kind == ContentsKind::file || descriptor.same_as != descriptor.number)
      return loader::restore_descriptor(descriptor);
    const Contents& contents = known->second;
    const Result<int> made = make(descriptor, contents);
    if (!made.ok()) return made.error();
    const int flags = fcntl(made.value(), F_GETFL);
    const int wanted = (flags & ~kChangeable) | (descriptor.flags & kChangeable);
    if (wanted != flags && fcntl(made.value(), F_SETFL, wanted) != 0)
      return failure("set the flags of", descriptor.path);
    return loader::place_descriptor(descriptor, made.value());
  }

  Outcome finish() {
    for (const auto& [number, contents] : contents_) {
      if (Outcome cut = cut_file(number, contents, options_); !cut.ok()) return cut;
      if (Outcome done = finish_one(number, contents); !done.ok()) return done;
    }
    close_shared();
    for (const auto& [number, contents] : contents_) connect_datagrams(number, contents);
    for (const auto& [number, contents] : contents_) {
      if (Outcome shut = shut_socket(number, contents); !shut.ok()) return shut;
    }
    if (!inherited_.empty())
      say_at_restart("what the job had inherited as descriptor " + inherited_ + " cannot be made again and is closed");
    return Done{};
  }

  // When nothing is closed any more: that would give POSIX locks up.
  Outcome lock_files() {
    for (const auto& [number, contents] : contents_) {
      for (const Item& item : contents.items) {
        if (item.kind != ItemKind::lock) continue;
        if (Outcome locked = lock(number, item); !locked.ok()) return locked;
      }
    }
    return Done{};
  }

 private:
  // A terminal that was not the application's own making: the number may be anybody's by now.
  static bool is_old_terminal(const Descriptor& descriptor, bool own) {
    const std::string path = descriptor.path;
    return descriptor.kind == DescriptorKind::device && !own && descriptor.same_as == descriptor.number &&
           (path == "/dev/tty" || path.rfind("/dev/pts/", 0) == 0);
  }

  static Outcome place_terminal(const Descriptor& descriptor) {
    const int flags = (descriptor.flags & (O_ACCMODE | O_NONBLOCK)) | O_NOCTTY | O_CLOEXEC;
    int got = leads_own_session() ? -1 : open("/dev/tty", flags);
    if (got < 0) {
      say_at_restart("descriptor " + std::to_string(descriptor.number) + " was a terminal (" + descriptor.path +
                     "); there is none now, and it is /dev/null");
      got = open("/dev/null", flags);
    }
    return got < 0 ? Outcome(failure("open", "/dev/null")) : loader::place_descriptor(descriptor, got);
  }

  void close_shared() {
    for (const auto& [first, shared] : shared_) {
      close(shared.reader);
      if (shared.writer != shared.reader) close(shared.writer);
    }
    shared_.clear();
    for (const auto& [number, end] : other_ends_) close(end);
    other_ends_.clear();
  }

  Result<int> make(const Descriptor& descriptor, const Contents& contents) {
    switch (contents.kind) {
      case ContentsKind::eventfd: return make_eventfd(contents);
      case ContentsKind::timerfd: return made(timerfd_create(static_cast<int>(contents.words[0]), TFD_CLOEXEC), "timerfd_create");
      case ContentsKind::memfd:
      case ContentsKind::unlinked: return open_nameless(descriptor, contents);
      case ContentsKind::pipe:
      case ContentsKind::fifo: return open_pipe(descriptor, contents);
      case ContentsKind::signalfd:
        return made(syscall(SYS_signalfd4, -1, &contents.words[0], 8, O_CLOEXEC), "signalfd");
      case ContentsKind::epoll: return made(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
      case ContentsKind::inotify: return make_inotify(contents, options_);
      case ContentsKind::terminal_master: return take_master(contents);
      case ContentsKind::terminal_slave: return make_slave(descriptor, contents);
      case ContentsKind::socket_pair:
      case ContentsKind::socket: return make_socket(contents, contents_, other_ends_);
      case ContentsKind::removed_directory: return open_removed_directory(descriptor, contents);
      case ContentsKind::file: break;
    }
    return Error{"unusable description of a descriptor", 0, bits(descriptor.number)}.at(descriptor.path);
  }

  static Result<int> made(long got, const char* what) {
    if (got < 0) return Error{what, errno};
    return static_cast<int>(got);
  }

  static Result<int> make_eventfd(const Contents& contents) {
    const int got = eventfd(0, EFD_CLOEXEC | (contents.words[1] != 0 ? EFD_SEMAPHORE : 0));
    if (got < 0) return Error{"eventfd", errno};
    const uint64_t count = contents.words[0];
    if (count != 0 && write(got, &count, sizeof count) != sizeof count)
      return Error{"give an eventfd its count", errno, count};
    return got;
  }

  // --- files without a name
  static int make_unlinked(const std::string& path) {
    const std::string folder = path.substr(0, path.rfind('/') + 1);
    const int got = open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (got >= 0) return got;
    std::string name = folder + ".mana-XXXXXX";  // file systems without O_TMPFILE
    const int named = mkostemp(name.data(), O_CLOEXEC);
    if (named >= 0) unlink(name.c_str());
    return named >= 0 ? named : memfd_create("unlinked", MFD_CLOEXEC);
  }

  static Result<int> make_nameless(const Descriptor& descriptor, const Contents& contents) {
    std::string name = descriptor.path;
    name.resize(name.rfind(" (deleted)"));
    int got;
    if (contents.kind == ContentsKind::memfd) {
      got = memfd_create(name.substr(std::strlen("/memfd:")).c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING);
    } else {
      got = make_unlinked(name);
    }
    if (got < 0) return failure("make a file again that had no name", descriptor.path);
    if (ftruncate(got, static_cast<off_t>(contents.words[1])) != 0)
      return failure("give its length to", descriptor.path);
    for (const Item& item : contents.items) {
      if (item.kind != ItemKind::extent) continue;
      const auto size = static_cast<ssize_t>(item.bytes.size());
      if (pwrite(got, item.bytes.data(), item.bytes.size(), static_cast<off_t>(item.words[0])) != size)
        return failure("write the contents of", descriptor.path);
    }
    return got;
  }

  Result<int> open_nameless(const Descriptor& descriptor, const Contents& contents) {
    const int first = static_cast<int>(contents.words[0]);
    if (shared_.find(first) == shared_.end()) {
      const Result<int> file = make_nameless(descriptor, contents);
      if (!file.ok()) return file;
      shared_[first] = {file.value(), file.value()};
    }
    // One that was made without a name has O_TMPFILE among its flags.  A memfd that was opened again could not be executed (ETXTBSY).
    Shared& shared = shared_[first];
    const bool as_made = contents.kind == ContentsKind::memfd || (descriptor.flags & O_TMPFILE) == O_TMPFILE;
    int got;
    if (as_made && (descriptor.flags & O_ACCMODE) == O_RDWR && first == descriptor.number) {
      got = fcntl(shared.reader, F_DUPFD_CLOEXEC, 0);
    } else {
      got = open(own(shared.reader).c_str(), (descriptor.flags & ~(O_TMPFILE | O_DIRECTORY)) | O_CLOEXEC);
    }
    if (got < 0 || lseek(got, descriptor.offset, SEEK_SET) < 0)
      return failure("open again for the application", descriptor.path);
    return got;
  }

  Result<int> open_removed_directory(const Descriptor& descriptor, const Contents& contents) {
    const int first = static_cast<int>(contents.words[0]);
    if (shared_.find(first) == shared_.end()) {
      std::string path = descriptor.path;
      strip_deleted(path);
      const bool is_working = contents.words[3] != 0;  // that has been made already
      const Result<int> made = is_working ? Restorer::made(open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open the removed working directory")
                                          : make_removed_directory(path, static_cast<mode_t>(contents.words[2]));
      if (!made.ok()) return made;
      shared_[first] = {made.value(), made.value()};
    }
    const int got = open(own(shared_[first].reader).c_str(), descriptor.flags | O_CLOEXEC);
    if (got < 0) return failure("open again for the application", descriptor.path);
    return got;
  }

  // --- pipes
  static Outcome make_pipe(const Descriptor& descriptor, const Contents& contents, Shared& shared) {
    int ends[2];
    if (contents.kind == ContentsKind::pipe) {
      if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return failure("pipe2", descriptor.path);
      shared = {ends[0], ends[1]};
      return Done{};
    }
    // Open for reading and writing a FIFO waits for nobody (fifo(7)).
    if (mkfifo(descriptor.path, static_cast<mode_t>(contents.words[3])) != 0 && errno != EEXIST)
      return failure("make again", descriptor.path);
    const int got = open(descriptor.path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    struct stat status {};
    if (got < 0 || fstat(got, &status) != 0) return failure("open again for the application", descriptor.path);
    if (!S_ISFIFO(status.st_mode))
      return Error{"open again for the application: it is not a FIFO now"}.at(descriptor.path);
    shared = {got, got};
    return Done{};
  }

  Outcome fill_pipe(const Descriptor& descriptor, int first, Shared& shared) {
    fcntl(shared.writer, F_SETPIPE_SZ,
          static_cast<int>(contents_[first].words[1]));  // may be refused to ordinary users
    for (const auto& [number, contents] : contents_) {
      if (contents.kind != ContentsKind::pipe && contents.kind != ContentsKind::fifo) continue;
      if (static_cast<int>(contents.words[0]) != first) continue;
      std::size_t packets = 0;
      for (const Item& item : contents.items) packets += item.kind == ItemKind::packet;
      // More than one: they have boundaries.
      if (packets > 1) fcntl(shared.writer, F_SETFL, O_NONBLOCK | O_DIRECT);
      for (const Item& item : contents.items) {
        if (item.kind != ItemKind::packet) continue;
        if (write(shared.writer, item.bytes.data(), item.bytes.size()) != static_cast<ssize_t>(item.bytes.size()))
          return failure("put its bytes into", descriptor.path);
      }
      if (packets > 1) fcntl(shared.writer, F_SETFL, O_NONBLOCK);
    }
    return Done{};
  }

  Result<int> open_pipe(const Descriptor& descriptor, const Contents& contents) {
    const int first = static_cast<int>(contents.words[0]);
    if (shared_.find(first) == shared_.end()) {
      Shared shared;
      if (Outcome done = make_pipe(descriptor, contents, shared); !done.ok()) return done.error();
      shared_[first] = shared;
      if (Outcome done = fill_pipe(descriptor, first, shared); !done.ok()) return done.error();
    }
    const Shared& shared = shared_[first];
    const bool reads = (descriptor.flags & O_ACCMODE) == O_RDONLY;
    const int got = open(own(reads ? shared.reader : shared.writer).c_str(),
                         (descriptor.flags & O_ACCMODE) | O_NONBLOCK | O_CLOEXEC);
    if (got < 0) return failure("open again for the application", descriptor.path);
    return got;
  }

  // --- pseudo-terminals: of the two the one with the lower number makes the master
  Result<int> take_master(const Contents& contents) {
    const auto made = masters_.find(contents.number);
    if (made == masters_.end()) return make_terminal(contents);
    const int master = made->second;
    masters_.erase(made);
    return master;
  }

  Result<int> make_slave(const Descriptor& descriptor, const Contents& contents) {
    const auto master = static_cast<int>(contents.words[0]);
    if (master < descriptor.number) return open_slave(master, descriptor);
    if (masters_.find(master) == masters_.end()) {
      const Result<int> made = make_terminal(contents_[master]);
      if (!made.ok()) return made;
      masters_[master] = made.value();
    }
    return open_slave(masters_[master], descriptor);
  }

  // --- when all have their numbers
  Outcome finish_one(int number, const Contents& contents) {
    if (contents.kind == ContentsKind::socket_pair || contents.kind == ContentsKind::socket) {
      const auto other = other_ends_.find(number);
      return fill_socket(number, contents,
                         other == other_ends_.end() ? static_cast<int>(contents.words[0]) : other->second);
    }
    for (const Item& item : contents.items) {
      if (contents.kind == ContentsKind::epoll && item.kind == ItemKind::watch) {
        epoll_event event{};
        event.events = static_cast<uint32_t>(item.words[1]);
        event.data.u64 = item.words[2];
        const auto watched = static_cast<int>(item.words[0]);
        if (epoll_ctl(number, EPOLL_CTL_ADD, watched, &event) == 0) continue;
        say_at_restart("descriptor " + std::to_string(watched) +
                       " cannot be watched by epoll any more: " + std::strerror(errno));
      }
      if (item.kind == ItemKind::mapping) {
        if (Outcome mapped = map_again(number, item); !mapped.ok()) return mapped;
      }
    }
    const bool nameless = contents.kind == ContentsKind::memfd || contents.kind == ContentsKind::unlinked;
    if (!nameless || contents.words[0] != bits(number)) return Done{};
    restore_owner(number, contents);
    fchmod(number, static_cast<mode_t>(contents.words[2]));  // a change of the owner takes set-user-id away
    restore_times(number, contents);
    if (contents.words[3] != 0 && fcntl(shared_[number].reader, F_ADD_SEALS, static_cast<int>(contents.words[3])) != 0)
      return Error{"seal a memfd again", errno, contents.words[3]};
    return Done{};
  }

  // An ordinary user gives nothing away.
  static void restore_owner(int number, const Contents& contents) {
    struct stat now {};
    for (const Item& item : contents.items) {
      if (item.kind != ItemKind::owner || fstat(number, &now) != 0) continue;
      const auto user = static_cast<uid_t>(item.words[0]);
      const auto group = static_cast<gid_t>(item.words[1]);
      if ((now.st_uid != user || now.st_gid != group) && fchown(number, user, group) != 0)
        say_at_restart("descriptor " + std::to_string(number) + ": its file has another owner now: " + std::strerror(errno));
    }
  }

  static void restore_times(int number, const Contents& contents) {
    std::vector<timespec> times;
    for (const Item& item : contents.items) {
      if (item.kind == ItemKind::time) times.push_back({static_cast<time_t>(item.words[0]), static_cast<long>(item.words[1])});
    }
    if (times.size() == 2) futimens(number, times.data());
  }

  // In place of the private copy that came with the memory.
  Outcome map_again(int number, const Item& item) {
    void* at = reinterpret_cast<void*>(item.words[0]);
    const int file = shared_[number].reader;
    if (mmap(at, item.words[1], static_cast<int>(item.words[2]), MAP_SHARED | MAP_FIXED, file,
             static_cast<off_t>(item.words[3])) == at)
      return Done{};
    return Error{"map a file without a name again", errno, item.words[0], item.words[1]};
  }

  static Outcome lock(int number, const Item& item) {
    const auto kind = static_cast<LockKind>(item.words[0]);
    const auto type = static_cast<short>(item.words[1]);
    int got;
    if (kind == LockKind::flock) {
      got = flock(number, (type == F_WRLCK ? LOCK_EX : LOCK_SH) | LOCK_NB);
    } else {
      struct flock lock {};
      lock.l_type = type;
      lock.l_whence = SEEK_SET;
      lock.l_start = static_cast<off_t>(item.words[2]);
      lock.l_len = static_cast<off_t>(item.words[3]);
      got = fcntl(number, kind == LockKind::posix ? F_SETLK : F_OFD_SETLK, &lock);
    }
    if (got == 0) return Done{};
    return Error{"lock a file again", errno}.at(own(number).c_str()).so("another process has locked it: end that one");
  }

  std::map<int, Contents> contents_;
  const Options& options_;
  std::map<int, Shared> shared_;   // by lowest number
  std::map<int, int> other_ends_;  // by number: a pair's end that is not the application's, or not yet
  std::map<int, int> masters_;     // by number: what does not have that yet
  std::string inherited_;
};

Outcome arm_timer(int number, const Contents& contents) {
  const auto* words = contents.words;
  const auto seconds = [&](int at) { return timespec{static_cast<time_t>(words[at]), static_cast<long>(words[at + 1])}; };
  itimerspec timer{seconds(4), seconds(2)};
  const bool armed = words[2] != 0 || words[3] != 0;
  if (armed && timerfd_settime(number, static_cast<int>(words[1]), &timer, nullptr) != 0) return Error{"timerfd_settime", errno, bits(number)};
  uint64_t expirations = words[6];
  if (expirations == 0) return Done{};
  constexpr unsigned long kSetTicks = _IOW('T', 0, uint64_t);  // linux/timerfd.h; kernels with CONFIG_CHECKPOINT_RESTORE
  if (ioctl(number, kSetTicks, &expirations) == 0) return Done{};
  timer.it_value = {0, 1};  // at least one of them
  if (timerfd_settime(number, 0, &timer, nullptr) != 0) return Error{"timerfd_settime", errno, bits(number)};
  return Done{};
}

}  // namespace

Outcome arm_timer_descriptors(const image::ImageFile& image) {
  for (const auto& [number, contents] : read_contents(image.contents())) {
    if (contents.kind != ContentsKind::timerfd) continue;
    if (Outcome armed = arm_timer(number, contents); !armed.ok()) return armed;
  }
  return Done{};
}

Outcome restore_descriptors(const image::ImageFile& image, const Options& options) {
  Outcome done = loader::begin_descriptor_restore();
  Restorer restorer(read_contents(image.contents()), options);
  Descriptors all = read_descriptors(image.descriptors());
  for (Descriptor& descriptor : all) {
    if (!done.ok()) break;
    const std::string path = moved_path(descriptor.path, options.paths);
    if (path.size() < sizeof descriptor.path) std::strcpy(descriptor.path, path.c_str());
    done = restorer.restore(descriptor);
  }
  if (done.ok()) done = restorer.finish();
  if (done.ok()) done = loader::end_descriptor_restore();
  return done.ok() ? restorer.lock_files() : done;
}

}  // namespace mana::lower
