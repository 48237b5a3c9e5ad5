// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <random>
#include <vector>

#include "kernel-loader/interval_table.h"

using namespace mana::loader;

namespace {

// The same thing said plainly: one flag a page.
class Model {
 public:
  explicit Model(uint64_t pages) : taken_(pages) {}
  void set(uint64_t low, uint64_t high, bool taken) {
    for (uint64_t page = low; page < high; page++) taken_[page] = taken;
  }
  uint64_t find_below(uint64_t top, uint64_t bottom, uint64_t length, uint64_t alignment) const {
    for (uint64_t at = top - length;; at--) {
      bool fits = at % alignment == 0;
      for (uint64_t page = at; fits && page < at + length; page++) fits = !taken_[page];
      if (fits) return at;
      if (at == bottom) return 0;
    }
  }
  std::vector<Region> ranges() const {
    std::vector<Region> all;
    for (uint64_t page = 0; page < taken_.size(); page++) {
      if (!taken_[page]) continue;
      if (!all.empty() && all.back().high == page * kPage)
        all.back().high += kPage;
      else
        all.push_back({page * kPage, (page + 1) * kPage});
    }
    return all;
  }

 private:
  std::vector<bool> taken_;
};

}  // namespace

TEST_CASE("interval_table_agrees_with_one_flag_a_page") {
  constexpr uint64_t kPages = 400;
  std::vector<Region> memory(kPages);
  for (unsigned seed = 0; seed < 30; seed++) {
    std::mt19937 random(seed);
    IntervalTable table;
    table.use(memory.data(), memory.size());
    Model model(kPages);
    for (int step = 0; step < 500; step++) {
      const uint64_t low = 1 + random() % (kPages - 2);
      const uint64_t high = low + 1 + random() % std::min<uint64_t>(kPages - low, 12);
      if (high > kPages) continue;
      const bool take = random() % 2 == 0;
      model.set(low, high, take);
      REQUIRE((take ? table.add({low * kPage, high * kPage})
                    : table.remove({low * kPage, high * kPage})));
      const auto expected = model.ranges();
      REQUIRE(table.count() == expected.size());
      for (size_t i = 0; i < expected.size(); i++) {
        REQUIRE(table[i].low == expected[i].low);
        REQUIRE(table[i].high == expected[i].high);
      }
      const uint64_t length = 1 + random() % 20;
      const uint64_t alignment = uint64_t{1} << (random() % 4);
      const uint64_t top = 200 + random() % 200;
      const uint64_t bottom = 1 + random() % 100;
      REQUIRE(table.find_below(top * kPage, bottom * kPage, length * kPage, alignment * kPage) ==
              model.find_below(top, bottom, length, alignment) * kPage);
    }
  }
}

TEST_CASE("a_full_interval_table_refuses_and_stays_as_it_is") {
  std::vector<Region> memory(2);
  IntervalTable table;
  table.use(memory.data(), memory.size());
  REQUIRE(table.add({10, 20}));
  REQUIRE(table.add({30, 40}));
  REQUIRE_FALSE(table.add({50, 60}));
  REQUIRE_FALSE(table.remove({12, 14}));
  REQUIRE(table.add({20, 30}));
  REQUIRE(table.count() == 1);
  REQUIRE(table.remove({12, 14}));
  REQUIRE(table.count() == 2);
}
