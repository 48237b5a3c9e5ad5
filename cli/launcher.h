// SPDX-License-Identifier: BSD-3-Clause
// What mana_launch and mana_restart share: who started this process, where our own files are, and the last
// step, which replaces this process with the lower half.  Both run once per rank, before any MPI exists.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace mana::cli {

enum class Mpi { mpich, openmpi, none };

const char* name_of(Mpi mpi);                                   // "mpich", "openmpi", "none"

// The launcher that started this process, read from its environment variables (Hydra, Open MPI's mpirun,
// Slurm's PMI-2 and PMIx).
struct Launcher {
  Mpi mpi = Mpi::none;
  int rank = 0;
  int size = 1;
  bool found = false;
};
Launcher find_launcher();

// Folder of --ckpt-dir, else $MANA_CKPT_DIR, else ./ckpt; absolute, so that a chdir of the application changes nothing.
std::string checkpoint_directory(const std::string& option);

// A file of ours: beside this program in the build folder, or in libexec/mana of an installation.  Empty: not built.
std::string lower_program(Mpi mpi);
std::string front_end(Mpi mpi);

// One line on stderr, `mana: rank N: what`, and the end of this process with a non-zero exit code.
[[noreturn]] void give_up(const Launcher& launcher, const std::string& message);

// Chooses the MPI for --mpi: "auto" takes the launcher's, else `preferred`.  Gives up when it is not built.
Mpi choose_mpi(const Launcher& launcher, const std::string& option, Mpi preferred);

// Sets the limits that decide the address space layout, moves the launcher's descriptors out of the application's
// numbers, and replaces this process.  `mode`: "--launch" or "--restart".
[[noreturn]] void exec_lower(const Launcher& launcher, Mpi mpi, std::vector<std::string> arguments);

}  // namespace mana::cli
