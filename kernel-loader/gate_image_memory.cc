// SPDX-License-Identifier: BSD-3-Clause
// After a restart large memory is a private mapping of the image (image_placer.cc).  What the application gives away of it must read as
// zeroes, as its anonymous memory did; the kernel would show what the image has there.
#include <sys/mman.h>

#include <cerrno>

#include "kernel-loader/gate_data.h"
#include "kernel-loader/loader.h"
#include "kernel-loader/maps.h"

namespace mana::loader {
namespace {

constexpr uint64_t kDontNeedLocked = 24;  // MADV_DONTNEED_LOCKED, Linux 5.18

constinit uint64_t image_inode = 0;

// Where memory from the image lies, so that ordinary calls need not read the maps.  Of too many the last one covers the rest.
constexpr int kMostRanges = 4096;
constinit Region ranges[kMostRanges] = {};
constinit int range_count = 0;

bool was_mapped(Region range) {
  for (int i = 0; i < range_count; i++) {
    if (ranges[i].overlaps(range)) return true;
  }
  return false;
}

// Only whole ones: of another the maps are read the next time, too.
void forget(Region range) {
  for (int i = 0; i < range_count; i++) {
    if (range.low <= ranges[i].low && ranges[i].high <= range.high) ranges[i].high = ranges[i].low;
  }
}

Region common(Region a, Region b) { return {a.low > b.low ? a.low : b.low, a.high < b.high ? a.high : b.high}; }

}  // namespace

void memory_comes_from(uint64_t inode) {
  image_inode = inode;
  range_count = 0;
  MapsReader maps;
  for (MapsLine line; maps.next(line);) note_moved(line);
}

void note_moved(const MapsLine& piece) {
  if (image_inode == 0 || piece.inode != image_inode) return;
  const Hold hold(fork_local().action_lock);
  if (range_count < kMostRanges) {
    ranges[range_count++] = piece.region;
    return;
  }
  Region& last = ranges[kMostRanges - 1];
  last = {last.low < piece.region.low ? last.low : piece.region.low, last.high > piece.region.high ? last.high : piece.region.high};
}

bool comes_from_image(uint64_t address, uint64_t length) {
  if (image_inode == 0) return false;
  MapsReader maps;
  for (MapsLine line; maps.next(line);) {
    if (line.inode == image_inode && line.region.overlaps({address, address + length})) return true;
  }
  return false;
}

// Flags that madvise or mlock have left on it go with it.  MADV_FREE may do so at once.
void give_away_image_memory(uint64_t address, uint64_t length, uint64_t advice) {
  const bool gives_away = advice == MADV_DONTNEED || advice == MADV_FREE || advice == kDontNeedLocked;
  const Region range{address, page_up(address + length)};
  if (!gives_away || page_down(address) != address || range.high <= range.low || !was_mapped(range)) return;
  // What the kernel does not give away (it is locked, say) stays.  Of a file it gives nothing away freely.
  const uint64_t asked = advice == MADV_FREE ? MADV_DONTNEED : advice;
  if (sys::failed(sys::raw(__NR_madvise, address, length, asked))) return;
  for (MapsLine piece; was_mapped(range);) {  // once more, because the maps change while they are read
    bool found = false;
    MapsReader maps;
    while (!found && maps.next(piece)) found = piece.inode == image_inode && piece.region.overlaps(range) && was_mapped(piece.region);
    if (!found) break;
    const Region gone = common(piece.region, range);
    const long got = sys::mmap(gone.low, gone.high - gone.low, piece.protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED);
    if (sys::failed(got)) break;
  }
  const Hold hold(fork_local().action_lock);
  forget(range);
}

}  // namespace mana::loader
