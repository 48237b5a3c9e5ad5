// SPDX-License-Identifier: BSD-3-Clause
// How many threads may work for a moment in one of `ranks` ranks.  A rank alone has its cores for itself; next to others there
// are likely more on this host, bound to the same ones or not.
#pragma once

#include <sched.h>

#include <algorithm>

namespace mana::lower {

inline int spare_cores(int ranks) {
  constexpr int kMost = 4;  // more do not move memory any faster
  cpu_set_t bound;
  const int cores = sched_getaffinity(0, sizeof bound, &bound) == 0 ? CPU_COUNT(&bound) : 1;
  return std::clamp(ranks == 1 ? cores : cores / 2, 1, kMost);
}

}  // namespace mana::lower
