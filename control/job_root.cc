// SPDX-License-Identifier: BSD-3-Clause
#include "control/job_root.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace mana::control {

namespace {

constexpr double kStoryEvery = 5;      // seconds between two lines about what is being waited for
constexpr double kStatusRound = 1;     // seconds between two looks at the ranks outside the closure
constexpr double kDetailAfter = 0.05;  // a closure that lasts this long is worth a detailed look
constexpr double kLongestPollPatience = 5;

}  // namespace

void JobRoot::ready() {
  ready_ = true;
  start_next();
}

void JobRoot::cannot(const std::string& why) {
  if (!broken_.empty() || finalized_ || leaving_) return;
  broken_ = why;
  port_.warn(why + "; checkpoints are no longer possible, the job goes on");
  if (phase_ != Phase::idle && !abandoning_) abandon(why);
  start_next();
}

void JobRoot::hear(Up message) {
  std::visit([&](auto& m) { on(m); }, message);
}

void JobRoot::command(uint64_t client, const Command& command) {
  switch (command.what) {
    case Command::What::status:
      return answer(client, true, port_.status_text(status()));
    case Command::What::cancel:
      return cancel(client);
    case Command::What::checkpoint:
      break;
  }
  queue_.push_back({client, command});
  if (phase_ != Phase::idle) {
    port_.tell(client, Story{fmt::format("generation {} is being made; this one comes next",
                                         generation_.number)});
  } else if (!ready_ && broken_.empty()) {
    port_.tell(client, Story{"waiting until all ranks have joined the control tree"});
  }
  start_next();
}

void JobRoot::client_gone(uint64_t client) {
  std::erase_if(queue_, [&](const Request& request) { return request.client == client; });
}

void JobRoot::start_next() {
  while (phase_ == Phase::idle && !queue_.empty()) {
    if (!finalized_ && !leaving_ && broken_.empty() && !ready_) return;
    Request request = queue_.front();
    queue_.pop_front();
    if (leaving_) {
      answer(request.client, false, "the job is ending after mana checkpoint --stop");
    } else if (finalized_) {
      answer(request.client, false,
             "the job has called MPI_Finalize; it cannot be checkpointed any more");
    } else if (!broken_.empty()) {
      answer(request.client, false, broken_ + "; this job cannot be checkpointed");
    } else {
      start(request);
    }
  }
  grant_finalize();
}

void JobRoot::start(const Request& request) {
  Result<OpenGeneration> generation = port_.open_generation();
  if (!generation.ok()) return answer(request.client, false, generation.error().text);
  generation_ = generation.value();
  current_ = request;
  if (request.command.keep) keep_ = request.command.keep;
  judge_.emplace(++attempt_, settings_.rules);
  views_.clear();
  silent_.clear();
  costs_ = {};
  failure_.clear();
  asked_ = abandoning_ = false;
  stuck_since_ = -1;
  round_pace_ = settings_.shortest_round;
  poll_patience_ = settings_.poll_patience;
  entered_ = port_.now();
  next_story_ = entered_ + kStoryEvery;
  phase_ = Phase::intent;
  next_round_ = entered_ + kStatusRound;
  port_.wake_after(kStatusRound);
  port_.broadcast(Intent{attempt_, request.command.ignore_children});
}

void JobRoot::enter(Phase phase) {
  double now = port_.now();
  costs_.phases.push_back({phase_, now - entered_});
  phase_ = phase;
  entered_ = now;
}

void JobRoot::advance(Phase phase) {
  enter(phase);
  bool hold = current_->command.stop;
  next_round_ = entered_ + kStatusRound;
  port_.wake_after(kStatusRound);
  port_.broadcast(Advance{attempt_, phase, generation_.number, generation_.directory, hold, in_place_});
}

void JobRoot::ask(bool detail) {
  asked_ = true;
  port_.broadcast(judge_->ask(detail));
}

void JobRoot::on(Report& report) {
  if (report.attempt != attempt_ || phase_ != Phase::intent || abandoning_) return;
  silent_.clear();
  if (!report.refusals.empty()) return abandon(refused(report.refusals));
  enter(Phase::closure);
  last_told_ = entered_;
  tell_targets(judge_->raise(report.counts));
  if (!asked_) ask(false);
}

void JobRoot::on(Raise& raise) {
  if (raise.attempt != attempt_ || abandoning_) return;
  if (phase_ != Phase::intent && phase_ != Phase::closure) {
    return abandon("a collective began after the closure (a fault of mana)");
  }
  tell_targets(judge_->raise(raise.counts));
}

