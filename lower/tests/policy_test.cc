// SPDX-License-Identifier: BSD-3-Clause
// A NUMA policy on a machine that has not all of its nodes, which no machine of the scenarios is.
#include <catch2/catch.hpp>
#include <sys/mman.h>

#include <cerrno>

#include "lower/numa_policy.h"

namespace mana::lower {
namespace {

constexpr uint64_t kBytes = 4 << 12;

image::MemoryPolicy policy_of(uint64_t begin, uint64_t bytes) {
  image::MemoryPolicy policy{};
  policy.begin = begin;
  policy.bytes = bytes;
  read_policy(policy);
  return policy;
}

void check_that_missing_nodes_change_nothing(uint64_t begin, uint64_t bytes) {
  const image::MemoryPolicy first = policy_of(begin, bytes);
  image::MemoryPolicy wanted = first;
  wanted.mode = MPOL_PREFERRED;
  wanted.nodes[0] = 1;
  const int error = restore_policy(wanted);
  if (error == ENOSYS || error == EPERM) return;  // nothing has policies here
  REQUIRE(error == 0);
  CHECK(is_same_policy(policy_of(begin, bytes), wanted));
  for (const uint64_t others : {uint64_t{1} << 62, uint64_t{1} << 62 | 1}) {  // none of them, and not all
    image::MemoryPolicy missing = wanted;
    missing.mode = MPOL_BIND;
    missing.nodes[0] = others;
    CHECK(restore_policy(missing) != 0);
    CHECK(is_same_policy(policy_of(begin, bytes), wanted));
  }
  CHECK(restore_policy(first) == 0);
}

}  // namespace

TEST_CASE("policy_of_a_thread_stays_where_nodes_are_missing") { check_that_missing_nodes_change_nothing(0, 0); }

TEST_CASE("policy_of_memory_stays_where_nodes_are_missing") {
  void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  check_that_missing_nodes_change_nothing(sys::bits(memory), kBytes);
  munmap(memory, kBytes);
}

}  // namespace mana::lower
