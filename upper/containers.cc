// SPDX-License-Identifier: BSD-3-Clause
#include "upper/containers.h"

namespace mana::upper {

namespace {

// Handles of libraries are addresses or small numbers: spread both (the finaliser of splitmix64).
uint64_t spread(uint64_t key) {
  key = (key ^ key >> 30) * 0xbf58476d1ce4e5b9u;
  key = (key ^ key >> 27) * 0x94d049bb133111ebu;
  return key ^ key >> 31;
}

}  // namespace

uint64_t HashMap::find(uint64_t key) const {
  if (mask == 0) return 0;
  for (uint64_t at = spread(key) & mask; entries[at].key != 0; at = (at + 1) & mask) {
    if (entries[at].key == key) return entries[at].value;
  }
  return 0;
}

void HashMap::insert(uint64_t key, uint64_t value) {
  if ((size + 1) * 4 > mask * 3) grow();
  uint64_t at = spread(key) & mask;
  while (entries[at].key != 0 && entries[at].key != key) at = (at + 1) & mask;
  if (entries[at].key == 0) ++size;
  entries[at] = {key, value};
}

void HashMap::erase(uint64_t key) {
  if (mask == 0) return;
  uint64_t hole = spread(key) & mask;
  while (entries[hole].key != key) {
    if (entries[hole].key == 0) return;
    hole = (hole + 1) & mask;
  }
  // Move up what would no longer be found across the hole.
  for (uint64_t at = (hole + 1) & mask; entries[at].key != 0; at = (at + 1) & mask) {
    uint64_t home = spread(entries[at].key) & mask;
    if (((at - home) & mask) >= ((at - hole) & mask)) {
      entries[hole] = entries[at];
      hole = at;
    }
  }
  entries[hole] = {0, 0};
  --size;
}

void HashMap::clear() {
  deallocate(entries);
  *this = HashMap{};
}

void HashMap::grow() {
  HashMap larger{};
  larger.mask = mask == 0 ? 31 : mask * 2 + 1;
  larger.entries = static_cast<Entry*>(allocate_zeroed(sizeof(Entry) * (larger.mask + 1)));
  for (uint64_t at = 0; mask != 0 && at <= mask; ++at) {
    if (entries[at].key != 0) larger.insert(entries[at].key, entries[at].value);
  }
  deallocate(entries);
  *this = larger;
}

}  // namespace mana::upper
