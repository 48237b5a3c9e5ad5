// SPDX-License-Identifier: BSD-3-Clause
#include "kernel-loader/arena.h"

#include <sys/mman.h>

#include <cerrno>

#include "kernel-loader/fork_local.h"
#include "kernel-loader/maps.h"
#include "kernel-loader/sys.h"

namespace mana::loader {
namespace {

constexpr size_t kTableBytes =
    64 << 20;  // address space, touched only as far as used: 4 million ranges
constexpr int kAttempts = 4;

struct Arena {
  IntervalTable taken;
  ArenaPlan plan;
  uint64_t lowest = kArenaHigh;
  uint64_t relearned = 0;
};
constinit Arena arena;

Region inside_arena(uint64_t address, uint64_t length) {
  uint64_t high = page_up(address + length);
  if (high < address) high = kArenaHigh;
  return {address < kArenaLow ? kArenaLow : page_down(address),
          high > kArenaHigh ? kArenaHigh : high};
}

void keep_planned_room() {
  arena.taken.add(arena.plan.heap);
  arena.taken.add(arena.plan.stack);
}

void relearn_locked() {
  // A table that cannot be read (no /proc) stays as it is: placements then fail with ENOMEM at
  // worst.
  MapsReader maps;
  if (!maps.ok()) return;
  arena.taken.clear();
  keep_planned_room();
  for (MapsLine line; maps.next(line);) {
    if (line.region.low < kArenaHigh && line.region.high > kArenaLow) {
      arena.taken.add(inside_arena(line.region.low, line.region.length()));
    }
  }
  arena.relearned++;
}

// In a forked child the table is a copy that another thread of the parent may have been changing.
void learn_after_fork() {
  if (fork_local().memory_learned.load(std::memory_order_relaxed) != 0) return;
  relearn_locked();
  fork_local().memory_learned.store(1, std::memory_order_relaxed);
}

class HoldArena : Hold {
 public:
  HoldArena() : Hold(fork_local().memory_lock) { learn_after_fork(); }
};

// A place for `length` bytes, marked as taken; 0: none.
uint64_t claim(uint64_t length, uint64_t alignment) {
  const HoldArena hold;
  const uint64_t top = arena.plan.placement_top;
  uint64_t at = arena.taken.find_below(top, kArenaLow, length, alignment);
  if (at == 0) at = arena.taken.find_below(kArenaHigh, kArenaLow, length, alignment);
  if (at == 0 || !arena.taken.add({at, at + length})) return 0;
  if (at < arena.lowest) arena.lowest = at;
  return at;
}

}  // namespace

Outcome init_arena() {
  if (Outcome ready = init_fork_local(); !ready.ok()) return ready;
  if (arena.taken.count() > 0) return Done{};
  const long at = sys::mmap(0, kTableBytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
  if (sys::failed(at)) return Error{"map the arena's table", sys::error_of(at), 0, kTableBytes};
  arena.taken.use(sys::pointer<Region>(static_cast<uint64_t>(at)), kTableBytes / sizeof(Region));
  return Done{};
}

void set_arena_plan(const ArenaPlan& plan) {
  const HoldArena hold;
  arena.plan = plan;
  keep_planned_room();
}

const ArenaPlan& arena_plan() { return arena.plan; }

uint64_t alignment_for(uint64_t length, int flags) {
  uint64_t alignment = length >= kHugePage ? kHugePage : kPage;
  if ((flags & MAP_HUGETLB) != 0) {
    const int shift = (flags >> MAP_HUGE_SHIFT) & MAP_HUGE_MASK;
    const uint64_t huge = shift != 0 ? uint64_t{1} << shift : kHugePage;
    if (huge > alignment) alignment = huge;
  }
  return alignment;
}

long map_in_arena(uint64_t length, int protection, int flags, int descriptor, uint64_t offset,
                  uint64_t alignment) {
  const uint64_t unit = (flags & MAP_HUGETLB) != 0 ? alignment : kPage;
  const uint64_t span = (length + unit - 1) & ~(unit - 1);
  if (span < length || span > kArenaHigh - kArenaLow) return -ENOMEM;
  for (int attempt = 0; attempt < kAttempts; attempt++) {
    const uint64_t learned_before = arena.relearned;
    const uint64_t at = claim(span, alignment);
    if (at == 0) {
      if (attempt > 0) return -ENOMEM;
      relearn_arena();
      continue;
    }
    const long got =
        sys::mmap(at, length, protection, flags | MAP_FIXED_NOREPLACE, descriptor, offset);
    if (!sys::failed(got)) {
      // Another thread may have read the maps while ours was claimed but not yet there.
      if (arena.relearned != learned_before) note_mapped(at, span);
      return got;
    }
    if (got != -EEXIST) {
      note_unmapped(at, span);
      return got;
    }
    relearn_arena();  // something grew or was mapped there unseen
  }
  return -ENOMEM;
}

void note_mapped(uint64_t address, uint64_t length) {
  const HoldArena hold;
  arena.taken.add(inside_arena(address, length));
}

void note_unmapped(uint64_t address, uint64_t length) {
  const HoldArena hold;
  const Region range = inside_arena(address, length);
  arena.taken.remove(range);
  if (range.overlaps(arena.plan.heap) || range.overlaps(arena.plan.stack)) keep_planned_room();
}

void relearn_arena() {
  const HoldArena hold;
  relearn_locked();
}

ArenaUse arena_use() { return {arena.taken.count(), arena.lowest, arena.relearned}; }

}  // namespace mana::loader
