// SPDX-License-Identifier: BSD-3-Clause
// Calls of the upper half that name files: the MPI library it asks for is our front end, and its
// program is not the lower half's.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>

#include <cerrno>

#include "kernel-loader/gate_data.h"
#include "kernel-loader/ids.h"
#include "kernel-loader/text.h"

namespace mana::loader {
namespace {

constexpr auto kHere = static_cast<uint64_t>(AT_FDCWD);

// `libmpi.so.40` and `libmpi.so.40.30.4`, not `libmpi.so.400`.
bool is_library(const char* name, const char* library) {
  if (!starts_with(name, library)) return false;
  const char* rest = name + text_length(library);
  return *rest == 0 || *rest == '.';
}

const char* front_end_for(const char* path) {
  const char* name = last_part(path);
  if (!starts_with(name, "libmpi")) return nullptr;
  if (is_library(name, "libmpi.so.40")) return gate_hooks().front_end_openmpi;
  if (is_library(name, "libmpich.so.12") || is_library(name, "libmpi.so.12"))
    return gate_hooks().front_end_mpich;
  return nullptr;
}

// How the call opens.  openat2's structure may only be read when the kernel could.
bool open_flags(const CaughtCall& call, uint64_t& flags) {
  switch (call.number()) {
    case __NR_open:
      flags = call.argument(1);
      return true;
    case __NR_openat:
      flags = call.argument(2);
      return true;
    default:
      break;
  }
  if (!readable_word(call.argument(2))) return false;
  flags = sys::pointer<const open_how>(call.argument(2))->flags;
  return true;
}

bool may_block(const struct stat& status, uint64_t flags) {
  return (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)) &&
         (flags & (O_PATH | O_NONBLOCK | O_DIRECTORY)) == 0;
}

long open_path(CaughtCall& call, int path_argument) {
  const uint64_t folder = path_argument == 0 ? kHere : call.argument(0);
  const uint64_t path = call.argument(path_argument);
  struct stat status;
  // Looks first: a wrong pointer is found out by the kernel, and opening a FIFO or a terminal may
  // wait.
  const long seen = sys::raw(__NR_newfstatat, folder, path, sys::bits(&status), 0);
  uint64_t flags = 0;
  if (seen == -EFAULT || seen == -ENAMETOOLONG || !open_flags(call, flags))
    return call.pass();

  const char* text = sys::pointer<const char>(path);
  const char* instead = nullptr;
  if ((flags & O_ACCMODE) == O_RDONLY && (flags & O_CREAT) == 0) {
    instead = front_end_for(text);
    if (instead == nullptr && names_own_program(text)) instead = live_state().program;
  }
  char translated[kProcPathSize];
  if (instead == nullptr && translate_proc_path(folder, text, translated)) {
    const uint64_t mode = path_argument == 0 ? call.argument(2) : call.argument(3);
    return sys::raw(__NR_openat, folder, sys::bits(translated), flags, mode);
  }
  if (instead != nullptr)
    return sys::raw(__NR_openat, kHere, sys::bits(instead), flags & ~uint64_t{O_NOFOLLOW});
  if (!sys::failed(seen) && may_block(status, flags)) {
    call.block();
    return 0;
  }
  return call.pass();
}

}  // namespace

// /proc/self/exe, /proc/thread-self/exe, /proc/PID/exe of this process.
bool names_own_program(const char* path) {
  if (!starts_with(path, "/proc/")) return false;
  path += 6;
  if (same_text(path, "self/exe") || same_text(path, "thread-self/exe")) return true;
  if (*path < '1' || *path > '9') return false;
  const uint64_t process = read_number(path, 10);
  return same_text(path, "/exe") && real_id(static_cast<int32_t>(process)) == sys::getpid();
}

long do_open(CaughtCall& call, int path_argument) {
  const long got = open_path(call, path_argument);
  if (!sys::failed(got) && !call.redirected()) note_opened(got);
  return got;
}

