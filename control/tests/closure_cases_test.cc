// SPDX-License-Identifier: BSD-3-Clause
// The cases of the closure that are easy to get wrong, each with the smallest set of ranks that
// shows it.  Here the root and the ranks talk without delay; the model (closure_model_test.cc) adds
// delays and everything at random.
#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <vector>

#include "control/closure_judge.h"
#include "control/rank_closure.h"

using namespace mana::control;

namespace {

constexpr ThreadId kMain = 1, kSecond = 2, kThird = 3;

class Ranks {
 public:
  explicit Ranks(int count) {
    for (int r = 0; r < count; ++r) ranks_.push_back(std::make_unique<One>(r));
  }
  // `members` share a communicator; counts are what each has begun so far.
  void communicator(uint64_t uid, const std::vector<int>& members, uint64_t begun = 0) {
    for (int r : members) set(r, uid, begun);
  }
  void set(int rank, uint64_t uid, uint64_t begun) {
    One& one = *ranks_[static_cast<std::size_t>(rank)];
    auto& counter = one.begun[uid];
    if (!counter) counter = std::make_unique<std::atomic<uint64_t>>(0);
    counter->store(begun);
    one.closure.know({uid, counter.get(), {}});
  }
  void one_shot(int rank, uint64_t uid, const std::vector<int32_t>& members) {
    One& one = *ranks_[static_cast<std::size_t>(rank)];
    one.begun[uid] = std::make_unique<std::atomic<uint64_t>>(0);
    one.closure.know({uid, one.begun[uid].get(), members});
  }
  RankClosure& operator[](int rank) { return ranks_[static_cast<std::size_t>(rank)]->closure; }
  uint64_t begun(int rank, uint64_t uid) {
    return ranks_[static_cast<std::size_t>(rank)]->begun[uid]->load();
  }
  void inside(int rank, uint64_t uid, ThreadId thread = kMain) {
    shown(rank, thread).inside_uid = uid;
  }
  void leaves(int rank, ThreadId thread = kMain) {
    shown(rank, thread).inside_uid = 0;
    ++shown(rank, thread).operations;
  }
  void polls(int rank, ThreadId thread = kMain) { ++shown(rank, thread).operations; }
  void add_thread(int rank, ThreadId thread) {
    ranks_[static_cast<std::size_t>(rank)]->threads.push_back({thread, 0, 0});
  }
  // Comes to a collective: true when it was begun.
  bool comes(int rank, uint64_t uid, ThreadId thread = kMain) {
    shown(rank, thread).inside_uid = uid;
    bool go = (*this)[rank].may_begin(thread, uid);
    raise();
    return go;
  }

  void intent() {
    ++attempt_;
    judge_ = std::make_unique<ClosureJudge>(attempt_);
    std::vector<Count> counts;
    for (auto& one : ranks_) {
      for (Count& count : one->closure.start(attempt_).counts) counts.push_back(count);
    }
    tell(judge_->raise(counts));
  }
  void end(bool settled) {
    for (auto& one : ranks_) one->closure.end(settled);
  }
  ClosureJudge::Verdict round() {
    Query query = judge_->ask(true);
    Reply merged{query.attempt, query.round, false, false, 0, {}};
    for (auto& one : ranks_) {
      Reply reply = one->closure.reply(query, one->threads);
      merged.lagging |= reply.lagging;
      merged.inside |= reply.inside;
      merged.fingerprint += reply.fingerprint;
      for (RankView& view : reply.views) merged.views.push_back(view);
    }
    return judge_->judge(merged);
  }
  // Rounds until something is decided; permits are given.
  ClosureJudge::Verdict settle() {
    for (int i = 0; i < 4; ++i) {
      ClosureJudge::Verdict verdict = round();
      if (verdict == ClosureJudge::Verdict::again) continue;
      if (verdict == ClosureJudge::Verdict::permits) {
        for (int rank : judge_->permits()) (*this)[rank].permit();
        raise();
      }
      return verdict;
    }
    return ClosureJudge::Verdict::again;
  }
  ClosureJudge& judge() { return *judge_; }
  void raise() {
    if (!judge_) return;
    for (auto& one : ranks_) {
      auto raises = one->closure.take_raises();
      if (!raises.empty()) tell(judge_->raise(raises));
    }
  }

