// SPDX-License-Identifier: BSD-3-Clause
#include "control/relay.h"

#include <algorithm>
#include <iterator>

namespace mana::control {

namespace {

constexpr int kReport = 0, kReply = 1, kPhaseDone = 2, kFinalize = 3;

template <class T>
void append(std::vector<T>& to, std::vector<T>& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

void merge_counts(std::vector<Count>& to, const std::vector<Count>& from) {
  std::map<uint64_t, std::size_t> place;
  for (std::size_t i = 0; i < to.size(); ++i) place[to[i].uid] = i;
  for (const Count& count : from) {
    auto found = place.find(count.uid);
    if (found == place.end())
      to.push_back(count);
    else
      to[found->second].begun = std::max(to[found->second].begun, count.begun);
  }
}

void merge(Report& to, Report& from) {
  merge_counts(to.counts, from.counts);
  append(to.refusals, from.refusals);
}

void merge(Reply& to, Reply& from) {
  to.lagging |= from.lagging;
  to.inside |= from.inside;
  to.fingerprint += from.fingerprint;
  append(to.views, from.views);
}

void merge(PhaseDone& to, PhaseDone& from) {
  append(to.refusals, from.refusals);
  append(to.images, from.images);
}

void merge(FinalizeReached&, FinalizeReached&) {}

}  // namespace

bool Relay::complete(const Merge& merge) const {
  return std::includes(merge.from.begin(), merge.from.end(), contributors_.begin(),
                       contributors_.end());
}

void Relay::join(int from, const Key& key, Up message, std::vector<Up>& out) {
  uint64_t attempt = std::get<1>(key);
  if (attempt != 0 && attempt < attempt_) return;
  if (attempt > attempt_) {
    attempt_ = attempt;
    std::erase_if(merges_, [&](const auto& entry) {
      uint64_t old = std::get<1>(entry.first);
      return old != 0 && old < attempt;
    });
  }
  auto [at, fresh] = merges_.try_emplace(key);
  Merge& known = at->second;
  if (!fresh) {
    std::visit(
        [&](auto& to) {
          using T = std::decay_t<decltype(to)>;
          if constexpr (requires { merge(to, to); }) merge(to, std::get<T>(message));
        },
        known.so_far);
  } else {
    known.so_far = std::move(message);
  }
  known.from.insert(from);
  if (!complete(known)) return;
  out.push_back(std::move(known.so_far));
  merges_.erase(at);
}

std::vector<Up> Relay::hear(int from, Up message) {
  std::vector<Up> out;
  if (auto* report = std::get_if<Report>(&message)) {
    Key key{kReport, report->attempt, 0};
    join(from, key, std::move(message), out);
  } else if (auto* reply = std::get_if<Reply>(&message)) {
    Key key{kReply, reply->attempt, reply->round};
    join(from, key, std::move(message), out);
  } else if (auto* done = std::get_if<PhaseDone>(&message)) {
    Key key{kPhaseDone, done->attempt, static_cast<uint64_t>(done->phase)};
    join(from, key, std::move(message), out);
  } else if (std::holds_alternative<FinalizeReached>(message)) {
    join(from, Key{kFinalize, 0, 0}, std::move(message), out);
  } else {
    out.push_back(std::move(message));
  }
  return out;
}

std::optional<Relay::Unanswered> Relay::unanswered() const {
  for (const auto& [key, merge] : merges_) {
    const int kind = std::get<0>(key);
    if (kind != kReport && kind != kReply) continue;
    Unanswered found{key, {}};
    std::set_difference(contributors_.begin(), contributors_.end(), merge.from.begin(), merge.from.end(), std::back_inserter(found.by));
    return found;
  }
  return std::nullopt;
}

std::vector<Up> Relay::lose(int from, Lost lost) {
  std::vector<Up> out;
  contributors_.erase(from);
  out.push_back(std::move(lost));
  for (auto at = merges_.begin(); at != merges_.end();) {
    if (complete(at->second)) {
      out.push_back(std::move(at->second.so_far));
      at = merges_.erase(at);
    } else {
      ++at;
    }
  }
  return out;
}

}  // namespace mana::control
