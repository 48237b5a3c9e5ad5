// SPDX-License-Identifier: BSD-3-Clause
// The table through which the upper half reaches the lower half: filled by name when a front end
// registers, and again with every restart.  Freestanding: runs in the gate's handler, with the
// upper %fs, without libc or TLS.
#pragma once

#include <cstdint>

#include "upper/interface.h"

namespace mana::lower {

struct TableEntry {
  const char* name;
  LowerFunction function;
};

// Functions made from the description of the API (mpi_wrappers), one array per lower program.
extern const TableEntry generated_functions[];
extern const uint32_t generated_function_count;

// Sets upper->functions[i] for every upper->function_names[i]; a name that this lower half does not
// know gets a function that returns kUnsupported.  Returns how many were unknown.
uint32_t fill_functions(UpperInterface* upper);

}  // namespace mana::lower
