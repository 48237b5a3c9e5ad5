// SPDX-License-Identifier: BSD-3-Clause
// The root's side of everything that the job does together: a checkpoint from the command to the
// commit, giving one up, and the agreement to finalize.  Pure: no sockets, no threads, no files, no
// clock of its own; node.h feeds it. README.md has the sequence.  One checkpoint at a time; further
// requests wait their turn.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "control/closure_judge.h"
#include "control/messages.h"
#include "control/result.h"

namespace mana::control {

struct OpenGeneration {
  uint64_t number = 0;
  std::string directory;  // where its images are written; renamed by the commit
};

struct PhaseTime {
  Phase phase = Phase::idle;
  double seconds = 0;
};

// What a checkpoint cost: part of the status, the story and the manifest.
struct Costs {
  uint64_t bytes = 0;
  double stood_still = 0;  // from the first thread parked to all threads going on
  std::vector<PhaseTime> phases;
};
std::string text_of(const Costs& costs);
std::string text_of(const Silent& silent);  // "rank 3 (process 4711 on node7) has not answered for 10 s"

struct JobStatus {
  std::string state;  // "starting", "running", "checkpointing", "finalizing", "cannot checkpoint"
  std::string why;    // cannot checkpoint: the reason
  Phase phase = Phase::idle;
  double phase_seconds = 0;  // how long in this phase
  uint64_t generation = 0;   // being made
  std::string waiting_for;   // "rank 17, computing for 42 s"
  std::vector<Silent> silent;  // ranks that do not answer, and for how long
  std::vector<RankView> ranks;
  std::size_t queued = 0;  // requests that wait their turn
  int64_t committed = -1;  // last generation that this run committed
  Costs committed_costs;
  std::string last_failure;  // why the last attempt failed, if it did
};

// What the root needs from the world.
class RootPort {
 public:
  virtual ~RootPort() = default;
  virtual double now() = 0;                         // seconds, steady
  virtual void broadcast(const Down& message) = 0;  // to all ranks, this one included, in order
  virtual void wake_after(double seconds) = 0;      // call wake(); replaces an earlier wish
  virtual void tell(uint64_t client, const ToCommand& message) = 0;
  virtual Result<OpenGeneration> open_generation() = 0;
  virtual Outcome commit(const OpenGeneration& generation, const std::vector<ImageNote>& images,
                         const Costs& costs, uint32_t keep) = 0;
  virtual void drop(const OpenGeneration& generation) = 0;
  virtual std::string status_text(const JobStatus& status) = 0;  // JSON
  virtual void warn(const std::string& line) = 0;                // once, to the job's stderr
};

class JobRoot {
 public:
  struct Settings {
    double stuck_patience =
        5;  // seconds that nothing may move before a program counts as deadlocked
    double shortest_round = 0.0005, longest_round = 0.05;  // pace of the closure's rounds
    double poll_patience =
        0.1;  // seconds without a new target after which polling programs are allowed for; doubles
    double abandon_patience = 3;  // seconds to wait for ranks that should forget an attempt before
                                  // the command is answered
    ClosureJudge::Rules rules = {};
  };
  static constexpr int kLeaveExitCode =
      75;  // of the job's processes after `mana checkpoint --stop`

  JobRoot(RootPort& port, Settings settings) : port_(port), settings_(settings) {}

  void ready();                         // every rank is connected
  void cannot(const std::string& why);  // the tree could not be built
  void hear(Up message);
  void command(uint64_t client, const Command& command);
  void client_gone(uint64_t client);
  void wake();
  JobStatus status() const;
  Phase phase() const { return phase_; }

 private:
  struct Request {
    uint64_t client = 0;
    Command command;
  };
  void start_next();
  void start(const Request& request);
  void enter(Phase phase);
  void advance(Phase phase);
  void ask(bool detail);
  void abandon(const std::string& why);
  void finish_abandoning();
  void note_images(const std::vector<ImageNote>& images);
  void settle();
  void answer(uint64_t client, bool ok, const std::string& text, uint64_t generation = 0);
  void cancel(uint64_t client);
  void grant_finalize();
  void tell_story();
  std::string waiting_for() const;
  std::string refused(const std::vector<RefusalNote>& notes) const;

  void on(Report& report);
  void on(Raise& raise);
  void on(Reply& reply);
  void on(PhaseDone& done);
  void on(Failed& failed);
  void on(Lost& lost);
  void on(FinalizeReached&);
  void on(Silent& silent);
  std::vector<Silent> silent_now() const;
  void judge(Reply& reply);
  void tell_targets(const std::optional<Targets>& targets);
  void permit(const std::vector<int32_t>& ranks);

  RootPort& port_;
  Settings settings_;
  bool ready_ = false, finalize_reached_ = false, finalized_ = false, leaving_ = false;
  std::string broken_;
  std::deque<Request> queue_;

  uint64_t attempt_ = 0;  // the current or last one
  Phase phase_ = Phase::idle;
  bool abandoning_ = false;
  // The copies that forked writers hold of the memory were too much for a host: from then on images are written in place.
  bool in_place_ = false;
  bool again_ = false;  // the attempt that is being given up is made again, in place
  double entered_ = 0, still_since_ = 0, next_story_ = 0, stuck_since_ = -1, next_round_ = 0;
  bool asked_ = false;  // a round is out
  std::optional<Request> current_;
  OpenGeneration generation_;
  std::optional<ClosureJudge> judge_;
  std::vector<RankView> views_;
  std::vector<std::pair<Silent, double>> silent_;  // and when it was named
  Costs costs_;
  std::string failure_;
  double round_pace_ = 0, poll_patience_ = 0, last_told_ = 0;
  uint32_t keep_ = 0;

  int64_t committed_ = -1;
  Costs committed_costs_;
};

}  // namespace mana::control
