// SPDX-License-Identifier: BSD-3-Clause
// mana status: what the running job does.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/launcher.h"
#include "cli/mana.h"
#include "control/command.h"

namespace mana::cli {

namespace {

using json = nlohmann::ordered_json;

void print_costs(const json& generation) {
  fmt::print("last generation: {} ({}, stood still {:.3f} s",
             generation.at("generation").get<int64_t>(),
             bytes_text(generation.at("bytes").get<uint64_t>()),
             generation.at("stood_still").get<double>());
  for (const auto& [phase, seconds] : generation.at("phase_seconds").items()) {
    fmt::print("; {} {:.3f} s", phase, seconds.get<double>());
  }
  fmt::print(")\n");
}

void print_status(const json& status) {
  fmt::print("state:           {}\n", status.at("state").get<std::string>());
  if (status.contains("why")) fmt::print("why:             {}\n", status["why"].get<std::string>());
  std::string command;
  for (const json& word : status.at("arguments"))
    command += (command.empty() ? "" : " ") + word.get<std::string>();
  fmt::print("program:         {}\n", command);
  fmt::print("ranks:           {}, rank 0 is process {} on {}\n", status.at("ranks").get<int>(),
             status.at("pid").get<int>(), status.at("host").get<std::string>());
  fmt::print("MPI:             {}\n", status.at("mpi_version").get<std::string>().empty()
                                          ? status.at("mpi").get<std::string>()
                                          : status.at("mpi_version").get<std::string>());
  fmt::print("started:         {}", status.at("started").get<std::string>());
  if (int64_t from = status.at("restarted_from").get<int64_t>(); from >= 0)
    fmt::print(", from generation {}", from);
  fmt::print("\n");
  if (!status.at("last_generation").is_null()) print_costs(status.at("last_generation"));
  if (status.contains("last_failure"))
    fmt::print("last failure:    {}\n", status["last_failure"].get<std::string>());
  const json& checkpoint = status.at("checkpoint");
  if (checkpoint.is_null()) return;
  fmt::print("checkpoint:      generation {}, phase {} for {:.1f} s\n",
             checkpoint.at("generation").get<int64_t>(), checkpoint.at("phase").get<std::string>(),
             checkpoint.at("phase_seconds").get<double>());
  std::string waiting = checkpoint.at("waiting_for").get<std::string>();
  if (!waiting.empty()) fmt::print("waiting for:     {}\n", waiting);
}

void status(const std::string& directory, bool as_json) {
  control::Result<control::Answer> answer =
      control::ask_job(directory, {}, [](const std::string&) {});
  if (!answer.ok()) return complain("status", answer.error().text);
  if (!answer.value().ok) return complain("status", answer.value().text);
  if (as_json) {
    fmt::print("{}\n", answer.value().text);
    return;
  }
  const json parsed = json::parse(answer.value().text, nullptr, false);
  try {
    print_status(parsed);
  } catch (const json::exception& error) {
    complain("status",
             fmt::format("the job's answer cannot be read ({}); try --json", error.what()));
  }
}

}  // namespace

void set_status_options(CLI::App& app) {
  auto as_json = std::make_shared<bool>(false);
  std::string& directory = directory_option(app);
  app.add_flag("--json", *as_json, "print the status as JSON");
  app.callback([as_json, &directory] { status(checkpoint_directory(directory), *as_json); });
}

void add_status(CLI::App& mana) {
  set_status_options(*mana.add_subcommand("status", "Says what a running job does"));
}

}  // namespace mana::cli
