// SPDX-License-Identifier: BSD-3-Clause
// Functions that the lower program exports in the place of libc's: those that make a lasting
// descriptor.  What they return lies above the line (kernel-loader/descriptor_line.h), for the MPI
// library, everything under it, and our own code alike.
//
// They are the kernel's calls, so they may be used where libc's may: in signal handlers, and before
// main.  What is left low is what a function of libc opens for itself and closes before it returns:
// name resolution, dlopen, reading the user database, popen until pclose.  Such a number can be hit
// only by a close or dup2 of the application to a number that it does not have, from another thread
// at that moment; what libc keeps for itself (syslog) is found by find_strays.
//
// The functions are defined under names of our own, because headers define some of libc's as macros
// and inline functions.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#include "kernel-loader/descriptor_line.h"
#include "kernel-loader/sys.h"

namespace mana::lower {
namespace {

using loader::kWasClosed;
using loader::MakingDescriptors;
using loader::move_above;
using sys::bits;

constexpr uint64_t kHere = static_cast<uint64_t>(AT_FDCWD);
constexpr uint64_t kKernelMaskBytes = 8;

uint64_t word(int value) { return static_cast<uint64_t>(static_cast<int64_t>(value)); }

long as_libc(long result) {
  if (!sys::failed(result)) return result;
  errno = sys::error_of(result);
  return -1;
}

// One descriptor, by a system call that does not wait.
template <class Make>
long lasting_long(Make make) {
  const MakingDescriptors making;
  for (;;) {
    const long moved = move_above(making, make());
    if (moved != kWasClosed) return as_libc(moved);
  }
}
template <class... Words>
int lasting(long number, Words... words) {
  return static_cast<int>(lasting_long([&] { return sys::raw(number, words...); }));
}

// Two.  Both are moved, or none is left.
template <class... Words>
int lasting_pair(int* pair, long number, Words... words) {
  const MakingDescriptors making;
  for (;;) {
    const long made = sys::raw(number, words...);
    if (sys::failed(made)) return static_cast<int>(as_libc(made));
    const long first = move_above(making, pair[0]), second = move_above(making, pair[1]);
    if (!sys::failed(first) && !sys::failed(second)) {
      pair[0] = static_cast<int>(first);
      pair[1] = static_cast<int>(second);
      return 0;
    }
    if (!sys::failed(first)) sys::close(static_cast<int>(first));
    if (!sys::failed(second)) sys::close(static_cast<int>(second));
    if (first != kWasClosed && second != kWasClosed)
      return static_cast<int>(as_libc(sys::failed(first) ? first : second));
  }
}

// Calls that may wait do so before: nobody waits with the lock.
void wait_until_readable(int socket, bool may_wait) {
  const long flags = sys::raw(__NR_fcntl, word(socket), F_GETFL);
  if (!may_wait || sys::failed(flags) || (flags & O_NONBLOCK) != 0) return;
  pollfd one{socket, POLLIN, 0};
  while (poll(&one, 1, -1) < 0 && errno == EINTR) {
  }
}

int lasting_accept(int socket, sockaddr* address, socklen_t* length, int flags) {
  wait_until_readable(socket, true);
  return lasting(__NR_accept4, word(socket), bits(address), bits(length), word(flags));
}

void move_received(const MakingDescriptors& making, msghdr* message) {
  for (cmsghdr* part = CMSG_FIRSTHDR(message); part != nullptr; part = CMSG_NXTHDR(message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    unsigned char* at = CMSG_DATA(part);
    for (std::size_t left = part->cmsg_len - CMSG_LEN(0); left >= sizeof(int);
         left -= sizeof(int), at += sizeof(int)) {
      int number;
      memcpy(&number, at, sizeof number);
      const long moved = move_above(making, number);
      number = sys::failed(moved) ? -1 : static_cast<int>(moved);
      memcpy(at, &number, sizeof number);
    }
  }
}

// The open of a FIFO waits for its other end, so without the lock.  Until the lock is taken an application's dup2 may have put
// something else under our number; ours is closed then, and opened again.
int open_fifo(int folder, const char* path, int flags, const struct stat& fifo) {
  for (;;) {
    const long made = sys::raw(__NR_openat, word(folder), bits(path), word(flags), uint64_t{0});
    if (sys::failed(made)) return static_cast<int>(as_libc(made));
    const MakingDescriptors making;
    struct stat opened;
    const long known = sys::raw(__NR_fstat, static_cast<uint64_t>(made), bits(&opened));
    if (sys::failed(known) || opened.st_ino != fifo.st_ino || opened.st_dev != fifo.st_dev) continue;
    const long moved = move_above(making, made);
    if (moved != kWasClosed) return static_cast<int>(as_libc(moved));
  }
}

int lasting_open(int folder, const char* path, int flags, mode_t mode) {
  struct stat file;
  if ((flags & (O_NONBLOCK | O_PATH)) == 0 && sys::raw(__NR_newfstatat, word(folder), bits(path), bits(&file), 0) == 0 && S_ISFIFO(file.st_mode)) {
    return open_fifo(folder, path, flags, file);
  }
  return lasting(__NR_openat, word(folder), bits(path), word(flags), uint64_t{mode});
}

// --- functions that libc builds on open
// fopen(3): the flags of a mode.  0 is none of them.
bool flags_of_mode(const char* mode, int& flags) {
  switch (*mode) {
    case 'r':
      flags = O_RDONLY;
      break;
    case 'w':
      flags = O_WRONLY | O_CREAT | O_TRUNC;
      break;
    case 'a':
      flags = O_WRONLY | O_CREAT | O_APPEND;
      break;
    default:
      return false;
  }
  for (const char* at = mode + 1; *at != 0 && *at != ','; ++at) {
    if (*at == '+') flags = (flags & ~O_ACCMODE) | O_RDWR;
    if (*at == 'e') flags |= O_CLOEXEC;
    if (*at == 'x') flags |= O_EXCL;
  }
  return true;
}

FILE* as_stream(int descriptor, const char* mode) {
  if (descriptor < 0) return nullptr;
  FILE* stream = fdopen(descriptor, mode);
  if (stream == nullptr) sys::close(descriptor);
  return stream;
}

FILE* lasting_stream(const char* path, const char* mode) {
  int flags = 0;
  if (!flags_of_mode(mode, flags)) {
    errno = EINVAL;
    return nullptr;
  }
  return as_stream(lasting_open(AT_FDCWD, path, flags, 0666), mode);
}

// mkostemps(3).
int make_temporary(char* path, int suffix, int flags) {
  constexpr char kLetters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  constexpr std::size_t kRandom = 6;
  constexpr int kAttempts = 1000;
  const std::size_t length = strlen(path);
  if (suffix < 0 || length < kRandom + static_cast<std::size_t>(suffix) ||
      memcmp(path + length - static_cast<std::size_t>(suffix) - kRandom, "XXXXXX", kRandom) != 0) {
    errno = EINVAL;
    return -1;
  }
  char* letters = path + length - static_cast<std::size_t>(suffix) - kRandom;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    unsigned char random[kRandom];
    if (getrandom(random, sizeof random, 0) != static_cast<ssize_t>(sizeof random)) return -1;
    for (std::size_t i = 0; i < kRandom; ++i)
      letters[i] = kLetters[random[i] % (sizeof kLetters - 1)];
    const int got =
        lasting_open(AT_FDCWD, path, (flags & ~O_ACCMODE) | O_RDWR | O_CREAT | O_EXCL, 0600);
    if (got >= 0 || errno != EEXIST) return got;
  }
  return -1;
}

FILE* temporary_stream() {
  int got = lasting_open(AT_FDCWD, P_tmpdir, O_TMPFILE | O_RDWR | O_EXCL, 0600);
  if (got < 0) {  // file systems without O_TMPFILE
    char path[] = P_tmpdir "/XXXXXX";
    got = make_temporary(path, 0, 0);
    if (got >= 0) unlink(path);
  }
  return as_stream(got, "w+");
}

int open_shared_memory(const char* name, int flags, mode_t mode) {
  char path[NAME_MAX + 16] = "/dev/shm/";
  while (*name == '/') ++name;
  const std::size_t length = strlen(name);
  if (length == 0 || length > NAME_MAX || strchr(name, '/') != nullptr) {
    errno = EINVAL;
    return -1;
  }
  memcpy(path + strlen(path), name, length + 1);
  return lasting_open(AT_FDCWD, path, flags | O_NOFOLLOW | O_CLOEXEC, mode);
}

// syscall(2) with a call that makes a descriptor.
bool makes_descriptor(long number, uint64_t first) {
  switch (number) {
    case __NR_open:
    case __NR_openat:
    case __NR_openat2:
    case __NR_creat:
    case __NR_open_by_handle_at:
    case __NR_socket:
    case __NR_dup:
    case __NR_epoll_create:
    case __NR_epoll_create1:
    case __NR_eventfd:
    case __NR_eventfd2:
    case __NR_timerfd_create:
    case __NR_inotify_init:
    case __NR_inotify_init1:
    case __NR_fanotify_init:
    case __NR_memfd_create:
    case __NR_userfaultfd:
    case __NR_perf_event_open:
    case __NR_io_uring_setup:
    case __NR_mq_open:
    case __NR_pidfd_open:
    case 438:  // pidfd_getfd
    case 447:  // memfd_secret
      return true;
    case __NR_signalfd:
    case __NR_signalfd4:
      return static_cast<int>(first) == -1;
    default:
      return false;
  }
}

bool duplicates(int command) { return command == F_DUPFD || command == F_DUPFD_CLOEXEC; }

int control(int descriptor, int command, uint64_t argument) {
  if (!duplicates(command))
    return static_cast<int>(
        as_libc(sys::raw(__NR_fcntl, word(descriptor), word(command), argument)));
  const MakingDescriptors making;
  const auto line = static_cast<uint64_t>(loader::first_lower_descriptor());
  const uint64_t least = making.in_original() && argument < line ? line : argument;
  return static_cast<int>(as_libc(sys::raw(__NR_fcntl, word(descriptor), word(command), least)));
}

// The application's limit is below the line.
int duplicate_onto(int from, int to, long number, int flags) {
  const MakingDescriptors making;
  return static_cast<int>(as_libc(sys::raw(number, word(from), word(to), word(flags))));
}

}  // namespace
}  // namespace mana::lower

