// SPDX-License-Identifier: BSD-3-Clause
// A lower program: a small MPI program that holds the real MPI library and plays host to the application.
//
// Launch: part the descriptor numbers, load program and loader into the arena, close the gate, jump.  From
// then on this file's code runs only when called: by the gate (a front end registers; the application ends) and by the
// `init` operation (the ranks can talk now: the agent joins the job).
// Restart: restore.cc.
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "kernel-loader/gate.h"
#include "kernel-loader/inherited.h"
#include "kernel-loader/loader.h"
#include "kernel-loader/report.h"
#include "lower/adapter.h"
#include "lower/agent.h"
#include "lower/memory_policies.h"
#include "lower/memory_watch.h"
#include "lower/options.h"
#include "lower/park.h"
#include "lower/process_attributes.h"
#include "lower/rank_process.h"
#include "lower/restore.h"
#include "lower/session.h"
#include "lower/stop.h"
#include "lower/table.h"
#include "lower/task_attributes.h"
#include "lower/threads.h"
#include "trampolines/callback.h"
#include "trampolines/signal_entry.h"

namespace mana::lower {
namespace {

RankProcess process;

int64_t on_register(UpperInterface* upper) {
  register_upper(upper);
  return 0;
}

// The lender's thread, for the application's exit_group: the lower half's own exit handlers run, so that the MPI library's
// shared memory files and sockets are cleaned up as they would be natively.
void leave_process(int code) {
  agent_end();
  std::exit(code);
}

// The agent's thread, everything of the application parked (checkpoint --stop).
void leave_job(int code) {
  finish_mpi();
  std::exit(code);
}

// Another thread of the application could open something meanwhile.
bool numbers_are_watched;

void before_mpi() {
  numbers_are_watched = upper_threads().size() == 1;
  if (numbers_are_watched) loader::remember_numbers();
}

void join_job(const core::Init& facts) {
  loader::assert_gate_handlers();
  if (numbers_are_watched) loader::find_strays();
  if (process.options.under_launcher && !is_as_launched(facts)) {
    loader::report("launch", not_as_launched());
    abort_job(1);
  }
  loader::set_report_rank(facts.rank);
  loader::forget_that_none_may_trace();
  watch_memory();
  start_agent(facts.rank, facts.size, facts.library_version, -1);
}

}  // namespace

RankProcess& rank_process() { return process; }

bool is_as_launched(const core::Init& facts) {
  return facts.rank == process.options.rank && facts.size == process.options.ranks;
}

loader::Error not_as_launched() {
  static std::string what, cure;  // an Error keeps pointers
  what = std::string("join the job with ") + mpi_name();
  cure = std::string("start it with the mpirun of ") + mpi_name() + ", or let --mpi auto choose";
  return loader::Error{what.c_str()}.so(cure.c_str());
}

void register_upper(UpperInterface* upper) {
  fill_functions(upper);
  set_intent_word(&upper->control.intent);
  stop_set_upper(upper);
  trampolines::set_upper_interface(upper);
  process.upper = upper;
}

void prepare_process() {
  // While there is one thread: later the kernel waits for a grace period of RCU, some 5 ms.  Agent::start looks at the result.
  register_barrier();
  on_init(before_mpi, join_job);
  set_leave(leave_process);
  start_lending();
  prepare_stopping();
}

namespace {

// What the application executes is launched too, until MPI is initialised.
const char* const* relaunch_words() {
  const Options& options = process.options;
  if (options.launcher.empty()) return nullptr;
  static const char* words[] = {options.launcher.c_str(), "--ckpt-dir", options.checkpoint_directory.c_str(), "--mpi", options.mpi_asked.c_str(),
                                "--exec-as", nullptr};
  return words;
}

}  // namespace

loader::GateHooks gate_hooks() {
  loader::GateHooks hooks = {};
  hooks.on_register = on_register;
  hooks.on_exit_group = exit_on_lender;
  hooks.signal_entry = reinterpret_cast<uint64_t>(&mana_signal_entry);
  hooks.checkpoint_handler = reinterpret_cast<uint64_t>(&mana_park_handler);
  hooks.checkpoint_flags = SA_RESTART | SA_ONSTACK;
  hooks.front_end_mpich = process.options.front_end_mpich.empty() ? nullptr : process.options.front_end_mpich.c_str();
  hooks.front_end_openmpi = process.options.front_end_openmpi.empty() ? nullptr : process.options.front_end_openmpi.c_str();
  hooks.relaunch = relaunch_words();
  hooks.may_relaunch = [] { return process.upper == nullptr || process.upper->initialized == 0; };
  hooks.relaunch_children = process.options.under_launcher;
  return hooks;
}

void start_agent(int rank, int size, const char* library_version, int64_t restarted_from) {
  AgentJob job;
  job.rank = rank;
  job.size = size;
  job.allgather = gather_from_all;
  job.directory = process.options.checkpoint_directory;
  job.mpi = mpi_name();
  job.mpi_version = library_version;
  job.front_end = process.upper != nullptr ? process.upper->front_end : "";
  job.program = process.program;
  job.arguments = process.arguments;
  job.restarted_from = restarted_from;
  job.upper = process.upper;
  job.leave = leave_job;
  agent_start(job);
}

namespace {

[[noreturn]] void fail_launch(const loader::Error& error) {
  loader::report("launch", error);
  abort_job(1);
}

[[noreturn]] void launch() {
  static loader::Program program;
  static char path[loader::kPathSize];
  char** command = process.options.command;
  if (const auto found = loader::find_program(command[0], std::getenv("PATH"), path); !found.ok()) fail_launch(found.error());
  if (const auto looked = loader::inspect_program(path, program); !looked.ok()) fail_launch(looked.error());
  process.program = program.path;  // of a script its interpreter: what gdb wants with the image
  for (char** word = command; *word != nullptr; ++word) process.arguments.emplace_back(*word);

  if (const auto kernel = loader::check_kernel(); !kernel.ok()) fail_launch(kernel.error());
  const char* name = command[0];
  if (process.options.argument_zero) command[0] = process.options.argument_zero->data();
  const loader::LaunchPlan plan{name, command, environ, process.options.stack_limit};
  const auto loaded = loader::load_program(plan);
  if (!loaded.ok()) fail_launch(loaded.error());
  prepare_process();
  if (!process.options.under_launcher) start_agent(0, 1, "", -1);
  loader::find_strays();
  if (const auto closed = loader::install_gate(gate_hooks()); !closed.ok()) fail_launch(closed.error());
  loader::start_program(loaded.value(), {});
}

}  // namespace
}  // namespace mana::lower

int main(int argc, char** argv) {
  using namespace mana;
  // Started again it lies elsewhere (kernel-loader/layout.h).  Where that fails, check_kernel() says so.
  if (loader::must_lie_elsewhere(reinterpret_cast<uint64_t>(&lower::rank_process))) execv("/proc/self/exe", argv);
  const auto begun = loader::begin_lower_half();
  lower::note_launched_attributes();
  lower::note_launched_process();
  lower::note_launched_policy();
  lower::note_launched_session();
  lower::Options& options = lower::rank_process().options;
  if (!lower::read_options(argc, argv, options)) return 64;
  loader::set_report_rank(options.rank);
  if (!begun.ok()) lower::fail_launch(begun.error());
  if (options.restart) return lower::restart();
  lower::launch();
}
