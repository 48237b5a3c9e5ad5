// SPDX-License-Identifier: BSD-3-Clause
// From Arguments to an argument block in the lower half's terms.  Lowering comes before counting: making a type or an
// operator may fail, a collective that was counted must be begun.
#pragma once

#include "upper/collective.h"
#include "upper/errors.h"
#include "upper/op.h"
#include "upper/topology.h"

namespace mana::upper {

// Arrays that the lower half may change in place, in one piece of memory that lives as long as the operation.
struct Staging {
  uint64_t* words = nullptr;
  int64_t used = 0;

  uint64_t* take(int64_t count) {
    uint64_t* at = words + used;
    used += count;
    return at;
  }
};

class Lowering {
 public:
  Lowering(const Arguments& arguments) : a_(arguments) {}
  ~Lowering() { deallocate(staging_.words); }
  Lowering(const Lowering&) = delete;
  Lowering& operator=(const Lowering&) = delete;

  void* release_staging() {
    void* words = staging_.words;
    staging_.words = nullptr;
    return words;
  }

  // Returns 0 or an error class.
  template <class Block>
  int fill(Block& b) {
    b.comm = a_.comm->lower;
    if constexpr (requires { b.sendbuf; }) b.sendbuf = a_.sendbuf;
    if constexpr (requires { b.recvbuf; }) b.recvbuf = a_.recvbuf;
    if constexpr (requires { b.buffer; }) b.buffer = a_.recvbuf;
    if constexpr (requires { b.sendcount; }) b.sendcount = a_.sendcount;
    if constexpr (requires { b.recvcount; }) b.recvcount = a_.recvcount;
    if constexpr (requires { b.count; }) b.count = a_.count;
    if constexpr (requires { b.root; }) b.root = a_.root;
    if constexpr (requires { b.sendtype; }) b.sendtype = one(a_.sendtype);
    if constexpr (requires { b.recvtype; }) b.recvtype = one(a_.recvtype);
    if constexpr (requires { b.datatype; }) b.datatype = one(a_.datatype);
    if constexpr (requires { b.op; }) {
      if (a_.op == nullptr) return abi::ERR_OP;
      b.op = lower(a_.op);
      if (b.op == 0) return abi::ERR_OP;
    }
    if constexpr (requires { b.recvcounts; } || requires { b.sendcounts; }) fill_arrays(b);
    return error_;
  }

 private:
  uint64_t one(Datatype* type) {
    if (type == nullptr) return 0;
    uint64_t bits = lower(type);
    if (bits == 0) error_ = abi::ERR_TYPE;
    return bits;
  }

  template <class Block>
  void fill_arrays(Block& b) {
    int32_t sends = peer_count(a_.comm), receives = sends;
    if (a_.neighbourhood) neighbour_counts(a_.comm, &receives, &sends);
    if constexpr (requires { b.op; }) receives = a_.comm->size;  // Reduce_scatter: the local group
    // Of no significance where this rank is not the root, or sends in place: never read there.
    bool is_root = a_.comm->is_inter ? a_.root == abi::ROOT : a_.root == a_.comm->rank;
    bool significant = !a_.rooted || is_root;
    bool in_place = reinterpret_cast<intptr_t>(a_.sendbuf) == abi::IN_PLACE;
    if (!significant) sends = receives = 0;
    int32_t sends_read = !a_.rooted && in_place ? 0 : sends;
    deallocate(staging_.words);
    staging_ = {static_cast<uint64_t*>(allocate(sizeof(uint64_t) * 3 * static_cast<size_t>(sends + receives))), 0};
    if constexpr (requires { b.sendcounts; }) {
      put(a_.sendcounts, sends_read, b.sendcounts, b.sendcounts_width, b.sendcounts_length);
    }
    if constexpr (requires { b.recvcounts; }) {
      put(a_.recvcounts, receives, b.recvcounts, b.recvcounts_width, b.recvcounts_length);
    }
    if constexpr (requires { b.displs; }) {
      put(a_.displs, sends > receives ? sends : receives, b.displs, b.displs_width, b.displs_length);
    }
    if constexpr (requires { b.sdispls_width; }) {
      put(a_.sdispls, sends_read, b.sdispls, b.sdispls_width, b.sdispls_length);
      put(a_.rdispls, receives, b.rdispls, b.rdispls_width, b.rdispls_length);
    } else if constexpr (requires { b.sdispls; }) {
      b.sdispls = a_.wide_sdispls;
      b.rdispls = a_.wide_rdispls;
    }
    if constexpr (requires { b.sendtypes; }) {
      put(a_.sendtypes, sends_read, b.sendtypes, b.sendtypes_length);
      put(a_.recvtypes, receives, b.recvtypes, b.recvtypes_length);
    }
  }

