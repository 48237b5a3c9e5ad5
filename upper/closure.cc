// SPDX-License-Identifier: BSD-3-Clause
#include "upper/closure.h"

#include "upper/comm.h"
#include "upper/drain_synchronous.h"
#include "upper/queue.h"
#include "upper/request.h"
#include "upper/text.h"

namespace mana::upper {

// Only from here: the agent decides.  It counts (`begun`) under its own lock, so that a permit is used the moment it is given.
// inside_uid stays set while we ask: the agent knows a thread that asks as parked, and once it has said yes the thread is
// inside without a gap.
void begin_under_intent(Call& call, CommCounter* counter) {
  for (;;) {
    core::ClosureBegin block{call.record(), counter, 0};
    call.cross(CoreOp::closure_begin, &block);
    if (block.go) return;
    keep_moving(call);
    test_all_active(call);
    core::Progress progress{};
    call.cross(CoreOp::progress, &progress);
    call.breathe();
  }
}

void announce_begun(Call& call, CommCounter* counter) {
  core::ClosureBegun block{call.record(), counter};
  call.cross(CoreOp::closure_begun, &block);
}

void announce_waiting(Call& call, const RankSet& ranks, bool polling, const char* name) {
  core::ClosureWaiting block{call.record(), ranks.ranks(), ranks.count(), polling ? 1 : 0, {}};
  copy_text(block.call, name, sizeof block.call);
  call.record()->reserved[0] = 1;
  call.cross(CoreOp::closure_waiting, &block);
}

void revoke_waiting(Call& call) {
  call.record()->reserved[0] = 0;
  core::ClosureRunning block{call.record()};
  call.cross(CoreOp::closure_running, &block);
}

RankSet::RankSet()
    : seen_(static_cast<uint8_t*>(allocate_zeroed(static_cast<size_t>(upper_interface.world_size)))),
      ranks_(allocate_array<int32_t>(upper_interface.world_size)),
      count_(0) {}

RankSet::~RankSet() {
  deallocate(seen_);
  deallocate(ranks_);
}

void RankSet::add(int32_t rank) {
  if (rank < 0 || rank >= upper_interface.world_size || seen_[rank]) return;
  seen_[rank] = 1;
  ranks_[count_++] = rank;
}

void RankSet::add_members(const Comm* comm) {
  const int32_t self = upper_interface.world_rank;
  for (int32_t i = 0; i < comm->size; ++i) {
    if (comm->world_ranks[i] != self) add(comm->world_ranks[i]);
  }
  for (int32_t i = 0; i < comm->remote_size; ++i) add(comm->remote_world_ranks[i]);
}

void RankSet::add_source(const Comm* comm, int32_t rank) {
  if (rank >= 0 && rank < peer_count(comm)) {
    add(peer_world_ranks(comm)[rank]);
  } else if (rank == abi::ANY_SOURCE) {
    for (int32_t i = 0; i < peer_count(comm); ++i) add(peer_world_ranks(comm)[i]);
  }
}

void RankSet::add_request(const Request* request) {
  if (request->comm == nullptr) return;  // generalized, forwarded: no rank is known
  switch (request->what) {
    case Request::What::send:
    case Request::What::recv:
      if (!request->complete) add_source(request->comm, request->peer);
      break;
    default:
      add_members(request->comm);
  }
  if (request->joined) add_request(static_cast<const Request*>(request->extra));
}

void keep_moving(Call& call) {
  take_notes(call);
  if (!all_intend()) return;  // a synchronous send that completes must know why
  // A few communicators a turn, so that a turn stays short however many there are.
  static constinit uint64_t cursor = 0;
  constexpr int kAtOnce = 8;
  Comm* comm = live_comms.first;
  for (uint64_t skip = cursor; skip > 0 && comm != nullptr; --skip) comm = comm->next;
  if (comm == nullptr) {
    cursor = 0;
    comm = live_comms.first;
  }
  for (int i = 0; i < kAtOnce && comm != nullptr; ++i, comm = comm->next, ++cursor) {
    while (take_unmatched(call, comm)) count_step(call.record());
  }
}

void wait_turn(Call& call) {
  if (intended()) {
    keep_moving(call);
    test_all_active(call);
  }
  core::Progress progress{};
  call.cross(CoreOp::progress, &progress);
  call.breathe();
}

}  // namespace mana::upper
