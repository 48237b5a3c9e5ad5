// SPDX-License-Identifier: BSD-3-Clause
#include "kernel-loader/maps.h"

#include <sys/mman.h>

#include "kernel-loader/descriptor_line.h"
#include "kernel-loader/sys.h"

namespace mana::loader {

MapsReader::MapsReader(const char* file) : descriptor_(static_cast<int>(open_above(file))) {}

MapsReader::~MapsReader() {
  if (ok()) sys::close(descriptor_);
}

bool MapsReader::letter(char& c) {
  if (at_ == end_) {
    const long got = sys::read(descriptor_, buffer_, sizeof buffer_);
    if (got <= 0) return false;
    at_ = 0;
    end_ = static_cast<int>(got);
  }
  c = buffer_[at_++];
  return true;
}

// "low-high rwxp offset device inode   name"
bool MapsReader::next(MapsLine& line) {
  enum Field { kRange, kPermissions, kOffset, kDevice, kInode, kName };
  line = {};
  uint64_t value = 0;
  int field = kRange;
  bool any = false;
  for (char c; letter(c);) {
    any = true;
    if (c == '\n') break;
    if (field == kName) continue;
    if (c == ' ') {
      if (field == kRange) line.region.high = value;
      field++;
    } else if (field == kPermissions) {
      line.protection |= c == 'r' ? PROT_READ : c == 'w' ? PROT_WRITE : c == 'x' ? PROT_EXEC : 0;
    } else if (field == kInode) {
      line.inode = line.inode * 10 + static_cast<uint64_t>(c - '0');
    } else if (field == kRange && c == '-') {
      line.region.low = value;
      value = 0;
    } else if (field == kRange) {
      value = value * 16 + static_cast<uint64_t>(c >= 'a' ? c - 'a' + 10 : c - '0');
    }
  }
  return any;
}

// "VmFlags: rd wr mr": of all names this one ends so.
uint32_t flag_words(uint64_t address, const char* words) {
  MapsReader maps("/proc/thread-self/smaps");
  MapsLine line;
  while (maps.next(line) && (line.region.low == 0 || address < line.region.low || address >= line.region.high)) {
  }
  uint32_t found = 0;
  bool inside = false;
  char last[2] = {};
  for (char c; maps.letter(c);) {
    for (int i = 0; inside && (c == ' ' || c == '\n') && words[2 * i] != 0; i++) {
      if (words[2 * i] == last[0] && words[2 * i + 1] == last[1]) found |= uint32_t{1} << i;
    }
    if (c == '\n' && inside) break;
    if (c == ':') inside = last[0] == 'g' && last[1] == 's';
    last[0] = last[1];
    last[1] = c;
  }
  return found;
}

}  // namespace mana::loader
