// SPDX-License-Identifier: BSD-3-Clause
// A value, or what went wrong: allocation free, usable in every zone.  The lowest function says
// what it was doing, the errno as the kernel gave it, up to two numbers (addresses, sizes) and the
// file concerned; callers add during().
#pragma once

#include <cstddef>
#include <cstdint>

namespace mana::loader {

struct Error {
  const char* what = "";           // what was being done, or what is wrong
  int number = 0;                  // errno, or 0 when the kernel has not refused anything
  uint64_t first = 0, second = 0;  // printed as +0x... when not zero
  const char* stage = nullptr;     // larger step, added by during()
  const char* advice = nullptr;    // what the user can do
  char where[192] = {};            // file or object, cut if too long

  Error during(const char* larger) const {
    Error copy = *this;
    if (copy.stage == nullptr) copy.stage = larger;
    return copy;
  }
  Error at(const char* file) const {
    Error copy = *this;
    size_t i = 0;
    for (; file[i] != 0 && i + 1 < sizeof copy.where; i++) copy.where[i] = file[i];
    copy.where[i] = 0;
    return copy;
  }
  Error so(const char* what_to_do) const {
    Error copy = *this;
    copy.advice = what_to_do;
    return copy;
  }
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(const T& value) : value_(value), ok_(true) {}
  Result(const Error& error) : error_(error), ok_(false) {}
  bool ok() const { return ok_; }
  T& value() { return value_; }
  const T& value() const { return value_; }
  const Error& error() const { return error_; }

 private:
  T value_{};
  Error error_{};
  bool ok_;
};

struct Done {};
using Outcome = Result<Done>;

}  // namespace mana::loader
