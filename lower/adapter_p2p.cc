// SPDX-License-Identifier: BSD-3-Clause
// Point-to-point operations and requests.
//
// Why not the library's blocking calls.  Measured with 8 bytes to 1 MiB between two ranks over shared memory, MPI_Isend
// with MPI_Test is as fast as MPI_Send in MPICH 4.0 and Open MPI 4.1 (both have an eager path on which the request is
// complete at once), and MPI_Irecv with MPI_Test is within 10 ns of MPI_Recv; probing first costs 50 to 200 ns
// more.  So every wait is a loop of tests that can be left, and no argument about blocking calls is needed.  A send that
// is complete at once is known by its request (adapter_state.h) and not even tested.
//
// Errors: MPI_ERRORS_RETURN is set everywhere.  A request that completes with an error is freed by either library
// inside MPI_Test, which then returns that error: for us it is complete, with the error in its status.
#include <mpi.h>

#include <memory>

#include "lower/adapter_convert.h"
#include "lower/adapter_state.h"
#include "lower/adapter_wait.h"
#include "lower/core_functions.h"
#include "upper/core_ops.h"
#include "upper/interface.h"

namespace mana::lower {
namespace {

// Both: true when the request is gone, its status and error class in `status` and `error`; otherwise the network has been
// moved once.

// The cheapest when the request is not complete, so for the turns of a wait.
inline bool complete_now(MPI_Request* request, MPI_Status* status, int* error) {
  int flag = 0;
  const int code = MPI_Test(request, &flag, status);
  *error = neutral_error(code);
  return flag != 0 || code != MPI_SUCCESS;
}

// The cheapest when it may be complete already.  MPICH's MPI_Test moves the network even then, which takes longer than
// asking first and then waiting for what is there.
inline bool complete_already(MPI_Request* request, MPI_Status* status, int* error) {
#if defined(MPICH_VERSION)
  int flag = 0;
  if (MPI_Request_get_status(*request, &flag, MPI_STATUS_IGNORE) == MPI_SUCCESS && !flag) return false;
  *error = neutral_error(MPI_Wait(request, status));
  return true;
#else
  return complete_now(request, status, error);
#endif
}

// Tests until the request is gone (0, or the error class it completed with) or a checkpoint is wanted (kInterrupted).
inline int wait_interruptibly(MPI_Request* request, MPI_Status* status) {
  int error;
  if (complete_already(request, status, &error)) return error;
  for (Patience patience; !complete_now(request, status, &error); patience.turn()) {
    if (checkpoint_wanted()) return kInterrupted;
  }
  return error;
}

inline int start_send(const void* buffer, const Transfer& what, int destination, int tag, MPI_Comm comm, int mode,
                      MPI_Request* request) {
  const int rank = native_rank(destination), native = native_tag(tag);
  switch (mode) {
    case 1: return MPI_Issend(buffer, what.count(), what.datatype(), rank, native, comm, request);
    case 2: return MPI_Irsend(buffer, what.count(), what.datatype(), rank, native, comm, request);
    default: return MPI_Isend(buffer, what.count(), what.datatype(), rank, native, comm, request);
  }
}

inline void complete_status(const MPI_Status& native, int error, abi::Status* status) {
  neutral_status(native, status);
  status->error = error;
}

}  // namespace

int send(void* arguments) {
  auto* a = static_cast<core::Send*>(arguments);
  const Transfer what(a->count, a->datatype);
  MPI_Request request;
  const int code = start_send(a->buffer, what, a->destination, a->tag, native_comm(a->comm), a->mode, &request);
  if (code != MPI_SUCCESS) [[unlikely]] return class_of_failure(code);
  if (request == adapter_state.complete_send) [[likely]] return 0;
  const int result = wait_interruptibly(&request, MPI_STATUS_IGNORE);
  if (result == kInterrupted) a->request = request_bits(request);
  return result;
}

int recv(void* arguments) {
  auto* a = static_cast<core::Recv*>(arguments);
  if (a->source == abi::PROC_NULL) [[unlikely]] {
    // MPICH 4.0 leaves source and tag of such a request at 0; MPI_Recv itself would tell them right.
    *a->status = {abi::PROC_NULL, abi::ANY_TAG, a->status->error, 0, 0, 0, {0, 0}};
    return 0;
  }
  const Transfer what(a->count, a->datatype);
  MPI_Request request;
  const int code = MPI_Irecv(a->buffer, what.count(), what.datatype(), native_rank(a->source), native_tag(a->tag),
                             native_comm(a->comm), &request);
  if (code != MPI_SUCCESS) [[unlikely]] return class_of_failure(code);
  MPI_Status status;
  const int result = wait_interruptibly(&request, &status);
  if (result == kInterrupted) [[unlikely]] {
    a->request = request_bits(request);
  } else {
    neutral_status(status, a->status);
  }
  return result;
}

int isend(void* arguments) {
  auto* a = static_cast<core::Isend*>(arguments);
  const Transfer what(a->count, a->datatype);
  MPI_Request request;
  const int code = start_send(a->buffer, what, a->destination, a->tag, native_comm(a->comm), a->mode, &request);
  if (code != MPI_SUCCESS) [[unlikely]] return class_of_failure(code);
  // An eager send is complete already: telling so here saves the crossing of its wait.
  a->request = request == adapter_state.complete_send ? 0 : request_bits(request);
  return 0;
}

int irecv(void* arguments) {
  auto* a = static_cast<core::Irecv*>(arguments);
  const Transfer what(a->count, a->datatype);
  MPI_Request request;
  const int code = MPI_Irecv(a->buffer, what.count(), what.datatype(), native_rank(a->source), native_tag(a->tag),
                             native_comm(a->comm), &request);
  if (code != MPI_SUCCESS) [[unlikely]] return class_of_failure(code);
  a->request = request_bits(request);
  return 0;
}

int test_each(void* arguments) {
  auto* a = static_cast<core::TestEach*>(arguments);
  a->completed = 0;
  for (int i = 0; i < a->count; ++i) {
    if (a->requests[i] == 0) continue;
    MPI_Request request = native_request(a->requests[i]);
    MPI_Status status;
    int error;
    if (!complete_already(&request, &status, &error)) continue;
    complete_status(status, error, &a->statuses[i]);
    a->requests[i] = 0;
    ++a->completed;
  }
  return 0;
}

namespace {

// An array on the stack for the sizes that programs use, on the heap beyond.
template <class Item>
class SmallArray {
 public:
  explicit SmallArray(int count) {
    if (count > kOnStack) heap_ = std::make_unique<Item[]>(static_cast<std::size_t>(count));
  }
  Item* data() { return heap_ ? heap_.get() : stack_; }
  Item& operator[](int index) { return data()[index]; }

