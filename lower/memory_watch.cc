// SPDX-License-Identifier: BSD-3-Clause
#include "lower/memory_watch.h"

#include <dirent.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstdlib>

#include "kernel-loader/gate.h"
#include "kernel-loader/report.h"
#include "kernel-loader/sys.h"
#include "lower/threads.h"

namespace mana::lower {
namespace {

// Documentation/admin-guide/devices.txt of Linux: memory, terminals, pseudo-terminals.  All other character devices may map or pin.
bool may_pin(unsigned device_major) {
  const bool is_terminal = device_major == 4 || device_major == 5 || (device_major >= 128 && device_major <= 143);
  return device_major != 1 && !is_terminal;
}

bool holds_a_device() {
  DIR* open_ones = opendir("/proc/self/fd");
  if (open_ones == nullptr) return true;
  bool holds = false;
  while (const dirent* entry = readdir(open_ones)) {
    struct stat status {};
    if (fstatat(dirfd(open_ones), entry->d_name, &status, 0) == 0 && S_ISCHR(status.st_mode)) holds |= may_pin(major(status.st_rdev));
  }
  closedir(open_ones);
  return holds;
}

}  // namespace

void watch_memory() {
  if (std::getenv("MANA_WATCH_MEMORY") == nullptr && !holds_a_device()) return;
  constexpr const char* kCure = "start the job again: its network may send from memory that was unmapped";
  if (!start_memory_thread()) return loader::report("init", loader::Error{"start the thread that tells of unmapped memory", errno}.so(kCure));
  if (const auto watched = loader::watch_memory(tell_unmap); !watched.ok()) loader::report("init", watched.error());
}

// An address that is not a multiple of the page size: whoever has patched munmap hears of the range, and the kernel refuses (EINVAL)
// before it does anything.  So the gate makes the call itself, as it must be made.  (Passing the call on instead was tried: UCX's mremap
// loses the fifth argument, and the memory lands at address 0.)
void tell_libc(void* unmapped) {
  const auto& gone = *static_cast<const Unmapped*>(unmapped);
  munmap(sys::pointer<void>(gone.address + 1), gone.length - 1);
}

}  // namespace mana::lower
