// SPDX-License-Identifier: BSD-3-Clause
// What is remembered of calls that have an effect on the process: also of those that this machine has not.
#include <catch2/catch.hpp>
#include <linux/keyctl.h>
#include <linux/prctl.h>

#include <cerrno>

#include "kernel-loader/gate_data.h"

namespace mana::loader {
namespace {

// The call as the handler gets it.
struct Call {
  explicit Call(long number, uint64_t first = 0, uint64_t second = 0) : call(number, &context, nullptr) {
    call.set_argument(0, first);
    call.set_argument(1, second);
  }
  ucontext_t context{};
  CaughtCall call;
};

}  // namespace

TEST_CASE("protection_keys_are_held_until_they_are_freed") {
  const Call alloc(__NR_pkey_alloc);
  const uint64_t one = lasting_after(kTraces, alloc.call, 1);
  const uint64_t both = lasting_after(one, alloc.call, 15);
  CHECK((both & kProtectionKeys) != 0);
  CHECK(lasting_after(both, alloc.call, -ENOSPC) == both);
  CHECK(lasting_after(both, Call(__NR_pkey_free, 1).call, -EINVAL) == both);
  const uint64_t last = lasting_after(both, Call(__NR_pkey_free, 1).call, 0);
  CHECK((last & kProtectionKeys) != 0);
  CHECK(lasting_after(last, Call(__NR_pkey_free, 15).call, 0) == kTraces);
}

TEST_CASE("a_session_key_ring_is_the_applications_once_it_has_joined_one") {
  const auto session = static_cast<uint64_t>(KEY_SPEC_SESSION_KEYRING);
  CHECK(lasting_after(0, Call(__NR_keyctl, KEYCTL_JOIN_SESSION_KEYRING).call, -EPERM) == 0);
  CHECK((lasting_after(0, Call(__NR_keyctl, KEYCTL_JOIN_SESSION_KEYRING).call, 5) & kSessionKeyRing) != 0);
  CHECK(lasting_after(0, Call(__NR_keyctl, KEYCTL_GET_KEYRING_ID, session).call, 5) == kKeyRings);  // that does not make one
}

TEST_CASE("words_in_proc_are_the_applications_once_it_has_put_them_there") {
  CHECK(lasting_after(0, Call(__NR_prctl, PR_SET_MM, PR_SET_MM_ARG_START).call, -EPERM) == 0);
  CHECK(lasting_after(0, Call(__NR_prctl, PR_SET_MM, PR_SET_MM_ARG_START).call, 0) == kMovedWords);
}

TEST_CASE("cores_are_shared_by_the_applications_choice_once_it_has_made_one") {
  CHECK(lasting_after(0, Call(__NR_prctl, PR_SCHED_CORE, PR_SCHED_CORE_GET).call, 0) == 0);
  CHECK(lasting_after(0, Call(__NR_prctl, PR_SCHED_CORE, PR_SCHED_CORE_CREATE).call, -ENODEV) == 0);
  CHECK(lasting_after(0, Call(__NR_prctl, PR_SCHED_CORE, PR_SCHED_CORE_CREATE).call, 0) == kSharesCore);
}

}  // namespace mana::loader
