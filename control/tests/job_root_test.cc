// SPDX-License-Identifier: BSD-3-Clause
// The root's sequence message by message, with a port that records.
#include "control/job_root.h"

#include <catch2/catch.hpp>

using namespace mana::control;

namespace {

class Recorder : public RootPort {
 public:
  double time = 0;
  std::vector<Down> said;
  std::vector<Answer> answers;
  std::vector<std::string> stories, warnings;
  std::string commit_error;
  Costs committed;
  bool dropped = false;

  double now() override { return time; }
  void broadcast(const Down& message) override { said.push_back(message); }
  void wake_after(double) override {}
  void tell(uint64_t, const ToCommand& message) override {
    if (auto* answer = std::get_if<Answer>(&message))
      answers.push_back(*answer);
    else
      stories.push_back(std::get<Story>(message).line);
  }
  Result<OpenGeneration> open_generation() override { return OpenGeneration{7, "dir"}; }
  Outcome commit(const OpenGeneration&, const std::vector<ImageNote>&, const Costs& costs,
                 uint32_t) override {
    committed = costs;
    if (!commit_error.empty()) return Error{commit_error};
    return Done{};
  }
  void drop(const OpenGeneration&) override { dropped = true; }
  std::string status_text(const JobStatus& status) override {
    return status.state + "/" + status.waiting_for;
  }
  void warn(const std::string& line) override { warnings.push_back(line); }

  template <class T>
  const T& last() const {
    return std::get<T>(said.back());
  }
};

struct Job {
  Recorder port;
  JobRoot root{port, {}};
  uint64_t attempt = 1;
  void ask(bool stop = false) { root.command(1, {Command::What::checkpoint, stop, 0}); }
  // Answers until the root is in `phase`.
  void run_to(Phase phase) {
    while (root.phase() != phase) {
      switch (root.phase()) {
        case Phase::intent:
          root.hear(Report{attempt, {}, {}});
          break;
        case Phase::closure:
          root.hear(Reply{attempt, port.last<Query>().round, false, false, 0, {}});
          break;
        default:
          root.hear(PhaseDone{attempt, root.phase(), {}, {}});
      }
    }
  }
};

}  // namespace

TEST_CASE("a checkpoint goes through its phases in order") {
  Job job;
  job.root.ready();
  job.ask();
  job.run_to(Phase::idle);
  std::vector<Phase> phases;
  for (const Down& message : job.port.said) {
    if (auto* advance = std::get_if<Advance>(&message)) phases.push_back(advance->phase);
  }
  CHECK(phases == std::vector<Phase>{Phase::stop, Phase::finish_collectives, Phase::exchange_counts,
                                     Phase::drain, Phase::snapshot});
  REQUIRE(job.port.answers.size() == 1);
  CHECK(job.port.answers[0].ok);
  CHECK(job.port.answers[0].generation == 7);
  CHECK(std::holds_alternative<Settle>(job.port.said.back()));
}

TEST_CASE("a checkpoint asked before all ranks are there waits for them") {
  Job job;
  job.ask();
  CHECK(job.port.said.empty());
  CHECK(job.root.status().state == "starting");
  job.root.ready();
  CHECK(std::holds_alternative<Intent>(job.port.said.back()));
}

TEST_CASE("a checkpoint for which memory was short is made again in place, and so is every later one") {
  Job job;
  job.root.ready();
  job.ask();
  job.run_to(Phase::write);
  job.root.hear(Failed{1, 3, "killed", true});
  CHECK(std::holds_alternative<Abandon>(job.port.said.back()));
  job.root.hear(PhaseDone{1, Phase::idle, {}, {}});
  CHECK(job.port.answers.empty());
  CHECK(job.port.last<Intent>().attempt == 2);
  job.attempt = 2;
  job.run_to(Phase::snapshot);
  CHECK(job.port.last<Advance>().in_place);
  job.run_to(Phase::idle);
  CHECK(job.port.answers.back().ok);
  job.ask();
  job.attempt = 3;
  job.run_to(Phase::snapshot);
  CHECK(job.port.last<Advance>().in_place);
  job.root.hear(Failed{3, 3, "killed", true});  // a third time would not help
  job.root.hear(PhaseDone{3, Phase::idle, {}, {}});
  CHECK(job.port.answers.back().text == "rank 3: killed");
}

