// SPDX-License-Identifier: BSD-3-Clause
#include "upper/queue.h"

#include "upper/comm.h"
#include "upper/drain_synchronous.h"
#include "upper/p2p_self.h"
#include "upper/pack.h"
#include "upper/status.h"

namespace mana::upper {

DrainedMessage* find_drained_slowly(const Comm* comm, int32_t source, int32_t tag) {
  for (DrainedMessage* m = comm->first_drained; m != nullptr; m = m->next) {
    if ((source == abi::ANY_SOURCE || source == m->source) && (tag == abi::ANY_TAG || tag == m->tag)) return m;
  }
  return nullptr;
}

DrainedMessage* take_message(Call& call, Comm* comm, uint64_t lower_message, const abi::Status& status, bool held) {
  auto size = static_cast<int64_t>(status.bytes());
  auto* message = static_cast<DrainedMessage*>(allocate(sizeof(DrainedMessage) + static_cast<size_t>(size)));
  *message = {nullptr, nullptr, status.source, status.tag, size, 0};
  core::Mrecv block{message->data, size, world.packed, lower_message, {}};
  call.cross(CoreOp::mrecv, &block);
  if (!held) {
    Call::bump(comm->received[status.source]);
    if (is_self(comm, status.source) && give_to_own_receive(call, comm, message)) {
      deallocate(message);
      return nullptr;
    }
    append_drained(comm, message);
  }
  return message;
}

void append_drained(Comm* comm, DrainedMessage* message) {
  List<DrainedMessage> queue{comm->first_drained, comm->last_drained};
  queue.append(message);
  comm->first_drained = queue.first;
  comm->last_drained = queue.last;
}

void unlink_drained(Comm* comm, DrainedMessage* message) {
  List<DrainedMessage> queue{comm->first_drained, comm->last_drained};
  queue.remove(message);
  comm->first_drained = queue.first;
  comm->last_drained = queue.last;
}

void set_drained_status(const DrainedMessage* message, abi::Status* status) {
  set_status(status, message->source, message->tag, 0, static_cast<uint64_t>(message->size), 0);
}

int deliver_drained(Call& call, Comm* comm, DrainedMessage* message, void* buffer, int64_t count, Datatype* type,
                    abi::Status* status) {
  int64_t used = unpack_stream(buffer, count, type, message->data, message->size);
  int error = used < message->size ? abi::ERR_TRUNCATE : 0;
  set_status(status, message->source, message->tag, error, static_cast<uint64_t>(used), 0);
  if (message->acknowledge != 0) {
    acknowledge(call, peer_world_ranks(comm)[message->source], message->acknowledge);
  }
  deallocate(message);
  return error;
}

bool take_unmatched(Call& call, Comm* comm) {
  if (comm->lower == 0 || comm->foreign) return false;
  core::Improbe block{abi::ANY_SOURCE, abi::ANY_TAG, comm->lower, 0, 0, {}};
  if (call.cross(CoreOp::improbe, &block) != 0 || !block.flag) return false;
  take_message(call, comm, block.message, block.status, false);
  return true;
}

}  // namespace mana::upper
