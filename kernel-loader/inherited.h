// SPDX-License-Identifier: BSD-3-Clause
// What this process was started with, and what the lower half could not move: the two kinds of open
// number below the line that are not the application's own making.
//
// Whether a number still is an inherited open file, or a duplicate of one, is found out when it is
// asked (lower/descriptor_identity.h).  A pipe, a socket and a terminal have an inode of their own,
// which is enough.  Of all others a duplicate is kept above the line, to compare with.  Not of
// those: somebody waits for their last descriptor to be closed.
#pragma once

#include <cstdint>

#include "kernel-loader/result.h"

namespace mana::loader {

struct Inherited {
  int32_t number;
  int32_t kept;  // the duplicate; -1: the inode tells
  uint64_t device, inode;
};
inline constexpr int kMostInherited = 64;

// First thing in main.
Outcome note_inherited();
// At a restart: the number is to be the stream that the new process has not.
Outcome add_inherited(int number, int descriptor);
const Inherited* inherited_descriptors(int& count);

// Code inside a library of the lower half that is not ours to move (libc's own sockets) may keep a
// low number.  Between remember_numbers and find_strays the application opens nothing: what is new
// then is the lower half's.  It is told in one line, and left out of images.
void remember_numbers();
void find_strays();
bool is_stray(int number);

// Calls each() for every open number below the line, in no order, until it returns false.  Holds
// the descriptor lock, so nothing that is on its way above the line is seen; each() may open
// nothing.
Outcome for_each_number(bool (*each)(int number, void* closure), void* closure);

}  // namespace mana::loader
