// SPDX-License-Identifier: BSD-3-Clause
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "kernel-loader/tests/inside.h"

namespace {

constexpr size_t kPage = 4096;
constexpr uint64_t kLine = 0x2a00'0000'0000;
constexpr uint64_t kArena = 0x1600'0000'0000;
constexpr int kReadWrite = PROT_READ | PROT_WRITE;
constexpr int kPrivate = MAP_PRIVATE | MAP_ANONYMOUS;

uint64_t address(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }
void* at(uint64_t where) { return reinterpret_cast<void*>(where); }
bool below_line(const void* pointer) { return !inside::launched() || address(pointer) < kLine; }

char* map(size_t length, void* hint = nullptr, int more = 0) {
  void* got = mmap(hint, length, kReadWrite, kPrivate | more, -1, 0);
  return got == MAP_FAILED ? nullptr : static_cast<char*>(got);
}

int churn_iterations() {
  const char* asked = std::getenv("MANA_CHURN");
  return asked != nullptr ? std::atoi(asked) : 20000;
}

}  // namespace

CLAIM(mappings_lie_below_the_line) {
  for (const size_t length :
       {size_t{1}, kPage, kPage * 3 + 5, size_t{1} << 21, size_t{5} << 20, size_t{1} << 32}) {
    char* got = map(length, nullptr, MAP_NORESERVE);
    CHECK_THAT(got != nullptr);
    CHECK_THAT(below_line(got));
    if (length >= size_t{1} << 21 && inside::launched()) CHECK_EQUAL(address(got) % (1 << 21), 0);
    got[0] = 1;
    got[length - 1] = 1;
    CHECK_EQUAL(munmap(got, length), 0);
  }
}

CLAIM(hints_are_honoured_when_free) {
  const uint64_t wanted = 0x0700'0000'0000;
  char* got = map(3 * kPage, at(wanted));
  CHECK_EQUAL(address(got), wanted);
  char* second = map(kPage, at(wanted + kPage));
  CHECK_THAT(second != nullptr && address(second) != wanted + kPage);
  CHECK_THAT(below_line(second));
  if (inside::launched()) CHECK_THAT(below_line(map(kPage, at(0x7000'0000'0000))));
}

CLAIM(fixed_mappings_replace_and_noreplace_does_not) {
  char* got = map(4 * kPage);
  got[kPage] = 'x';
  CHECK_THAT(mmap(got + kPage, kPage, kReadWrite, kPrivate | MAP_FIXED_NOREPLACE, -1, 0) ==
             MAP_FAILED);
  CHECK_EQUAL(errno, EEXIST);
  CHECK_EQUAL(got[kPage], 'x');
  CHECK_THAT(mmap(got + kPage, kPage, kReadWrite, kPrivate | MAP_FIXED, -1, 0) == got + kPage);
  CHECK_EQUAL(got[kPage], 0);
  CHECK_THAT(mmap(got + 1, kPage, kReadWrite, kPrivate | MAP_FIXED, -1, 0) == MAP_FAILED);
  CHECK_EQUAL(errno, EINVAL);
  CHECK_THAT(mmap(nullptr, 0, kReadWrite, kPrivate, -1, 0) == MAP_FAILED);
  CHECK_EQUAL(errno, EINVAL);
  CHECK_THAT(mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE, -1, 0) == MAP_FAILED);
  CHECK_EQUAL(errno, EBADF);
  if (!inside::launched()) return;
  // The lower half's memory cannot be hit: here what its own libc has of it, found in the maps.
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const uint64_t low = std::stoull(line, nullptr, 16);
    if (low < 0x2a00'0000'0000 || line.find("libc") == std::string::npos) continue;
    CHECK_THAT(mmap(at(low), kPage, kReadWrite, kPrivate | MAP_FIXED, -1, 0) == MAP_FAILED);
    CHECK_THAT(munmap(at(low), kPage) != 0);
  }
}

CLAIM(map_32bit_is_honoured) {
  char* got = map(kPage, nullptr, MAP_32BIT);
  CHECK_THAT(got != nullptr && address(got) < uint64_t{1} << 31);
}

