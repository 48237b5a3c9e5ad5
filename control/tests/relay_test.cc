// SPDX-License-Identifier: BSD-3-Clause
#include "control/relay.h"

#include <catch2/catch.hpp>

using namespace mana::control;

TEST_CASE("a relay passes one merged report when everybody has reported") {
  Relay relay({-1, 3, 4});
  CHECK(relay.hear(-1, Report{1, {{7, 2, {}}}, {}}).empty());
  CHECK(
      relay.hear(3, Report{1, {{7, 5, {}}, {8, 1, {}}}, {{3, 1, "MPI_Win_create", "no"}}}).empty());
  auto out = relay.hear(4, Report{1, {}, {}});
  REQUIRE(out.size() == 1);
  const auto& report = std::get<Report>(out[0]);
  CHECK(report.counts == std::vector<Count>{{7, 5, {}}, {8, 1, {}}});
  CHECK(report.refusals.size() == 1);
}

TEST_CASE("a relay passes a raise before the reply that took account of it") {
  Relay relay({-1, 2});
  CHECK(relay.hear(2, Reply{1, 1, false, false, 5, {}}).empty());
  CHECK(relay.hear(-1, Raise{1, {{7, 3, {}}}}).size() == 1);
  auto out = relay.hear(-1, Reply{1, 1, true, false, 6, {}});
  REQUIRE(out.size() == 1);
  CHECK(std::get<Reply>(out[0]).lagging);
  CHECK(std::get<Reply>(out[0]).fingerprint == 11);
}

TEST_CASE("a relay forgets an attempt when a newer one begins") {
  Relay relay({-1, 2});
  CHECK(relay.hear(-1, PhaseDone{1, Phase::stop, {}, {}}).empty());
  CHECK(relay.hear(-1, Report{2, {}, {}}).empty());
  CHECK(relay.hear(2, PhaseDone{1, Phase::stop, {}, {}}).empty());
  CHECK(relay.hear(2, Report{2, {}, {}}).size() == 1);
}

TEST_CASE("what waited for a lost child alone goes up after the loss") {
  Relay relay({-1, 2});
  CHECK(relay.hear(-1, FinalizeReached{}).empty());
  auto out = relay.lose(2, Lost{{{2, 5}}, "gone"});
  REQUIRE(out.size() == 2);
  CHECK(std::holds_alternative<Lost>(out[0]));
  CHECK(std::holds_alternative<FinalizeReached>(out[1]));
}

TEST_CASE("a relay knows who has not answered") {
  Relay relay({-1, 2, 3});
  CHECK_FALSE(relay.unanswered());
  relay.hear(-1, PhaseDone{1, Phase::stop, {}, {}});
  CHECK_FALSE(relay.unanswered());  // a phase may take long
  relay.hear(-1, Reply{1, 4, false, false, 0, {}});
  relay.hear(3, Reply{1, 4, false, false, 0, {}});
  REQUIRE(relay.unanswered());
  CHECK(relay.unanswered()->by == std::vector<int>{2});
  const Relay::Key key = relay.unanswered()->key;
  relay.hear(2, Reply{1, 4, false, false, 0, {}});
  CHECK_FALSE(relay.unanswered());
  relay.hear(-1, Reply{1, 5, false, false, 0, {}});
  REQUIRE(relay.unanswered());
  CHECK(relay.unanswered()->key != key);
  CHECK(relay.hear(2, Silent{1, 7, 4711, 0, 10, "node"}).size() == 1);
}
