// SPDX-License-Identifier: BSD-3-Clause
// What Open MPI's Fortran binding (libmpi_mpifh) calls in libmpi.so.40 besides MPI's C functions, as far as it is here.
//
// Strings: what it gets it gives to free(), so it comes from the application's heap.  Attributes: it takes the table of attributes out
// of the communicator by itself, which ours have not; the predefined ones are the same in all of them and need none.
// Entered outside of any MPI call: no lock of the runtime is held.
#include <cstdint>

#include "mpi_wrappers/front_ends/internal_symbol.h"
#include "upper/text.h"

extern "C" [[gnu::weak]] void* malloc(size_t size);  // of the application's libc
extern "C" int PMPI_Comm_get_attr(void* comm, int keyval, void* value, int* flag);
extern "C" char ompi_mpi_comm_world[];

using namespace mana;

namespace {

constexpr int kSuccess = 0, kOutOfResource = -2;  // Open MPI's own codes
constexpr int kLastPredefined = 6;                // MPI_UNIVERSE_SIZE; those of windows follow

template <class Integer>
int get_predefined(const char* function, int keyval, Integer* value, int* flag) {
  if (keyval < 0 || keyval > kLastPredefined) application::internal_symbol(function);
  const int* found = nullptr;
  const int error = PMPI_Comm_get_attr(ompi_mpi_comm_world, keyval, &found, flag);
  if (error == kSuccess && *flag != 0) *value = *found;
  return error;
}

}  // namespace

extern "C" MANA_SHOWN int ompi_attr_get_fint(void*, int keyval, int* value, int* flag) {
  return get_predefined("ompi_attr_get_fint", keyval, value, flag);
}

extern "C" MANA_SHOWN int ompi_attr_get_aint(void*, int keyval, intptr_t* value, int* flag) {
  return get_predefined("ompi_attr_get_aint", keyval, value, flag);
}

// Without the blanks at both ends, and with a final zero.
extern "C" MANA_SHOWN int ompi_fortran_string_f2c(const char* fortran, int length, char** text) {
  const char* end = fortran + (length > 0 ? length : 0);
  while (fortran < end && *fortran == ' ') ++fortran;
  while (end > fortran && end[-1] == ' ') --end;
  const auto bytes = static_cast<size_t>(end - fortran);
  *text = malloc != nullptr ? static_cast<char*>(malloc(bytes + 1)) : nullptr;
  if (*text == nullptr) return kOutOfResource;
  upper::copy_bytes(*text, fortran, bytes);
  (*text)[bytes] = '\0';
  return kSuccess;
}

// As much as there is room for, filled up with blanks.
extern "C" MANA_SHOWN int ompi_fortran_string_c2f(const char* text, char* fortran, int length) {
  const size_t room = length > 0 ? static_cast<size_t>(length) : 0, wanted = upper::text_length(text);
  const size_t bytes = wanted < room ? wanted : room;
  upper::copy_bytes(fortran, text, bytes);
  upper::fill_bytes(fortran + bytes, ' ', room - bytes);
  return kSuccess;
}
