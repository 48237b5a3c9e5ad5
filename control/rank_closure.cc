// SPDX-License-Identifier: BSD-3-Clause
#include "control/rank_closure.h"

#include <algorithm>
#include <utility>

namespace mana::control {

namespace {

// Mixes one more number into a fingerprint (splitmix64's finalizer).
uint64_t mixed(uint64_t hash, uint64_t value) {
  uint64_t z = hash + 0x9e3779b97f4a7c15 + value;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

void RankClosure::know(const Counter& counter) { counters_.try_emplace(counter.uid, counter); }

uint64_t RankClosure::begun_on(uint64_t uid) const {
  auto found = counters_.find(uid);
  return found == counters_.end() ? 0 : found->second.begun->load(std::memory_order_relaxed);
}

Report RankClosure::start(uint64_t attempt) {
  active_ = true;
  attempt_ = attempt;
  targets_.clear();
  raises_.clear();
  Report report{attempt, {}, {}};
  for (const auto& [uid, counter] : counters_) {
    uint64_t begun = counter.begun->load(std::memory_order_relaxed);
    auto settled = settled_.find(uid);
    if (begun == (settled == settled_.end() ? 0 : settled->second)) continue;
    report.counts.push_back({uid, begun, counter.members});
  }
  return report;
}

void RankClosure::end(bool settled) {
  if (settled) {
    settled_.clear();
    for (const auto& [uid, counter] : counters_) settled_[uid] = begun_on(uid);
  }
  active_ = false;
  targets_.clear();
  raises_.clear();
}

void RankClosure::hear(const Targets& targets) {
  if (!active_ || targets.attempt != attempt_) return;
  for (const Count& count : targets.counts) {
    Count& known = targets_[count.uid];
    if (known.begun >= count.begun) continue;
    known = count;
    ++events_;
  }
}

// A uid without a counter: of a communicator that this rank does not belong to, or has not made yet
// (then it lags on the parent), or of a one-shot call; of that it knows whether it is a member.
bool RankClosure::lags_on(uint64_t uid, const Count& target) const {
  if (counters_.contains(uid)) return begun_on(uid) < target.begun;
  return std::binary_search(target.members.begin(), target.members.end(), rank_) ||
         std::find(target.members.begin(), target.members.end(), rank_) != target.members.end();
}

bool RankClosure::lags() const {
  return std::any_of(targets_.begin(), targets_.end(),
                     [&](const auto& entry) { return lags_on(entry.first, entry.second); });
}

void RankClosure::announce(uint64_t uid) {
  auto counter = counters_.find(uid);
  if (counter == counters_.end()) return;
  uint64_t begun = begun_on(uid);
  Count& target = targets_[uid];
  if (begun <= target.begun) return;
  target = {uid, begun, counter->second.members};
  raises_.push_back(target);
}

void RankClosure::count(uint64_t uid) {
  auto counter = counters_.find(uid);
  if (counter == counters_.end()) return;
  counter->second.begun->fetch_add(1, std::memory_order_seq_cst);
  ++events_;
  if (active_) announce(uid);
}

void RankClosure::permit() {
  if (!active_) return;
  for (auto& [thread, standing] : threads_) {
    if (standing.state != ThreadState::parked || standing.granted) continue;
    standing.granted = true;
    count(standing.uid);
  }
}

bool RankClosure::may_begin(ThreadId thread, uint64_t uid) {
  auto standing = threads_.find(thread);
  bool granted = standing != threads_.end() && standing->second.granted;
  if (!granted && active_ && !lags()) {
    if (standing == threads_.end() || standing->second.state != ThreadState::parked) {
      threads_[thread] = {ThreadState::parked, false, uid, {}, {}, false};
      ++events_;
    }
    return false;
  }
  if (standing != threads_.end()) threads_.erase(standing);
  if (!granted) count(uid);
  return true;
}

void RankClosure::begun(uint64_t uid) {
  ++events_;
  if (active_) announce(uid);
}

void RankClosure::waiting(ThreadId thread, RankSet ranks, std::string call, bool polling) {
  Standing& standing = threads_[thread];
  if (standing.state == ThreadState::waiting && standing.ranks == ranks && standing.call == call)
    return;
  standing = {ThreadState::waiting, false, 0, std::move(ranks), std::move(call), polling};
  ++events_;
}

void RankClosure::running(ThreadId thread) { events_ += threads_.erase(thread); }

void RankClosure::gone(ThreadId thread) {
  Standing& standing = threads_[thread];
  if (standing.state == ThreadState::gone) return;
  standing = {ThreadState::gone, false, 0, {}, {}, false};
  ++events_;
}

std::vector<Count> RankClosure::take_raises() { return std::exchange(raises_, {}); }

ThreadView RankClosure::view_of(const Observed& thread) const {
  auto found = threads_.find(thread.thread);
  if (found == threads_.end()) {
    return {
        thread.inside_uid ? ThreadState::inside : ThreadState::running, thread.inside_uid, {}, {}, false};
  }
  const Standing& standing = found->second;
  if (standing.granted) return {ThreadState::inside, standing.uid, {}, {}, false};
  return {standing.state, standing.uid, standing.ranks, standing.call, standing.polling};
}

RankView RankClosure::view(const std::vector<Observed>& threads) const {
  RankView view;
  view.rank = rank_;
  for (const auto& [uid, target] : targets_) {
    if (lags_on(uid, target)) view.behind.push_back(uid);
  }
  view.lagging = !view.behind.empty();
  for (const Observed& thread : threads) view.threads.push_back(view_of(thread));
  return view;
}

Reply RankClosure::reply(const Query& query, const std::vector<Observed>& threads) const {
  RankView mine = view(threads);
  Reply reply{query.attempt, query.round, mine.lagging, false, 0, {}};
  uint64_t hash = mixed(events_, static_cast<uint64_t>(rank_));
  for (std::size_t i = 0; i < threads.size(); ++i) {
    const ThreadView& thread = mine.threads[i];
    if (thread.state == ThreadState::inside) reply.inside = true;
    hash = mixed(hash, threads[i].operations);
    hash = mixed(hash, thread.uid * 8 + static_cast<uint64_t>(thread.state));
  }
  for (uint64_t uid : mine.behind) hash = mixed(hash, uid);
  reply.fingerprint = hash;
  if (query.detail) reply.views.push_back(std::move(mine));
  return reply;
}

}  // namespace mana::control
