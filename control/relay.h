// SPDX-License-Identifier: BSD-3-Clause
// Merges what the children of one node of the tree and its own rank send up.  Pure; used by node.h
// at every rank.
//
// Raise, Failed, Lost and Silent are passed on as they come; Report, Reply, PhaseDone and FinalizeReached
// when everybody below has sent one.  Passing a Raise on at once keeps the order: whatever a Reply
// takes account of went up before it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <vector>

#include "control/messages.h"

namespace mana::control {

class Relay {
 public:
  explicit Relay(std::set<int> contributors) : contributors_(std::move(contributors)) {}

  std::vector<Up> hear(int from, Up message);
  // The connection to a child is gone, and with it these ranks.
  std::vector<Up> lose(int from, Lost lost);

  using Key = std::tuple<int, uint64_t, uint64_t>;  // kind, attempt, round or phase
  // Of the questions that every agent answers at once (for a Report or a Reply), the first that some contributors have not
  // answered yet.
  struct Unanswered {
    Key key;
    std::vector<int> by;
  };
  std::optional<Unanswered> unanswered() const;

 private:
  struct Merge {
    Up so_far;
    std::set<int> from;
  };
  void join(int from, const Key& key, Up message, std::vector<Up>& out);
  bool complete(const Merge& merge) const;

  std::set<int> contributors_;
  uint64_t attempt_ = 0;  // the newest seen; older ones are forgotten
  std::map<Key, Merge> merges_;
};

}  // namespace mana::control
