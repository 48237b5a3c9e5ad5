// SPDX-License-Identifier: BSD-3-Clause
// What else the application has done to its process that no restart brings back.  Ordinary code, on the agent's thread, while
// the application is parked.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernel-loader/gate.h"
#include "lower/memory_map.h"

namespace mana::lower {

// Effects of earlier calls (kernel-loader/gate_lasting.cc).  Empty: none that matters now.
std::string lasting_refusal(const loader::GateState& gate);

// The regions that are attached System V shared memory segments.  What only this process has attached, once and whole, comes
// back (`shared_segment`); others would go on with the old segment.
std::string note_segments(std::vector<UpperRegion>& regions);

}  // namespace mana::lower
