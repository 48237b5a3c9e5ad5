// SPDX-License-Identifier: BSD-3-Clause
// The text of a file in /proc, whose size stat does not tell.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <string>

namespace mana::lower {

// Empty: it is not there (any more).
inline std::string read_proc_file(const std::string& path) {
  std::string text;
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return text;
  char piece[4096];
  for (ssize_t got; (got = read(file, piece, sizeof piece)) > 0;) text.append(piece, static_cast<std::size_t>(got));
  close(file);
  return text;
}

}  // namespace mana::lower
