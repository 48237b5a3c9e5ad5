// SPDX-License-Identifier: BSD-3-Clause
// CLOCK_MONOTONIC of a restarted process.
#pragma once

#include <string>

#include "cli/launcher.h"

namespace mana::cli {

// The clock of this process, from its next execve on, is not behind that of the image.  Where the kernel does not allow
// it, that is told in one line.
void keep_clock(const Launcher& launcher, const std::string& image);

}  // namespace mana::cli
