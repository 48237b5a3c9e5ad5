// SPDX-License-Identifier: BSD-3-Clause
// The collectives of MPI 5.0, chapters 6 and 8.6, each in its three forms.  One entry says the parameters and which Arguments they are;
// the blocking function, the nonblocking one and the persistent one follow from it.
#include "mpi_wrappers/upper_api.h"
#include "upper/collective_lowering.h"

namespace mana::upper {

#define MANA_LIST(...) __VA_ARGS__
#define MANA_COLLECTIVE(Name, INAME, parameters, ...)                                                        \
  int Name(MANA_LIST parameters) {                                                                           \
    return run_blocking<ops::Name, GeneratedOp::Name>(Arguments{__VA_ARGS__, .comm = comm}, "MPI_" #Name);   \
  }                                                                                                          \
  int INAME(MANA_LIST parameters, Request** request) {                                                       \
    return begin_nonblocking(Arguments{__VA_ARGS__, .comm = comm}, &begin_block<ops::INAME, GeneratedOp::INAME>, \
                             request, "MPI_" #INAME);                                                        \
  }                                                                                                          \
  int Name##_init(MANA_LIST parameters, Info*, Request** request) {                                          \
    return make_persistent(Arguments{__VA_ARGS__, .comm = comm}, &begin_block<ops::INAME, GeneratedOp::INAME>, \
                           request, "MPI_" #Name "_init");                                                   \
  }

MANA_COLLECTIVE(Barrier, Ibarrier, (Comm* comm), .root = 0)

MANA_COLLECTIVE(Bcast, Ibcast, (void* buffer, int64_t count, Datatype* datatype, int root, Comm* comm),
                .recvbuf = buffer, .count = count, .datatype = datatype, .root = root)

// --- one block of data for each rank
#define MANA_SENT const void* sendbuf, int64_t sendcount, Datatype* sendtype
#define MANA_RECEIVED void* recvbuf, int64_t recvcount, Datatype* recvtype
#define MANA_BLOCKS                                                                                \
  .sendbuf = sendbuf, .recvbuf = recvbuf, .sendcount = sendcount, .recvcount = recvcount, .sendtype = sendtype, \
  .recvtype = recvtype

MANA_COLLECTIVE(Gather, Igather, (MANA_SENT, MANA_RECEIVED, int root, Comm* comm), MANA_BLOCKS, .root = root)
MANA_COLLECTIVE(Scatter, Iscatter, (MANA_SENT, MANA_RECEIVED, int root, Comm* comm), MANA_BLOCKS, .root = root)
MANA_COLLECTIVE(Allgather, Iallgather, (MANA_SENT, MANA_RECEIVED, Comm* comm), MANA_BLOCKS)
MANA_COLLECTIVE(Alltoall, Ialltoall, (MANA_SENT, MANA_RECEIVED, Comm* comm), MANA_BLOCKS)
MANA_COLLECTIVE(Neighbor_allgather, Ineighbor_allgather, (MANA_SENT, MANA_RECEIVED, Comm* comm), MANA_BLOCKS,
                .neighbourhood = true)
MANA_COLLECTIVE(Neighbor_alltoall, Ineighbor_alltoall, (MANA_SENT, MANA_RECEIVED, Comm* comm), MANA_BLOCKS,
                .neighbourhood = true)

// --- blocks of different sizes
MANA_COLLECTIVE(Gatherv, Igatherv,
                (MANA_SENT, void* recvbuf, Counts recvcounts, Counts displs, Datatype* recvtype, int root, Comm* comm),
                .sendbuf = sendbuf, .recvbuf = recvbuf, .sendcount = sendcount, .sendtype = sendtype,
                .recvtype = recvtype, .recvcounts = recvcounts, .displs = displs, .root = root, .rooted = true)
MANA_COLLECTIVE(Scatterv, Iscatterv,
                (const void* sendbuf, Counts sendcounts, Counts displs, Datatype* sendtype, MANA_RECEIVED, int root,
                 Comm* comm),
                .sendbuf = sendbuf, .recvbuf = recvbuf, .recvcount = recvcount, .sendtype = sendtype,
                .recvtype = recvtype, .sendcounts = sendcounts, .displs = displs, .root = root, .rooted = true)
MANA_COLLECTIVE(Allgatherv, Iallgatherv,
                (MANA_SENT, void* recvbuf, Counts recvcounts, Counts displs, Datatype* recvtype, Comm* comm),
                .sendbuf = sendbuf, .recvbuf = recvbuf, .sendcount = sendcount, .sendtype = sendtype,
                .recvtype = recvtype, .recvcounts = recvcounts, .displs = displs)
MANA_COLLECTIVE(Neighbor_allgatherv, Ineighbor_allgatherv,
                (MANA_SENT, void* recvbuf, Counts recvcounts, Counts displs, Datatype* recvtype, Comm* comm),
                .sendbuf = sendbuf, .recvbuf = recvbuf, .sendcount = sendcount, .sendtype = sendtype,
                .recvtype = recvtype, .recvcounts = recvcounts, .displs = displs, .neighbourhood = true)

#define MANA_VECTORS                                                                                           \
  .sendbuf = sendbuf, .recvbuf = recvbuf, .sendtype = sendtype, .recvtype = recvtype, .sendcounts = sendcounts, \
  .recvcounts = recvcounts, .sdispls = sdispls, .rdispls = rdispls

MANA_COLLECTIVE(Alltoallv, Ialltoallv,
                (const void* sendbuf, Counts sendcounts, Counts sdispls, Datatype* sendtype, void* recvbuf,
                 Counts recvcounts, Counts rdispls, Datatype* recvtype, Comm* comm),
                MANA_VECTORS)
MANA_COLLECTIVE(Neighbor_alltoallv, Ineighbor_alltoallv,
                (const void* sendbuf, Counts sendcounts, Counts sdispls, Datatype* sendtype, void* recvbuf,
                 Counts recvcounts, Counts rdispls, Datatype* recvtype, Comm* comm),
                MANA_VECTORS, .neighbourhood = true)
MANA_COLLECTIVE(Alltoallw, Ialltoallw,
                (const void* sendbuf, Counts sendcounts, Counts sdispls, Datatype** sendtypes, void* recvbuf,
                 Counts recvcounts, Counts rdispls, Datatype** recvtypes, Comm* comm),
                .sendbuf = sendbuf, .recvbuf = recvbuf, .sendtypes = sendtypes, .recvtypes = recvtypes,
                .sendcounts = sendcounts, .recvcounts = recvcounts, .sdispls = sdispls, .rdispls = rdispls)
MANA_COLLECTIVE(Neighbor_alltoallw, Ineighbor_alltoallw,
                (const void* sendbuf, Counts sendcounts, const int64_t* sdispls, Datatype** sendtypes, void* recvbuf,
                 Counts recvcounts, const int64_t* rdispls, Datatype** recvtypes, Comm* comm),
                .sendbuf = sendbuf, .recvbuf = recvbuf, .sendtypes = sendtypes, .recvtypes = recvtypes,
                .sendcounts = sendcounts, .recvcounts = recvcounts, .wide_sdispls = sdispls,
                .wide_rdispls = rdispls, .neighbourhood = true)

// --- reductions
#define MANA_REDUCED .sendbuf = sendbuf, .recvbuf = recvbuf, .count = count, .datatype = datatype, .op = op
#define MANA_REDUCTION const void *sendbuf, void *recvbuf, int64_t count, Datatype *datatype, Op *op

MANA_COLLECTIVE(Reduce, Ireduce, (MANA_REDUCTION, int root, Comm* comm), MANA_REDUCED, .root = root)
MANA_COLLECTIVE(Allreduce, Iallreduce, (MANA_REDUCTION, Comm* comm), MANA_REDUCED)
MANA_COLLECTIVE(Scan, Iscan, (MANA_REDUCTION, Comm* comm), MANA_REDUCED)
MANA_COLLECTIVE(Exscan, Iexscan, (MANA_REDUCTION, Comm* comm), MANA_REDUCED)
MANA_COLLECTIVE(Reduce_scatter_block, Ireduce_scatter_block,
                (const void* sendbuf, void* recvbuf, int64_t recvcount, Datatype* datatype, Op* op, Comm* comm),
                .sendbuf = sendbuf, .recvbuf = recvbuf, .recvcount = recvcount, .datatype = datatype, .op = op)
MANA_COLLECTIVE(Reduce_scatter, Ireduce_scatter,
                (const void* sendbuf, void* recvbuf, Counts recvcounts, Datatype* datatype, Op* op, Comm* comm),
                .sendbuf = sendbuf, .recvbuf = recvbuf, .datatype = datatype, .recvcounts = recvcounts, .op = op)

}  // namespace mana::upper