  // Four-byte arrays are passed as they are; wide ones are copied, because the lower half may narrow them.
  void put(const Counts& given, int32_t count, void*& array, int32_t& width, int32_t& length) {
    width = given.width;
    length = given ? count : 0;
    array = length != 0 ? const_cast<void*>(given.p) : nullptr;
    if (width != 8 || length == 0) return;
    uint64_t* copy = staging_.take(length);
    for (int32_t i = 0; i < length; ++i) copy[i] = static_cast<uint64_t>(given[static_cast<size_t>(i)]);
    array = copy;
  }
  void put(Datatype* const* given, int32_t count, uint64_t*& array, int32_t& length) {
    length = given != nullptr ? count : 0;
    array = staging_.take(length);
    for (int32_t i = 0; i < length; ++i) array[i] = one(given[i]);
  }

  const Arguments& a_;
  Staging staging_;
  int error_ = 0;
};

inline uint32_t lower_half_epoch() { return upper_interface.control.restarts.load(std::memory_order_relaxed); }

inline bool has_user_op(const Arguments& arguments) { return arguments.op != nullptr && is_user_op(arguments.op); }

template <class Block, GeneratedOp op>
int run_blocking(const Arguments& arguments, const char* name) {
  if (arguments.comm == nullptr) return raise(abi::ERR_COMM, name);
  int error;
  {
    Call call;
    Lowering lowering(arguments);
    Block block;
    error = lowering.fill(block);
    if (error == 0) [[likely]] {
      uint32_t epoch = lower_half_epoch();
      begin_collective(call, arguments.comm->counter, true);
      if (lower_half_epoch() != epoch) [[unlikely]] error = lowering.fill(block);  // it stood still through a restart
      if (error == 0) [[likely]] error = call.cross_waiting(static_cast<uint32_t>(op), &block);
      end_collective(call);
    }
  }
  return error == 0 ? 0 : raise(arguments.comm, error, name);
}

// Counted, then begun; afterwards the request is listed.
template <class Block, GeneratedOp op>
int begin_block(Call& call, const Arguments& arguments, Request* request) {
  Lowering lowering(arguments);
  Block block;
  int error = lowering.fill(block);
  if (error != 0) return error;
  uint32_t epoch = lower_half_epoch();
  begin_collective(call, arguments.comm->counter, false);
  if (lower_half_epoch() != epoch) [[unlikely]] error = lowering.fill(block);
  if (error == 0) error = call.cross(static_cast<uint32_t>(op), &block);
  if (error != 0) return error;
  request->lower = block.request;
  request->active = 1;
  request->complete = 0;
  request->staging = lowering.release_staging();
  if (has_user_op(arguments)) {
    request->user_reduction = 1;
    ++upper_interface.pending_user_reductions;
  }
  if (block.request == 0) {
    complete_request(call, request, abi::Status{abi::ANY_SOURCE, abi::ANY_TAG, 0, 0, 0, 0, {}});
  } else {
    list_request(request);
  }
  return 0;
}

int begin_nonblocking(const Arguments& arguments, BeginCollective begin, Request** request, const char* name);
int make_persistent(const Arguments& arguments, BeginCollective begin, Request** request, const char* name);

}  // namespace mana::upper
