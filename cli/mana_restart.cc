// SPDX-License-Identifier: BSD-3-Clause
// mana_restart: one per rank, started by any mpirun.  Looks at the generation's manifest and image files, refuses what
// cannot work, and becomes the lower half of the chosen MPI, which verifies and places the image of its rank.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>

#include "cli/launcher.h"
#include "control/generations.h"
#include "control/command.h"
#include "control/manifest.h"
#include "kernel-loader/report.h"

namespace {

using mana::cli::give_up;
using mana::cli::Mpi;

uint64_t choose_generation(const mana::cli::Launcher& launcher, const std::string& directory, std::optional<uint64_t> asked) {
  const auto generations = mana::control::committed_generations(directory);
  if (generations.empty()) {
    give_up(launcher, fmt::format("restart: checkpoint folder {}: it holds no committed generation; there is nothing to restart from",
                                  directory));
  }
  if (!asked) return generations.back();
  if (std::find(generations.begin(), generations.end(), *asked) != generations.end()) return *asked;
  give_up(launcher, fmt::format("restart: generation {}: not in {} (newest: {}); `mana list` shows what is there", *asked, directory,
                                generations.back()));
}

std::string is_variable(const std::string& word) {
  const auto sign = word.find('=');
  return sign != std::string::npos && sign > 0 ? "" : word + " is not NAME=VALUE";
}

std::string is_moved_path(const std::string& word) {
  const auto sign = word.find('=');
  return sign != std::string::npos && word.starts_with('/') && sign + 1 < word.size() ? "" : word + " is not OLD=NEW with an absolute path OLD";
}

std::string is_host_name(const std::string& word) {
  constexpr std::size_t kLongest = 64;  // uname(2)
  const auto fits = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.'; };
  const bool good = !word.empty() && word.size() <= kLongest && std::isalnum(static_cast<unsigned char>(word.front())) != 0 &&
                    std::all_of(word.begin(), word.end(), fits);
  return good ? "" : "'" + word + "' is not the name of a host: up to 64 letters, digits, '-' and '.', the first a letter or digit";
}

// Without the slashes at the ends, which mean nothing.
std::string with_absolute_target(const std::string& moved) {
  const auto sign = moved.find('=');
  const auto trimmed = [](std::string path) {
    while (!path.empty() && path.back() == '/') path.pop_back();
    return path;
  };
  return trimmed(moved.substr(0, sign)) + "=" + trimmed(std::filesystem::absolute(moved.substr(sign + 1)).lexically_normal().string());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App options("Continues a job from a checkpoint: mpirun -n N mana_restart", "mana_restart");
  std::string directory;
  std::string mpi = "auto";
  std::optional<uint64_t> generation;
  options.add_option("--ckpt-dir", directory, "folder of the checkpoints (default: $MANA_CKPT_DIR, then ./ckpt)");
  options.add_option("--generation", generation, "which one (default: the newest)");
  options.add_option("--mpi", mpi, "MPI of the lower half")->check(CLI::IsMember({"auto", "mpich", "openmpi"}));
  std::string files = "truncate";
  std::vector<std::string> paths, environment;
  options.add_option("--files", files, "a file of the job that has changed since: truncate (an output that has grown is cut back, the rest "
                                       "is reported), strict (refuse), keep (leave as it is)")
      ->check(CLI::IsMember({"truncate", "strict", "keep"}))
      ->capture_default_str();
  options.add_option("--path", paths, "OLD=NEW: what the job had under folder OLD is now under NEW (may be repeated)")
      ->allow_extra_args(false)
      ->check(is_moved_path);
  options.add_option("--env", environment, "NAME=VALUE: the application's environment (may be repeated)")
      ->allow_extra_args(false)
      ->check(is_variable);
  std::string host;
  options.add_option("--hostname", host, "original | NAME: the name of its host that the application is told (default: this host's); "
                                         "original: of the host where the rank was launched")
      ->check(is_host_name);
  CLI11_PARSE(options, argc, argv);

  const auto launcher = mana::cli::find_launcher();
  mana::loader::set_report_rank(launcher.rank);
  const std::string checkpoints = mana::cli::checkpoint_directory(directory);
  if (!std::filesystem::is_directory(checkpoints)) {
    give_up(launcher, fmt::format("restart: checkpoint folder {}: no such folder; give the --ckpt-dir of the job", checkpoints));
  }
  if (launcher.rank == 0) {  // once for the job
    if (const auto ready = mana::control::prepare_directory(checkpoints); !ready.ok()) give_up(launcher, "restart: " + ready.error().text);
  }
  const uint64_t chosen = choose_generation(launcher, checkpoints, generation);
  const std::string path = mana::control::generation_path(checkpoints, chosen);
  const auto manifest = mana::control::read_manifest(path);
  if (!manifest.ok()) give_up(launcher, "restart: " + manifest.error().text);
  if (manifest.value().ranks != launcher.size) {
    give_up(launcher, fmt::format("restart: generation {} has {} ranks, but this job has {}; start it with `mpirun -n {} mana_restart`",
                                  chosen, manifest.value().ranks, launcher.size, manifest.value().ranks));
  }
  if (const auto images = mana::control::check_images(path, manifest.value()); !images.ok()) {
    give_up(launcher, "restart: " + images.error().text);
  }
  const Mpi preferred = manifest.value().mpi == "mpich"     ? Mpi::mpich
                        : manifest.value().mpi == "openmpi" ? Mpi::openmpi
                                                            : Mpi::none;
  const Mpi lower = mana::cli::choose_mpi(launcher, mpi, preferred);
  std::vector<std::string> arguments = {"--restart", "--ckpt-dir", checkpoints, "--generation-dir", path, "--mpi-asked", mpi, "--files", files};
  for (const auto& moved : paths) arguments.insert(arguments.end(), {"--path", with_absolute_target(moved)});
  for (const auto& variable : environment) arguments.insert(arguments.end(), {"--env", variable});
  if (!host.empty()) arguments.insert(arguments.end(), {"--hostname", host});
  mana::cli::exec_lower(launcher, lower, arguments);
}
