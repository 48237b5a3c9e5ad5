// SPDX-License-Identifier: BSD-3-Clause
// The multicast groups that a socket has joined (ip(7), ipv6(7)).  The kernel lists those of the host, and says of each whether a given
// socket is a member.
#pragma once

#include <string>

#include "lower/descriptor_contents.h"

namespace mana::lower {

// Text: why not; empty: saved.
std::string save_groups(int number, Contents& into);
// What cannot be joined again is told.
void join_groups(int number, const Contents& contents);

}  // namespace mana::lower