void JobRoot::tell_targets(const std::optional<Targets>& targets) {
  if (!targets) return;
  port_.broadcast(*targets);
  round_pace_ = settings_.shortest_round;
  last_told_ = port_.now();
}

void JobRoot::permit(const std::vector<int32_t>& ranks) {
  if (ranks.empty()) return;
  port_.broadcast(Permits{attempt_, ranks});
  round_pace_ = settings_.shortest_round;
}

void JobRoot::on(Reply& reply) {
  if (reply.attempt != attempt_ || phase_ == Phase::idle || abandoning_) return;
  asked_ = false;
  silent_.clear();
  if (phase_ == Phase::closure) return judge(reply);
  if (!reply.views.empty()) views_ = std::move(reply.views);
  next_round_ = port_.now() + kStatusRound;
  port_.wake_after(kStatusRound);
  tell_story();
}

void JobRoot::judge(Reply& reply) {
  ClosureJudge::Verdict verdict = judge_->judge(reply);
  views_ = judge_->views();
  double now = port_.now();
  if (verdict == ClosureJudge::Verdict::converged) {
    still_since_ = now;
    return advance(Phase::stop);
  }
  if (verdict == ClosureJudge::Verdict::permits) permit(judge_->permits());
  if (verdict == ClosureJudge::Verdict::again && !reply.views.empty() &&
      now - last_told_ > poll_patience_) {
    permit(judge_->permits_for_pollers(poll_patience_));
    last_told_ = now;
    poll_patience_ = std::min(poll_patience_ * 2, kLongestPollPatience);
  }
  // Stuck may be our own doing: a synchronous send that is over is held back until its receiver says so, which cannot speak inside a
  // collective.  No other rank has to move for that receiver to have taken the message: had it not, the program would wait
  // for itself.  So the send may complete.
  if (verdict == ClosureJudge::Verdict::stuck) port_.broadcast(Release{attempt_});
  if (verdict != ClosureJudge::Verdict::stuck)
    stuck_since_ = -1;
  else if (stuck_since_ < 0)
    stuck_since_ = now;
  else if (now - stuck_since_ >= settings_.stuck_patience) {
    return abandon("the program waits for itself: " + judge_->diagnosis());
  }
  tell_story();
  next_round_ = now + round_pace_;
  port_.wake_after(round_pace_);
  round_pace_ = std::min(round_pace_ * 1.5, settings_.longest_round);
}

void JobRoot::on(PhaseDone& done) {
  if (done.attempt != attempt_ || phase_ == Phase::idle) return;
  if (abandoning_) {
    if (done.phase == Phase::idle) finish_abandoning();
    return;
  }
  bool written = done.phase == Phase::write && phase_ == Phase::write;
  if (done.phase != phase_ && !written) return;
  switch (done.phase) {
    case Phase::stop:
      if (!done.refusals.empty()) return abandon(refused(done.refusals));
      return advance(Phase::finish_collectives);
    case Phase::finish_collectives:
      return advance(Phase::exchange_counts);
    case Phase::exchange_counts:
      return advance(Phase::drain);
    case Phase::drain:
      return advance(Phase::snapshot);
    case Phase::snapshot:
      enter(Phase::write);
      costs_.stood_still = entered_ - still_since_;
      if (!current_->command.stop) port_.broadcast(Resume{attempt_});
      return;
    case Phase::write: {
      enter(Phase::commit);
      note_images(done.images);
      Outcome committed = port_.commit(generation_, done.images, costs_, keep_);
      if (!committed.ok()) return abandon(committed.error().text);
      return settle();
    }
    default:
      return;
  }
}

void JobRoot::note_images(const std::vector<ImageNote>& images) {
  double complete = 0;  // since the fork
  for (const ImageNote& image : images) {
    costs_.bytes += image.bytes;
    complete = std::max(complete, image.write_seconds - image.sync_seconds);
  }
  double& write = costs_.phases.back().seconds;
  const double sync = std::max(write - complete, 0.0);
  write -= sync;
  costs_.phases.push_back({Phase::sync, sync});
}

void JobRoot::settle() {
  enter(Phase::idle);
  committed_ = static_cast<int64_t>(generation_.number);
  committed_costs_ = costs_;
  Request request = *current_;
  current_.reset();
  judge_.reset();
  views_.clear();
  port_.tell(request.client,
             Story{fmt::format("generation {} committed: {}", committed_, text_of(costs_))});
  answer(request.client, true, "", generation_.number);
  if (request.command.stop) {
    leaving_ = true;
    port_.broadcast(Leave{attempt_, kLeaveExitCode});
  } else {
    port_.broadcast(Settle{attempt_});
  }
  start_next();
}

