// SPDX-License-Identifier: BSD-3-Clause
#include "lower/memory_room.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>

#include "kernel-loader/sys.h"
#include "lower/proc_file.h"

namespace mana::lower {
namespace {

int open_file(const std::string& path) { return open(path.c_str(), O_RDONLY | O_CLOEXEC); }

// "max" (version 2) is none, and so is what is more than there can be (version 1).
uint64_t limit_in(const std::string& file) {
  const std::string text = read_proc_file(file);
  const uint64_t limit = std::strtoull(text.c_str(), nullptr, 10);
  return limit >= uint64_t{1} << 60 ? 0 : limit;
}

struct Version {
  const char* root;
  const char *limit, *usage;
};
constexpr Version kFirst{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"};
constexpr Version kSecond{"/sys/fs/cgroup", "memory.max", "memory.current"};

// From the process's own group up to the root: each may have a limit.
void add_groups(const Version& version, std::string path, MemoryRoom& room, std::size_t& count) {
  for (;;) {
    const std::string folder = version.root + path + "/";
    if (const uint64_t limit = limit_in(folder + version.limit); limit != 0 && count < room.groups.size())
      room.groups[count++] = {limit, open_file(folder + version.usage), open_file(folder + "memory.stat")};
    if (path.empty()) return;
    path.resize(path.rfind('/'));
  }
}

// The number behind `name` at the beginning of a line; 0: it is not there.
uint64_t number_after(std::string_view text, std::string_view name) {
  while (text.compare(0, name.size(), name) != 0) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return 0;
    text.remove_prefix(end + 1);
  }
  text.remove_prefix(name.size());
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  uint64_t number = 0;
  for (; !text.empty() && text.front() >= '0' && text.front() <= '9'; text.remove_prefix(1)) number = number * 10 + static_cast<uint64_t>(text.front() - '0');
  return number;
}

std::string_view read_again(int file, char* buffer, uint64_t size) {
  const long got = sys::pread(file, buffer, size, 0);
  return {buffer, got > 0 ? static_cast<std::size_t>(got) : 0};
}

constexpr uint64_t kTextBytes = 8192;
constexpr uint64_t too_little(uint64_t all) { return std::min(all / 32 + (32 << 20), all / 4); }

bool is_short(const MemoryRoom::Group& group) {
  char text[kTextBytes];
  const uint64_t usage = number_after(read_again(group.usage, text, sizeof text), "");
  if (usage == 0) return false;
  const std::string_view statistics = read_again(group.statistics, text, sizeof text);
  uint64_t files = number_after(statistics, "total_inactive_file ") + number_after(statistics, "total_active_file ");
  if (files == 0) files = number_after(statistics, "inactive_file ") + number_after(statistics, "active_file ");
  return group.limit + files < usage + too_little(group.limit);
}

constexpr uint64_t kUnit = 1024;  // of /proc/meminfo

bool host_is_short(int file) {
  char text[kTextBytes];
  const std::string_view facts = read_again(file, text, sizeof text);
  const uint64_t all = number_after(facts, "MemTotal:") * kUnit;
  const uint64_t left = (number_after(facts, "MemAvailable:") + number_after(facts, "SwapFree:")) * kUnit;
  return left < too_little(all);
}

}  // namespace

std::array<int, MemoryRoom::kMostFiles> MemoryRoom::files() const {
  std::array<int, kMostFiles> all;
  std::size_t count = 0;
  all[count++] = host;
  for (const Group& group : groups) all[count++] = group.usage, all[count++] = group.statistics;
  return all;
}

MemoryRoom open_memory_room() {
  MemoryRoom room;
  room.host = open_file("/proc/meminfo");
  std::size_t count = 0;
  const std::string groups = read_proc_file("/proc/self/cgroup");  // "4:memory:/path", "0::/path"
  for (std::size_t begin = 0; begin < groups.size();) {
    const std::size_t end = std::min(groups.find('\n', begin), groups.size());
    const std::string line = groups.substr(begin, end - begin);
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    begin = end + 1;
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1) == "/" ? "" : line.substr(second + 1);
    if (controllers.empty()) add_groups(kSecond, path, room, count);
    if (controllers == "memory") add_groups(kFirst, path, room, count);
  }
  return room;
}

void close_memory_room(const MemoryRoom& room) {
  for (const int file : room.files()) {
    if (file >= 0) close(file);
  }
}

uint64_t memory_in_all(const MemoryRoom& room) {
  char text[kTextBytes];
  uint64_t all = number_after(read_again(room.host, text, sizeof text), "MemTotal:") * kUnit;
  for (const MemoryRoom::Group& group : room.groups) {
    if (group.limit != 0) all = std::min(all, group.limit);
  }
  return all;
}

bool memory_is_short(const MemoryRoom& room) {
  for (const MemoryRoom::Group& group : room.groups) {
    if (group.usage >= 0 && group.statistics >= 0 && is_short(group)) return true;
  }
  return room.host >= 0 && host_is_short(room.host);
}

}  // namespace mana::lower
