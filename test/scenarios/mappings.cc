// SPDX-License-Identifier: BSD-3-Clause
// Where mappings lie that the application placed itself, huge pages that it asked for, and how far its stack reaches.
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "test/scenario.h"
#include "test/scenarios/memory.h"

namespace {

using namespace mana::test;

char* map_at(char* place, std::size_t bytes, int protection, int flags) {
  return static_cast<char*>(mmap(place, bytes, protection, MAP_ANONYMOUS | MAP_PRIVATE | flags, -1, 0));
}
char* map(std::size_t bytes, int flags = 0) { return map_at(nullptr, bytes, PROT_READ | PROT_WRITE, flags); }

// The call itself: UCX puts a function of its own in the place of libc's, which forgets the target.
char* remap(char* from, std::size_t bytes, std::size_t new_bytes, int flags, char* to) {
  return reinterpret_cast<char*>(syscall(SYS_mremap, from, bytes, new_bytes, flags, to));
}

// In 200 pages of free room: by hint, fixed, not replacing, moved to a place, moved away from one that stays.
void place_mappings(Job& job, char* room) {
  constexpr int kBoth = PROT_READ | PROT_WRITE;
  CHECK(map_at(room + 10 * kPage, 4 * kPage, kBoth, 0) == room + 10 * kPage);  // a free hint is taken
  fill(room + 10 * kPage, 4 * kPage, 1);
  CHECK(map_at(room + 11 * kPage, kPage, kBoth, MAP_FIXED) == room + 11 * kPage);
  CHECK_EQ(room[11 * kPage], 0);
  fill(room + 11 * kPage, kPage, 2);
  CHECK(map_at(room + 13 * kPage, 4 * kPage, kBoth, MAP_FIXED_NOREPLACE) == MAP_FAILED && errno == EEXIST);
  CHECK(map_at(room + 14 * kPage, 4 * kPage, kBoth, MAP_FIXED_NOREPLACE) == room + 14 * kPage);
  fill(room + 14 * kPage, 4 * kPage, 3);
  char* elsewhere = map_at(room + 12 * kPage, 4 * kPage, kBoth, 0);  // a taken one is not
  CHECK(elsewhere != MAP_FAILED && (elsewhere + 4 * kPage <= room + 12 * kPage || elsewhere >= room + 16 * kPage));
  fill(elsewhere, 4 * kPage, 4);
  CHECK(remap(elsewhere, 4 * kPage, 8 * kPage, MREMAP_MAYMOVE | MREMAP_FIXED, room + 50 * kPage) == room + 50 * kPage);
  char* kept = map(6 * kPage);
  fill(kept, 6 * kPage, 5);
  CHECK(remap(kept, 6 * kPage, 6 * kPage, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, room + 80 * kPage) == room + 80 * kPage);
  CHECK_EQ(kept[0], 0);
  CHECK_EQ(munmap(kept, 6 * kPage), 0);
  char* shrunk = map_at(room + 100 * kPage, 20 * kPage, kBoth, 0);
  fill(shrunk, 20 * kPage, 6);
  CHECK(mremap(shrunk, 20 * kPage, 7 * kPage, 0) == shrunk);
  CHECK(map_at(room + 107 * kPage, kPage, PROT_READ, MAP_FIXED_NOREPLACE) == room + 107 * kPage);
  CHECK(mremap(shrunk, 7 * kPage, 9 * kPage, 0) == MAP_FAILED && errno == ENOMEM);  // not in place
}

void check_mappings(Job& job, const char* room) {
  CHECK(is_filled(room + 10 * kPage, kPage, 1));
  CHECK(is_filled(room + 11 * kPage, kPage, 2));
  CHECK(is_filled(room + 14 * kPage, 4 * kPage, 3));
  CHECK(is_filled(room + 50 * kPage, 4 * kPage, 4));
  CHECK_EQ(room[57 * kPage], 0);
  CHECK(is_filled(room + 80 * kPage, 6 * kPage, 5));
  CHECK(is_filled(room + 100 * kPage, 7 * kPage, 6));
  CHECK_EQ(room[107 * kPage], 0);
}

SCENARIO(mappings_lie_where_they_were_asked_for, .ranks = 2) {
  constexpr std::size_t kRoom = 200 * kPage;
  char* rooms = map(2 * kRoom);
  CHECK_EQ(munmap(rooms, 2 * kRoom), 0);
  place_mappings(job, rooms);
  job.checkpoint_here();
  check_mappings(job, rooms);
  place_mappings(job, rooms + kRoom);
  check_mappings(job, rooms + kRoom);
  // What came from the image moves like anything else.
  CHECK(remap(rooms + 80 * kPage, 6 * kPage, 12 * kPage, MREMAP_MAYMOVE | MREMAP_FIXED, rooms + 150 * kPage) == rooms + 150 * kPage);
  CHECK(is_filled(rooms + 150 * kPage, 6 * kPage, 5));
  CHECK_EQ(rooms[161 * kPage], 0);
  CHECK_EQ(munmap(rooms, 2 * kRoom), 0);
}

// Far more than what the writers of an image may leave to the thread that sends it to the disk.
SCENARIO(thousands_of_mappings_come_back, .ranks = 2) {
  constexpr std::size_t kPages = 3000;
  char* pages = map(kPages * kPage);
  for (std::size_t i = 0; i < kPages; ++i) fill(pages + i * kPage, kPage, static_cast<int>(i));
  for (std::size_t i = 0; i < kPages; i += 2) CHECK_EQ(mprotect(pages + i * kPage, kPage, PROT_READ), 0);
  job.checkpoint_here();
  for (std::size_t i = 0; i < kPages; ++i) CHECK(is_filled(pages + i * kPage, kPage, static_cast<int>(i)));
  for (std::size_t i = 1; i < kPages; i += 2) fill(pages + i * kPage, kPage, static_cast<int>(kPages + i));
  job.checkpoint_here();
  for (std::size_t i = 1; i < kPages; i += 2) CHECK(is_filled(pages + i * kPage, kPage, static_cast<int>(kPages + i)));
  CHECK_EQ(munmap(pages, kPages * kPage), 0);
}

long page_kilobytes(const void* address) { return kilobytes_in_smaps(address, "KernelPageSize:"); }

// The machine may have none reserved.  Whether it had, the runner is told (harness/surroundings.py); where they came back from an image,
// they came back as huge pages, or a line says that the new host has none.
SCENARIO(reserved_huge_pages_stay, .ranks = 2) {
  constexpr std::size_t kHuge = 2 << 20, kBytes = 3 * kHuge;
  char* own = map(kBytes, MAP_HUGETLB);
  char* shared = static_cast<char*>(mmap(nullptr, kHuge, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_SHARED | MAP_HUGETLB, -1, 0));
  const bool has_own = own != MAP_FAILED, has_shared = shared != MAP_FAILED;
  if (has_own) fill(own, kHuge + 100, 7);  // the last page is never touched before
  if (has_own) CHECK_EQ(mprotect(own + kHuge, kHuge, PROT_READ), 0);
  if (has_shared) fill(shared, kHuge, 8);
  const auto tell = [&](const char* when) {
    const char* folder = getenv("MANA_TEST_DIR");
    if (folder == nullptr || !has_own || !has_shared) return;
    std::ofstream(folder + std::string("/reserved.") + when + "." + std::to_string(job.rank))
        << std::min({page_kilobytes(own), page_kilobytes(own + kHuge), page_kilobytes(own + 2 * kHuge), page_kilobytes(shared)});
  };
  tell("before");
  job.checkpoint_here();
  tell("after");
  if (has_own) {
    CHECK(is_filled(own, kHuge + 100, 7));
    CHECK_EQ(own[2 * kHuge], 0);
    CHECK_EQ(mprotect(own + kHuge, kHuge, PROT_READ | PROT_WRITE), 0);
    fill(own, kBytes, 9);
  }
  if (has_shared) CHECK(is_filled(shared, kHuge, 8));
  job.checkpoint_here();
  if (has_own) {
    CHECK(is_filled(own, kBytes, 9));
    CHECK_EQ(munmap(own + kHuge, kHuge), 0);
    CHECK_EQ(munmap(own, kHuge), 0);
    CHECK_EQ(munmap(own + 2 * kHuge, kHuge), 0);
  }
  if (has_shared) CHECK_EQ(munmap(shared, kHuge), 0);
}

// "VmFlags" of the mapping that holds this address has "lo".
SCENARIO(memory_of_the_future_stays_locked, .ranks = 2) {
  const bool locks = mlockall(MCL_FUTURE | MCL_ONFAULT) == 0;  // an ordinary user may lock little
  char* before = map(4 * kPage);
  fill(before, 4 * kPage, 3);
  CHECK_EQ(has_flag(before, "lo"), locks);
  job.checkpoint_here();
  CHECK(is_filled(before, 4 * kPage, 3));
  CHECK_EQ(has_flag(before, "lo"), locks);
  char* after = map(4 * kPage);
  CHECK_EQ(has_flag(after, "lo"), locks);
  CHECK_EQ(munlockall(), 0);
  CHECK(!has_flag(before, "lo") && !has_flag(map(kPage), "lo"));
  munmap(before, 4 * kPage);
  munmap(after, 4 * kPage);
}

// Uses `bytes` of the stack below its caller, a piece at a time.
[[gnu::noinline]] std::size_t use_stack(std::size_t bytes) {
  constexpr std::size_t kPiece = 64 << 10;
  volatile char piece[kPiece];
  for (std::size_t i = 0; i < kPiece; i += kPage) piece[i] = 1;
  const std::size_t used = bytes > kPiece ? use_stack(bytes - kPiece) : 0;
  return used + static_cast<std::size_t>(piece[0]) * kPiece;
}

SCENARIO(main_stack_grows_as_far_as_its_limit, .ranks = 2) {
  rlimit limit{};
  getrlimit(RLIMIT_STACK, &limit);
  const std::size_t wanted = std::min<rlim_t>(limit.rlim_cur / 4 * 3, 48 << 20);
  CHECK(use_stack(wanted / 4) >= wanted / 4);
  job.checkpoint_here();
  CHECK(use_stack(wanted) >= wanted);
}

}  // namespace
