// SPDX-License-Identifier: BSD-3-Clause
// MPI_Send and its modes, blocking and nonblocking; the attached buffer: MPI 5.0, 3.2 to 3.7.2.
#include "mpi_wrappers/upper_api.h"
#include "upper/errors.h"
#include "upper/p2p.h"
#include "upper/p2p_self.h"
#include "upper/pack.h"
#include "upper/queue.h"

namespace mana::upper {

namespace {

inline int raised(Comm* comm, int error, const char* name) {
  return error == 0 ? 0 : raise(comm, error, name);
}

// A checkpoint came while the send was under way: it goes on as a request.
int wait_for_interrupted(Call& call, const core::Send& block, Datatype* type, Comm* comm, const char* name) {
  Request* request = new_request(call, Request::What::send);
  request->mode = static_cast<uint8_t>(block.mode);
  describe(request, block.buffer, block.count, type, block.destination, block.tag, comm);
  request->lower = block.request;
  if (block.mode == synchronous) note_synchronous(request);
  list_request(request);
  return wait_and_free(call, request, nullptr, name);
}

// A synchronous send that completes under intent, perhaps only because the message was received ahead of the application.
int wait_for_receiver(Call& call, const core::Send& block, Datatype* type, Comm* comm, const char* name) {
  Request* request = new_request(call, Request::What::send);
  request->mode = synchronous;
  describe(request, block.buffer, block.count, type, block.destination, block.tag, comm);
  hold_completed_send(call, request);
  return wait_and_free(call, request, nullptr, name);
}

// To oneself: as a request, which mostly is complete at once.  With MPI_THREAD_MULTIPLE: two crossings; the operation is begun under
// the lock, so its place in the order of sends is the same here and below.
int send_in_two_steps(Call& call, const core::Send& block, Datatype* type, Comm* comm, const char* name) {
  Request* request;
  int error = start_send(call, block.buffer, block.count, type, block.destination, block.tag, comm, block.mode, &request);
  return error != 0 ? error : wait_and_free(call, request, nullptr, name);
}

inline int send_blocking(const void* buffer, int64_t count, Datatype* type, int destination, int tag, Comm* comm,
                         int32_t mode, const char* name) {
  int error = check_send(comm, count, type, destination, tag);
  if (error != 0) [[unlikely]] return error;
  if (destination == abi::PROC_NULL) [[unlikely]] return 0;
  Call call;
  core::Send block{buffer, count, lower(type), destination, tag, comm->lower, mode, 0};
  if (block.datatype == 0) [[unlikely]] return abi::ERR_TYPE;
  if (threads_multiple || is_self(comm, destination)) [[unlikely]] return send_in_two_steps(call, block, type, comm, name);
  count_send(comm, destination, tag);
  int result = call.cross(CoreOp::send, &block);
  if (result == 0) [[likely]] {
    return mode == synchronous && intended() ? wait_for_receiver(call, block, type, comm, name) : 0;
  }
  if (result == kInterrupted) return wait_for_interrupted(call, block, type, comm, name);
  uncount_send(comm, destination);
  return result;
}

inline int send_nonblocking(const void* buffer, int64_t count, Datatype* type, int destination, int tag, Comm* comm,
                            int32_t mode, Request** request) {
  int error = check_send(comm, count, type, destination, tag);
  if (error != 0) [[unlikely]] return error;
  Call call;
  return start_send(call, buffer, count, type, destination, tag, comm, mode, request);
}

// --- buffered sends: a packed copy in memory of ours; the attached buffer only limits how much may be under way.
struct AttachedBuffer {
  void* address;
  int64_t size, used;
  bool attached;
};
constinit AttachedBuffer attached_buffer = {};
// What one message takes beyond its data: less than MPI_BSEND_OVERHEAD of any ABI (MPICH 96, Open MPI 128).
constexpr int64_t kOverhead = 64;

// Buffered sends under way are internal requests that nobody waits for; what they took is given back here.
int64_t bytes_under_way() {
  int64_t used = 0;
  for (Request* r = active_requests.first; r != nullptr; r = r->next) {
    if (r->internal == 2 && r->mode == buffered) used += r->count + kOverhead;
  }
  return used;
}

void wait_for_buffered(Call& call, const char* name) {
  while (bytes_under_way() > 0) {
    if (intended() && !waiting_announced(call)) {
      RankSet ranks;
      for (Request* r = active_requests.first; r != nullptr; r = r->next) {
        if (r->internal == 2 && r->mode == buffered) ranks.add_request(r);
      }
      announce_waiting(call, ranks, false, name);
    }
    test_all_active(call);
    wait_turn(call);
  }
  if (waiting_announced(call)) revoke_waiting(call);
}

}  // namespace

int send_buffered(Call& call, const void* buffer, int64_t count, Datatype* type, int32_t destination, int32_t tag,
                  Comm* comm) {
  int64_t bytes = type->size * count;
  if (!attached_buffer.attached) return abi::ERR_BUFFER;
  if (bytes_under_way() + bytes + kOverhead > attached_buffer.size) {
    test_all_active(call);
    if (bytes_under_way() + bytes + kOverhead > attached_buffer.size) return abi::ERR_BUFFER;
  }
  if (is_self(comm, destination) &&
      send_to_self(call, buffer, count, type, tag, comm, nullptr) != OwnMessage::must_go_down) {
    return 0;
  }
  void* copy = try_allocate(static_cast<size_t>(bytes));
  if (copy == nullptr) return abi::ERR_NO_MEM;
  pack_stream(buffer, count, type, copy, bytes);
  count_send(comm, destination, tag);
  core::Isend block{copy, bytes, world.packed, destination, tag, comm->lower, standard, 0};
  int error = call.cross(CoreOp::isend, &block);
  if (error != 0) uncount_send(comm, destination);
  if (error != 0 || block.request == 0) {
    deallocate(copy);
    return error;
  }
  Request* request = new_request(call, Request::What::send);
  request->mode = buffered;
  request->internal = 2;
  describe(request, copy, bytes, nullptr, destination, tag, comm);
  request->staging = copy;
  request->lower = block.request;
  list_request(request);
  if (is_self(comm, destination)) fetch_own_messages(call, comm);
  return 0;
}

int Send(const void* buf, int64_t count, Datatype* datatype, int dest, int tag, Comm* comm) {
  int error = send_blocking(buf, count, datatype, dest, tag, comm, standard, "MPI_Send");
  return raised(comm, error, "MPI_Send");
}
int Ssend(const void* buf, int64_t count, Datatype* datatype, int dest, int tag, Comm* comm) {
  int error = send_blocking(buf, count, datatype, dest, tag, comm, synchronous, "MPI_Ssend");
  return raised(comm, error, "MPI_Ssend");
}
int Rsend(const void* buf, int64_t count, Datatype* datatype, int dest, int tag, Comm* comm) {
  int error = send_blocking(buf, count, datatype, dest, tag, comm, ready, "MPI_Rsend");
  return raised(comm, error, "MPI_Rsend");
}
int Bsend(const void* buf, int64_t count, Datatype* datatype, int dest, int tag, Comm* comm) {
  int error = check_send(comm, count, datatype, dest, tag);
  if (error == 0 && dest != abi::PROC_NULL) {
    Call call;
    error = send_buffered(call, buf, count, datatype, dest, tag, comm);
  }
  return raised(comm, error, "MPI_Bsend");
}

int Isend(const void* buf, int64_t count, Datatype* datatype, int dest, int tag, Comm* comm, Request** request) {
  return raised(comm, send_nonblocking(buf, count, datatype, dest, tag, comm, standard, request), "MPI_Isend");
}
int Issend(const void* buf, int64_t count, Datatype* datatype, int dest, int tag, Comm* comm, Request** request) {
  return raised(comm, send_nonblocking(buf, count, datatype, dest, tag, comm, synchronous, request), "MPI_Issend");
}
int Irsend(const void* buf, int64_t count, Datatype* datatype, int dest, int tag, Comm* comm, Request** request) {
  return raised(comm, send_nonblocking(buf, count, datatype, dest, tag, comm, ready, request), "MPI_Irsend");
}
int Ibsend(const void* buf, int64_t count, Datatype* datatype, int dest, int tag, Comm* comm, Request** request) {
  return raised(comm, send_nonblocking(buf, count, datatype, dest, tag, comm, buffered, request), "MPI_Ibsend");
}

int Buffer_attach(void* buffer, int64_t size) {
  if (size < 0) return raise(abi::ERR_ARG, "MPI_Buffer_attach");
  if (attached_buffer.attached) return raise(abi::ERR_BUFFER, "MPI_Buffer_attach");
  Call call;
  attached_buffer = {buffer, size, 0, true};
  return 0;
}

int Buffer_detach(void** buffer_addr, int64_t* size) {
  if (!attached_buffer.attached) return raise(abi::ERR_BUFFER, "MPI_Buffer_detach");
  Call call;
  wait_for_buffered(call, "MPI_Buffer_detach");
  *buffer_addr = attached_buffer.address;
  *size = attached_buffer.size;
  attached_buffer = {};
  return 0;
}

}  // namespace mana::upper
