// SPDX-License-Identifier: BSD-3-Clause
// Looks at a program file before anything is loaded: can it be run as an upper half, and if not,
// why.  Ordinary code may call this (mana_launch does, to refuse bad input before MPI starts); it
// allocates nothing.
#pragma once

#include <cstdint>

#include "kernel-loader/result.h"

namespace mana::loader {

struct ElfHeaders;

inline constexpr size_t kPathSize = 4096;

struct Program {
  char path[kPathSize];         // absolute path of the ELF file to load
  char interpreter[kPathSize];  // its PT_INTERP
  bool position_independent;
  // When the file asked for was a script ("#!"): the words that execve puts in the place of
  // argv[0], one after the other, each with its NUL: interpreter, its argument if any, the script.
  // 0 words: not a script.
  uint32_t prefix_words;
  char prefix[kPathSize];
};

// Finds `name` as execvp does: with a slash it is a path, otherwise the folders of `search` (PATH;
// null: the default). Writes the path as it was put together (not made absolute) to `found`.
Outcome find_program(const char* name, const char* search, char (&found)[kPathSize]);

// Says what is wrong with `path` as the program of a rank: missing, no permission, not an ELF file,
// 32-bit, another machine, static (cannot be checkpointed for MPI), a missing interpreter.  Follows
// "#!" (up to 4 deep).
Outcome inspect_program(const char* path, Program& program);

// Calls each(name, closure) for every DT_NEEDED of one ELF file; stops when it returns false.
// `room`: where the stack is small.
Outcome needed_libraries(const char* path, bool (*each)(const char* name, void* closure),
                         void* closure);
Outcome needed_libraries(const char* path, bool (*each)(const char* name, void* closure), void* closure,
                         ElfHeaders& room);

}  // namespace mana::loader
