// SPDX-License-Identifier: BSD-3-Clause
// Attributes of communicators, datatypes and windows, with the application's copy and delete functions.
// Keyvals: predefined ones are constants of abi.h, the application's are >= kFirstKeyval.
#pragma once

#include <cstdint>

#include "upper/objects.h"

namespace mana::upper {

inline constexpr int kFirstKeyval = 0x1000;

// How an attribute was set, hence how it reads in the other language: MPI 5.0, 19.3.7.
enum class Flavour : int32_t { pointer = 0, fortran_int = 1, fortran_address = 2 };

// All of these run the application's functions, so they must not be called within a Call (runtime.h): they make their own.

// MPI_Comm_dup and MPI_Type_dup: runs the copy functions in order of attachment.  On an error of the application's function the
// copies made so far are deleted and the error (neutral) is returned; then the duplicate must not be made.
int copy_attributes(Object* from, Object* to);
// Freeing: runs the delete functions, last attached first (MPI 5.0, 7.7.1 for MPI_Finalize on SELF).
// On an error the rest stays attached and the error is returned: the object must not be freed.
int delete_attributes(Object* object);

int create_keyval(Kind kind, void (*copy)(), void (*remove)(), void* extra, int* keyval);
int free_keyval(Kind kind, int* keyval);
int set_attribute(Object* object, int keyval, void* value, Flavour flavour);
int delete_attribute(Object* object, int keyval);
// value: where the C form finds it (a pointer to the word, for Fortran-set and predefined ones).
int get_attribute(Object* object, int keyval, void** value, int* flag);

// Values of predefined attributes, from MPI_Init: neutral.
struct WorldFacts {
  int32_t tag_ub, host, io, wtime_is_global, universe_size, appnum;  // -1 in the last two: not set
};
void set_world_facts(const WorldFacts& facts);

}  // namespace mana::upper
