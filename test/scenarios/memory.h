// SPDX-License-Identifier: BSD-3-Clause
// Memory with known contents, and what the kernel tells of a mapping.
#pragma once

#include <cinttypes>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>

namespace mana::test {

inline constexpr std::size_t kPage = 4096;

inline void fill(char* at, std::size_t bytes, int seed) {
  for (std::size_t i = 0; i < bytes; i++) at[i] = static_cast<char>((i * 31 + static_cast<std::size_t>(seed)) % 251 + 1);
}
inline bool is_filled(const char* at, std::size_t bytes, int seed) {
  for (std::size_t i = 0; i < bytes; i++) {
    if (at[i] != static_cast<char>((i * 31 + static_cast<std::size_t>(seed)) % 251 + 1)) return false;
  }
  return true;
}

// What /proc/self/smaps says behind `name` ("VmFlags:") of the mapping that holds this address.
inline std::string in_smaps(const void* address, const std::string& name) {
  std::ifstream maps("/proc/self/smaps");
  uint64_t begin = 0, end = 0;
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " ", &begin, &end) == 2) {
      inside = reinterpret_cast<uint64_t>(address) >= begin && reinterpret_cast<uint64_t>(address) < end;
    } else if (inside && line.compare(0, name.size(), name) == 0) {
      return line.substr(name.size());
    }
  }
  return {};
}
inline long kilobytes_in_smaps(const void* address, const std::string& name) {
  const std::string value = in_smaps(address, name);
  return value.empty() ? 0 : std::stol(value);
}
inline bool has_flag(const void* address, const std::string& flag) {
  return (in_smaps(address, "VmFlags:") + " ").find(" " + flag + " ") != std::string::npos;
}

}  // namespace mana::test
