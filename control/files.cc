// SPDX-License-Identifier: BSD-3-Clause
#include "control/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace mana::control {

namespace {

class File {
 public:
  File(const std::string& path, int flags, unsigned mode = 0)
      : descriptor_(open(path.c_str(), flags | O_CLOEXEC, mode)) {}
  ~File() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  bool good() const { return descriptor_ >= 0; }
  int get() const { return descriptor_; }
  // A network file system may tell only now that there is no room.
  bool shut() { return close(std::exchange(descriptor_, -1)) == 0; }

 private:
  int descriptor_;
};

bool write_all(int file, const std::string& text) {
  std::size_t at = 0;
  while (at < text.size()) {
    ssize_t wrote = write(file, text.data() + at, text.size() - at);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return false;
    at += static_cast<std::size_t>(wrote);
  }
  return true;
}

}  // namespace

std::string reason(int code) { return std::strerror(code); }

Outcome sync_directory(const std::string& directory) {
  File file(directory, O_RDONLY | O_DIRECTORY);
  if (!file.good()) return Error{"open " + directory + ": " + reason(errno)};
  // Some network file systems cannot do this and need not.
  if (fsync(file.get()) != 0 && errno != EINVAL)
    return Error{"fsync " + directory + ": " + reason(errno)};
  return Done{};
}

Outcome replace_file(const std::string& directory, const std::string& name, const std::string& text,
                     unsigned mode, Outlives outlives) {
  std::string path = directory + "/" + name, beside = directory + "/." + name + ".new";
  unlink(beside.c_str());
  {
    File file(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
    if (!file.good()) return Error{"create " + beside + ": " + reason(errno)};
    if (!write_all(file.get(), text) || (outlives == Outlives::host && fsync(file.get()) != 0) || !file.shut()) {
      int code = errno;
      unlink(beside.c_str());
      return Error{"write " + beside + ": " + reason(code)};
    }
  }
  if (std::rename(beside.c_str(), path.c_str()) != 0)
    return Error{"rename " + beside + ": " + reason(errno)};
  return outlives == Outlives::host ? sync_directory(directory) : Done{};
}

Result<std::string> read_file(const std::string& path) {
  File file(path, O_RDONLY);
  if (!file.good()) return Error{"open " + path + ": " + reason(errno)};
  std::string text;
  char block[65536];
  for (;;) {
    ssize_t got = read(file.get(), block, sizeof block);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error{"read " + path + ": " + reason(errno)};
    if (got == 0) return text;
    text.append(block, static_cast<std::size_t>(got));
  }
}

}  // namespace mana::control
