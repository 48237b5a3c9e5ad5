// SPDX-License-Identifier: BSD-3-Clause
// User-defined operators.  The library gets a function of its own for each
// (trampolines/callback.h), because an operator is called without a word of who it is.
#include <mpi.h>

#include <mutex>
#include <unordered_map>

#include "lower/adapter_convert.h"
#include "lower/core_functions.h"
#include "trampolines/callback.h"

namespace mana::lower {
namespace {

// The functions of the live operators, by the operator's bits.
struct OperatorFunctions {
  std::mutex mutex;
  std::unordered_map<uint64_t, trampolines::UserFunction> by_op;
};
OperatorFunctions& operator_functions() {
  static OperatorFunctions all;
  return all;
}

void call_operator(uint64_t op_object, void* in, void* inout, int* length,
                   const void* native_datatype) {
  const MPI_Datatype datatype = *static_cast<const MPI_Datatype*>(native_datatype);
  trampolines::run_op(op_object, in, inout, length, datatype_bits(datatype));
}

}  // namespace

int op_create(void* arguments) {
  auto* a = static_cast<core::OpCreate*>(arguments);
  const trampolines::UserFunction function =
      trampolines::make_operator(a->op_object, &call_operator);
  if (function == nullptr) return abi::ERR_NO_MEM;
  MPI_Op op = MPI_OP_NULL;
  const int code = MPI_Op_create(reinterpret_cast<MPI_User_function*>(function), a->commute, &op);
  if (code != MPI_SUCCESS) {
    trampolines::free_operator(function);
    return class_of_failure(code);
  }
  a->op = op_bits(op);
  OperatorFunctions& functions = operator_functions();
  const std::lock_guard lock(functions.mutex);
  functions.by_op[a->op] = function;
  return 0;
}

int op_free(void* arguments) {
  const uint64_t bits = static_cast<core::OpFree*>(arguments)->op;
  MPI_Op op = native_op(bits);
  OperatorFunctions& functions = operator_functions();
  const std::lock_guard lock(functions.mutex);
  const auto found = functions.by_op.find(bits);
  const int code = MPI_Op_free(&op);
  if (code != MPI_SUCCESS || found == functions.by_op.end()) return neutral_error(code);
  trampolines::free_operator(found->second);
  functions.by_op.erase(found);
  return 0;
}

}  // namespace mana::lower
