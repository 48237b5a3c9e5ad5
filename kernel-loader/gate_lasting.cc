// SPDX-License-Identifier: BSD-3-Clause
// Calls whose effect on the process no restart brings back, or that are so rare that what they have set is looked for only after one.
// They are done, and remembered in the state: a checkpoint refuses by name (lower/refusals.cc), or looks (lower/memory_policies.cc).  In a
// forked child they concern the child alone.
#include <cerrno>

#include "kernel-loader/caught_calls.h"
#include "kernel-loader/gate_data.h"

namespace mana::loader {
namespace {

uint64_t effect_of(long number) {
  switch (number) {
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
    case __NR_mbind:
    case __NR_set_mempolicy:
      return kMemoryPolicies;
    case kSetHomeNode:
      return kHomeNodes;
    default:
      return 0;
  }
}

}  // namespace

uint64_t lasting_effects() { return __atomic_load_n(&live_state().lasting, __ATOMIC_RELAXED); }

long do_lasting(CaughtCall& call) {
  const long got = call.pass();
  if (!sys::failed(got) && in_original_process())
    __atomic_fetch_or(&live_state().lasting, effect_of(call.number()), __ATOMIC_RELAXED);
  return got;
}

}  // namespace mana::loader
