// SPDX-License-Identifier: BSD-3-Clause
// Reads /proc/self/maps line by line with raw system calls, without the names.
#pragma once

#include "kernel-loader/layout.h"

namespace mana::loader {

struct MapsLine {
  Region region;
  int protection;  // PROT_*
  uint64_t inode;  // 0: no file
};

class MapsReader {
 public:
  MapsReader();
  ~MapsReader();
  MapsReader(const MapsReader&) = delete;
  MapsReader& operator=(const MapsReader&) = delete;
  bool ok() const { return descriptor_ >= 0; }
  bool next(MapsLine& line);

 private:
  bool letter(char& c);

  int descriptor_;
  int at_ = 0, end_ = 0;
  char buffer_[512];  // small: this may lie on an alternate signal stack
};

}  // namespace mana::loader
