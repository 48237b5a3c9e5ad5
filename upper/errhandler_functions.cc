// SPDX-License-Identifier: BSD-3-Clause
// MPI 5.0, 9.3: making, setting, getting and calling error handlers.
#include "upper/errors.h"
#include "upper/guarded.h"
#include "mpi_wrappers/upper_api.h"

namespace mana::upper {

Errhandler*& default_file_errhandler();

namespace {

int create(Kind of, void (*function)(), Errhandler** result, const char* name) {
  return guarded(name, [&]() -> int {
    if (!function) return abi::ERR_ARG;
    auto* handler = new_object<Errhandler>(Kind::errhandler);
    if (!handler) return abi::ERR_NO_MEM;
    handler->of = of;
    handler->function = function;
    *result = handler;
    return abi::SUCCESS;
  });
}

bool fits(Errhandler* handler, Kind of) { return handler && (!handler->function || handler->of == of); }

int replace(Errhandler*& place, Errhandler* handler) {
  Call call(Call::polling);
  set_errhandler(place, handler);
  return abi::SUCCESS;
}

// What get hands out is a reference that the application frees.
int hand_out(Errhandler*& place, Errhandler* otherwise, Errhandler** result) {
  Call call(Call::polling);
  *result = place ? place : otherwise;
  retain(*result);
  return abi::SUCCESS;
}

}  // namespace

int Comm_create_errhandler(void (*function)(), Errhandler** errhandler) {
  return create(Kind::communicator, function, errhandler, "MPI_Comm_create_errhandler");
}
int Win_create_errhandler(void (*function)(), Errhandler** errhandler) {
  return create(Kind::window, function, errhandler, "MPI_Win_create_errhandler");
}
int File_create_errhandler(void (*function)(), Errhandler** errhandler) {
  return create(Kind::file, function, errhandler, "MPI_File_create_errhandler");
}
int Session_create_errhandler(void (*function)(), Errhandler** errhandler) {
  return create(Kind::session, function, errhandler, "MPI_Session_create_errhandler");
}

int Comm_set_errhandler(Comm* comm, Errhandler* errhandler) {
  if (!comm) return raise(abi::ERR_COMM, "MPI_Comm_set_errhandler");
  if (!fits(errhandler, Kind::communicator)) return raise(comm, abi::ERR_ARG, "MPI_Comm_set_errhandler");
  return replace(comm->errhandler, errhandler);
}
int Comm_get_errhandler(Comm* comm, Errhandler** errhandler) {
  if (!comm) return raise(abi::ERR_COMM, "MPI_Comm_get_errhandler");
  return hand_out(comm->errhandler, errors_are_fatal(), errhandler);
}
int Comm_call_errhandler(Comm* comm, int errorcode) {
  if (!comm) return raise(abi::ERR_COMM, "MPI_Comm_call_errhandler");
  raise(comm, errorcode, "MPI_Comm_call_errhandler");
  return abi::SUCCESS;
}

int Win_set_errhandler(Window* win, Errhandler* errhandler) {
  if (!win) return raise(abi::ERR_WIN, "MPI_Win_set_errhandler");
  if (!fits(errhandler, Kind::window)) return raise(win, abi::ERR_ARG, "MPI_Win_set_errhandler");
  return replace(win->errhandler, errhandler);
}
int Win_get_errhandler(Window* win, Errhandler** errhandler) {
  if (!win) return raise(abi::ERR_WIN, "MPI_Win_get_errhandler");
  return hand_out(win->errhandler, errors_are_fatal(), errhandler);
}
int Win_call_errhandler(Window* win, int errorcode) {
  if (!win) return raise(abi::ERR_WIN, "MPI_Win_call_errhandler");
  raise(win, errorcode, "MPI_Win_call_errhandler");
  return abi::SUCCESS;
}

// MPI_FILE_NULL names the handler that files get when they are opened.
int File_set_errhandler(File* file, Errhandler* errhandler) {
  if (!fits(errhandler, Kind::file)) return raise(file, abi::ERR_ARG, "MPI_File_set_errhandler");
  return replace(file ? file->errhandler : default_file_errhandler(), errhandler);
}
int File_get_errhandler(File* file, Errhandler** errhandler) {
  return hand_out(file ? file->errhandler : default_file_errhandler(), default_file_errhandler(), errhandler);
}
int File_call_errhandler(File* file, int errorcode) {
  raise(file, errorcode, "MPI_File_call_errhandler");
  return abi::SUCCESS;
}

int Session_set_errhandler(Session* session, Errhandler* errhandler) {
  if (!session) return raise(abi::ERR_SESSION, "MPI_Session_set_errhandler");
  if (!fits(errhandler, Kind::session)) return raise(session, abi::ERR_ARG, "MPI_Session_set_errhandler");
  return replace(session->errhandler, errhandler);
}
int Session_get_errhandler(Session* session, Errhandler** errhandler) {
  if (!session) return raise(abi::ERR_SESSION, "MPI_Session_get_errhandler");
  return hand_out(session->errhandler, errors_are_fatal(), errhandler);
}
int Session_call_errhandler(Session* session, int errorcode) {
  if (!session) return raise(abi::ERR_SESSION, "MPI_Session_call_errhandler");
  raise(session, errorcode, "MPI_Session_call_errhandler");
  return abi::SUCCESS;
}

int Errhandler_free(Errhandler** errhandler) {
  if (!*errhandler) return raise(abi::ERR_ARG, "MPI_Errhandler_free");
  {
    Call call(Call::polling);
    release(*errhandler);  // get_errhandler gave out further references, so this need not be the last handle
  }
  *errhandler = nullptr;
  return abi::SUCCESS;
}

}  // namespace mana::upper
