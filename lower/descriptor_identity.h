// SPDX-License-Identifier: BSD-3-Clause
// Which of the application's descriptors share an open file, and which are still what the launcher
// gave.  Nothing is noted when the application duplicates one, so it is found out while everybody
// stands still.
#pragma once

#include "lower/descriptor_contents.h"

namespace mana::lower {

// Sets same_as, and the kinds standard and inherited.
void identify_descriptors(Descriptors& all);

}  // namespace mana::lower
