// SPDX-License-Identifier: BSD-3-Clause
// Signals that are pending: read at a checkpoint (agent's thread, everything parked), queued again at a restart.
#pragma once

#include <vector>

#include "kernel-loader/image_format.h"

namespace mana::lower {

// Of the process and of every parked thread, in the order in which they would be delivered.  They stay pending.
std::vector<image::PendingSignal> pending_signals();

// Queues what was pending for the process.  Calling thread: all signals blocked.
void queue_process_signals(const std::vector<image::PendingSignal>& signals);

}  // namespace mana::lower
