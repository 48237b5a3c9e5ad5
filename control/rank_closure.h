// SPDX-License-Identifier: BSD-3-Clause
// One rank's part of the closure: which collectives its threads may begin while a checkpoint is
// intended.  Rules 1, 3, 4 and 5 of the algorithm (README.md).  Pure: no sockets, no threads, no
// clock; the owner (rank.h) locks it.
//
// A thread is known by any number that is its own.  A thread that stands before a collective asks
// may_begin again and again; the counting is done in here, so that a permit is used the moment it
// comes.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "control/messages.h"

namespace mana::control {

using ThreadId = uint64_t;

// Where the collectives begun on one communicator are counted: by the application's threads while
// no checkpoint is intended, by RankClosure meanwhile.
struct Counter {
  uint64_t uid = 0;
  std::atomic<uint64_t>* begun = nullptr;
  std::vector<int32_t> members;  // world ranks, for uids of one-shot calls only
};

// A thread as its record shows it.
struct Observed {
  ThreadId thread = 0;
  uint64_t inside_uid =
      0;  // in a collective on this communicator, or standing before it; 0: neither
  uint64_t operations = 0;  // progress counter
};

class RankClosure {
 public:
  explicit RankClosure(int32_t rank) : rank_(rank) {}

  // A counter exists.  Must be told before the collective that made its communicator is left.
  // Idempotent.
  void know(const Counter& counter);
  // Before all counters are told anew: the upper half uses the memory of a counter again for
  // another uid, though never while a checkpoint is intended.
  void forget_counters() { counters_.clear(); }

  // Intent: from now on collectives begin only as the rules allow.  Reports the counts that moved
  // since the last attempt that converged.
  Report start(uint64_t attempt);
  bool active() const { return active_; }
  // The attempt is over; everything parked may go on.  `settled`: it had converged, all members'
  // counts are equal.
  void end(bool settled);

  void hear(const Targets& targets);
  void permit();  // to every thread parked now; used at once

  // A thread comes to begin a collective.  True: it was counted, go ahead.  False: the thread is
  // parked; ask again.
  bool may_begin(ThreadId thread, uint64_t uid);
  void begun(uint64_t uid);  // counted by the thread itself just as intent came
  void waiting(ThreadId thread, RankSet ranks, std::string call, bool polling = false);
  void running(ThreadId thread);
  void gone(ThreadId thread);  // in MPI_Finalize, waiting for the others

  // Targets passed since the last call; to be sent before the next reply.
  std::vector<Count> take_raises();

  bool lags() const;
  // What this rank answers in a round.  Also usable when not active (states only).
  Reply reply(const Query& query, const std::vector<Observed>& threads) const;
  RankView view(const std::vector<Observed>& threads) const;

 private:
  struct Standing {
    ThreadState state = ThreadState::running;
    bool granted = false;  // parked, and its collective was counted by a permit: it is inside for
                           // everybody else
    uint64_t uid = 0;
    RankSet ranks;
    std::string call;
    bool polling = false;
  };
  uint64_t begun_on(uint64_t uid) const;
  bool lags_on(uint64_t uid, const Count& target) const;
  void count(uint64_t uid);
  void announce(uint64_t uid);
  ThreadView view_of(const Observed& thread) const;

  int32_t rank_;
  bool active_ = false;
  uint64_t attempt_ = 0;
  uint64_t events_ = 0;  // parks, begins, waits: progress that no operation counter shows
  std::unordered_map<uint64_t, Counter> counters_;
  std::unordered_map<uint64_t, uint64_t> settled_;  // counts at the last attempt that converged
  std::map<uint64_t, Count> targets_;
  std::map<ThreadId, Standing> threads_;  // only those that wait, are parked or gone
  std::vector<Count> raises_;
};

}  // namespace mana::control
