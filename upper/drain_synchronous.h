// SPDX-License-Identifier: BSD-3-Clause
// Synchronous sends across a checkpoint.
//
// Draining takes messages that no receive of the application has asked for, which completes their sends below.  A synchronous send
// must not be complete above before its receive has begun.  So each rank tells, for every synchronous send that is pending when
// counts are exchanged, how many sends of the same stream (communicator, destination, tag) it began later: k.  Messages of one
// stream are received in the order in which they were sent, and what is drained of it are its last ones; so after the drain the
// receiver knows: if its queue holds more than k messages of the stream, the (k+1)-th from the end is this one, and it has not been
// asked for; otherwise a receive has taken it.  It answers which; the sender holds the request back in the first case, and
// the receiver sends an acknowledgement when the message is consumed, before or after any number of restarts.
#pragma once

#include "upper/drain_exchange.h"

namespace mana::upper {

// The sender's side: adds what it tells, and holds the requests back until the verdict.
void tell_synchronous_sends(Exchange& exchange);
void hear_verdict(Call& call, const Record& record);
void give_up_verdicts(Call& call);  // the checkpoint was given up: those not judged yet are complete when the lower half says so

// The receiver's side, after the drain: marks the message in the queue, or not, and answers.
void judge(const Record& record, Comm* comm, int32_t source_rank, Exchange& answers);

// Acknowledgements under way are counted per rank, and drained like messages.
void tell_acknowledgements(Exchange& exchange);
void expect_acknowledgements(const Record& record);
uint64_t missing_acknowledgements(Call& call);  // also counts own ones that are not sent completely
void forget_acknowledgements_under_way();       // after a restart; there are none

}  // namespace mana::upper