TEST_CASE("what is to be made again can be cancelled") {
  Job job;
  job.root.ready();
  job.ask();
  job.run_to(Phase::write);
  job.root.hear(Failed{1, 3, "killed", true});
  job.root.command(2, {Command::What::cancel, false, 0});
  job.root.hear(PhaseDone{1, Phase::idle, {}, {}});
  CHECK(job.root.phase() == Phase::idle);
  CHECK_FALSE(job.port.answers.back().ok);
}

TEST_CASE("of the time of writing that is told apart in which all images were complete") {
  Job job;
  job.root.ready();
  job.ask();
  job.run_to(Phase::write);
  job.port.time = 10;
  ImageNote early, late;
  early.rank = 0, early.write_seconds = 10, early.sync_seconds = 8;
  late.rank = 1, late.write_seconds = 7, late.sync_seconds = 1;
  job.root.hear(PhaseDone{1, Phase::write, {}, {early, late}});
  const std::vector<PhaseTime>& phases = job.port.committed.phases;
  REQUIRE(phases.size() >= 2);
  const PhaseTime &write = phases[phases.size() - 2], &sync = phases.back();
  CHECK(write.phase == Phase::write);
  CHECK(write.seconds == Approx(6));
  CHECK(sync.phase == Phase::sync);
  CHECK(sync.seconds == Approx(4));
}

TEST_CASE("under --stop nobody is resumed before the end") {
  Job job;
  job.root.ready();
  job.ask(true);
  job.run_to(Phase::idle);
  for (const Down& message : job.port.said) CHECK_FALSE(std::holds_alternative<Resume>(message));
  CHECK(job.port.last<Leave>().exit_code == 75);
  job.ask();
  CHECK(job.port.answers.back().text == "the job is ending after mana checkpoint --stop");
}

TEST_CASE("under --stop a commit that fails lets the job go on") {
  Job job;
  job.root.ready();
  job.port.commit_error = "commit: rename: No space left on device";
  job.ask(true);
  job.run_to(Phase::write);
  job.root.hear(PhaseDone{1, Phase::write, {}, {}});
  CHECK(std::holds_alternative<Abandon>(job.port.said.back()));
  CHECK(job.port.answers.empty());  // not before everybody goes on
  job.root.hear(PhaseDone{1, Phase::idle, {}, {}});
  CHECK(job.port.answers.back().text == "commit: rename: No space left on device");
  CHECK(job.port.dropped);
}

TEST_CASE("cancel works in every phase before the snapshot and is too late afterwards") {
  for (Phase phase : {Phase::intent, Phase::closure, Phase::stop, Phase::finish_collectives,
                      Phase::exchange_counts, Phase::drain, Phase::snapshot, Phase::write}) {
    Job job;
    job.root.ready();
    job.ask();
    job.run_to(phase);
    job.root.command(2, {Command::What::cancel, false, 0});
    bool late = phase >= Phase::snapshot;
    CHECK(job.port.answers.back().ok == !late);
    if (late) continue;
    job.root.hear(PhaseDone{1, phase, {}, {}});  // still on its way
    CHECK(std::holds_alternative<Abandon>(job.port.said.back()));
    job.root.hear(PhaseDone{1, Phase::idle, {}, {}});
    CHECK_FALSE(job.port.answers.back().ok);
    CHECK(job.port.answers.back().text == "cancelled");
    CHECK(job.root.phase() == Phase::idle);
  }
}

