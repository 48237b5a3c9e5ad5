// SPDX-License-Identifier: BSD-3-Clause
#include "lower/memory_flags.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <memory>

#include "kernel-loader/report.h"
#include "kernel-loader/sys.h"

namespace mana::lower {
namespace {

using image::MemoryFlags;

struct Word {
  char name[3];
  uint32_t flag;
};
// Documentation/filesystems/proc.rst, "VmFlags".
constexpr Word kWords[] = {{"dd", MemoryFlags::dont_dump},   {"dc", MemoryFlags::dont_fork},     {"wf", MemoryFlags::wipe_on_fork},
                           {"lo", MemoryFlags::locked},      {"lf", MemoryFlags::locked_on_fault}, {"hg", MemoryFlags::huge_pages},
                           {"nh", MemoryFlags::no_huge_pages}, {"mg", MemoryFlags::mergeable},     {"gd", image::kGrowsDown},
                           {"dp", image::kDroppable},        {"sl", MemoryFlags::sealed}};
// Of a region, not of what was said of it.
constexpr uint32_t kOfRegion = image::kGrowsDown | image::kDroppable;

uint32_t flags_of(const char* words) {
  uint32_t flags = 0;
  for (const char* at = words; at[0] != '\0' && at[1] != '\0'; at += at[2] == ' ' ? 3 : 2) {
    for (const Word& word : kWords) {
      if (std::memcmp(at, word.name, 2) == 0) flags |= word.flag;
    }
  }
  return flags;
}

void mark(std::vector<UpperRegion>& regions, uint64_t begin, uint32_t flags) {
  for (UpperRegion& region : regions) {
    if (region.begin == begin) region.protection |= flags;
  }
}

void advise(const MemoryFlags& range, uint32_t flag, int advice, const char* area = "restart") {
  if ((range.flags & flag) == 0) return;
  if (madvise(reinterpret_cast<void*>(range.begin), range.bytes, advice) == 0) return;
  loader::report(area, loader::Error{"repeat the advice (madvise) for memory", errno, range.begin, static_cast<uint64_t>(advice)});
}

void lock(const MemoryFlags& range) {
  if ((range.flags & MemoryFlags::locked) == 0) return;
  const unsigned how = (range.flags & MemoryFlags::locked_on_fault) != 0 ? MLOCK_ONFAULT : 0;
  if (mlock2(reinterpret_cast<void*>(range.begin), range.bytes, how) == 0) return;
  // Of a PROT_NONE range nothing can be locked now; the flag is there all the same.
  if (errno == ENOMEM && how == 0 && mlock2(reinterpret_cast<void*>(range.begin), range.bytes, MLOCK_ONFAULT) == 0) return;
  loader::report("restart", loader::Error{"lock memory (mlock) again", errno, range.begin, range.bytes}.so("raise the limit (ulimit -l)"));
}

constexpr int kInstallGuard = 102, kRemoveGuard = 103;  // Linux 6.13
constexpr long kSealMemory = 462;                       // Linux 6.10

bool kernel_has_guards(const UpperRegion& region) { return madvise(reinterpret_cast<void*>(region.begin), 0, kInstallGuard) == 0; }

void add_guards(const UpperRegion& region, std::vector<MemoryFlags>& all, std::string* error) {
  std::vector<TouchedRange> guarded;
  if (!guarded_ranges(region, guarded) && kernel_has_guards(region)) {
    *error = "the application may have guard pages (MADV_GUARD_INSTALL), which this kernel does not show: Linux 6.15 does";
  }
  for (const TouchedRange& range : guarded) all.push_back({range.begin, range.end - range.begin, MemoryFlags::guard, 0});
}

void advise_guards(const std::vector<MemoryFlags>& flags, uint64_t advice) {
  for (const MemoryFlags& range : flags) {
    if ((range.flags & MemoryFlags::guard) != 0) sys::raw(__NR_madvise, range.begin, range.bytes, advice);
  }
}

// The image's writer cannot make it readable.
bool is_out_of_reach(const MemoryFlags& range, const std::vector<UpperRegion>& regions) {
  if ((range.flags & MemoryFlags::sealed) == 0) return false;
  return std::any_of(regions.begin(), regions.end(), [&](const UpperRegion& region) {
    return region.begin < range.begin + range.bytes && range.begin < region.end && (region.protection & PROT_READ) == 0 && !touched_ranges(region, 0).empty();
  });
}

}  // namespace

std::vector<MemoryFlags> memory_flags(const loader::GateState& gate, std::vector<UpperRegion>& regions, std::string* error) {
  std::vector<MemoryFlags> all;
  if ((gate.memory_flags & loader::kMemoryFlagsWereUsed) == 0) return all;
  const std::unique_ptr<FILE, int (*)(FILE*)> maps(std::fopen("/proc/thread-self/smaps", "re"), std::fclose);
  if (maps == nullptr) return all;
  char line[1024];
  MemoryFlags range{};
  while (std::fgets(line, sizeof line, maps.get()) != nullptr) {
    uint64_t begin = 0, end = 0;
    if (std::sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &begin, &end) == 2) {
      range = {begin, end - begin, 0, 0};
      continue;
    }
    if (std::strncmp(line, "VmFlags: ", 9) != 0 || !loader::is_application_memory(range.begin)) continue;
    range.flags = flags_of(line + 9);
    if ((range.flags & kOfRegion) != 0) mark(regions, range.begin, range.flags & kOfRegion);
    // These it has by itself, and nobody can take them away.
    if ((range.flags & image::kDroppable) != 0) range.flags &= ~(MemoryFlags::wipe_on_fork | MemoryFlags::dont_dump);
    range.flags &= ~kOfRegion;
    if (range.flags != 0) all.push_back(range);
    if (is_out_of_reach(range, regions)) *error = "the application has sealed memory (mseal) that cannot be read, and has something in it";
  }
  for (const UpperRegion& region : regions) add_guards(region, all, error);
  const uint64_t lock_all = gate.memory_flags >> loader::kLockAllShift;
  if ((lock_all & MCL_FUTURE) != 0) {
    const bool on_fault = (lock_all & MCL_ONFAULT) != 0;
    all.push_back({0, 0, MemoryFlags::lock_future | (on_fault ? MemoryFlags::lock_future_on_fault : 0u), 0});
  }
  return all;
}

