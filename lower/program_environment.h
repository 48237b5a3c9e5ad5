// SPDX-License-Identifier: BSD-3-Clause
// The environment of a program without MPI: no front end tells where it is, so its libc's `environ` is looked up as its dynamic loader
// would.  At a restart, when the image is placed and nothing of the application runs.
#pragma once

#include "kernel-loader/gate.h"
#include "upper/interface.h"

namespace mana::lower {

// Room in memory of the application's, which is saved with it; nullptr: no library of the program has an `environ`.
EnvironmentRoom* room_for_environment(const loader::GateState& gate);

}  // namespace mana::lower