// The command is answered when every rank has forgotten the attempt and goes on, so that what it
// says is true.
void JobRoot::abandon(const std::string& why) {
  failure_ = why;
  abandoning_ = true;
  again_ = false;
  entered_ = port_.now();
  port_.wake_after(settings_.abandon_patience);
  if (current_)
    port_.tell(current_->client,
               Story{"giving up: " + why});  // the launcher may kill the job before the answer
  port_.broadcast(Abandon{attempt_, why});
}

void JobRoot::finish_abandoning() {
  port_.drop(generation_);
  if (current_ && again_)
    queue_.push_front(*current_);
  else if (current_)
    answer(current_->client, false, failure_);
  current_.reset();
  judge_.reset();
  views_.clear();
  phase_ = Phase::idle;
  abandoning_ = false;
  start_next();
}

void JobRoot::on(Failed& failed) {
  if (failed.attempt != attempt_ || phase_ == Phase::idle || abandoning_) return;
  const bool again = failed.for_lack_of_memory && !std::exchange(in_place_, true);
  abandon(fmt::format("rank {}: {}", failed.rank, failed.what));
  if (!again) return;
  again_ = true;
  if (current_) port_.tell(current_->client, Story{"once more: from now on the job stands still until its images are written"});
}

void JobRoot::on(Lost& lost) {
  cannot(fmt::format("rank {} was lost: {}", text_of(lost.ranks), lost.why));
}

// Nothing follows from it: the rank may go on any time, and the user decides.
void JobRoot::on(Silent& silent) {
  if (silent.attempt != attempt_ || phase_ == Phase::idle || abandoning_) return;
  silent_.emplace_back(silent, port_.now());
  if (!current_) return;
  port_.tell(current_->client,
             Story{fmt::format("{}: {}: it has been stopped (SIGSTOP), or its host is out of reach; the checkpoint goes on when it does "
                               "(`mana checkpoint --cancel` gives it up)",
                               name_of(phase_), text_of(silent))});
}

void JobRoot::on(FinalizeReached&) {
  finalize_reached_ = true;
  grant_finalize();
}

void JobRoot::grant_finalize() {
  if (!finalize_reached_ || finalized_ || leaving_ || phase_ != Phase::idle || !queue_.empty())
    return;
  finalized_ = true;
  port_.broadcast(FinalizeGrant{});
}

void JobRoot::cancel(uint64_t client) {
  if (phase_ == Phase::idle && queue_.empty())
    return answer(client, false, "no checkpoint is under way");
  if (phase_ >= Phase::snapshot && !abandoning_) {
    return answer(client, false,
                  fmt::format("too late: generation {} is being written", generation_.number));
  }
  while (!queue_.empty()) {
    answer(queue_.front().client, false, "cancelled");
    queue_.pop_front();
  }
  again_ = false;
  if (phase_ != Phase::idle && !abandoning_) abandon("cancelled");
  answer(client, true, "the checkpoint was cancelled; the job goes on");
}

void JobRoot::wake() {
  if (phase_ == Phase::idle) return;
  double now = port_.now();
  if (abandoning_) {
    if (current_ && now - entered_ >= settings_.abandon_patience) {
      answer(current_->client, false,
             failure_ + "; some ranks have not confirmed yet that they go on");
      current_.reset();
    }
    return;
  }
  tell_story();
  if (phase_ == Phase::intent || asked_) {  // the answer of a slow rank is on its way
    port_.wake_after(kStatusRound);
    return;
  }
  if (now + 1e-9 < next_round_) return port_.wake_after(next_round_ - now);
  ask(phase_ != Phase::closure || now - entered_ > kDetailAfter);
}

void JobRoot::answer(uint64_t client, bool ok, const std::string& text, uint64_t generation) {
  port_.tell(client, Answer{ok, generation, text});
}

void JobRoot::tell_story() {
  double now = port_.now();
  if (now < next_story_ || !current_) return;
  next_story_ = now + kStoryEvery;
  std::string who = waiting_for();
  if (who.empty()) who = "all ranks";
  port_.tell(current_->client, Story{fmt::format("{}: waiting for {}", name_of(phase_), who)});
}

std::string JobRoot::refused(const std::vector<RefusalNote>& notes) const {
  const RefusalNote& first = *std::min_element(
      notes.begin(), notes.end(), [](const auto& a, const auto& b) { return a.rank < b.rank; });
  std::string text =
      fmt::format("rank {}: {} object{} of {} cannot be saved yet: {}", first.rank, first.alive,
                  first.alive == 1 ? "" : "s", first.function, first.reason);
  if (notes.size() > 1) text += fmt::format(" (and {} more like it)", notes.size() - 1);
  return text;
}

}  // namespace mana::control
