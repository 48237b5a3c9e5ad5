// SPDX-License-Identifier: BSD-3-Clause
// The one contract between a front end (upper half, part of the image) and a lower half (fresh at every start and
// restart).  A front end's constructor hands its UpperInterface to the gate with a system call number that the kernel does not
// know (kRegisterCall, caught like any other from the arena); the lower half fills `functions` by name and keeps
// the address.  At a restart the address comes from the image and the new lower half fills the same table again.
// Nothing else in the upper half points below.  Fixed layout: an image made by an older build is served by a newer lower half.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "trampolines/thread_record.h"

namespace mana {

inline constexpr long kRegisterCall = 0x4d414e41;  // rax; rdi = UpperInterface*; returns 0, or -ENOSYS without a gate
inline constexpr uint64_t kInterfaceMagic = 0x3165636166414e4d;
inline constexpr uint32_t kInterfaceVersion = 2;

// Every function of the lower half has this shape: one argument block (core_ops.h, or generated), in neutral terms.
// Returns 0, a neutral error class (abi.h, ERR_*), or kInterrupted.
using LowerFunction = int (*)(void* arguments);
inline constexpr int kInterrupted = -1;   // intent is set and the call would block: the operation is still pending
inline constexpr int kUnsupported = -2;   // this lower half has no such function

// What the service thread (the application's main thread, parked) is asked to do for the agent.
enum class Service : uint32_t {
  none = 0,
  progress,              // move the network once; unmatched incoming messages go to the queue
  finish_collectives,    // test begun nonblocking collectives once; done = all complete
  exchange_counts,       // one step of telling every peer what was sent to it; done = exchanged
  drain,                 // one step of receiving what is still in flight; done = counts agree and all sends are complete
  rebuild,               // after a restart: make the lower objects again, post receives again; done = 1 when finished
  resume,                // after a checkpoint that goes on: forget what was only for it; done = 1
};
struct ServiceCall {
  Service what;
  uint32_t done;     // out
  int32_t error;     // out: 0 or a neutral error class
  uint32_t pending;  // out: how much is left (for the status line)
  char detail[112];  // out: which operation or object, when error != 0
};

// A kind of object that cannot outlive a restart yet.  While `alive` > 0 a checkpoint is refused, naming both.
struct Refusal {
  std::atomic<uint64_t> alive;
  const char* function;
  const char* reason;
};

// Counter of collectives begun on one communicator, read by the agent.  Entries are chained and never move; a freed
// communicator's entry keeps its count until its uid can be in no report any more.
struct CommCounter {
  uint64_t uid;                   // equal at all members; never used again for another communicator
  std::atomic<uint64_t> begun;
  uint32_t member_count;          // world ranks of the members (both groups of an intercommunicator);
  const int32_t* members;         //   needed by the closure only for one-shot uids (create_group, intercomm_create)
  uint32_t one_shot;              // 1: counts calls of create_group and its like, not a communicator's collectives
  uint32_t reserved;
  CommCounter* next;
};

struct Control {                         // written by the agent, read by wrappers with one load
  std::atomic<uint32_t> intent;          // a checkpoint was asked for; collectives go through closure_begin; 2: every rank knows
  std::atomic<uint32_t> stop;            // park at the next safe point
  std::atomic<uint32_t> restarts;        // how often this upper half has met a fresh lower half
  std::atomic<uint32_t> job_ending;      // Finalize was agreed by all ranks
  int64_t clock_offset_ns;               // of front ends of older builds, which add it to CLOCK_MONOTONIC; it stays what it is
  std::atomic<uint32_t> releases;        // each: held synchronous sends need not wait for their receivers' answers
  uint32_t reserved;
};

// Where a restart puts the environment that the user has changed (lower/environment.h).  The application's own allocator is not
// touched: another thread may hold its lock.
struct EnvironmentRoom {
  static constexpr uint64_t kVariables = 4096, kBytes = 1 << 18;
  char*** environment;  // the application's `environ`
  uint64_t used_bytes;
  char* variables[kVariables + 1];
  char text[kBytes];
};

struct UpperInterface {
  uint64_t magic;
  uint32_t version;
  uint32_t function_count;
  const char* const* function_names;  // e.g. "isend", "Allreduce"
  LowerFunction* functions;           // filled by the lower half; kUnsupported stubs where it has none
  const char* front_end;              // "mpich" or "openmpi": which ABI the application was built for

  Control control;
  std::atomic<ThreadRecord*> threads;
  std::atomic<CommCounter*> counters;
  Refusal* refusals;
  uint32_t refusal_count;

  // MPI state that the lower half needs before the upper half can answer (restart, status).
  uint32_t initialized;      // MPI_Init done by the application
  uint32_t finalized;
  int32_t thread_level;      // neutral ABI value that was granted
  int32_t world_rank;
  int32_t world_size;
  uint32_t pending_user_reductions;  // > 0: nonblocking reductions with user operators: do not stop by signal

  // Upper functions that the lower half calls, always with the upper %fs of the calling thread.
  void (*service)(ServiceCall*);
  void (*run_op)(uint64_t op_object, void* in, void* inout, int32_t* length, uint64_t lower_datatype);
  // Number of the checkpoint attempt under way, the same at all ranks and growing; written by the agent with intent.  0: not told.
  std::atomic<uint64_t> attempt;
  EnvironmentRoom* environment;
  uint64_t reserved[14];
};

}  // namespace mana
