// SPDX-License-Identifier: BSD-3-Clause
// The text of a file in /proc, whose size stat does not tell.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <string>

namespace mana::lower {

// Closes it.  Empty: `file` is no descriptor.
inline std::string read_and_close(int file) {
  std::string text;
  if (file < 0) return text;
  char piece[4096];
  for (ssize_t got; (got = read(file, piece, sizeof piece)) > 0;) text.append(piece, static_cast<std::size_t>(got));
  close(file);
  return text;
}

// Empty: it is not there (any more).
inline std::string read_proc_file(const std::string& path) {
  return read_and_close(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));  // no FIFO: saves asking
}

}  // namespace mana::lower
