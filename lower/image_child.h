// SPDX-License-Identifier: BSD-3-Clause
// What the forked child does: writes the planned image from its copy of the memory.  It was forked from a process with
// other threads, any of which may have held any lock: no malloc, no stdio, no lock; raw reads of memory and raw writes.
#pragma once

#include <cstdint>

#include "lower/image_plan.h"

namespace mana::lower {

struct ChildReport {  // what comes through the pipe
  uint64_t stored_bytes;
  uint64_t checksum;
  int64_t finished_at_ns;  // CLOCK_MONOTONIC
  char error[224];         // empty: all is durable
};

// `threads`: how many may write.  Ends the process.  `shared_pipe` is closed when the shared memory has been written: the fork has made no copy of it, so
// the application must not go on before.
[[noreturn]] void write_image_and_exit(ImagePlan& plan, int file, int report_pipe, int shared_pipe, int threads);

}  // namespace mana::lower
