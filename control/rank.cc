// SPDX-License-Identifier: BSD-3-Clause
#include "control/rank.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace mana::control {

namespace {

// Steps of a phase that moves nothing come at growing distances, up to this one.
constexpr double kLongestStep = 0.002;
constexpr double kShortestStep = 0.00005;

bool asks_for_steps(Phase phase) {
  return phase == Phase::stop || phase == Phase::finish_collectives ||
         phase == Phase::exchange_counts || phase == Phase::drain;
}

}  // namespace

void Rank::hear(const Down& message) {
  std::visit([&](const auto& m) { on(m); }, message);
}

void Rank::flush() {
  std::vector<Count> raises;
  bool finalize = false;
  {
    std::lock_guard guard(lock_);
    raises = closure_.take_raises();
    if (finalize_reached_ && !finalize_told_) finalize = finalize_told_ = true;
  }
  if (!raises.empty()) send_(Raise{attempt_, std::move(raises)});
  if (finalize) send_(FinalizeReached{});
}

void Rank::enter(Phase phase) {
  phase_ = phase;
  stepping_ = asks_for_steps(phase);
  pending_ = 0;
  idle_steps_ = 0;
  in_place_ = false;
}

void Rank::on(const Intent& intent) {
  attempt_ = intent.attempt;
  failed_ = written_ = all_intend_ = false;
  quiet_since_ = -1;
  enter(Phase::intent);
  port_.ignore_children(intent.ignore_children);
  port_.set_intent(true);
  Report report;
  {
    std::lock_guard guard(lock_);
    closure_.forget_counters();
    port_.collect_counters(closure_, true);
    report = closure_.start(attempt_);
  }
  report.refusals = port_.refusals();
  send_(std::move(report));
  enter(Phase::closure);
}

void Rank::on(const Targets& targets) {
  std::lock_guard guard(lock_);
  port_.collect_counters(closure_, false);
  closure_.hear(targets);
}

void Rank::on(const Permits& permits) {
  if (permits.attempt != attempt_ || phase_ != Phase::closure) return;
  if (std::find(permits.ranks.begin(), permits.ranks.end(), rank_) == permits.ranks.end()) return;
  {
    std::lock_guard guard(lock_);
    closure_.permit();
  }
  flush();
}

void Rank::on(const Release& release) {
  if (release.attempt == attempt_ && phase_ == Phase::closure) port_.release_held_sends();
}

void Rank::on(const Query& query) {
  if (query.attempt != attempt_) return;
  // The root asks when all have reported.
  if (phase_ == Phase::closure && !std::exchange(all_intend_, true)) port_.all_intend();
  std::vector<Observed> threads;
  std::vector<Count> raises;
  Reply reply;
  {
    // One lock for the raises and the reply: what the reply knows of was announced before it.
    std::lock_guard guard(lock_);
    threads = port_.observe();
    port_.collect_counters(closure_, false);
    reply = closure_.reply(query, threads);
    raises = closure_.take_raises();
  }
  if (!raises.empty()) send_(Raise{attempt_, std::move(raises)});
  double quiet = quiet_seconds(threads);
  for (RankView& view : reply.views) {
    view.phase = phase_;
    view.done = phase_ == Phase::write ? written_ : !stepping_ && !in_place_;
    view.pending = pending_;
    view.quiet_seconds = quiet;
  }
  send_(std::move(reply));
}

double Rank::quiet_seconds(const std::vector<Observed>& threads) {
  uint64_t operations = 0;
  for (const Observed& thread : threads) operations += thread.operations;
  double now = port_.now();
  if (quiet_since_ < 0 || operations != last_operations_) quiet_since_ = now;
  last_operations_ = operations;
  return now - quiet_since_;
}

void Rank::on(const Advance& advance) {
  if (advance.attempt != attempt_ || failed_) return;
  enter(advance.phase);
  if (advance.phase == Phase::stop) {
    stopped_ = true;
    if (Outcome asked = port_.request_stop(); !asked.ok()) fail(asked.error());
  } else if (advance.phase == Phase::snapshot) {
    snapshot_begun_ = port_.now();
    auto finished = [this, attempt = attempt_](Result<ImageNote> image) {
      image_finished(attempt, std::move(image));
    };
    const Result<bool> copied = port_.start_image(advance.directory, advance.generation, advance.in_place, finished);
    if (!copied.ok()) return fail(copied.error());
    in_place_ = !copied.value();
    if (!in_place_) snapshot_done();
  }
}

