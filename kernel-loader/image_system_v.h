// SPDX-License-Identifier: BSD-3-Clause
// System V shared memory segments of an image, made again.  Ordinary code, while the image is placed.
#pragma once

#include <map>

#include "kernel-loader/image_reader.h"

namespace mana::image {

class SystemVSegments {
 public:
  explicit SystemVSegments(const ImageFile& image) : image_(image) {}

  // Attaches the segment of this region at its address (where shmdt() finds it), and makes it at its first region.  The segment of a
  // process that was killed on this host is still there, with an id and perhaps a key: that is taken when nobody has it attached.
  // MAP_FAILED: errno.
  void* attach(const SegmentRecord& whole);

  const std::map<int32_t, int32_t>& real_ids() const { return real_; }  // by the id that the application knows
  const std::string& told() const { return told_; }                    // what the user should know; empty: nothing

 private:
  static int32_t id_of(const SegmentRecord& whole) { return static_cast<int32_t>(whole.mapped_offset); }
  SystemVSegment description(const SegmentRecord& whole) const;
  int make(const SystemVSegment& segment);

  const ImageFile& image_;
  std::map<int32_t, int32_t> real_;
  std::string told_;
};

}  // namespace mana::image
