// SPDX-License-Identifier: BSD-3-Clause
#include "upper/drain_synchronous.h"

#include "upper/comm.h"
#include "upper/drain.h"
#include "upper/queue.h"
#include "upper/request.h"

namespace mana::upper {

namespace {

struct Outgoing {
  Outgoing* previous;
  Outgoing* next;
  uint64_t key;
  uint64_t lower;
};
constinit List<Outgoing> outgoing = {};

// Per world rank, since the job began; null until the first acknowledgement.
constinit uint64_t* sent_to = nullptr;
constinit uint64_t* received_from = nullptr;
constinit uint64_t* expected_from = nullptr;

uint64_t& at(uint64_t*& words, int32_t rank) {
  if (words == nullptr) {
    words = static_cast<uint64_t*>(allocate_zeroed(sizeof(uint64_t) * static_cast<size_t>(upper_interface.world_size)));
  }
  return words[rank];
}

void test_outgoing(Call& call) {
  for (Outgoing* o = outgoing.first; o != nullptr;) {
    Outgoing* next = o->next;
    abi::Status status;
    core::TestEach block{&o->lower, 1, 0, &status};
    call.cross(CoreOp::test_each, &block);
    if (o->lower == 0) {
      outgoing.remove(o);
      deallocate(o);
    }
    o = next;
  }
}

bool waits_for(const Request* request) { return request->what == Request::What::send && request->held; }

void let_complete(Call& call, Request* request) {
  request->held = 0;
  --held_sends;
  if (request->lower == 0 && !request->complete) complete_request(call, request, request->status);
}

Request* find_held(uint64_t key) {
  for (Request* r = active_requests.first; r != nullptr; r = r->next) {
    if (waits_for(r) && r->posted == key) return r;
  }
  return nullptr;
}

constexpr uint8_t kAwaitsVerdict = 1, kAwaitsReceiver = 2;  // Request::held

}  // namespace

void acknowledge(Call& call, int32_t world_rank, uint64_t key) {
  test_outgoing(call);
  auto* o = make_zeroed<Outgoing>();
  o->key = key;
  core::Isend block{&o->key, sizeof o->key, world.packed, world_rank, kAcknowledgeTag, world.private_comm, 0, 0};
  call.cross(CoreOp::isend, &block);
  ++at(sent_to, world_rank);
  o->lower = block.request;
  if (o->lower != 0) {
    outgoing.append(o);
  } else {
    deallocate(o);
  }
}

bool take_acknowledgements(Call& call) {
  bool any = false;
  for (;;) {
    core::Improbe probe{abi::ANY_SOURCE, kAcknowledgeTag, world.private_comm, 0, 0, {}};
    if (call.cross(CoreOp::improbe, &probe) != 0 || !probe.flag) return any;
    uint64_t key = 0;
    core::Mrecv receive{&key, sizeof key, world.packed, probe.message, {}};
    call.cross(CoreOp::mrecv, &receive);
    ++at(received_from, probe.status.source);
    if (Request* request = find_held(key)) let_complete(call, request);
    any = true;
  }
}

void tell_synchronous_sends(Exchange& exchange) {
  for (Request* r = active_requests.first; r != nullptr; r = r->next) {
    if (r->what != Request::What::send || r->mode != 1 || r->held || r->comm->counter == nullptr) continue;
    r->held = kAwaitsVerdict;
    ++held_sends;
    exchange.add({RecordKind::synchronous, peer_world_ranks(r->comm)[r->peer], upper_interface.world_rank, r->tag,
                  r->comm->counter->uid, later_sends(r), r->posted});
  }
}

void hear_verdict(Call& call, const Record& record) {
  Request* request = find_held(record.key);
  if (request == nullptr) return;
  if (record.value == 1) {
    let_complete(call, request);
  } else {
    request->held = kAwaitsReceiver;
  }
}

void give_up_verdicts(Call& call) {
  for (Request* r = active_requests.first; r != nullptr;) {
    Request* next = r->next;
    if (waits_for(r) && r->held == kAwaitsVerdict) let_complete(call, r);
    r = next;
  }
}

void judge(const Record& record, Comm* comm, int32_t source_rank, Exchange& answers) {
  uint64_t later = 0;
  bool taken = true;
  for (DrainedMessage* m = comm->last_drained; m != nullptr && taken; m = m->previous) {
    if (m->source != source_rank || m->tag != record.tag) continue;
    if (later++ < record.value) continue;
    m->acknowledge = record.key;
    taken = false;
  }
  answers.add({RecordKind::verdict, record.source, upper_interface.world_rank, record.tag, record.uid,
               taken ? uint64_t{1} : 0, record.key});
}

void tell_acknowledgements(Exchange& exchange) {
  for (int32_t rank = 0; sent_to != nullptr && rank < upper_interface.world_size; ++rank) {
    if (sent_to[rank] == 0) continue;
    exchange.add({RecordKind::acknowledged, rank, upper_interface.world_rank, 0, 0, sent_to[rank], 0});
  }
}

void expect_acknowledgements(const Record& record) { at(expected_from, record.source) = record.value; }

uint64_t missing_acknowledgements(Call& call) {
  test_outgoing(call);
  take_acknowledgements(call);
  uint64_t missing = 0;
  for (Outgoing* o = outgoing.first; o != nullptr; o = o->next) ++missing;
  for (int32_t rank = 0; expected_from != nullptr && rank < upper_interface.world_size; ++rank) {
    uint64_t have = received_from != nullptr ? received_from[rank] : 0;
    if (expected_from[rank] > have) missing += expected_from[rank] - have;
  }
  return missing;
}

void forget_acknowledgements_under_way() {
  while (Outgoing* o = outgoing.first) {
    outgoing.remove(o);
    deallocate(o);
  }
}

}  // namespace mana::upper
