// SPDX-License-Identifier: BSD-3-Clause
// Puts a program and its ELF interpreter into the arena as execve would and starts it.  Called by
// the lower program's main(), once.  Order at a launch:
//   check_kernel; begin_lower_half; load_program; install_gate (gate.h); start_program.
// Order at a restart:
//   check_kernel; begin_lower_half; (MPI_Init); place the image; restore_gate_state;
//   begin_descriptor_restore...; install_gate.
#pragma once

#include <cstdint>

#include "kernel-loader/layout.h"
#include "kernel-loader/program.h"
#include "kernel-loader/result.h"

namespace mana::loader {

struct GateState;  // gate.h

// One clear error when this kernel cannot do it: no seccomp filter, no MAP_FIXED_NOREPLACE (4.17),
// the arena taken.
Outcome check_kernel();

struct LaunchPlan {
  const char* program;     // path or bare name, as the user gave it
  char* const* arguments;  // argv of the application, argv[0] included, null-terminated
  char* const* environment;
  uint64_t stack_limit;  // soft RLIMIT_STACK that the application asked for; kUnlimited
};

struct LoadedProgram {
  uint64_t entry;  // of the interpreter
  uint64_t stack;  // initial stack pointer: argc is there
  uint64_t stack_limit;
};

// Maps program and interpreter, makes the synthetic vdso, the heap's range and the stack.
Result<LoadedProgram> load_program(const LaunchPlan& plan);

// The lower libc's registration of restartable sequences for the calling thread (from
// __rseq_offset, __rseq_size).  The kernel allows one per thread, and the application's libc wants
// it.  size 0: none.
struct LowerRseq {
  uint64_t address = 0;
  uint32_t size = 0;
};
void unregister_rseq(const LowerRseq& rseq);

// Gives the process the application's name and stack limit.  start_program and restore_gate_state
// do it.
void show_identity();

// Has /proc/PID show the application's words, environment and auxiliary vector (load_program does it; a restart, before anything else).
// Only while there is one thread: the kernel is told where the heap ends at the same time.
void show_command(const GateState& state);
// After memory_comes_from, before the application runs: the kernel shows words and environment from anonymous memory only.
void keep_words(const GateState& state);

// Gives the application its stack limit and its name, unregisters the lower rseq, jumps.  The
// application's program runs on the calling thread (the main thread), whose lower stack keeps what
// the frames below need.
[[noreturn]] void start_program(const LoadedProgram& program, const LowerRseq& rseq);

// At a restart, when memory is mapped from the file with this number (inode).  What the application has as one mapping may
// then be several, and mremap must move them one by one (gate_memory.cc); what it gives away must become zeroes (gate_image_memory.cc).
void memory_comes_from(uint64_t image_inode);

}  // namespace mana::loader
