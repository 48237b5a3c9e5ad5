// SPDX-License-Identifier: BSD-3-Clause
#include "upper/p2p_self.h"

#include "upper/drain_synchronous.h"
#include "upper/pack.h"
#include "upper/status.h"

namespace mana::upper {

namespace {

// A posted receive that matches a message of this rank to itself; those of MPI_Imrecv (`counted`) have their message already.
bool may_take(const Request* r, const Comm* comm, int32_t tag) {
  return r->what == Request::What::recv && r->comm == comm && (r->tag == tag || r->tag == abi::ANY_TAG) && !r->counted;
}

Request* first_matching_receive(const Comm* comm, int32_t tag) {
  for (Request* r = active_requests.first; r != nullptr; r = r->next) {
    if (may_take(r, comm, tag) && (r->peer == comm->rank || r->peer == abi::ANY_SOURCE)) return r;
  }
  return nullptr;
}

// The lower half may have given the receive a message of another rank, without our knowing yet.
bool has_completed_below(Call& call, Request* receive) {
  if (receive->busy) return false;
  uint64_t lower = receive->lower;
  abi::Status status;
  core::TestEach block{&lower, 1, 0, &status};
  call.cross(CoreOp::test_each, &block);
  if (lower != 0) return false;
  complete_request(call, receive, status);
  return true;
}

// A stream of bytes for the receiver's type: the sender's memory itself where that is one piece.
class Stream {
 public:
  Stream(const void* buffer, int64_t count, Datatype* type) : size_(type->size * count) {
    if (type->dense) {
      bytes_ = static_cast<const uint8_t*>(buffer) + type->true_lower_bound;
      return;
    }
    packed_ = static_cast<uint8_t*>(allocate(static_cast<size_t>(size_)));
    pack_stream(buffer, count, type, packed_, size_);
    bytes_ = packed_;
  }
  ~Stream() {
    if (packed_ != nullptr) deallocate(packed_);
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  const uint8_t* bytes() const { return bytes_; }
  int64_t size() const { return size_; }

 private:
  int64_t size_;
  const uint8_t* bytes_;
  uint8_t* packed_ = nullptr;
};

void fill(Call& call, Request* receive, const uint8_t* bytes, int64_t size, int32_t tag) {
  int64_t used = unpack_stream(receive->buffer, receive->count, receive->datatype, bytes, size);
  abi::Status status;
  set_status(&status, receive->comm->rank, tag, used < size ? abi::ERR_TRUNCATE : 0, static_cast<uint64_t>(used), 0);
  receive->counted = 1;  // never sent, or counted when it was taken off the lower half
  complete_request(call, receive, status);
}

DrainedMessage* enqueue(Comm* comm, const void* buffer, int64_t count, Datatype* type, int32_t tag) {
  int64_t size = type->size * count;
  auto* message = static_cast<DrainedMessage*>(allocate(sizeof(DrainedMessage) + static_cast<size_t>(size)));
  *message = {nullptr, nullptr, comm->rank, tag, size, 0};
  pack_stream(buffer, count, type, message->data, size);
  append_drained(comm, message);
  return message;
}

}  // namespace

bool give_to_own_receive(Call& call, Comm* comm, const DrainedMessage* message) {
  for (Request* r = active_requests.first; r != nullptr; r = r->next) {
    if (may_take(r, comm, message->tag) && r->peer == comm->rank) {
      fill(call, r, message->data, message->size, message->tag);
      return true;
    }
  }
  return false;
}

void fetch_own_messages_slowly(Call& call, Comm* comm) {
  for (;;) {
    core::Improbe block{comm->rank, abi::ANY_TAG, comm->lower, 0, 0, {}};
    if (call.cross(CoreOp::improbe, &block) != 0 || !block.flag) return;
    take_message(call, comm, block.message, block.status, false);
  }
}

OwnMessage send_to_self(Call& call, const void* buffer, int64_t count, Datatype* type, int32_t tag, Comm* comm,
                        Request* request) {
  fetch_own_messages(call, comm);
  while (Request* receive = first_matching_receive(comm, tag)) {
    if (receive->lower != 0) {
      if (has_completed_below(call, receive)) continue;
      return OwnMessage::must_go_down;
    }
    const Stream stream(buffer, count, type);
    fill(call, receive, stream.bytes(), stream.size(), tag);
    return OwnMessage::delivered;
  }
  DrainedMessage* message = enqueue(comm, buffer, count, type, tag);
  if (request != nullptr && request->mode == synchronous) {
    hold_until_consumed(request);
    message->acknowledge = request->posted;
  }
  return OwnMessage::queued;
}

}  // namespace mana::upper
