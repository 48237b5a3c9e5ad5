// SPDX-License-Identifier: BSD-3-Clause
// MPI_Wait*, MPI_Test*: MPI 5.0, 3.7.3 and 3.7.5.
#include "mpi_wrappers/upper_api.h"
#include "upper/closure.h"
#include "upper/errors.h"
#include "upper/front_end.h"
#include "upper/queue.h"
#include "upper/request.h"
#include "upper/status.h"

namespace mana::upper {

namespace {

// The application learns that its request is complete: the handle goes, or the persistent request becomes inactive.
// *status gets everything, error included.  Returns the error.
int report(Request** place, abi::Status* status) {
  Request* request = *place;
  if (request->what == Request::What::generalized) [[unlikely]] {
    abi::Status ignored;
    int error = report_generalized(request, status != nullptr ? status : &ignored);
    *place = nullptr;
    free_request(request);
    return error;
  }
  int error = request->status.error;
  if (status != nullptr) *status = request->status;
  if (request->joined) {
    auto* send = static_cast<Request*>(request->extra);
    if (error == 0) error = send->status.error;
    free_request(send);
    request->extra = nullptr;
  }
  if (request->persistent) {
    request->active = request->complete = 0;
    return error;
  }
  *place = nullptr;
  free_request(request);
  return error;
}

inline bool inactive(const Request* request) { return request == nullptr || !request->active; }

// A test of the application came back empty-handed while a checkpoint is intended: a loop of them is a wait.
void note_miss(Call& call, Request** requests, int count, const char* name) {
  RankSet ranks;
  for (int i = 0; i < count; ++i) {
    if (!inactive(requests[i]) && !is_done(requests[i])) ranks.add_request(requests[i]);
  }
  announce_waiting(call, ranks, true, name);
  keep_moving(call);
}

inline void note_hit(Call& call) {
  count_step(call.record());
  if (waiting_announced(call)) [[unlikely]] revoke_waiting(call);
}

int wait_one(Request** place, abi::Status* status, Comm** comm) {
  Request* request = *place;
  if (inactive(request)) {
    abi::Status empty;
    set_empty_status(&empty);
    copy_status(status, empty);
    return 0;
  }
  *comm = request->comm;
  Call call;
  if (!is_done(request)) wait_for(call, place, 1, true, "MPI_Wait");
  if (status == nullptr) return report(place, nullptr);
  abi::Status full;
  int error = report(place, &full);
  copy_status(status, full);
  return error;
}

int test_one(Request** place, int* flag, abi::Status* status, Comm** comm) {
  Request* request = *place;
  *flag = 1;
  if (inactive(request)) {
    abi::Status empty;
    set_empty_status(&empty);
    copy_status(status, empty);
    return 0;
  }
  *comm = request->comm;
  Call call(Call::polling);
  if (!is_done(request)) {
    test_once(call, place, 1);
    if (!is_done(request)) {
      *flag = 0;
      if (intended()) note_miss(call, place, 1, "MPI_Test");
      return 0;
    }
  }
  note_hit(call);
  abi::Status full;
  int error = report(place, &full);
  copy_status(status, full);
  return error;
}

// Error fields are set only when the call returns ERR_IN_STATUS, then all of them (MPI 5.0, 3.2.5).
bool any_failed(Request** requests, int count) {
  for (int i = 0; i < count; ++i) {
    if (!inactive(requests[i]) && is_done(requests[i]) && requests[i]->status.error != 0) return true;
  }
  return false;
}

void fill_one_of(abi::Status* statuses, int at, const abi::Status& full, bool failed) {
  copy_status(&statuses[at], full);
  if (failed) statuses[at].error = full.error;
}

// Reports all; every entry is complete, null or inactive.
int report_all(Request** requests, int count, abi::Status* statuses) {
  int failures = 0;
  if (statuses == nullptr) {
    for (int i = 0; i < count; ++i) {
      if (!inactive(requests[i])) failures |= report(&requests[i], nullptr);
    }
    return failures != 0 ? abi::ERR_IN_STATUS : 0;
  }
  bool failed = any_failed(requests, count);
  for (int i = 0; i < count; ++i) {
    abi::Status full;
    if (inactive(requests[i])) {
      set_empty_status(&full);
    } else {
      failed |= report(&requests[i], &full) != 0;
    }
    fill_one_of(statuses, i, full, failed);
  }
  return failed ? abi::ERR_IN_STATUS : 0;
}

int first_done(Request** requests, int count, bool* any_active) {
  *any_active = false;
  for (int i = 0; i < count; ++i) {
    if (inactive(requests[i])) continue;
    *any_active = true;
    if (is_done(requests[i])) return i;
  }
  return -1;
}

int report_some(Request** requests, int count, int* outcount, int* indices, abi::Status* statuses) {
  int done = 0;
  bool failed = any_failed(requests, count);
  for (int i = 0; i < count; ++i) {
    if (inactive(requests[i]) || !is_done(requests[i])) continue;
    abi::Status full;
    failed |= report(&requests[i], &full) != 0;
    indices[done] = i;
    if (statuses != nullptr) fill_one_of(statuses, done, full, failed);
    ++done;
  }
  *outcount = done;
  return failed ? abi::ERR_IN_STATUS : 0;
}

Comm* comm_of_any(Request** requests, int count) {
  for (int i = 0; i < count; ++i) {
    if (requests[i] != nullptr && requests[i]->comm != nullptr) return requests[i]->comm;
  }
  return nullptr;
}

inline int raised(Comm* comm, int error, const char* name) { return error == 0 ? 0 : raise(comm, error, name); }

}  // namespace

int Wait(Request** request, abi::Status* status) {
  Comm* comm = nullptr;
  int error = wait_one(request, status, &comm);
  return raised(comm, error, "MPI_Wait");
}

int Test(Request** request, int* flag, abi::Status* status) {
  Comm* comm = nullptr;
  int error = test_one(request, flag, status, &comm);
  return raised(comm, error, "MPI_Test");
}

int Waitall(int count, Request** requests, abi::Status* statuses) {
  if (count < 0) return raise(abi::ERR_COUNT, "MPI_Waitall");
  Comm* comm = comm_of_any(requests, count);
  int error;
  {
    Call call;
    wait_for(call, requests, count, true, "MPI_Waitall");
    error = report_all(requests, count, statuses);
  }
  return raised(comm, error, "MPI_Waitall");
}

int Testall(int count, Request** requests, int* flag, abi::Status* statuses) {
  if (count < 0) return raise(abi::ERR_COUNT, "MPI_Testall");
  Comm* comm = comm_of_any(requests, count);
  int error = 0;
  {
    Call call(Call::polling);
    test_once(call, requests, count);
    *flag = 1;
    for (int i = 0; i < count; ++i) *flag &= inactive(requests[i]) || is_done(requests[i]);
    if (*flag) {
      note_hit(call);
      error = report_all(requests, count, statuses);
    } else if (intended()) {
      note_miss(call, requests, count, "MPI_Testall");
    }
  }
  return raised(comm, error, "MPI_Testall");
}

int Waitany(int count, Request** requests, int* index, abi::Status* status) {
  if (count < 0) return raise(abi::ERR_COUNT, "MPI_Waitany");
  Comm* comm = comm_of_any(requests, count);
  int error = 0;
  {
    Call call;
    bool any_active;
    abi::Status full;
    *index = first_done(requests, count, &any_active);
    if (*index < 0 && any_active) {
      wait_for(call, requests, count, false, "MPI_Waitany");
      *index = first_done(requests, count, &any_active);
    }
    if (*index >= 0) {
      error = report(&requests[*index], &full);
    } else {
      *index = abi::UNDEFINED;
      set_empty_status(&full);
    }
    copy_status(status, full);
  }
  return raised(comm, error, "MPI_Waitany");
}

int Testany(int count, Request** requests, int* index, int* flag, abi::Status* status) {
  if (count < 0) return raise(abi::ERR_COUNT, "MPI_Testany");
  Comm* comm = comm_of_any(requests, count);
  int error = 0;
  {
    Call call(Call::polling);
    bool any_active;
    abi::Status full;
    set_empty_status(&full);
    *index = first_done(requests, count, &any_active);
    if (*index < 0 && any_active) {
      test_once(call, requests, count);
      *index = first_done(requests, count, &any_active);
    }
    *flag = *index >= 0 || !any_active;
    if (*index >= 0) {
      note_hit(call);
      error = report(&requests[*index], &full);
    } else {
      *index = abi::UNDEFINED;
      if (any_active && intended()) note_miss(call, requests, count, "MPI_Testany");
    }
    if (*flag) copy_status(status, full);
  }
  return raised(comm, error, "MPI_Testany");
}

int Waitsome(int count, Request** requests, int* outcount, int* indices, abi::Status* statuses) {
  if (count < 0) return raise(abi::ERR_COUNT, "MPI_Waitsome");
  Comm* comm = comm_of_any(requests, count);
  int error = 0;
  {
    Call call;
    bool any_active;
    if (first_done(requests, count, &any_active) < 0 && any_active) {
      wait_for(call, requests, count, false, "MPI_Waitsome");
    } else if (any_active) {
      test_once(call, requests, count);  // as many as there are, MPI 5.0, 3.7.5: fairness
    }
    if (any_active) {
      error = report_some(requests, count, outcount, indices, statuses);
    } else {
      *outcount = abi::UNDEFINED;
    }
  }
  return raised(comm, error, "MPI_Waitsome");
}

int Testsome(int count, Request** requests, int* outcount, int* indices, abi::Status* statuses) {
  if (count < 0) return raise(abi::ERR_COUNT, "MPI_Testsome");
  Comm* comm = comm_of_any(requests, count);
  int error = 0;
  {
    Call call(Call::polling);
    bool any_active;
    test_once(call, requests, count);
    first_done(requests, count, &any_active);
    if (any_active) {
      error = report_some(requests, count, outcount, indices, statuses);
      if (*outcount > 0) note_hit(call);
      if (*outcount == 0 && intended()) note_miss(call, requests, count, "MPI_Testsome");
    } else {
      *outcount = abi::UNDEFINED;
    }
  }
  return raised(comm, error, "MPI_Testsome");
}

}  // namespace mana::upper
