// SPDX-License-Identifier: BSD-3-Clause
// The subcommands of `mana`, one file each.  add_NAME registers options and what is to be done;
// that sets `exit_code`. Answers go to stdout, the story to stderr.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace mana::cli {

inline int exit_code = 0;

void add_checkpoint(CLI::App& mana);
void add_status(CLI::App& mana);
void set_status_options(CLI::App& app);  // mana_status: the subcommand as a program
void add_list(CLI::App& mana);
void add_inspect(CLI::App& mana);
void add_verify(CLI::App& mana);
void add_doctor(CLI::App& mana);

// --ckpt-dir, the same for all.  The text stays valid as long as the program runs.
std::string& directory_option(CLI::App& app);

// One line on stderr, `mana: NAME: text`, and the exit code 1.
void complain(const std::string& command, const std::string& text);

std::string bytes_text(uint64_t bytes);  // "1.4 GB"

}  // namespace mana::cli
