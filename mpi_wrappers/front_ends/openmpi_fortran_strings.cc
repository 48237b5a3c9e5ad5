// SPDX-License-Identifier: BSD-3-Clause
// Open MPI's Fortran binding (libmpi_mpifh) converts strings by two internal functions of libmpi.so.40; what it gets from the first it
// gives to free(), so it comes from the application's heap.  Entered outside of any MPI call: no lock of the runtime is held.
#include "mpi_wrappers/front_ends/internal_symbol.h"
#include "upper/text.h"

extern "C" [[gnu::weak]] void* malloc(size_t size);  // of the application's libc

using namespace mana;

namespace {

constexpr int kSuccess = 0, kOutOfResource = -2;  // Open MPI's own codes

}  // namespace

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
