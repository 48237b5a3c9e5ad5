// SPDX-License-Identifier: BSD-3-Clause
// Messages as bytes: little-endian fixed-width numbers, strings and lists with a 32-bit length, one
// leading byte for the kind.  Decoding never trusts a length; what does not fit is an Error.  Both
// ends are of one build, so there is no version.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "control/messages.h"
#include "control/result.h"

namespace mana::control {

std::string encode(const Up& message);
std::string encode(const Down& message);
std::string encode(const Command& message);
std::string encode(const ToCommand& message);

template <class Message>  // Up, Down, Command or ToCommand
Result<Message> decode(std::span<const std::byte> bytes);

}  // namespace mana::control
