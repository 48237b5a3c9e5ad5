// SPDX-License-Identifier: BSD-3-Clause
// What the upper runtime needs of the front end it is linked into (mpi_wrappers/front_ends): facts of the application's ABI,
// and calls of the application's functions, which expect that ABI's handles, keyvals and error codes.
#pragma once

#include <cstdint>

#include "upper/objects.h"

namespace mana::upper::front_end {

struct Facts {
  const char* name;             // "mpich", "openmpi"
  const char* library_version;  // how MPI_Get_library_version begins
  int version, subversion;      // of the MPI standard that the ABI's header states
  // Sizes of buffers that the application declares by its header, the final zero included.
  int object_name, error_string, processor_name, library_version_string, info_key, info_value;
  // Constants that MPI_Type_get_contents shows among the integers.
  int order_c, order_fortran, distribute_none, distribute_block, distribute_cyclic, distribute_default;
  // Where the two ABIs' libraries differ and an application could tell:
  // 1 (Open MPI): the extent of every type is rounded up to its alignment, and a bound that was set by resizing counts
  // above all others, as the standard words it.  0 (MPICH): rounded for structures only, and all bounds count alike.
  int standard_bounds;
  int port_name;      // as object_name and its neighbours
  int pair_elements;  // what MPI_Get_elements counts for one MPI_DOUBLE_INT itself: 2 (MPICH), 1 (Open MPI; 2 within others)
};
extern const Facts facts;

// Attribute callbacks.  `object` is the communicator, datatype or window; results are the application's, as neutral
// error codes (0: success).
int call_copy(void (*function)(), Object* object, int keyval, void* extra, void* value, void** copy, int* flag);
int call_delete(void (*function)(), Object* object, int keyval, void* value, void* extra);
// Error handlers of communicators, windows, files and sessions (object->kind).
void call_errhandler(void (*function)(), Object* object, int neutral_code);
// User operators: one call; `large` ones take a count of 64 bits.
void call_op(void (*function)(), bool large, void* in, void* inout, int64_t length, Datatype* type);

// Generalized requests.  The query fills a status (converted back to neutral); results are neutral error codes.
int call_grequest_query(void (*function)(), void* extra, abi::Status* status);
int call_grequest_free(void (*function)(), void* extra);
int call_grequest_cancel(void (*function)(), void* extra, int complete);

// Error classes and codes; those that the application added are >= abi::LASTCODE_FIRST_USER in neutral terms and
// above its ABI's MPI_ERR_LASTCODE in its own.
int application_error(int neutral);
int neutral_error(int application);
// An int attribute's value (TAG_UB, IO, HOST, WIN_MODEL, ...) in the application's terms.
int application_attribute(int keyval, int neutral_value);

}  // namespace mana::upper::front_end