void Rank::snapshot_done() {
  snapshot_ended_ = port_.now();
  phase_done();
  enter(Phase::write);
}

std::optional<double> Rank::step() {
  if (!stepping_) return std::nullopt;
  uint32_t before = pending_;
  Result<StepResult> result = phase_ == Phase::stop ? port_.poll_stop() : port_.service(phase_);
  if (!result.ok()) {
    fail(result.error());
    return std::nullopt;
  }
  pending_ = result.value().pending;
  if (result.value().done) {
    stepping_ = false;
    phase_done(phase_ == Phase::stop ? port_.refusals() : std::vector<RefusalNote>{});
    return std::nullopt;
  }
  idle_steps_ = pending_ == before ? idle_steps_ + 1 : 0;
  return std::min(kLongestStep, kShortestStep * std::exp2(std::min(idle_steps_, 10) / 2));
}

void Rank::phase_done(std::vector<RefusalNote> refusals) {
  send_(PhaseDone{attempt_, phase_, std::move(refusals), {}});
}

void Rank::image_finished(uint64_t attempt, Result<ImageNote> image) {
  if (attempt != attempt_ || (phase_ != Phase::write && !in_place_) || failed_) return;
  if (!image.ok()) return fail(image.error());
  if (std::exchange(in_place_, false)) snapshot_done();
  ImageNote note = image.value();
  note.rank = rank_;
  note.fork_seconds = snapshot_ended_ - snapshot_begun_;
  note.write_seconds = port_.now() - snapshot_ended_;
  written_ = true;
  send_(PhaseDone{attempt_, Phase::write, {}, {std::move(note)}});
}

void Rank::fail(const Error& error) {
  stepping_ = false;
  if (std::exchange(failed_, true)) return;
  send_(Failed{attempt_, rank_, error.text, error.for_lack_of_memory});
}

void Rank::go_on(bool settled) {
  {
    std::lock_guard guard(lock_);
    if (closure_.active()) closure_.end(settled);
  }
  port_.set_intent(false);
  if (std::exchange(stopped_, false)) port_.resume();
}

void Rank::on(const Resume& resume) {
  if (resume.attempt == attempt_) go_on(true);
}

void Rank::on(const Abandon& abandon) {
  if (abandon.attempt != attempt_) return;
  port_.discard_image();
  go_on(false);
  enter(Phase::idle);
  phase_done();
}

void Rank::on(const Settle& settle) {
  if (settle.attempt == attempt_) enter(Phase::idle);
}

void Rank::on(const Leave& leave) {
  if (leave.attempt == attempt_) port_.leave(leave.exit_code);
}

void Rank::on(const FinalizeGrant&) {
  {
    std::lock_guard guard(lock_);
    finalize_granted_ = true;
  }
  port_.finalize_granted();
}

void Rank::orphaned() {
  if (phase_ != Phase::idle) {
    port_.discard_image();
    go_on(false);
    enter(Phase::idle);
  }
  on(FinalizeGrant{});  // nobody is left to agree with
}

bool Rank::may_begin(ThreadId thread, const Counter& counter) {
  bool go, raised = false;
  {
    std::lock_guard guard(lock_);
    closure_.know(counter);
    go = closure_.may_begin(thread, counter.uid);
    raised = closure_.active();
  }
  if (go && raised) port_.flush_wanted();
  return go;
}

void Rank::begun(const Counter& counter) {
  {
    std::lock_guard guard(lock_);
    closure_.know(counter);
    closure_.begun(counter.uid);
  }
  port_.flush_wanted();
}

void Rank::waiting(ThreadId thread, RankSet ranks, std::string call, bool polling) {
  std::lock_guard guard(lock_);
  closure_.waiting(thread, std::move(ranks), std::move(call), polling);
}

void Rank::running(ThreadId thread) {
  std::lock_guard guard(lock_);
  closure_.running(thread);
}

bool Rank::finalize(ThreadId thread) {
  std::lock_guard guard(lock_);
  closure_.gone(thread);
  if (!std::exchange(finalize_reached_, true)) port_.flush_wanted();
  return finalize_granted_;
}

}  // namespace mana::control
