// SPDX-License-Identifier: BSD-3-Clause
#include "kernel-loader/interval_table.h"

namespace mana::loader {

// Index of the first range whose end is at or above `address` (so it may touch or contain it).
size_t IntervalTable::first_ending_at_or_after(uint64_t address) const {
  size_t low = 0;
  size_t high = count_;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (ranges_[middle].high >= address)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

// Puts `count` ranges in the place of [from, until).
void IntervalTable::replace(size_t from, size_t until, const Region* with, size_t count) {
  const size_t tail = count_ - until;
  if (count != until - from) {
    __builtin_memmove(static_cast<void*>(ranges_ + from + count), ranges_ + until,
                      tail * sizeof(Region));
  }
  for (size_t i = 0; i < count; i++) ranges_[from + i] = with[i];
  count_ = from + count + tail;
}

bool IntervalTable::add(Region range) {
  if (range.low >= range.high) return true;
  const size_t from = first_ending_at_or_after(range.low);
  size_t until = from;
  while (until < count_ && ranges_[until].low <= range.high) {
    if (ranges_[until].low < range.low) range.low = ranges_[until].low;
    if (ranges_[until].high > range.high) range.high = ranges_[until].high;
    until++;
  }
  if (from == until && count_ == capacity_) return false;
  replace(from, until, &range, 1);
  return true;
}

bool IntervalTable::remove(Region range) {
  if (range.low >= range.high) return true;
  const size_t from = first_ending_at_or_after(range.low + 1);
  size_t until = from;
  while (until < count_ && ranges_[until].low < range.high) until++;
  if (from == until) return true;
  Region left[2];
  size_t pieces = 0;
  if (ranges_[from].low < range.low) left[pieces++] = {ranges_[from].low, range.low};
  if (ranges_[until - 1].high > range.high) left[pieces++] = {range.high, ranges_[until - 1].high};
  if (pieces > until - from && count_ == capacity_) return false;
  replace(from, until, left, pieces);
  return true;
}

bool IntervalTable::overlaps(Region range) const {
  const size_t at = first_ending_at_or_after(range.low + 1);
  return at < count_ && ranges_[at].low < range.high;
}

uint64_t IntervalTable::find_below(uint64_t top, uint64_t bottom, uint64_t length,
                                   uint64_t alignment) const {
  // `next` is the first range above the gap that is looked at; gaps are visited from the highest
  // down.
  size_t next = first_ending_at_or_after(top + 1);
  for (;;) {
    uint64_t gap_high = next < count_ && ranges_[next].low < top ? ranges_[next].low : top;
    uint64_t gap_low = next > 0 ? ranges_[next - 1].high : bottom;
    if (gap_low < bottom) gap_low = bottom;
    if (gap_high >= gap_low + length) {
      const uint64_t at = (gap_high - length) & ~(alignment - 1);
      if (at >= gap_low) return at;
    }
    if (next == 0 || ranges_[next - 1].low <= bottom) return 0;
    next--;
  }
}

}  // namespace mana::loader
