// SPDX-License-Identifier: BSD-3-Clause
// Places the upper half's mappings.  Everything is chosen top-down, first fit, as the kernel does
// below its mmap_base, so an application that maps and unmaps for days stays in the same few
// ranges.  Called by the loader and at a restart (one thread), and by the gate (any thread, signals
// blocked).
#pragma once

#include <cstdint>

#include "kernel-loader/interval_table.h"
#include "kernel-loader/layout.h"
#include "kernel-loader/result.h"

namespace mana::loader {

// Ranges that no placement may use though nothing is mapped there yet: room for the heap and around
// the stack.
struct ArenaPlan {
  uint64_t placement_top = kArenaHigh;
  Region heap;
  Region stack;
};

// Prepares the table in memory of the lower half.  Once per process.
Outcome init_arena();
void set_arena_plan(const ArenaPlan& plan);
const ArenaPlan& arena_plan();

// Maps like mmap(2) at a place of ours.  `flags` without MAP_FIXED*.  Returns the address or
// -errno.
long map_in_arena(uint64_t length, int protection, int flags, int descriptor, uint64_t offset,
                  uint64_t alignment);
// The least alignment of a mapping of this size and these flags.
uint64_t alignment_for(uint64_t length, int flags);

// The application has mapped or unmapped a range (anywhere; what lies outside the arena is
// ignored).
void note_mapped(uint64_t address, uint64_t length);
void note_unmapped(uint64_t address, uint64_t length);

// Reads /proc/self/maps.
void relearn_arena();

struct ArenaUse {
  uint64_t ranges;     // in the table
  uint64_t lowest;     // lowest address ever handed out
  uint64_t relearned;  // how often the table was read from the kernel
};
ArenaUse arena_use();

}  // namespace mana::loader
