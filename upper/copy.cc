// SPDX-License-Identifier: BSD-3-Clause
// Copying without a C library.  Short lengths by two overlapping moves, middle ones by 16-byte moves, long ones by the
// processor's own string instruction, which is as fast as any library from a few KiB on.
#include <emmintrin.h>

#include "upper/text.h"

namespace mana::upper {

namespace {

constexpr size_t kStringMove = 2048;

template <class Word>
Word load(const char* from) {
  Word word;
  __builtin_memcpy(&word, from, sizeof(Word));
  return word;
}
template <class Word>
void store(char* to, Word word) {
  __builtin_memcpy(to, &word, sizeof(Word));
}

template <class Word>
void copy_two(char* to, const char* from, size_t bytes) {
  Word head = load<Word>(from), tail = load<Word>(from + bytes - sizeof(Word));
  store(to, head);
  store(to + bytes - sizeof(Word), tail);
}

__m128i load16(const char* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }
void store16(char* to, __m128i word) { _mm_storeu_si128(reinterpret_cast<__m128i*>(to), word); }

void copy_up_to_32(char* to, const char* from, size_t bytes) {
  if (bytes >= 16) {
    __m128i head = load16(from), tail = load16(from + bytes - 16);
    store16(to, head);
    store16(to + bytes - 16, tail);
  } else if (bytes >= 8) {
    copy_two<uint64_t>(to, from, bytes);
  } else if (bytes >= 4) {
    copy_two<uint32_t>(to, from, bytes);
  } else if (bytes >= 2) {
    copy_two<uint16_t>(to, from, bytes);
  } else if (bytes == 1) {
    *to = *from;
  }
}

void copy_forward(char* to, const char* from, size_t bytes) {
  __m128i tail = load16(from + bytes - 16);  // read first: a forward move may write over it
  char* last = to + bytes - 16;
  while (bytes > 64) {
    __m128i a = load16(from), b = load16(from + 16), c = load16(from + 32), d = load16(from + 48);
    store16(to, a), store16(to + 16, b), store16(to + 32, c), store16(to + 48, d);
    to += 64, from += 64, bytes -= 64;
  }
  while (bytes > 16) {
    store16(to, load16(from));
    to += 16, from += 16, bytes -= 16;
  }
  store16(last, tail);
}

void copy_backward(char* to, const char* from, size_t bytes) {
  __m128i head = load16(from);
  while (bytes > 16) {
    bytes -= 16;
    store16(to + bytes, load16(from + bytes));
  }
  store16(to, head);
}

}  // namespace

void copy_bytes(void* to, const void* from, size_t bytes) {
  if (bytes <= 32) {
    copy_up_to_32(static_cast<char*>(to), static_cast<const char*>(from), bytes);
  } else if (bytes < kStringMove) {
    copy_forward(static_cast<char*>(to), static_cast<const char*>(from), bytes);
  } else {
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
  }
}

void move_bytes(void* to, const void* from, size_t bytes) {
  auto distance = static_cast<size_t>(static_cast<char*>(to) - static_cast<const char*>(from));
  if (bytes <= 32) {
    copy_up_to_32(static_cast<char*>(to), static_cast<const char*>(from), bytes);
  } else if (distance >= bytes) {  // `to` is before `from`, or behind its end
    // The forward copy's last store must come from bytes not yet overwritten: only for ranges that do overlap.
    copy_forward(static_cast<char*>(to), static_cast<const char*>(from), bytes);
  } else {
    copy_backward(static_cast<char*>(to), static_cast<const char*>(from), bytes);
  }
}

void fill_bytes(void* to, int value, size_t bytes) {
  auto* at = static_cast<char*>(to);
  if (bytes >= 16 && bytes <= 1024) {
    const __m128i word = _mm_set1_epi8(static_cast<char>(value));
    char* last = at + bytes - 16;
    for (; at < last; at += 16) store16(at, word);
    store16(last, word);
  } else {
    asm volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(value) : "memory");
  }
}

}  // namespace mana::upper
