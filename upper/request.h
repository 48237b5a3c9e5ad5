// SPDX-License-Identifier: BSD-3-Clause
// Requests.  A Request is what the application's handle names; `lower` is the lower half's operation while it is under way.
// States: inactive (persistent, not started) - active - complete (status final, lower == 0) - reported (freed or inactive).
// Active ones that are not complete stand in one list, in order of posting: the drain and the restart walk it.
#pragma once

#include <cstdint>

#include "upper/containers.h"
#include "upper/datatype.h"
#include "upper/object_tables.h"
#include "upper/runtime.h"

namespace mana::upper {

extern List<Request> active_requests;
extern uint64_t next_posted;
extern Request* free_requests;     // objects that keep their slot
extern uint32_t orphans;           // freed by the application while active
extern uint32_t pending_synchronous;  // synchronous sends of which it is open whether their receive has begun
extern uint32_t held_sends;           // Request::held

Request* new_request_slowly(Call& call);
// A request with one reference and no operation yet; fields of the operation are the caller's to fill.
inline Request* new_request(Call& call, Request::What what) {
  Request* request = free_requests;
  if (request != nullptr && orphans == 0) [[likely]] {
    free_requests = request->next;
  } else {
    request = new_request_slowly(call);
  }
  RequestFlags flags{};
  flags.what = what;
  flags.active = 1;
  static_cast<RequestFlags&>(*request) = flags;
  request->handle_freed = 0;
  request->lower = 0;
  // extra, staging, comm, datatype were cleared by free_request.
  return request;
}

inline void keep(Object* object) {
  if (object->constant == 0) retain(object);
}
// Attaches communicator and type for as long as the operation or the persistent request lives.
inline void attach_to(Request* request, Comm* comm, Datatype* type) {
  request->comm = comm;
  request->datatype = type;
  keep(comm);
  if (type != nullptr) keep(type);
}

// A synchronous send is under way below.
inline void note_synchronous(Request* request) {
  ++pending_synchronous;
  request->later = 0;
}

inline void list_request(Request* request) {
  request->posted = ++next_posted;
  request->listed = 1;
  active_requests.append(request);
}

// The operation is over: status final, counted, out of the list.  `status` is the lower half's.
void complete_request(Call& call, Request* request, const abi::Status& status);
// A send that was complete when it returned.
inline void complete_send_at_once(Request* request) {
  request->complete = 1;
  request->status = {abi::ANY_SOURCE, abi::ANY_TAG, 0, 0, 0, 0, {0, 0}};
}

// No operation and no handle needs it any more.
void free_request(Request* request);

inline bool is_done(const Request* request) {
  return request->complete && (!request->joined || static_cast<const Request*>(request->extra)->complete);
}

// Tests once everything active in [list]; for the drain and for waiting threads.  Returns how many completed.
int test_all_active(Call& call);

// Returns when all (or any) of the active, incomplete requests are complete.  null and inactive entries count as complete
// for `all`.  The caller has made sure that, for any, there is an active one.
void wait_for(Call& call, Request** requests, int count, bool all, const char* name);
// Tests the given ones once.
void test_once(Call& call, Request** requests, int count);
// Waits for one internal request, returns its error class, fills *status (error included) and frees it.
int wait_and_free(Call& call, Request* request, abi::Status* status, const char* name);

// Generalized requests: runs the application's query and free functions, without the lock.
int report_generalized(Request* request, abi::Status* status);

// Copies all but the error field: MPI 5.0, 3.2.5.
inline void copy_status(abi::Status* to, const abi::Status& from) {
  if (to == nullptr) return;
  to->source = from.source;
  to->tag = from.tag;
  to->bytes_low = from.bytes_low;
  to->bytes_high = from.bytes_high;
  to->cancelled = from.cancelled;
}

// For generated forwarders (RMA, files): a request that lives only in the lower half.  `refusal` counts it while it is pending.
// A partitioned one is made inactive and started by MPI_Start.
Request* new_forwarded_request(uint64_t lower, Refusal* refusal, bool partitioned = false);

}  // namespace mana::upper
