// SPDX-License-Identifier: BSD-3-Clause
// The way from the lower half up: a function pointer that the MPI library can call, one per operator that the application
// registered, which ends in UpperInterface::run_op with the upper %fs of the calling thread.  Lower program only; ordinary
// code.  Everything here runs with a lower %fs.
#pragma once

#include <cstdint>

#include "trampolines/thread_record.h"

namespace mana {
struct UpperInterface;
}

namespace mana::trampolines {

// What an MPI library calls for a user-defined operator.  The last argument points to the library's own datatype handle.
using UserFunction = void (*)(void* in, void* inout, int* length, void* native_datatype);
// The adapter's half of it: knows what a native handle looks like, and goes on to run_op below.
using OperatorBody = void (*)(uint64_t op_object, void* in, void* inout, int* length, const void* native_datatype);

// A fresh function that calls `body` with this op_object.  nullptr: no memory for it.
UserFunction make_operator(uint64_t op_object, OperatorBody body);
// The library must not call it any more: the operator is freed and nothing begun with it is pending.
void free_operator(UserFunction function);

// Where run_op goes.  Set when a front end has registered, and at a restart.
void set_upper_interface(const UpperInterface* upper);

// Calls UpperInterface::run_op in the upper half, on this stack.  Ends the process with one line when the calling thread is
// one of the MPI library's own, which has no upper half to go to.
void run_op(uint64_t op_object, void* in, void* inout, int* length, uint64_t lower_datatype);

}  // namespace mana::trampolines

// The record of the application's thread that borrows this thread of the lower half; null in all other lower threads.
// Initial-exec: the signal entry reads it without a call.
extern "C" __thread mana::ThreadRecord* mana_current_record __attribute__((tls_model("initial-exec")));
extern "C" void mana_call_upper(void (*function)(), const uint64_t arguments[5], const mana::ThreadRecord* record);
