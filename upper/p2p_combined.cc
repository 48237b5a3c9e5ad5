// SPDX-License-Identifier: BSD-3-Clause
// MPI_Sendrecv and its kin (MPI 5.0, 3.10), persistent point-to-point requests (3.9).
#include "mpi_wrappers/upper_api.h"
#include "upper/errors.h"
#include "upper/p2p.h"
#include "upper/pack.h"
#include "upper/status.h"

namespace mana::upper {

namespace {

inline int raised(Comm* comm, int error, const char* name) { return error == 0 ? 0 : raise(comm, error, name); }

struct Half {
  void* buffer;
  int64_t count;
  Datatype* type;
  int peer, tag;
};

// Begins both halves, the receive first.
int start_both(Call& call, const Half& out, const Half& in, Comm* comm, Request** pair) {
  int error = start_receive(call, in.buffer, in.count, in.type, in.peer, in.tag, comm, &pair[0]);
  if (error != 0) return error;
  error = start_send(call, out.buffer, out.count, out.type, out.peer, out.tag, comm, standard, &pair[1]);
  if (error == 0) return 0;
  if (pair[0]->lower != 0) {  // the receive must not stay behind
    core::Cancel block{pair[0]->lower};
    call.cross(CoreOp::cancel, &block);
  } else if (!pair[0]->complete) {  // pending above only
    abi::Status status;
    set_status(&status, abi::ANY_SOURCE, abi::ANY_TAG, 0, 0, 1);
    complete_request(call, pair[0], status);
  }
  wait_and_free(call, pair[0], nullptr, "MPI_Sendrecv");
  return error;
}

int exchange(const Half& out, const Half& in, Comm* comm, void* staging, abi::Status* status, const char* name) {
  Call call;
  Request* pair[2];
  int error = start_both(call, out, in, comm, pair);
  if (error == 0) {
    wait_for(call, pair, 2, true, name);
    error = pair[0]->status.error != 0 ? pair[0]->status.error : pair[1]->status.error;
    copy_status(status, pair[0]->status);
    free_request(pair[0]);
    free_request(pair[1]);
  }
  deallocate(staging);
  return error;
}

int exchange_nonblocking(const Half& out, const Half& in, Comm* comm, void* staging, Request** request) {
  Call call;
  Request* pair[2];
  int error = start_both(call, out, in, comm, pair);
  if (error != 0) {
    deallocate(staging);
    return error;
  }
  pair[1]->internal = 1;
  pair[0]->joined = 1;
  pair[0]->extra = pair[1];
  if (pair[1]->complete) {
    deallocate(staging);
  } else {
    pair[1]->staging = staging;
  }
  *request = pair[0];
  return 0;
}

int check_both(const Half& out, const Half& in, const Comm* comm) {
  int error = check_send(comm, out.count, out.type, out.peer, out.tag);
  return error != 0 ? error : check_receive(comm, in.count, in.type, in.peer, in.tag);
}

// A packed copy of what is sent, as bytes that match any type.
int stage(const Half& half, Half* staged) {
  int64_t bytes = half.type->size * half.count;
  void* copy = try_allocate(static_cast<size_t>(bytes));
  if (copy == nullptr) return abi::ERR_NO_MEM;
  pack_stream(half.buffer, half.count, half.type, copy, bytes);
  *staged = {copy, bytes, predefined_type(abi::PACKED), half.peer, half.tag};
  return 0;
}

int make_persistent(const void* buffer, int64_t count, Datatype* type, int peer, int tag, Comm* comm,
                    Request::What what, int mode, Request** request, const char* name) {
  int error = what == Request::What::send ? check_send(comm, count, type, peer, tag)
                                          : check_receive(comm, count, type, peer, tag);
  if (error != 0) return raise(comm, error, name);
  Call call;
  Request* r = new_request(call, what);
  r->mode = static_cast<uint8_t>(mode);
  describe(r, buffer, count, type, peer, tag, comm);
  r->persistent = 1;
  r->active = 0;
  *request = r;
  return 0;
}

}  // namespace

int Sendrecv(const void* sendbuf, int64_t sendcount, Datatype* sendtype, int dest, int sendtag, void* recvbuf,
             int64_t recvcount, Datatype* recvtype, int source, int recvtag, Comm* comm, abi::Status* status) {
  Half out{const_cast<void*>(sendbuf), sendcount, sendtype, dest, sendtag};
  Half in{recvbuf, recvcount, recvtype, source, recvtag};
  int error = check_both(out, in, comm);
  if (error == 0) error = exchange(out, in, comm, nullptr, status, "MPI_Sendrecv");
  return raised(comm, error, "MPI_Sendrecv");
}

int Sendrecv_replace(void* buf, int64_t count, Datatype* datatype, int dest, int sendtag, int source, int recvtag,
                     Comm* comm, abi::Status* status) {
  Half out{buf, count, datatype, dest, sendtag}, in{buf, count, datatype, source, recvtag}, staged;
  int error = check_both(out, in, comm);
  if (error == 0) error = stage(out, &staged);
  if (error == 0) error = exchange(staged, in, comm, staged.buffer, status, "MPI_Sendrecv_replace");
  return raised(comm, error, "MPI_Sendrecv_replace");
}

int Isendrecv(const void* sendbuf, int64_t sendcount, Datatype* sendtype, int dest, int sendtag, void* recvbuf,
              int64_t recvcount, Datatype* recvtype, int source, int recvtag, Comm* comm, Request** request) {
  Half out{const_cast<void*>(sendbuf), sendcount, sendtype, dest, sendtag};
  Half in{recvbuf, recvcount, recvtype, source, recvtag};
  int error = check_both(out, in, comm);
  if (error == 0) error = exchange_nonblocking(out, in, comm, nullptr, request);
  return raised(comm, error, "MPI_Isendrecv");
}

int Isendrecv_replace(void* buf, int64_t count, Datatype* datatype, int dest, int sendtag, int source, int recvtag,
                      Comm* comm, Request** request) {
  Half out{buf, count, datatype, dest, sendtag}, in{buf, count, datatype, source, recvtag}, staged;
  int error = check_both(out, in, comm);
  if (error == 0) error = stage(out, &staged);
  if (error == 0) error = exchange_nonblocking(staged, in, comm, staged.buffer, request);
  return raised(comm, error, "MPI_Isendrecv_replace");
}

int Send_init(const void* buf, int64_t count, Datatype* datatype, int dest, int tag, Comm* comm, Request** request) {
  return make_persistent(buf, count, datatype, dest, tag, comm, Request::What::send, standard, request,
                         "MPI_Send_init");
}
int Ssend_init(const void* buf, int64_t count, Datatype* datatype, int dest, int tag, Comm* comm, Request** request) {
  return make_persistent(buf, count, datatype, dest, tag, comm, Request::What::send, synchronous, request,
                         "MPI_Ssend_init");
}
int Rsend_init(const void* buf, int64_t count, Datatype* datatype, int dest, int tag, Comm* comm, Request** request) {
  return make_persistent(buf, count, datatype, dest, tag, comm, Request::What::send, ready, request, "MPI_Rsend_init");
}
int Bsend_init(const void* buf, int64_t count, Datatype* datatype, int dest, int tag, Comm* comm, Request** request) {
  return make_persistent(buf, count, datatype, dest, tag, comm, Request::What::send, buffered, request,
                         "MPI_Bsend_init");
}
int Recv_init(void* buf, int64_t count, Datatype* datatype, int source, int tag, Comm* comm, Request** request) {
  return make_persistent(buf, count, datatype, source, tag, comm, Request::What::recv, 0, request, "MPI_Recv_init");
}

}  // namespace mana::upper
