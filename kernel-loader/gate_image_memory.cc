// SPDX-License-Identifier: BSD-3-Clause
// After a restart large memory is a private mapping of the image (image_placer.cc), which the application must not notice.  What it gives
// away of it must read as zeroes, where the kernel would show what the image has there; and some advice is for anonymous memory alone.
// Left as of a file: MADV_COLLAPSE (EINVAL), because memory that is in use cannot be replaced by a copy.
#include <linux/mempolicy.h>
#include <sys/mman.h>

#include <cerrno>

#include "kernel-loader/arena.h"
#include "kernel-loader/gate_data.h"
#include "kernel-loader/loader.h"
#include "kernel-loader/maps.h"

namespace mana::loader {
namespace {

constexpr uint64_t kDontNeedLocked = 24;  // MADV_DONTNEED_LOCKED, Linux 5.18
constexpr uint64_t kInstallGuard = 102;   // MADV_GUARD_INSTALL, Linux 6.13; of a file 6.15
constexpr int kAnonymous = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

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

// What of the range still comes from the image.  Asked again after each piece, because the maps change while they are read.
bool next_piece(Region range, MapsLine& piece) {
  if (!was_mapped(range)) return false;
  MapsReader maps;
  while (maps.next(piece)) {
    if (piece.inode != image_inode || !piece.region.overlaps(range) || !was_mapped(piece.region)) continue;
    piece.region = common(piece.region, range);
    return true;
  }
  return false;
}

// What the application has said of a piece, which what takes its place must have, too.
class Said {
 public:
  explicit Said(uint64_t address) {
    if ((live_state().memory_flags & kMemoryFlagsWereUsed) != 0) words_ = flag_words(address, "dddcwfhgnhmglo");
    if ((lasting_effects() & kMemoryPolicies) != 0)
      sys::raw(__NR_get_mempolicy, sys::bits(&policy_), sys::bits(nodes_), kMostNodes, address, MPOL_F_ADDR);
  }
  void say_again(Region piece) const {
    constexpr uint64_t kAdvices[] = {MADV_DONTDUMP, MADV_DONTFORK, MADV_WIPEONFORK, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_MERGEABLE};
    constexpr uint32_t kLocked = 1 << 6;
    const uint64_t length = piece.high - piece.low;
    for (int i = 0; words_ >> i != 0 && i < 6; i++) {
      if ((words_ >> i & 1) != 0) sys::raw(__NR_madvise, piece.low, length, kAdvices[i]);
    }
    if (policy_ != MPOL_DEFAULT) sys::raw(__NR_mbind, piece.low, length, static_cast<uint64_t>(policy_), sys::bits(nodes_), kMostNodes, 0);
    if ((words_ & kLocked) != 0) sys::raw(__NR_mlock2, piece.low, length, MLOCK_ONFAULT);  // what was given away does not come at once
  }

 private:
  static constexpr uint64_t kMostNodes = 1024 + 1;  // as the kernel counts
  uint32_t words_ = 0;
  int policy_ = MPOL_DEFAULT;
  uint64_t nodes_[16] = {};
};

bool replace_by_zeroes(const MapsLine& piece) {
  return !sys::failed(sys::mmap(piece.region.low, piece.region.high - piece.region.low, piece.protection, kAnonymous | MAP_FIXED));
}

// Who writes to it meanwhile gets a fault: what he writes would be lost.  So not where this thread stands.
bool replace_by_copy(const MapsLine& piece) {
  const uint64_t from = piece.region.low, length = piece.region.high - from;
  if (sys::bits(__builtin_frame_address(0)) - from < length) return false;
  const long place = map_in_arena(length, PROT_READ | PROT_WRITE, kAnonymous, -1, 0, kPage);
  if (sys::failed(place)) return false;
  const auto copy = static_cast<uint64_t>(place);
  long done = sys::raw(__NR_mprotect, from, length, PROT_READ);
  if (!sys::failed(done)) {
    __builtin_memcpy(sys::pointer<void>(copy), sys::pointer<const void>(from), length);
    done = sys::raw(__NR_mprotect, copy, length, static_cast<uint64_t>(piece.protection));
  }
  if (!sys::failed(done)) done = sys::raw(__NR_mremap, copy, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, from);
  if (sys::failed(done)) {
    sys::munmap(copy, length);
    sys::raw(__NR_mprotect, from, length, static_cast<uint64_t>(piece.protection));
  }
  note_unmapped(copy, length);
  return !sys::failed(done);
}

bool gives_away(uint64_t address, uint64_t advice) {
  if (advice == kInstallGuard) return !sys::failed(sys::raw(__NR_madvise, address, 0, kInstallGuard));  // else nothing happens
  return advice == MADV_DONTNEED || advice == MADV_FREE || advice == kDontNeedLocked;
}

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

void say_the_same(uint64_t address, Region of) { Said(address).say_again(of); }

bool prepare_image_memory(uint64_t address, uint64_t length, uint64_t advice) {
  const Region range{address, page_up(address + length)};
  if (page_down(address) != address || range.high <= range.low || !was_mapped(range)) return false;
  const bool is_given_away = gives_away(address, advice);
  if (!is_given_away && advice != MADV_WIPEONFORK) return false;
  tell_unmap(address, length);
  if (is_given_away) {
    // What the kernel does not give away (it is locked, say) stays; where a part is not mapped, the rest goes.  Of a file it gives
    // nothing away freely.
    const long given = sys::raw(__NR_madvise, address, length, advice == kDontNeedLocked ? advice : uint64_t{MADV_DONTNEED});
    if (sys::failed(given) && given != -ENOMEM) return false;
  }
  for (MapsLine piece; next_piece(range, piece);) {
    const Said said(piece.region.low);
    if (!(is_given_away ? replace_by_zeroes(piece) : replace_by_copy(piece))) return true;
    said.say_again(piece.region);
  }
  const Hold hold(fork_local().action_lock);
  forget(range);
  return true;
}

}  // namespace mana::loader
