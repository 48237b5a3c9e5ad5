// SPDX-License-Identifier: BSD-3-Clause
// Calls of the lower half's hand-written functions (core_ops.h) from upper code: cross::isend(block) and so on.
// Each returns 0, a neutral error class, kInterrupted or kUnsupported.
#pragma once

#include <cstdint>

#include "upper/core_ops.h"
#include "upper/interface.h"

namespace mana::upper {

enum class CoreOp : uint32_t {
#define MANA_NAME(name, Block) name,
  MANA_CORE_OPS(MANA_NAME)
#undef MANA_NAME
  count
};

// One crossing by the calling thread, which is attached on its first.  Implemented in interface.cc.
int call_lower(CoreOp op, void* block);

namespace cross {
#define MANA_CALL(name, Block) \
  inline int name(core::Block& block) { return call_lower(CoreOp::name, &block); }
MANA_CORE_OPS(MANA_CALL)
#undef MANA_CALL
}  // namespace cross

}  // namespace mana::upper
