// SPDX-License-Identifier: BSD-3-Clause
// What the application may ask about its surroundings, at any time, also before MPI_Init.
#pragma once

#include <cstdint>

#include "upper/core_ops.h"

namespace mana::upper {

// Called by MPI_Init and after a restart: processor name and library version are those of the current lower half, the
// attributes' values are kept from the first (the application may hold copies).
void set_environment(const core::Init& facts, bool restarted);

}  // namespace mana::upper
