// SPDX-License-Identifier: BSD-3-Clause
#include "lower/options.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "kernel-loader/layout.h"

namespace mana::lower {
namespace {

Files files_choice(const std::string& word) {
  return word == "strict" ? Files::strict : word == "keep" ? Files::keep : Files::truncate;
}

void add_path(const std::string& word, Options& options) {
  const std::size_t middle = word.find('=');
  if (middle != std::string::npos) options.paths.emplace_back(word.substr(0, middle), word.substr(middle + 1));
}

}  // namespace

bool read_options(int argc, char** argv, Options& options) {
  bool launch = false;
  int i = 1;
  for (; i < argc; ++i) {
    const char* word = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "";
    const auto is = [&](const char* name) { return std::strcmp(word, name) == 0; };
    if (is("--")) break;
    if (is("--launch")) launch = true;
    else if (is("--restart")) options.restart = true;
    else if (is("--under-launcher")) options.under_launcher = true;
    else if (is("--rank")) options.rank = std::atoi(value), ++i;
    else if (is("--ranks")) options.ranks = std::atoi(value), ++i;
    else if (is("--ckpt-dir")) options.checkpoint_directory = value, ++i;
    else if (is("--generation-dir")) options.generation_directory = value, ++i;
    else if (is("--front-end-mpich")) options.front_end_mpich = value, ++i;
    else if (is("--front-end-openmpi")) options.front_end_openmpi = value, ++i;
    else if (is("--launcher")) options.launcher = value, ++i;
    else if (is("--mpi-asked")) options.mpi_asked = value, ++i;
    else if (is("--argument-zero")) options.argument_zero = value, ++i;
    else if (is("--files")) options.files = files_choice(value), ++i;
    else if (is("--path")) add_path(value, options), ++i;
    else if (is("--env")) options.environment.emplace_back(value), ++i;
    else if (is("--hostname")) options.host = value, ++i;
    else if (is("--stack-limit")) {
      options.stack_limit = std::strcmp(value, "unlimited") == 0 ? loader::kUnlimited : std::strtoull(value, nullptr, 10);
      ++i;
    } else {
      launch = options.restart = false;
      break;
    }
  }
  if (i + 1 < argc) options.command = argv + i + 1;
  if (launch == options.restart || (launch && options.command == nullptr)) {
    std::fprintf(stderr, "mana: %s is the lower half of a rank; start programs with mana_launch or mana_restart\n", argv[0]);
    return false;
  }
  return true;
}

}  // namespace mana::lower
