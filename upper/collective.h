// SPDX-License-Identifier: BSD-3-Clause
// Collectives: one description of the arguments serves the blocking, the nonblocking and the persistent form.  Argument
// blocks (generated_ops.h) are filled from it by field name.
#pragma once

#include <cstdint>

#include "mpi_wrappers/generated_calls.h"
#include "mpi_wrappers/upper_api.h"
#include "upper/comm.h"
#include "upper/request.h"

namespace mana::upper {

// Arguments as the application gave them; what a collective does not have stays empty.
struct Arguments {
  const void* sendbuf = nullptr;
  void* recvbuf = nullptr;       // Bcast: the buffer
  int64_t sendcount = 0, recvcount = 0, count = 0;
  Datatype* sendtype = nullptr;
  Datatype* recvtype = nullptr;
  Datatype* datatype = nullptr;
  Datatype** sendtypes = nullptr;
  Datatype** recvtypes = nullptr;
  Counts sendcounts = {}, recvcounts = {}, sdispls = {}, rdispls = {}, displs = {};
  const int64_t* wide_sdispls = nullptr;  // Neighbor_alltoallw's are MPI_Aint always
  const int64_t* wide_rdispls = nullptr;
  Op* op = nullptr;
  int32_t root = 0;
  bool rooted = false, neighbourhood = false;
  Comm* comm = nullptr;
};

// Begins the nonblocking form; `request` is described and gets its lower operation.
using BeginCollective = int (*)(Call& call, const Arguments& arguments, Request* request);

int begin_persistent(Call& call, Request* request);   // MPI_Start
void free_arguments(Request* request);                // what `extra` of a collective's request holds

// A collective without arguments that need lowering (creation of communicators): counted, begun, over.
inline int cross_collective(Call& call, CommCounter* counter, GeneratedOp op, void* block) {
  begin_collective(call, counter, true);
  int error = call.cross_waiting(static_cast<uint32_t>(op), block);
  end_collective(call);
  return error;
}

}  // namespace mana::upper
