// SPDX-License-Identifier: BSD-3-Clause
// Point-to-point operations.  Their requests: adapter_requests.cc.
//
// Why not the library's blocking calls.  Measured with 8 bytes to 1 MiB between two ranks over
// shared memory, MPI_Isend with MPI_Test is as fast as MPI_Send in MPICH 4.0 and Open MPI 4.1 (both
// have an eager path on which the request is complete at once), and MPI_Irecv with MPI_Test is
// within 10 ns of MPI_Recv; probing first costs 50 to 200 ns more.  So every wait is a loop of
// tests that can be left, and no argument about blocking calls is needed.  A send that is complete
// at once is known by its request (adapter_state.h) and not even tested.
#include <mpi.h>

#include "lower/adapter_convert.h"
#include "lower/adapter_state.h"
#include "lower/adapter_completion.h"
#include "lower/core_functions.h"
#include "upper/core_ops.h"
#include "upper/interface.h"

namespace mana::lower {
namespace {

inline int start_send(const void* buffer, const Transfer& what, int destination, int tag,
                      MPI_Comm comm, int mode, MPI_Request* request) {
  const int rank = native_rank(destination), native = native_tag(tag);
  switch (mode) {
    case 1:
      return MPI_Issend(buffer, what.count(), what.datatype(), rank, native, comm, request);
    case 2:
      return MPI_Irsend(buffer, what.count(), what.datatype(), rank, native, comm, request);
    default:
      return MPI_Isend(buffer, what.count(), what.datatype(), rank, native, comm, request);
  }
}

}  // namespace

int send(void* arguments) {
  auto* a = static_cast<core::Send*>(arguments);
  const Transfer what(a->count, a->datatype);
  MPI_Request request;
  const int code =
      start_send(a->buffer, what, a->destination, a->tag, native_comm(a->comm), a->mode, &request);
  if (code != MPI_SUCCESS) [[unlikely]]
    return class_of_failure(code);
  if (request == adapter_state.complete_send) [[likely]]
    return 0;
  const int result = wait_interruptibly(&request, MPI_STATUS_IGNORE);
  if (result == kInterrupted) a->request = request_bits(request);
  return result;
}

int recv(void* arguments) {
  auto* a = static_cast<core::Recv*>(arguments);
  if (a->source == abi::PROC_NULL) [[unlikely]] {
    // MPICH 4.0 leaves source and tag of such a request at 0; MPI_Recv itself would tell them
    // right.
    *a->status = {abi::PROC_NULL, abi::ANY_TAG, a->status->error, 0, 0, 0, {0, 0}};
    return 0;
  }
  const Transfer what(a->count, a->datatype);
  MPI_Request request;
  const int code = MPI_Irecv(a->buffer, what.count(), what.datatype(), native_rank(a->source),
                             native_tag(a->tag), native_comm(a->comm), &request);
  if (code != MPI_SUCCESS) [[unlikely]]
    return class_of_failure(code);
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
  const int code =
      start_send(a->buffer, what, a->destination, a->tag, native_comm(a->comm), a->mode, &request);
  if (code != MPI_SUCCESS) [[unlikely]]
    return class_of_failure(code);
  // An eager send is complete already: telling so here saves the crossing of its wait.
  a->request = request == adapter_state.complete_send ? 0 : request_bits(request);
  return 0;
}

int irecv(void* arguments) {
  auto* a = static_cast<core::Irecv*>(arguments);
  const Transfer what(a->count, a->datatype);
  MPI_Request request;
  const int code = MPI_Irecv(a->buffer, what.count(), what.datatype(), native_rank(a->source),
                             native_tag(a->tag), native_comm(a->comm), &request);
  if (code != MPI_SUCCESS) [[unlikely]]
    return class_of_failure(code);
  a->request = request_bits(request);
  return 0;
}

int iprobe(void* arguments) {
  auto* a = static_cast<core::Iprobe*>(arguments);
  MPI_Status status;
  int flag = 0;
  const int code =
      MPI_Iprobe(native_rank(a->source), native_tag(a->tag), native_comm(a->comm), &flag, &status);
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
  const int code = MPI_Improbe(native_rank(a->source), native_tag(a->tag), native_comm(a->comm),
                               &flag, &message, &status);
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

}  // namespace mana::lower
