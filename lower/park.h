// SPDX-License-Identifier: BSD-3-Clause
// A parked thread of the application, and what the checkpoint signal's handler shares with the agent (stop.h).  The handler
// runs with the upper %fs, wherever the signal found the thread: freestanding, no TLS, no stack protector.
#pragma once

#include <atomic>
#include <cstdint>

#include "kernel-loader/image_format.h"
#include "lower/speculation.h"
#include "upper/interface.h"

namespace mana::lower {

// si_value of a signal that we sent (si_code SI_QUEUE); any other signal of this number is the application's.
inline constexpr uint64_t kCheckpointMagic = 0x4b524150414e414d;

enum class ParkState : uint32_t {
  none = 0,
  asked,       // the signal has been sent
  retry,       // it came at an instruction where nobody can be parked: ask again
  in_wrapper,  // in an MPI call: parks by itself on the way out
  foreign,     // a thread of the lower half that nobody knew
  parked,
};

// What the agent asks a parked thread to do for it: to take what is pending for it alone, and queue it again.
struct TakenSignals {
  uint64_t set;                      // which
  uint32_t room, count;
  uint64_t (*info)[16];              // siginfo_t each
  std::atomic<uint32_t> done;        // futex
};

// One per upper thread, found by its id.  A thread is parked when state == parked and release == ParkControl::release.
struct alignas(64) ParkSlot {
  std::atomic<int32_t> tid;        // 0: free
  std::atomic<ParkState> state;
  std::atomic<uint32_t> release;   // ParkControl::release as this thread found it when it came
  std::atomic<uint32_t> wake;      // futex that the parked thread waits on
  uint64_t fs, gs;                 // bases
  uint64_t context;                // address of the ucontext in the signal frame: all rt_sigreturn needs
  uint64_t siginfo;
  uint64_t robust_list, robust_length;
  uint64_t timer_slack;            // PR_GET_TIMERSLACK
  int32_t death_signal;            // PR_GET_PDEATHSIG
  uint32_t personality;
  uint8_t secure_bits, memory_errors, without_tsc, without_cpuid, no_new_privileges, flushes_io;  // image::ThreadState
  Speculation speculation;
  uint64_t tid_address;            // word that the kernel clears and wakes when the thread ends; 0: unknown
  ThreadRecord* record;            // null: has never called MPI
  char name[16];
  bool has_rseq;
  image::MemoryPolicy policy;      // if the application has ever set one
  bool has_key_ring;               // of its own, or of the process; if the application has ever used any
  // Noted by the agent before it sends the signal: the system call that the thread is blocked in.
  std::atomic<int64_t> blocked_call;  // -1: none
  uint64_t blocked_sp, blocked_pc;
  std::atomic<TakenSignals*> take; // a request to the parked thread
  uint32_t listed;                 // the agent's own: it has this slot in its list
};

struct ParkControl {
  ParkSlot* slots;                    // hash table by tid, linear probing, untouched pages cost nothing
  uint32_t slot_count;                // power of two
  std::atomic<uint32_t> stop;         // as control.stop, for programs without MPI too
  std::atomic<uint32_t> release;      // how often resume() was called
  std::atomic<uint32_t> handlers;     // threads that are inside the handler
  std::atomic<uint32_t> arrivals;     // futex: bumped whenever a slot's state has changed
  std::atomic<int32_t> service_tid;   // who executes commands; 0: nobody
  std::atomic<ServiceCall*> command;
  std::atomic<uint32_t> answered;     // futex: bumped after every command
  std::atomic<uint32_t> progressing;  // Service::progress between commands
  UpperInterface* upper;
  uint64_t service_stack_top;         // commands run on a stack of ours: a thread's own may be small
};
extern ParkControl park_control;

ParkSlot* find_slot(int32_t tid);         // null: none
ParkSlot* find_or_add_slot(int32_t tid);  // null: the table is full

extern "C" void mana_park_handler(int signal, void* info, void* context);
bool leave_before_handler(int signal, void* info, void* context);  // mana_interrupted_below (trampolines/signal_entry.h)

// What a parked thread does until it may go on: sleeps, and executes commands if it is the service thread.  A restored
// thread comes here before it returns into its frame.
void wait_parked(ParkSlot* slot);

}  // namespace mana::lower
