// SPDX-License-Identifier: BSD-3-Clause
// mana checkpoint: asks the running job and waits until the generation is committed.
#include <fmt/format.h>

#include <cstdint>
#include <cstdio>
#include <memory>

#include "cli/launcher.h"
#include "cli/mana.h"
#include "control/command.h"

namespace mana::cli {

namespace {

struct Options {
  bool stop = false, cancel = false, ignore_children = false;
  uint32_t keep = 0;
};

void checkpoint(const std::string& directory, const Options& options) {
  control::Command command;
  command.what =
      options.cancel ? control::Command::What::cancel : control::Command::What::checkpoint;
  command.stop = options.stop;
  command.keep = options.keep;
  command.ignore_children = options.ignore_children;
  auto tell = [](const std::string& line) { fmt::print(stderr, "mana: checkpoint: {}\n", line); };
  control::Result<control::Answer> answer = control::ask_job(directory, command, tell);
  if (!answer.ok()) return complain("checkpoint", answer.error().text);
  if (!answer.value().ok) return complain("checkpoint", answer.value().text);
  if (options.cancel)
    tell(answer.value().text);
  else
    fmt::print("{}\n", answer.value().generation);
}

}  // namespace

void add_checkpoint(CLI::App& mana) {
  CLI::App* app = mana.add_subcommand(
      "checkpoint",
      "Makes a checkpoint of a running job; prints its generation when it is committed");
  auto options = std::make_shared<Options>();
  std::string& directory = directory_option(*app);
  auto* stop = app->add_flag("--stop", options->stop,
                             "end the job (exit code 75) once the checkpoint is committed");
  auto* keep =
      app->add_option("--keep", options->keep, "generations to keep from now on (default 2)")
          ->check(CLI::Range(1, 1000000));
  auto* children = app->add_flag("--ignore-children", options->ignore_children,
                                 "do not wait for processes that the application has started; after a restart they are not there");
  app->add_flag("--cancel", options->cancel,
                "give up the checkpoint that is under way; the job goes on")
      ->excludes(stop)
      ->excludes(children)
      ->excludes(keep);
  app->callback([options, &directory] { checkpoint(checkpoint_directory(directory), *options); });
}

}  // namespace mana::cli
