// SPDX-License-Identifier: BSD-3-Clause
#include "mpi_wrappers/front_ends/internal_symbol.h"

#include "upper/kernel.h"
#include "upper/text.h"

namespace mana::application {

void internal_symbol(const char* name) {
  upper::Text message;
  message.add(name).add(
      ": an internal function of the original MPI library was called; only MPI's C functions are "
      "here");
  upper::write_line(message);
  constexpr int kInternalSymbol = 71;
  upper::kernel::call(__NR_exit_group, kInternalSymbol);
  __builtin_unreachable();
}

}  // namespace mana::application
