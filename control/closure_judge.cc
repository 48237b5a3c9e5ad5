// SPDX-License-Identifier: BSD-3-Clause
#include "control/closure_judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <unordered_map>

namespace mana::control {

namespace {

bool has_thread(const RankView& view, ThreadState state) {
  return std::any_of(view.threads.begin(), view.threads.end(),
                     [&](const ThreadView& thread) { return thread.state == state; });
}

// A rank that lags needs no permit: its parked threads go on by themselves.
bool takes_permits(const RankView& view) {
  return !view.lagging && has_thread(view, ThreadState::parked);
}

}  // namespace

std::optional<Targets> ClosureJudge::raise(const std::vector<Count>& counts) {
  Targets grown{attempt_, {}};
  std::map<uint64_t, std::size_t> place;
  for (const Count& count : counts) {
    uint64_t& target = targets_[count.uid];
    if (count.begun <= target) continue;
    target = count.begun;
    auto [at, fresh] = place.try_emplace(count.uid, grown.counts.size());
    if (fresh)
      grown.counts.push_back(count);
    else
      grown.counts[at->second] = count;
  }
  if (grown.counts.empty()) return std::nullopt;
  told_since_asked_ = true;
  last_fingerprint_.reset();
  return grown;
}

Query ClosureJudge::ask(bool detail) {
  told_since_asked_ = false;
  return {attempt_, ++round_, detail || last_fingerprint_.has_value()};
}

ClosureJudge::Verdict ClosureJudge::judge(const Reply& reply) {
  if (reply.attempt != attempt_ || reply.round != round_) return Verdict::again;
  if (!reply.views.empty()) views_ = reply.views;
  moved_ = true;
  if (told_since_asked_) {  // the answers may be older than what was told
    last_fingerprint_.reset();
    return Verdict::again;
  }
  if (!reply.lagging && !reply.inside) return Verdict::converged;
  bool same = last_fingerprint_ == reply.fingerprint;
  last_fingerprint_ = reply.fingerprint;
  if (!same || reply.views.empty()) return Verdict::again;

  moved_ = false;
  if (!rules_.point_to_point_edges) return Verdict::again;
  Reach reach = follow_edges();
  if (!reach.parked.empty()) {
    permits_ = std::move(reach.parked);
    told_since_asked_ = true;
    last_fingerprint_.reset();
    return Verdict::permits;
  }
  return can_move(reach) ? Verdict::again : Verdict::stuck;
}

ClosureJudge::Reach ClosureJudge::follow_edges() const {
  std::unordered_map<int32_t, const RankView*> by_rank;
  for (const RankView& view : views_) by_rank[view.rank] = &view;
  Reach reach;
  std::set<int32_t> seen;
  for (const RankView& view : views_) {
    if (view.lagging && seen.insert(view.rank).second) reach.ranks.push_back(&view);
  }
  for (std::size_t next = 0; next < reach.ranks.size(); ++next) {
    for (const ThreadView& thread : reach.ranks[next]->threads) {
      if (thread.state != ThreadState::waiting) continue;
      for (const RankRange& range : thread.ranks) {
        for (int32_t rank = range.first; rank <= range.last; ++rank) {
          auto found = by_rank.find(rank);
          if (found != by_rank.end() && seen.insert(rank).second)
            reach.ranks.push_back(found->second);
        }
      }
    }
  }
  for (const RankView* view : reach.ranks) {
    if (takes_permits(*view)) reach.parked.push_back(view->rank);
  }
  return reach;
}

std::vector<int32_t> ClosureJudge::permits_for_pollers(double quiet) {
  if (!rules_.point_to_point_edges) return {};
  Reach reach = follow_edges();
  bool polls = std::any_of(reach.ranks.begin(), reach.ranks.end(), [&](const RankView* view) {
    return view->quiet_seconds < quiet && has_thread(*view, ThreadState::running);
  });
  if (polls) {
    reach.parked.clear();
    for (const RankView& view : views_) {
      if (takes_permits(view)) reach.parked.push_back(view.rank);
    }
  }
  if (!reach.parked.empty()) {
    told_since_asked_ = true;
    last_fingerprint_.reset();
  }
  return reach.parked;
}

// A thread that computes, or that polls and may compute, may do anything.  A thread inside a collective comes out by itself, unless
// a rank that has not begun that collective is among those that cannot move.
bool ClosureJudge::can_move(const Reach& reach) const {
  std::set<uint64_t> blocked;
  for (const RankView* view : reach.ranks) blocked.insert(view->behind.begin(), view->behind.end());
  if (blocked.empty()) return true;  // nobody lags: a collective that all have begun is on its way
  for (const RankView* view : reach.ranks) {
    for (const ThreadView& thread : view->threads) {
      if (thread.state == ThreadState::running) return true;
      if (thread.state == ThreadState::waiting && thread.polling) return true;
      if (thread.state == ThreadState::inside && !blocked.contains(thread.uid)) return true;
      if (view->lagging && thread.state == ThreadState::parked) return true;  // about to go ahead
    }
  }
  return false;
}

std::string describe(const RankView& view) {
  std::string text;
  for (const ThreadView& thread : view.threads) {
    std::string one;
    switch (thread.state) {
      case ThreadState::running:
        one = fmt::format("computing for {:.0f} s", view.quiet_seconds);
        break;
      case ThreadState::inside:
        one = "inside a collective";
        break;
      case ThreadState::parked:
        one = "stopped before a collective";
        break;
      case ThreadState::gone:
        one = "in MPI_Finalize";
        break;
      case ThreadState::waiting:
        one = fmt::format("{} in {} for rank {}", thread.polling ? "polls" : "waits",
                          thread.call.empty() ? "an MPI call" : thread.call, text_of(thread.ranks));
        break;
    }
    if (text.find(one) != std::string::npos) continue;
    if (!text.empty()) text += "; ";
    text += one;
  }
  return text.empty() ? fmt::format("computing for {:.0f} s", view.quiet_seconds) : text;
}

std::string ClosureJudge::diagnosis() const {
  std::string text;
  int named = 0;
  for (const RankView* view : follow_edges().ranks) {
    if (++named > 8) return text + "; and others";
    if (!text.empty()) text += "; ";
    text += fmt::format("rank {}: {}", view->rank, describe(*view));
    if (view->lagging) text += " (has not begun a collective that others are in)";
  }
  return text;
}

}  // namespace mana::control
