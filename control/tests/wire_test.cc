// SPDX-License-Identifier: BSD-3-Clause
#include "control/wire.h"

#include <catch2/catch.hpp>
#include <random>

using namespace mana::control;

namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

}  // namespace

TEST_CASE("a message with lists in lists comes out as it went in") {
  RankView view{3,      Phase::closure,
                true,   false,
                {7, 9}, {{ThreadState::waiting, 0, {{1, 4}, {8, 8}}, "MPI_Recv"}},
                1.5,    2};
  std::string bytes = encode(Up(Reply{5, 6, true, false, 77, {view}}));
  Up message = decode<Up>(bytes_of(bytes)).value();
  const auto& reply = std::get<Reply>(message);
  CHECK(reply.fingerprint == 77);
  REQUIRE(reply.views.size() == 1);
  CHECK(reply.views[0].behind == view.behind);
  CHECK(reply.views[0].threads[0].ranks == view.threads[0].ranks);
  CHECK(reply.views[0].threads[0].call == "MPI_Recv");
  CHECK(encode(message) == bytes);
}

TEST_CASE("every truncation of a message is refused") {
  std::string bytes = encode(Down(Targets{1, {{7, 2, {0, 1, 2}}, {9, 1, {}}}}));
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    CHECK_FALSE(decode<Down>(bytes_of(bytes.substr(0, length))).ok());
  }
  CHECK_FALSE(decode<Down>(bytes_of(bytes + "x")).ok());
  CHECK(decode<Down>(bytes_of(bytes)).ok());
}

TEST_CASE("random bytes neither crash nor allocate what they claim") {
  std::mt19937_64 random(1);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes(random() % 60, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    if (!bytes.empty()) bytes[0] = static_cast<char>(random() % 11);
    (void)decode<Up>(bytes_of(bytes));
    (void)decode<Down>(bytes_of(bytes));
    (void)decode<Command>(bytes_of(bytes));
    (void)decode<ToCommand>(bytes_of(bytes));
  }
}
