// SPDX-License-Identifier: BSD-3-Clause
// Synchronous sends across a checkpoint.
//
// From intent on, ranks receive messages that no receive of the application has asked for (rule 4, drain), which completes their
// sends below.  A synchronous send must not be complete above before its receive has begun.  So when one completes below while
// a checkpoint is intended, or is still pending when counts are exchanged, its request is held back until the receiver has judged.
//
// How the receiver knows which message it is.  Messages of one stream (communicator, source, tag) are received in the order in
// which they were sent.  The sender tells how many sends of the stream it began later (k), and how many messages in all it
// had sent on the communicator.  When the receiver has received exactly that many, nothing of the stream is under way; what its
// queue holds of the stream are the last ones of it; if these are more than k, the (k+1)-th from the end is this message, and it has
// not been asked for: it is marked, and the sender hears of it when it is consumed, before or after any number of
// restarts.  Otherwise a receive of the application has taken it, and the send is complete.
// If more has been received than was told, the sender has sent on meanwhile and is asked to tell again.
//
// While all are parked, questions and answers travel with the exchange of counts and a second exchange after the drain.
#pragma once

#include "upper/drain_exchange.h"

namespace mana::upper {

// --- from intent on, by notes on the private communicator
void ask_receiver(Call& call, Request* request);                       // holds it back
void acknowledge(Call& call, int32_t world_rank, uint64_t key);        // a marked message was consumed
void take_notes(Call& call);                                           // hears what has come, answers what can be answered

void hold_until_consumed(Request* request);                            // a message to oneself that joined the queue: lists it

// --- while all are parked
void tell_synchronous_sends(Exchange& exchange);
void judge(const Record& record, Comm* comm, int32_t source_rank, Exchange& answers);
void hear_verdict(Call& call, const Record& record);
void stop_judging(Call& call);  // the checkpoint is over; requests not judged are complete when the lower half says so

// Notes under way are counted per rank, and drained like messages.
void tell_notes(Exchange& exchange);
void expect_notes(const Record& record);
uint64_t missing_notes(Call& call);  // also counts own ones that are not sent completely
void forget_notes_under_way();       // after a restart; there are none

}  // namespace mana::upper
