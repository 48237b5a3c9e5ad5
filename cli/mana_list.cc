// SPDX-License-Identifier: BSD-3-Clause
// mana list and mana inspect: what is committed in a checkpoint directory.
#include <fmt/format.h>

#include <cstdio>
#include <memory>

#include "cli/launcher.h"
#include "cli/mana.h"
#include "control/generations.h"
#include "control/manifest.h"
#include "kernel-loader/image_reader.h"

namespace mana::cli {

namespace {

void list(const std::string& directory) {
  const std::vector<uint64_t> numbers = control::committed_generations(directory);
  if (numbers.empty())
    return complain("list", fmt::format("no generation is committed in {}", directory));
  fmt::print("{:>10}  {:<20}  {:>5}  {:>10}  {:<8}  {}\n", "generation", "time", "ranks", "size",
             "MPI", "program");
  for (const uint64_t number : numbers) {
    const auto manifest = control::read_manifest(control::generation_path(directory, number));
    if (!manifest.ok()) {
      complain("list", manifest.error().text);
      continue;
    }
    const control::Manifest& m = manifest.value();
    fmt::print("{:>10}  {:<20}  {:>5}  {:>10}  {:<8}  {}\n", number, m.time, m.ranks,
               bytes_text(m.bytes()), m.mpi, m.program);
  }
}

void print_image(const std::string& path, const control::ImageNote& note) {
  fmt::print("rank {:>6}:  {}, {}, written on {} in {:.3f} s\n", note.rank, note.file,
             bytes_text(note.bytes), note.host, note.write_seconds);
  image::Complaint complaint;
  const auto file = image::ImageFile::open(path, &complaint);
  if (file == nullptr)
    return complain("inspect", fmt::format("rank {}: {}: {}", note.rank, path, complaint));
  uint64_t stored = 0;
  for (const image::SegmentRecord& segment : file->segments()) stored += segment.stored_bytes;
  fmt::print("              {} threads, {} segments with {} of memory, kernel {}\n",
             file->threads().size(), file->segments().size(), bytes_text(stored),
             file->text(file->header().kernel));
}

void inspect(const std::string& directory, uint64_t number) {
  const std::string path = control::generation_path(directory, number);
  const auto manifest = control::read_manifest(path);
  if (!manifest.ok()) return complain("inspect", manifest.error().text);
  const control::Manifest& m = manifest.value();
  std::string command;
  for (const std::string& word : m.arguments) command += (command.empty() ? "" : " ") + word;
  fmt::print("generation:   {} of job {}, committed {}\n", m.generation, m.job, m.time);
  fmt::print("program:      {}\narguments:    {}\n", m.program, command);
  fmt::print("built for:    {}\n", m.front_end.empty() ? "no MPI" : m.front_end);
  fmt::print("written by:   mana {} on {}\n", m.mana_version,
             m.mpi_version.empty() ? m.mpi : m.mpi_version);
  if (m.restarted_from >= 0)
    fmt::print("history:      this run began with generation {}\n", m.restarted_from);
  fmt::print("size:         {} in {} images\n", bytes_text(m.bytes()), m.ranks);
  for (const control::ImageNote& note : m.images) print_image(path + "/" + note.file, note);
}

}  // namespace

void add_list(CLI::App& mana) {
  CLI::App* app = mana.add_subcommand("list", "Lists the committed generations");
  std::string& directory = directory_option(*app);
  app->callback([&directory] { list(checkpoint_directory(directory)); });
}

void add_inspect(CLI::App& mana) {
  CLI::App* app = mana.add_subcommand("inspect", "Describes one generation and its images");
  auto number = std::make_shared<uint64_t>(0);
  std::string& directory = directory_option(*app);
  app->add_option("generation", *number, "which one (see mana list; default: the newest)");
  app->callback([number, &directory] {
    const std::string path = checkpoint_directory(directory);
    const auto generations = control::committed_generations(path);
    if (*number == 0 && generations.empty())
      return complain("inspect", fmt::format("{} holds no committed generation", path));
    inspect(path, *number != 0 ? *number : generations.back());
  });
}

}  // namespace mana::cli
