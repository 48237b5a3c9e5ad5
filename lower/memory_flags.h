// SPDX-License-Identifier: BSD-3-Clause
// What madvise and mlock have said of the application's memory.  The flags are read only if the gate has seen one being
// set (GateState::memory_flags).
#pragma once

#include <string>
#include <vector>

#include "kernel-loader/gate.h"
#include "kernel-loader/image_format.h"
#include "lower/memory_map.h"

namespace mana::lower {

// Agent's thread, everything parked.  Marks the regions that grow down or may be dropped.
// `error`: they cannot be read.
std::vector<image::MemoryFlags> memory_flags(const loader::GateState& gate, std::vector<UpperRegion>& regions, std::string* error);

// In the process that writes the image: guards become zeroes, which it can read; and, if it was the application's memory, guards again.
// No errno, which that process has not.
void open_guards(const std::vector<image::MemoryFlags>& flags);
void close_guards(const std::vector<image::MemoryFlags>& flags);

// The process that writes the image is forked: it must have what the application keeps from its own children.  Between
// two of these, for the fork alone.
class ForkAll {
 public:
  explicit ForkAll(const std::vector<image::MemoryFlags>& flags);
  ~ForkAll();
  ForkAll(const ForkAll&) = delete;
  ForkAll& operator=(const ForkAll&) = delete;

 private:
  const std::vector<image::MemoryFlags>& flags_;
};

void restore_memory_flags(const std::vector<image::MemoryFlags>& flags);
// mlockall(MCL_FUTURE).  Last of all: where little may be locked (RLIMIT_MEMLOCK), the lower half gets no more memory from then on.
void lock_future_memory(const std::vector<image::MemoryFlags>& flags);

}  // namespace mana::lower
