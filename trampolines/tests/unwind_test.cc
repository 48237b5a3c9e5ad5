// SPDX-License-Identifier: BSD-3-Clause
// libunwind walks from the lower half through the crossing into the application, and through a callback in between.
#define UNW_LOCAL_ONLY
#include <libunwind.h>

#include <catch2/catch.hpp>
#include <algorithm>
#include <string>
#include <vector>

#include "trampolines/callback.h"
#include "trampolines/cross.h"
#include "trampolines/tests/halves.h"
#include "upper/interface.h"

namespace mana::test {
namespace {

std::vector<std::string> walk() {
  std::vector<std::string> names;
  unw_context_t context;
  unw_cursor_t cursor;
  unw_getcontext(&context);
  unw_init_local(&cursor, &context);
  while (names.size() < 64 && unw_step(&cursor) > 0) {
    char name[256];
    unw_word_t offset = 0;
    names.emplace_back(unw_get_proc_name(&cursor, name, sizeof name, &offset) == 0 ? name : "?");
  }
  return names;
}

int position(const std::vector<std::string>& names, const std::string& part) {
  const auto found = std::find_if(names.begin(), names.end(),
                                  [&](const auto& name) { return name.find(part) != std::string::npos; });
  return found == names.end() ? -1 : static_cast<int>(found - names.begin());
}

std::vector<std::string> walked;

}  // namespace

extern "C" {
[[gnu::noinline]] int lower_function_that_walks(void*) {
  walked = walk();
  return 0;
}
[[gnu::noinline]] void upper_operator_that_walks(uint64_t, void*, void*, int32_t*, uint64_t) { walked = walk(); }
[[gnu::noinline]] int lower_function_that_reduces(void* function) {
  int length = 0, datatype = 0;
  reinterpret_cast<trampolines::UserFunction>(function)(nullptr, nullptr, &length, &datatype);
  return 0;
}
[[gnu::noinline]] int application_calls(int (*function)(void*), void* arguments, ThreadRecord* record) {
  const int result = mana_cross(function, arguments, record);
  asm volatile("");  // not a tail call: this frame is looked for
  return result;
}
}

static void plain_body(uint64_t op, void* in, void* inout, int* length, const void*) {
  trampolines::run_op(op, in, inout, length, 0);
}

TEST_CASE("libunwind_walks_through_a_crossing") {
  for (const bool by_call : {!fsgsbase_allowed(), true}) {
    run_upper(by_call, [&](ThreadRecord& record) { application_calls(lower_function_that_walks, nullptr, &record); });
    CAPTURE(walked);
    CHECK(position(walked, "lower_function_that_walks") == 0);
    CHECK(position(walked, "mana_cross") == 1);
    CHECK(position(walked, "application_calls") == 2);
    CHECK(position(walked, "upper_main") > 2);
  }
}

TEST_CASE("libunwind_walks_through_a_callback") {
  UpperInterface upper{};
  upper.run_op = upper_operator_that_walks;
  trampolines::set_upper_interface(&upper);
  const auto function = trampolines::make_operator(1, plain_body);
  for (const bool by_call : {!fsgsbase_allowed(), true}) {
    run_upper(by_call, [&](ThreadRecord& record) {
      application_calls(lower_function_that_reduces, reinterpret_cast<void*>(function), &record);
    });
    CAPTURE(walked);
    CHECK(position(walked, "upper_operator_that_walks") == 0);
    CHECK(position(walked, "mana_call_upper") == 1);
    CHECK(position(walked, "lower_function_that_reduces") > 1);
    CHECK(position(walked, "application_calls") > position(walked, "mana_cross"));
    CHECK(position(walked, "upper_main") > position(walked, "application_calls"));
  }
  trampolines::free_operator(function);
}

}  // namespace mana::test
