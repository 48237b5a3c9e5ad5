// SPDX-License-Identifier: BSD-3-Clause
#include "kernel-loader/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace mana::image {

void update_by_avx2(void* state, const void* data, std::size_t bytes);  // checksum_avx2.cc

namespace {

static_assert(sizeof(XXH3_state_t) == 576 && alignof(XXH3_state_t) == 64);

void update_by_sse2(void* state, const void* data, std::size_t bytes) { XXH3_64bits_update(static_cast<XXH3_state_t*>(state), data, bytes); }

void (*const update_best)(void*, const void*, std::size_t) = __builtin_cpu_supports("avx2") ? update_by_avx2 : update_by_sse2;

}  // namespace

Checksum::Checksum() { XXH3_64bits_reset(reinterpret_cast<XXH3_state_t*>(state_)); }
void Checksum::update(const void* data, std::size_t bytes) { update_best(state_, data, bytes); }
uint64_t Checksum::value() const { return XXH3_64bits_digest(reinterpret_cast<const XXH3_state_t*>(state_)); }

}  // namespace mana::image
