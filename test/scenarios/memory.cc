// SPDX-License-Identifier: BSD-3-Clause
// Memory of every kind that mmap, madvise and mlock make.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <cinttypes>
#include <fstream>
#include <functional>
#include <memory>
#include <thread>

#include "test/scenario.h"
#include "test/scenarios/memory.h"

namespace {

using namespace mana::test;

char* map(std::size_t bytes, int protection = PROT_READ | PROT_WRITE, int more_flags = MAP_PRIVATE) {
  return static_cast<char*>(mmap(nullptr, bytes, protection, MAP_ANONYMOUS | more_flags, -1, 0));
}

char* map_at(char* place, std::size_t bytes, int protection, int flags) {
  return static_cast<char*>(mmap(place, bytes, protection, MAP_ANONYMOUS | flags, -1, 0));
}

// Whether the kernel can read there (a fault would end the test).
bool is_readable(const char* at) {
  int ends[2];
  if (pipe(ends) != 0) return false;
  const bool readable = write(ends[1], at, 1) == 1;
  close(ends[0]);
  close(ends[1]);
  return readable;
}

int in_child(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = -1;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

class File {
 public:
  explicit File(std::size_t bytes, int seed) {
    descriptor = mkstemp(path);
    std::vector<char> data(bytes);
    fill(data.data(), bytes, seed);
    if (write(descriptor, data.data(), bytes) != static_cast<ssize_t>(bytes)) perror(path);
  }
  ~File() {
    close(descriptor);
    unlink(path);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  char path[32] = "/tmp/mana-scenario-XXXXXX";
  int descriptor = -1;
};

SCENARIO(memory_kept_from_core_dumps_is_saved, .ranks = 2) {
  const std::size_t bytes = 3 << 20;
  char* secret = map(bytes);
  fill(secret, bytes, 1);
  CHECK_EQ(madvise(secret, bytes, MADV_DONTDUMP), 0);
  job.checkpoint_here();
  CHECK(is_filled(secret, bytes, 1));
  CHECK(has_flag(secret, "dd"));
  munmap(secret, bytes);
}

SCENARIO(memory_kept_from_children_is_saved_and_stays_kept, .ranks = 2) {
  const std::size_t bytes = 64 * kPage;
  char* own = map(bytes);
  char* wiped = map(bytes);
  fill(own, bytes, 2);
  fill(wiped, bytes, 3);
  CHECK_EQ(madvise(own, bytes, MADV_DONTFORK), 0);
  CHECK_EQ(madvise(wiped, bytes, MADV_WIPEONFORK), 0);
  const auto child_sees = [&] { return (is_readable(own) ? 1 : 0) + (wiped[0] != 0 || wiped[bytes - 1] != 0 ? 2 : 0); };
  CHECK_EQ(in_child(child_sees), 0);
  job.checkpoint_here();
  CHECK(is_filled(own, bytes, 2));
  CHECK(is_filled(wiped, bytes, 3));
  CHECK_EQ(in_child(child_sees), 0);
  CHECK(is_filled(wiped, bytes, 3));
  munmap(own, bytes);
  munmap(wiped, bytes);
}

SCENARIO(memory_that_the_kernel_may_drop_stays_so, .ranks = 2) {
  constexpr int kDroppable = 0x08;  // MAP_DROPPABLE
  const std::size_t bytes = 3 << 20, half = bytes / 2 / kPage * kPage;
  char* memory = map(bytes, PROT_READ | PROT_WRITE, kDroppable);
  if (memory == MAP_FAILED) return CHECK_EQ(errno, EINVAL);  // Linux 6.11
  fill(memory, bytes, 2);
  CHECK_EQ(mprotect(memory + half, bytes - half, PROT_READ), 0);
  CHECK_EQ(madvise(memory, half, MADV_DONTFORK), 0);
  for (int turn = 0; turn < 2; turn++) {
    job.checkpoint_here();
    std::vector<char> filled(bytes);
    fill(filled.data(), bytes, 2);
    for (std::size_t i = 0; i < bytes; i++) CHECK(memory[i] == filled[i] || memory[i] == 0);
    CHECK(has_flag(memory, "dp") && has_flag(memory + half, "dp") && has_flag(memory, "dc") && !has_flag(memory + half, "dc"));
    CHECK(!has_flag(memory + half, "wr"));
    CHECK_EQ(in_child([&] { return (is_readable(memory) ? 1 : 0) + (memory[half] != 0 ? 2 : 0); }), 0);
    fill(memory, half, 2);
  }
  munmap(memory, bytes);
}

// Whether the kernel gave huge pages is left to the runner (harness/surroundings.py): it may have none.
SCENARIO(memory_in_huge_pages_stays, .ranks = 2) {
  constexpr std::size_t kHuge = 2 << 20, kBytes = 4 * kHuge;
  char* room = map(kBytes + kHuge);
  char* memory = room + (-reinterpret_cast<uint64_t>(room) & (kHuge - 1));
  CHECK_EQ(madvise(memory, kBytes, MADV_HUGEPAGE), 0);
  fill(memory, kBytes, 3);
  const auto note = [&](const char* name) {
    if (const char* folder = getenv("MANA_TEST_DIR"))
      std::ofstream(folder + std::string(name) + std::to_string(job.rank)) << kilobytes_in_smaps(memory, "AnonHugePages:");
  };
  note("/huge.");
  job.checkpoint_here();
  CHECK(is_filled(memory, kBytes, 3));
  note("/huge-after.");
  CHECK(has_flag(memory, "hg"));
  fill(memory, kBytes, 4);
  job.checkpoint_here();
  CHECK(is_filled(memory, kBytes, 4));
  CHECK_EQ(munmap(room, kBytes + kHuge), 0);
}

SCENARIO(locked_memory_and_advice_stay, .ranks = 2) {
  const std::size_t bytes = 16 * kPage;
  char* locked = map(bytes);
  char* on_fault = map(bytes);
  const std::size_t large = 8 << 20;
  char* huge = map(large);
  char* small = map(large);
  fill(locked, bytes, 4);
  CHECK_EQ(mlock(locked, bytes), 0);
  CHECK_EQ(mlock2(on_fault, bytes, MLOCK_ONFAULT), 0);
  on_fault[0] = 'f';
  const bool has_huge = madvise(huge, large, MADV_HUGEPAGE) == 0;  // not on every kernel
  if (has_huge) CHECK_EQ(madvise(small, large, MADV_NOHUGEPAGE), 0);
  fill(huge, large, 5);
  small[12345] = 's';
  job.checkpoint_here();
  CHECK(is_filled(locked, bytes, 4));
  CHECK(is_filled(huge, large, 5));
  CHECK_EQ(on_fault[0], 'f');
  CHECK_EQ(small[12345], 's');
  CHECK(has_flag(locked, "lo"));
  CHECK(has_flag(on_fault, "lo"));
  if (has_huge) CHECK(has_flag(huge, "hg") && has_flag(small, "nh"));
  CHECK(!has_flag(small, "lo"));
  CHECK_EQ(munlock(locked, bytes), 0);
  CHECK_EQ(munlock(on_fault, bytes), 0);
  munmap(locked, bytes);
  munmap(on_fault, bytes);
  munmap(huge, large);
  munmap(small, large);
}

SCENARIO(guards_stay_guards_and_keep_what_is_behind_them, .ranks = 2) {
  char* stretch = map(9 * kPage);
  fill(stretch, 9 * kPage, 6);
  mprotect(stretch, kPage, PROT_NONE);
  mprotect(stretch + 4 * kPage, kPage, PROT_NONE);
  mprotect(stretch + 5 * kPage, kPage, PROT_READ);
  char* never = map(1 << 20, PROT_NONE);
  job.checkpoint_here();
  CHECK(!is_readable(stretch));
  CHECK(!is_readable(stretch + 4 * kPage));
  CHECK(!is_readable(never));
  CHECK(is_readable(stretch + 5 * kPage));
  CHECK_EQ(mprotect(stretch, 9 * kPage, PROT_READ | PROT_WRITE), 0);
  CHECK(is_filled(stretch, 9 * kPage, 6));
  CHECK_EQ(mprotect(never, 1 << 20, PROT_READ | PROT_WRITE), 0);
  CHECK_EQ(never[12345], 0);
  munmap(stretch, 9 * kPage);
  munmap(never, 1 << 20);
}

// It stays there for good: nobody can unmap it.
SCENARIO(sealed_memory_stays_sealed, .ranks = 2) {
  constexpr long kSeal = 462;  // mseal, Linux 6.10
  char* sealed = map(3 * kPage);
  fill(sealed, 3 * kPage, 8);
  mprotect(sealed + kPage, kPage, PROT_READ);
  char* never = map(kPage, PROT_NONE);
  const bool can_seal = syscall(kSeal, sealed, 2 * kPage, 0) == 0 && syscall(kSeal, never, kPage, 0) == 0;
  job.checkpoint_here();
  CHECK(is_filled(sealed, 3 * kPage, 8));
  CHECK_EQ(mprotect(sealed + 2 * kPage, kPage, PROT_READ), 0);
  if (can_seal) {
    CHECK_EQ(munmap(sealed, kPage), -1);
    CHECK_EQ(mprotect(sealed + kPage, kPage, PROT_READ | PROT_WRITE), -1);
    CHECK_EQ(errno, EPERM);
    CHECK_EQ(munmap(never, kPage), -1);
  }
  CHECK_EQ(munmap(sealed + 2 * kPage, kPage), 0);
}

SCENARIO(light_guards_stay_guards, .ranks = 2) {
  constexpr int kInstallGuard = 102, kRemoveGuard = 103;  // Linux 6.13
  char* stretch = map(64 * kPage);
  fill(stretch, 64 * kPage, 7);
  const bool has_guards = madvise(stretch + 5 * kPage, 2 * kPage, kInstallGuard) == 0;
  job.checkpoint_here();
  CHECK(is_filled(stretch, 5 * kPage, 7));
  CHECK_EQ(is_readable(stretch + 5 * kPage), !has_guards);
  CHECK_EQ(is_readable(stretch + 6 * kPage), !has_guards);
  CHECK(is_readable(stretch + 7 * kPage));
  if (has_guards) {
    CHECK_EQ(madvise(stretch + 5 * kPage, 2 * kPage, kRemoveGuard), 0);
    CHECK_EQ(stretch[5 * kPage], 0);
  }
  munmap(stretch, 64 * kPage);
}

SCENARIO(terabytes_reserved_and_hardly_touched, .ranks = 2) {
  const std::size_t bytes = std::size_t{3} << 40;
  char* reserved = map(bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE);
  char* closed = map(bytes, PROT_NONE, MAP_PRIVATE | MAP_NORESERVE);
  CHECK(reserved != MAP_FAILED);
  CHECK(closed != MAP_FAILED);
  const std::size_t apart = std::size_t{300} << 30;
  for (std::size_t at = 0; at < bytes; at += apart) fill(reserved + at, 3 * kPage, static_cast<int>(at / apart));
  CHECK_EQ(mprotect(closed + apart, 1 << 20, PROT_READ | PROT_WRITE), 0);
  fill(closed + apart, 1 << 20, 8);
  job.checkpoint_here();
  for (std::size_t at = 0; at < bytes; at += apart) CHECK(is_filled(reserved + at, 3 * kPage, static_cast<int>(at / apart)));
  CHECK_EQ(reserved[bytes - 1], 0);
  CHECK(is_filled(closed + apart, 1 << 20, 8));
  CHECK(!is_readable(closed));
  CHECK_EQ(munmap(reserved, bytes), 0);
  CHECK_EQ(munmap(closed, bytes), 0);
}

// The fixed addresses of AddressSanitizer's allocator (two generations of it) and shadow.
SCENARIO(memory_stays_where_sanitizers_want_it, .ranks = 2) {
  constexpr std::size_t kReserved = std::size_t{4} << 40, kShadow = std::size_t{14} << 40;
  constexpr int kFixed = MAP_FIXED_NOREPLACE | MAP_PRIVATE | MAP_NORESERVE;
  char* places[] = {reinterpret_cast<char*>(0x500000000000), reinterpret_cast<char*>(0x600000000000)};
  for (char* place : places) {
    CHECK(map_at(place, kReserved, PROT_NONE, kFixed) == place);
    CHECK(map_at(place + (kReserved >> 1), 40 * kPage, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE) == place + (kReserved >> 1));
    fill(place + (kReserved >> 1), 20 * kPage, 7);
  }
  char* shadow = map_at(reinterpret_cast<char*>(0x02008fff7000), kShadow, PROT_READ | PROT_WRITE, kFixed);
  CHECK(shadow == reinterpret_cast<char*>(0x02008fff7000));
  for (std::size_t at = 0; at < kShadow; at += kShadow / 64) shadow[at] = 1;
  job.checkpoint_here();
  for (char* place : places) {
    CHECK(is_filled(place + (kReserved >> 1), 20 * kPage, 7));
    CHECK(!is_readable(place));
    CHECK(mremap(place + (kReserved >> 1), 40 * kPage, 10 * kPage, 0) == place + (kReserved >> 1));
    CHECK_EQ(munmap(place, kReserved), 0);
  }
  for (std::size_t at = 0; at < kShadow; at += kShadow / 64) CHECK_EQ(static_cast<int>(shadow[at]), 1);
  CHECK_EQ(munmap(shadow, kShadow), 0);
}

SCENARIO(mapping_that_grows_down_grows_on, .ranks = 2) {
  // In the middle of free room: a mapping close below would keep it from growing.
  const std::size_t room = 16 << 20;
  char* place = map(room, PROT_NONE);
  munmap(place, room);
  char* end = place + room;
  char* top = static_cast<char*>(mmap(end - 4 * kPage, 4 * kPage, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0));
  CHECK(top == end - 4 * kPage);
  for (char* at = end - kPage; at >= end - 20 * static_cast<std::ptrdiff_t>(kPage); at -= kPage) fill(at, kPage, 9);
  CHECK(has_flag(end - kPage, "gd"));
  job.checkpoint_here();
  for (char* at = end - kPage; at >= end - 20 * static_cast<std::ptrdiff_t>(kPage); at -= kPage) CHECK(is_filled(at, kPage, 9));
  CHECK(has_flag(end - kPage, "gd"));
  for (char* at = end - 20 * kPage; at >= end - 60 * static_cast<std::ptrdiff_t>(kPage); at -= kPage) at[0] = 'g';
  CHECK_EQ(end[-60 * static_cast<std::ptrdiff_t>(kPage)], 'g');
  munmap(end - 60 * kPage, 60 * kPage);
}

SCENARIO(anonymous_memory_stays_shared_with_children, .ranks = 2) {
  const std::size_t bytes = 1 << 20;
  char* shared = map(bytes, PROT_READ | PROT_WRITE, MAP_SHARED);
  fill(shared, bytes / 2, 10);
  CHECK_EQ(in_child([&] { shared[bytes - 1] = 'c'; return 0; }), 0);  // never touched by this process
  job.checkpoint_here();
  CHECK(is_filled(shared, bytes / 2, 10));
  CHECK_EQ(shared[bytes - 1], 'c');
  CHECK_EQ(in_child([&] { shared[0] = 'd'; return shared[bytes - 1] == 'c' ? 4 : 5; }), 4);
  CHECK_EQ(shared[0], 'd');
  munmap(shared, bytes);
}

// A thread that never stops writing keeps two counters, 64 MiB apart, in step: the image holds one moment, not two.
void shared_memory_is_of_one_moment(Job& job, char* shared, std::size_t bytes) {
  fill(shared, bytes - kPage, 13);
  auto* first = reinterpret_cast<std::atomic<long>*>(shared);
  auto* last = reinterpret_cast<std::atomic<long>*>(shared + bytes - kPage);
  first->store(0);
  last->store(0);
  std::atomic<bool> end{false}, out_of_step{false};
  std::thread writer([&] {
    for (long count = first->load(); !end.load(); ++count) {
      if (first->load() != count || last->load() != count) out_of_step = true;
      first->store(count + 1);
      last->store(count + 1);
    }
  });
  while (first->load() == 0) std::this_thread::yield();
  job.checkpoint_here();
  job.checkpoint_here();
  end = true;
  writer.join();
  CHECK(!out_of_step.load());
  CHECK(is_filled(shared + kPage, bytes - 2 * kPage, 13 + static_cast<int>(kPage * 31 % 251)));
  munmap(shared, bytes);
}

SCENARIO(shared_memory_written_all_the_while_is_of_one_moment, .ranks = 2) {
  const std::size_t bytes = 64 << 20;
  shared_memory_is_of_one_moment(job, map(bytes, PROT_READ | PROT_WRITE, MAP_SHARED), bytes);
}

SCENARIO(shared_file_written_all_the_while_is_of_one_moment, .ranks = 2) {
  const std::size_t bytes = 16 << 20;
  const File file(bytes, 14);
  void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.descriptor, 0);
  shared_memory_is_of_one_moment(job, static_cast<char*>(mapped), bytes);
}

SCENARIO(shared_file_mapping_stays_the_file, .ranks = 2) {
  const File file(5 * kPage, 11);
  char* mapped = static_cast<char*>(mmap(nullptr, 5 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file.descriptor, 0));
  char* second = static_cast<char*>(mmap(nullptr, kPage, PROT_READ, MAP_SHARED, file.descriptor, 2 * kPage));
  mapped[2 * kPage] = 'm';
  job.checkpoint_here();
  CHECK_EQ(mapped[2 * kPage], 'm');
  CHECK_EQ(second[0], 'm');
  CHECK(is_filled(mapped, 2 * kPage, 11));
  mapped[2 * kPage] = 'n';
  char got = 0;
  CHECK_EQ(pread(file.descriptor, &got, 1, 2 * kPage), 1);
  CHECK_EQ(got, 'n');
  CHECK_EQ(second[0], 'n');
  got = 'o';
  CHECK_EQ(pwrite(file.descriptor, &got, 1, 2 * kPage + 1), 1);
  CHECK_EQ(mapped[2 * kPage + 1], 'o');
  CHECK_EQ(mprotect(second, kPage, PROT_READ | PROT_WRITE), 0);  // the file is open for writing
  second[2] = 'p';
  CHECK_EQ(mapped[2 * kPage + 2], 'p');
  munmap(mapped, 5 * kPage);
  munmap(second, kPage);
}

SCENARIO(private_file_mapping_keeps_what_was_seen, .ranks = 2) {
  auto file = std::make_unique<File>(5 * kPage + 100, 12);
  char* changed = static_cast<char*>(mmap(nullptr, 6 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, file->descriptor, 0));
  char* read_only = static_cast<char*>(mmap(nullptr, 5 * kPage, PROT_READ, MAP_PRIVATE, file->descriptor, 0));
  changed[kPage] = 'q';
  CHECK(is_filled(read_only, 5 * kPage, 12));
  job.checkpoint_here();
  CHECK_EQ(changed[kPage], 'q');
  CHECK(is_filled(changed, kPage, 12));
  CHECK(is_filled(read_only, 5 * kPage, 12));
  CHECK_EQ(changed[5 * kPage + 100], 0);
  char got = 0;
  CHECK_EQ(pread(file->descriptor, &got, 1, kPage), 1);
  CHECK_EQ(got, static_cast<char>((kPage * 31 + 12) % 251 + 1));  // nothing of it reached the file
  file.reset();
  changed[0] = 'r';
  CHECK_EQ(mprotect(read_only, kPage, PROT_READ | PROT_WRITE), 0);
  read_only[1] = 's';
  munmap(changed, 6 * kPage);
  munmap(read_only, 5 * kPage);
}

SCENARIO(break_moves_on_from_where_it_was, .ranks = 2) {
  char* old = static_cast<char*>(sbrk(10 * kPage));
  if (old == reinterpret_cast<char*>(-1)) return job.checkpoint_here();  // malloc has no break here either
  fill(old, 10 * kPage, 13);
  char* before = static_cast<char*>(sbrk(0));
  job.checkpoint_here();
  CHECK_EQ(sbrk(0), static_cast<void*>(before));
  CHECK(is_filled(old, 10 * kPage, 13));
  char* more = static_cast<char*>(sbrk(100 * kPage));
  CHECK_EQ(static_cast<void*>(more), static_cast<void*>(before));
  CHECK_EQ(more[50 * kPage], 0);
  fill(more, 100 * kPage, 14);
  CHECK(is_filled(more, 100 * kPage, 14));
  CHECK_EQ(sbrk(-110 * static_cast<std::ptrdiff_t>(kPage)), static_cast<void*>(before + 100 * kPage));
}

// mov eax, value; ret
void write_function(char* at, int value) {
  at[0] = static_cast<char>(0xb8);
  memcpy(at + 1, &value, sizeof value);
  at[5] = static_cast<char>(0xc3);
}
int call(const char* at) {
  int (*function)();
  memcpy(&function, &at, sizeof at);
  return function();
}

SCENARIO(code_made_at_run_time_runs_on, .ranks = 2) {
  char* open_code = map(2 * kPage, PROT_READ | PROT_WRITE | PROT_EXEC);
  char* sealed = map(2 * kPage);
  write_function(open_code, 1234);
  write_function(sealed + kPage - 3, 4321);
  CHECK_EQ(mprotect(sealed, 2 * kPage, PROT_READ | PROT_EXEC), 0);
  CHECK_EQ(call(open_code) + call(sealed + kPage - 3), 5555);
  job.checkpoint_here();
  CHECK_EQ(call(open_code), 1234);
  CHECK_EQ(call(sealed + kPage - 3), 4321);
  write_function(open_code, 77);
  CHECK_EQ(call(open_code), 77);
  CHECK_EQ(mprotect(sealed, 2 * kPage, PROT_READ | PROT_WRITE), 0);
  write_function(sealed + kPage - 3, 78);
  CHECK_EQ(mprotect(sealed, 2 * kPage, PROT_READ | PROT_EXEC), 0);
  CHECK_EQ(call(sealed + kPage - 3), 78);
  munmap(open_code, 2 * kPage);
  munmap(sealed, 2 * kPage);
}

SCENARIO(mappings_move_and_grow_after, .ranks = 2) {
  const std::size_t bytes = 6 << 20;
  char* first = map(bytes);
  fill(first, bytes, 15);
  char* grown = static_cast<char*>(mremap(first, bytes, 2 * bytes, MREMAP_MAYMOVE));
  CHECK(grown != MAP_FAILED);
  job.checkpoint_here();
  CHECK(is_filled(grown, bytes, 15));
  CHECK_EQ(grown[2 * bytes - 1], 0);
  char* moved = static_cast<char*>(mremap(grown, bytes, 3 * bytes, MREMAP_MAYMOVE));
  CHECK(moved != MAP_FAILED);
  if (moved != MAP_FAILED) {
    CHECK(is_filled(moved, bytes, 15));
    CHECK_EQ(moved[3 * bytes - 1], 0);
    munmap(moved, 3 * bytes);
  }
  munmap(grown + bytes, bytes);
}

}  // namespace
