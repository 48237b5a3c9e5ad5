// SPDX-License-Identifier: BSD-3-Clause
#include "lower/clocks.h"

#include <sys/stat.h>
#include <xxhash.h>

#include <algorithm>
#include <string>
#include <vector>

#include "kernel-loader/clocks.h"
#include "lower/adapter.h"
#include "lower/proc_file.h"

namespace mana::lower {
namespace {

using loader::Clocks;

// The same in two processes if, and only if, they have the same clock.
uint64_t clock_identity() {
  std::string who = read_proc_file("/proc/sys/kernel/random/boot_id");
  struct stat name_space {};
  if (stat("/proc/self/ns/time", &name_space) == 0) who += std::to_string(name_space.st_ino);
  const Clocks offsets = loader::clock_offsets();
  who.append(reinterpret_cast<const char*>(&offsets), sizeof offsets);
  return XXH3_64bits(who.data(), who.size()) | 1;
}

Clocks clocks_of(const image::ImageHeader& header) { return {header.monotonic_ns, header.raw_ns, header.boot_ns, header.ticks}; }

// No clock of these may go back, so all go by the one that must go furthest.
Clocks furthest(const Clocks& a, const Clocks& b) {
  return {std::max(a.monotonic, b.monotonic), std::max(a.raw, b.raw), std::max(a.boot, b.boot), std::max(a.ticks, b.ticks)};
}

struct RankClock {
  uint64_t had, has;  // identities
  Clocks offsets;
};

}  // namespace

void save_clocks(image::ImageHeader& header) {
  const Clocks now = loader::clocks_now();
  header.monotonic_ns = now.monotonic;
  header.raw_ns = now.raw;
  header.boot_ns = now.boot;
  header.ticks = now.ticks;
  header.clock_identity = clock_identity();
}

void continue_clocks(const image::ImageHeader& header, int ranks, bool together) {
  const RankClock mine{header.clock_identity, clock_identity(), loader::offsets_to_go_on_from(clocks_of(header))};
  Clocks offsets = mine.offsets;
  if (together) {
    std::vector<RankClock> all(static_cast<std::size_t>(ranks));
    gather_from_all(&mine, all.data(), sizeof mine);
    for (const RankClock& other : all) {
      if (other.had == mine.had && other.has == mine.has) offsets = furthest(offsets, other.offsets);
    }
  }
  loader::set_clock_offsets(offsets);
}

}  // namespace mana::lower
