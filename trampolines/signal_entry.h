// SPDX-License-Identifier: BSD-3-Clause
// Where the kernel enters for every signal that the application handles.  Lives in the lower program (so it is not in
// the image: a restart installs the new one); the gate installs it (GateHooks::signal_entry) with the application's own
// flags, mask and restorer, and it goes on to mana_signal_handlers[signal] (kernel-loader/gate.h).
#pragma once

#include <cstdint>

// sa_handler / sa_sigaction for the kernel.
extern "C" void mana_signal_entry(int signal, void* info, void* context);

// While the instruction pointer is in here, nothing but %r10, %r11 and the sender in the siginfo has changed since the kernel entered.
// A signal that comes there with the upper %fs puts the thread at its handler's first instruction instead (lower/park.cc), so that no
// lower address is saved.
extern "C" const char mana_signal_entry_begin[], mana_signal_entry_end[];

// Called for a signal that came, with the upper %fs, above the line (in a function that is called without a switch).  True: it is queued
// again, and its handler is not to run now.  Freestanding.  Null: nothing.
extern "C" bool (*mana_interrupted_below)(int signal, void* info, void* context);

// Set before the first signal when user code may not execute rdfsbase and wrfsbase.
extern "C" uint8_t mana_signal_entry_by_call;
// Set before the first signal of a restarted process: senders are told by the ids that the application knows.
extern "C" uint8_t mana_signal_entry_tells_sender;
