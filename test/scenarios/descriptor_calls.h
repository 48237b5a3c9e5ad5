// SPDX-License-Identifier: BSD-3-Clause
// Short words for what the scenarios about descriptors ask.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "test/scenario.h"

namespace mana::test {

inline std::string take(int from, std::size_t most) {
  std::string text(most, '\0');
  const ssize_t got = read(from, text.data(), most);
  return got < 0 ? "errno " + std::to_string(errno) : text.substr(0, static_cast<std::size_t>(got));
}

// What a terminal says comes in pieces.
inline std::string hear(int terminal, std::size_t length) {
  std::string all;
  while (all.size() < length) {
    const std::string piece = take(terminal, length - all.size());
    all += piece;
    if (piece.empty() || piece.starts_with("errno ")) break;
  }
  return all;
}

inline bool put(int to, const std::string& text) {
  return write(to, text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

inline uint64_t count_of(int number) {
  uint64_t count = 0;
  return read(number, &count, sizeof count) == sizeof count ? count : 0;
}

inline bool nonblocking(int number) { return (fcntl(number, F_GETFL) & O_NONBLOCK) != 0; }
inline bool closes_on_exec(int number) { return (fcntl(number, F_GETFD) & FD_CLOEXEC) != 0; }

inline void close_all(std::initializer_list<int> numbers) {
  for (const int number : numbers) close(number);
}

inline short ready(int number) {
  pollfd one{number, POLLIN | POLLOUT | POLLRDHUP, 0};
  poll(&one, 1, 0);
  return one.revents;
}

}  // namespace mana::test
