// SPDX-License-Identifier: BSD-3-Clause
#include "trampolines/callback.h"

#include <ffi.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "upper/interface.h"

__thread mana::ThreadRecord* mana_current_record;

namespace mana::trampolines {
namespace {

const UpperInterface* upper_interface;

// One closure and what it passes on.  Owned by the map below from make_operator to free_operator.
struct Operator {
  Operator(uint64_t op_object, OperatorBody op_body) : object(op_object), body(op_body) {
    closure = static_cast<ffi_closure*>(ffi_closure_alloc(sizeof(ffi_closure), &entry));
  }
  ~Operator() {
    if (closure != nullptr) ffi_closure_free(closure);
  }
  Operator(const Operator&) = delete;
  Operator& operator=(const Operator&) = delete;

  uint64_t object;
  OperatorBody body;
  ffi_closure* closure = nullptr;
  void* entry = nullptr;  // the executable address of the closure
};

struct Operators {
  std::mutex mutex;
  std::unordered_map<void*, std::unique_ptr<Operator>> by_entry;
};
Operators& operators() {
  static Operators all;
  return all;
}

void enter(ffi_cif*, void*, void** arguments, void* self) {
  const auto* which = static_cast<const Operator*>(self);
  which->body(which->object, *static_cast<void**>(arguments[0]), *static_cast<void**>(arguments[1]),
              *static_cast<int**>(arguments[2]), *static_cast<void**>(arguments[3]));
}

ffi_cif* signature() {
  static ffi_type* types[] = {&ffi_type_pointer, &ffi_type_pointer, &ffi_type_pointer, &ffi_type_pointer};
  static ffi_cif cif;
  static const ffi_status status = ffi_prep_cif(&cif, FFI_DEFAULT_ABI, 4, &ffi_type_void, types);
  return status == FFI_OK ? &cif : nullptr;
}

}  // namespace

UserFunction make_operator(uint64_t op_object, OperatorBody body) {
  auto made = std::make_unique<Operator>(op_object, body);
  ffi_cif* cif = signature();
  if (made->closure == nullptr || cif == nullptr) return nullptr;
  if (ffi_prep_closure_loc(made->closure, cif, enter, made.get(), made->entry) != FFI_OK) return nullptr;
  void* entry = made->entry;
  const std::lock_guard lock(operators().mutex);
  operators().by_entry[entry] = std::move(made);
  return reinterpret_cast<UserFunction>(entry);
}

void free_operator(UserFunction function) {
  const std::lock_guard lock(operators().mutex);
  operators().by_entry.erase(reinterpret_cast<void*>(function));
}

void set_upper_interface(const UpperInterface* upper) { upper_interface = upper; }

void run_op(uint64_t op_object, void* in, void* inout, int* length, uint64_t lower_datatype) {
  const ThreadRecord* record = mana_current_record;
  if (record == nullptr || upper_interface == nullptr) {
    // The application's function needs the application's TLS.  A progress thread of the library has none to offer.
    std::fputs("mana: callback: the MPI library runs a user-defined operator on a thread of its own; "
               "switch its asynchronous progress off\n", stderr);
    std::abort();
  }
  const uint64_t arguments[5] = {op_object, reinterpret_cast<uint64_t>(in), reinterpret_cast<uint64_t>(inout),
                                 reinterpret_cast<uint64_t>(length), lower_datatype};
  mana_call_upper(reinterpret_cast<void (*)()>(upper_interface->run_op), arguments, record);
}

}  // namespace mana::trampolines
