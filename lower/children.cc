// SPDX-License-Identifier: BSD-3-Clause
#include "lower/children.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>

#include "lower/proc_file.h"

namespace mana::lower {
namespace {

struct LowerPids {
  std::mutex mutex;
  std::set<pid_t> pids;
};
LowerPids& lower_pids() {
  static auto* all = new LowerPids;  // never destroyed: threads outlive exit handlers
  return *all;
}

// A child belongs to the thread that made it.
std::vector<pid_t> all_children() {
  std::vector<pid_t> pids;
  DIR* tasks = opendir("/proc/self/task");
  if (tasks == nullptr) return pids;
  while (const dirent* entry = readdir(tasks)) {
    if (entry->d_name[0] == '.') continue;
    const std::string text = read_proc_file(std::string("/proc/self/task/") + entry->d_name + "/children");
    char* end = nullptr;
    for (const char* at = text.c_str(); const long pid = std::strtol(at, &end, 10); at = end) pids.push_back(static_cast<pid_t>(pid));
  }
  closedir(tasks);
  return pids;
}

bool is_lower(pid_t pid) {
  const std::lock_guard lock(lower_pids().mutex);
  return lower_pids().pids.count(pid) != 0;
}

// "4711 (name) S ..."
bool read_child(pid_t pid, Child& child) {
  const std::string folder = "/proc/" + std::to_string(pid);
  const std::string status = read_proc_file(folder + "/stat");
  const auto open_name = status.find('('), close_name = status.rfind(')');
  if (open_name == std::string::npos || close_name == std::string::npos || close_name + 2 >= status.size()) return false;
  child.pid = pid;
  child.ended = status[close_name + 2] == 'Z';
  child.command = read_proc_file(folder + "/cmdline");
  while (!child.command.empty() && child.command.back() == '\0') child.command.pop_back();
  std::replace(child.command.begin(), child.command.end(), '\0', ' ');
  constexpr std::size_t kMostShown = 80;
  if (child.command.size() > kMostShown) child.command = child.command.substr(0, kMostShown) + "...";
  if (child.command.empty()) child.command = status.substr(open_name + 1, close_name - open_name - 1);
  return true;
}

}  // namespace

std::vector<Child> children() {
  std::vector<Child> found;
  for (const pid_t pid : all_children()) {
    Child child;
    if (!is_lower(pid) && read_child(pid, child)) found.push_back(child);
  }
  return found;
}

bool has_children() {
  const std::vector<pid_t> pids = all_children();
  return std::any_of(pids.begin(), pids.end(), [](pid_t pid) { return !is_lower(pid); });
}

std::string describe(const std::vector<Child>& children) {
  const Child& first = children.front();
  std::string text = "the application's child " + std::to_string(first.pid) + " (" + first.command + ") " +
                     (first.ended ? "has ended and has not been waited for" : "is still running");
  if (children.size() > 1) text += " (and " + std::to_string(children.size() - 1) + " more)";
  return text;
}

void note_lower_child(pid_t pid) {
  const std::lock_guard lock(lower_pids().mutex);
  lower_pids().pids.insert(pid);
}

void forget_lower_child(pid_t pid) {
  const std::lock_guard lock(lower_pids().mutex);
  lower_pids().pids.erase(pid);
}

LowerChildren::LowerChildren() : before_(all_children()) {}

LowerChildren::~LowerChildren() {
  for (const pid_t pid : all_children()) {
    if (std::find(before_.begin(), before_.end(), pid) == before_.end()) note_lower_child(pid);
  }
}

}  // namespace mana::lower
