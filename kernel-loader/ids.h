// SPDX-License-Identifier: BSD-3-Clause
// Process and thread ids stay what the application has seen, across restarts.
//
// The kernel gives a restarted process and its threads new ids.  So a restarted process (and only that: before, both are
// the same and nothing is caught) has a table of pairs, the id that the application knows and the kernel's; the calls that take or tell an
// id are caught and translated (gate_ids.cc).  What is not in the table is the same on both sides: children, threads made since,
// other processes.
//
// Limits: the kernel may give a new thread or child a number that the application knows as one of its own.  Then the application's
// own is meant.  A futex with priority inheritance, or a robust one, that was locked before the restart holds the old number,
// which the kernel reads.
#pragma once

#include <cstdint>

namespace mana::loader {

// One number may be the id of a task, a process group and a session, of which the new launcher makes three.
enum class IdKind : uint32_t { task, group, session };

// Before the application runs.  `fs`: of a thread other than the main one, to tell it from a later one that got its number; else 0.
// False: the table is full.
bool add_id(IdKind kind, int32_t seen, int32_t real, uint64_t fs = 0);

// Any thread, also in a signal handler.
int32_t real_id(int32_t seen, IdKind kind = IdKind::task);
int32_t seen_id(int32_t real, IdKind kind = IdKind::task);
int32_t seen_id_of_this_thread();

bool ids_are_translated();

}  // namespace mana::loader
