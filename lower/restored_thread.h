// SPDX-License-Identifier: BSD-3-Clause
// The last steps of a thread on its way from the lower half into its frame in the image.  Freestanding: from the first of
// them on, %fs is the application's.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "kernel-loader/image_format.h"
#include "upper/interface.h"

namespace mana::lower {

struct RestoredThread {
  image::ThreadState state;
  uint64_t rseq_address;   // 0: this thread has no restartable sequences
  uint32_t rseq_bytes, rseq_signature;
  // The main thread rebuilds the lower objects, while all others wait, and then lets them go.
  UpperInterface* upper;   // null: nothing to rebuild
  std::atomic<uint32_t>* go;  // futex
  std::atomic<int32_t> tid;   // set by the kernel
  int32_t index;              // in the image
  const image::MemoryPolicy* policy;    // null: its launcher's
  const image::PendingSignal* signals;  // of all threads
  std::size_t signal_count;
};

// Makes a task that will be `thread`, on a small stack of the lower half.  All signals must be blocked.  Returns its id, or -errno.
long start_restored_thread(RestoredThread* thread, void* stack_top);

// The calling (main) thread becomes `thread`.
[[noreturn]] void become_restored_thread(RestoredThread* thread);
// The application's main thread had ended: the calling one lets the others go and ends as well.
[[noreturn]] void end_main_thread(std::atomic<uint32_t>* go);

}  // namespace mana::lower
