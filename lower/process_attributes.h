// SPDX-License-Identifier: BSD-3-Clause
// What the kernel keeps for the process as a whole, and a program asks it for by prctl and its like: a restarted process is
// given it again.
#pragma once

#include "kernel-loader/gate.h"
#include "kernel-loader/image_format.h"
#include "kernel-loader/result.h"
#include "lower/speculation.h"

namespace mana::lower {

// First thing in main(): what the launcher gave.
void note_launched_process();

// Agent's thread, everything parked.
void read_process_attributes(image::ProcessState& state);
void note_own_speculation(const Speculation& now, image::ThreadState& state);
// Before there are threads of the application.
loader::Outcome restore_process_attributes(const image::ProcessState& state);
// Last: what would be in the way of a restart.
void restore_restrictions(const image::ProcessState& state);
// Who may trace the process; and a line for what nobody can do again.
void restore_relations(const loader::GateState& gate);

}  // namespace mana::lower
