// SPDX-License-Identifier: BSD-3-Clause
// The operations of upper/core_ops.h as functions of the lower half, each in the namespace and with
// the name of the table: adapter_*.cc has most of them, the agent closure_* and finalize_ready, the
// thread code attach_thread and park_here.  All run with a lower %fs except the last two, which run
// with the upper one and use no TLS.
#pragma once

#include "upper/core_ops.h"

namespace mana::lower {

#define MANA_DECLARE_CORE_OP(name, Block) int name(void* arguments);
MANA_CORE_OPS(MANA_DECLARE_CORE_OP)
#undef MANA_DECLARE_CORE_OP

}  // namespace mana::lower
