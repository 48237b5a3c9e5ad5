// SPDX-License-Identifier: BSD-3-Clause
// Messages of a rank to itself, matched above without a crossing.
//
// Rules that keep the order of messages and of receives:
//   - A receive that names this rank itself can match messages to itself only: it is never handed down (`lower` stays 0).
//   - A message to itself goes to the first posted receive that matches.  If that one is above, it is filled at once; if there is
//     none, the message joins the queue, where every receive-like call looks first.  If it is a receive from any source, which the
//     lower half holds, the message goes down like any other: both libraries match a message to oneself while it is being sent.
//   - A message of another rank may take that receive first.  Then the message to itself is unmatched below, and is fetched
//     (fetch_own_messages) before anything else is matched: to the first receive above that matches, else into the queue.
//     It is seen by the counts: sent != received.
#pragma once

#include "upper/p2p.h"
#include "upper/queue.h"

namespace mana::upper {

inline bool is_self(const Comm* comm, int32_t peer) { return peer == comm->rank && !comm->is_inter; }

void fetch_own_messages_slowly(Call& call, Comm* comm);
// Before anything is matched above.
inline void fetch_own_messages(Call& call, Comm* comm) {
  const int32_t self = comm->rank;
  if (comm->sent[self].load(std::memory_order_relaxed) != comm->received[self].load(std::memory_order_relaxed)) {
    fetch_own_messages_slowly(call, comm);
  }
}

// A message that the lower half had and matched with none of its receives: the first that stands above gets it.  False: none does.
bool give_to_own_receive(Call& call, Comm* comm, const DrainedMessage* message);

enum class OwnMessage { delivered, queued, must_go_down };
// `request` may be null: a buffered send.  After must_go_down the caller sends it, then calls fetch_own_messages.  A synchronous one that is queued is held back until the message is consumed.
OwnMessage send_to_self(Call& call, const void* buffer, int64_t count, Datatype* type, int32_t tag, Comm* comm,
                        Request* request);

}  // namespace mana::upper
