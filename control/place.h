// SPDX-License-Identifier: BSD-3-Clause
// Who connects to whom.  Ranks of a host meet through the host's first rank, its leader; leaders
// form a tree of bounded degree in the order of their ranks; rank 0 is the root.  What one rank
// tells all others for that is a Card, exchanged inside MPI_Init.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace mana::control {

using Secret = std::array<uint8_t, 32>;

struct Address {
  uint8_t family = 0;  // 4, 6, or 0: none
  uint8_t bytes[16] = {};
};

// First exchange.  Fixed layout: copied as bytes between processes of one build.
struct Card {
  uint8_t host[16] = {};  // equal for ranks that reach each other over the loopback interface
  Address addresses[8];   // of this host's interfaces
  char name[64] = {};
  int32_t pid = 0;
};

// Second exchange: only what can be known once the shape of the tree is.
struct Door {
  uint16_t port = 0;   // 0: nobody connects to this rank
  uint8_t failed = 0;  // could not listen
  uint8_t reserved[5] = {};
  uint64_t job = 0;    // rank 0: random id of this run
  Secret secret = {};  // rank 0: made for this job
};

struct Place {
  int rank = 0, size = 1;
  std::vector<int> parents;  // of every rank; -1 for the root
  bool one_host = true;      // nothing needs to leave the loopback interface
  int parent() const { return parents[static_cast<std::size_t>(rank)]; }
  std::vector<int> children() const;
  std::vector<int> below(int child) const;  // the ranks of its subtree, itself included
  int height() const;                       // of this rank's subtree: 0 without children
};

Card my_card();
std::vector<std::string> addresses_of(const Card& card);  // as text, loopback not among them
Place find_place(int rank, const std::vector<Card>& cards, int degree = 8);

}  // namespace mana::control
