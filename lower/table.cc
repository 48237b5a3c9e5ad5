// SPDX-License-Identifier: BSD-3-Clause
#include "lower/table.h"

#include "lower/core_functions.h"

namespace mana::lower {
namespace {

constexpr TableEntry kCoreFunctions[] = {
#define MANA_CORE_ENTRY(name, Block) {#name, &name},
    MANA_CORE_OPS(MANA_CORE_ENTRY)
#undef MANA_CORE_ENTRY
};

int unsupported(void*) { return kUnsupported; }

bool equal(const char* a, const char* b) {
  while (*a != '\0' && *a == *b) ++a, ++b;
  return *a == *b;
}

LowerFunction find(const TableEntry* entries, uint32_t count, const char* name) {
  for (uint32_t i = 0; i < count; ++i) {
    if (equal(entries[i].name, name)) return entries[i].function;
  }
  return nullptr;
}

}  // namespace

uint32_t fill_functions(UpperInterface* upper) {
  uint32_t unknown = 0;
  for (uint32_t i = 0; i < upper->function_count; ++i) {
    const char* name = upper->function_names[i];
    LowerFunction function =
        find(kCoreFunctions, sizeof kCoreFunctions / sizeof kCoreFunctions[0], name);
    if (function == nullptr) function = find(generated_functions, generated_function_count, name);
    if (function == nullptr) ++unknown;
    upper->functions[i] = function != nullptr ? function : &unsupported;
  }
  return unknown;
}

}  // namespace mana::lower
