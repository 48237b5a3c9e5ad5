// SPDX-License-Identifier: BSD-3-Clause
// What gdb_test.py stops in: an operator of the application, called back from inside a crossing.
#include "trampolines/callback.h"
#include "trampolines/cross.h"
#include "trampolines/tests/halves.h"
#include "upper/interface.h"

namespace {
using mana::trampolines::UserFunction;

void body(uint64_t op, void* in, void* inout, int* length, const void*) {
  mana::trampolines::run_op(op, in, inout, length, 0);
}
}  // namespace

extern "C" {
[[gnu::noinline]] void application_operator(uint64_t, void*, void*, int32_t*, uint64_t) { asm volatile(""); }
[[gnu::noinline]] int lower_reduce(void* function) {
  int length = 0, datatype = 0;
  reinterpret_cast<UserFunction>(function)(nullptr, nullptr, &length, &datatype);
  return 0;
}
[[gnu::noinline]] int application_main(UserFunction function, mana::ThreadRecord* record) {
  const int result = mana_cross(lower_reduce, reinterpret_cast<void*>(function), record);
  asm volatile("");
  return result;
}
}

int main() {
  mana::UpperInterface upper{};
  upper.run_op = application_operator;
  mana::trampolines::set_upper_interface(&upper);
  const UserFunction function = mana::trampolines::make_operator(1, body);
  for (const bool by_call : {!mana::test::fsgsbase_allowed(), true}) {
    mana::test::run_upper(by_call, [&](mana::ThreadRecord& record) { application_main(function, &record); });
  }
}
