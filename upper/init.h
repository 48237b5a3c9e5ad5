// SPDX-License-Identifier: BSD-3-Clause
// What MPI_Init and a restart both do.
#pragma once

#include "upper/runtime.h"

namespace mana::upper {

// Lower handles that the runtime itself uses (World); asked again of every new lower half.
void learn_world(Call& call);

}  // namespace mana::upper
