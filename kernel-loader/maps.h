// SPDX-License-Identifier: BSD-3-Clause
// Reads /proc/self/maps line by line with raw system calls, without the names.  Lines of smaps that are not of maps begin at 0.
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
  explicit MapsReader(const char* file = "/proc/thread-self/maps");
  ~MapsReader();
  MapsReader(const MapsReader&) = delete;
  MapsReader& operator=(const MapsReader&) = delete;
  bool ok() const { return descriptor_ >= 0; }
  bool next(MapsLine& line);

 private:
  friend uint32_t flag_words(uint64_t address, const char* words);
  bool letter(char& c);

  int descriptor_;
  int at_ = 0, end_ = 0;
  char buffer_[512];  // small: this may lie on an alternate signal stack
};

// Which of `words`, two letters each, the kernel has in "VmFlags" of the mapping that holds the address (proc(5)): a bit for each.
uint32_t flag_words(uint64_t address, const char* words);

}  // namespace mana::loader
