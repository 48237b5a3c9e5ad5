// SPDX-License-Identifier: BSD-3-Clause
#include "control/place.h"

#include <catch2/catch.hpp>

using namespace mana::control;

namespace {

std::vector<Card> cards_on(const std::vector<int>& hosts) {
  std::vector<Card> cards(hosts.size());
  for (std::size_t r = 0; r < hosts.size(); ++r) cards[r].host[0] = static_cast<uint8_t>(hosts[r]);
  return cards;
}

}  // namespace

TEST_CASE("ranks of one host hang under its first rank") {
  Place place = find_place(0, cards_on({5, 5, 5}));
  CHECK(place.parents == std::vector<int>{-1, 0, 0});
  CHECK(place.one_host);
}

TEST_CASE("leaders of hosts form a tree of bounded degree, however ranks are dealt out") {
  std::vector<int> hosts;
  for (int r = 0; r < 40; ++r) hosts.push_back(r % 10);  // round robin
  Place place = find_place(3, cards_on(hosts), 2);
  CHECK_FALSE(place.one_host);
  CHECK(place.parents[13] == 3);  // same host as rank 3
  CHECK(place.parents[1] == 0);
  CHECK(place.parents[2] == 0);
  CHECK(place.parents[3] == 1);
  CHECK(place.parent() == 1);
  CHECK(place.children() == std::vector<int>{7, 8, 13, 23, 33});
}

TEST_CASE("the subtree of a child holds its children's children") {
  Place place = find_place(0, cards_on({0, 1, 1, 2, 3}), 1);
  CHECK(place.parents == std::vector<int>{-1, 0, 1, 1, 3});
  CHECK(place.below(1) == std::vector<int>{1, 2, 3, 4});
  CHECK(place.below(3) == std::vector<int>{3, 4});
  CHECK(place.height() == 3);
}

TEST_CASE("this host's card names no loopback address") {
  for (const std::string& address : addresses_of(my_card())) {
    CHECK(address.find("127.") != 0);
    CHECK(address != "::1");
  }
}
