// SPDX-License-Identifier: BSD-3-Clause
// Continues one rank from its image.  Everything that can be wrong with an image is found before MPI is initialised and before
// anything is placed; each fault is one line that says rank, what, where, why and what to do.
#pragma once

namespace mana::lower {

// After the options have been read.  Returns an exit code when it cannot; otherwise this thread becomes the application's main
// thread and never comes back.
int restart();

}  // namespace mana::lower
