// SPDX-License-Identifier: BSD-3-Clause
// Point-to-point operations on requests; blocking calls, persistent requests and the restart share them.
#pragma once

#include <cstdint>

#include "upper/comm.h"
#include "upper/datatype.h"
#include "upper/request.h"

namespace mana::upper {

enum SendMode : int32_t { standard = 0, synchronous = 1, ready = 2, buffered = 3 };

inline int check_buffer(int64_t count, const Datatype* type) {
  if (count < 0) return abi::ERR_COUNT;
  if (type == nullptr || !type->committed) return abi::ERR_TYPE;
  return 0;
}
inline int check_destination(const Comm* comm, int32_t destination, int32_t tag) {
  if (static_cast<uint32_t>(destination) >= static_cast<uint32_t>(peer_count(comm)) &&
      destination != abi::PROC_NULL) {
    return abi::ERR_RANK;
  }
  return static_cast<uint32_t>(tag) > static_cast<uint32_t>(world.tag_ub) ? abi::ERR_TAG : 0;
}
inline int check_source(const Comm* comm, int32_t source, int32_t tag) {
  if (static_cast<uint32_t>(source) >= static_cast<uint32_t>(peer_count(comm)) && source != abi::PROC_NULL &&
      source != abi::ANY_SOURCE) {
    return abi::ERR_RANK;
  }
  return static_cast<uint32_t>(tag) > static_cast<uint32_t>(world.tag_ub) && tag != abi::ANY_TAG ? abi::ERR_TAG : 0;
}
inline int check_send(const Comm* comm, int64_t count, const Datatype* type, int32_t destination, int32_t tag) {
  if (comm == nullptr) return abi::ERR_COMM;
  int error = check_buffer(count, type);
  return error ? error : check_destination(comm, destination, tag);
}
inline int check_receive(const Comm* comm, int64_t count, const Datatype* type, int32_t source, int32_t tag) {
  if (comm == nullptr) return abi::ERR_COMM;
  int error = check_buffer(count, type);
  return error ? error : check_source(comm, source, tag);
}

void note_later_send(const Comm* comm, int32_t destination, int32_t tag);
// Every message is counted before it is handed down: a count is never behind what may be on its way.
inline void count_send(Comm* comm, int32_t destination, int32_t tag) {
  Call::bump(comm->sent[destination]);
  if (pending_synchronous != 0) [[unlikely]] note_later_send(comm, destination, tag);
}
inline void uncount_send(Comm* comm, int32_t destination) {
  auto& sent = comm->sent[destination];
  sent.store(sent.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
}

// Begin the operation that the request describes (buffer, count, datatype, peer, tag, comm, mode): afterwards it is complete or
// listed.  An error means that nothing was begun.
int begin_send(Call& call, Request* request);
int begin_receive(Call& call, Request* request);
// After a restart: hands a pending receive down again.
int post_again(Call& call, Request* request);

// A synchronous send that was complete when it returned, under intent: complete when its receiver says so.
void hold_completed_send(Call& call, Request* request);

inline void describe(Request* request, const void* buffer, int64_t count, Datatype* type, int32_t peer, int32_t tag,
                     Comm* comm) {
  request->buffer = const_cast<void*>(buffer);
  request->count = count;
  request->peer = peer;
  request->tag = tag;
  attach_to(request, comm, type);
}

// Makes and begins a request; on an error there is none.
int start_send(Call& call, const void* buffer, int64_t count, Datatype* type, int32_t destination, int32_t tag,
               Comm* comm, int32_t mode, Request** request);
int start_receive(Call& call, void* buffer, int64_t count, Datatype* type, int32_t source, int32_t tag, Comm* comm,
                  Request** request);
// The whole of a buffered send but for its request: a copy is on its way when it returns.
int send_buffered(Call& call, const void* buffer, int64_t count, Datatype* type, int32_t destination, int32_t tag,
                  Comm* comm);

}  // namespace mana::upper
