// SPDX-License-Identifier: BSD-3-Clause
#include "kernel-loader/image_shared.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace mana::image {
namespace {

constexpr int kProtection = PROT_READ | PROT_WRITE;

}  // namespace

SharedObjects::SharedObjects(const ImageFile& image) {
  for (const SharedMapping& mapping : image.shared_mappings()) object_of_[mapping.begin] = mapping.object;
  const auto& segments = image.segments();
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const auto known = object_of_.find(segments[i].begin);
    if (known == object_of_.end()) continue;
    Object& object = objects_[known->second];
    for (const uint32_t region = segments[i].region; i < segments.size() && segments[i].region == region; ++i) {
      object.begin = std::min(object.begin, segments[i].mapped_offset);
      object.end = std::max(object.end, segments[i].mapped_offset + segments[i].bytes);
    }
    --i;
  }
}

SharedObjects::~SharedObjects() {
  for (const auto& [number, object] : objects_) {
    if (object.all != nullptr) munmap(object.all, object.end - object.begin);
  }
}

void* SharedObjects::map(const SegmentRecord& whole) {
  Object& object = objects_[object_of_[whole.begin]];
  if (object.all == nullptr) {
    void* const all = mmap(nullptr, object.end - object.begin, kProtection, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) return all;
    object.all = all;
  }
  void* const at = reinterpret_cast<void*>(whole.begin);
  void* const held = mmap(at, whole.bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (held != at) return held;
  // mremap(2): from a length of 0 a shared mapping gets a second one of the same pages.  Not libc's function: UCX puts one of its own in
  // its place, which forgets the target.
  char* const from = static_cast<char*>(object.all) + (whole.mapped_offset - object.begin);
  return reinterpret_cast<void*>(syscall(SYS_mremap, from, 0, whole.bytes, MREMAP_MAYMOVE | MREMAP_FIXED, at));
}

}  // namespace mana::image
