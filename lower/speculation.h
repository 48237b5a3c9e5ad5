// SPDX-License-Identifier: BSD-3-Clause
// What a thread has asked of the CPU's speculation (PR_SET_SPECULATION_CTRL).  Freestanding: only the thread itself is told, and can set it.
#pragma once

#include <sys/prctl.h>

#include <cstdint>

#include "kernel-loader/sys.h"

namespace mana::lower {

// PR_SPEC_STORE_BYPASS, PR_SPEC_INDIRECT_BRANCH, PR_SPEC_L1D_FLUSH.
inline constexpr uint64_t kMisfeatures = 3;

struct Speculation {
  uint8_t of[4];  // image::ThreadState
};

// 0: the kernel does not know it, or this CPU is not affected.
inline uint8_t speculation_of(uint64_t misfeature) {
  const long got = sys::raw(__NR_prctl, PR_GET_SPECULATION_CTRL, misfeature, 0, 0, 0);
  return sys::failed(got) ? uint8_t{0} : static_cast<uint8_t>(got);
}

inline Speculation read_speculation() {
  Speculation all{};
  for (uint64_t i = 0; i < kMisfeatures; ++i) all.of[i] = speculation_of(i);
  return all;
}

// Returns 0 or an errno.  Where the CPU is not affected, or the machine does so anyway, there is nothing to ask for.
inline int restore_speculation(const uint8_t (&wanted)[4]) {
  int error = 0;
  for (uint64_t i = 0; i < kMisfeatures; ++i) {
    const uint8_t now = speculation_of(i);
    const auto how = [](uint8_t word) { return static_cast<uint8_t>(word & ~PR_SPEC_PRCTL); };
    if (wanted[i] == 0 || how(now) == how(wanted[i])) continue;
    const long set = sys::raw(__NR_prctl, PR_SET_SPECULATION_CTRL, i, how(wanted[i]), 0, 0);
    if (sys::failed(set) && now != PR_SPEC_NOT_AFFECTED) error = sys::error_of(set);
  }
  return error;
}

}  // namespace mana::lower
