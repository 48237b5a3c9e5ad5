// SPDX-License-Identifier: BSD-3-Clause
// The only way from this folder to the kernel: raw system calls, no errno, no libc.  Usable in
// every zone.
#pragma once

#include <asm/unistd.h>

#include <cstddef>
#include <cstdint>

namespace mana::sys {

inline long raw(long number, uint64_t a = 0, uint64_t b = 0, uint64_t c = 0, uint64_t d = 0,
                uint64_t e = 0, uint64_t f = 0) {
  long result;
  register uint64_t r10 __asm__("r10") = d;
  register uint64_t r8 __asm__("r8") = e;
  register uint64_t r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

// The kernel's convention: the last page of numbers is errors.
constexpr bool failed(long result) { return static_cast<unsigned long>(result) > -4096UL; }
constexpr int error_of(long result) { return static_cast<int>(-result); }

inline uint64_t bits(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }
template <class T>
T* pointer(uint64_t address) {
  return reinterpret_cast<T*>(address);
}

inline int getpid() { return static_cast<int>(raw(__NR_getpid)); }
inline int gettid() { return static_cast<int>(raw(__NR_gettid)); }
inline long close(int descriptor) { return raw(__NR_close, static_cast<uint64_t>(descriptor)); }
inline long open_read(const char* path, int more_flags = 0) {
  constexpr int kReadCloseOnExec = 02000000;
  return raw(__NR_openat, static_cast<uint64_t>(-100), bits(path),
             static_cast<uint64_t>(kReadCloseOnExec | more_flags));
}
inline long read(int descriptor, void* to, size_t size) {
  return raw(__NR_read, static_cast<uint64_t>(descriptor), bits(to), size);
}
inline long pread(int descriptor, void* to, size_t size, uint64_t offset) {
  return raw(__NR_pread64, static_cast<uint64_t>(descriptor), bits(to), size, offset);
}
inline long mmap(uint64_t at, uint64_t length, int protection, int flags, int descriptor = -1,
                 uint64_t offset = 0) {
  return raw(__NR_mmap, at, length, static_cast<uint64_t>(protection), static_cast<uint64_t>(flags),
             static_cast<uint64_t>(descriptor), offset);
}
inline long munmap(uint64_t at, uint64_t length) { return raw(__NR_munmap, at, length); }
inline void yield() { raw(__NR_sched_yield); }

// The calling thread's %fs base; by system call where user code may not read it.
inline uint64_t fs_base() {
  uint64_t base = 0;
  constexpr uint64_t kArchGetFs = 0x1003;
  raw(__NR_arch_prctl, kArchGetFs, bits(&base));
  return base;
}

// The kernel's sigaction, not libc's.
struct KernelAction {
  uint64_t handler;
  uint64_t flags;
  uint64_t restorer;
  uint64_t mask;
};
inline long rt_sigaction(int signal, const KernelAction* action, KernelAction* old) {
  return raw(__NR_rt_sigaction, static_cast<uint64_t>(signal), bits(action), bits(old), 8);
}
inline long rt_sigprocmask(int how, const uint64_t* set, uint64_t* old) {
  return raw(__NR_rt_sigprocmask, static_cast<uint64_t>(how), bits(set), bits(old), 8);
}

}  // namespace mana::sys
