// SPDX-License-Identifier: BSD-3-Clause
// Maps the PT_LOAD segments of one ELF file as execve does.
#pragma once

#include "kernel-loader/elf_headers.h"
#include "kernel-loader/result.h"

namespace mana::loader {

struct PlacedElf {
  uint64_t bias;  // added to the file's addresses; 0 for a program at its link address
  uint64_t entry;
  uint64_t program_headers;  // address of them in memory
  uint64_t low, high;        // page-aligned range of all segments
};

// A position-independent file goes to `wanted` (moved up to its alignment), or where the allocator
// says when that is 0; any other to its link address.
Result<PlacedElf> place_segments(int descriptor, const ElfHeaders& headers, uint64_t wanted);

}  // namespace mana::loader
