// SPDX-License-Identifier: BSD-3-Clause
// The session and the process group that the application has made for itself (setsid, setpgid), rather than been launched in: it has left
// its launcher's natively, and leaves the new one's at a restart.  Its controlling terminal: descriptor_terminals.cc.
#pragma once

#include "kernel-loader/gate.h"
#include "kernel-loader/image_format.h"

namespace mana::lower {

// First thing in main(): what the launcher gave.
void note_launched_session();

// Agent's thread, everything parked.
void read_session(image::ProcessState& state);
// Main thread, before the ids are noted that the application knows (restore_gate_state).  What cannot be is told.
void restore_session(const image::ProcessState& state, const loader::GateState& gate);

// Since the launch, or by restore_session: a terminal of the launcher's session is not the application's.
bool leads_own_session();

}  // namespace mana::lower
