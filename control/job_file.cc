// SPDX-License-Identifier: BSD-3-Clause
#include "control/job_file.h"

#include <fmt/format.h>
#include <sodium.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "control/files.h"

namespace mana::control {

using nlohmann::json;

namespace {

constexpr const char* kName = "control.json";

}  // namespace

std::string hexadecimal(const uint8_t* bytes, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += fmt::format("{:02x}", bytes[i]);
  return text;
}

Outcome write_job_file(const std::string& directory, const JobFile& file) {
  json value = {
      {"job", file.job},         {"host", file.host},
      {"host_id", file.host_id}, {"addresses", file.addresses},
      {"port", file.port},       {"secret", hexadecimal(file.secret.data(), file.secret.size())},
      {"pid", file.pid},         {"ranks", file.ranks},
      {"program", file.program}, {"started", file.started}};
  return replace_file(directory, kName,
                      value.dump(2, ' ', false, json::error_handler_t::replace) + "\n", 0600, Outlives::writer);
}

Result<JobFile> read_job_file(const std::string& directory) {
  std::string path = directory + "/" + kName;
  Result<std::string> text = read_file(path);
  if (!text.ok()) return text.error();
  json value = json::parse(text.value(), nullptr, false);
  if (value.is_discarded()) return Error{path + " is damaged: it is not JSON"};
  try {
    JobFile file;
    file.job = value.at("job").get<std::string>();
    file.host = value.at("host").get<std::string>();
    file.host_id = value.at("host_id").get<std::string>();
    file.addresses = value.at("addresses").get<std::vector<std::string>>();
    file.port = value.at("port").get<uint16_t>();
    file.pid = value.at("pid").get<int>();
    file.ranks = value.at("ranks").get<int>();
    file.program = value.at("program").get<std::string>();
    file.started = value.at("started").get<std::string>();
    auto secret = value.at("secret").get<std::string>();
    std::size_t length = 0;
    if (sodium_hex2bin(file.secret.data(), file.secret.size(), secret.data(), secret.size(),
                       nullptr, &length, nullptr) != 0 ||
        length != file.secret.size()) {
      return Error{path + " is damaged: no secret"};
    }
    return file;
  } catch (const json::exception& error) {
    return Error{path + " is damaged: " + error.what()};
  }
}

void remove_job_file(const std::string& directory, const std::string& job) {
  Result<JobFile> file = read_job_file(directory);
  if (file.ok() && file.value().job == job) unlink((directory + "/" + kName).c_str());
}

}  // namespace mana::control
