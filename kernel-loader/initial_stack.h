// SPDX-License-Identifier: BSD-3-Clause
// The main thread's stack as execve leaves it: strings at the top, below them auxv, envp, argv,
// argc.
#pragma once

#include "kernel-loader/auxv.h"
#include "kernel-loader/layout.h"
#include "kernel-loader/program.h"
#include "kernel-loader/result.h"

namespace mana::loader {

struct StackContent {
  const Program* program;  // prefix words of a script
  const char* file_name;   // as execve's caller gave it: AT_EXECFN
  char* const* arguments;
  char* const* environment;
  Auxv auxv;      // as the application shall see it, without the pointers into the stack
  uint64_t skip;  // bytes left free at the top (address randomisation)
};

struct InitialStack {
  uint64_t pointer;
  Region arguments, environment;  // the strings
};

// Writes into [stack.low, stack.high), which is mapped.  `auxv` gets the pointers filled in as
// well.
Result<InitialStack> build_stack(const Region& stack, StackContent& content);

}  // namespace mana::loader
