// SPDX-License-Identifier: BSD-3-Clause
#include "lower/removed_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

namespace mana::lower {

loader::Result<int> make_removed_directory(const std::string& path, mode_t mode) {
  std::string made = path;
  if (mkdir(made.c_str(), 0700) != 0) {
    made = path + ".mana-XXXXXX";  // another one has its name
    if (mkdtemp(made.data()) == nullptr) {
      made = "/tmp/mana-XXXXXX";  // what it lay in is gone as well
      if (mkdtemp(made.data()) == nullptr) return loader::Error{"make a folder, to be removed again,", errno}.at(path.c_str());
    }
  }
  const int folder = open(made.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int why = errno;
  rmdir(made.c_str());
  if (folder < 0) return loader::Error{"open a folder that was just made", why}.at(made.c_str());
  fchmod(folder, mode);
  return folder;
}

bool strip_deleted(std::string& path) {
  static const std::string kDeleted = " (deleted)";
  if (path.size() <= kDeleted.size() || path.compare(path.size() - kDeleted.size(), kDeleted.size(), kDeleted) != 0) return false;
  path.resize(path.size() - kDeleted.size());
  return true;
}

}  // namespace mana::lower
