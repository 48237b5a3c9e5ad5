// SPDX-License-Identifier: BSD-3-Clause
// Memory of the upper runtime.  It comes from mappings of its own, which lie in the arena and so are saved like all
// memory of the application.  It never touches the application's heap: a thread may be stopped inside malloc.
// Callers are in a wrapper (depth > 0) or in the service, so no allocation is ever interrupted by a checkpoint.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace mana::upper {

// Set once, by MPI_Init, when MPI_THREAD_MULTIPLE was granted.  Until then one thread at a time is in here.
extern bool threads_multiple;

// Taken in the order of asking (a ticket lock): a thread that waits in turns, and releases the lock only between them, would
// otherwise keep the others out for ever.
class SpinLock {
 public:
  void lock() {
    if (threads_multiple) lock_contended();
  }
  void unlock() {
    if (threads_multiple) serving_.store(serving_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

 private:
  void lock_contended();
  std::atomic<uint32_t> next_{0}, serving_{0};
};

class LockGuard {
 public:
  explicit LockGuard(SpinLock& lock) : lock_(lock) { lock_.lock(); }
  ~LockGuard() { lock_.unlock(); }
  LockGuard(const LockGuard&) = delete;
  LockGuard& operator=(const LockGuard&) = delete;

 private:
  SpinLock& lock_;
};

// 16-byte aligned (256 KiB and more: 64-byte aligned); allocate(0) is a valid block.  The first form ends the process
// with one line when the kernel refuses memory; the second returns nullptr, for sizes that the application chose.
void* allocate(size_t bytes);
void* try_allocate(size_t bytes);
void* allocate_zeroed(size_t bytes);
void* resize(void* block, size_t bytes);  // block may be nullptr; keeps the contents
void deallocate(void* block);              // nullptr: nothing
uint64_t memory_in_use();                 // bytes handed out and not released; for tests and the status

// Address space for a table: readable and writable zeroes, backed only where touched, never moved or freed.
void* reserve_table(size_t bytes);

template <class T>
T* allocate_array(int64_t count) {
  return static_cast<T*>(allocate(sizeof(T) * static_cast<size_t>(count < 0 ? 0 : count)));
}
// A zeroed T; the types of this runtime have no constructors that matter.
template <class T>
T* make_zeroed() {
  return static_cast<T*>(allocate_zeroed(sizeof(T)));
}

}  // namespace mana::upper
