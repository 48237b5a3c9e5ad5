// SPDX-License-Identifier: BSD-3-Clause
// How the upper runtime reaches the kernel: raw system calls from our own text in the arena, so those that the gate
// watches (mmap, munmap) are placed like the application's.  Results are the kernel's: -errno on failure.
#pragma once

#include <asm/unistd.h>
#include <cstddef>
#include <cstdint>

namespace mana::upper::kernel {

inline long call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
  long result;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

inline bool failed(long result) { return static_cast<unsigned long>(result) > -4096UL; }

// Private anonymous memory; nullptr when refused.
inline void* map(size_t bytes, bool no_reserve = false) {
  constexpr long kReadWrite = 3, kPrivateAnonymous = 0x22, kNoReserve = 0x4000;
  long at = call(__NR_mmap, 0, static_cast<long>(bytes), kReadWrite,
                 kPrivateAnonymous | (no_reserve ? kNoReserve : 0), -1, 0);
  return failed(at) ? nullptr : reinterpret_cast<void*>(at);
}
inline void unmap(void* at, size_t bytes) {
  call(__NR_munmap, reinterpret_cast<long>(at), static_cast<long>(bytes));
}

}  // namespace mana::upper::kernel
