// SPDX-License-Identifier: BSD-3-Clause
#include <linux/seccomp.h>
#include <sys/mman.h>

#include <cerrno>

#include "kernel-loader/loader.h"
#include "kernel-loader/maps.h"
#include "kernel-loader/sys.h"

namespace mana::loader {
namespace {

Outcome check_seccomp() {
  const uint32_t trap = SECCOMP_RET_TRAP;
  const long got = sys::raw(__NR_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, sys::bits(&trap));
  if (sys::failed(got)) {
    return Error{"this kernel or container offers no seccomp filters (SECCOMP_RET_TRAP)",
                 sys::error_of(got)}
        .so("use a kernel with CONFIG_SECCOMP_FILTER (4.14 or newer) and a container that allows "
            "seccomp(2)");
  }
  return Done{};
}

// Kernels before 4.17 take MAP_FIXED_NOREPLACE for a hint.
Outcome check_fixed_noreplace() {
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  const long first = sys::mmap(kArenaLow, kPage, PROT_NONE, kFlags | MAP_FIXED_NOREPLACE);
  if (sys::failed(first)) {
    return Error{"the address range of the upper half is not usable", sys::error_of(first),
                 kArenaLow, kPage};
  }
  const long second = sys::mmap(kArenaLow, kPage, PROT_NONE, kFlags | MAP_FIXED_NOREPLACE);
  if (!sys::failed(second)) sys::munmap(static_cast<uint64_t>(second), kPage);
  sys::munmap(static_cast<uint64_t>(first), kPage);
  if (first != static_cast<long>(kArenaLow) || second != -EEXIST) {
    return Error{"this kernel has no MAP_FIXED_NOREPLACE"}.so("use Linux 4.17 or newer");
  }
  return Done{};
}

// The lower half must lie above the line and outside of the windows.  Under "ulimit -s unlimited" at exec it would not.
Outcome check_layout() {
  MapsReader maps;
  if (!maps.ok()) return Error{"open /proc/self/maps"}.so("mount /proc");
  for (MapsLine line; maps.next(line);) {
    if (touches_application_memory(line.region) && line.region.high > kPage) {
      return Error{"something of the lower half lies in the upper half's address range", 0,
                   line.region.low, line.region.length()}
          .so("start it with mana_launch or mana_restart, which set a finite stack limit first");
    }
  }
  return Done{};
}

}  // namespace

Outcome check_kernel() {
  if (Outcome seccomp = check_seccomp(); !seccomp.ok()) return seccomp;
  if (Outcome layout = check_layout(); !layout.ok()) return layout;
  return check_fixed_noreplace();
}

}  // namespace mana::loader
