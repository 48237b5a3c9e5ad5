// SPDX-License-Identifier: BSD-3-Clause
// The root's part of the closure: targets, rounds, the verdict, and the point-to-point edges.
// Rules 1, 5 and 6 of the algorithm (README.md).  Pure; used by job_root.h, one per attempt.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "control/messages.h"

namespace mana::control {

class ClosureJudge {
 public:
  struct Rules {
    bool point_to_point_edges = true;  // false only in the test that shows what they are for
  };
  enum class Verdict {
    again,      // not yet
    converged,  // no collective is half done, and none will begin
    permits,    // nothing moves, but these ranks may begin one more collective (permits())
    stuck,      // nothing moves and nothing can: the program waits for itself (diagnosis())
  };

  explicit ClosureJudge(uint64_t attempt) : ClosureJudge(attempt, Rules{}) {}
  ClosureJudge(uint64_t attempt, Rules rules) : attempt_(attempt), rules_(rules) {}

  // What all ranks reported together, or a rank passed a target: the targets that grew, to be told
  // to all.
  std::optional<Targets> raise(const std::vector<Count>& counts);
  Query ask(bool detail);
  // The merged answer to the last query.  Answers to earlier ones are ignored (again).
  Verdict judge(const Reply& reply);

  // For a closure that has not ended for a while although something moves all the time: a program
  // that polls with MPI_Test or MPI_Iprobe moves for ever and is never seen to wait.  The ranks
  // that get a permit then: those that the edges lead to, and every parked one when the edges lead
  // to a rank that computes and calls MPI meanwhile (quiet for less than `quiet`).
  std::vector<int32_t> permits_for_pollers(double quiet);

  std::vector<int32_t> permits() const { return permits_; }
  const std::vector<RankView>& views() const { return views_; }
  bool moved() const { return moved_; }  // the last round differed from the one before
  std::string diagnosis() const;

 private:
  struct Reach {
    std::vector<const RankView*> ranks;  // non-converged, or reached from one of those
    std::vector<int32_t> parked;
  };
  Reach follow_edges() const;
  bool can_move(const Reach& reach) const;

  uint64_t attempt_;
  Rules rules_;
  std::map<uint64_t, uint64_t> targets_;
  uint32_t round_ = 0;
  bool told_since_asked_ = false;
  std::optional<uint64_t> last_fingerprint_;
  bool moved_ = true;
  std::vector<RankView> views_;  // of the last detailed round
  std::vector<int32_t> permits_;
};

// "waits in MPI_Recv for rank 3": what one rank's threads are doing, in words.
std::string describe(const RankView& view);

}  // namespace mana::control
