// SPDX-License-Identifier: BSD-3-Clause
// The compiler calls these for assignments of structures, whatever the flags.  Hidden: the application keeps its own.
#include "upper/text.h"

extern "C" {
[[gnu::visibility("hidden")]] void* memcpy(void* to, const void* from, size_t bytes) {
  mana::upper::copy_bytes(to, from, bytes);
  return to;
}
[[gnu::visibility("hidden")]] void* memmove(void* to, const void* from, size_t bytes) {
  mana::upper::move_bytes(to, from, bytes);
  return to;
}
[[gnu::visibility("hidden")]] void* memset(void* to, int value, size_t bytes) {
  mana::upper::fill_bytes(to, value, bytes);
  return to;
}
[[gnu::visibility("hidden")]] int memcmp(const void* a, const void* b, size_t bytes) {
  auto* left = static_cast<const unsigned char*>(a);
  auto* right = static_cast<const unsigned char*>(b);
  for (size_t at = 0; at < bytes; ++at) {
    if (left[at] != right[at]) return left[at] - right[at];
  }
  return 0;
}
[[gnu::visibility("hidden")]] size_t strlen(const char* text) { return mana::upper::text_length(text); }
}
