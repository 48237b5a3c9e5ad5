// SPDX-License-Identifier: BSD-3-Clause
// The application's monotonic clocks from one process to the next (kernel-loader/clocks.h).
#pragma once

#include "kernel-loader/image_format.h"

namespace mana::lower {

// Agent's thread, everything parked.
void save_clocks(image::ImageHeader& header);

// Of a new process, before anything of the application's has a deadline or runs.  `together`: all ranks call this, and MPI is
// initialised; those that had one clock and are on one host have one again, because they may have told each other times.
void continue_clocks(const image::ImageHeader& header, int ranks, bool together);

}  // namespace mana::lower
