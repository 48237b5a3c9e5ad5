// SPDX-License-Identifier: BSD-3-Clause
// What this process knows of itself as one rank of a job; shared by the launch (main.cc) and the restart (restore.cc).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernel-loader/gate.h"
#include "kernel-loader/result.h"
#include "lower/options.h"
#include "upper/core_ops.h"
#include "upper/interface.h"

namespace mana::lower {

struct RankProcess {
  Options options;
  UpperInterface* upper = nullptr;  // set when a front end registers, or by the restart
  std::string program;              // absolute path of the application
  std::vector<std::string> arguments;
};
RankProcess& rank_process();

// A front end has come: its function table is filled, and everybody here who works with it is told.  Called from the gate with
// the upper %fs, so it makes plain stores only.
void register_upper(UpperInterface* upper);

// Whether MPI gave this process the rank and the size that its launcher's variables say.  It does not when the lower half's MPI is
// not the launcher's: then each process is a job of its own.
bool is_as_launched(const core::Init& facts);
loader::Error not_as_launched();

// Threads, signals and hooks, on the main thread before the application or MPI.
void prepare_process();

// For install_gate(), the same at launch and at restart.
loader::GateHooks gate_hooks();

// Lets the agent join the job (agent.h): once the ranks can talk, or for a job of one rank.
void start_agent(int rank, int size, const char* library_version, int64_t restarted_from);

}  // namespace mana::lower
