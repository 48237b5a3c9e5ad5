// SPDX-License-Identifier: BSD-3-Clause
#include "lower/moved_files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

namespace mana::lower {
namespace {

using loader::Descriptor;
using loader::Done;
using loader::Error;
using loader::Outcome;

struct Facts {
  bool known;
  int64_t bytes;
  timespec changed;
};

Facts facts_of(const Contents& contents) {
  const auto value = [&contents](int i) { return static_cast<int64_t>(contents.words[i]); };
  return {contents.kind == ContentsKind::file && contents.words[0] == 1, value(1), {value(2), value(3)}};
}

bool is_written(const Descriptor& descriptor) { return (descriptor.flags & O_ACCMODE) != O_RDONLY; }

// What is different; empty: nothing that matters.  Of a file that the application writes, that it has grown: it went on
// after the checkpoint.  Of one that it reads, any change.
std::string difference(const Descriptor& descriptor, const Facts& then, const struct stat& now) {
  const auto lengths = [&] { return std::to_string(then.bytes) + " bytes at the checkpoint, now " + std::to_string(now.st_size); };
  if (now.st_size < then.bytes) return "has become shorter (" + lengths() + ")";
  if (is_written(descriptor)) return now.st_size > then.bytes ? "has grown (" + lengths() + ")" : "";
  if (now.st_size > then.bytes) return "has changed (" + lengths() + ")";
  const bool same_time = now.st_mtim.tv_sec == then.changed.tv_sec && now.st_mtim.tv_nsec == then.changed.tv_nsec;
  return same_time ? "" : "has changed since the checkpoint";
}

bool is_cut(const Descriptor& descriptor, const Facts& then, const struct stat& now, const Options& options) {
  return options.files == Files::truncate && is_written(descriptor) && now.st_size > then.bytes;
}

}  // namespace

void note_file(const Descriptor& descriptor, Contents& into) {
  struct stat now {};
  if (fstat(descriptor.number, &now) != 0 || !S_ISREG(now.st_mode)) return;
  if (std::strncmp(descriptor.path, "/proc/", 6) == 0 || std::strncmp(descriptor.path, "/sys/", 5) == 0) return;  // the kernel's
  into.words[0] = 1;
  into.words[1] = static_cast<uint64_t>(now.st_size);
  into.words[2] = static_cast<uint64_t>(now.st_mtim.tv_sec);
  into.words[3] = static_cast<uint64_t>(now.st_mtim.tv_nsec);
}

std::string moved_path(const std::string& path, const std::vector<std::pair<std::string, std::string>>& paths) {
  for (const auto& [old_path, new_path] : paths) {
    if (path.compare(0, old_path.size(), old_path) != 0) continue;
    if (path.size() != old_path.size() && path[old_path.size()] != '/') continue;
    const std::string moved = new_path + path.substr(old_path.size());
    return moved.empty() ? "/" : moved;
  }
  return path;
}

bool files_are_good(const image::ImageFile& image, const Options& options) {
  if (options.files == Files::keep) return true;
  bool good = true;
  const auto all = read_contents(image.contents());
  for (const Descriptor& descriptor : read_descriptors(image.descriptors())) {
    const auto contents = all.find(descriptor.number);
    if (contents == all.end() || !facts_of(contents->second).known) continue;
    const Facts then = facts_of(contents->second);
    const std::string path = moved_path(descriptor.path, options.paths);
    struct stat now {};
    if (stat(path.c_str(), &now) != 0) continue;  // opening it will say so
    const std::string what = difference(descriptor, then, now);
    if (what.empty()) continue;
    const bool cut = is_cut(descriptor, then, now, options);
    if (options.files == Files::strict) good = false;
    std::fprintf(stderr, "mana: rank %d: restart: %s %s%s\n", options.rank, path.c_str(), what.c_str(),
                 cut                              ? "; it is cut back"
                 : options.files == Files::strict ? "; put it back, or choose --files=truncate or keep"
                                                  : "; the application goes on with it as it is");
  }
  return good;
}

Outcome cut_file(int number, const Contents& contents, const Options& options) {
  const Facts then = facts_of(contents);
  struct stat now {};
  if (!then.known || options.files != Files::truncate || fstat(number, &now) != 0 || now.st_size <= then.bytes) return Done{};
  if ((fcntl(number, F_GETFL) & O_ACCMODE) == O_RDONLY) return Done{};
  if (ftruncate(number, then.bytes) != 0)
    return Error{"cut a file back to its length at the checkpoint", errno}.at(("/proc/self/fd/" + std::to_string(number)).c_str());
  return Done{};
}

}  // namespace mana::lower
