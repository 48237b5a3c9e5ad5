// SPDX-License-Identifier: BSD-3-Clause
// Which parts of the arena are taken: a sorted array of disjoint ranges that do not touch.  It is
// exact as long as the gate sees every change; where it is not (shmdt, growing stacks, a fork at
// the wrong moment) placements fail with EEXIST, never destroy, and the table is read from
// /proc/self/maps again.  No locks, no kernel calls: tested on its own.
//
// Searching is a scan from the top down and changing is a memmove, both linear in the number of
// ranges.  That is a few hundred in ordinary programs (less than a microsecond) and at most
// vm.max_map_count.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernel-loader/layout.h"

namespace mana::loader {

class IntervalTable {
 public:
  // Uses the memory given; `capacity` ranges.
  void use(Region* memory, size_t capacity) {
    ranges_ = memory;
    capacity_ = capacity;
    count_ = 0;
  }
  void clear() { count_ = 0; }
  size_t count() const { return count_; }
  const Region& operator[](size_t i) const { return ranges_[i]; }

  // Marks as taken, joining neighbours.  False when the table is full.
  bool add(Region range);
  // Marks as free.  False when the table is full (a hole in the middle needs one more entry).
  bool remove(Region range);
  bool overlaps(Region range) const;

  // Highest free `length` bytes that end at or below `top`, start at or above `bottom`, and start
  // on a multiple of `alignment`.  0: none.
  uint64_t find_below(uint64_t top, uint64_t bottom, uint64_t length, uint64_t alignment) const;

 private:
  size_t first_ending_at_or_after(uint64_t address) const;
  void replace(size_t from, size_t until, const Region* with, size_t count);

  Region* ranges_ = nullptr;
  size_t capacity_ = 0;
  size_t count_ = 0;
};

}  // namespace mana::loader
