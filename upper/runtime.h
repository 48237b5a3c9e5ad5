// SPDX-License-Identifier: BSD-3-Clause
// How upper code enters and leaves a wrapper, reaches the lower half, and may be stopped.
//
// Stoppability, the invariant that every function here keeps:
//   A thread with depth > 0 is never stopped by the checkpoint signal (it may hold lower handles or a half-updated table); it
//   stops by itself, in park(), and only there, where nothing of the lower half is in a local variable that is used
//   afterwards.  So: after park() - hence after Call::breathe() and on leaving a Call - every lower handle and every function address
//   is read again from memory.  A thread with depth 0 touches no state of this runtime except single aligned words.
//
// Lock: with MPI_THREAD_MULTIPLE one spinlock guards requests, communicators and the queue.  It is held from the start of a Call to its
// end, except around crossings that may wait and in breathe().  The application's functions are never called under it.
#pragma once

#include <atomic>
#include <cstdint>

#include "trampolines/cross.h"
#include "upper/abi.h"
#include "upper/core_ops.h"
#include "upper/interface.h"
#include "upper/lower_calls.h"
#include "upper/memory.h"
#include "upper/objects.h"

extern "C" __attribute__((visibility("hidden"))) __thread mana::ThreadRecord* mana_thread;

namespace mana::upper {

// What MPI_Init found out, and what this process has done with MPI.
struct World {
  int32_t tag_ub;          // of the first launch; the application has seen it
  int32_t initialized;     // MPI_Init has returned
  int32_t finalized;
  uint64_t private_comm;   // lower bits of the runtime's own communicator, renewed at restart
  uint64_t null_comm;      // lower bits of MPI_COMM_NULL
  uint64_t packed;         // lower bits of MPI_PACKED: raw bytes that match any type
};

extern UpperInterface upper_interface;
extern World world;
extern SpinLock state_lock;
extern LowerFunction lower_functions[];

inline bool intended() { return upper_interface.control.intent.load(std::memory_order_relaxed) != 0; }
inline bool all_intend() { return upper_interface.control.intent.load(std::memory_order_relaxed) == 2; }
inline bool stopping() { return upper_interface.control.stop.load(std::memory_order_relaxed) != 0; }

ThreadRecord* attach_thread();          // makes the calling thread's record and has it lent a lower thread
void park(ThreadRecord* record);        // stop is set: returns in this process or in a new one
void count_step(ThreadRecord* record);  // something moved: progress that the closure sees

inline ThreadRecord* this_thread() {
  ThreadRecord* record = mana_thread;
  return record != nullptr ? record : attach_thread();
}

// Compiler barrier: the checkpoint signal's handler runs on this very thread.
inline void order_for_signal() { std::atomic_signal_fence(std::memory_order_seq_cst); }

// One MPI call of the application that may touch state or cross.
class Call {
 public:
  enum Polling { polling };
  Call() : record_(this_thread()) {
    enter();
    bump(record_->operations);
  }
  // For calls that come back with nothing (Test, Iprobe): a loop of them is not progress.
  explicit Call(Polling) : record_(this_thread()) { enter(); }
  ~Call() {
    state_lock.unlock();
    order_for_signal();
    uint32_t depth = record_->depth.load(std::memory_order_relaxed) - 1;
    record_->depth.store(depth, std::memory_order_relaxed);
    order_for_signal();
    // A stop that is set after this look comes with a signal, which parks the thread: it is outside.
    while (depth == 0 && stopping()) [[unlikely]] park(record_);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  ThreadRecord* record() const { return record_; }

  // A crossing that does not wait for anybody.
  int cross(uint32_t function, void* block) const { return mana_cross(lower_functions[function], block, record_); }
  int cross(CoreOp op, void* block) const { return cross(static_cast<uint32_t>(op), block); }
  // A crossing that may wait: others get the lock meanwhile.
  int cross_waiting(uint32_t function, void* block) const {
    state_lock.unlock();
    int result = cross(function, block);
    state_lock.lock();
    return result;
  }
  int cross_waiting(CoreOp op, void* block) const { return cross_waiting(static_cast<uint32_t>(op), block); }

  // Between two turns of a waiting loop: others get the lock, and the thread stops here if it is asked to.
  void breathe() const {
    state_lock.unlock();
    if (stopping()) [[unlikely]] park(record_);
    state_lock.lock();
  }

  static void bump(std::atomic<uint64_t>& word) {  // written by its own thread or under the lock only
    word.store(word.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

 private:
  void enter() const {
    record_->depth.store(record_->depth.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    order_for_signal();
    state_lock.lock();
  }
  ThreadRecord* record_;
};

}  // namespace mana::upper
