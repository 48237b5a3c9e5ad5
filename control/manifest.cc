// SPDX-License-Identifier: BSD-3-Clause
#include "control/manifest.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <nlohmann/json.hpp>

#include "control/files.h"

namespace mana::control {

using json = nlohmann::ordered_json;

namespace {

json json_of(const ImageNote& image) {
  return {{"rank", image.rank},
          {"file", image.file},
          {"bytes", image.bytes},
          {"checksum", image.checksum},
          {"host", image.host},
          {"fork_seconds", image.fork_seconds},
          {"seconds", image.write_seconds},
          {"sync_seconds", image.sync_seconds}};
}

json json_of(const Costs& costs) {
  json phases = json::object();
  for (const PhaseTime& time : costs.phases) phases[name_of(time.phase)] = time.seconds;
  return {{"bytes", costs.bytes}, {"stood_still", costs.stood_still}, {"phase_seconds", phases}};
}

ImageNote image_of(const json& value) {
  ImageNote image;
  image.rank = value.at("rank").get<int32_t>();
  image.file = value.at("file").get<std::string>();
  image.bytes = value.at("bytes").get<uint64_t>();
  image.checksum = value.at("checksum").get<std::string>();
  image.host = value.at("host").get<std::string>();
  image.write_seconds = value.at("seconds").get<double>();
  return image;
}

Manifest manifest_of(const json& value) {
  Manifest manifest;
  manifest.format_version = value.at("format_version").get<int>();
  manifest.job = value.at("job").get<std::string>();
  manifest.generation = value.at("generation").get<uint64_t>();
  manifest.ranks = value.at("ranks").get<int>();
  manifest.mpi = value.at("mpi").get<std::string>();
  manifest.mpi_version = value.at("mpi_version").get<std::string>();
  manifest.front_end = value.at("front_end").get<std::string>();
  manifest.program = value.at("program").get<std::string>();
  manifest.arguments = value.at("arguments").get<std::vector<std::string>>();
  manifest.time = value.at("time").get<std::string>();
  manifest.mana_version = value.at("mana_version").get<std::string>();
  manifest.restarted_from = value.at("restarted_from").get<int64_t>();
  for (const json& image : value.at("images")) manifest.images.push_back(image_of(image));
  manifest.costs.bytes = manifest.bytes();
  manifest.costs.stood_still = value.at("costs").at("stood_still").get<double>();
  return manifest;
}

}  // namespace

uint64_t Manifest::bytes() const {
  uint64_t sum = 0;
  for (const ImageNote& image : images) sum += image.bytes;
  return sum;
}

std::string to_json(const Manifest& manifest) {
  json value = {{"format_version", manifest.format_version},
                {"mana_version", manifest.mana_version},
                {"job", manifest.job},
                {"generation", manifest.generation},
                {"ranks", manifest.ranks},
                {"mpi", manifest.mpi},
                {"mpi_version", manifest.mpi_version},
                {"front_end", manifest.front_end},
                {"program", manifest.program},
                {"arguments", manifest.arguments},
                {"time", manifest.time},
                {"restarted_from", manifest.restarted_from},
                {"costs", json_of(manifest.costs)},
                {"images", json::array()}};
  for (const ImageNote& image : manifest.images) value["images"].push_back(json_of(image));
  // A path of the application need not be UTF-8.
  return value.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<Manifest> read_manifest(const std::string& directory) {
  std::string path = directory + "/manifest.json";
  Result<std::string> text = read_file(path);
  if (!text.ok()) return text.error();
  json value = json::parse(text.value(), nullptr, false);
  if (value.is_discarded()) return Error{path + " is damaged: it is not JSON"};
  try {
    int version = value.at("format_version").get<int>();
    if (version > Manifest::kFormatVersion) {
      return Error{
          fmt::format("{} has format version {}, this mana reads up to {}: use the mana that wrote "
                      "it, or a newer one",
                      path, version, Manifest::kFormatVersion)};
    }
    Manifest manifest = manifest_of(value);
    std::sort(manifest.images.begin(), manifest.images.end(),
              [](auto& a, auto& b) { return a.rank < b.rank; });
    if (manifest.ranks < 1 || manifest.images.size() != static_cast<std::size_t>(manifest.ranks)) {
      return Error{fmt::format("{} is damaged: {} images for {} ranks", path,
                               manifest.images.size(), manifest.ranks)};
    }
    for (int rank = 0; rank < manifest.ranks; ++rank) {
      const ImageNote& image = manifest.images[static_cast<std::size_t>(rank)];
      if (image.rank != rank || image.file.empty() || image.file.find('/') != std::string::npos) {
        return Error{fmt::format("{} is damaged: no image of rank {}", path, rank)};
      }
    }
    return manifest;
  } catch (const json::exception& error) {
    return Error{path + " is damaged: " + error.what()};
  }
}

Outcome check_images(const std::string& directory, const Manifest& manifest) {
  for (const ImageNote& image : manifest.images) {
    std::string path = directory + "/" + image.file;
    struct stat facts {};
    if (lstat(path.c_str(), &facts) != 0)
      return Error{fmt::format("rank {}: {}: {}", image.rank, path, reason(errno))};
    if (!S_ISREG(facts.st_mode))
      return Error{fmt::format("rank {}: {} is not a regular file", image.rank, path)};
    if (static_cast<uint64_t>(facts.st_size) != image.bytes) {
      return Error{fmt::format("rank {}: {} has {} bytes, the manifest says {}: it is damaged",
                               image.rank, path, facts.st_size, image.bytes)};
    }
    if (facts.st_uid != geteuid()) {
      return Error{
          fmt::format("rank {}: {} belongs to user {}, not to you: its program would run with your "
                      "rights; chown it "
                      "if you trust it",
                      image.rank, path, facts.st_uid)};
    }
    if (facts.st_mode & (S_IWGRP | S_IWOTH)) {
      return Error{
          fmt::format("rank {}: {} can be written by others: its program would run with your "
                      "rights; chmod go-w it "
                      "if you trust it",
                      image.rank, path)};
    }
  }
  return Done{};
}

std::string utc_now() {
  std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace mana::control
