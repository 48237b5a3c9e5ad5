// SPDX-License-Identifier: BSD-3-Clause
// A NUMA policy, read and set (memory_policies.h).  Freestanding: that of a thread only the thread itself is told, and can set.
#pragma once

#include <linux/mempolicy.h>

#include <cstddef>
#include <cstdint>
#include <iterator>

#include "kernel-loader/image_format.h"
#include "kernel-loader/sys.h"

namespace mana::lower {

inline constexpr uint64_t kMostNodes = 64 * std::size(image::MemoryPolicy{}.nodes) + 1;  // as the kernel counts

// Of the memory at `policy.begin`, or of the calling thread.
inline bool read_policy(image::MemoryPolicy& policy) {
  const uint64_t flags = policy.bytes != 0 ? MPOL_F_ADDR : 0;
  return !sys::failed(sys::raw(__NR_get_mempolicy, sys::bits(&policy.mode), sys::bits(policy.nodes), kMostNodes, policy.begin, flags));
}

inline bool is_same_policy(const image::MemoryPolicy& a, const image::MemoryPolicy& b) {
  bool same = a.mode == b.mode;
  for (std::size_t i = 0; i < std::size(a.nodes); ++i) same = same && a.nodes[i] == b.nodes[i];
  return same;
}

// What is in memory goes to where it belongs.
inline long set_policy(const image::MemoryPolicy& policy) {
  if (policy.bytes == 0) return sys::raw(__NR_set_mempolicy, policy.mode, sys::bits(policy.nodes), kMostNodes);
  return sys::raw(__NR_mbind, policy.begin, policy.bytes, policy.mode, sys::bits(policy.nodes), kMostNodes, MPOL_MF_MOVE);
}

// The kernel quietly leaves out nodes that are not there: then, too, it stays as it was.  Returns 0 or an errno.
inline int restore_policy(const image::MemoryPolicy& policy) {
  image::MemoryPolicy before = policy, now = policy;
  read_policy(before);
  const long set = set_policy(policy);
  read_policy(now);
  if (!sys::failed(set) && is_same_policy(now, policy)) return 0;
  set_policy(before);
  constexpr int kNoSuchNode = 19;  // ENODEV
  return sys::failed(set) ? sys::error_of(set) : kNoSuchNode;
}

}  // namespace mana::lower
