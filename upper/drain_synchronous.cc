// SPDX-License-Identifier: BSD-3-Clause
#include "upper/drain_synchronous.h"

#include "upper/comm.h"
#include "upper/queue.h"
#include "upper/request.h"

namespace mana::upper {

namespace {

enum class NoteKind : uint32_t {
  question,   // is this synchronous send taken?
  taken,      // answers
  waiting,    // it is in the queue; `consumed` will follow
  ask_again,
  consumed,
};

struct Note {
  NoteKind kind;
  int32_t tag;
  uint64_t uid;     // communicator
  uint64_t later;   // k
  uint64_t total;   // messages sent on the communicator to this receiver
  uint64_t key;     // the sender's name for the send
};

struct Outgoing {
  Outgoing* previous;
  Outgoing* next;
  uint64_t lower;
  Note note;
};
struct Question {
  Question* previous;
  Question* next;
  int32_t source;  // world rank
  Note note;
};

constinit List<Outgoing> outgoing = {};
constinit List<Question> questions = {};
constinit bool parked_judging = false;  // questions travel with the exchange now

constinit uint32_t releases_heard = 0;

// Notes per world rank, since the job began; null until the first.
constinit uint64_t* sent_to = nullptr;
constinit uint64_t* received_from = nullptr;
constinit uint64_t* expected_from = nullptr;

constexpr uint8_t kAwaitsVerdict = 1, kAwaitsReceiver = 2;  // Request::held

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

void send_note(Call& call, int32_t world_rank, const Note& note) {
  test_outgoing(call);
  auto* o = make_zeroed<Outgoing>();
  o->note = note;
  core::Isend block{&o->note, sizeof o->note, world.packed, world_rank, kNoteTag, world.private_comm, 0, 0};
  call.cross(CoreOp::isend, &block);
  ++at(sent_to, world_rank);
  o->lower = block.request;
  if (o->lower != 0) {
    outgoing.append(o);
  } else {
    deallocate(o);
  }
}

bool is_held(const Request* request) { return request->what == Request::What::send && request->held; }

Request* find_held(uint64_t key) {
  for (Request* r = active_requests.first; r != nullptr; r = r->next) {
    if (is_held(r) && r->posted == key) return r;
  }
  return nullptr;
}

void settle(Request* request) {
  if (request->held == kAwaitsVerdict) --pending_synchronous;
}

void let_complete(Call& call, Request* request) {
  settle(request);
  request->held = 0;
  --held_sends;
  if (request->lower == 0 && !request->complete) complete_request(call, request, request->status);
}

void keep_holding(Request* request) {
  settle(request);
  request->held = kAwaitsReceiver;
}

Note question_about(const Request* request) {
  return {NoteKind::question,
          request->tag,
          request->comm->counter->uid,
          request->later,
          request->comm->sent[request->peer].load(std::memory_order_relaxed),
          request->posted};
}

int32_t receiver_of(const Request* request) { return peer_world_ranks(request->comm)[request->peer]; }

// Marks the message if it is in the queue; nothing of its stream is under way.  True: it is.
bool find_and_mark(Comm* comm, int32_t source_rank, int32_t tag, uint64_t later, uint64_t key) {
  uint64_t behind = 0;
  for (DrainedMessage* m = comm->last_drained; m != nullptr; m = m->previous) {
    if (m->source != source_rank || m->tag != tag) continue;
    if (behind++ < later) continue;
    m->acknowledge = key;
    return true;
  }
  return false;
}

int32_t peer_of(const Comm* comm, int32_t world_rank) {
  for (int32_t i = 0; i < peer_count(comm); ++i) {
    if (peer_world_ranks(comm)[i] == world_rank) return i;
  }
  return -1;
}

// False: too early to say.
bool answer(Call& call, int32_t source, const Note& note) {
  Comm* comm = find_comm(note.uid);
  int32_t peer = comm != nullptr ? peer_of(comm, source) : -1;
  NoteKind kind = NoteKind::taken;
  if (peer >= 0) {
    uint64_t received = comm->received[peer].load(std::memory_order_relaxed);
    if (received < note.total) return false;
    kind = received > note.total                                        ? NoteKind::ask_again
           : find_and_mark(comm, peer, note.tag, note.later, note.key) ? NoteKind::waiting
                                                                         : NoteKind::taken;
  }
  Note reply{};
  reply.kind = kind;
  reply.key = note.key;
  send_note(call, source, reply);
  return true;
}

void answer_questions(Call& call) {
  for (Question* q = questions.first; q != nullptr;) {
    Question* next = q->next;
    if (parked_judging || answer(call, q->source, q->note)) {
      questions.remove(q);
      deallocate(q);
    }
    q = next;
  }
}

void hear_note(Call& call, int32_t source, const Note& note) {
  if (note.kind == NoteKind::question) {
    auto* question = make_zeroed<Question>();
    question->source = source;
    question->note = note;
    questions.append(question);
    return;
  }
  Request* request = find_held(note.key);
  if (request == nullptr) return;
  switch (note.kind) {
    case NoteKind::waiting: keep_holding(request); break;
    case NoteKind::ask_again:
      if (!parked_judging) send_note(call, source, question_about(request));
      break;
    default: let_complete(call, request);
  }
}

void give_up_verdicts(Call& call) {
  for (Request* r = active_requests.first; r != nullptr;) {
    Request* next = r->next;
    if (is_held(r) && r->held == kAwaitsVerdict) let_complete(call, r);
    r = next;
  }
}

}  // namespace

void ask_receiver(Call& call, Request* request) {
  if (request->comm->counter == nullptr) return;  // to itself
  // An older release is not meant for this one.
  if (held_sends == 0) releases_heard = upper_interface.control.releases.load(std::memory_order_relaxed);
  request->held = kAwaitsVerdict;
  ++held_sends;
  if (!parked_judging) send_note(call, receiver_of(request), question_about(request));
}

void hold_until_consumed(Request* request) {
  request->held = kAwaitsReceiver;
  ++held_sends;
  list_request(request);
}

void acknowledge(Call& call, int32_t world_rank, uint64_t key) {
  Note note{};
  note.kind = NoteKind::consumed;
  note.key = key;
  send_note(call, world_rank, note);
}

void take_notes(Call& call) {
  for (;;) {
    core::Improbe probe{abi::ANY_SOURCE, kNoteTag, world.private_comm, 0, 0, {}};
    if (call.cross(CoreOp::improbe, &probe) != 0 || !probe.flag) break;
    Note note{};
    core::Mrecv receive{&note, sizeof note, world.packed, probe.message, {}};
    call.cross(CoreOp::mrecv, &receive);
    ++at(received_from, probe.status.source);
    hear_note(call, probe.status.source, note);
  }
  if (!questions.empty()) answer_questions(call);
  const uint32_t releases = upper_interface.control.releases.load(std::memory_order_relaxed);
  if (held_sends != 0 && releases != releases_heard && !parked_judging) {
    releases_heard = releases;
    give_up_verdicts(call);
  }
  // The checkpoint was given up while the application ran: nobody may be listening any more.
  if (held_sends != 0 && !intended() && !parked_judging) give_up_verdicts(call);
}

void tell_synchronous_sends(Exchange& exchange) {
  parked_judging = true;
  for (Request* r = active_requests.first; r != nullptr; r = r->next) {
    if (r->what != Request::What::send || r->mode != 1 || r->held == kAwaitsReceiver) continue;
    if (r->comm->counter == nullptr) continue;
    if (!r->held) ++held_sends;
    r->held = kAwaitsVerdict;
    exchange.add({RecordKind::synchronous, receiver_of(r), upper_interface.world_rank, r->tag, r->comm->counter->uid,
                  r->later, r->posted});
  }
}

void hear_verdict(Call& call, const Record& record) {
  Request* request = find_held(record.key);
  if (request == nullptr) return;
  if (record.value == 1) {
    let_complete(call, request);
  } else {
    keep_holding(request);
  }
}

void stop_judging(Call& call) {
  parked_judging = false;
  give_up_verdicts(call);
}

void judge(const Record& record, Comm* comm, int32_t source_rank, Exchange& answers) {
  bool waiting = find_and_mark(comm, source_rank, record.tag, record.value, record.key);
  answers.add({RecordKind::verdict, record.source, upper_interface.world_rank, record.tag, record.uid,
               waiting ? uint64_t{0} : 1, record.key});
}

void tell_notes(Exchange& exchange) {
  for (int32_t rank = 0; sent_to != nullptr && rank < upper_interface.world_size; ++rank) {
    if (sent_to[rank] == 0) continue;
    exchange.add({RecordKind::notes, rank, upper_interface.world_rank, 0, 0, sent_to[rank], 0});
  }
}

void expect_notes(const Record& record) { at(expected_from, record.source) = record.value; }

uint64_t missing_notes(Call& call) {
  test_outgoing(call);
  take_notes(call);
  uint64_t missing = 0;
  for (Outgoing* o = outgoing.first; o != nullptr; o = o->next) ++missing;
  for (int32_t rank = 0; expected_from != nullptr && rank < upper_interface.world_size; ++rank) {
    uint64_t have = received_from != nullptr ? received_from[rank] : 0;
    if (expected_from[rank] > have) missing += expected_from[rank] - have;
  }
  return missing;
}

void forget_notes_under_way() {
  while (Outgoing* o = outgoing.first) {
    outgoing.remove(o);
    deallocate(o);
  }
}

}  // namespace mana::upper
