// SPDX-License-Identifier: BSD-3-Clause
// The agent: one thread of the lower half that takes part in the control tree (control/), stops the
// application and has its image written.  It uses ordinary libraries: while the upper half is
// parked, the lower half runs.
//
// agent_start is called once the job's ranks can talk: by the `init` operation after the real
// MPI_Init; at a restart after the image is placed and before the application runs; or by main()
// for a process that was started under no launcher (a job of one rank, which needs no exchange).
// When such a process later initialises MPI, agent_start is called again and the same agent goes
// on.  Under a launcher a process that has not initialised MPI belongs to no job yet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "upper/interface.h"

namespace mana::lower {

struct AgentJob {
  int rank = 0, size = 1;  // in MPI_COMM_WORLD
  // Gathers `bytes` bytes from every rank, in rank order, over the lower MPI.  Called by the thread
  // that calls agent_start and only during it, a fixed number of times, the same at all ranks.  Not
  // needed for size 1.
  std::function<void(const void* mine, void* all, std::size_t bytes)> allgather;
  std::string directory;               // checkpoint directory, absolute
  int keep = 2;                        // generations to keep
  std::string mpi;                     // "mpich", "openmpi", or "none"
  std::string mpi_version;             // of the lower library, one line
  std::string front_end;               // ABI the application was built for; empty: it has no MPI
  std::string program;                 // absolute path
  std::vector<std::string> arguments;  // argv[0]...
  int64_t restarted_from = -1;         // generation, or -1
  UpperInterface* upper =
      nullptr;  // null: no front end has registered yet; then stop.h knows when one has
  // Ends this process as the lower MPI wants it (MPI_Finalize where it is initialised), with this
  // exit code.  Called on the agent's thread while everything of the application is parked.  Must
  // not return.
  std::function<void(int exit_code)> leave;
};

// Starts the agent, or tells the running one that MPI is there now.  Prints what goes wrong on
// stderr and returns false then: the job runs, but cannot be checkpointed.  Sets control words of a
// restored upper half back.
bool agent_start(const AgentJob& job);

// The process is about to exit (exit_group of the application, or after MPI_Finalize): removes the
// job's file, closes connections.  In a job of one, an image that has been taken is written and
// committed first.  Any thread; idempotent; waits for the agent's thread unless called on it.
void agent_end();

// Core operations (core_ops.h), called by application threads through a crossing.
int closure_begin(void* arguments);
int closure_begun(void* arguments);
int closure_waiting(void* arguments);
int closure_running(void* arguments);
int finalize_ready(void* arguments);

}  // namespace mana::lower
