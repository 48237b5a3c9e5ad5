// SPDX-License-Identifier: BSD-3-Clause
// MPI_Recv, MPI_Irecv, probes and matched receives: MPI 5.0, 3.2.4 and 3.8.  The queue of drained messages comes first everywhere.
#include "mpi_wrappers/upper_api.h"
#include "upper/errors.h"
#include "upper/p2p_self.h"
#include "upper/queue.h"
#include "upper/status.h"

namespace mana::upper {

namespace {

inline int raised(Comm* comm, int error, const char* name) { return error == 0 ? 0 : raise(comm, error, name); }

int receive_in_steps(Call& call, const core::Recv& block, Datatype* type, Comm* comm, abi::Status* status) {
  Request* request;
  int error = start_receive(call, block.buffer, block.count, type, block.source, block.tag, comm, &request);
  return error != 0 ? error : wait_and_free(call, request, status, "MPI_Recv");
}

// A checkpoint came while the receive was posted: it goes on as a request, posted again after a restart.
int wait_for_interrupted(Call& call, const core::Recv& block, Datatype* type, Comm* comm, abi::Status* status) {
  Request* request = new_request(call, Request::What::recv);
  describe(request, block.buffer, block.count, type, block.source, block.tag, comm);
  request->lower = block.request;
  list_request(request);
  return wait_and_free(call, request, status, "MPI_Recv");
}

inline int receive(void* buffer, int64_t count, Datatype* type, int source, int tag, Comm* comm, abi::Status* status) {
  int error = check_receive(comm, count, type, source, tag);
  if (error != 0) [[unlikely]] return error;
  if (source == abi::PROC_NULL) [[unlikely]] {
    set_proc_null_status(status);
    return 0;
  }
  Call call;
  if (DrainedMessage* message = find_drained(comm, source, tag)) [[unlikely]] {
    unlink_drained(comm, message);
    return deliver_drained(call, comm, message, buffer, count, type, status);
  }
  core::Recv block{buffer, count, lower(type), source, tag, comm->lower, status, 0};
  if (block.datatype == 0) [[unlikely]] return abi::ERR_TYPE;
  if (threads_multiple || is_self(comm, source)) [[unlikely]] return receive_in_steps(call, block, type, comm, status);
  int result = call.cross(CoreOp::recv, &block);
  if (result == kInterrupted) [[unlikely]] return wait_for_interrupted(call, block, type, comm, status);
  if (result == 0 || result == abi::ERR_TRUNCATE) {
    if (static_cast<uint32_t>(status->source) < static_cast<uint32_t>(peer_count(comm))) {
      Call::bump(comm->received[status->source]);
    }
  }
  return result;
}

// --- probes

int check_probe(const Comm* comm, int source, int tag) {
  return comm == nullptr ? abi::ERR_COMM : check_source(comm, source, tag);
}

// An empty-handed probe while a checkpoint is intended: a loop of them is a wait.
void note_miss(Call& call, Comm* comm, int source, const char* name) {
  RankSet ranks;
  ranks.add_source(comm, source);
  announce_waiting(call, ranks, true, name);
  keep_moving(call);
}

inline void note_hit(Call& call) {
  count_step(call.record());
  if (waiting_announced(call)) [[unlikely]] revoke_waiting(call);
}

int probe_once(int source, int tag, Comm* comm, int* flag, abi::Status* status) {
  if (source == abi::PROC_NULL) {
    abi::Status none;
    set_proc_null_status(&none);
    copy_status(status, none);
    *flag = 1;
    return 0;
  }
  Call call(Call::polling);
  for (bool again = true;; again = false) {
    if (DrainedMessage* message = find_drained(comm, source, tag)) [[unlikely]] {
      abi::Status found;
      set_drained_status(message, &found);
      copy_status(status, found);
      *flag = 1;
      note_hit(call);
      return 0;
    }
    core::Iprobe block;  // the status is read only where the lower half has filled it
    block.source = source;
    block.tag = tag;
    block.comm = comm->lower;
    block.flag = 0;
    int error = call.cross(CoreOp::iprobe, &block);
    *flag = block.flag;
    if (error != 0) return error;
    if (block.flag) {
      copy_status(status, block.status);
      note_hit(call);
      return 0;
    }
    if (!intended()) return 0;
    note_miss(call, comm, source, "MPI_Iprobe");
    if (!again) return 0;  // what came meanwhile may be in the queue now
  }
}

int probe_until_found(Call& call, int source, int tag, Comm* comm, abi::Status* found, const char* name) {
  int error = 0;
  for (;;) {
    if (DrainedMessage* message = find_drained(comm, source, tag)) {
      set_drained_status(message, found);
      break;
    }
    // Another thread may send a message to this very rank, which never reaches the lower half.
    const bool in_turns = threads_multiple && (source == abi::ANY_SOURCE || is_self(comm, source));
    if (!intended() && !in_turns) {
      core::Probe block{source, tag, comm->lower, {}};
      error = call.cross_waiting(CoreOp::probe, &block);
      *found = block.status;
      if (error != kInterrupted) break;
    }
    if (intended() && !waiting_announced(call)) {
      RankSet ranks;
      ranks.add_source(comm, source);
      announce_waiting(call, ranks, false, name);
    }
    core::Iprobe block{source, tag, comm->lower, 0, {}};
    error = call.cross(CoreOp::iprobe, &block);
    *found = block.status;
    if (error != 0 || block.flag) break;
    wait_turn(call);
    if (!intended() && waiting_announced(call)) revoke_waiting(call);
  }
  if (waiting_announced(call)) revoke_waiting(call);
  return error;
}

Message* new_message(Comm* comm, const abi::Status& status, uint64_t lower, DrainedMessage* drained) {
  Message* message = new_object<Message>(Kind::message);
  if (message == nullptr) return nullptr;
  message->comm = comm;
  message->status = status;
  message->lower = lower;
  message->drained = drained;
  keep(comm);
  return message;
}

// Takes a matching message out of the reach of other receives; *message stays null when there is none.
int match_once(Call& call, int source, int tag, Comm* comm, Message** message, abi::Status* status) {
  abi::Status found;
  uint64_t lower = 0;
  DrainedMessage* drained = find_drained(comm, source, tag);
  if (drained != nullptr) {
    set_drained_status(drained, &found);
    unlink_drained(comm, drained);
  } else {
    core::Improbe block{source, tag, comm->lower, 0, 0, {}};
    int error = call.cross(CoreOp::improbe, &block);
    if (error != 0 || !block.flag) return error;
    found = block.status;
    lower = block.message;
    Call::bump(comm->received[found.source]);
  }
  *message = new_message(comm, found, lower, drained);
  if (*message == nullptr) return abi::ERR_NO_MEM;
  copy_status(status, found);
  return 0;
}

void match_nothing(Message** message, abi::Status* status) {
  *message = static_cast<Message*>(predefined(abi::MESSAGE_NO_PROC));
  abi::Status none;
  set_proc_null_status(&none);
  copy_status(status, none);
}

bool from_nowhere(const Message* message) { return message->constant == abi::MESSAGE_NO_PROC; }

void release_message(Message** message) {
  release((*message)->comm);
  delete_object(*message);
  *message = nullptr;
}

// The request of a matched receive: begun or complete.
Request* begin_matched(Call& call, void* buffer, int64_t count, Datatype* type, Message* message, int* error) {
  Request* request = new_request(call, Request::What::recv);
  describe(request, buffer, count, type, message->status.source, message->status.tag, message->comm);
  if (message->drained != nullptr) {
    auto* drained = static_cast<DrainedMessage*>(message->drained);
    *error = 0;
    deliver_drained(call, message->comm, drained, buffer, count, type, &request->status);
    request->complete = 1;
    return request;
  }
  core::Imrecv block{buffer, count, lower(type), message->lower, 0};
  *error = call.cross(CoreOp::imrecv, &block);
  if (*error != 0) {
    free_request(request);
    return nullptr;
  }
  request->lower = block.request;
  request->counted = 1;
  list_request(request);
  return request;
}

Request* matched_from_nowhere(Call& call) {
  Request* request = new_request(call, Request::What::recv);
  request->complete = 1;
  set_proc_null_status(&request->status);
  return request;
}

}  // namespace

int Recv(void* buf, int64_t count, Datatype* datatype, int source, int tag, Comm* comm, abi::Status* status) {
  abi::Status full;
  int error = receive(buf, count, datatype, source, tag, comm, &full);
  if (error == 0) [[likely]] {
    copy_status(status, full);
    return 0;
  }
  if (error == abi::ERR_TRUNCATE) copy_status(status, full);
  return raise(comm, error, "MPI_Recv");
}

int Irecv(void* buf, int64_t count, Datatype* datatype, int source, int tag, Comm* comm, Request** request) {
  int error = check_receive(comm, count, datatype, source, tag);
  if (error == 0) [[likely]] {
    Call call;
    error = start_receive(call, buf, count, datatype, source, tag, comm, request);
  }
  return raised(comm, error, "MPI_Irecv");
}

int Iprobe(int source, int tag, Comm* comm, int* flag, abi::Status* status) {
  int error = check_probe(comm, source, tag);
  if (error == 0) [[likely]] error = probe_once(source, tag, comm, flag, status);
  return raised(comm, error, "MPI_Iprobe");
}

int Probe(int source, int tag, Comm* comm, abi::Status* status) {
  int error = check_probe(comm, source, tag);
  if (error != 0) return raise(comm, error, "MPI_Probe");
  abi::Status found;
  if (source == abi::PROC_NULL) {
    set_proc_null_status(&found);
  } else {
    Call call;
    error = probe_until_found(call, source, tag, comm, &found, "MPI_Probe");
  }
  if (error == 0) copy_status(status, found);
  return raised(comm, error, "MPI_Probe");
}

int Improbe(int source, int tag, Comm* comm, int* flag, Message** message, abi::Status* status) {
  *message = nullptr;
  int error = check_probe(comm, source, tag);
  if (error == 0 && source == abi::PROC_NULL) {
    match_nothing(message, status);
    *flag = 1;
  } else if (error == 0) {
    Call call(Call::polling);
    error = match_once(call, source, tag, comm, message, status);
    *flag = *message != nullptr;
    if (*flag) note_hit(call);
    if (!*flag && intended()) note_miss(call, comm, source, "MPI_Improbe");
  }
  return raised(comm, error, "MPI_Improbe");
}

int Mprobe(int source, int tag, Comm* comm, Message** message, abi::Status* status) {
  *message = nullptr;
  int error = check_probe(comm, source, tag);
  if (error == 0 && source == abi::PROC_NULL) {
    match_nothing(message, status);
  } else if (error == 0) {
    Call call;
    while (error == 0 && *message == nullptr) {
      error = match_once(call, source, tag, comm, message, status);
      if (error != 0 || *message != nullptr) break;
      abi::Status found;
      error = probe_until_found(call, source, tag, comm, &found, "MPI_Mprobe");
    }
  }
  return raised(comm, error, "MPI_Mprobe");
}

int Mrecv(void* buf, int64_t count, Datatype* datatype, Message** message, abi::Status* status) {
  int error = *message == nullptr ? abi::ERR_REQUEST : check_buffer(count, datatype);
  if (error != 0) return raise(*message ? (*message)->comm : nullptr, error, "MPI_Mrecv");
  if (from_nowhere(*message)) {
    abi::Status none;
    set_proc_null_status(&none);
    copy_status(status, none);
    *message = nullptr;
    return 0;
  }
  Comm* comm = (*message)->comm;
  {
    Call call;
    abi::Status full{};
    Request* request = begin_matched(call, buf, count, datatype, *message, &error);
    if (error == 0) {
      error = request->complete ? request->status.error : 0;
      if (request->complete) {
        full = request->status;
        free_request(request);
      } else {
        error = wait_and_free(call, request, &full, "MPI_Mrecv");
      }
      copy_status(status, full);
    }
    release_message(message);
  }
  return raised(comm, error, "MPI_Mrecv");
}

int Imrecv(void* buf, int64_t count, Datatype* datatype, Message** message, Request** request) {
  int error = *message == nullptr ? abi::ERR_REQUEST : check_buffer(count, datatype);
  if (error != 0) return raise(*message ? (*message)->comm : nullptr, error, "MPI_Imrecv");
  Call call;
  if (from_nowhere(*message)) {
    *request = matched_from_nowhere(call);
    *message = nullptr;
    return 0;
  }
  *request = begin_matched(call, buf, count, datatype, *message, &error);
  release_message(message);
  return error;
}

}  // namespace mana::upper
