// SPDX-License-Identifier: BSD-3-Clause
// The hand-written functions of the lower half and their argument blocks: point-to-point, requests, communicators, types,
// control.  All others (collectives, RMA, files, ...) are generated from mpi_wrappers' description in the same shape.
// Integers are neutral (abi.h); `lower` words are handles in the lower library's own bits, opaque above.
// All blocks are fixed-width: an image made by an older front end is served by a newer lower half.
#pragma once

#include <cstdint>

#include "upper/abi.h"

namespace mana::core {

// --- life
struct Init {  // MPI_Init_thread, then the control tree is made.  Collective over the job.  When MPI is initialised already (at a restart,
               // by main()) it only fills the facts; rebuild asks for them again.
  int32_t required, provided;            // in, out: abi::THREAD_*
  int32_t rank, size;                    // out
  int32_t tag_ub, wtime_is_global, universe_size, appnum, host, io;  // out; -1 in universe_size/appnum: not set
  char processor_name[256];              // out
  char library_version[512];             // out: of the lower library
};
struct Finalize { int32_t dummy; };      // real MPI_Finalize; called once the tree has agreed (finalize_ready)
struct FinalizeReady { int32_t go; };    // out: 1 when all ranks have come to MPI_Finalize and no checkpoint is under way
struct Abort { uint64_t comm; int32_t code; };
struct Resolve { int32_t constant; uint64_t lower; };  // predefined handle (abi value, null handles too) -> lower bits; 0: none here
struct AttachThread { void* record; };   // ThreadRecord*: lend a lower thread; called with the upper %fs, uses no TLS

// --- point to point.  mode: 0 standard, 1 synchronous, 2 ready.  (Buffered sends are standard sends from the attached buffer.)
struct Send {  // blocking: nonblocking operation + progress loop that leaves when intent is set
  const void* buffer; int64_t count; uint64_t datatype; int32_t destination, tag; uint64_t comm; int32_t mode;
  uint64_t request;       // out: with kInterrupted, the pending request
};
struct Recv {
  void* buffer; int64_t count; uint64_t datatype; int32_t source, tag; uint64_t comm;
  abi::Status* status;    // out, never null
  uint64_t request;       // out: with kInterrupted, the pending request
};
struct Isend {  // request out: 0 when the operation is complete already
  const void* buffer; int64_t count; uint64_t datatype; int32_t destination, tag; uint64_t comm; int32_t mode; uint64_t request;
};
struct Irecv {
  void* buffer; int64_t count; uint64_t datatype; int32_t source, tag; uint64_t comm; uint64_t request;
};
// Test each non-zero request once: completed ones become 0, with their status (error included) in statuses[i].
struct TestEach { uint64_t* requests; int32_t count, completed; abi::Status* statuses; };
// Progress loop over the non-zero requests until `need` of them (or all) are complete; kInterrupted when intent is set first.
struct WaitEach { uint64_t* requests; int32_t count, need, completed; abi::Status* statuses; };
struct Iprobe { int32_t source, tag; uint64_t comm; int32_t flag; abi::Status status; };
struct Probe { int32_t source, tag; uint64_t comm; abi::Status status; };                 // kInterrupted when intent is set
struct Improbe { int32_t source, tag; uint64_t comm; int32_t flag; uint64_t message; abi::Status status; };
struct Mrecv { void* buffer; int64_t count; uint64_t datatype; uint64_t message; abi::Status status; };   // complete on return
struct Imrecv { void* buffer; int64_t count; uint64_t datatype; uint64_t message; uint64_t request; };
struct Cancel { uint64_t request; };
struct RequestFree { uint64_t request; };
struct RequestGetStatus { uint64_t request; int32_t flag; abi::Status status; };
struct Progress { int32_t dummy; };      // give the library a chance to move messages (yields when oversubscribed)

// --- communicators.  The lower half sets MPI_ERRORS_RETURN everywhere.
struct CommShape {  // what a fresh lower communicator is: sizes, my rank, world ranks of its members
  uint64_t comm; int32_t rank, size, remote_size, is_inter;    // remote_size 0 for intracommunicators
  int32_t* world_ranks;          // size entries (local group), or null to ask for sizes only; -1: not in our world
  int32_t* remote_world_ranks;   // remote_size entries
};
// Make a communicator of the given world ranks, in this order, over the members only (MPI_Comm_create_group on world).
struct CommFromRanks { const int32_t* world_ranks; int32_t size, tag; uint64_t comm; };
// Intercommunicator over two such sets: local communicator, leaders by world rank, bridge = world.
struct InterFromComms { uint64_t local_comm; int32_t local_leader, remote_leader_world_rank, tag; uint64_t comm; };
struct CommFree { uint64_t comm; };      // local release (the collective part was counted above)
struct CommDisconnect { uint64_t comm; };  // collective, waits: of a communicator with another job's processes
struct CommSetInfo { uint64_t comm; uint64_t info; };
// Private communicator (a dup of world made by Init) for counts and acknowledgements of the runtime itself.
struct PrivateComm { uint64_t comm; };

// --- datatypes, operators, info: lower ones are made when first needed and never inspected
struct TypeCreate {  // combiner: abi::COMBINER_*; arrays as MPI_Type_get_contents would return, with 64-bit integers
  int32_t combiner, integer_count, address_count, datatype_count;
  const int64_t* integers; const int64_t* addresses; const uint64_t* datatypes;
  uint64_t datatype;       // out: committed
};
struct TypeFree { uint64_t datatype; };
struct OpCreate { uint64_t op_object; int32_t commute; uint64_t op; };  // the operator calls UpperInterface::run_op(op_object, ...)
struct OpFree { uint64_t op; };
struct InfoCreate { int32_t count; const char* const* keys; const char* const* values; uint64_t info; };
struct InfoFree { uint64_t info; };

// --- closure, parking.  Called only while intent is set (closure_* ), on the slow path.
struct ClosureBegin { void* record; void* counter; int32_t go; };  // CommCounter*; go out: 1 = begun was counted, go ahead; 0 = stay parked
struct ClosureBegun { void* record; void* counter; };              // begun was counted just as intent came: announce it
struct ClosureWaiting {                                            // this thread waits for these world ranks; polling: it may do something else as well
  void* record; const int32_t* world_ranks; int32_t count, polling; char call[32];
};
struct ClosureRunning { void* record; };                           // the wait is over
struct ParkHere { void* record; };       // stop is set: stand in the checkpoint signal's frame until resumed or restarted.  No TLS, upper %fs.

// name in the table, argument block
#define MANA_CORE_OPS(X)                                                                        \
  X(init, Init) X(finalize, Finalize) X(finalize_ready, FinalizeReady) X(abort, Abort)          \
  X(resolve, Resolve) X(attach_thread, AttachThread)                                            \
  X(send, Send) X(recv, Recv) X(isend, Isend) X(irecv, Irecv)                                   \
  X(test_each, TestEach) X(wait_each, WaitEach)                                                 \
  X(iprobe, Iprobe) X(probe, Probe) X(improbe, Improbe) X(mrecv, Mrecv) X(imrecv, Imrecv)       \
  X(cancel, Cancel) X(request_free, RequestFree) X(request_get_status, RequestGetStatus)        \
  X(progress, Progress)                                                                         \
  X(comm_shape, CommShape) X(comm_from_ranks, CommFromRanks) X(inter_from_comms, InterFromComms) \
  X(comm_free, CommFree) X(comm_set_info, CommSetInfo) X(private_comm, PrivateComm)             \
  X(comm_disconnect, CommDisconnect)                                                             \
  X(type_create, TypeCreate) X(type_free, TypeFree) X(op_create, OpCreate) X(op_free, OpFree)   \
  X(info_create, InfoCreate) X(info_free, InfoFree)                                             \
  X(closure_begin, ClosureBegin) X(closure_begun, ClosureBegun)                                 \
  X(closure_waiting, ClosureWaiting) X(closure_running, ClosureRunning) X(park_here, ParkHere)

}  // namespace mana::core
