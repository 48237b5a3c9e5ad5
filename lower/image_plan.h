// SPDX-License-Identifier: BSD-3-Clause
// An image before it is written: every byte in front of the data is made here, on the agent's thread while the application is
// parked; only the checksums are still missing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernel-loader/image_format.h"
#include "lower/image_writer.h"

namespace mana::lower {

struct ImagePlan {
  std::string error;                         // not empty: this process cannot be saved, and why
  std::string front;                         // ELF header, program headers, notes, up to the first page of data
  std::size_t notes_end = 0;                 // the checksum of the notes covers front[0, notes_end)
  std::size_t header_at = 0;                 // of the ImageHeader in `front`
  std::size_t blocks_at = 0;                 // of the BlockRecords in `front`
  uint64_t file_bytes = 0;
  std::vector<image::SegmentRecord> segments;
  std::vector<image::MemoryFlags> memory_flags;
  std::vector<image::BlockRecord> blocks;    // in the order of segments; none spans two of them
};

ImagePlan plan_image(const ImageIdentity& identity, UpperInterface* upper);

}  // namespace mana::lower
