// SPDX-License-Identifier: BSD-3-Clause
// A few words about strings, for code without libc.  TextLine builds one line in a fixed buffer and
// cuts what is too long.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mana::loader {

inline size_t text_length(const char* text) {
  size_t length = 0;
  while (text[length] != 0) length++;
  return length;
}
inline bool same_text(const char* left, const char* right) {
  while (*left != 0 && *left == *right) left++, right++;
  return *left == *right;
}
inline bool starts_with(const char* text, const char* prefix) {
  while (*prefix != 0) {
    if (*text++ != *prefix++) return false;
  }
  return true;
}
// The part after the last slash.
inline const char* last_part(const char* path) {
  const char* part = path;
  for (; *path != 0; path++) {
    if (*path == '/') part = path + 1;
  }
  return part;
}

class TextLine {
 public:
  TextLine(char* buffer, size_t size) : at_(buffer), end_(buffer + size - 1) { *at_ = 0; }

  TextLine& add(const char* text) {
    while (*text != 0) put(*text++);
    return *this;
  }
  TextLine& add(char letter) {
    put(letter);
    return *this;
  }
  TextLine& decimal(int64_t value) {
    if (value < 0) put('-');
    number(value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value), 10);
    return *this;
  }
  TextLine& hex(uint64_t value) {
    add("0x");
    number(value, 16);
    return *this;
  }
  bool full() const { return at_ == end_; }

 private:
  void put(char letter) {
    if (at_ == end_) return;
    *at_++ = letter;
    *at_ = 0;
  }
  void number(uint64_t value, unsigned base) {
    char digits[24];
    int count = 0;
    do {
      digits[count++] = "0123456789abcdef"[value % base];
      value /= base;
    } while (value != 0);
    while (count > 0) put(digits[--count]);
  }

  char* at_;
  char* end_;
};

// Copies into a fixed buffer; false when it was cut.
inline bool copy_text(const char* from, char* to, size_t size) {
  TextLine line(to, size);
  line.add(from);
  return text_length(from) < size;
}

// Reads an unsigned number (decimal or, with base 16, hexadecimal) and moves `text` behind it.
inline uint64_t read_number(const char*& text, unsigned base) {
  uint64_t value = 0;
  for (;; text++) {
    const char c = *text;
    unsigned digit = 99;
    if (c >= '0' && c <= '9') digit = static_cast<unsigned>(c - '0');
    if (c >= 'a' && c <= 'f') digit = static_cast<unsigned>(c - 'a') + 10;
    if (digit >= base) return value;
    value = value * base + digit;
  }
}

}  // namespace mana::loader