using namespace mana::lower;
namespace sys = mana::sys;

// clang-format off: a table
#define INTERPOSE(result, name, parameters)                                                           \
  extern "C" __attribute__((visibility("default"))) result mana_instead_of_##name parameters __asm__(#name); \
  result mana_instead_of_##name parameters

// --- files
INTERPOSE(int, open, (const char* path, int flags, mode_t mode)) { return lasting_open(AT_FDCWD, path, flags, mode); }
INTERPOSE(int, open64, (const char* path, int flags, mode_t mode)) { return lasting_open(AT_FDCWD, path, flags, mode); }
INTERPOSE(int, __open_2, (const char* path, int flags)) { return lasting_open(AT_FDCWD, path, flags, 0); }
INTERPOSE(int, __open64_2, (const char* path, int flags)) { return lasting_open(AT_FDCWD, path, flags, 0); }
INTERPOSE(int, openat, (int folder, const char* path, int flags, mode_t mode)) { return lasting_open(folder, path, flags, mode); }
INTERPOSE(int, openat64, (int folder, const char* path, int flags, mode_t mode)) { return lasting_open(folder, path, flags, mode); }
INTERPOSE(int, __openat_2, (int folder, const char* path, int flags)) { return lasting_open(folder, path, flags, 0); }
INTERPOSE(int, __openat64_2, (int folder, const char* path, int flags)) { return lasting_open(folder, path, flags, 0); }
INTERPOSE(int, creat, (const char* path, mode_t mode)) { return lasting_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
INTERPOSE(int, creat64, (const char* path, mode_t mode)) { return lasting_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
INTERPOSE(FILE*, fopen, (const char* path, const char* mode)) { return lasting_stream(path, mode); }
INTERPOSE(FILE*, fopen64, (const char* path, const char* mode)) { return lasting_stream(path, mode); }
INTERPOSE(FILE*, tmpfile, ()) { return temporary_stream(); }
INTERPOSE(FILE*, tmpfile64, ()) { return temporary_stream(); }
INTERPOSE(int, mkstemp, (char* path)) { return make_temporary(path, 0, 0); }
INTERPOSE(int, mkstemp64, (char* path)) { return make_temporary(path, 0, 0); }
INTERPOSE(int, mkostemp, (char* path, int flags)) { return make_temporary(path, 0, flags); }
INTERPOSE(int, mkostemp64, (char* path, int flags)) { return make_temporary(path, 0, flags); }
INTERPOSE(int, mkstemps, (char* path, int suffix)) { return make_temporary(path, suffix, 0); }
INTERPOSE(int, mkstemps64, (char* path, int suffix)) { return make_temporary(path, suffix, 0); }
INTERPOSE(int, mkostemps, (char* path, int suffix, int flags)) { return make_temporary(path, suffix, flags); }
INTERPOSE(int, mkostemps64, (char* path, int suffix, int flags)) { return make_temporary(path, suffix, flags); }
INTERPOSE(int, shm_open, (const char* name, int flags, mode_t mode)) { return open_shared_memory(name, flags, mode); }
INTERPOSE(int, posix_openpt, (int flags)) { return lasting_open(AT_FDCWD, "/dev/ptmx", flags, 0); }
INTERPOSE(DIR*, opendir, (const char* path)) {
  const int got = lasting_open(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_DIRECTORY | O_CLOEXEC, 0);
  DIR* folder = got < 0 ? nullptr : fdopendir(got);
  if (got >= 0 && folder == nullptr) sys::close(got);
  return folder;
}

// --- sockets and pipes
INTERPOSE(int, socket, (int family, int type, int protocol)) { return lasting(__NR_socket, word(family), word(type), word(protocol)); }
INTERPOSE(int, socketpair, (int family, int type, int protocol, int* pair)) {
  return lasting_pair(pair, __NR_socketpair, word(family), word(type), word(protocol), bits(pair));
}
INTERPOSE(int, accept, (int number, sockaddr* address, socklen_t* length)) { return lasting_accept(number, address, length, 0); }
INTERPOSE(int, accept4, (int number, sockaddr* address, socklen_t* length, int flags)) {
  return lasting_accept(number, address, length, flags);
}
INTERPOSE(int, pipe, (int* pair)) { return lasting_pair(pair, __NR_pipe2, bits(pair), uint64_t{0}); }
INTERPOSE(int, pipe2, (int* pair, int flags)) { return lasting_pair(pair, __NR_pipe2, bits(pair), word(flags)); }
INTERPOSE(ssize_t, recvmsg, (int number, msghdr* message, int flags)) {
  if (message == nullptr || message->msg_controllen == 0) return as_libc(sys::raw(__NR_recvmsg, word(number), bits(message), word(flags)));
  wait_until_readable(number, (flags & MSG_DONTWAIT) == 0);
  const MakingDescriptors making;
  const long got = sys::raw(__NR_recvmsg, word(number), bits(message), word(flags));
  if (!sys::failed(got)) move_received(making, message);
  return as_libc(got);
}

// --- duplicates
INTERPOSE(int, dup, (int number)) { return control(number, F_DUPFD, 0); }
INTERPOSE(int, dup2, (int from, int to)) { return duplicate_onto(from, to, __NR_dup2, 0); }
INTERPOSE(int, dup3, (int from, int to, int flags)) { return duplicate_onto(from, to, __NR_dup3, flags); }
INTERPOSE(int, fcntl, (int number, int command, uint64_t argument)) { return control(number, command, argument); }
INTERPOSE(int, fcntl64, (int number, int command, uint64_t argument)) { return control(number, command, argument); }

// --- the kernel's other objects
INTERPOSE(int, epoll_create, (int size)) { return lasting(__NR_epoll_create, word(size)); }
INTERPOSE(int, epoll_create1, (int flags)) { return lasting(__NR_epoll_create1, word(flags)); }
INTERPOSE(int, eventfd, (unsigned count, int flags)) { return lasting(__NR_eventfd2, uint64_t{count}, word(flags)); }
INTERPOSE(int, timerfd_create, (int clock, int flags)) { return lasting(__NR_timerfd_create, word(clock), word(flags)); }
INTERPOSE(int, signalfd, (int number, const sigset_t* mask, int flags)) {
  if (number != -1) return static_cast<int>(as_libc(sys::raw(__NR_signalfd4, word(number), bits(mask), kKernelMaskBytes, word(flags))));
  return lasting(__NR_signalfd4, word(number), bits(mask), kKernelMaskBytes, word(flags));
}
INTERPOSE(int, inotify_init, ()) { return lasting(__NR_inotify_init1, uint64_t{0}); }
INTERPOSE(int, inotify_init1, (int flags)) { return lasting(__NR_inotify_init1, word(flags)); }
INTERPOSE(int, fanotify_init, (unsigned flags, unsigned event_flags)) {
  return lasting(__NR_fanotify_init, uint64_t{flags}, uint64_t{event_flags});
}
INTERPOSE(int, memfd_create, (const char* name, unsigned flags)) { return lasting(__NR_memfd_create, bits(name), uint64_t{flags}); }
INTERPOSE(int, pidfd_open, (pid_t process, unsigned flags)) { return lasting(__NR_pidfd_open, word(process), uint64_t{flags}); }

// --- all of them by number
INTERPOSE(long, syscall, (long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)) {
  const auto call = [&] { return sys::raw(number, a, b, c, d, e, f); };
  if (number == __NR_fcntl) return control(static_cast<int>(a), static_cast<int>(b), c);
  if (number == __NR_accept || number == __NR_accept4) {
    return lasting_accept(static_cast<int>(a), sys::pointer<sockaddr>(b), sys::pointer<socklen_t>(c), number == __NR_accept4 ? static_cast<int>(d) : 0);
  }
  if (number == __NR_pipe) return lasting_pair(sys::pointer<int>(a), number, a);
  if (number == __NR_pipe2) return lasting_pair(sys::pointer<int>(a), number, a, b);
  if (number == __NR_socketpair) return lasting_pair(sys::pointer<int>(d), number, a, b, c, d);
  return makes_descriptor(number, a) ? lasting_long(call) : as_libc(call());
}
