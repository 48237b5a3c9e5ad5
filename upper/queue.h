// SPDX-License-Identifier: BSD-3-Clause
// Messages that were received for a checkpoint before the application asked for them: per communicator, in the order
// in which they arrived, as the bytes that travelled.  Every receive-like call looks here first.
//
// Why first is right: a message is only put here when it matched no posted receive, so entries belong to no older receive; and what
// the lower half still holds of the same source came later.
#pragma once

#include <cstdint>

#include "upper/runtime.h"

namespace mana::upper {

struct DrainedMessage {
  DrainedMessage* previous;
  DrainedMessage* next;
  int32_t source, tag;       // rank in the group that messages come from
  int64_t size;
  uint64_t acknowledge;      // the sender's name for a synchronous send; 0: no acknowledgement is due
  uint8_t data[];
};

// The first message of the queue that matches; nullptr: none.  One load when the queue is empty.
DrainedMessage* find_drained_slowly(const Comm* comm, int32_t source, int32_t tag);
inline DrainedMessage* find_drained(const Comm* comm, int32_t source, int32_t tag) {
  return comm->first_drained == nullptr ? nullptr : find_drained_slowly(comm, source, tag);
}

// Takes the message that `lower_message` names off the lower half; counted as received and appended to the queue, unless
// `held`: an MPI_Message of the application holds it, and it was counted when it was matched.  One to oneself may find its receive
// here: nullptr then.
DrainedMessage* take_message(Call& call, Comm* comm, uint64_t lower_message, const abi::Status& status, bool held);
void append_drained(Comm* comm, DrainedMessage* message);
void unlink_drained(Comm* comm, DrainedMessage* message);  // out of the queue, still alive

// Gives the message to a receive: fills the buffer and all of *status, error included; unlinked already.  Frees it.
// Returns 0 or ERR_TRUNCATE.  A synchronous send is acknowledged here.
int deliver_drained(Call& call, Comm* comm, DrainedMessage* message, void* buffer, int64_t count, Datatype* type,
                    abi::Status* status);
void set_drained_status(const DrainedMessage* message, abi::Status* status);

// Improbe any message of `comm` and take it; false when there was none.
bool take_unmatched(Call& call, Comm* comm);

}  // namespace mana::upper