 private:
  struct One {
    explicit One(int rank) : closure(rank) {}
    RankClosure closure;
    std::map<uint64_t, std::unique_ptr<std::atomic<uint64_t>>> begun;
    std::vector<Observed> threads{{kMain, 0, 0}};
  };
  Observed& shown(int rank, ThreadId thread) {
    for (Observed& observed : ranks_[static_cast<std::size_t>(rank)]->threads) {
      if (observed.thread == thread) return observed;
    }
    throw std::runtime_error("no such thread");
  }
  void tell(const std::optional<Targets>& targets) {
    if (!targets) return;
    for (auto& one : ranks_) one->closure.hear(*targets);
  }
  std::vector<std::unique_ptr<One>> ranks_;
  std::unique_ptr<ClosureJudge> judge_;
  uint64_t attempt_ = 0;
};

using Verdict = ClosureJudge::Verdict;
constexpr uint64_t kWorld = 1, kX = 2, kY = 3, kZ = 4;
constexpr int A = 0, B = 1, C = 2, D = 3;

// X = {A, D}, Y = {B, C}; C is inside Y; A stands before X, which comes before what B waits for; D
// computes.
Ranks crossing_communicators() {
  Ranks ranks(4);
  ranks.communicator(kX, {A, D});
  ranks.communicator(kY, {B, C});
  ranks.set(C, kY, 1);
  ranks.inside(C, kY);
  return ranks;
}

}  // namespace

TEST_CASE("computing ranks converge at once") {
  Ranks ranks(3);
  ranks.communicator(kWorld, {0, 1, 2}, 5);
  ranks.intent();
  CHECK(ranks.settle() == Verdict::converged);
}

TEST_CASE("a rank that lags runs on and the others stop before the next collective") {
  Ranks ranks(3);
  ranks.communicator(kWorld, {0, 1, 2}, 5);
  ranks.set(0, kWorld, 6);
  ranks.intent();
  CHECK(ranks.round() == Verdict::again);
  CHECK(ranks.comes(1, kWorld));
  CHECK(ranks.comes(2, kWorld));
  for (int rank : {1, 2}) ranks.leaves(rank);
  CHECK_FALSE(ranks.comes(0, kWorld));
  CHECK(ranks.settle() == Verdict::converged);
  ranks.end(true);
  CHECK(ranks.comes(0, kWorld));  // resumed: everything parked goes on
  CHECK(ranks.begun(0, kWorld) == 7);
}

TEST_CASE("a message behind a parked collective is reached by an edge") {
  Ranks ranks = crossing_communicators();
  ranks.intent();
  CHECK_FALSE(ranks.comes(A, kX));
  ranks[B].waiting(kMain, {{A, A}}, "MPI_Recv");
  CHECK(ranks.settle() == Verdict::permits);
  CHECK(ranks.begun(A, kX) == 1);  // used at once
  CHECK(ranks[D].lags());          // X is to be completed now
  CHECK(ranks.comes(A, kX));       // and is not counted twice
  CHECK(ranks.begun(A, kX) == 1);
  CHECK(ranks.comes(D, kX));
  for (int rank : {A, D}) ranks.leaves(rank);
  ranks[B].running(kMain);  // A has sent
  CHECK(ranks.comes(B, kY));
  for (int rank : {B, C}) ranks.leaves(rank);
  CHECK(ranks.settle() == Verdict::converged);
}

TEST_CASE("edges lead through waiting ranks") {
  Ranks ranks(5);
  ranks.communicator(kX, {A, D});
  ranks.communicator(kY, {B, C});
  ranks.set(C, kY, 1);
  ranks.inside(C, kY);
  ranks.intent();
  CHECK_FALSE(ranks.comes(A, kX));
  ranks[B].waiting(kMain, {{4, 4}}, "MPI_Recv");
  ranks[4].waiting(kMain, {{A, A}}, "MPI_Ssend");
  CHECK(ranks.settle() == Verdict::permits);
  CHECK(ranks.judge().permits() == std::vector<int32_t>{A});
}

