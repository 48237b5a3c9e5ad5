// SPDX-License-Identifier: BSD-3-Clause
// Calls whose effect on the process no restart brings back.  They are done, and remembered in the state, so that a
// checkpoint refuses by name (lower/refusals.cc).  In a forked child they concern the child alone.
#include <sys/socket.h>

#include <cerrno>

#include "kernel-loader/caught_calls.h"
#include "kernel-loader/gate_data.h"

namespace mana::loader {
namespace {

uint64_t effect_of(const CaughtCall& call) {
  switch (call.number()) {
    case __NR_unshare:
      return kUnshared;
    case __NR_setns:
      return kEnteredNamespace;
    case __NR_chroot:
    case __NR_pivot_root:
      return kChangedRoot;
    case __NR_seccomp:
    case __NR_prctl:
      return kOwnFilter;
    case __NR_ptrace:  // from PTRACE_ATTACH to PTRACE_SEIZE; whether it traces anybody is looked at when it matters
      return kTraces;
    case kLandlockRestrictSelf:
      return kRestricted;
    case __NR_io_setup:  // whether such a context is still there is looked at when it matters
      return kAsynchronousIo;
    case __NR_setsockopt:  // other levels have options of these numbers; whether such a socket is there is looked at when it matters
      return call.argument(1) == SOL_SOCKET ? kChoosesSocket : 0;
    default:
      return 0;
  }
}

}  // namespace

long do_lasting(CaughtCall& call) {
  const long got = call.pass();
  if (!sys::failed(got) && in_original_process())
    __atomic_fetch_or(&live_state().lasting, effect_of(call), __ATOMIC_RELAXED);
  return got;
}

}  // namespace mana::loader
