// SPDX-License-Identifier: BSD-3-Clause
#include "kernel-loader/maps.h"

#include "kernel-loader/sys.h"

namespace mana::loader {

MapsReader::MapsReader() : descriptor_(static_cast<int>(sys::open_read("/proc/self/maps"))) {}

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

bool MapsReader::next(MapsLine& line) {
  uint64_t value = 0;
  uint64_t low = 0;
  bool in_range = true;
  bool any = false;
  for (char c; letter(c);) {
    any = true;
    if (c == '\n') break;
    if (!in_range) continue;
    if (c == '-') {
      low = value;
      value = 0;
    } else if (c == ' ') {
      line.region = {low, value};
      in_range = false;
    } else {
      value = value * 16 + static_cast<uint64_t>(c >= 'a' ? c - 'a' + 10 : c - '0');
    }
  }
  return any;
}

}  // namespace mana::loader
