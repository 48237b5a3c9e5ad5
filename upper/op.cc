// SPDX-License-Identifier: BSD-3-Clause
#include "upper/op.h"

#include "upper/datatype.h"
#include "upper/errors.h"
#include "upper/guarded.h"
#include "upper/front_end.h"
#include "upper/lower_calls.h"
#include "upper/memory.h"
#include "upper/text.h"
#include "mpi_wrappers/generated_calls.h"
#include "mpi_wrappers/upper_api.h"

namespace mana::upper {

namespace {

constexpr int kConstants[] = {abi::SUM,  abi::MIN,  abi::MAX, abi::PROD, abi::BAND,   abi::BOR,    abi::BXOR,
                              abi::LAND, abi::LOR,  abi::LXOR, abi::MINLOC, abi::MAXLOC, abi::REPLACE, abi::NO_OP};
constexpr int kCount = sizeof(kConstants) / sizeof(kConstants[0]);

constinit Op ops[kCount] = {};

}  // namespace

void start_ops() {
  for (int index = 0; index < kCount; ++index) {
    register_predefined(&ops[index], Kind::op, kConstants[index]);
    ops[index].commute = kConstants[index] != abi::REPLACE && kConstants[index] != abi::NO_OP;
  }
}

uint64_t make_lower(Op* op) {
  if (op->lower) return op->lower;
  uint64_t bits = 0;
  if (is_user_op(op)) {
    core::OpCreate block{reinterpret_cast<uint64_t>(op), op->commute, 0};
    if (cross::op_create(block) == 0) bits = block.op;
  } else {
    core::Resolve block{op->constant, 0};
    if (cross::resolve(block) == 0) bits = block.lower;
  }
  __atomic_store_n(&op->lower, bits, __ATOMIC_RELEASE);
  return bits;
}

void run_op(uint64_t op_object, void* in, void* inout, int32_t* length, uint64_t lower_datatype) {
  auto* op = reinterpret_cast<Op*>(op_object);
  Datatype* type = datatype_of_lower(lower_datatype);
  if (!type) fail("an operator was called with a datatype that was never made", lower_datatype);
  front_end::call_op(op->function, op->large_count != 0, in, inout, *length, type);
}

void destroy_op(Op* op) {
  if (op->lower) {
    core::OpFree block{op->lower};
    cross::op_free(block);
  }
  delete_object(op);
}

int Op_create(void (*user_fn)(), int commute, Op** op, int large) {
  return guarded("MPI_Op_create", [&]() -> int {
    if (!user_fn) return abi::ERR_ARG;
    auto* made = new_object<Op>(Kind::op);
    if (!made) return abi::ERR_NO_MEM;
    made->function = user_fn;
    made->commute = commute != 0;
    made->large_count = large;
    *op = made;
    return abi::SUCCESS;
  });
}

int Op_free(Op** op) {
  return guarded("MPI_Op_free", [&]() -> int {
    if (!*op || !is_user_op(*op) || (*op)->handle_freed) return abi::ERR_OP;
    free_handle(*op);
    *op = nullptr;
    return abi::SUCCESS;
  });
}

// Predefined operators are the lower library's, so that the result is the same as in a reduction.
int Reduce_local(const void* inbuf, void* inoutbuf, int64_t count, Datatype* datatype, Op* op) {
  if (!op) return raise(abi::ERR_OP, "MPI_Reduce_local");
  if (!datatype) return raise(abi::ERR_TYPE, "MPI_Reduce_local");
  if (count < 0) return raise(abi::ERR_COUNT, "MPI_Reduce_local");
  if (is_user_op(op)) {
    front_end::call_op(op->function, op->large_count != 0, const_cast<void*>(inbuf), inoutbuf, count, datatype);
    return abi::SUCCESS;
  }
  return guarded("MPI_Reduce_local", [&]() -> int {
    ops::Reduce_local block{};
    block.inbuf = inbuf;
    block.inoutbuf = inoutbuf;
    block.count = count;
    block.datatype = lower(datatype);
    block.op = lower(op);
    return cross::Reduce_local(block);
  });
}

int Op_commutative(Op* op, int* commute) {
  if (!op) return raise(abi::ERR_OP, "MPI_Op_commutative");
  *commute = op->commute;
  return abi::SUCCESS;
}

}  // namespace mana::upper
