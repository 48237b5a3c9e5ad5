// SPDX-License-Identifier: BSD-3-Clause
// Exported data of the MPICH ABI, its predefined attribute function, and its Fortran handles (which
// are the C ones, except files).
#include "mpi_wrappers/front_ends/application.h"

using namespace mana;
using namespace mana::application;

#define MANA_DATA __attribute__((visibility("default")))

extern "C" {

// Marks that are addresses.
MANA_DATA int* MPIR_C_MPI_UNWEIGHTED[1] = {nullptr};
MANA_DATA int* MPIR_C_MPI_WEIGHTS_EMPTY[1] = {nullptr};
MANA_DATA extern int* const MPI_UNWEIGHTED;
MANA_DATA extern int* const MPI_WEIGHTS_EMPTY;
int* const MPI_UNWEIGHTED = reinterpret_cast<int*>(&MPIR_C_MPI_UNWEIGHTED);
int* const MPI_WEIGHTS_EMPTY = reinterpret_cast<int*>(&MPIR_C_MPI_WEIGHTS_EMPTY);
// The lower half turns this value into its library's own mark.
MANA_DATA extern void* const MPI_T_PVAR_ALL_HANDLES;
void* const MPI_T_PVAR_ALL_HANDLES = reinterpret_cast<void*>(abi::T_PVAR_ALL_HANDLES);

// Fortran's marks, as far as C programs may name them.
MANA_DATA int* MPI_F_STATUS_IGNORE = nullptr;
MANA_DATA int* MPI_F_STATUSES_IGNORE = nullptr;
MANA_DATA Status MPIR_F08_MPI_STATUS_IGNORE_OBJ = {};
MANA_DATA Status MPIR_F08_MPI_STATUSES_IGNORE_OBJ[1] = {};
MANA_DATA int MPIR_F08_MPI_IN_PLACE = 0;
MANA_DATA int MPIR_F08_MPI_BOTTOM = 0;
MANA_DATA Status* MPI_F08_STATUS_IGNORE = &MPIR_F08_MPI_STATUS_IGNORE_OBJ;
MANA_DATA Status* MPI_F08_STATUSES_IGNORE = MPIR_F08_MPI_STATUSES_IGNORE_OBJ;

}  // extern "C"

// MPI_DUP_FN and its kin are this function.
MANA_EXPORT int MPIR_Dup_fn(int, int, void*, void* value, void* copy, int* flag) {
  *static_cast<void**>(copy) = value;
  *flag = 1;
  return 0;
}

// --- MPI_X_c2f, MPI_X_f2c: macros in MPICH's header, functions for whoever asks by name
#define MANA_ALIAS(name, result, ...) \
  MANA_EXPORT __attribute__((weak, alias("P" #name))) result name(__VA_ARGS__)
MANA_EXPORT int PMPI_File_c2f(File* file) {
  return file != nullptr ? static_cast<int>(file->slot) : 0;
}
MANA_ALIAS(MPI_File_c2f, int, File*);
MANA_EXPORT File* PMPI_File_f2c(int slot) {
  return static_cast<File*>(upper::object_at(Kind::file, static_cast<uint32_t>(slot)));
}
MANA_ALIAS(MPI_File_f2c, File*, int);

// A Fortran status, and mpi_f08's, are the C one as integers.
#define MANA_STATUS_COPY(name)                              \
  MANA_EXPORT int P##name(const Status* from, Status* to) { \
    *to = *from;                                            \
    return 0;                                               \
  }                                                         \
  MANA_ALIAS(name, int, const Status*, Status*);
MANA_STATUS_COPY(MPI_Status_c2f)
MANA_STATUS_COPY(MPI_Status_f2c)
MANA_STATUS_COPY(MPI_Status_c2f08)
MANA_STATUS_COPY(MPI_Status_f082c)
MANA_STATUS_COPY(MPI_Status_f082f)
MANA_STATUS_COPY(MPI_Status_f2f08)

namespace mana::application {
namespace {

template <class T>
Object* object_of(int handle) {
  T* object = nullptr;
  return take(handle, &object) ? object : nullptr;
}

}  // namespace

// The tool interface takes objects by the address of their handle; the handle's bits tell the kind.
Object* any_object(const void* address_of_handle) {
  if (address_of_handle == nullptr) return nullptr;
  const int handle = *static_cast<const int*>(address_of_handle);
  switch (static_cast<uint32_t>(handle) >> kIndexBits & 15) {
    case handle_type(Kind::communicator):
      return object_of<Comm>(handle);
    case handle_type(Kind::group):
      return object_of<Group>(handle);
    case handle_type(Kind::datatype):
      return object_of<Datatype>(handle);
    case handle_type(Kind::errhandler):
      return object_of<Errhandler>(handle);
    case handle_type(Kind::op):
      return object_of<Op>(handle);
    case handle_type(Kind::info):
      return object_of<Info>(handle);
    case handle_type(Kind::window):
      return object_of<Window>(handle);
    case handle_type(Kind::request):
      return object_of<Request>(handle);
    default:
      return nullptr;
  }
}

}  // namespace mana::application
