// SPDX-License-Identifier: BSD-3-Clause
// Between a typed buffer and a stream of bytes, in type-map order.  The stream is what a message carries, so a receiver's
// type may unpack what a sender's type packed.
#pragma once

#include <cstdint>

#include "upper/datatype.h"

namespace mana::upper {

// Writes at most `limit` bytes of count elements at buffer to out; returns how many.
int64_t pack_stream(const void* buffer, int64_t count, Datatype* type, void* out, int64_t limit);
// Fills count elements at buffer from `size` bytes; returns how many were used: fewer than size when the message is longer than
// the receive (truncation), all of them otherwise.  The last element may stay partly filled.
int64_t unpack_stream(void* buffer, int64_t count, Datatype* type, const void* bytes, int64_t size);

}  // namespace mana::upper
