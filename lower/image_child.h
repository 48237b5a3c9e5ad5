// SPDX-License-Identifier: BSD-3-Clause
// What the child does: writes the planned image from its copy of the memory, or, in place, from the memory itself.  It was forked from a
// process with other threads, any of which may have held any lock, or shares their memory and their %fs: no malloc, no stdio, no lock, no
// errno; raw reads of memory and raw system calls.
#pragma once

#include <cstdint>

#include "lower/image_plan.h"
#include "lower/memory_room.h"

namespace mana::lower {

struct ChildReport {  // what comes through the pipe
  uint64_t stored_bytes;
  uint64_t checksum;
  int64_t sync_ns;         // in which the file was complete and became durable
  char error[224];         // empty: all is durable
  bool gave_up;            // because memory was getting short
};

struct ImageWork {
  ImagePlan* plan;
  int file, report_pipe;
  int shared_pipe;  // closed when the shared memory has been written: the fork has made no copy of it, so the application must not go on before
  int threads;      // how many may write
  uint64_t most_ahead;  // bytes, about: written and not yet on their way to the disk
  bool in_place;
  MemoryRoom room;  // looked at while a copy is written
};
// In the forked child.
[[noreturn]] void write_image_and_exit(const ImageWork& work);
// Makes a child that shares all memory, has descriptors of its own, and does the same.  Its id or -errno.
long start_writing_in_place(const ImageWork& work);

// After a child in place has ended or was killed: what it had to change to read everything.
void undo_changes_in_place(const ImagePlan& plan);

}  // namespace mana::lower
