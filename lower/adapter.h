// SPDX-License-Identifier: BSD-3-Clause
// The adapter: the one part of a lower program that calls the real MPI library, compiled once per
// library.  The core operations themselves are declared in lower/core_functions.h; this is what
// main(), the agent and the table need of it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "upper/core_ops.h"

namespace mana::lower {

// "mpich" or "openmpi".
const char* mpi_name();

// MPI_Init_thread with the neutral `thread_level`, then everything that the other operations stand
// on: errors are returned, the private communicator, the world's group, whether cores are shared.
// Fills `facts`.  Called by the `init` operation, or by main() at a restart before the image is
// placed.  Returns 0 or a neutral error class.
int start_mpi(int thread_level, core::Init* facts);

// Called by the `init` operation before start_mpi and once it is done, on the application's thread:
// main() lets the agent join the job here.  Nothing is called when none is set.
void on_init(void (*before)(), void (*joined)(const core::Init& facts));

// MPI_Finalize, once, if MPI is initialised.  Any thread; nobody may be in another MPI call.
void finish_mpi();

// Ends the job: MPI_Abort when MPI is initialised, else exit.
[[noreturn]] void abort_job(int code);
// Whether MPI_Finalize is running.
bool is_finalizing();

// Each rank's `bytes` bytes to every rank, in rank order.  Collective over the job, on the private
// communicator.
void gather_from_all(const void* mine, void* all, std::size_t bytes);

// Where waiting operations look for the intent of a checkpoint: control.intent of the upper half.
// Until it is set, a word that is always 0.
void set_intent_word(const std::atomic<uint32_t>* word);

}  // namespace mana::lower
