// SPDX-License-Identifier: BSD-3-Clause
#include "control/generations.h"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "control/files.h"

namespace mana::control {

namespace {

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  DIR* open = opendir(directory.c_str());
  if (!open) return names;
  while (const dirent* entry = readdir(open)) names.push_back(entry->d_name);
  closedir(open);
  return names;
}

bool all_digits(const std::string& text) {
  return !text.empty() && text.size() < 19 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// The number in ".0003.tmp"; 0 when the name is another.
uint64_t temporary_number(const std::string& name) {
  if (name.size() < 6 || name.front() != '.' || !name.ends_with(".tmp")) return 0;
  std::string digits = name.substr(1, name.size() - 5);
  return all_digits(digits) ? std::strtoull(digits.c_str(), nullptr, 10) : 0;
}

bool is_ours(const std::string& name) {
  return name == "manifest.json" || name == ".manifest.json.new" ||
         (name.starts_with("rank-") && name.ends_with(".core"));
}

void remove_generation(const std::string& path) {
  for (const std::string& name : names_in(path)) {
    if (is_ours(name)) unlink((path + "/" + name).c_str());
  }
  rmdir(path.c_str());  // fails when it holds something else: that stays
}

}  // namespace

std::string generation_name(uint64_t number) { return fmt::format("{:04}", number); }
std::string image_name(int32_t rank) { return fmt::format("rank-{:06}.core", rank); }
std::string generation_path(const std::string& directory, uint64_t number) {
  return directory + "/" + generation_name(number);
}

std::vector<uint64_t> committed_generations(const std::string& directory) {
  std::vector<uint64_t> numbers;
  for (const std::string& name : names_in(directory)) {
    if (!all_digits(name)) continue;
    uint64_t number = std::strtoull(name.c_str(), nullptr, 10);
    if (generation_name(number) == name) numbers.push_back(number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

Result<OpenGeneration> open_generation(const std::string& directory) {
  uint64_t highest = 0;
  for (uint64_t number : committed_generations(directory)) highest = std::max(highest, number);
  for (const std::string& name : names_in(directory))
    highest = std::max(highest, temporary_number(name));
  OpenGeneration generation;
  generation.number = highest + 1;
  generation.directory = directory + "/." + generation_name(generation.number) + ".tmp";
  if (mkdir(generation.directory.c_str(), 0700) != 0) {
    return Error{fmt::format("checkpoint directory {} cannot be written: mkdir {}: {}", directory,
                             generation.directory, reason(errno))};
  }
  return generation;
}

Outcome commit_generation(const std::string& directory, const OpenGeneration& generation,
                          const Manifest& manifest, uint32_t keep) {
  // A rank on another host may have written into a directory of that host's own.
  if (Outcome there = check_images(generation.directory, manifest); !there.ok()) {
    return there.error().during(
        "an image is not as its rank wrote it (is the checkpoint directory shared by all hosts?)");
  }
  if (Outcome wrote = replace_file(generation.directory, "manifest.json", to_json(manifest), 0600, Outlives::host);
      !wrote.ok()) {
    return wrote.error().during("commit");
  }
  std::string final_path = generation_path(directory, generation.number);
  if (std::rename(generation.directory.c_str(), final_path.c_str()) != 0) {
    return Error{fmt::format("commit: rename {} to {}: {}", generation.directory, final_path,
                             reason(errno))};
  }
  if (Outcome synced = sync_directory(directory); !synced.ok())
    return synced.error().during("commit");
  std::vector<uint64_t> numbers = committed_generations(directory);
  keep = std::max(keep, 1u);
  for (std::size_t i = 0; i + keep < numbers.size(); ++i)
    remove_generation(generation_path(directory, numbers[i]));
  return Done{};
}

void drop_generation(const OpenGeneration& generation) { remove_generation(generation.directory); }

void remove_leftovers(const std::string& directory) {
  for (const std::string& name : names_in(directory)) {
    if (temporary_number(name) != 0) remove_generation(directory + "/" + name);
  }
}

}  // namespace mana::control
