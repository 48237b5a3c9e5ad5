// SPDX-License-Identifier: BSD-3-Clause
#include "control/messages.h"

#include <algorithm>

namespace mana::control {

const char* name_of(Phase phase) {
  switch (phase) {
    case Phase::idle:
      return "idle";
    case Phase::intent:
      return "intent";
    case Phase::closure:
      return "closure";
    case Phase::stop:
      return "stop";
    case Phase::finish_collectives:
      return "finish collectives";
    case Phase::exchange_counts:
      return "exchange counts";
    case Phase::drain:
      return "drain";
    case Phase::snapshot:
      return "fork";
    case Phase::write:
      return "write";
    case Phase::sync:
      return "sync";
    case Phase::commit:
      return "commit";
  }
  return "unknown";
}

RankSet rank_set(std::vector<int32_t> ranks) {
  std::sort(ranks.begin(), ranks.end());
  RankSet set;
  for (int32_t rank : ranks) {
    if (!set.empty() && rank <= set.back().last + 1) {
      set.back().last = std::max(set.back().last, rank);
    } else {
      set.push_back({rank, rank});
    }
  }
  return set;
}

std::string text_of(const RankSet& ranks) {
  std::string text;
  for (const RankRange& range : ranks) {
    if (!text.empty()) text += ", ";
    text += std::to_string(range.first);
    if (range.last > range.first) text += "-" + std::to_string(range.last);
  }
  return text;
}

}  // namespace mana::control
