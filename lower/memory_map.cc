// SPDX-License-Identifier: BSD-3-Clause
#include "lower/memory_map.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <utility>

#include "kernel-loader/layout.h"

namespace mana::lower {
namespace {

using image::SegmentKind;
using loader::kPage;

// linux/fs.h of Linux 6.7; older headers do not have it.
struct PageRegion {
  uint64_t start, end, categories;
};
struct PagemapScan {
  uint64_t size, flags, start, end, walk_end, vector, vector_length, most_pages;
  uint64_t category_inverted, category_mask, category_any_of, return_mask;
};
constexpr unsigned long kPagemapScan = _IOWR('f', 16, PagemapScan);
constexpr uint64_t kPresent = 1 << 3, kSwapped = 1 << 4, kZeroPage = 1 << 5, kGuard = 1 << 8;

bool ends_with(const std::string& text, const char* end) {
  const std::size_t length = std::strlen(end);
  return text.size() >= length && text.compare(text.size() - length, length, end) == 0;
}

SegmentKind kind_of(bool shared, uint64_t inode, const std::string& name) {
  if (name == "/anon_hugepage (deleted)") return shared ? SegmentKind::shared_huge_pages : SegmentKind::huge_pages;
  if (inode == 0) return shared ? SegmentKind::shared_memory : SegmentKind::anonymous;
  if (!shared) return SegmentKind::file;
  if (name == "/dev/zero (deleted)" || name.rfind("[anon_shmem:", 0) == 0) return SegmentKind::shared_anonymous;  // PR_SET_VMA names it
  return ends_with(name, " (deleted)") ? SegmentKind::shared_memory : SegmentKind::shared_file;
}

// A device, or what the kernel gives under no path that could be opened again: rings of io_uring and of perf, a virtual machine's
// registers, secret memory.  Their descriptor may be closed already.
std::string cannot_be_saved(const UpperRegion& region) {
  const auto begins = [&region](const char* with) { return region.name.rfind(with, 0) == 0; };
  if (begins("/dev/") && !begins("/dev/shm/") && !begins("/dev/zero")) return "the device " + region.name;
  if (begins("anon_inode:") || begins("/dmabuf:") || begins("/secretmem")) return region.name;
  return {};
}

// Of huge pages; 0: they are gone.
uint64_t page_bytes(const UpperRegion& region) {
  const std::unique_ptr<FILE, int (*)(FILE*)> maps(std::fopen("/proc/thread-self/smaps", "re"), std::fclose);
  char line[1024];
  uint64_t begin = 0, end = 0, kilobytes = 0;
  bool inside = false;
  while (maps != nullptr && std::fgets(line, sizeof line, maps.get()) != nullptr) {
    if (std::sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &begin, &end) == 2) inside = begin == region.begin;
    if (inside && std::sscanf(line, "KernelPageSize: %" SCNu64, &kilobytes) == 1) return kilobytes << 10;
  }
  return 0;
}

// One line of /proc/self/maps: "begin-end rwxp offset major:minor inode   name".
bool parse(const char* line, UpperRegion& region, bool& shared) {
  char permissions[5] = {};
  unsigned major_number = 0, minor_number = 0;
  int name_at = 0;
  if (std::sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n", &region.begin, &region.end, permissions,
                  &region.offset, &major_number, &minor_number, &region.inode, &name_at) != 7) {
    return false;
  }
  region.device = makedev(major_number, minor_number);
  region.protection = (permissions[0] == 'r' ? PROT_READ : 0) | (permissions[1] == 'w' ? PROT_WRITE : 0) |
                      (permissions[2] == 'x' ? PROT_EXEC : 0);
  shared = permissions[3] == 's';
  region.name = line + name_at;
  if (!region.name.empty() && region.name.back() == '\n') region.name.pop_back();
  return true;
}

class Touched {
 public:
  explicit Touched(uint64_t smallest_gap) : smallest_gap_(smallest_gap) {}
  void add(uint64_t begin, uint64_t end) {
    if (!ranges_.empty() && begin - ranges_.back().end < smallest_gap_) {
      ranges_.back().end = end;
    } else {
      ranges_.push_back({begin, end});
    }
  }
  std::vector<TouchedRange> take() { return std::move(ranges_); }

 private:
  uint64_t smallest_gap_;
  std::vector<TouchedRange> ranges_;
};

