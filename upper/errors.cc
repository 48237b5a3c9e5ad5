// SPDX-License-Identifier: BSD-3-Clause
// Where an error goes: which handler, what it does, and the line that a fatal one leaves.
#include "upper/errors.h"

#include "upper/front_end.h"
#include "upper/group.h"
#include "upper/kernel.h"
#include "upper/lower_calls.h"
#include "upper/memory.h"
#include "upper/text.h"

namespace mana::upper {

const char* error_class_text(int error_class);
const char* user_error_text(int code);

namespace {

constinit Errhandler fatal_handler{}, abort_handler{}, return_handler{};
constinit Errhandler* file_default = nullptr;  // of MPI_FILE_NULL: for files opened later; MPI_ERRORS_RETURN at first

Comm* world() { return static_cast<Comm*>(predefined(abi::COMM_WORLD)); }
Comm* self() { return static_cast<Comm*>(predefined(abi::COMM_SELF)); }

bool is_default(Errhandler* handler) { return !handler || handler == &fatal_handler; }

const char* kind_word(Kind kind) {
  switch (kind) {
    case Kind::window: return "window";
    case Kind::file: return "file";
    case Kind::session: return "session";
    default: return "communicator";
  }
}

[[noreturn]] void end_job(Object* object, Errhandler* handler, int error, const char* call, const char* detail) {
  Text line;
  line.add(call).add(": ").add(error_class_name(error)).add(": ");
  const char* user = user_error_text(error);
  line.add(user ? user : error_class_text(error_class_of(error)));
  if (detail) line.add(" (").add(detail).add(")");
  line.add("; ").add(handler == &abort_handler ? "MPI_ERRORS_ABORT" : "MPI_ERRORS_ARE_FATAL");
  line.add(" is set, so the job ends");
  auto* comm = object && object->kind == Kind::communicator ? static_cast<Comm*>(object) : nullptr;
  if (comm && comm->name[0]) line.add(" [").add(comm->name).add("]");
  if (object && !comm) line.add(" [").add(kind_word(object->kind)).add("]");
  write_line(line);
  core::Abort block{};
  block.comm = handler == &abort_handler && comm ? comm->lower : 0;
  block.code = front_end::application_error(error);
  if (own_world_rank >= 0) cross::abort(block);
  for (;;) kernel::call(__NR_exit_group, 1);  // MPI_Init was not called, or the lower half came back
}

int handle(Object* object, Errhandler* handler, int error, const char* call, const char* detail) {
  if (handler == &return_handler) return error;
  if (is_default(handler) || handler == &abort_handler) {
    end_job(object, handler ? handler : &fatal_handler, error, call, detail);
  }
  retain(handler);  // the application's function may free or replace it
  front_end::call_errhandler(handler->function, object, error);
  release(handler);
  return error;
}

}  // namespace

int raise_detail(Comm* comm, int error, const char* call, const char* detail) {
  if (error == abi::SUCCESS) return error;
  if (!comm) comm = self() && !is_default(self()->errhandler) ? self() : world();
  return handle(comm, comm ? comm->errhandler : nullptr, error, call, detail);
}

int raise(Comm* comm, int error, const char* call) { return raise_detail(comm, error, call, nullptr); }

int raise(Window* window, int error, const char* call) {
  if (error == abi::SUCCESS) return error;
  return window ? handle(window, window->errhandler, error, call, nullptr) : raise(error, call);
}

int raise(File* file, int error, const char* call) {
  if (error == abi::SUCCESS) return error;
  return handle(file, file && file->errhandler ? file->errhandler : file_default, error, call, nullptr);
}

int raise(Session* session, int error, const char* call) {
  if (error == abi::SUCCESS) return error;
  return session ? handle(session, session->errhandler, error, call, nullptr) : raise(error, call);
}

Errhandler* errors_are_fatal() { return &fatal_handler; }
Errhandler* errors_abort() { return &abort_handler; }
Errhandler* errors_return() { return &return_handler; }
Errhandler*& default_file_errhandler() { return file_default; }

void set_errhandler(Errhandler*& place, Errhandler* handler) {
  Errhandler* old = place;
  if (handler) retain(handler);
  place = handler;
  if (old) release(old);
}

void destroy_errhandler(Errhandler* handler) { delete_object(handler); }

void start_errors() {
  register_predefined(&fatal_handler, Kind::errhandler, abi::ERRORS_ARE_FATAL);
  register_predefined(&abort_handler, Kind::errhandler, abi::ERRORS_ABORT);
  register_predefined(&return_handler, Kind::errhandler, abi::ERRORS_RETURN);
  file_default = &return_handler;
}

}  // namespace mana::upper
