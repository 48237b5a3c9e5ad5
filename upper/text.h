// SPDX-License-Identifier: BSD-3-Clause
// Strings without a C library: lengths, bounded copies, and one-line messages built in a fixed buffer.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mana::upper {

size_t text_length(const char* text);
bool text_equal(const char* a, const char* b);
// Copies with a final zero, at most `room` bytes in all; returns the number of characters copied.
int copy_text(char* to, const char* from, size_t room);
char* duplicate_text(const char* text);  // memory.h; deallocate() it

void copy_bytes(void* to, const void* from, size_t bytes);
void move_bytes(void* to, const void* from, size_t bytes);  // the ranges may overlap
void fill_bytes(void* to, int value, size_t bytes);
inline void zero_bytes(void* to, size_t bytes) { fill_bytes(to, 0, bytes); }

// A message under construction; what does not fit is cut.  Always zero-terminated.
class Text {
 public:
  Text() { buffer_[0] = 0; }
  Text& add(const char* text);
  Text& add(int64_t number);
  Text& add(int number) { return add(static_cast<int64_t>(number)); }
  Text& add(uint64_t number);
  Text& add(uint32_t number) { return add(static_cast<uint64_t>(number)); }
  Text& hex(uint64_t number);
  const char* c_str() const { return buffer_; }
  size_t length() const { return length_; }

 private:
  char buffer_[512];
  size_t length_ = 0;
};

// One line on standard error, in one write: "mana: rank N: MESSAGE" (the rank once it is known).
void write_line(const Text& message);
// A broken invariant of ours: one line, then exit code 70 for the whole process.
[[noreturn]] void fail(const char* what, uint64_t number = 0);

}  // namespace mana::upper
