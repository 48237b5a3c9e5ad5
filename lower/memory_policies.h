// SPDX-License-Identifier: BSD-3-Clause
// NUMA policies.  What the application has set comes back where the nodes are there; what its launcher gave it is the new launcher's.
// They are asked for only if the gate has seen one being set (kMemoryPolicies).
#pragma once

#include <vector>

#include "kernel-loader/gate.h"
#include "kernel-loader/image_format.h"
#include "lower/memory_map.h"

namespace mana::lower {

// First thing in main(): what the launcher gave.
void note_launched_policy();

// Agent's thread, everything parked.
std::vector<image::MemoryPolicy> memory_policies(const loader::GateState& gate, const std::vector<UpperRegion>& regions);

// Those of memory; what this machine does not have is told in one line.
void restore_memory_policies(const loader::GateState& gate, const std::vector<image::MemoryPolicy>& policies);

}  // namespace mana::lower
