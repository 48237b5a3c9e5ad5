// SPDX-License-Identifier: BSD-3-Clause
// Error classes, codes, strings and handlers.  A function of the upper API ends `return raise(comm, class, "MPI_Send")`:
// the handler decides whether it returns; what comes back is the neutral code for the application.
#pragma once

#include <cstdint>

#include "upper/object_tables.h"
#include "upper/objects.h"

namespace mana::upper {

// 0 passes through at once.  comm nullptr: errors that belong to no communicator go to MPI_COMM_SELF's handler if the
// application has set one, else to MPI_COMM_WORLD's.
int raise(Comm* comm, int error, const char* call);
int raise(Window* window, int error, const char* call);
int raise(File* file, int error, const char* call);  // nullptr: the default handler of files
int raise(Session* session, int error, const char* call);
inline int raise(int error, const char* call) { return raise(static_cast<Comm*>(nullptr), error, call); }
inline int raise(decltype(nullptr), int error, const char* call) { return raise(static_cast<Comm*>(nullptr), error, call); }

// The same with a sentence of detail for the message of MPI_ERRORS_ARE_FATAL ("tag -7 is negative").
int raise_detail(Comm* comm, int error, const char* call, const char* detail);

const char* error_class_name(int error);  // "MPI_ERR_RANK"
int error_class_of(int code);             // class of a code (identity unless MPI_Add_error_code made it)

// Handlers are references: setting one retains it, freeing the object releases it.
void set_errhandler(Errhandler*& place, Errhandler* handler);
Errhandler* errors_are_fatal();
Errhandler* errors_abort();
Errhandler* errors_return();

int last_used_code();                     // MPI_LASTUSEDCODE, neutral

void destroy_errhandler(Errhandler* handler);
void start_errors();

}  // namespace mana::upper