TEST_CASE("a rank lost in any phase fails the checkpoint, warns once and refuses the next") {
  for (Phase phase :
       {Phase::intent, Phase::closure, Phase::stop, Phase::drain, Phase::snapshot, Phase::write}) {
    Job job;
    job.root.ready();
    job.ask();
    job.run_to(phase);
    job.root.hear(Lost{{{3, 4}}, "the connection was closed"});
    job.root.hear(Lost{{{5, 5}}, "the connection was closed"});
    job.root.hear(PhaseDone{1, Phase::idle, {}, {}});
    CHECK(job.port.answers.back().text == "rank 3-4 was lost: the connection was closed");
    CHECK(job.port.warnings.size() == 1);
    job.ask();
    CHECK(job.port.answers.back().text ==
          "rank 3-4 was lost: the connection was closed; this job cannot be checkpointed");
  }
}

TEST_CASE("finalize waits for a checkpoint that is under way, and ends checkpoints") {
  Job job;
  job.root.ready();
  job.ask();
  job.run_to(Phase::drain);
  job.root.hear(FinalizeReached{});
  CHECK_FALSE(std::holds_alternative<FinalizeGrant>(job.port.said.back()));
  job.run_to(Phase::idle);
  CHECK(std::holds_alternative<FinalizeGrant>(job.port.said.back()));
  job.ask();
  CHECK(job.port.answers.back().text ==
        "the job has called MPI_Finalize; it cannot be checkpointed any more");
}

TEST_CASE("objects made during the closure refuse the checkpoint too") {
  Job job;
  job.root.ready();
  job.ask();
  job.run_to(Phase::stop);
  job.root.hear(
      PhaseDone{1, Phase::stop, {{4, 1, "MPI_File_open", "files cannot be opened again yet"}}, {}});
  job.root.hear(PhaseDone{1, Phase::idle, {}, {}});
  CHECK(job.port.answers.back().text ==
        "rank 4: 1 object of MPI_File_open cannot be saved yet: files cannot be opened again yet");
}

TEST_CASE("a second request waits its turn and is told so") {
  Job job;
  job.root.ready();
  job.ask();
  job.ask();
  CHECK(job.port.stories.back() == "generation 7 is being made; this one comes next");
  job.run_to(Phase::write);
  job.root.hear(PhaseDone{1, Phase::write, {}, {}});
  CHECK(job.root.phase() == Phase::intent);
  CHECK(job.port.last<Intent>().attempt == 2);
}

TEST_CASE("the status says who is computing and for how long") {
  Job job;
  job.root.ready();
  job.ask();
  job.root.hear(Report{1, {{9, 1, {}}}, {}});
  RankView view{17, Phase::closure, true, false, {9}, {{ThreadState::running, 0, {}, {}}}, 42, 0};
  job.root.hear(Reply{1, job.port.last<Query>().round, true, false, 5, {view}});
  CHECK(job.root.status().waiting_for == "rank 17, computing for 42 s");
}

TEST_CASE("a rank that does not answer is named, and waited for") {
  Job job;
  job.root.ready();
  job.ask();
  job.run_to(Phase::stop);
  job.root.hear(Silent{1, 3, 4711, 2, 10, "node7"});
  REQUIRE(job.port.stories.size() == 1);
  CHECK(job.port.stories[0].starts_with("stop: rank 3 (process 4711 on node7) has not answered for 10 s, nor have the 2 behind it"));
  job.port.time += 5;
  CHECK(job.root.status().waiting_for.find("for 15 s") != std::string::npos);
  REQUIRE(job.root.status().silent.size() == 1);
  job.root.hear(Silent{0, 4, 4712, 0, 10, "node7"});  // of an attempt that is over
  CHECK(job.root.status().silent.size() == 1);
  CHECK(job.root.phase() == Phase::stop);
  job.root.hear(Reply{1, 1, false, false, 0, {}});
  CHECK(job.root.status().silent.empty());
  job.run_to(Phase::idle);
  CHECK(job.port.answers.back().ok);
}
