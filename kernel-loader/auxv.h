// SPDX-License-Identifier: BSD-3-Clause
// The auxiliary vector that the kernel gave this process.
#pragma once

#include <cstdint>

#include "kernel-loader/result.h"

namespace mana::loader {

struct Auxv {
  static constexpr int kWords = 128;
  uint64_t words[kWords] = {};  // pairs of type and value, ends with AT_NULL
  uint64_t value(uint64_t type) const {
    for (int i = 0; i + 1 < kWords && words[i] != 0; i += 2) {
      if (words[i] == type) return words[i + 1];
    }
    return 0;
  }
};

// Reads it once: later /proc shows the application's (shown_process.cc).  The first time before other threads.
Outcome read_auxv(Auxv& auxv);

}  // namespace mana::loader
