// SPDX-License-Identifier: BSD-3-Clause
// `mana`: asks running jobs for checkpoints and looks at what is on disk.  Called as mana_status it
// is `mana status`.
#include "cli/mana.h"

#include <fmt/format.h>

#include <cstdio>
#include <deque>
#include <string_view>

namespace mana::cli {

std::string& directory_option(CLI::App& app) {
  static std::deque<std::string> options;
  std::string& option = options.emplace_back();
  app.add_option("--ckpt-dir", option,
                 "checkpoint directory (default: $MANA_CKPT_DIR, then ./ckpt)");
  return option;
}

void complain(const std::string& command, const std::string& text) {
  fmt::print(stderr, "mana: {}: {}\n", command, text);
  exit_code = 1;
}

std::string bytes_text(uint64_t bytes) {
  const char* units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1000 && unit + 1 < std::size(units)) {
    value /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

}  // namespace mana::cli

int main(int argc, char** argv) {
  using namespace mana::cli;
  const std::string_view path = argc > 0 ? argv[0] : "mana";
  const bool only_status = path.substr(path.find_last_of('/') + 1) == "mana_status";
  CLI::App app(only_status ? "Says what a running job does" : "Checkpoints of MPI programs",
               only_status ? "mana_status" : "mana");
  if (only_status) {
    set_status_options(app);
  } else {
    app.require_subcommand(1);
    add_checkpoint(app);
    add_status(app);
    add_list(app);
    add_inspect(app);
    add_verify(app);
    add_doctor(app);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 64;
  }
  return exit_code;
}
