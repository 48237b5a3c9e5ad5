// SPDX-License-Identifier: BSD-3-Clause
// mana verify: reads every image of a generation and compares all checksums.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <thread>

#include "cli/launcher.h"
#include "cli/mana.h"
#include "control/generations.h"
#include "control/manifest.h"
#include "kernel-loader/image_reader.h"

namespace mana::cli {

namespace {

// What is wrong with one image; empty: nothing.
std::string check_image(const std::string& path, const control::ImageNote& note, int threads) {
  image::Complaint complaint;
  const auto file = image::ImageFile::open(path, &complaint);
  if (file == nullptr) return complaint;
  const std::string checksum = fmt::format("{:016x}", file->header().notes_checksum);
  if (checksum != note.checksum)
    return fmt::format("checksum {} is not {} of the manifest", checksum, note.checksum);
  return file->verify(threads);
}

bool verify(const std::string& directory, uint64_t number) {
  const std::string path = control::generation_path(directory, number);
  const auto manifest = control::read_manifest(path);
  if (!manifest.ok()) {
    complain("verify", manifest.error().text);
    return false;
  }
  if (const control::Outcome there = control::check_images(path, manifest.value()); !there.ok()) {
    complain("verify", fmt::format("generation {}: {}", number, there.error().text));
    return false;
  }
  const int threads = static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1u, 16u));
  bool good = true;
  for (const control::ImageNote& note : manifest.value().images) {
    const std::string wrong = check_image(path + "/" + note.file, note, threads);
    if (wrong.empty()) continue;
    good = false;
    complain("verify", fmt::format("generation {}: rank {}: {}/{}: {}", number, note.rank, path,
                                   note.file, wrong));
  }
  if (good)
    fmt::print("generation {}: {} images, {}: good\n", number, manifest.value().ranks,
               bytes_text(manifest.value().bytes()));
  return good;
}

void verify_all(const std::string& directory, uint64_t number) {
  if (number != 0) {
    verify(directory, number);
    return;
  }
  const std::vector<uint64_t> numbers = control::committed_generations(directory);
  if (numbers.empty())
    return complain("verify", fmt::format("no generation is committed in {}", directory));
  for (const uint64_t one : numbers) verify(directory, one);
}

}  // namespace

void add_verify(CLI::App& mana) {
  CLI::App* app =
      mana.add_subcommand("verify", "Compares all checksums of one generation, or of all");
  auto number = std::make_shared<uint64_t>(0);
  std::string& directory = directory_option(*app);
  app->add_option("generation", *number, "which one (default: all)");
  app->callback([number, &directory] { verify_all(checkpoint_directory(directory), *number); });
}

}  // namespace mana::cli
