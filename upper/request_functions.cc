// SPDX-License-Identifier: BSD-3-Clause
// MPI_Start, MPI_Request_free, MPI_Request_get_status, MPI_Cancel and generalized requests: MPI 5.0, 3.7, 3.8.4, 3.9, 13.2.
#include "mpi_wrappers/generated_calls.h"
#include "mpi_wrappers/upper_api.h"
#include "upper/collective.h"
#include "upper/errors.h"
#include "upper/front_end.h"
#include "upper/p2p.h"
#include "upper/status.h"

namespace mana::upper {

namespace {

struct Generalized {
  Function query, free, cancel;
  void* extra_state;
};

inline Comm* comm_of(const Request* request) { return request != nullptr ? request->comm : nullptr; }

int start_partitioned(Call& call, Request* request) {
  ops::Start block{static_cast<uint64_t>(request->count)};
  int error = call.cross(static_cast<uint32_t>(GeneratedOp::Start), &block);
  if (error != 0) return error;
  request->lower = static_cast<uint64_t>(request->count);
  request->active = 1;
  request->complete = 0;
  list_request(request);
  return 0;
}

int start(Call& call, Request* request) {
  if (request == nullptr || !request->persistent || request->active) return abi::ERR_REQUEST;
  request->complete = 0;
  int error;
  switch (request->what) {
    case Request::What::send: error = begin_send(call, request); break;
    case Request::What::recv: error = begin_receive(call, request); break;
    case Request::What::collective: error = begin_persistent(call, request); break;
    default: error = start_partitioned(call, request); break;
  }
  if (error != 0) request->active = 0;
  return error;
}

// Without the lock: the application's function may make MPI calls.
template <class F>
int unlocked(F function) {
  state_lock.unlock();
  int error = function();
  state_lock.lock();
  return error;
}

int free_one(Call& call, Request* request) {
  if (request->what == Request::What::generalized) {
    if (!request->complete) {
      request->owner_freed = 1;  // MPI_Grequest_complete lets it go
      return 0;
    }
    abi::Status ignored;
    int error = report_generalized(request, &ignored);
    free_request(request);
    return error;
  }
  if (request->what == Request::What::forwarded && request->persistent) {
    core::RequestFree block{static_cast<uint64_t>(request->count)};
    call.cross(CoreOp::request_free, &block);
    if (auto* refusal = static_cast<Refusal*>(request->extra)) refusal->alive.fetch_sub(1, std::memory_order_relaxed);
    request->extra = nullptr;
  }
  if (request->joined) {
    int error = free_one(call, static_cast<Request*>(request->extra));
    if (error != 0) return error;
    request->joined = 0;
    request->extra = nullptr;
  }
  if (request->active && !request->complete) {
    request->owner_freed = 1;
    request->persistent = 0;
    ++orphans;
    return 0;
  }
  free_request(request);
  return 0;
}

int cancel_one(Call& call, Request* request) {
  if (request->what == Request::What::generalized) {
    auto* generalized = static_cast<Generalized*>(request->extra);
    return unlocked([&] {
      return front_end::call_grequest_cancel(generalized->cancel, generalized->extra_state, request->complete);
    });
  }
  // A message that was drained or delivered cannot be cancelled any more: no error (MPI 5.0, 3.8.4).
  if (!request->active || request->complete) return 0;
  if (request->lower == 0 && request->what == Request::What::recv) {  // pending above only: a freed communicator's
    abi::Status status;
    set_status(&status, abi::ANY_SOURCE, abi::ANY_TAG, 0, 0, 1);
    complete_request(call, request, status);
    return 0;
  }
  if (request->lower == 0 || request->what == Request::What::collective) return 0;
  core::Cancel block{request->lower};
  return call.cross(CoreOp::cancel, &block);
}

}  // namespace

int report_generalized(Request* request, abi::Status* status) {
  auto* generalized = static_cast<Generalized*>(request->extra);
  set_empty_status(status);
  int error = unlocked([&] {
    int queried = front_end::call_grequest_query(generalized->query, generalized->extra_state, status);
    int freed = front_end::call_grequest_free(generalized->free, generalized->extra_state);
    return queried != 0 ? queried : freed;
  });
  status->error = error;
  deallocate(generalized);
  request->extra = nullptr;
  return error;
}

int Start(Request** request) {
  int error;
  Comm* comm = comm_of(*request);
  {
    Call call;
    error = start(call, *request);
  }
  return raise(comm, error, "MPI_Start");
}

int Startall(int count, Request** requests) {
  int error = count < 0 ? abi::ERR_COUNT : 0;
  Comm* comm = count > 0 ? comm_of(requests[0]) : nullptr;
  {
    Call call;
    for (int i = 0; i < count && error == 0; ++i) error = start(call, requests[i]);
  }
  return raise(comm, error, "MPI_Startall");
}

int Request_free(Request** request) {
  if (*request == nullptr) return raise(abi::ERR_REQUEST, "MPI_Request_free");
  Comm* comm = comm_of(*request);
  int error;
  {
    Call call;
    error = free_one(call, *request);
  }
  *request = nullptr;
  return raise(comm, error, "MPI_Request_free");
}

int Cancel(Request** request) {
  if (*request == nullptr) return raise(abi::ERR_REQUEST, "MPI_Cancel");
  Comm* comm = comm_of(*request);
  int error;
  {
    Call call;
    error = cancel_one(call, *request);
  }
  return raise(comm, error, "MPI_Cancel");
}

int Request_get_status(Request* request, int* flag, abi::Status* status) {
  abi::Status found;
  set_empty_status(&found);
  *flag = 1;
  if (request != nullptr && request->active) {
    Call call(Call::polling);
    if (!is_done(request)) test_once(call, &request, 1);
    *flag = is_done(request);
    if (*flag) {
      count_step(call.record());
      found = request->status;
      if (request->what == Request::What::generalized) {
        auto* generalized = static_cast<Generalized*>(request->extra);
        unlocked([&] {
          return front_end::call_grequest_query(generalized->query, generalized->extra_state, &found);
        });
      }
    } else if (intended()) {
      RankSet ranks;
      ranks.add_request(request);
      announce_waiting(call, ranks, true, "MPI_Request_get_status");
      keep_moving(call);
    }
  }
  if (*flag) copy_status(status, found);
  return 0;
}

int Grequest_start(Function query_fn, Function free_fn, Function cancel_fn, void* extra_state, Request** request) {
  Call call;
  Request* r = new_request(call, Request::What::generalized);
  auto* generalized = make_zeroed<Generalized>();
  *generalized = {query_fn, free_fn, cancel_fn, extra_state};
  r->extra = generalized;
  set_empty_status(&r->status);
  *request = r;
  return 0;
}

int Grequest_complete(Request* request) {
  if (request == nullptr || request->what != Request::What::generalized) {
    return raise(abi::ERR_REQUEST, "MPI_Grequest_complete");
  }
  Call call;
  request->complete = 1;
  if (request->owner_freed) {
    abi::Status ignored;
    report_generalized(request, &ignored);
    free_request(request);
  }
  return 0;
}

}  // namespace mana::upper
