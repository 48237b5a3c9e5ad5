// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <vector>

#include "trampolines/callback.h"
#include "trampolines/cross.h"
#include "trampolines/tests/halves.h"
#include "upper/interface.h"

namespace mana::test {
namespace {

thread_local int half_mark = 0;  // one per TLS: says whose %fs a piece of code runs with

std::vector<bool> variants() {
  return fsgsbase_allowed() ? std::vector<bool>{false, true} : std::vector<bool>{true};
}

struct Seen {
  unsigned long fs = 0;
  bool stack_aligned = false;
};
int look_around(void* arguments) {
  auto* seen = static_cast<Seen*>(arguments);
  seen->fs = fs_base();
  alignas(16) volatile char probe[16] = {};
  seen->stack_aligned = reinterpret_cast<unsigned long>(&probe) % 16 == 0;
  half_mark = 7;
  return 42;
}

// --- callbacks
struct UpSeen {
  unsigned long fs = 0;
  uint64_t op = 0, datatype = 0;
  int length = 0;
};
UpSeen up_seen;
void add_ints(uint64_t op_object, void* in, void* inout, int32_t* length, uint64_t lower_datatype) {
  up_seen = {fs_base(), op_object, lower_datatype, *length};
  for (int i = 0; i < *length; ++i) static_cast<int*>(inout)[i] += static_cast<int*>(in)[i];
}
void int_handle_body(uint64_t op_object, void* in, void* inout, int* length, const void* native_datatype) {
  trampolines::run_op(op_object, in, inout, length, static_cast<uint64_t>(*static_cast<const int*>(native_datatype)));
}

struct Reduction {
  trampolines::UserFunction function;
  int in[3] = {1, 2, 3}, inout[3] = {10, 20, 30}, length = 3;
  unsigned long fs_before = 0, fs_after = 0;
};
int reduce(void* arguments) {  // what an MPI library does with an operator
  auto* r = static_cast<Reduction*>(arguments);
  int native_datatype = 0x4c000405;
  r->fs_before = fs_base();
  r->function(r->in, r->inout, &r->length, &native_datatype);
  r->fs_after = fs_base();
  return 0;
}

}  // namespace

TEST_CASE("a_crossing_runs_with_the_lower_fs_and_comes_back_with_the_upper") {
  for (const bool by_call : variants()) {
    Seen seen;
    int result = 0, upper_mark = -1;
    unsigned long upper_fs = 0, fs_after = 0, lower_fs = 0;
    run_upper(by_call, [&](ThreadRecord& record) {
      half_mark = 3;
      upper_fs = fs_base();
      lower_fs = record.lower_fs;
      result = mana_cross(look_around, &seen, &record);
      fs_after = fs_base();
      upper_mark = half_mark;
    });
    CHECK(result == 42);
    CHECK(seen.fs == lower_fs);
    CHECK(seen.stack_aligned);
    CHECK(fs_after == upper_fs);
    CHECK(upper_fs < kLine);
    CHECK(lower_fs > kLine);
    CHECK(upper_mark == 3);
  }
}

TEST_CASE("an_operator_runs_with_the_upper_fs_and_sees_its_object") {
  UpperInterface upper{};
  upper.run_op = add_ints;
  trampolines::set_upper_interface(&upper);
  for (const bool by_call : variants()) {
    Reduction reduction{.function = trampolines::make_operator(0x1234, int_handle_body)};
    REQUIRE(reduction.function != nullptr);
    unsigned long upper_fs = 0, lower_fs = 0;
    run_upper(by_call, [&](ThreadRecord& record) {
      upper_fs = fs_base();
      lower_fs = record.lower_fs;
      mana_cross(reduce, &reduction, &record);
    });
    trampolines::free_operator(reduction.function);
    CHECK(up_seen.fs == upper_fs);
    CHECK(up_seen.op == 0x1234);
    CHECK(up_seen.datatype == 0x4c000405);
    CHECK(up_seen.length == 3);
    CHECK(reduction.inout[2] == 33);
    CHECK(reduction.fs_before == lower_fs);
    CHECK(reduction.fs_after == lower_fs);
  }
}

TEST_CASE("operators_are_told_apart") {
  UpperInterface upper{};
  upper.run_op = add_ints;
  trampolines::set_upper_interface(&upper);
  std::vector<trampolines::UserFunction> functions;
  for (uint64_t i = 0; i < 300; ++i) functions.push_back(trampolines::make_operator(i, int_handle_body));
  run_upper(!fsgsbase_allowed(), [&](ThreadRecord& record) {
    for (uint64_t i = 0; i < functions.size(); ++i) {
      Reduction reduction{.function = functions[i]};
      mana_cross(reduce, &reduction, &record);
      if (up_seen.op != i) CHECK(up_seen.op == i);
    }
  });
  for (const auto function : functions) trampolines::free_operator(function);
}

}  // namespace mana::test
