// SPDX-License-Identifier: BSD-3-Clause
// mana_restart --env: variables of the application's environment that the user wants different after a restart.
#pragma once

#include <string>
#include <vector>

#include "kernel-loader/result.h"
#include "upper/interface.h"

namespace mana::lower {

// NAME=VALUE each.  While no thread of the application runs.  A parked thread may be in the middle of getenv(): the list that it
// walks, and every string that it may have found, stay as they are.  As libc does, setenv() of the application goes on from a list
// that is not its own by copying it.
// Errors: there is no room for it, or it is full (4096 variables, 256 KiB of text over all restarts).
loader::Outcome change_environment(EnvironmentRoom* room, const std::vector<std::string>& changes);

}  // namespace mana::lower
