// SPDX-License-Identifier: BSD-3-Clause
#include "upper/text.h"

#include "upper/group.h"
#include "upper/kernel.h"
#include "upper/memory.h"

namespace mana::upper {

size_t text_length(const char* text) {
  size_t length = 0;
  while (text[length]) ++length;
  return length;
}

bool text_equal(const char* a, const char* b) {
  while (*a && *a == *b) ++a, ++b;
  return *a == *b;
}

int copy_text(char* to, const char* from, size_t room) {
  size_t length = 0;
  for (; length + 1 < room && from[length]; ++length) to[length] = from[length];
  if (room > 0) to[length] = 0;
  return static_cast<int>(length);
}

char* duplicate_text(const char* text) {
  size_t bytes = text_length(text) + 1;
  auto* copy = static_cast<char*>(allocate(bytes));
  copy_bytes(copy, text, bytes);
  return copy;
}

Text& Text::add(const char* text) {
  length_ += static_cast<size_t>(copy_text(buffer_ + length_, text, sizeof(buffer_) - length_));
  return *this;
}

Text& Text::add(int64_t number) {
  if (number < 0) {
    add("-");
    return add(0 - static_cast<uint64_t>(number));
  }
  return add(static_cast<uint64_t>(number));
}

Text& Text::add(uint64_t number) {
  char digits[21];
  size_t at = sizeof(digits) - 1;
  digits[at] = 0;
  do {
    digits[--at] = static_cast<char>('0' + number % 10);
  } while (number /= 10);
  return add(digits + at);
}

Text& Text::hex(uint64_t number) {
  char digits[17];
  size_t at = sizeof(digits) - 1;
  digits[at] = 0;
  do {
    digits[--at] = "0123456789abcdef"[number % 16];
  } while (number /= 16);
  return add("0x").add(digits + at);
}

void write_line(const Text& message) {
  Text line;
  line.add("mana: ");
  if (own_world_rank >= 0) line.add("rank ").add(own_world_rank).add(": ");
  line.add(message.c_str());
  char bytes[600];
  size_t length = static_cast<size_t>(copy_text(bytes, line.c_str(), sizeof(bytes) - 1));
  bytes[length++] = '\n';
  kernel::call(__NR_write, 2, reinterpret_cast<long>(bytes), static_cast<long>(length));
}

void fail(const char* what, uint64_t number) {
  Text message;
  message.add("internal: ").add(what).add(" ").hex(number);
  write_line(message);
  constexpr long kInternalError = 70;
  for (;;) kernel::call(__NR_exit_group, kInternalError);
}

}  // namespace mana::upper
