// SPDX-License-Identifier: BSD-3-Clause
// The five functions that compilers call by themselves (freestanding.h).  Compiled so that the
// loops stay loops.
#include <cstddef>
#include <cstdint>

extern "C" {

void* memcpy(void* to, const void* from, size_t size) {
  void* result = to;
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
  return result;
}

void* memmove(void* to, const void* from, size_t size) {
  auto* out = static_cast<unsigned char*>(to);
  const auto* in = static_cast<const unsigned char*>(from);
  if (out <= in || out >= in + size) return memcpy(to, from, size);
  // Backwards by words: the arena's table shifts up when a range is added (the direction flag is
  // slow backwards).
  while (size >= 8) {
    size -= 8;
    uint64_t word;
    __builtin_memcpy(&word, in + size, 8);
    __builtin_memcpy(out + size, &word, 8);
  }
  while (size > 0) {
    size--;
    out[size] = in[size];
  }
  return to;
}

void* memset(void* to, int value, size_t size) {
  void* result = to;
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
  return result;
}

int memcmp(const void* left, const void* right, size_t size) {
  const auto* a = static_cast<const unsigned char*>(left);
  const auto* b = static_cast<const unsigned char*>(right);
  for (size_t i = 0; i < size; i++) {
    if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
  }
  return 0;
}

size_t strlen(const char* text) {
  size_t length = 0;
  while (text[length] != 0) length++;
  return length;
}

}  // extern "C"
