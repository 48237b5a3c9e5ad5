// SPDX-License-Identifier: BSD-3-Clause
// mana_launch: one per rank, started by mpirun in the place of the application.  Looks at the program, refuses what
// cannot work while that is still cheap, and becomes the lower half of the chosen MPI.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/launcher.h"
#include "control/command.h"
#include "control/launcher_end.h"
#include "kernel-loader/program.h"
#include "kernel-loader/report.h"

namespace {

using mana::cli::Mpi;

struct Wanted {  // what the program's own list of libraries says
  Mpi abi = Mpi::none;
  std::string unserved;
  bool thread_sanitizer = false;
};

// SONAMEs of MPI libraries.  Those of the MPICH family share one ABI since 2014 (MPICH ABI compatibility initiative).
bool note_library(const char* name, void* closure) {
  auto& wanted = *static_cast<Wanted*>(closure);
  const std::string_view library = name;
  if (library == "libmpi.so.40") {
    wanted.abi = Mpi::openmpi;
  } else if (library == "libmpich.so.12" || library == "libmpi.so.12") {
    wanted.abi = Mpi::mpich;
  } else if (library.starts_with("libmpi.so") || library.starts_with("libmpich.so") || library.starts_with("libmpi_abi.so")) {
    wanted.unserved = library;
  } else if (library.starts_with("libtsan.so")) {
    wanted.thread_sanitizer = true;
  }
  return true;
}

// What cannot be launched runs as it would have without us.
[[noreturn]] void execute_natively(const char* path, const std::string& name, const std::vector<std::string>& command) {
  std::vector<char*> words = {const_cast<char*>(name.c_str())};
  for (std::size_t i = 1; i < command.size(); ++i) words.push_back(const_cast<char*>(command[i].c_str()));
  words.push_back(nullptr);
  execv(path, words.data());
  std::_Exit(127);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App options("Runs an MPI program so that it can be checkpointed: mpirun -n N mana_launch PROGRAM ARGS...", "mana_launch");
  std::string directory;
  std::string mpi = "auto";
  options.add_option("--ckpt-dir", directory, "folder of the checkpoints (default: $MANA_CKPT_DIR, then ./ckpt)");
  options.add_option("--mpi", mpi, "MPI of the lower half")->check(CLI::IsMember({"auto", "mpich", "openmpi"}));
  // For the gate: a launched program executes PROGRAM, whose argv[0] is to be this (kernel-loader/gate_exec.cc).
  std::optional<std::string> executed;
  options.add_option("--exec-as", executed)->group("");
  options.prefix_command();  // the first word that is not ours begins the application's command line
  CLI11_PARSE(options, argc, argv);

  const auto launcher = mana::cli::find_launcher();
  mana::loader::set_report_rank(launcher.rank);
  const auto command = options.remaining();
  if (command.empty()) mana::cli::give_up(launcher, "launch: no program given; usage: mana_launch [--ckpt-dir DIR] [--mpi MPI] PROGRAM ARGS...");

  static char path[mana::loader::kPathSize];
  static mana::loader::Program program;
  mana::loader::Outcome looked = mana::loader::find_program(command.front().c_str(), std::getenv("PATH"), path);
  if (looked.ok()) looked = mana::loader::inspect_program(path, program);
  Wanted wanted;
  if (looked.ok()) looked = mana::loader::needed_libraries(program.path, note_library, &wanted);
  const bool served = (wanted.abi != Mpi::none || wanted.unserved.empty()) && !wanted.thread_sanitizer;
  if (executed && !(looked.ok() && served)) execute_natively(path, *executed, command);
  if (!looked.ok()) {
    mana::loader::report("launch", looked.error());
    mana::control::end_job_at_launcher(1);
    return 1;
  }
  if (wanted.thread_sanitizer) {
    mana::cli::give_up(launcher, fmt::format("launch: {} is built with ThreadSanitizer, whose shadow memory covers the addresses where an application is "
                                             "placed; build it without -fsanitize=thread (-fsanitize=address can be launched)",
                                             program.path));
  }
  if (!served) {
    mana::cli::give_up(launcher, fmt::format("launch: {} is built for the MPI ABI of {}, which no front end serves; build it with "
                                             "an MPI of the MPICH family (libmpi.so.12) or Open MPI 4 or 5 (libmpi.so.40)",
                                             program.path, wanted.unserved));
  }
  const std::string checkpoints = mana::cli::checkpoint_directory(directory);
  if (launcher.rank == 0) {  // once for the job
    if (const auto ready = mana::control::prepare_directory(checkpoints); !ready.ok()) {
      mana::cli::give_up(launcher, "launch: " + ready.error().text);
    }
  }

  const Mpi chosen = mana::cli::choose_mpi(launcher, mpi, wanted.abi);
  std::vector<std::string> arguments = {"--launch", "--ckpt-dir", checkpoints, "--mpi-asked", mpi};
  if (executed) arguments.insert(arguments.end(), {"--argument-zero", *executed});
  arguments.push_back("--");
  arguments.insert(arguments.end(), command.begin(), command.end());
  mana::cli::exec_lower(launcher, chosen, arguments);
}