CLAIM(mremap_moves_grows_and_shrinks) {
  char* got = map(4 * kPage);
  got[0] = 'a';
  got[3 * kPage] = 'b';
  char* blocker = static_cast<char*>(
      mmap(got + 4 * kPage, kPage, PROT_NONE, kPrivate | MAP_FIXED_NOREPLACE, -1, 0));
  (void)blocker;
  CHECK_THAT(mremap(got, 4 * kPage, 8 * kPage, 0) == MAP_FAILED);
  CHECK_EQUAL(errno, ENOMEM);
  char* moved = static_cast<char*>(mremap(got, 4 * kPage, 1 << 22, MREMAP_MAYMOVE));
  CHECK_THAT(moved != MAP_FAILED && below_line(moved));
  CHECK_EQUAL(moved[0], 'a');
  CHECK_EQUAL(moved[3 * kPage], 'b');
  moved[(1 << 22) - 1] = 'c';
  CHECK_THAT(mremap(moved, 1 << 22, kPage, 0) == moved);
  char* target = map(2 * kPage);
  char* fixed =
      static_cast<char*>(mremap(moved, kPage, kPage, MREMAP_MAYMOVE | MREMAP_FIXED, target));
  CHECK_THAT(fixed == target);
  CHECK_EQUAL(fixed[0], 'a');
  char* kept =
      static_cast<char*>(mremap(fixed, kPage, kPage, MREMAP_MAYMOVE | 4 /* DONTUNMAP */, nullptr));
  CHECK_THAT(kept != MAP_FAILED && kept != fixed && below_line(kept));
  CHECK_EQUAL(kept[0], 'a');
  CHECK_EQUAL(fixed[0], 0);
  char* shared =
      static_cast<char*>(mmap(nullptr, kPage, kReadWrite, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  char* twin = static_cast<char*>(mremap(shared, 0, kPage, MREMAP_MAYMOVE));
  CHECK_THAT(twin != MAP_FAILED && twin != shared && below_line(twin));
  shared[7] = 7;
  CHECK_EQUAL(twin[7], 7);
  CHECK_THAT(mremap(at(0x1000'0000'0000), kPage, 2 * kPage, MREMAP_MAYMOVE) == MAP_FAILED);
  CHECK_EQUAL(errno, EFAULT);
}

CLAIM(the_heap_grows_and_shrinks_in_place) {
  char* start = static_cast<char*>(sbrk(0));
  CHECK_THAT(below_line(start));
  for (int i = 0; i < 100; i++) {
    char* old = static_cast<char*>(sbrk(1 << 20));
    CHECK_THAT(old == start + (static_cast<size_t>(i) << 20));
    old[(1 << 20) - 1] = 1;
  }
  CHECK_EQUAL(brk(start), 0);
  CHECK_THAT(sbrk(0) == start);
  char* again = static_cast<char*>(sbrk(kPage));
  CHECK_EQUAL(again[100], 0);
  CHECK_EQUAL(brk(start), 0);
  CHECK_THAT(brk(at(~uint64_t{0} >> 8)) != 0);
}

CLAIM(shared_segments_lie_below_the_line) {
  const int segment = shmget(IPC_PRIVATE, 3 * kPage, IPC_CREAT | 0600);
  CHECK_THAT(segment >= 0);
  char* first = static_cast<char*>(shmat(segment, nullptr, 0));
  char* second = static_cast<char*>(shmat(segment, nullptr, SHM_RDONLY));
  shmctl(segment, IPC_RMID, nullptr);
  CHECK_THAT(below_line(first) && below_line(second));
  first[2 * kPage] = 5;
  CHECK_EQUAL(second[2 * kPage], 5);
  CHECK_EQUAL(shmdt(first), 0);
  CHECK_EQUAL(shmdt(second), 0);
}

// An application that maps and unmaps for days must not walk out of the arena.
CLAIM(churn_reuses_freed_ranges) {
  constexpr int kThreads = 4;
  const int each = churn_iterations() / kThreads;
  std::atomic<uint64_t> lowest{~uint64_t{0}}, highest{0};
  const auto work = [&](unsigned seed) {
    std::mt19937 random(seed);
    struct Piece {
      char* start;
      size_t length;
    };
    std::vector<Piece> held;
    for (int i = 0; i < each; i++) {
      if (held.size() < 40 && (held.empty() || random() % 2 == 0)) {
        const size_t pages = random() % 20 == 0 ? 512 + random() % 4096 : 1 + random() % 64;
        char* got = map(pages * kPage, nullptr, MAP_NORESERVE);
        CHECK_THAT(got != nullptr);
        CHECK_EQUAL(got[0], 0);  // fresh, nobody else's
        got[0] = static_cast<char>(seed + 1);
        got[(pages - 1) * kPage + 1] = 1;
        held.push_back({got, pages * kPage});
        uint64_t seen = lowest.load();
        while (address(got) < seen && !lowest.compare_exchange_weak(seen, address(got))) {
        }
        seen = highest.load();
        while (address(got) > seen && !highest.compare_exchange_weak(seen, address(got))) {
        }
      } else {
        const size_t which = random() % held.size();
        Piece& piece = held[which];
        CHECK_EQUAL(piece.start[0], static_cast<char>(seed + 1));
        size_t first = 0;
        if (random() % 4 == 0 &&
            piece.length > 2 * kPage) {  // in three parts, the middle one first
          CHECK_EQUAL(munmap(piece.start + kPage, kPage), 0);
          CHECK_EQUAL(munmap(piece.start, kPage), 0);
          first = 2 * kPage;
        }
        CHECK_EQUAL(munmap(piece.start + first, piece.length - first), 0);
        held[which] = held.back();
        held.pop_back();
      }
    }
    for (const Piece& piece : held) CHECK_EQUAL(munmap(piece.start, piece.length), 0);
  };
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < kThreads; i++) threads.emplace_back(work, i);
  for (auto& thread : threads) thread.join();
  if (!inside::launched()) return;
  CHECK_THAT(lowest.load() >= kArena && highest.load() < kLine);
  // 160 pieces of at most 18 MiB live at a time; without reuse this would be terabytes.
  CHECK_THAT(highest.load() - lowest.load() < uint64_t{8} << 30);
}

CLAIM(forked_children_map_on_their_own) {
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop.load()) {
      char* got = map(64 * kPage);
      munmap(got, 64 * kPage);
    }
  });
  for (int i = 0; i < 50; i++) {
    const pid_t child = fork();
    if (child == 0) {
      for (int k = 0; k < 100; k++) {
        char* got = map(16 * kPage);
        if (got == nullptr || got[0] != 0 || !below_line(got)) _exit(1);
        got[0] = 1;
        if (k % 2 == 0) munmap(got, 16 * kPage);
      }
      _exit(0);
    }
    int status = -1;
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    CHECK_EQUAL(status, 0);
  }
  stop.store(true);
  other.join();
}

// What musl does at the end of a detached thread, done with glibc's thread stopped for ever on
// another stack.
CLAIM(a_thread_may_unmap_its_own_stack) {
  const size_t length = 256 * kPage;
  char* stack = map(length);
  static std::atomic<int> gone;
  gone.store(0);
  const pid_t child = fork();
  if (child == 0) {
    __asm__ volatile(
        "movq %0, %%rsp\n\t"
        "movl $11, %%eax\n\t"
        "movq %1, %%rdi\n\t"
        "movq %2, %%rsi\n\t"
        "syscall\n\t"
        "movq %%rax, %%rdi\n\t"
        "movl $60, %%eax\n\t"
        "syscall"
        :
        : "r"(stack + length - 64), "r"(stack), "r"(length)
        : "rax", "rdi", "rsi", "memory");
  }
  int status = -1;
  CHECK_EQUAL(waitpid(child, &status, 0), child);
  CHECK_EQUAL(status, 0);
  CHECK_EQUAL(munmap(stack, length), 0);
}