 private:
  static constexpr int kOnStack = 32;
  Item stack_[kOnStack];
  std::unique_ptr<Item[]> heap_;
};

// All of many, one after the other: a test that finds its request complete moves nothing, one that does not moves all of
// them, so this does no more work than the library's own Waitall.
int wait_for_each(core::WaitEach* a) {
  for (int i = 0; i < a->count; ++i) {
    if (a->requests[i] == 0) continue;
    MPI_Request request = native_request(a->requests[i]);
    MPI_Status status;
    const int error = wait_interruptibly(&request, &status);
    if (error == kInterrupted) return kInterrupted;
    complete_status(status, error, &a->statuses[i]);
    a->requests[i] = 0;
    ++a->completed;
  }
  return 0;
}

// All of a few (`pending` of the requests are not 0): one call a turn tells whether all are complete.
int wait_for_all(core::WaitEach* a, int pending) {
  constexpr int kFew = 64;  // looking at so many costs less than moving the network does
  if (pending < 2 || pending > kFew) return wait_for_each(a);
  MPI_Request requests[kFew];
  MPI_Status statuses[kFew];
  int n = 0;
  for (int i = 0; i < a->count; ++i) {
    if (a->requests[i] != 0) requests[n++] = native_request(a->requests[i]);
  }
  int error;
  for (Patience patience;; patience.turn()) {
    int flag = 0;
    error = neutral_error(MPI_Testall(n, requests, &flag, statuses));
    if (error != 0 && error != abi::ERR_IN_STATUS) return error;
    if (flag || error != 0) break;
    if (checkpoint_wanted()) return kInterrupted;
  }
  n = 0;
  for (int i = 0; i < a->count; ++i) {
    if (a->requests[i] == 0) continue;
    complete_status(statuses[n], error ? neutral_error(statuses[n].MPI_ERROR) : 0, &a->statuses[i]);
    a->requests[i] = 0;
    ++n;
  }
  a->completed = n;
  return 0;
}

// Some of them: MPI_Testsome moves the network once a turn, however many requests there are.
int wait_for_some(core::WaitEach* a) {
  SmallArray<MPI_Request> requests(a->count);
  SmallArray<MPI_Status> statuses(a->count);
  SmallArray<int> indices(a->count);
  for (int i = 0; i < a->count; ++i) requests[i] = native_request(a->requests[i]);
  for (Patience patience;; patience.turn()) {
    int done = 0;
    const int code = MPI_Testsome(a->count, requests.data(), &done, indices.data(), statuses.data());
    const int error = neutral_error(code);
    if (error != 0 && error != abi::ERR_IN_STATUS) return error;
    for (int k = 0; k < done && done != MPI_UNDEFINED; ++k) {
      const int index = indices[k];
      complete_status(statuses[k], error ? neutral_error(statuses[k].MPI_ERROR) : 0, &a->statuses[index]);
      a->requests[index] = 0;
      ++a->completed;
    }
    if (a->completed >= a->need) return 0;
    if (checkpoint_wanted()) return kInterrupted;
  }
}

}  // namespace

int wait_each(void* arguments) {
  auto* a = static_cast<core::WaitEach*>(arguments);
  a->completed = 0;
  int pending = 0;
  for (int i = 0; i < a->count; ++i) pending += a->requests[i] != 0;
  return pending <= a->need ? wait_for_all(a, pending) : wait_for_some(a);
}

int iprobe(void* arguments) {
  auto* a = static_cast<core::Iprobe*>(arguments);
  MPI_Status status;
  int flag = 0;
  const int code = MPI_Iprobe(native_rank(a->source), native_tag(a->tag), native_comm(a->comm), &flag, &status);
  a->flag = flag;
  if (flag) neutral_status(status, &a->status);
  return neutral_error(code);
}

int probe(void* arguments) {
  auto* a = static_cast<core::Probe*>(arguments);
  const int source = native_rank(a->source), tag = native_tag(a->tag);
  const MPI_Comm comm = native_comm(a->comm);
  MPI_Status status;
  for (Patience patience;; patience.turn()) {
    int flag = 0;
    const int code = MPI_Iprobe(source, tag, comm, &flag, &status);
    if (code != MPI_SUCCESS) return class_of_failure(code);
    if (flag) break;
    if (checkpoint_wanted()) return kInterrupted;
  }
  neutral_status(status, &a->status);
  return 0;
}

int improbe(void* arguments) {
  auto* a = static_cast<core::Improbe*>(arguments);
  MPI_Status status;
  MPI_Message message = MPI_MESSAGE_NULL;
  int flag = 0;
  const int code =
      MPI_Improbe(native_rank(a->source), native_tag(a->tag), native_comm(a->comm), &flag, &message, &status);
  a->flag = flag;
  if (flag) {
    a->message = message_bits(message);
    neutral_status(status, &a->status);
  }
  return neutral_error(code);
}

int mrecv(void* arguments) {
  auto* a = static_cast<core::Mrecv*>(arguments);
  const Transfer what(a->count, a->datatype);
  MPI_Message message = native_message(a->message);
  MPI_Request request;
  const int code = MPI_Imrecv(a->buffer, what.count(), what.datatype(), &message, &request);
  if (code != MPI_SUCCESS) return class_of_failure(code);
  MPI_Status status;
  int error;
  for (Patience patience; !complete_now(&request, &status, &error);) patience.turn();
  neutral_status(status, &a->status);
  return error;
}

int imrecv(void* arguments) {
  auto* a = static_cast<core::Imrecv*>(arguments);
  const Transfer what(a->count, a->datatype);
  MPI_Message message = native_message(a->message);
  MPI_Request request;
  const int code = MPI_Imrecv(a->buffer, what.count(), what.datatype(), &message, &request);
  if (code != MPI_SUCCESS) return class_of_failure(code);
  a->request = request_bits(request);
  return 0;
}

int cancel(void* arguments) {
  MPI_Request request = native_request(static_cast<core::Cancel*>(arguments)->request);
  return neutral_error(MPI_Cancel(&request));
}

int request_free(void* arguments) {
  MPI_Request request = native_request(static_cast<core::RequestFree*>(arguments)->request);
  return neutral_error(MPI_Request_free(&request));
}

int request_get_status(void* arguments) {
  auto* a = static_cast<core::RequestGetStatus*>(arguments);
  MPI_Status status;
  int flag = 0;
  const int code = MPI_Request_get_status(native_request(a->request), &flag, &status);
  a->flag = flag;
  if (flag) neutral_status(status, &a->status);
  return neutral_error(code);
}

}  // namespace mana::lower
