// SPDX-License-Identifier: BSD-3-Clause
// Reduction operators.  The lower half's operator for a user function calls run_op with bits that name the Op.
#pragma once

#include <cstdint>

#include "upper/object_tables.h"
#include "upper/objects.h"

namespace mana::upper {

uint64_t make_lower(Op* op);  // within a Call
inline uint64_t lower(Op* op) { return op->lower ? op->lower : make_lower(op); }
// UpperInterface::run_op: calls the application's function; the calling thread has the upper %fs.
void run_op(uint64_t op_object, void* in, void* inout, int32_t* length, uint64_t lower_datatype);
inline bool is_user_op(const Op* op) { return op->constant == 0; }

void destroy_op(Op* op);
void start_ops();

}  // namespace mana::upper
