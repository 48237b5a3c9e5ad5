// SPDX-License-Identifier: BSD-3-Clause
#include "upper/request.h"

#include "upper/collective.h"
#include "upper/comm.h"
#include "upper/drain_synchronous.h"
#include "upper/status.h"
#include "upper/text.h"

namespace mana::upper {

constinit List<Request> active_requests = {};
constinit uint64_t next_posted = 0;
constinit Request* free_requests = nullptr;
constinit uint32_t orphans = 0;
constinit uint32_t pending_synchronous = 0;
constinit uint32_t held_sends = 0;

Request* new_request_slowly(Call& call) {
  if (orphans != 0) test_all_active(call);
  if (Request* request = free_requests) {
    free_requests = request->next;
    return request;
  }
  Request* request = new_object<Request>(Kind::request);
  if (request == nullptr) fail("no room for more requests");
  return request;
}

// Slot and memory stay with the object: requests come and go too often to take a lock for it.
void free_request(Request* request) {
  if (request->comm != nullptr) release(request->comm);
  if (request->datatype != nullptr) release(request->datatype);
  if (request->what == Request::What::collective && request->extra != nullptr) [[unlikely]] free_arguments(request);
  if (request->staging != nullptr) [[unlikely]] deallocate(request->staging);
  request->comm = nullptr;
  request->datatype = nullptr;
  request->staging = request->extra = nullptr;
  request->active = request->listed = 0;
  request->handle_freed = 1;
  request->next = free_requests;
  free_requests = request;
}

// object_tables.cc asks for it; requests are never destroyed.
void destroy_request(Request* request) { free_request(request); }

namespace {

void unlist(Request* request) {
  if (!request->listed) return;
  request->listed = 0;
  active_requests.remove(request);
}

void count_received(Request* request) {
  if (request->status.cancelled || request->counted) return;
  int error = request->status.error;
  int32_t source = request->status.source;
  if ((error == 0 || error == abi::ERR_TRUNCATE) && source >= 0 && source < peer_count(request->comm)) {
    Call::bump(request->comm->received[source]);
  }
}

}  // namespace

void complete_request(Call& call, Request* request, const abi::Status& status) {
  const bool was_below = request->lower != 0;
  request->lower = 0;
  request->status = status;
  if (status.cancelled) request->cancelled = 1;
  switch (request->what) {
    case Request::What::recv:
      count_received(request);
      break;
    case Request::What::send:
      if (request->mode == 1 && was_below && !status.cancelled) {
        // Complete below, perhaps only because the message was drained.
        if (intended() && !request->held) ask_receiver(call, request);
        if (!request->held) --pending_synchronous;
      }
      if (status.cancelled) {  // a send that never left
        auto& sent = request->comm->sent[request->peer];
        sent.store(sent.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
      }
      if (request->held && !status.cancelled) return;  // complete when the receiver says so
      break;
    case Request::What::idup:
      add_to_list(static_cast<Comm*>(request->extra));
      release(static_cast<Comm*>(request->extra));
      request->extra = nullptr;
      break;
    case Request::What::collective:
      if (request->user_reduction) --upper_interface.pending_user_reductions;
      request->user_reduction = 0;
      break;
    case Request::What::forwarded:
      if (request->persistent) break;
      if (auto* refusal = static_cast<Refusal*>(request->extra)) refusal->alive.fetch_sub(1, std::memory_order_relaxed);
      request->extra = nullptr;
      break;
    case Request::What::generalized:
      break;
  }
  request->complete = 1;
  unlist(request);
  count_step(call.record());
  if (request->staging != nullptr && !request->persistent) {
    deallocate(request->staging);
    request->staging = nullptr;
  }
  if (request->owner_freed || request->internal == 2) {
    if (request->owner_freed) --orphans;
    free_request(request);
  }
}

namespace {

// Up to this many in one crossing.
constexpr int kBatch = 32;

struct Batch {
  uint64_t lower[kBatch];
  abi::Status statuses[kBatch];
  Request* requests[kBatch];
  int count = 0;

  void add(Request* request) {
    lower[count] = request->lower;
    requests[count++] = request;
  }
  int test(Call& call) {
    if (count == 0) return 0;
    core::TestEach block{lower, count, 0, statuses};
    call.cross(CoreOp::test_each, &block);
    for (int i = 0; i < count; ++i) {
      if (lower[i] == 0) complete_request(call, requests[i], statuses[i]);
    }
    count = 0;
    return block.completed;
  }
};

}  // namespace

int test_all_active(Call& call) {
  int completed = 0;
  Batch batch;
  // Completing takes requests out of the list, and may free them: a batch is gathered, then tested, and the walk goes on behind
  // the last one by order of posting.
  uint64_t seen = 0;
  for (bool more = true; more;) {
    more = false;
    for (Request* r = active_requests.first; r != nullptr; r = r->next) {
      if (r->posted <= seen || r->lower == 0 || r->busy) continue;
      if (batch.count == kBatch) {
        more = true;
        break;
      }
      batch.add(r);
      seen = r->posted;
    }
    completed += batch.test(call);
  }
  if (held_sends != 0) take_notes(call);
  return completed;
}

void test_once(Call& call, Request** requests, int count) {
  Batch batch;
  auto consider = [&](Request* r) {
    if (r->active && !r->complete && r->lower != 0 && !r->busy) batch.add(r);
    if (batch.count == kBatch) batch.test(call);
  };
  bool held = false, open = false;
  for (int i = 0; i < count; ++i) {
    if (requests[i] == nullptr) continue;
    consider(requests[i]);
    open |= requests[i]->active && !requests[i]->complete;
    held |= requests[i]->held;
    if (requests[i]->joined) consider(static_cast<Request*>(requests[i]->extra));
  }
  if (open && batch.count == 0 && !held) {  // only what is matched above: others may still depend on our moving the network
    core::Progress progress{};
    call.cross(CoreOp::progress, &progress);
  }
  batch.test(call);
  if (held) take_notes(call);
}

namespace {


struct Handles {  // arrays of a crossing, on the stack for ordinary numbers
  explicit Handles(int count) : lower(count), statuses(count), requests(count) {}
  Scratch<uint64_t> lower;
  Scratch<abi::Status> statuses;
  Scratch<Request*> requests;
  int count = 0;

  void add(Request* request) {
    lower[count] = request->lower;
    requests[count++] = request;
  }
};

inline void sort_in(Handles& handles, Request* request, int* above) {
  if (request->complete) return;
  if (request->lower != 0 && !request->busy) {
    handles.add(request);
  } else {
    ++*above;
  }
}

// Sorts the requests; returns how many of the active ones are done.
int gather(Handles& handles, Request** requests, int count, int* above) {
  int done = 0;
  handles.count = 0;
  *above = 0;
  for (int i = 0; i < count; ++i) {
    Request* request = requests[i];
    if (request == nullptr || !request->active) continue;
    if (is_done(request)) {
      ++done;
      continue;
    }
    sort_in(handles, request, above);
    if (request->joined) sort_in(handles, static_cast<Request*>(request->extra), above);
  }
  return done;
}

void take_results(Call& call, Handles& handles) {
  for (int i = 0; i < handles.count; ++i) {
    handles.requests[i]->busy = 0;
    if (handles.lower[i] == 0) complete_request(call, handles.requests[i], handles.statuses[i]);
  }
}

void wait_in_lower_half(Call& call, Handles& handles, bool all) {
  core::WaitEach block{handles.lower.get(), handles.count, all ? handles.count : 1, 0, handles.statuses.get()};
  if (threads_multiple) {
    for (int i = 0; i < handles.count; ++i) handles.requests[i]->busy = 1;
  }
  call.cross_waiting(CoreOp::wait_each, &block);
  take_results(call, handles);
}

void announce_wait_for(Call& call, Request** requests, int count, const char* name) {
  RankSet ranks;
  for (int i = 0; i < count; ++i) {
    Request* request = requests[i];
    if (request != nullptr && request->active && !is_done(request)) ranks.add_request(request);
  }
  announce_waiting(call, ranks, false, name);
}

}  // namespace

void wait_for(Call& call, Request** requests, int count, bool all, const char* name) {
  int joined = 0, open = 0;
  for (int i = 0; i < count; ++i) {
    const Request* request = requests[i];
    if (request == nullptr || !request->active) continue;
    open += !request->complete;
    joined += request->joined;
  }
  if (open == 0 && joined == 0) return;
  Handles handles(count + joined);
  for (;;) {
    int above;
    int done = gather(handles, requests, count, &above);
    if (all ? handles.count + above == 0 : done > 0 || handles.count + above == 0) break;
    if (!intended() && above == 0) {
      if (waiting_announced(call)) revoke_waiting(call);
      wait_in_lower_half(call, handles, all);
      continue;
    }
    // Something is pending above, or a checkpoint is intended: one turn.  All handles are gathered again after it.
    if (intended() && !waiting_announced(call)) announce_wait_for(call, requests, count, name);
    if (handles.count > 0) {
      core::TestEach block{handles.lower.get(), handles.count, 0, handles.statuses.get()};
      call.cross(CoreOp::test_each, &block);
      take_results(call, handles);
      if (block.completed > 0) continue;
    }
    if (held_sends != 0) take_notes(call);
    wait_turn(call);
  }
  if (waiting_announced(call)) revoke_waiting(call);
}

int wait_and_free(Call& call, Request* request, abi::Status* status, const char* name) {
  wait_for(call, &request, 1, true, name);
  int error = request->status.error;
  if (status != nullptr) *status = request->status;
  free_request(request);
  return error;
}

Request* new_forwarded_request(uint64_t lower, Refusal* refusal, bool partitioned) {
  Call call;
  Request* request = new_request(call, Request::What::forwarded);
  request->lower = lower;
  request->extra = refusal;
  if (refusal != nullptr) refusal->alive.fetch_add(1, std::memory_order_relaxed);
  if (partitioned) {
    request->count = static_cast<int64_t>(lower);  // outlives its completions
    request->lower = 0;
    request->persistent = 1;
    request->active = 0;
  } else {
    list_request(request);
  }
  return request;
}

}  // namespace mana::upper
