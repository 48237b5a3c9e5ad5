// SPDX-License-Identifier: BSD-3-Clause
#include "lower/environment.h"

#include <errno.h>

#include <cstring>

namespace mana::lower {
namespace {

constexpr uint64_t kNone = ~uint64_t{0};

uint64_t find(char* const* list, const std::string& change) {
  const std::size_t name = change.find('=') + 1;  // with the sign
  for (uint64_t i = 0; list[i] != nullptr; ++i) {
    if (std::strncmp(list[i], change.c_str(), name) == 0) return i;
  }
  return kNone;
}

}  // namespace

loader::Outcome change_environment(EnvironmentRoom* where, const std::vector<std::string>& changes) {
  const auto full = [](const std::string& change) {
    return loader::Error{"change the environment", ENOSPC}
        .at(change.substr(0, change.find('=')).c_str())
        .so("an image has room for 4096 variables and for 256 KiB of --env over all restarts");
  };
  if (changes.empty()) return loader::Done{};
  if (where == nullptr || where->environment == nullptr) {
    return loader::Error{"change the environment: no library of the program has an `environ`"}.at("--env").so("leave --env out");
  }
  EnvironmentRoom& room = *where;
  char** list = *room.environment;
  uint64_t count = 0;
  while (list != nullptr && list[count] != nullptr) ++count;
  if (count > EnvironmentRoom::kVariables) return full(changes.front());
  if (list != room.variables) std::memcpy(room.variables, list, count * sizeof *list);
  list = room.variables;
  list[count] = nullptr;
  for (const std::string& change : changes) {
    if (room.used_bytes + change.size() + 1 > EnvironmentRoom::kBytes) return full(change);
    char* text = room.text + room.used_bytes;
    std::memcpy(text, change.c_str(), change.size() + 1);
    room.used_bytes += change.size() + 1;
    const uint64_t at = find(list, change);
    if (at != kNone) {
      list[at] = text;
      continue;
    }
    if (count == EnvironmentRoom::kVariables) return full(change);
    list[count + 1] = nullptr;
    list[count++] = text;
  }
  *room.environment = list;
  return loader::Done{};
}

}  // namespace mana::lower
