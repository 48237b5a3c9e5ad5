// SPDX-License-Identifier: BSD-3-Clause
// Checks for test programs that run as MPI ranks: a failed one prints both operands and its place
// and makes the program end with 1.
#pragma once

#include <cstdio>

namespace mana::lower::tests {

inline int failures = 0;

template <class A, class B>
void check_equal(const A& got, const B& expected, const char* what, const char* file, int line) {
  if (got == expected) return;
  ++failures;
  std::fprintf(stderr, "%s:%d: %s: got %lld, expected %lld\n", file, line, what,
               static_cast<long long>(got), static_cast<long long>(expected));
}

}  // namespace mana::lower::tests

#define CHECK_EQ(got, expected) \
  ::mana::lower::tests::check_equal((got), (expected), #got " == " #expected, __FILE__, __LINE__)