ForkAll::ForkAll(const std::vector<MemoryFlags>& flags) : flags_(flags) {
  for (const MemoryFlags& range : flags_) {
    advise(range, MemoryFlags::dont_fork, MADV_DOFORK, "checkpoint");
    advise(range, MemoryFlags::wipe_on_fork, MADV_KEEPONFORK, "checkpoint");
  }
}

ForkAll::~ForkAll() {
  for (const MemoryFlags& range : flags_) {
    advise(range, MemoryFlags::dont_fork, MADV_DONTFORK, "checkpoint");
    advise(range, MemoryFlags::wipe_on_fork, MADV_WIPEONFORK, "checkpoint");
  }
}

void open_guards(const std::vector<MemoryFlags>& flags) { advise_guards(flags, kRemoveGuard); }

void close_guards(const std::vector<MemoryFlags>& flags) { advise_guards(flags, kInstallGuard); }

void restore_memory_flags(const std::vector<MemoryFlags>& flags) {
  for (const MemoryFlags& range : flags) {
    advise(range, MemoryFlags::dont_dump, MADV_DONTDUMP);
    advise(range, MemoryFlags::dont_fork, MADV_DONTFORK);
    advise(range, MemoryFlags::wipe_on_fork, MADV_WIPEONFORK);
    advise(range, MemoryFlags::huge_pages, MADV_HUGEPAGE);
    advise(range, MemoryFlags::no_huge_pages, MADV_NOHUGEPAGE);
    advise(range, MemoryFlags::mergeable, MADV_MERGEABLE);
    advise(range, MemoryFlags::guard, kInstallGuard);
    lock(range);
    if ((range.flags & MemoryFlags::sealed) != 0 && syscall(kSealMemory, range.begin, range.bytes, 0) != 0)
      loader::report("restart", loader::Error{"seal memory (mseal) again", errno, range.begin, range.bytes}.so("goes on unsealed"));
  }
}

void lock_future_memory(const std::vector<MemoryFlags>& flags) {
  for (const MemoryFlags& range : flags) {
    if ((range.flags & MemoryFlags::lock_future) == 0) continue;
    const bool on_fault = (range.flags & MemoryFlags::lock_future_on_fault) != 0;
    if (mlockall(MCL_FUTURE | (on_fault ? MCL_ONFAULT : 0)) != 0)
      loader::report("restart", loader::Error{"lock future memory (mlockall) again", errno});
  }
}

}  // namespace mana::lower
