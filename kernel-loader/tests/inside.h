// SPDX-License-Identifier: BSD-3-Clause
// Tests that run inside the upper half: one ordinary program, started natively (which proves the
// test) and behind the gate. Each claim is a function that returns normally or ends the process
// through CHECK.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace inside {

using Claim = void (*)();
struct Entry {
  const char* name;
  Claim claim;
};
// Registers at start-up.
struct Register {
  Register(const char* name, Claim claim);
};

bool launched();  // behind the gate, not natively

}  // namespace inside

#define CLAIM(name)                                           \
  static void name();                                         \
  static const inside::Register register_##name(#name, name); \
  static void name()

#define CHECK_THAT(condition)                                                          \
  do {                                                                                 \
    if (!(condition)) {                                                                \
      std::fprintf(stderr, "%s:%d: %s does not hold (errno %m)\n", __FILE__, __LINE__, \
                   #condition);                                                        \
      std::exit(1);                                                                    \
    }                                                                                  \
  } while (false)

#define CHECK_EQUAL(left, right)                                                             \
  do {                                                                                       \
    const long long left_value = static_cast<long long>(left),                               \
                    right_value = static_cast<long long>(right);                             \
    if (left_value != right_value) {                                                         \
      std::fprintf(stderr, "%s:%d: %s is %lld (0x%llx), not %lld (errno %m)\n", __FILE__,    \
                   __LINE__, #left, left_value, static_cast<unsigned long long>(left_value), \
                   right_value);                                                             \
      std::exit(1);                                                                          \
    }                                                                                        \
  } while (false)
