// SPDX-License-Identifier: BSD-3-Clause
// What both halves know of one thread of the application that has called MPI.  Lives in upper memory (so it is saved),
// is written by its own thread, and is read by the agent.  The crossing (cross_x86_64.S) uses the first two words and
// `flags`.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace mana {

struct ThreadRecord {
  uint64_t lower_fs;  // %fs base of the lower half's thread that this thread borrows; fresh after each restart
  uint64_t upper_fs;  // %fs base of this thread in the application
  // > 0 while the thread is in a wrapper: it may hold lower-half addresses or half-updated tables, so the checkpoint
  // signal only returns; the thread parks by itself (park_here, or on its way out of the wrapper).
  std::atomic<uint32_t> depth;
  // Nonzero while the thread, though depth > 0, stands in upper code that holds nothing of the lower half and no
  // half-updated table (a waiting loop between two crossings): the checkpoint signal parks it there.
  std::atomic<uint32_t> safe_point;
  std::atomic<uint64_t> operations;   // MPI calls begun, and steps done while intent is set: progress, for the closure
  std::atomic<uint64_t> inside_uid;   // uid of the communicator whose blocking collective this thread is in; 0: none
  std::atomic<uint32_t> tid;          // the kernel's thread id, fresh after each restart; 0: the slot is free
  uint32_t is_main;                   // the thread that ran main(); it borrows the lower half's main thread
  ThreadRecord* next;                 // list of all records, never shortened; a free slot is used again
  uint64_t flags;                     // kSetFsByCall; set by the lower half when it lends a thread
  uint64_t reserved[3];
};
// In `flags`: user code may not execute wrfsbase on this machine (AT_HWCAP2), so %fs is set with arch_prctl.
inline constexpr uint64_t kSetFsByCall = 1;

static_assert(offsetof(ThreadRecord, lower_fs) == 0);
static_assert(offsetof(ThreadRecord, upper_fs) == 8);
static_assert(offsetof(ThreadRecord, depth) == 16);
static_assert(offsetof(ThreadRecord, safe_point) == 20);
static_assert(offsetof(ThreadRecord, inside_uid) == 32);
static_assert(offsetof(ThreadRecord, flags) == 56);
static_assert(sizeof(ThreadRecord) == 88);

}  // namespace mana
