// SPDX-License-Identifier: BSD-3-Clause
// Memory that the application has mapped more than once (a ring buffer seen twice in a row, code that is written at one address and run
// at another): what is written through one mapping must be seen through the others.  Ordinary code, while the image is placed.
#pragma once

#include <map>

#include "kernel-loader/image_reader.h"

namespace mana::image {

class SharedObjects {
 public:
  explicit SharedObjects(const ImageFile& image);
  ~SharedObjects();
  SharedObjects(const SharedObjects&) = delete;
  SharedObjects& operator=(const SharedObjects&) = delete;

  bool has(const SegmentRecord& whole) const { return object_of_.count(whole.begin) != 0; }
  // Maps the region's part of its object at the region's address, to be read and written.  MAP_FAILED: errno.
  void* map(const SegmentRecord& whole);

 private:
  struct Object {
    uint64_t begin = ~uint64_t{0}, end = 0;  // of it, as far as it is mapped
    void* all = nullptr;                     // all of that, in the lower half, until the image is placed
  };
  std::map<uint64_t, uint32_t> object_of_;  // by where a region begins
  std::map<uint32_t, Object> objects_;
};

}  // namespace mana::image