TEST_CASE("a wildcard wait reaches every parked rank, a wait for several the ones named") {
  for (const RankSet& awaited : {RankSet{{0, 3}}, RankSet{{A, A}, {D, D}}}) {
    Ranks ranks = crossing_communicators();
    ranks.intent();
    CHECK_FALSE(ranks.comes(A, kX));
    ranks[B].waiting(kMain, awaited, "MPI_Waitany");
    CHECK(ranks.settle() == Verdict::permits);
    CHECK(ranks.judge().permits() == std::vector<int32_t>{A});
  }
}

TEST_CASE("a rank that polls is reached though something moves all the time") {
  Ranks ranks = crossing_communicators();
  ranks.intent();
  CHECK_FALSE(ranks.comes(A, kX));
  for (int i = 0; i < 5; ++i) {  // B calls MPI_Iprobe in a loop
    ranks.polls(B);
    CHECK(ranks.round() == Verdict::again);
  }
  CHECK(ranks.judge().permits_for_pollers(0.1) == std::vector<int32_t>{A});
}

TEST_CASE("a permit for a rank that is not parked is void") {
  Ranks ranks(2);
  ranks.communicator(kWorld, {0, 1});
  ranks.intent();
  ranks[0].permit();
  CHECK_FALSE(ranks.comes(0, kWorld));
  CHECK(ranks.begun(0, kWorld) == 0);
}

TEST_CASE("a broadcast root that has left is not ahead of a leaf for ever") {
  for (bool finalizes : {false, true}) {
    Ranks ranks(2);
    ranks.communicator(kWorld, {0, 1});
    ranks.set(0, kWorld, 1);  // the root has left; the leaf has not entered
    if (finalizes) ranks[0].gone(kMain);
    ranks.intent();
    if (!finalizes) CHECK_FALSE(ranks.comes(0, kWorld));  // the root parks
    CHECK(ranks.settle() != Verdict::converged);
    CHECK(ranks.comes(1, kWorld));
    CHECK(ranks.settle() != Verdict::converged);  // still inside
    ranks.leaves(1);
    CHECK(ranks.settle() == Verdict::converged);
  }
}

TEST_CASE("two communicators with the same members are counted apart") {
  Ranks ranks(2);
  ranks.communicator(kX, {0, 1});
  ranks.communicator(kY, {0, 1});
  ranks.set(0, kX, 1);  // nonblocking collectives begun in opposite order
  ranks.set(1, kY, 1);
  ranks.intent();
  CHECK(ranks.settle() == Verdict::again);
  CHECK(ranks.comes(0, kY));
  ranks.leaves(0);
  CHECK(ranks.comes(1, kX));
  ranks.leaves(1);
  CHECK(ranks.settle() == Verdict::converged);
}

TEST_CASE("a communicator made during the closure is held to its target") {
  Ranks ranks(2);
  ranks.communicator(kWorld, {0, 1}, 3);
  ranks.set(0, kWorld, 4);  // rank 0 has duplicated the world ...
  ranks.set(0, kZ, 1);      // ... and is in a collective on the duplicate
  ranks.inside(0, kZ);
  ranks.intent();
  CHECK(ranks.comes(1, kWorld));
  ranks.set(1, kZ, 0);  // known before MPI_Comm_dup is left
  ranks.leaves(1);
  CHECK(ranks[1].lags());
  CHECK(ranks.comes(1, kZ));
  ranks.leaves(1);
  ranks.leaves(0);
  CHECK(ranks.settle() == Verdict::converged);
}

TEST_CASE("a member that has not begun a one-shot call lags without knowing its counter") {
  Ranks ranks(3);
  ranks.communicator(kWorld, {0, 1, 2});
  ranks.one_shot(0, kZ, {0, 2});
  CHECK(ranks.comes(0, kZ));
  ranks.intent();
  CHECK_FALSE(ranks[1].lags());
  CHECK(ranks[2].lags());
  ranks.one_shot(2, kZ, {0, 2});
  CHECK(ranks.comes(2, kZ));
  ranks.leaves(0);
  ranks.leaves(2);
  CHECK(ranks.settle() == Verdict::converged);
}

