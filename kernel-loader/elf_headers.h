// SPDX-License-Identifier: BSD-3-Clause
// The headers of one ELF file of this machine, read and checked.  Freestanding; the file stays open
// in `descriptor`.
#pragma once

#include <elf.h>

#include "kernel-loader/result.h"

namespace mana::loader {

inline constexpr int kMostSegments = 64;

struct ElfHeaders {
  Elf64_Ehdr file;
  Elf64_Phdr segments[kMostSegments];
  const Elf64_Phdr* find(uint32_t type) const {
    for (int i = 0; i < file.e_phnum; i++) {
      if (segments[i].p_type == type) return &segments[i];
    }
    return nullptr;
  }
};

// Errors say what is wrong with the file as an x86-64 program; the caller adds its name.
Outcome read_elf_headers(int descriptor, ElfHeaders& headers);

}  // namespace mana::loader
