// SPDX-License-Identifier: BSD-3-Clause
// Exchange of counts, and the drain: until for every communicator and peer as many messages have been received as the peer
// has sent.  Counts are totals since the communicator was made, so nothing is lost when a checkpoint is given up half way.
#include "upper/drain.h"

#include "upper/closure.h"
#include "upper/comm.h"
#include "upper/drain_exchange.h"
#include "upper/drain_synchronous.h"
#include "upper/object_tables.h"
#include "upper/queue.h"
#include "upper/request.h"
#include "upper/text.h"

namespace mana::upper {

namespace {

enum class Phase { none, counts, draining, verdicts, drained };

struct Expectation {
  Comm* comm;
  uint64_t* from;  // per peer
};

constinit Phase phase = Phase::none;
constinit Exchange exchange = {};
constinit Vector<Expectation> expectations = {};
constinit Vector<Record> synchronous_sends = {};
constinit HashMap by_uid = {};
constinit uint64_t exchanges_begun = 0;

// Equal at all ranks for the same exchange.
uint64_t exchange_number(uint32_t which) {
  uint64_t attempt = upper_interface.attempt.load(std::memory_order_relaxed);
  return (attempt != 0 ? attempt : exchanges_begun) * 2 + which;
}

void forget_expectations() {
  for (Expectation& e : expectations) deallocate(e.from);
  expectations.clear();
  synchronous_sends.clear();
  by_uid.clear();
}

void start_over() {
  forget_expectations();
  exchange.end();
  phase = Phase::none;
}

// Only this rank sends on a communicator of one member: what is to come is known.
void expect(Comm* comm) {
  Expectation e{comm, static_cast<uint64_t*>(allocate_zeroed(sizeof(uint64_t) * static_cast<size_t>(peer_count(comm))))};
  if (comm->counter == nullptr && !comm->is_inter) {
    e.from[0] = comm->sent[0].load(std::memory_order_relaxed);
  }
  expectations.push(e);
  if (comm->counter != nullptr) by_uid.insert(comm->counter->uid, static_cast<uint64_t>(expectations.size));
}

void tell_counts(Comm* comm) {
  if (comm->counter == nullptr) return;
  for (int32_t peer = 0; peer < peer_count(comm); ++peer) {
    uint64_t sent = comm->sent[peer].load(std::memory_order_relaxed);
    if (sent == 0) continue;
    exchange.add({RecordKind::sent, peer_world_ranks(comm)[peer], upper_interface.world_rank, 0, comm->counter->uid,
                  sent, 0});
  }
}

int32_t rank_in_peers(const Comm* comm, int32_t world_rank) {
  if (comm == &world_comm) return world_rank;
  const int32_t* ranks = peer_world_ranks(comm);
  for (int32_t i = 0; i < peer_count(comm); ++i) {
    if (ranks[i] == world_rank) return i;
  }
  return -1;
}

Expectation* expectation_of(uint64_t uid) {
  uint64_t index = by_uid.find(uid);
  return index != 0 ? &expectations[static_cast<int64_t>(index) - 1] : nullptr;
}

// A communicator that this rank does not know any more has let go of it together with the sender: nothing is under way on it.
void hear_counts() {
  for (const Record& r : exchange.records()) {
    if (r.kind == RecordKind::notes) expect_notes(r);
    if (r.kind == RecordKind::synchronous) synchronous_sends.push(r);
    Expectation* e = r.kind == RecordKind::sent ? expectation_of(r.uid) : nullptr;
    int32_t peer = e != nullptr ? rank_in_peers(e->comm, r.source) : -1;
    if (peer >= 0) e->from[peer] = r.value;
  }
}

uint64_t missing_on(const Expectation& e, int32_t* worst) {
  uint64_t missing = 0;
  for (int32_t peer = 0; peer < peer_count(e.comm); ++peer) {
    uint64_t received = e.comm->received[peer].load(std::memory_order_relaxed);
    if (received >= e.from[peer]) continue;
    missing += e.from[peer] - received;
    *worst = peer;
  }
  return missing;
}

// A message that MPI_Mprobe has given out stays with its MPI_Message, as bytes.
void take_matched_messages(Call& call) {
  for_each_object(Kind::message, [&](Object* object) {
    auto* message = static_cast<Message*>(object);
    if (message->lower == 0) return;
    message->drained = take_message(call, message->comm, message->lower, message->status, true);
    message->lower = 0;
  });
}

uint64_t sends_under_way() {
  uint64_t count = 0;
  for (Request* r = active_requests.first; r != nullptr; r = r->next) {
    count += r->what == Request::What::send && r->lower != 0;
  }
  return count;
}

void describe_missing(ServiceCall* what, const Expectation& e, int32_t peer, uint64_t missing) {
  Text text;
  text.add(missing).add(" message(s) still expected on ").add(e.comm->name[0] ? e.comm->name : "a communicator");
  text.add(", from rank ").add(peer_world_ranks(e.comm)[peer]);
  copy_text(what->detail, text.c_str(), sizeof what->detail);
}

// Receives what there is; returns how much is left.
uint64_t drain_once(Call& call, ServiceCall* what) {
  take_matched_messages(call);
  test_all_active(call);
  uint64_t left = 0;
  for (const Expectation& e : expectations) {
    int32_t worst = 0;
    uint64_t missing = missing_on(e, &worst);
    while (missing > 0 && take_unmatched(call, e.comm)) missing = missing_on(e, &worst);
    if (missing > 0) describe_missing(what, e, worst, missing);
    left += missing;
  }
  return left + sends_under_way() + missing_notes(call);
}

void begin_verdicts() {
  exchange.begin(exchange_number(1));
  for (const Record& r : synchronous_sends) {
    Expectation* e = expectation_of(r.uid);
    int32_t source = e != nullptr ? rank_in_peers(e->comm, r.source) : -1;
    if (source >= 0) judge(r, e->comm, source, exchange);
  }
  phase = Phase::verdicts;
}

}  // namespace

void exchange_counts(Call& call, ServiceCall* what) {
  // Of an attempt that was given up without our hearing of it: begun anew.
  bool stale = upper_interface.attempt.load(std::memory_order_relaxed) != 0 && exchange.number() != exchange_number(0);
  if (phase != Phase::counts || stale) {
    start_over();
    ++exchanges_begun;
    phase = Phase::counts;
    exchange.begin(exchange_number(0));
    for (Comm* comm = live_comms.first; comm != nullptr; comm = comm->next) {
      if (comm->foreign) continue;
      expect(comm);
      tell_counts(comm);
    }
    tell_synchronous_sends(exchange);
    tell_notes(exchange);
  }
  // A peer's rendezvous may be in the way of the exchange: the network keeps moving.
  test_all_active(call);
  if (!exchange.step(call)) return;
  hear_counts();
  exchange.end();
  phase = Phase::draining;
  what->done = 1;
}

void drain(Call& call, ServiceCall* what) {
  if (phase == Phase::draining) {
    uint64_t left = drain_once(call, what);
    what->pending = left < UINT32_MAX ? static_cast<uint32_t>(left) : UINT32_MAX;
    if (left == 0) begin_verdicts();
  }
  if (phase == Phase::verdicts) {
    test_all_active(call);
    if (!exchange.step(call)) return;
    for (const Record& r : exchange.records()) hear_verdict(call, r);
    exchange.end();
    phase = Phase::drained;
  }
  what->done = phase == Phase::drained;
}

// Also after a checkpoint that was given up at any point.
void resume(Call& call, ServiceCall* what) {
  stop_judging(call);
  start_over();
  what->done = 1;
}

}  // namespace mana::upper
