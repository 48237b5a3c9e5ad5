// SPDX-License-Identifier: BSD-3-Clause
// Calls whose effect on the process no restart brings back, or that are so rare that what they have set is looked for only after one.
// They are done, and remembered in the state: a checkpoint refuses by name (lower/refusals.cc), or looks (lower/memory_policies.cc).  In a
// forked child they concern the child alone.
#include <linux/keyctl.h>
#include <linux/prctl.h>
#include <sys/socket.h>

#include <cerrno>

#include "kernel-loader/caught_calls.h"
#include "kernel-loader/descriptor_line.h"
#include "kernel-loader/gate_data.h"
#include "kernel-loader/ids.h"
#include "kernel-loader/protection_keys.h"

namespace mana::loader {
namespace {

// A session's key ring is made when a thread without one puts something into it.  Whether it had one nobody can ask without making one.
bool makes_session_ring(const CaughtCall& call) {
  const auto is_session = [&call](int i) { return static_cast<int32_t>(call.argument(i)) == KEY_SPEC_SESSION_KEYRING; };
  if (call.number() == __NR_add_key) return is_session(4);
  if (call.number() == __NR_request_key) return is_session(3);
  switch (call.argument(0)) {
    case KEYCTL_JOIN_SESSION_KEYRING:
      return true;
    case KEYCTL_GET_KEYRING_ID:
      return is_session(1) && call.argument(2) != 0;
    case KEYCTL_LINK:
      return is_session(2);
    case KEYCTL_MOVE:
      return is_session(3);
    case KEYCTL_SEARCH:
    case KEYCTL_INSTANTIATE:
      return is_session(4);
    default:
      return false;
  }
}

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
      return kOwnFilter;
    case __NR_prctl:
      if (call.argument(0) == PR_SET_MM) return kMovedWords;
      if (call.argument(0) == PR_SCHED_CORE) return call.argument(1) != PR_SCHED_CORE_GET ? kSharesCore : 0;
      if (call.argument(0) == PR_SET_SYSCALL_USER_DISPATCH) return call.argument(1) != PR_SYS_DISPATCH_OFF ? kDispatches : 0;
      return kOwnFilter;
    case __NR_iopl:
    case __NR_ioperm:
      return kHasPorts;
    case __NR_fcntl:  // F_NOTIFY
      return call.argument(2) != 0 ? kWatchesFolder : 0;
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
    case __NR_add_key:
    case __NR_request_key:
    case __NR_keyctl:  // those of threads and of the process are looked at when it matters
      return kKeyRings | (makes_session_ring(call) ? kSessionKeyRing : 0);
    case __NR_setsockopt:  // other levels have options of these numbers; whether such a socket is there is looked at when it matters
      return call.argument(1) == SOL_SOCKET ? kChoosesSocket : 0;
    default:
      return 0;
  }
}

}  // namespace

bool watches_folder(const CaughtCall& call) {
  return call.argument(1) == F_NOTIFY && static_cast<int32_t>(call.argument(0)) < first_lower_descriptor();
}

uint64_t lasting_effects() { return __atomic_load_n(&live_state().lasting, __ATOMIC_RELAXED); }

uint64_t lasting_after(uint64_t lasting, const CaughtCall& call, long result) {
  if (sys::failed(result)) return lasting;
  if (call.number() == __NR_pkey_alloc) return lasting | protection_key(static_cast<uint64_t>(result));
  if (call.number() == __NR_pkey_free) return lasting & ~protection_key(call.argument(0));
  return lasting | effect_of(call);
}

long do_lasting(CaughtCall& call) {
  const long got = call.pass();
  if (call.number() == __NR_pkey_alloc && !sys::failed(got)) set_key_rights(*call.context(), static_cast<uint32_t>(got), static_cast<uint32_t>(call.argument(1)));
  uint64_t before = lasting_effects();
  while (in_original_process() && !__atomic_compare_exchange_n(&live_state().lasting, &before, lasting_after(before, call, got), false,
                                                               __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return got;
}

// Without Yama the kernel refuses it.
long do_choose_tracer(CaughtCall& call) {
  const uint64_t tracer = call.argument(1);
  const uint64_t real = tracer == PR_SET_PTRACER_ANY ? tracer : static_cast<uint64_t>(real_id(static_cast<int32_t>(tracer)));
  const long got = sys::raw(call.number(), call.argument(0), real, call.argument(2), call.argument(3), call.argument(4));
  if (sys::failed(got) || !in_original_process()) return got;
  __atomic_store_n(&live_state().tracer, tracer, __ATOMIC_RELAXED);
  __atomic_fetch_or(&live_state().lasting, kChoseTracer, __ATOMIC_RELAXED);
  return got;
}

void forget_that_none_may_trace() {
  if (live_state().tracer == 0) __atomic_fetch_and(&live_state().lasting, ~kChoseTracer, __ATOMIC_RELAXED);
}

}  // namespace mana::loader
