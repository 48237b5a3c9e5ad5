// SPDX-License-Identifier: BSD-3-Clause
// inotify: a watch is told as an inode, and a path is needed.
#include <errno.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "lower/descriptor_contents.h"
#include "lower/moved_files.h"

namespace mana::lower {
namespace {

using loader::Descriptor;
using loader::Error;
using loader::Result;
using Path = std::filesystem::path;

bool is_inode(const Path& path, const Inode& inode) {
  struct stat status {};
  return lstat(path.c_str(), &status) == 0 && Inode{status.st_dev, status.st_ino} == inode;
}

std::vector<Path> likely_places(const SeenDescriptors& all) {
  std::vector<Path> places;
  const auto with_parents = [&](const Path& start) {
    for (Path at = start; at.is_absolute(); at = at.parent_path()) {
      places.push_back(at);
      if (at == at.parent_path()) break;
    }
  };
  std::error_code ignored;
  with_parents(std::filesystem::current_path(ignored));
  for (const Descriptor& one : all.all()) {
    if (one.path[0] == '/') with_parents(one.path);
  }
  for (const char* variable : {"HOME", "TMPDIR"}) {
    if (const char* place = std::getenv(variable)) with_parents(place);
  }
  for (const char* place : {"/tmp", "/var/tmp", "/dev/shm", "/etc"}) places.emplace_back(place);
  return places;
}

std::string path_of_inode(const Inode& inode, const SeenDescriptors& all) {
  const std::vector<Path> places = likely_places(all);
  for (const Path& place : places) {
    if (is_inode(place, inode)) return place;
  }
  for (const Path& place : places) {  // and what lies in them
    if (place == place.root_path()) continue;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(place, ignored)) {
      if (is_inode(entry.path(), inode)) return entry.path();
    }
  }
  return {};
}

}  // namespace

std::string save_inotify(int number, const std::string& info, const SeenDescriptors& all, Contents& into) {
  into.kind = ContentsKind::inotify;
  int unread = 0;
  if (ioctl(number, FIONREAD, &unread) != 0 || unread != 0) return "it has events that were not read yet";
  for (std::size_t at = 0; (at = info.find("inotify wd:", at)) != std::string::npos; ++at) {
    unsigned wd = 0, mask = 0, device = 0;  // the kernel's own encoding of a device
    unsigned long long inode = 0;
    if (std::sscanf(info.c_str() + at, "inotify wd:%x ino:%llx sdev:%x mask:%x", &wd, &inode, &device, &mask) != 4)
      return "its watches are not told";
    std::string path = path_of_inode({makedev(device >> 20, device & 0xfffff), inode}, all);
    if (path.empty()) return "the path of a watch (inode " + std::to_string(inode) + ") was not found";
    into.add(ItemKind::watch, std::move(path), wd, mask);
  }
  return {};
}

Result<int> make_inotify(const Contents& contents, const Options& options) {
  const int got = inotify_init1(IN_CLOEXEC);
  if (got < 0) return Error{"inotify_init1", errno};
  int last = 0;
  std::vector<Item> watches = contents.items;  // the kernel tells the newest first
  std::sort(watches.begin(), watches.end(), [](const Item& a, const Item& b) { return a.words[0] < b.words[0]; });
  for (const Item& item : watches) {
    const auto wanted = static_cast<int>(item.words[0]);
    const std::string path = moved_path(item.bytes, options.paths);
    // The kernel gives watches ascending numbers, also when they are removed again.
    for (;;) {
      last = inotify_add_watch(got, path.c_str(),
                               static_cast<uint32_t>(item.words[1]) & (IN_ALL_EVENTS | IN_EXCL_UNLINK | IN_ONESHOT));
      if (last < 0) return Error{"watch again for the application", errno}.at(path.c_str());
      if (last >= wanted) break;
      inotify_rm_watch(got, last);
    }
    if (last != wanted) return Error{"give a watch its number", 0, static_cast<uint64_t>(wanted), static_cast<uint64_t>(last)}.at(path.c_str());
  }
  // The removed ones left events (IN_IGNORED); the application had read all of its own.
  int unread = 0;
  while (ioctl(got, FIONREAD, &unread) == 0 && unread > 0) {
    char events[4096];
    if (read(got, events, sizeof events) <= 0) break;
  }
  return got;
}

}  // namespace mana::lower
