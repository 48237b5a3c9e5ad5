// SPDX-License-Identifier: BSD-3-Clause
#include "cli/launcher.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "control/launcher_end.h"
#include "kernel-loader/layout.h"

namespace mana::cli {
namespace {

namespace fs = std::filesystem;

// The soft stack limit under which the lower half is started.  It must be finite: with "unlimited" the kernel lays
// out the address space bottom-up and the lower half would lie below the line (kernel-loader/layout.h).
constexpr rlim_t kLowerStackBytes = 8 << 20;

std::optional<int> number_in(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return std::nullopt;
  int value = 0;
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), value);
  if (error != std::errc{} || *end != 0) return std::nullopt;
  return value;
}

std::string own_folder() { return fs::read_symlink("/proc/self/exe").parent_path().string(); }

std::string first_existing(const std::vector<std::string>& candidates) {
  for (const auto& path : candidates) {
    if (fs::exists(path)) return fs::canonical(path).string();
  }
  return {};
}

// Hydra hands its descriptors over by number.  The numbers from 3 up belong to the application, the same ones under
// every launcher, so what the launcher left there moves above them.
void move_launcher_descriptor(const char* variable, int first_free) {
  const auto descriptor = number_in(variable);
  if (!descriptor || *descriptor < 3 || *descriptor >= first_free) return;
  const int moved = fcntl(*descriptor, F_DUPFD, first_free);
  if (moved < 0) return;  // the number stays taken: the application gets the next one
  close(*descriptor);
  setenv(variable, std::to_string(moved).c_str(), 1);
}

}  // namespace

const char* name_of(Mpi mpi) {
  switch (mpi) {
    case Mpi::mpich: return "mpich";
    case Mpi::openmpi: return "openmpi";
    case Mpi::none: break;
  }
  return "none";
}

Launcher find_launcher() {
  struct Signature {
    const char* rank;
    const char* size;
    Mpi mpi;
  };
  // Open MPI first: its mpirun may itself run inside a Slurm or Hydra allocation and inherit those variables.
  static constexpr Signature kSignatures[] = {
      {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", Mpi::openmpi},
      {"PMI_RANK", "PMI_SIZE", Mpi::mpich},
      {"PMIX_RANK", "SLURM_NTASKS", Mpi::openmpi},
      {"SLURM_PROCID", "SLURM_NTASKS", Mpi::mpich},
  };
  for (const auto& signature : kSignatures) {
    const auto rank = number_in(signature.rank);
    const auto size = number_in(signature.size);
    if (!rank || !size) continue;
    if (std::strcmp(signature.rank, "SLURM_PROCID") == 0 && std::getenv("PMI_FD") == nullptr &&
        std::getenv("PMI_PORT") == nullptr) {
      continue;  // inside an allocation, but not started by srun with a PMI
    }
    return {signature.mpi, *rank, *size, true};
  }
  return {};
}

std::string checkpoint_directory(const std::string& option) {
  std::string chosen = option;
  if (chosen.empty()) {
    const char* variable = std::getenv("MANA_CKPT_DIR");
    chosen = variable != nullptr && *variable != 0 ? variable : "ckpt";
  }
  return fs::absolute(chosen).lexically_normal().string();
}

std::string lower_program(Mpi mpi) {
  const std::string file = std::string("lower-") + name_of(mpi);
  const std::string here = own_folder();
  return first_existing({here + "/../libexec/mana/" + file, here + "/../lower/" + file});
}

std::string front_end(Mpi mpi) {
  const std::string file = std::string("libmana_") + name_of(mpi) + ".so";
  const std::string here = own_folder();
  return first_existing({here + "/../libexec/mana/" + file, here + "/../mpi_wrappers/front_ends/" + file});
}

void give_up(const Launcher& launcher, const std::string& message) {
  fmt::print(stderr, "mana: rank {}: {}\n", launcher.rank, message);
  if (launcher.found) control::end_job_at_launcher(1);
  std::exit(1);
}

Mpi choose_mpi(const Launcher& launcher, const std::string& option, Mpi preferred) {
  Mpi chosen = launcher.found ? launcher.mpi : preferred;
  if (option == "mpich") chosen = Mpi::mpich;
  if (option == "openmpi") chosen = Mpi::openmpi;
  if (chosen == Mpi::none && !lower_program(Mpi::none).empty()) return Mpi::none;
  if (chosen == Mpi::none) chosen = lower_program(Mpi::mpich).empty() ? Mpi::openmpi : Mpi::mpich;
  if (lower_program(chosen).empty()) {
    std::string built;
    for (const Mpi mpi : {Mpi::mpich, Mpi::openmpi}) {
      if (!lower_program(mpi).empty()) built += std::string(built.empty() ? "" : ", ") + name_of(mpi);
    }
    give_up(launcher, fmt::format("launch: --mpi {}: this build has no lower half for it (built: {}); use the mpirun "
                                  "of an MPI that is built, or install that MPI and build again",
                                  name_of(chosen), built.empty() ? "none" : built));
  }
  return chosen;
}

void exec_lower(const Launcher& launcher, Mpi mpi, std::vector<std::string> arguments) {
  rlimit stack{};
  getrlimit(RLIMIT_STACK, &stack);
  const std::string asked =
      stack.rlim_cur == RLIM_INFINITY ? "unlimited" : std::to_string(stack.rlim_cur);
  rlimit lower_stack = stack;
  lower_stack.rlim_cur = std::min<rlim_t>(kLowerStackBytes, stack.rlim_max);
  if (setrlimit(RLIMIT_STACK, &lower_stack) != 0) {
    give_up(launcher, fmt::format("launch: set a finite soft stack limit: {}", std::strerror(errno)));
  }
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  const rlimit with_room{files.rlim_max, files.rlim_max};
  setrlimit(RLIMIT_NOFILE, &with_room);
  for (const char* variable : {"PMI_FD", "HYDI_CONTROL_FD"}) {
    move_launcher_descriptor(variable, loader::first_lower_descriptor(files.rlim_max));
  }
  setrlimit(RLIMIT_NOFILE, &files);

  const std::string program = lower_program(mpi);
  std::vector<std::string> all = {program};
  all.push_back(arguments.front());
  for (const auto& [option, which] : {std::pair{"--front-end-mpich", Mpi::mpich},
                                      std::pair{"--front-end-openmpi", Mpi::openmpi}}) {
    const std::string path = front_end(which);
    if (!path.empty()) all.insert(all.end(), {option, path});
  }
  all.insert(all.end(), {"--stack-limit", asked, "--rank", std::to_string(launcher.rank), "--ranks",
                         std::to_string(launcher.size)});
  if (launcher.found) all.push_back("--under-launcher");
  all.insert(all.end(), {"--launcher", own_folder() + "/mana_launch"});
  all.insert(all.end(), arguments.begin() + 1, arguments.end());

  std::vector<char*> words;
  for (auto& word : all) words.push_back(word.data());
  words.push_back(nullptr);
  execv(program.c_str(), words.data());
  give_up(launcher, fmt::format("launch: execute {}: {}", program, std::strerror(errno)));
}

}  // namespace mana::cli
