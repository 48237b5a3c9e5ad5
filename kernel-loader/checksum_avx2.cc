// SPDX-License-Identifier: BSD-3-Clause
// Compiled for CPUs with AVX2.  It defines nothing that another file could get in the place of its own: no template, no inline
// function with a name outside of this file.
#include <cstddef>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace mana::image {

void update_by_avx2(void* state, const void* data, std::size_t bytes);
void update_by_avx2(void* state, const void* data, std::size_t bytes) { XXH3_64bits_update(static_cast<XXH3_state_t*>(state), data, bytes); }

}  // namespace mana::image
