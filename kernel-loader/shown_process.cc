// SPDX-License-Identifier: BSD-3-Clause
// What the kernel tells of the process under /proc/PID (and so ps, pgrep, top; gdb with a process or its core file): the application's
// name, words, environment and auxiliary vector, where they lie on its stack.  So what it writes over them is seen, too.
// /proc/PID/exe stays the lower program: the kernel changes it for nobody who runs that program.  (So `gdb PROGRAM PID` shows the
// application, with `set exec-file-mismatch off`.)
#include <elf.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "kernel-loader/auxv.h"
#include "kernel-loader/gate_data.h"
#include "kernel-loader/layout.h"
#include "kernel-loader/loader.h"
#include "kernel-loader/text.h"

namespace mana::loader {
namespace {

// Numbers of /proc/self/stat as proc(5) counts them; the name, which may have blanks and brackets in it, is the second.
constexpr int kFirstAfterName = 3, kStartCode = 26, kStartData = 45, kLast = 52;
bool read_stat(uint64_t (&field)[kLast + 1]) {
  char text[1024];
  const long file = sys::open_read("/proc/self/stat");
  if (sys::failed(file)) return false;
  const long length = sys::read(static_cast<int>(file), text, sizeof text - 1);
  sys::close(static_cast<int>(file));
  if (length <= 0) return false;
  text[length] = 0;
  const char* at = text + length;
  while (at > text && *at != ')') at--;
  for (int i = kFirstAfterName; i <= kLast; i++) {
    while (*at != 0 && *at != ' ') at++;
    if (*at == 0) return false;
    at++;
    field[i] = read_number(at, 10);
  }
  return true;
}

long set(prctl_mm_map& map) { return sys::raw(__NR_prctl, PR_SET_MM, PR_SET_MM_MAP, sys::bits(&map), sizeof map, 0); }

}  // namespace

void show_command(const GateState& state) {
  Auxv own;
  uint64_t field[kLast + 1];
  if (!read_auxv(own).ok() || !read_stat(field)) return;  // our own is needed later: it tells where the kernel's vdso is
  prctl_mm_map map{};
  map.start_code = field[kStartCode];
  map.end_code = field[kStartCode + 1];
  map.start_data = field[kStartData];
  map.end_data = field[kStartData + 1];
  map.start_brk = field[kStartData + 2];
  map.brk = static_cast<uint64_t>(sys::raw(__NR_brk, 0));
  map.start_stack = state.stack_pointer != 0 ? state.stack_pointer : field[kStartCode + 2];
  map.arg_start = state.argument_start;
  map.arg_end = state.argument_end;
  map.env_start = state.environment_start;
  map.env_end = state.environment_end;
  map.exe_fd = ~uint32_t{0};  // none: no rights are needed
  uint32_t words = 2;
  while (words < Auxv::kWords && state.auxv[words - 2] != AT_NULL) words += 2;
  uint64_t auxv[Auxv::kWords];
  __builtin_memcpy(auxv, state.auxv, sizeof auxv);
  map.auxv = reinterpret_cast<decltype(map.auxv)>(auxv);
  map.auxv_size = words * static_cast<uint32_t>(sizeof auxv[0]);
  if (!sys::failed(set(map))) return;
  map.auxv = nullptr;  // of another kernel, it may be longer than this one keeps
  map.auxv_size = 0;
  set(map);  // refused without CONFIG_CHECKPOINT_RESTORE: then ps shows our own command
}

void keep_words(const GateState& state) {
  struct Vector {
    uint64_t base, size;
  };
  const uint64_t at = page_down(state.argument_start), length = page_up(state.environment_end) - at;
  if (state.argument_start == 0 || !comes_from_image(at, length)) return;
  const long copy = sys::mmap(0, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  if (sys::failed(copy)) return;
  const auto place = static_cast<uint64_t>(copy);
  const Vector mine{place, length}, there{at, length};
  const long read = sys::raw(__NR_process_vm_readv, static_cast<uint64_t>(sys::gettid()), sys::bits(&mine), 1, sys::bits(&there), 1, 0);
  // The whole, or the application has taken rights away: then nothing is shown.
  if (read == static_cast<long>(length) &&
      !sys::failed(sys::raw(__NR_mremap, place, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, at)))
    return;
  sys::munmap(place, length);
}

void show_identity() {
  const GateState& state = live_state();
  sys::raw(__NR_prctl, PR_SET_NAME, sys::bits(state.name));
  struct Limit {
    uint64_t soft, hard;
  } limit;
  constexpr uint64_t kStackLimit = 3;  // RLIMIT_STACK
  if (sys::raw(__NR_prlimit64, 0, kStackLimit, 0, sys::bits(&limit)) != 0) return;
  limit.soft = state.stack_limit < limit.hard ? state.stack_limit : limit.hard;
  sys::raw(__NR_prlimit64, 0, kStackLimit, sys::bits(&limit), 0);
}

}  // namespace mana::loader
