// SPDX-License-Identifier: BSD-3-Clause
#include "upper/drain_exchange.h"

#include "upper/text.h"

namespace mana::upper {

namespace {

struct Header {
  uint64_t number;  // of the exchange: the checkpoint attempt and which exchange in it
  uint32_t round;
  uint32_t count;   // records that follow
};

// A message that came before its round, or of an exchange that this rank has not begun yet.
struct Early {
  Early* previous;
  Early* next;
  int32_t source;
  Header header;
  Record records[];
};

constinit List<Early> early = {};

// Reads everything that has come on the exchange's tag.
void read_inbox(Call& call) {
  for (;;) {
    core::Improbe probe{abi::ANY_SOURCE, kExchangeTag, world.private_comm, 0, 0, {}};
    if (call.cross(CoreOp::improbe, &probe) != 0 || !probe.flag) return;
    auto bytes = static_cast<int64_t>(probe.status.bytes());
    auto* buffer = static_cast<uint8_t*>(allocate(static_cast<size_t>(bytes)));
    core::Mrecv receive{buffer, bytes, world.packed, probe.message, {}};
    call.cross(CoreOp::mrecv, &receive);
    Header header;
    copy_bytes(&header, buffer, sizeof header);
    auto* message = static_cast<Early*>(allocate(sizeof(Early) + header.count * sizeof(Record)));
    message->source = probe.status.source;
    message->header = header;
    copy_bytes(message->records, buffer + sizeof header, header.count * sizeof(Record));
    early.append(message);
    deallocate(buffer);
  }
}

Early* find_early(int32_t source, uint64_t number, uint32_t round) {
  for (Early* m = early.first; m != nullptr;) {
    Early* next = m->next;
    if (m->header.number < number) {  // of an attempt that was given up
      early.remove(m);
      deallocate(m);
    } else if (m->source == source && m->header.number == number && m->header.round == round) {
      return m;
    }
    m = next;
  }
  return nullptr;
}

int32_t distance(int32_t destination) {
  int32_t d = destination - upper_interface.world_rank;
  return d < 0 ? d + upper_interface.world_size : d;
}

}  // namespace

void Exchange::begin(uint64_t number) {
  end();
  sent_ = false;
  round_ = 0;
  number_ = number;
}

// A send of an exchange that was given up is still the lower half's: its buffer stays until a restart forgets both.
void Exchange::end() {
  records_.clear();
  if (send_request_ == 0) deallocate(send_buffer_);
  send_request_ = 0;
  send_buffer_ = nullptr;
}

bool Exchange::send_round(Call& call) {
  const int32_t step = int32_t{1} << round_;
  uint32_t leaving = 0;
  for (const Record& r : records_) leaving += (distance(r.destination) & step) != 0;
  const size_t bytes = sizeof(Header) + leaving * sizeof(Record);
  send_buffer_ = static_cast<uint8_t*>(allocate(bytes));
  Header header{number_, round_, leaving};
  copy_bytes(send_buffer_, &header, sizeof header);
  uint8_t* at = send_buffer_ + sizeof header;
  int64_t kept = 0;
  for (const Record& r : records_) {
    if (distance(r.destination) & step) {
      copy_bytes(at, &r, sizeof r);
      at += sizeof r;
    } else {
      records_[kept++] = r;
    }
  }
  records_.size = kept;
  const int32_t to = (upper_interface.world_rank + step) % upper_interface.world_size;
  core::Isend send{send_buffer_, static_cast<int64_t>(bytes), world.packed, to, kExchangeTag, world.private_comm, 0, 0};
  if (call.cross(CoreOp::isend, &send) != 0) fail("an exchange between ranks could not be sent");
  send_request_ = send.request;
  sent_ = true;
  return true;
}

bool Exchange::hear_round(Call& call) {
  const int32_t step = int32_t{1} << round_;
  const int32_t size = upper_interface.world_size;
  const int32_t from = (upper_interface.world_rank + size - step % size) % size;
  read_inbox(call);
  if (send_request_ != 0) {
    abi::Status status;
    core::TestEach test{&send_request_, 1, 0, &status};
    call.cross(CoreOp::test_each, &test);
    if (send_request_ != 0) return false;
  }
  Early* message = find_early(from, number_, round_);
  if (message == nullptr) return false;
  for (uint32_t i = 0; i < message->header.count; ++i) records_.push(message->records[i]);
  early.remove(message);
  deallocate(message);
  deallocate(send_buffer_);
  send_buffer_ = nullptr;
  sent_ = false;
  ++round_;
  return true;
}

bool Exchange::step(Call& call) {
  while ((int64_t{1} << round_) < upper_interface.world_size) {
    if (!sent_) send_round(call);
    if (!hear_round(call)) return false;
  }
  return true;
}

}  // namespace mana::upper
