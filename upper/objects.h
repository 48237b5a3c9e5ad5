// SPDX-License-Identifier: BSD-3-Clause
// The MPI objects that the application holds handles to.  They live in the upper half's own memory (memory.h), are saved
// with it, and know their lower counterpart only as `lower`: bits that one lower half issued, zeroed or renewed at restart.
// A front end turns a handle into an object pointer: MPICH's ints hold `slot`; Open MPI's pointers point to the object
// (or to the exported data of a predefined one, whose first word is its constant of abi.h).
// nullptr stands for every null handle (MPI_COMM_NULL, MPI_REQUEST_NULL, ...).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "upper/abi.h"
#include "upper/interface.h"

namespace mana::upper {

enum class Kind : uint32_t {
  communicator = 1, group, datatype, op, request, info, errhandler, window, file, message, session, count
};
inline constexpr uint32_t kObjectMagic = 0x4a424f4d;

struct Object {
  uint32_t magic;         // kObjectMagic; first word (magic, kind) is >= 0x1000, so it is never a constant of abi.h
  Kind kind;
  uint32_t slot;          // index in the kind's table; predefined objects have the lowest slots
  int32_t constant;       // constant of abi.h for a predefined object, 0 otherwise
  std::atomic<int32_t> references;   // the application's handle counts one; pending requests, types built on it, ... one each
  uint32_t handle_freed;  // the application has freed its handle; the object lives on while referenced
  uint64_t lower;         // the lower half's handle; 0: not made yet in this lower half
};

struct Datatype; struct Group; struct Comm; struct Op; struct Info; struct Errhandler; struct Request;
struct DrainedMessage;  // queue.h

struct Attribute { int32_t keyval; int32_t flavour; void* value; Attribute* next; };  // flavour: how set (C pointer, ints of Fortran)

struct Comm : Object {
  int32_t rank, size, remote_size;     // remote_size 0 and remote_ranks null for an intracommunicator
  int32_t is_inter;
  int32_t* world_ranks;                // of the local group, in rank order
  int32_t* remote_world_ranks;
  CommCounter* counter;                // uid and begun
  std::atomic<uint64_t>* sent;         // per peer (remote group for an intercommunicator): messages begun to it ...
  std::atomic<uint64_t>* received;     // ... and messages received from it, since the communicator was made
  uint64_t created;                    // its place in this process's order of creation (rebuild order)
  uint64_t children;                   // how many communicators were made from it collectively (uids of children)
  int32_t topology;                    // 0, or abi::CART, GRAPH, DIST_GRAPH
  void* topology_data;                 // topology.h
  Errhandler* errhandler;
  Attribute* attributes;
  Info* info;
  char name[256];
  int32_t local_leader, remote_leader_world_rank, bridge_tag;   // intercommunicators: how to make it again
  int32_t foreign;                     // has members outside our world: counted in a Refusal
  std::atomic<int32_t> pending;        // operations not complete yet
  // comm.h: list of all communicators that have a lower one, in order of creation; those that the application has freed included
  Comm* previous; Comm* next;
  DrainedMessage* first_drained;       // queue.h, in order of arrival
  DrainedMessage* last_drained;
  uint64_t farewell;                   // lower request of the barrier by which the members of a freed one part
  int32_t farewell_begun;
  Refusal* refusal;                    // of a foreign one
};

struct Group : Object { int32_t rank, size; int32_t* world_ranks; };   // rank: abi::UNDEFINED when not a member

struct Errhandler : Object {
  Kind of;                             // communicator, window, file, session
  void (*function)();                  // the application's, in its own ABI; null for predefined ones
};

struct Op : Object { void (*function)(); int32_t commute; int32_t large_count; };

struct InfoEntry { char* key; char* value; InfoEntry* next; };
struct Info : Object { InfoEntry* entries; InfoEntry* last; int32_t count; };

struct Window : Object { Comm* comm; Errhandler* errhandler; Attribute* attributes; char name[256]; void* base; int64_t size; int32_t disp_unit, flavour, model; int32_t shown_flavour, shown_model; };
struct File : Object {
  Comm* comm; Errhandler* errhandler;
  Datatype* etype; Datatype* filetype; char datarep[128];   // the view, for MPI_File_get_view
};
struct Message : Object { Comm* comm; abi::Status status; void* drained; };  // drained: queue entry (queue.h) instead of `lower`
struct Session : Object { Errhandler* errhandler; };

// Set together when a request is made.
struct RequestFlags {
  enum class What : uint8_t { send, recv, collective, generalized, forwarded, idup };
  What what;
  uint8_t mode;              // sends: 0 standard, 1 synchronous, 2 ready, 3 buffered
  uint8_t persistent;        // made by *_init
  uint8_t active;            // begun, and not yet reported complete to the application
  uint8_t complete;          // status is final; lower == 0
  uint8_t cancelled;
  uint8_t owner_freed;       // MPI_Request_free was called while active
  uint8_t busy;              // a thread is in a crossing that waits for it (MPI_THREAD_MULTIPLE): only that thread tests it
  uint8_t held;              // synchronous send: complete only when the receiver says so (drain_synchronous.h)
  uint8_t user_reduction;    // counted in pending_user_reductions
  uint8_t listed;            // in the list of active requests
  uint8_t internal;          // the application has no handle; 2: it goes when it is complete
  uint8_t joined;            // Isendrecv: `extra` is the internal request of the send half
  uint8_t counted;           // a receive whose message was counted when MPI_Mprobe matched it
  uint8_t reserved[2];
};
static_assert(sizeof(RequestFlags) == 16);

struct Request : Object, RequestFlags {
  int32_t peer, tag;         // as given (neutral): destination or source
  void* buffer;
  int64_t count;
  Datatype* datatype;
  Comm* comm;
  uint64_t posted;           // receives: order of posting (posted again in this order)
  Request* previous; Request* next;   // list of active requests, in order of posting
  abi::Status status;
  void* extra;               // what `what` needs: arguments of a persistent collective, generalized request's functions, ...
  uint64_t later;            // synchronous send: how many sends of its stream were begun after it (drain_synchronous.h)
  void* staging;             // own memory that goes with the operation (packed bytes of a buffered send)
};

}  // namespace mana::upper
