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

// The System V objects that the application uses.  Those that it got and that still exist refuse the checkpoint; but segments that only
// this process has attached, and whole, come back: their regions become `shared_segment`.
std::string note_system_v(std::vector<UpperRegion>& regions, std::vector<image::SystemVSegment>& segments);

}  // namespace mana::lower
