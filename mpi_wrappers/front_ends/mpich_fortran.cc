// SPDX-License-Identifier: BSD-3-Clause
// What MPICH's Fortran binding (libmpichfort) calls in libmpich.so.12 besides MPI's C functions, as far as it is here: predefined
// attributes, which it asks for by C's keyval plus one, and which it gets as a word.
#include <cstdint>

#include "mpi_wrappers/front_ends/internal_symbol.h"

using namespace mana;

extern "C" int PMPI_Comm_get_attr(int comm, int keyval, void* value, int* flag);

extern "C" MANA_SHOWN int MPII_Comm_get_attr(int comm, int keyval, intptr_t* value, int* flag, int) {
  constexpr int kPredefined = 0x64400000;  // C's are odd: MPI_TAG_UB is the first
  if ((keyval & ~0xf) != kPredefined || keyval % 2 != 0) application::internal_symbol("MPII_Comm_get_attr");
  const int* found = nullptr;
  const int error = PMPI_Comm_get_attr(comm, keyval - 1, &found, flag);
  if (error == 0 && *flag != 0) *value = *found;
  return error;
}
