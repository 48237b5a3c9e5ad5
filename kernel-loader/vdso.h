// SPDX-License-Identifier: BSD-3-Clause
// The synthetic vdso: what the upper half gets as AT_SYSINFO_EHDR, and the code in which its caught
// blocking calls wait. Lies in the arena and is part of the image; each start and restart fills its
// table (page 1) with addresses of the kernel of the day.  Private to kernel-loader.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernel-loader/result.h"
#include "kernel-loader/vdso/layout.inc"

namespace mana::loader {

extern const unsigned char embedded_vdso[];
extern const unsigned long embedded_vdso_size;

inline constexpr int kVdsoFunctions = 5;
inline constexpr uint64_t kVdsoTableOffset = 4096;
inline constexpr uint64_t kFinishCall =
    FINISH_CALL;  // rax of the call that blocking_call ends with

inline constexpr uint32_t kVdsoVersion = 3;

// Offsets are from the start of the vdso.
struct VdsoTable {
  uint64_t magic;
  uint32_t version;
  uint32_t function_count;
  uint64_t functions[kVdsoFunctions];  // absolute
  uint64_t plain_calls[kVdsoFunctions];
  uint64_t blocking_call, blocking_call_done, blocking_call_finish, blocking_call_return;
  uint64_t unmap_own_stack, unmap_own_stack_done;
  uint64_t exit_without_stack, exit_done;
  uint64_t forward_begin, forward_end;  // calls of the kernel's functions return to between these
  uint64_t after_kernel_call;           // where they return to when signals wait for it
  uint64_t reserved[2];
};
static_assert(offsetof(VdsoTable, functions) == TABLE_FUNCTIONS);
static_assert(sizeof(VdsoTable) == 16 + 23 * 8);

// On the waiting thread's stack, above its stack pointer.
struct BlockingCall {
  uint64_t arguments[6];  // as the application passed them
  uint64_t finish;        // FINISH_*: whether the result goes to the gate (kFinishCall)
  uint64_t result;        // of the system call, for the finish
  uint64_t number;
  uint64_t mask;          // the signal mask argument without the signals that stay ours
  uint64_t pair[2];       // pselect6: its address and size; a deadline: in the kernel's time; what is left of a span
  uint64_t flags;         // a system call keeps the flags register
  int64_t until;          // ns of the application's CLOCK_MONOTONIC: where its span ends; 0: it has none, or the kernel tells what is left
  uint64_t return_rip, return_rsp;
};
static_assert(offsetof(BlockingCall, arguments) == CALL_ARGUMENTS);
static_assert(offsetof(BlockingCall, finish) == CALL_FINISH);
static_assert(offsetof(BlockingCall, result) == CALL_RESULT);
static_assert(offsetof(BlockingCall, flags) == CALL_FLAGS);
static_assert(offsetof(BlockingCall, return_rip) == CALL_RETURN_RIP);
static_assert(offsetof(BlockingCall, return_rsp) == CALL_RETURN_RSP);
static_assert(sizeof(BlockingCall) == 128);

struct Vdso {
  uint64_t address;
  uint64_t length;
};
// Places a new one in the arena, its table still empty.
Result<Vdso> place_vdso();
// Fills the table of the one at `address` (new, or from an image) and makes it read-only.  Shifted: the clock is clocks.h's.
enum class VdsoClock { kernels, shifted };
Outcome fill_vdso(uint64_t address, VdsoClock clock);
// Whether an instruction is the kernel's vdso's, or of a function of ours that stands in its place.
bool in_kernel_vdso(uint64_t pc);
inline const VdsoTable* vdso_table(uint64_t address) {
  return reinterpret_cast<const VdsoTable*>(address + kVdsoTableOffset);
}

}  // namespace mana::loader