TEST_CASE("a freed communicator keeps its count until all have freed it") {
  Ranks ranks(2);
  ranks.communicator(kX, {0, 1}, 7);
  ranks.set(0, kX, 8);  // MPI_Comm_free is a collective
  ranks.intent();
  CHECK(ranks[1].lags());
  CHECK(ranks.comes(1, kX));
  ranks.leaves(1);
  CHECK(ranks.settle() == Verdict::converged);
}

TEST_CASE("counts that have not moved since the last closure are not reported again") {
  Ranks ranks(2);
  ranks.communicator(kX, {0, 1}, 7);
  ranks.intent();
  CHECK(ranks.settle() == Verdict::converged);
  ranks.end(true);
  CHECK(ranks[0].start(2).counts.empty());
  ranks.end(false);
  ranks.set(0, kX, 8);
  ranks.intent();
  CHECK(ranks[1].lags());
}

TEST_CASE("threads of one rank: inside, waiting and computing at once") {
  Ranks ranks(2);
  ranks.communicator(kX, {0, 1});
  ranks.communicator(kY, {0, 1});
  ranks.add_thread(0, kSecond);
  ranks.add_thread(0, kThird);
  ranks.set(0, kX, 1);
  ranks.inside(0, kX, kMain);
  ranks.intent();
  ranks[0].waiting(kSecond, {{1, 1}}, "MPI_Recv");
  CHECK(ranks.comes(1, kY));  // it lags on X, so any of its threads may go ahead
  ranks.leaves(1);
  CHECK(ranks.settle() != Verdict::converged);
  CHECK(ranks.comes(1, kX));
  ranks.leaves(1);
  ranks.leaves(0, kMain);
  CHECK(ranks.settle() != Verdict::converged);  // Y was begun by rank 1 while it lagged
  CHECK(ranks.comes(0, kY, kThird));
  ranks.leaves(0, kThird);
  CHECK(ranks.settle() == Verdict::converged);
}

TEST_CASE("a collective that all have begun is waited for, not held to be a deadlock") {
  Ranks ranks(2);
  ranks.communicator(kWorld, {0, 1});
  for (int rank : {0, 1}) {
    ranks.set(rank, kWorld, 1);
    ranks.inside(rank, kWorld);
  }
  ranks.intent();
  for (int i = 0; i < 5; ++i) CHECK(ranks.round() == Verdict::again);
}

TEST_CASE("a deadlocked program is told who waits for whom") {
  Ranks ranks(3);
  ranks.communicator(kWorld, {0, 1, 2});
  ranks.set(2, kWorld, 1);
  ranks.inside(2, kWorld);
  ranks.intent();
  ranks[0].waiting(kMain, {{1, 1}}, "MPI_Recv");
  ranks[1].waiting(kMain, {{0, 0}}, "MPI_Ssend");
  CHECK(ranks.settle() == Verdict::stuck);
  std::string text = ranks.judge().diagnosis();
  CHECK(text.find("rank 0: waits in MPI_Recv for rank 1") != std::string::npos);
  CHECK(text.find("rank 1: waits in MPI_Ssend for rank 0") != std::string::npos);
}

TEST_CASE("a rank that polled once and computes since is waited for") {
  Ranks ranks(2);
  ranks.communicator(kWorld, {0, 1});
  ranks.set(1, kWorld, 1);
  ranks.inside(1, kWorld);
  ranks.intent();
  ranks[0].waiting(kMain, {{1, 1}}, "MPI_Iprobe", true);
  for (int i = 0; i < 5; ++i) CHECK(ranks.round() == Verdict::again);
}

TEST_CASE("giving up lets everything parked go on and forgets the targets") {
  Ranks ranks(2);
  ranks.communicator(kWorld, {0, 1});
  ranks.intent();
  CHECK_FALSE(ranks.comes(0, kWorld));
  ranks.end(false);
  CHECK(ranks.comes(0, kWorld));
  CHECK(ranks.begun(0, kWorld) == 1);
}
