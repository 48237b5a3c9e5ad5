// SPDX-License-Identifier: BSD-3-Clause
// What memory shows: through each mapping of it the same, zeroes once it was given away, and to ps what it did.
#include <alloca.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <vector>

#include "test/scenario.h"
#include "test/scenarios/memory.h"

namespace {

using namespace mana::test;

constexpr int kBoth = PROT_READ | PROT_WRITE;

char* map(std::size_t bytes) { return static_cast<char*>(mmap(nullptr, bytes, kBoth, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)); }

// A ring buffer: its second half is its first one.
SCENARIO(memory_mapped_twice_stays_one, .ranks = 2) {
  constexpr std::size_t kBytes = 4 * kPage;
  char* ring = map(2 * kBytes);
  const int file = memfd_create("ring", 0);
  CHECK_EQ(ftruncate(file, kBytes), 0);
  CHECK(mmap(ring, kBytes, kBoth, MAP_SHARED | MAP_FIXED, file, 0) == ring);
  CHECK(mmap(ring + kBytes, kBytes, kBoth, MAP_SHARED | MAP_FIXED, file, 0) == ring + kBytes);
  const auto* last_page = static_cast<char*>(mmap(nullptr, kPage, PROT_READ, MAP_SHARED, file, kBytes - kPage));
  close(file);
  auto* first = static_cast<char*>(mmap(nullptr, kBytes, kBoth, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  auto* second = static_cast<char*>(mremap(first, 0, kBytes, MREMAP_MAYMOVE));
  CHECK(second != MAP_FAILED);
  fill(ring, kBytes, 1);
  fill(first, kBytes, 2);
  for (int turn = 0; turn < 2; turn++) {
    job.checkpoint_here();
    CHECK(is_filled(ring + kBytes, kBytes, 1 + 2 * turn) && is_filled(second, kBytes, 2 + 2 * turn));
    fill(ring + kBytes, kBytes, 3 + 2 * turn);
    fill(second, kBytes, 4 + 2 * turn);
    CHECK(is_filled(ring, kBytes, 3 + 2 * turn) && is_filled(first, kBytes, 4 + 2 * turn));
    CHECK(std::equal(last_page, last_page + kPage, ring + kBytes - kPage));
  }
  CHECK(!has_flag(last_page, "wr"));
  munmap(ring, 2 * kBytes);
  munmap(const_cast<char*>(last_page), kPage);
  munmap(first, kBytes);
  munmap(second, kBytes);
}

SCENARIO(memory_given_away_is_zero, .ranks = 2) {
  constexpr std::size_t kBytes = 8 << 20;
  constexpr int kAdvices[] = {MADV_DONTNEED, MADV_FREE, 24 /* MADV_DONTNEED_LOCKED */};
  char* memory[std::size(kAdvices)];
  for (char*& one : memory) fill(one = map(kBytes), kBytes, 5);
  job.checkpoint_here();
  for (std::size_t i = 0; i < std::size(kAdvices); i++) {
    char* middle = memory[i] + kBytes / 4;
    if (madvise(middle, kBytes / 2, kAdvices[i]) != 0) {
      CHECK_EQ(kAdvices[i], 24);  // Linux 5.18
      continue;
    }
    // What was freed may be there until memory runs out, but not come back from elsewhere: after a write it stays.
    if (kAdvices[i] == MADV_FREE) std::fill_n(middle, kBytes / 2, '\0');
    CHECK(std::all_of(middle, middle + kBytes / 2, [](char byte) { return byte == 0; }));
    CHECK(is_filled(memory[i], kBytes / 4, 5));
    CHECK_EQ(middle[kBytes / 2], static_cast<char>((kBytes / 4 * 3 * 31 + 5) % 251 + 1));
    fill(middle, kBytes / 2, 6);
    CHECK_EQ(madvise(middle + kPage, kPage, MADV_DONTNEED), 0);
    CHECK_EQ(middle[kPage], 0);
  }
  job.checkpoint_here();
  for (char* one : memory) {
    CHECK_EQ(madvise(one, kBytes, MADV_DONTNEED), 0);
    CHECK(std::all_of(one, one + kBytes, [](char byte) { return byte == 0; }));
    munmap(one, kBytes);
  }
}

SCENARIO(memory_given_away_is_zero_where_it_was_moved_to_and_stays_where_it_is_locked, .ranks = 2) {
  constexpr std::size_t kBytes = 4 << 20, kLocked = 4 * kPage;
  char* moved = map(kBytes);
  char* locked = map(kBytes);
  fill(moved, kBytes, 7);
  fill(locked, kBytes, 8);
  job.checkpoint_here();
  // Not libc's function: natively, UCX puts one in its place that forgets the target.
  auto* there = reinterpret_cast<char*>(syscall(SYS_mremap, moved, kBytes, 3 * kBytes, MREMAP_MAYMOVE | MREMAP_FIXED, map(3 * kBytes)));
  CHECK(there != MAP_FAILED && is_filled(there, kBytes, 7));
  CHECK_EQ(madvise(there, kBytes / 2, MADV_DONTNEED), 0);
  CHECK(std::all_of(there, there + kBytes / 2, [](char byte) { return byte == 0; }));
  CHECK_EQ(there[kBytes - 1], static_cast<char>(((kBytes - 1) * 31 + 7) % 251 + 1));
  CHECK_EQ(mlock(locked, kLocked), 0);
  CHECK_EQ(madvise(locked, kLocked, MADV_DONTNEED), -1);
  CHECK_EQ(errno, EINVAL);
  CHECK(is_filled(locked, kBytes, 8));
  munmap(there, 3 * kBytes);
  munmap(locked, kBytes);
}

SCENARIO(memory_wiped_on_fork_stays_so_when_it_is_large, .ranks = 2) {
  constexpr std::size_t kBytes = 4 << 20;
  char* memory = map(kBytes);
  fill(memory, kBytes, 7);
  CHECK_EQ(madvise(memory, kBytes, MADV_WIPEONFORK), 0);
  job.checkpoint_here();
  CHECK(is_filled(memory, kBytes, 7));
  CHECK(has_flag(memory, "wf"));
  munmap(memory, kBytes);
}

bool is_zero(const char* at, std::size_t bytes) {
  return std::all_of(at, at + bytes, [](char byte) { return byte == 0; });
}

// What the kernel does for memory of no file only.
SCENARIO(advice_is_taken_as_before_when_it_comes_after, .ranks = 2) {
  constexpr std::size_t kBytes = 8 << 20, kQuarter = kBytes / 4;
  constexpr int kInstallGuard = 102, kRemoveGuard = 103;  // Linux 6.13
  char* wiped = map(kBytes);
  char* guarded = map(kBytes);
  fill(wiped, kBytes, 5);
  fill(guarded, kBytes, 6);
  job.checkpoint_here();
  CHECK_EQ(mprotect(wiped + 2 * kQuarter, kQuarter, PROT_READ), 0);
  CHECK_EQ(madvise(wiped + kQuarter, 2 * kQuarter, MADV_WIPEONFORK), 0);
  const bool has_guards = madvise(guarded + kQuarter, kQuarter, kInstallGuard) == 0;
  if (!has_guards) CHECK_EQ(errno, EINVAL);
  if (has_guards) CHECK_EQ(madvise(guarded + kQuarter, kQuarter, kRemoveGuard), 0);
  CHECK_EQ(madvise(guarded, kBytes, MADV_REMOVE), -1);
  CHECK_EQ(errno, EINVAL);
  for (int turn = 0; turn < 2; turn++) {
    CHECK(is_filled(wiped, kBytes, 5));
    CHECK(has_flag(wiped + kQuarter, "wf") && has_flag(wiped + 3 * kQuarter - 1, "wf"));
    CHECK(!has_flag(wiped, "wf") && !has_flag(wiped + 3 * kQuarter, "wf"));
    CHECK(has_flag(wiped + kQuarter, "wr") && !has_flag(wiped + 2 * kQuarter, "wr"));
    const pid_t child = fork();
    if (child == 0) _exit(is_zero(wiped + kQuarter, 2 * kQuarter) && wiped[kQuarter - 1] != 0 && wiped[3 * kQuarter] != 0 ? 0 : 1);
    int status = -1;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    if (has_guards) CHECK(is_zero(guarded + kQuarter, kQuarter));
    CHECK(is_filled(guarded, kQuarter, 6) && guarded[2 * kQuarter] != 0);
    job.checkpoint_here();
  }
  munmap(wiped, kBytes);
  munmap(guarded, kBytes);
}

SCENARIO(what_was_said_of_memory_stays_when_it_is_given_away, .ranks = 2) {
  constexpr std::size_t kBytes = 8 << 20, kQuarter = kBytes / 4, kLocked = 4 * kPage;
  constexpr int kDontNeedLocked = 24;  // Linux 5.18
  char* memory = map(kBytes);
  fill(memory, kBytes, 7);
  CHECK_EQ(madvise(memory, kQuarter, MADV_DONTDUMP), 0);
  job.checkpoint_here();
  CHECK_EQ(madvise(memory + kQuarter, kQuarter, MADV_DONTFORK), 0);
  CHECK_EQ(mlock(memory + 2 * kQuarter, kLocked), 0);
  unsigned long policy[2] = {MPOL_BIND, 1};
  const bool bound = syscall(SYS_mbind, memory + 3 * kQuarter, kQuarter, policy[0], &policy[1], 64 + 1, 0) == 0;  // a container may not let it
  for (const std::size_t at : {std::size_t{0}, kQuarter, 3 * kQuarter}) CHECK_EQ(madvise(memory + at, kQuarter, MADV_DONTNEED), 0);
  if (madvise(memory + 2 * kQuarter, kQuarter, kDontNeedLocked) == 0) CHECK(is_zero(memory, kBytes));
  for (int turn = 0; turn < 2; turn++) {
    CHECK(has_flag(memory, "dd") && has_flag(memory + kQuarter, "dc") && has_flag(memory + 2 * kQuarter, "lo"));
    CHECK(!has_flag(memory + kQuarter, "dd") && !has_flag(memory + 2 * kQuarter, "dc") && !has_flag(memory + 2 * kQuarter + kLocked, "lo"));
    int mode = 0;
    if (bound) CHECK_EQ(syscall(SYS_get_mempolicy, &mode, nullptr, 0, memory + 3 * kQuarter, MPOL_F_ADDR), 0);
    if (bound) CHECK_EQ(mode, MPOL_BIND);
    job.checkpoint_here();
  }
  munmap(memory, kBytes);
}

SCENARIO(what_was_said_of_memory_is_true_of_what_it_grows_by, .ranks = 2) {
  constexpr std::size_t kBytes = 4 << 20;
  char* memory = map(kBytes);
  char* room = map(4 * kBytes);
  fill(memory, kBytes, 7);
  CHECK_EQ(madvise(memory, kBytes, MADV_DONTDUMP), 0);
  job.checkpoint_here();
  auto* there = reinterpret_cast<char*>(syscall(SYS_mremap, memory, kBytes, 2 * kBytes, MREMAP_MAYMOVE | MREMAP_FIXED, room));
  CHECK(there == room && is_filled(there, kBytes, 7) && is_zero(there + kBytes, kBytes));
  CHECK_EQ(munmap(there + 2 * kBytes, kBytes), 0);
  CHECK(reinterpret_cast<char*>(syscall(SYS_mremap, there, 2 * kBytes, 3 * kBytes, 0)) == there);
  for (int piece = 0; piece < 4; piece++) CHECK_EQ(has_flag(there + piece * kBytes, "dd"), piece < 3);
  munmap(there, 4 * kBytes);
}

SCENARIO(memory_given_away_in_pieces_is_zero, .ranks = 2) {
  constexpr std::size_t kBytes = 8 << 20, kQuarter = kBytes / 4;
  constexpr long kProcessMadvise = 440, kPidfdOpen = 434;
  char* memory = map(kBytes);
  char* kept = map(kBytes);
  fill(memory, kBytes, 7);
  fill(kept, kBytes, 8);
  const auto advise = [&](std::vector<iovec> pieces, int advice) {
    const int self = static_cast<int>(syscall(kPidfdOpen, getpid(), 0));
    const long got = syscall(kProcessMadvise, self, pieces.data(), pieces.size(), advice, 0);
    if (got < 0) CHECK(errno == EINVAL || errno == ENOSYS || errno == EPERM);  // before Linux 6.13 not for oneself
    close(self);
    return got;
  };
  const bool flagged = advise({{kept, kQuarter}}, MADV_DONTDUMP) > 0;
  job.checkpoint_here();
  const long given = advise({{memory, kQuarter}, {memory + 2 * kQuarter, kQuarter}}, MADV_DONTNEED);
  if (given > 0) {
    CHECK_EQ(given, static_cast<long>(2 * kQuarter));
    CHECK(is_zero(memory, kQuarter) && memory[kQuarter] != 0 && is_zero(memory + 2 * kQuarter, kQuarter) && memory[3 * kQuarter] != 0);
  }
  CHECK(is_filled(kept, kBytes, 8));
  CHECK_EQ(has_flag(kept, "dd"), flagged);
  munmap(memory, kBytes);
  munmap(kept, kBytes);
}

SCENARIO(memory_with_holes_that_is_given_away_is_zero, .ranks = 2) {
  constexpr std::size_t kBytes = 8 << 20;
  char* memory = map(kBytes);
  fill(memory, kBytes, 7);
  job.checkpoint_here();
  CHECK_EQ(munmap(memory + kBytes / 2, kPage), 0);
  CHECK_EQ(madvise(memory, kBytes, MADV_DONTNEED), -1);
  CHECK_EQ(errno, ENOMEM);
  CHECK(is_zero(memory, kBytes / 2) && is_zero(memory + kBytes / 2 + kPage, kBytes / 2 - kPage));
  munmap(memory, kBytes);
}

std::string words() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// With so deep a stack these words lie in memory that a restart maps from the image.
[[gnu::noinline]] void with_deep_stack(Job& job) {
  constexpr std::size_t kBytes = 3 << 20;
  auto* deep = static_cast<char*>(alloca(kBytes));
  fill(deep, kBytes, 8);
  const std::string before = words();
  CHECK(!before.empty());
  job.checkpoint_here();
  CHECK_EQ(words(), before);
  CHECK(is_filled(deep, kBytes, 8));
}

SCENARIO(words_are_shown_with_a_deep_stack, .ranks = 2) { with_deep_stack(job); }

}  // namespace
