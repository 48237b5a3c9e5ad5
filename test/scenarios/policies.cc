// SPDX-License-Identifier: BSD-3-Clause
// NUMA policies of threads and of memory.  Every machine has a node 0; that memory then lies elsewhere, one with more nodes would show.
#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <iterator>
#include <thread>

#include "test/scenario.h"
#include "test/scenarios/memory.h"

namespace {

using namespace mana::test;

constexpr unsigned long kBits = 1024 + 1;  // as the kernel counts
constexpr long kSetHomeNode = 450;         // Linux 5.17

struct Policy {
  int mode;
  unsigned long nodes[16];
  bool operator==(const Policy&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Policy& policy) { return out << policy.mode << " on " << policy.nodes[0]; }

constexpr Policy kDefault{MPOL_DEFAULT, {}}, kBound{MPOL_BIND, {1}}, kInterleaved{MPOL_INTERLEAVE, {1}}, kPreferred{MPOL_PREFERRED, {1}},
    kStatic{MPOL_BIND | MPOL_F_STATIC_NODES, {1}};

bool set_own(const Policy& policy) { return syscall(SYS_set_mempolicy, policy.mode, policy.nodes, kBits) == 0; }
bool bind(char* at, std::size_t bytes, const Policy& policy) { return syscall(SYS_mbind, at, bytes, policy.mode, policy.nodes, kBits, 0) == 0; }

Policy policy_of(const void* memory = nullptr) {
  Policy policy{-1, {}};
  syscall(SYS_get_mempolicy, &policy.mode, policy.nodes, kBits, memory, memory != nullptr ? MPOL_F_ADDR : 0);
  return policy;
}

bool machine_has_policies() {
  const Policy before = policy_of();
  const bool has = set_own(kPreferred);  // a container may not let it
  set_own(before);
  return has;
}

SCENARIO(policy_of_each_thread_stays, .ranks = 2) {
  if (!machine_has_policies()) return;
  const Policy before = policy_of();
  std::atomic<int> ready{0}, go{0};
  const auto with = [&](const Policy* policy) {
    return std::thread([&, policy] {
      if (policy != nullptr) CHECK(set_own(*policy));
      const Policy now = policy_of();
      ready++;
      while (go == 0) sched_yield();
      CHECK_EQ(policy_of(), now);
    });
  };
  std::thread plain = with(nullptr), bound = with(&kBound), interleaved = with(&kInterleaved);
  while (ready < 3) sched_yield();
  CHECK(set_own(kPreferred));
  job.checkpoint_here();
  CHECK_EQ(policy_of(), kPreferred);
  std::thread heir([&] { CHECK_EQ(policy_of(), kPreferred); });
  heir.join();
  go = 1;
  plain.join();
  bound.join();
  interleaved.join();
  CHECK(set_own(before));
  job.checkpoint_here();
  CHECK_EQ(policy_of(), before);
}

SCENARIO(policies_of_memory_stay, .ranks = 2) {
  if (!machine_has_policies()) return;
  constexpr std::size_t kBytes = 8 << 20, kPiece = kBytes / 4;
  constexpr int kBoth = PROT_READ | PROT_WRITE;
  auto* own = static_cast<char*>(mmap(nullptr, kBytes, kBoth, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  auto* shared = static_cast<char*>(mmap(nullptr, kBytes, kBoth, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  for (char* memory : {own, shared}) {
    fill(memory, kBytes, 3);
    CHECK(bind(memory, kPiece, kBound) && bind(memory + kPiece, kPage, kInterleaved) && bind(memory + 2 * kPiece, kPiece, kStatic));
  }
  CHECK_EQ(mprotect(own + 3 * kPiece, kPiece, PROT_NONE), 0);
  CHECK(bind(own + 3 * kPiece, kPiece, kPreferred));
  for (int turn = 0; turn < 2; turn++) {
    job.checkpoint_here();
    for (char* memory : {own, shared}) {
      CHECK(is_filled(memory, 3 * kPiece, 3));
      CHECK_EQ(policy_of(memory), kBound);
      CHECK_EQ(policy_of(memory + kPiece - 1), kBound);
      CHECK_EQ(policy_of(memory + kPiece), kInterleaved);
      CHECK_EQ(policy_of(memory + kPiece + kPage), kDefault);
      CHECK_EQ(policy_of(memory + 2 * kPiece), kStatic);
    }
    CHECK_EQ(policy_of(own + 3 * kPiece), kPreferred);
    CHECK_EQ(policy_of(shared + 3 * kPiece), kDefault);
    // Also of what is given away.
    CHECK_EQ(madvise(own, kPage, MADV_DONTNEED), 0);
    CHECK_EQ(policy_of(own), kBound);
    fill(own, kPage, 3);
  }
  munmap(own, kBytes);
  munmap(shared, kBytes);
}

// Nobody tells it: the job goes on without, which a line says.
SCENARIO(policy_with_a_home_node_stays, .ranks = 2) {
  if (!machine_has_policies()) return;
  auto* memory = static_cast<char*>(mmap(nullptr, 4 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  CHECK(bind(memory, 4 * kPage, kBound));
  if (syscall(kSetHomeNode, memory, 4 * kPage, 0, 0) != 0) CHECK_EQ(errno, ENOSYS);
  job.checkpoint_here();
  CHECK_EQ(policy_of(memory), kBound);
  munmap(memory, 4 * kPage);
}

}  // namespace
