// SPDX-License-Identifier: BSD-3-Clause
// Testing and waiting for requests.
#include <mpi.h>

#include <memory>

#include "lower/adapter_convert.h"
#include "lower/adapter_completion.h"
#include "lower/core_functions.h"
#include "upper/core_ops.h"
#include "upper/interface.h"

namespace mana::lower {
namespace {

inline void complete_status(const MPI_Status& native, int error, abi::Status* status) {
  neutral_status(native, status);
  status->error = error;
}

}  // namespace

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

// All of many, one after the other: a test that finds its request complete moves nothing, one that
// does not moves all of them, so this does no more work than the library's own Waitall.
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

// All of a few (`pending` of the requests are not 0): one call a turn tells whether all are
// complete.  When one has failed the call ends early: complete are then those whose handles are
// gone, and the others are still pending (MPICH), or are the failed ones themselves (Open MPI).
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
    const int k = n++;
    if (error != 0 && requests[k] != MPI_REQUEST_NULL) continue;
    complete_status(statuses[k], error ? neutral_error(statuses[k].MPI_ERROR) : 0, &a->statuses[i]);
    a->requests[i] = 0;
    ++a->completed;
  }
  return error == 0 ? 0 : wait_for_each(a);
}

// Some of them: MPI_Testsome moves the network once a turn, however many requests there are.
int wait_for_some(core::WaitEach* a) {
  SmallArray<MPI_Request> requests(a->count);
  SmallArray<MPI_Status> statuses(a->count);
  SmallArray<int> indices(a->count);
  for (int i = 0; i < a->count; ++i) requests[i] = native_request(a->requests[i]);
  for (Patience patience;; patience.turn()) {
    int done = 0;
    const int code =
        MPI_Testsome(a->count, requests.data(), &done, indices.data(), statuses.data());
    const int error = neutral_error(code);
    if (error != 0 && error != abi::ERR_IN_STATUS) return error;
    for (int k = 0; k < done && done != MPI_UNDEFINED; ++k) {
      const int index = indices[k];
      complete_status(statuses[k], error ? neutral_error(statuses[k].MPI_ERROR) : 0,
                      &a->statuses[index]);
      a->requests[index] = 0;
      requests[index] = MPI_REQUEST_NULL;  // a failed one stays in the array (Open MPI)
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
