// SPDX-License-Identifier: BSD-3-Clause
// The upper half's part of the closure (README.md): collectives are counted and, once a checkpoint is intended, begun only as the
// agent allows; waiting threads name the ranks that could end their wait; and every thread that waits keeps the
// network moving.
#pragma once

#include <cstdint>

#include "upper/runtime.h"

namespace mana::upper {

void begin_under_intent(Call& call, CommCounter* counter);  // returns when the collective has been counted
void announce_begun(Call& call, CommCounter* counter);
void revoke_waiting(Call& call);

// Whether this thread has announced a wait that was not revoked yet.
inline bool waiting_announced(const Call& call) { return call.record()->reserved[0] != 0; }

// Counts a collective at the moment it is begun.  `blocking`: the thread is inside until end_collective.
inline void begin_collective(Call& call, CommCounter* counter, bool blocking) {
  if (counter == nullptr) return;  // one member: nobody else can be half done
  ThreadRecord* record = call.record();
  if (waiting_announced(call)) [[unlikely]] revoke_waiting(call);
  // The agent sets intent, then makes every thread pass a barrier, then reads: it either sees what is written here, or
  // this thread sees the intent.
  if (blocking) record->inside_uid.store(counter->uid, std::memory_order_relaxed);
  order_for_signal();
  if (intended()) [[unlikely]] return begin_under_intent(call, counter);
  Call::bump(counter->begun);
  order_for_signal();
  if (intended()) [[unlikely]] announce_begun(call, counter);
}
inline void end_collective(Call& call) { call.record()->inside_uid.store(0, std::memory_order_relaxed); }

// The ranks that could end a wait, gathered without duplicates; under the lock.
class RankSet {
 public:
  RankSet();
  ~RankSet();
  RankSet(const RankSet&) = delete;
  RankSet& operator=(const RankSet&) = delete;
  void add(int32_t world_rank);
  void add_members(const Comm* comm);               // all but ourselves, both groups
  void add_source(const Comm* comm, int32_t rank);  // a rank of the group that messages come from, or ANY_SOURCE
  void add_request(const Request* request);
  const int32_t* ranks() const { return ranks_; }
  int32_t count() const { return count_; }

 private:
  uint8_t* seen_;
  int32_t* ranks_;
  int32_t count_;
};

// `polling`: from a call that came back empty-handed.  A loop of them is a wait, but the thread may also compute for hours now.
void announce_waiting(Call& call, const RankSet& ranks, bool polling, const char* name);

// One turn for the network while intent is set, rule 4: unmatched incoming messages go to the queue, so that no peer's send
// depends on this rank.
void keep_moving(Call& call);

// Nothing at the lower half is pending here and no other handle lives in a local: one turn of a loop that waits for something above.
void wait_turn(Call& call);

}  // namespace mana::upper
