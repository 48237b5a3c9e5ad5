// SPDX-License-Identifier: BSD-3-Clause
// execve: the program that a launched program becomes is launched as well (`exec ./app` at the end of a script; env, numactl,
// taskset, nice, ...), and so is an MPI program that a script starts as its child.  Otherwise these would run natively, and
// the job could not be checkpointed.
//
// Only what can be executed at all is handed to the launcher, so the application gets the kernel's own errors for the rest; what the
// launcher cannot launch (a static program) it executes as it is.  Once MPI is initialised here nothing is relaunched.
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "kernel-loader/descriptor_line.h"
#include "kernel-loader/elf_headers.h"
#include "kernel-loader/gate_data.h"
#include "kernel-loader/program.h"
#include "kernel-loader/text.h"

namespace mana::loader {
namespace {

constexpr auto kHere = static_cast<uint64_t>(AT_FDCWD);
constexpr uint64_t kMostWords = 1 << 20;

// Not on the stack: the application's alternate one may be small.  Not static: a child of vfork has its parent's memory.
struct Room {
  ElfHeaders headers;
  char path[kPathSize];
  uint64_t words[];
};

// A pointer of the application's list, which may be wrong.
bool read_word(uint64_t address, uint64_t& word) {
  struct Vector {
    uint64_t base, size;
  };
  const Vector to{sys::bits(&word), sizeof word}, from{address, sizeof word};
  // Not the process's id: a main thread that has ended shows no memory.
  return sys::raw(__NR_process_vm_readv, static_cast<uint64_t>(sys::gettid()), sys::bits(&to), 1, sys::bits(&from), 1, 0) == sizeof word;
}

// -1: the list cannot be read, or is longer than the kernel takes.
int64_t count_words(uint64_t list) {
  uint64_t word = 0;
  for (uint64_t count = 0; count < kMostWords; count++) {
    if (list == 0) return 0;
    if (!read_word(list + count * sizeof word, word)) return -1;
    if (word == 0) return static_cast<int64_t>(count);
  }
  return -1;
}

bool is_mpi_library(const char* name) { return starts_with(name, "libmpi.so") || starts_with(name, "libmpich.so"); }

bool uses_mpi(const char* path, ElfHeaders& room) {
  bool uses = false;
  const auto look = [](const char* name, void* closure) {
    *static_cast<bool*>(closure) |= is_mpi_library(name);
    return true;
  };
  return needed_libraries(path, look, &uses, room).ok() && uses;
}

bool is_to_be_launched(const char* path, Room& room) {
  struct stat status;
  if (sys::failed(sys::raw(__NR_newfstatat, kHere, sys::bits(path), sys::bits(&status), 0))) return false;
  if (!S_ISREG(status.st_mode) || (status.st_mode & (S_ISUID | S_ISGID)) != 0) return false;
  if (sys::failed(sys::raw(__NR_faccessat, kHere, sys::bits(path), X_OK))) return false;
  const long file = open_above(path);
  if (sys::failed(file)) return false;
  unsigned char head[EI_NIDENT] = {};
  const long got = sys::pread(static_cast<int>(file), head, sizeof head, 0);
  sys::close(static_cast<int>(file));
  const bool script = got >= 2 && head[0] == '#' && head[1] == '!';
  const bool program = got == EI_NIDENT && __builtin_memcmp(head, ELFMAG, SELFMAG) == 0 && head[EI_CLASS] == ELFCLASS64;
  if (in_original_process()) return script || program;
  return program && gate_hooks().relaunch_children && uses_mpi(path, room.headers);
}

// Returns when the launcher was not executed.
void launch_instead(const char* path, uint64_t list, uint64_t environment) {
  const char* const* launcher = gate_hooks().relaunch;
  if (launcher == nullptr || !gate_hooks().may_relaunch() || text_length(path) + 3 > kPathSize) return;
  const int64_t count = count_words(list);
  if (count < 0) return;
  uint64_t ours = 0;
  while (launcher[ours] != nullptr) ours++;
  const uint64_t bytes = page_up(sizeof(Room) + (ours + static_cast<uint64_t>(count) + 3) * sizeof(uint64_t));
  const long at = sys::mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  if (sys::failed(at)) return;
  Room& room = *sys::pointer<Room>(static_cast<uint64_t>(at));
  if (is_to_be_launched(path, room)) {
    // With a slash, so that it is not looked for in PATH.
    TextLine name(room.path, sizeof room.path);
    if (last_part(path) == path) name.add("./");
    name.add(path);
    uint64_t* word = room.words;
    for (uint64_t i = 0; i < ours; i++) *word++ = sys::bits(launcher[i]);
    *word = sys::bits(room.path);  // argv[0], for --exec-as
    if (count > 0) read_word(list, *word);
    word++;
    *word++ = sys::bits(room.path);
    for (int64_t i = 1; i < count; i++) read_word(list + static_cast<uint64_t>(i) * sizeof *word, *word), word++;
    *word = 0;
    const LimitForExec limit;
    sys::raw(__NR_execve, room.words[0], sys::bits(room.words), environment);
  }
  sys::munmap(static_cast<uint64_t>(at), bytes);
}

long execute(const CaughtCall& call) {
  const LimitForExec limit;
  return call.pass();
}

}  // namespace

long do_execve(CaughtCall& call, int path_argument) {
  struct stat status;
  const uint64_t folder = path_argument == 0 ? kHere : call.argument(0);
  const uint64_t path = call.argument(path_argument);
  const long seen = sys::raw(__NR_newfstatat, folder, path, sys::bits(&status), AT_EMPTY_PATH);
  if (seen != -EFAULT && seen != -ENAMETOOLONG && names_own_program(sys::pointer<const char>(path))) {
    call.set_argument(path_argument, sys::bits(live_state().program));
  }
  // The new program inherits the mask that is in force at the call.
  uint64_t blocked;
  const uint64_t mask = call.mask();
  sys::rt_sigprocmask(2 /* SIG_SETMASK */, &mask, &blocked);
  if (path_argument == 0 && !sys::failed(seen)) {
    launch_instead(sys::pointer<const char>(call.argument(0)), call.argument(1), call.argument(2));
  }
  const long got = execute(call);
  sys::rt_sigprocmask(2, &blocked, nullptr);
  call.set_argument(path_argument, path);
  return got;
}

}  // namespace mana::loader
