// SPDX-License-Identifier: BSD-3-Clause
// Protection keys (pkeys(7)) that the application holds (GateState::lasting).  A restart holds the same again; memory that has one is
// refused.  A thread's rights come back with its registers.
#pragma once

#include "kernel-loader/gate.h"
#include "kernel-loader/result.h"

namespace mana::lower {

// Of the application's memory, any: /proc is read only if it holds a key.
bool memory_has_protection_key(const loader::GateState& gate);

// Before there is memory that can only be executed: the kernel takes a key of its own for such.
loader::Outcome restore_protection_keys(const loader::GateState& gate);

}  // namespace mana::lower
