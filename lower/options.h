// SPDX-License-Identifier: BSD-3-Clause
// The command line of a lower program, as mana_launch and mana_restart write it (cli/launcher.cc).  Not for users.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace mana::lower {

// What happens at a restart with files that are not as they were at the checkpoint.
enum class Files { truncate, strict, keep };

struct Options {
  bool restart = false;
  int rank = 0, ranks = 1;              // as the launcher's environment said
  bool under_launcher = false;
  std::string checkpoint_directory;     // absolute
  std::string generation_directory;     // restart: absolute
  std::string launcher;                 // launch: absolute path of mana_launch, for what the application executes
  std::string mpi_asked = "auto";       // its --mpi
  std::optional<std::string> argument_zero;  // argv[0] of the application if it is not the program's name
  std::string front_end_mpich, front_end_openmpi;  // empty: not built
  uint64_t stack_limit = 0;             // soft RLIMIT_STACK for the application; loader::kUnlimited
  // Restart: what the user wants different.
  Files files = Files::truncate;
  std::vector<std::pair<std::string, std::string>> paths;  // old, new; absolute
  std::vector<std::string> environment;                    // NAME=VALUE
  std::string host;                                        // name of the host for the application; "original"; empty: the truth
  char** command = nullptr;             // launch: PROGRAM ARGS..., null-terminated
};

// False (one line on stderr): this program was started by hand.
bool read_options(int argc, char** argv, Options& options);

}  // namespace mana::lower
