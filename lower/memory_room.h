// SPDX-License-Identifier: BSD-3-Clause
// Whether memory is getting short: on this host (/proc/meminfo), and in the control groups that limit it for this process (of version 1 or 2).
// While an image is written from a copy, what the application writes to is there twice.  Where memory runs out the kernel kills somebody, and
// while the first one is still ending, the next (seen: 0.1 s after the writer the application).  So the writer gives up in time.
#pragma once

#include <array>
#include <cstdint>

namespace mana::lower {

// Files that are read again and again.  -1: none.
struct MemoryRoom {
  struct Group {
    uint64_t limit = 0;
    int usage = -1, statistics = -1;
  };
  std::array<Group, 4> groups;
  int host = -1;

  static constexpr int kMostFiles = 9;
  std::array<int, kMostFiles> files() const;
};

MemoryRoom open_memory_room();
void close_memory_room(const MemoryRoom& room);

// How many bytes there may be: the host's, or the least limit.
uint64_t memory_in_all(const MemoryRoom& room);

// For the writer: no libc.  True: less is left than a 32nd of what there may be, and 32 MiB.  Memory of files counts as left.
bool memory_is_short(const MemoryRoom& room);

}  // namespace mana::lower