// False: this kernel has no such call.
bool scan(int pagemap, const UpperRegion& region, Touched& touched, uint64_t none_of, uint64_t any_of) {
  PageRegion found[512];
  PagemapScan request{};
  request.size = sizeof request;
  request.start = region.begin;
  request.end = region.end;
  request.vector = reinterpret_cast<uint64_t>(found);
  request.vector_length = 512;
  request.category_inverted = none_of;
  request.category_mask = none_of;
  request.category_any_of = any_of;
  while (request.start < request.end) {
    const int count = ioctl(pagemap, kPagemapScan, &request);
    if (count < 0) return false;
    for (int i = 0; i < count; ++i) touched.add(found[i].start, found[i].end);
    request.start = request.walk_end;
  }
  return true;
}

// Eight bytes a page: bit 63 present, bit 62 swapped.  The shared zero page cannot be told from memory: a little is saved for
// nothing.
bool read_pagemap(int pagemap, const UpperRegion& region, Touched& touched) {
  constexpr std::size_t kEntries = 8192;
  const auto entries = std::make_unique<uint64_t[]>(kEntries);
  for (uint64_t at = region.begin; at < region.end;) {
    const uint64_t wanted = std::min<uint64_t>(kEntries, (region.end - at) / kPage);
    const ssize_t got = pread(pagemap, entries.get(), wanted * 8, static_cast<off_t>(at / kPage * 8));
    if (got <= 0) return false;
    for (ssize_t i = 0; i < got / 8; ++i, at += kPage) {
      if ((entries[static_cast<std::size_t>(i)] >> 62) != 0) touched.add(at, at + kPage);
    }
  }
  return true;
}

}  // namespace

std::vector<UpperRegion> upper_regions(std::string* error) {
  std::vector<UpperRegion> regions;
  const std::unique_ptr<FILE, int (*)(FILE*)> maps(std::fopen("/proc/thread-self/maps", "re"), std::fclose);
  if (maps == nullptr) {
    *error = std::string("read /proc/thread-self/maps: ") + std::strerror(errno);
    return regions;
  }
  char* line = nullptr;
  std::size_t room = 0;
  while (getline(&line, &room, maps.get()) > 0) {
    UpperRegion region;
    bool shared = false;
    if (!parse(line, region, shared) || !loader::is_application_memory(region.begin)) continue;
    region.kind = kind_of(shared, region.inode, region.name);
    if (const std::string what = cannot_be_saved(region); !what.empty()) *error = "the application has mapped " + what + ", which cannot be saved";
    if (image::is_huge(region.kind)) region.offset = page_bytes(region);
    regions.push_back(std::move(region));
  }
  std::free(line);
  return regions;
}

std::vector<image::SharedMapping> shared_mappings(const std::vector<UpperRegion>& regions) {
  using Object = std::pair<uint64_t, uint64_t>;
  std::map<Object, std::vector<uint64_t>> objects;
  for (const UpperRegion& region : regions) {
    const bool nameless = region.kind == SegmentKind::shared_anonymous || region.kind == SegmentKind::shared_memory;
    if (nameless && !region.saved_elsewhere && region.inode != 0) objects[{region.device, region.inode}].push_back(region.begin);
  }
  std::vector<image::SharedMapping> found;
  uint32_t number = 0;
  for (const auto& [object, places] : objects) {
    if (places.size() < 2) continue;
    for (const uint64_t begin : places) found.push_back({begin, number, 0});
    ++number;
  }
  return found;
}

bool guarded_ranges(const UpperRegion& region, std::vector<TouchedRange>& guarded) {
  const int pagemap = open("/proc/thread-self/pagemap", O_RDONLY | O_CLOEXEC);
  if (pagemap < 0) return false;
  Touched found(1);
  const bool scanned = scan(pagemap, region, found, 0, kGuard);
  close(pagemap);
  for (const TouchedRange& range : found.take()) guarded.push_back(range);
  return scanned;
}

std::vector<TouchedRange> touched_ranges(const UpperRegion& region, uint64_t smallest_gap) {
  const int pagemap = open("/proc/thread-self/pagemap", O_RDONLY | O_CLOEXEC);
  Touched by_scan(smallest_gap), by_reading(smallest_gap);
  bool scanned = false, read = false;
  if (pagemap >= 0) {
    scanned = scan(pagemap, region, by_scan, kZeroPage, kPresent | kSwapped);
    if (!scanned) read = read_pagemap(pagemap, region, by_reading);
    close(pagemap);
  }
  if (scanned) return by_scan.take();
  if (read) return by_reading.take();
  return {{region.begin, region.end}};  // saved in full
}

}  // namespace mana::lower
