// SPDX-License-Identifier: BSD-3-Clause
// A value or what went wrong, in words for the user.  Ordinary code only (control/, cli/): the text
// is on the heap. The lowest function says what was done to what and why it failed; callers add
// where with during().
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace mana::control {

struct Error {
  std::string text;
  bool for_lack_of_memory = false;  // of an image: one that is written in place needs no copy
  Error during(const std::string& what) const { return {what + ": " + text, for_lack_of_memory}; }
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : content_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : content_(std::in_place_index<1>, std::move(error)) {}
  bool ok() const { return content_.index() == 0; }
  T& value() { return std::get<0>(content_); }
  const T& value() const { return std::get<0>(content_); }
  const Error& error() const { return std::get<1>(content_); }

 private:
  std::variant<T, Error> content_;
};

struct Done {};
using Outcome = Result<Done>;

}  // namespace mana::control
