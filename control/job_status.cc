// SPDX-License-Identifier: BSD-3-Clause
// What JobRoot says about itself to people: status, the ranks it waits for, the costs of a
// checkpoint.
#include <fmt/format.h>

#include <algorithm>

#include "control/job_root.h"

namespace mana::control {

namespace {

bool computes(const RankView& view) {
  return view.threads.empty() ||
         std::any_of(view.threads.begin(), view.threads.end(),
                     [](const ThreadView& t) { return t.state == ThreadState::running; });
}

std::string name(const RankView& view, Phase phase) {
  if (phase == Phase::closure) return fmt::format("rank {}, {}", view.rank, describe(view));
  if (phase == Phase::stop && computes(view))
    return fmt::format("rank {}, {}", view.rank, describe(view));
  if (view.pending) return fmt::format("rank {}, {} operations left", view.rank, view.pending);
  return fmt::format("rank {}", view.rank);
}

}  // namespace

std::string text_of(const Costs& costs) {
  std::string text = fmt::format("{:.1f} MB, stood still {:.3f} s (",
                                 static_cast<double>(costs.bytes) / 1e6, costs.stood_still);
  bool first = true;
  for (const PhaseTime& time : costs.phases) {
    if (!first) text += ", ";
    first = false;
    text += fmt::format("{} {:.3f} s", name_of(time.phase), time.seconds);
  }
  return text + ")";
}

std::string text_of(const Silent& silent) {
  std::string text = fmt::format("rank {} (process {} on {}) has not answered for {:.0f} s", silent.rank, silent.pid, silent.host, silent.seconds);
  if (silent.behind > 0) text += fmt::format(", nor have the {} behind it", silent.behind);
  return text;
}

std::vector<Silent> JobRoot::silent_now() const {
  std::vector<Silent> all;
  for (const auto& [silent, named] : silent_) {
    all.push_back(silent);
    all.back().seconds += port_.now() - named;
  }
  return all;
}

// The ranks that hold everybody up: those that do not answer; in the closure those that lag, best those of them that compute;
// later those that have not done what the phase asks.
std::string JobRoot::waiting_for() const {
  std::string not_there;
  for (const Silent& silent : silent_now()) not_there += (not_there.empty() ? "" : "; ") + text_of(silent);
  if (!not_there.empty()) return not_there;
  std::vector<const RankView*> held;
  for (const RankView& view : views_) {
    bool late = phase_ == Phase::closure ? view.lagging : !view.done;
    if (late) held.push_back(&view);
  }
  auto waits_only = [&](const RankView* view) { return !computes(*view); };
  if (std::any_of(held.begin(), held.end(), [](const RankView* view) { return computes(*view); })) {
    std::erase_if(held, waits_only);
  }
  std::string text;
  for (std::size_t i = 0; i < held.size() && i < 4; ++i) {
    if (!text.empty()) text += "; ";
    text += name(*held[i], phase_);
  }
  if (held.size() > 4) text += fmt::format("; and {} more", held.size() - 4);
  return text;
}

JobStatus JobRoot::status() const {
  JobStatus status;
  status.phase = phase_;
  if (phase_ != Phase::idle) {
    status.phase_seconds = port_.now() - entered_;
    status.generation = generation_.number;
    status.waiting_for = waiting_for();
    status.silent = silent_now();
    status.ranks = views_;
  }
  if (!broken_.empty())
    status.state = "cannot checkpoint";
  else if (finalized_ || leaving_)
    status.state = "finalizing";
  else if (!ready_)
    status.state = "starting";
  else
    status.state = phase_ == Phase::idle ? "running" : "checkpointing";
  status.why = broken_;
  status.queued = queue_.size();
  status.committed = committed_;
  status.committed_costs = committed_costs_;
  status.last_failure = failure_;
  return status;
}

}  // namespace mana::control
