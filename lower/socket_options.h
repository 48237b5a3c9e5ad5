// SPDX-License-Identifier: BSD-3-Clause
// What setsockopt(2) has made of a socket.
#pragma once

#include <string>

#include "lower/descriptor_contents.h"

namespace mana::lower {

// Text: why not; empty: saved.
std::string save_options(int number, Contents& into);
// What already is as it was is left alone, so what an ordinary user may not set is no trouble unless it was set.
void restore_options(int number, const Contents& contents);

}  // namespace mana::lower