long give_bytes(const void* from, uint64_t length, uint64_t to) {
  struct Vector {
    uint64_t base, size;
  };
  const Vector ours{sys::bits(from), length};
  const Vector theirs{to, length};
  const auto wanted = static_cast<long>(length);
  const long written = sys::raw(__NR_process_vm_writev, static_cast<uint64_t>(sys::getpid()), sys::bits(&ours), 1, sys::bits(&theirs), 1, 0);
  if (written == wanted) return wanted;
  if (written == -EFAULT || written >= 0) return -EFAULT;
  __builtin_memcpy(sys::pointer<char>(to), from, length);  // call not allowed here
  return wanted;
}

namespace {

// What readlink gives: as much of the text as there is room for, without a zero.
long tell_link(const char* text, uint64_t buffer, int size) {
  if (size <= 0) return -EINVAL;
  const auto length = static_cast<int64_t>(text_length(text));
  return give_bytes(text, static_cast<uint64_t>(length < size ? length : size), buffer);
}

// What /proc/self and /proc/thread-self lead to, with the ids that the application knows; false: it is another path.
bool link_to_own_ids(const char* path, char (&into)[kProcPathSize]) {
  if (!ids_are_translated() || !starts_with(path, "/proc/")) return false;
  const bool thread = same_text(path + 6, "thread-self");
  if (!thread && !same_text(path + 6, "self")) return false;
  TextLine line(into, sizeof into);
  line.decimal(seen_process(sys::getpid()));
  if (thread) line.add("/task/").decimal(seen_id_of_this_thread());
  return true;
}

}  // namespace

long do_readlink(CaughtCall& call, int path_argument) {
  // Looks first: a wrong pointer is found out by the kernel.  (The call itself must not be made:
  // what it writes may be longer than the right answer, and programs clear their buffers instead of
  // ending the text.)
  const uint64_t folder = path_argument == 0 ? kHere : call.argument(0);
  const uint64_t path = call.argument(path_argument);
  const uint64_t buffer = call.argument(path_argument + 1);
  const uint64_t size = call.argument(path_argument + 2);
  struct stat status;
  const long seen =
      sys::raw(__NR_newfstatat, folder, path, sys::bits(&status), AT_SYMLINK_NOFOLLOW);
  if (seen == -EFAULT || seen == -ENAMETOOLONG) return call.pass();
  const auto* text = sys::pointer<const char>(path);
  if (names_own_program(text)) return tell_link(live_state().program, buffer, static_cast<int>(size));
  char other[kProcPathSize];
  if (link_to_own_ids(text, other)) return tell_link(other, buffer, static_cast<int>(size));
  const bool translated = translate_proc_path(folder, text, other);
  const uint64_t wanted = translated ? sys::bits(other) : path;
  char link[kProcPathSize], told[kProcPathSize];
  if (ids_are_translated() && (*text != '/' || starts_with(text, "/proc/"))) {
    const long length = sys::raw(__NR_readlinkat, folder, wanted, sys::bits(link), sizeof link - 1);
    link[sys::failed(length) ? 0 : length] = 0;
    if (tell_proc_path(link, told)) return tell_link(told, buffer, static_cast<int>(size));
  }
  return translated ? sys::raw(__NR_readlinkat, folder, wanted, buffer, size) : call.pass();
}

long do_look_at_path(CaughtCall& call, int path_argument) {
  const long got = call.pass();
  if (got == -EFAULT || got == -ENAMETOOLONG) return got;
  char translated[kProcPathSize];
  const uint64_t path = call.argument(path_argument);
  if (!translate_proc_path(path_argument == 0 ? kHere : call.argument(0), sys::pointer<const char>(path), translated)) return got;
  call.set_argument(path_argument, sys::bits(translated));
  const long again = call.pass();
  call.set_argument(path_argument, path);
  return again;
}

long do_chdir(CaughtCall& call) {
  const uint64_t path = call.argument(0);
  struct stat status;
  const long seen = sys::raw(__NR_newfstatat, kHere, path, sys::bits(&status), 0);
  char translated[kProcPathSize];
  if (seen == -EFAULT || seen == -ENAMETOOLONG || !translate_proc_path(kHere, sys::pointer<const char>(path), translated)) return call.pass();
  return sys::raw(__NR_chdir, sys::bits(translated));
}

}  // namespace mana::loader
