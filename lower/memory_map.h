// SPDX-License-Identifier: BSD-3-Clause
// What memory the application has, and which of it has ever been touched.  Ordinary code, on the agent's thread, while the
// application is parked.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernel-loader/image_format.h"

namespace mana::lower {

struct UpperRegion {
  uint64_t begin = 0, end = 0;
  uint32_t protection = 0;
  image::SegmentKind kind = image::SegmentKind::anonymous;
  uint64_t offset = 0;  // in the mapped file; of huge pages: their size
  uint64_t device = 0, inode = 0;  // of it; of a System V segment the inode is its id
  bool saved_elsewhere = false;  // its bytes come back with a descriptor: they may change while the image is written
  std::string name;     // path, "[heap]", "[stack]" or empty
};

struct TouchedRange {
  uint64_t begin = 0, end = 0;
};

// All regions of the application, in order.  `error`: a region that cannot be saved; empty: none.
std::vector<UpperRegion> upper_regions(std::string* error);

// Which of them show memory that has no name and that another one shows, too.
std::vector<image::SharedMapping> shared_mappings(const std::vector<UpperRegion>& regions);

// Pages that MADV_GUARD_INSTALL has made guards.  False: this kernel cannot tell.
bool guarded_ranges(const UpperRegion& region, std::vector<TouchedRange>& guarded);

// The stretches of a private region without a file that have memory behind them, each grown to swallow gaps shorter than `smallest_gap`.
std::vector<TouchedRange> touched_ranges(const UpperRegion& region, uint64_t smallest_gap);

}  // namespace mana::lower
