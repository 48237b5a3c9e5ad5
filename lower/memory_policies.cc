// SPDX-License-Identifier: BSD-3-Clause
#include "lower/memory_policies.h"

#include "kernel-loader/report.h"
#include "lower/numa_policy.h"
#include "lower/stop.h"

namespace mana::lower {
namespace {

using image::MemoryPolicy;

MemoryPolicy launched{};

}  // namespace

void note_launched_policy() { read_policy(launched); }

std::vector<MemoryPolicy> memory_policies(const loader::GateState& gate, const std::vector<UpperRegion>& regions) {
  std::vector<MemoryPolicy> all;
  if ((gate.lasting & loader::kMemoryPolicies) == 0) return all;
  int32_t thread = 0;
  for (const ParkSlot* slot : parked_threads()) {
    MemoryPolicy policy = slot->policy;
    policy.thread = thread++;
    if (!is_same_policy(policy, launched)) all.push_back(policy);
  }
  for (const UpperRegion& region : regions) {
    MemoryPolicy policy{};
    policy.begin = region.begin;
    policy.bytes = region.end - region.begin;
    if (read_policy(policy) && policy.mode != MPOL_DEFAULT) all.push_back(policy);
  }
  return all;
}

void restore_memory_policies(const loader::GateState& gate, const std::vector<MemoryPolicy>& policies) {
  bool told = false;
  for (const MemoryPolicy& policy : policies) {
    const int error = policy.bytes != 0 ? restore_policy(policy) : 0;
    if (error == 0 || told) continue;
    told = true;
    loader::report("restart", loader::Error{"bind memory to the NUMA nodes that it had been bound to (mbind)", error, policy.begin, policy.bytes}.so(
                                  "such memory lies where this machine's launcher puts it"));
  }
  if ((gate.lasting & loader::kHomeNodes) != 0)
    loader::report("restart", loader::Error{"set the home nodes of memory (set_mempolicy_home_node), which nobody can read back"}.so(
                                  "its policy goes without"));
}

}  // namespace mana::lower
