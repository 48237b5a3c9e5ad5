// SPDX-License-Identifier: BSD-3-Clause
// Beginning sends and receives.
#include "upper/p2p.h"

#include "upper/drain_synchronous.h"
#include "upper/p2p_self.h"
#include "upper/queue.h"
#include "upper/status.h"

namespace mana::upper {

void note_later_send(const Comm* comm, int32_t destination, int32_t tag) {
  for (Request* r = active_requests.first; r != nullptr; r = r->next) {
    if (r->what == Request::What::send && r->mode == synchronous && r->comm == comm && r->peer == destination &&
        r->tag == tag) {
      ++r->later;
    }
  }
}

void hold_completed_send(Call& call, Request* request) {
  request->complete = 0;
  request->status = {abi::ANY_SOURCE, abi::ANY_TAG, 0, 0, 0, 0, {0, 0}};
  note_synchronous(request);
  list_request(request);
  ask_receiver(call, request);
  if (!request->held) {  // nobody to ask
    --pending_synchronous;
    complete_request(call, request, request->status);
  }
}

int begin_send(Call& call, Request* request) {
  request->active = 1;
  request->cancelled = 0;
  if (request->peer == abi::PROC_NULL) {
    complete_send_at_once(request);
    return 0;
  }
  if (request->mode == buffered) {
    int error = send_buffered(call, request->buffer, request->count, request->datatype, request->peer, request->tag,
                              request->comm);
    if (error == 0) complete_send_at_once(request);
    return error;
  }
  if (is_self(request->comm, request->peer)) {
    request->complete = 0;
    request->status = {abi::ANY_SOURCE, abi::ANY_TAG, 0, 0, 0, 0, {0, 0}};
    OwnMessage where = send_to_self(call, request->buffer, request->count, request->datatype, request->tag,
                                    request->comm, request);
    if (where != OwnMessage::must_go_down) {
      if (!request->held) request->complete = 1;
      return 0;
    }
  }
  uint64_t type = lower(request->datatype);
  if (type == 0) return abi::ERR_TYPE;
  count_send(request->comm, request->peer, request->tag);
  core::Isend block{request->buffer,     request->count, type, request->peer, request->tag,
                    request->comm->lower, request->mode, 0};
  int error = call.cross(CoreOp::isend, &block);
  if (error != 0) {
    uncount_send(request->comm, request->peer);
    return error;
  }
  if (block.request == 0) {
    if (request->mode == synchronous && intended()) {
      hold_completed_send(call, request);
    } else {
      complete_send_at_once(request);
    }
    if (is_self(request->comm, request->peer)) fetch_own_messages(call, request->comm);
    return 0;
  }
  request->lower = block.request;
  request->complete = 0;
  if (request->mode == synchronous) note_synchronous(request);
  list_request(request);
  if (is_self(request->comm, request->peer)) fetch_own_messages(call, request->comm);
  return 0;
}

int post_again(Call& call, Request* request) {
  uint64_t type = lower(request->datatype);
  if (type == 0) return abi::ERR_TYPE;
  core::Irecv block{request->buffer, request->count, type, request->peer, request->tag, request->comm->lower, 0};
  int error = call.cross(CoreOp::irecv, &block);
  request->lower = block.request;
  return error;
}

int begin_receive(Call& call, Request* request) {
  request->active = 1;
  request->cancelled = 0;
  if (request->peer == abi::PROC_NULL) {
    request->complete = 1;
    set_proc_null_status(&request->status);
    return 0;
  }
  Comm* comm = request->comm;
  const bool from_self = is_self(comm, request->peer);
  if (from_self) fetch_own_messages(call, comm);
  if (DrainedMessage* message = find_drained(comm, request->peer, request->tag)) [[unlikely]] {
    unlink_drained(comm, message);
    deliver_drained(call, comm, message, request->buffer, request->count, request->datatype, &request->status);
    request->complete = 1;
    return 0;
  }
  request->complete = 0;
  request->counted = 0;
  int error = from_self ? 0 : post_again(call, request);
  if (error == 0) list_request(request);
  return error;
}

int start_send(Call& call, const void* buffer, int64_t count, Datatype* type, int32_t destination, int32_t tag,
               Comm* comm, int32_t mode, Request** request) {
  Request* r = new_request(call, Request::What::send);
  r->mode = static_cast<uint8_t>(mode);
  describe(r, buffer, count, type, destination, tag, comm);
  int error = begin_send(call, r);
  if (error != 0) [[unlikely]] {
    free_request(r);
    return error;
  }
  *request = r;
  return 0;
}

int start_receive(Call& call, void* buffer, int64_t count, Datatype* type, int32_t source, int32_t tag, Comm* comm,
                  Request** request) {
  Request* r = new_request(call, Request::What::recv);
  describe(r, buffer, count, type, source, tag, comm);
  int error = begin_receive(call, r);
  if (error != 0) [[unlikely]] {
    free_request(r);
    return error;
  }
  *request = r;
  return 0;
}

}  // namespace mana::upper
