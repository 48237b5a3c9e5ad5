// SPDX-License-Identifier: BSD-3-Clause
// Who has the descriptor numbers below first_lower_descriptor().  Every number that the application
// does not use is held by a placeholder (an O_PATH descriptor of one unlinked file of ours,
// close-on-exec), so the kernel gives the lower half numbers above.  A placeholder answers EBADF to
// what a program does with a number; the gate sees to the rest (fcntl, dup).  The descriptor table
// itself tells whether a number is free (fstat finds the placeholder's inode): true in every
// process, children included.  The bitmap only saves the search; `description` tells which numbers
// share an open file.  Both are read and written by the original process and, as a copy, by forked
// children.
#pragma once

#include <cstdint>

#include "kernel-loader/layout.h"
#include "kernel-loader/result.h"

namespace mana::loader {

class DescriptorTable {
 public:
  // Closed numbers become free ones; open ones are the application's by inheritance.
  Outcome hold(int first_lower);

  bool ready() const { return first_lower_ > 0; }
  int first_lower() const { return first_lower_; }
  int placeholder() const { return placeholder_; }
  enum class Number { closed, free, file, other };  // free: a placeholder; file: a regular file
  Number look_at(int number) const;
  bool is_placeholder(int number) const { return look_at(number) == Number::free; }

  // Lowest free number >= least; taken from then on.  -1: none.  Caller holds the descriptor lock.
  // In a forked child the bitmap may be a copy from the middle of a change, and the child closes
  // numbers without it: `verify` asks the kernel.
  int claim(int least, bool verify);
  // Lowest number in [least, below) that a placeholder has, by asking the kernel only.  -1: none.
  int find_placeholder(int least, int below) const;
  // The number is the application's from now on; `description` 0: a new open file.
  void set_used(int number, uint32_t description = 0);
  // Puts the placeholder there.
  long release(int number);

  uint32_t description(int number) const { return descriptions_[number]; }
  // Inherited numbers describe themselves: description n + 1 belongs to inherited number n.
  bool is_inherited(int number, int inherited) const {
    return descriptions_[number] == static_cast<uint32_t>(inherited) + 1;
  }
  bool was_inherited(int number) const {
    return descriptions_[number] != 0 && descriptions_[number] <= kMostApplicationDescriptors;
  }
  void set_inherited(int number, int inherited) {
    set_used(number, static_cast<uint32_t>(inherited) + 1);
  }

 private:
  void set_free(int number, bool free) {
    const uint64_t bit = uint64_t{1} << (number % 64);
    if (free)
      free_[number / 64] |= bit;
    else
      free_[number / 64] &= ~bit;
  }

  int first_lower_ = 0;
  int placeholder_ = -1;
  uint64_t device_ = 0, inode_ = 0;
  uint32_t next_description_ = kMostApplicationDescriptors + 1;
  uint64_t free_[kMostApplicationDescriptors / 64] = {};
  uint32_t descriptions_[kMostApplicationDescriptors] = {};
};

DescriptorTable& descriptor_table();

}  // namespace mana::loader
