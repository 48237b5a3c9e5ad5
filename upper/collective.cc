// SPDX-License-Identifier: BSD-3-Clause
#include "upper/collective.h"

#include "upper/collective_lowering.h"
#include "upper/text.h"

namespace mana::upper {

namespace {

// What a request of a collective keeps beyond its lower operation.
struct Kept {
  Arguments arguments;     // of a persistent one; else only `op` is used
  BeginCollective begin;   // null unless persistent
};

template <class T>
T* copy_array(const T* from, int64_t count) {
  if (from == nullptr || count == 0) return nullptr;
  T* copy = allocate_array<T>(count);
  copy_bytes(copy, from, sizeof(T) * static_cast<size_t>(count));
  return copy;
}

Counts copy_counts(const Counts& from, int64_t count) {
  return {copy_array(static_cast<const uint8_t*>(from.p), count * from.width), from.width};
}

Datatype** copy_types(Datatype* const* from, int64_t count) {
  if (from == nullptr || count == 0) return nullptr;
  Datatype** copy = allocate_array<Datatype*>(count + 1);
  for (int64_t i = 0; i < count; ++i) {
    copy[i] = from[i];
    if (copy[i] != nullptr) keep(copy[i]);
  }
  copy[count] = nullptr;
  return copy;
}

void let_go(Object* object) {
  if (object != nullptr) release(object);
}

// A null type in the middle of the array would end it early: it is only one that MPI does not look at.
void free_types(Datatype** types) {
  for (Datatype** type = types; type != nullptr && *type != nullptr; ++type) release(*type);
  deallocate(types);
}

void free_counts(Counts& counts) { deallocate(const_cast<void*>(counts.p)); }

// The application may free types and operators, and reuse its arrays, while a persistent request exists.
void keep_arguments(Arguments& a) {
  int32_t sends = peer_count(a.comm), receives = sends;
  if (a.neighbourhood) neighbour_counts(a.comm, &receives, &sends);
  bool is_root = a.comm->is_inter ? a.root == abi::ROOT : a.root == a.comm->rank;
  bool in_place = reinterpret_cast<intptr_t>(a.sendbuf) == abi::IN_PLACE;
  if (a.rooted && !is_root) sends = receives = 0;
  int32_t sends_read = !a.rooted && in_place ? 0 : sends;
  a.sendcounts = copy_counts(a.sendcounts, a.sendcounts ? sends_read : 0);
  a.sdispls = copy_counts(a.sdispls, a.sdispls ? sends_read : 0);
  a.recvcounts = copy_counts(a.recvcounts, a.recvcounts ? receives : 0);
  a.rdispls = copy_counts(a.rdispls, a.rdispls ? receives : 0);
  a.displs = copy_counts(a.displs, a.displs ? (sends > receives ? sends : receives) : 0);
  a.wide_sdispls = copy_array(a.wide_sdispls, sends_read);
  a.wide_rdispls = copy_array(a.wide_rdispls, receives);
  a.sendtypes = copy_types(a.sendtypes, sends_read);
  a.recvtypes = copy_types(a.recvtypes, receives);
  for (Object* object : {static_cast<Object*>(a.sendtype), static_cast<Object*>(a.recvtype),
                         static_cast<Object*>(a.datatype), static_cast<Object*>(a.op)}) {
    if (object != nullptr) keep(object);
  }
}

}  // namespace

void free_arguments(Request* request) {
  auto* kept = static_cast<Kept*>(request->extra);
  Arguments& a = kept->arguments;
  let_go(a.op);
  if (kept->begin != nullptr) {
    let_go(a.sendtype);
    let_go(a.recvtype);
    let_go(a.datatype);
    for (Counts* counts : {&a.sendcounts, &a.recvcounts, &a.sdispls, &a.rdispls, &a.displs}) free_counts(*counts);
    deallocate(const_cast<int64_t*>(a.wide_sdispls));
    deallocate(const_cast<int64_t*>(a.wide_rdispls));
    free_types(a.sendtypes);
    free_types(a.recvtypes);
  }
  deallocate(kept);
  request->extra = nullptr;
}

int begin_nonblocking(const Arguments& arguments, BeginCollective begin, Request** request, const char* name) {
  if (arguments.comm == nullptr) return raise(abi::ERR_COMM, name);
  int error;
  {
    Call call;
    Request* r = new_request(call, Request::What::collective);
    attach_to(r, arguments.comm, nullptr);
    if (has_user_op(arguments)) {  // called until the request is complete, also when the application frees it before
      auto* kept = make_zeroed<Kept>();
      kept->arguments.op = arguments.op;
      keep(arguments.op);
      r->extra = kept;
    }
    error = begin(call, arguments, r);
    if (error == 0) {
      *request = r;
    } else {
      free_request(r);
    }
  }
  return error == 0 ? 0 : raise(arguments.comm, error, name);
}

int make_persistent(const Arguments& arguments, BeginCollective begin, Request** request, const char* name) {
  if (arguments.comm == nullptr) return raise(abi::ERR_COMM, name);
  Call call;
  Request* r = new_request(call, Request::What::collective);
  attach_to(r, arguments.comm, nullptr);
  auto* kept = make_zeroed<Kept>();
  kept->arguments = arguments;
  kept->begin = begin;
  keep_arguments(kept->arguments);
  r->extra = kept;
  r->persistent = 1;
  r->active = 0;
  *request = r;
  return 0;
}

int begin_persistent(Call& call, Request* request) {
  auto* kept = static_cast<Kept*>(request->extra);
  deallocate(request->staging);
  request->staging = nullptr;
  return kept->begin(call, kept->arguments, request);
}

}  // namespace mana::upper
