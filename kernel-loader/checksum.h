// SPDX-License-Identifier: BSD-3-Clause
// The checksum of images: XXH3-64 (xxhash.h), by the widest instructions that this CPU has.  No lock, no allocation, nothing of libc's
// per thread: for the image's writer too.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mana::image {

class Checksum {
 public:
  Checksum();
  void update(const void* data, std::size_t bytes);
  uint64_t value() const;

 private:
  alignas(64) unsigned char state_[576];  // XXH3_state_t
};

inline uint64_t checksum_of(const void* data, std::size_t bytes) {
  Checksum all;
  all.update(data, bytes);
  return all.value();
}

}  // namespace mana::image
