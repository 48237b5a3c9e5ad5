// SPDX-License-Identifier: BSD-3-Clause
// What few kernels have, and few programs ask for.  Where this one has it not, a scenario asks nothing.
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>

#include "test/scenario.h"
#include "test/scenarios/memory.h"

namespace {

using namespace mana::test;

// struct sched_attr, which does not go together with sched.h.
struct Scheduling {
  uint32_t size = sizeof(Scheduling), policy = 0;
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime = 0, deadline = 0, period = 0;
  uint32_t utilization_min = 0, utilization_max = 0;
  bool set() const { return syscall(SYS_sched_setattr, 0, this, 0) == 0; }
  static Scheduling now() {
    Scheduling got;
    syscall(SYS_sched_getattr, 0, &got, sizeof got, 0);
    return got;
  }
};

constexpr uint64_t kSlice = 7'000'000;
constexpr uint64_t kClampAlone = 0x78;  // SCHED_FLAG_KEEP_ALL, SCHED_FLAG_UTIL_CLAMP

SCENARIO(threads_keep_their_slice_and_their_utilization, .ranks = 2) {
  const Scheduling before = Scheduling::now();
  std::atomic<int> ready{0}, go{0};
  std::thread other([&] {
    Scheduling own = before;
    own.size = sizeof own;
    own.runtime = kSlice;  // Linux 6.12
    CHECK(own.set());
    own = Scheduling::now();
    own.size = sizeof own;
    own.flags = kClampAlone;
    own.utilization_min = 100;
    own.utilization_max = 900;
    own.set();
    own = Scheduling::now();
    ready = 1;
    while (go == 0) sched_yield();
    const Scheduling now = Scheduling::now();
    CHECK_EQ(now.runtime, own.runtime);
    CHECK_EQ(now.utilization_min, own.utilization_min);
    CHECK_EQ(now.utilization_max, own.utilization_max);
  });
  while (ready == 0) sched_yield();
  for (int turn = 0; turn < 2; turn++) {
    job.checkpoint_here();
    CHECK_EQ(Scheduling::now().runtime, before.runtime);
    CHECK_EQ(Scheduling::now().utilization_max, before.utilization_max);
  }
  go = 1;
  other.join();
}

SCENARIO(threads_keep_their_speculation, .ranks = 2) {
  const auto words = [] {
    std::string text;
    for (unsigned long misfeature = 0; misfeature < 3; misfeature++)
      text += std::to_string(prctl(PR_GET_SPECULATION_CTRL, misfeature, 0, 0, 0)) + " ";
    return text;
  };
  const std::string before = words();
  std::atomic<int> ready{0}, go{0};
  std::thread other([&] {
    prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_DISABLE, 0, 0);
    prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_INDIRECT_BRANCH, PR_SPEC_FORCE_DISABLE, 0, 0);
    const std::string own = words();
    ready = 1;
    while (go == 0) sched_yield();
    CHECK_EQ(words(), own);
  });
  while (ready == 0) sched_yield();
  job.checkpoint_here();
  CHECK_EQ(words(), before);
  go = 1;
  other.join();
}

SCENARIO(huge_pages_stay_for_those_who_ask, .ranks = 1) {
  constexpr unsigned long kExceptAdvised = 2;  // PR_THP_DISABLE_EXCEPT_ADVISED, Linux 6.18
  const int before = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);
  if (prctl(PR_SET_THP_DISABLE, 1, kExceptAdvised, 0, 0) != 0) return;
  job.checkpoint_here();
  CHECK_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 3);
  prctl(PR_SET_THP_DISABLE, before, 0, 0, 0);
}

// What /proc calls the mapping at `address`.
std::string name_of(const void* address) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    uint64_t begin = 0, end = 0;
    int name = 0;
    if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %*s %n", &begin, &end, &name) < 2) continue;
    const auto at = reinterpret_cast<uint64_t>(address);
    if (begin <= at && at < end) return line.substr(static_cast<std::size_t>(name));
  }
  return "nothing";
}

SCENARIO(memory_keeps_its_name, .ranks = 2) {
  constexpr std::size_t kBytes = 8 << 20, kPart = kBytes / 4;
  constexpr int kSetVma = 0x53564d41;  // PR_SET_VMA
  const auto call_it = [](char* at, const char* name) { return prctl(kSetVma, 0, at, kPart, name); };
  const auto map = [](int flags) { return static_cast<char*>(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0)); };
  char *own = map(MAP_PRIVATE), *shared = map(MAP_SHARED);
  fill(own, kBytes, 3);
  fill(shared, kBytes, 4);
  if (call_it(own, "first part") != 0) return;  // no CONFIG_ANON_VMA_NAME
  CHECK_EQ(call_it(own + 2 * kPart, "third: part"), 0);
  const bool names_shared = call_it(shared + kPart, "second part") == 0;  // Linux 6.2
  CHECK_EQ(name_of(own), "[anon:first part]");
  for (int turn = 0; turn < 2; turn++) {
    job.checkpoint_here();
    CHECK(is_filled(own, kBytes, 3) && is_filled(shared, kBytes, 4));
    CHECK_EQ(name_of(own), "[anon:first part]");
    CHECK_EQ(name_of(own + kPart), "");
    CHECK_EQ(name_of(own + 2 * kPart), "[anon:third: part]");
    CHECK_EQ(name_of(own + 3 * kPart), "");
    if (names_shared) CHECK_EQ(name_of(shared + kPart), "[anon_shmem:second part]");
  }
  munmap(own, kBytes);
  munmap(shared, kBytes);
}

// A child may trace its parent only if that has said so (Yama), unless it is root's.
SCENARIO(process_may_be_traced_as_it_has_said, .ranks = 2) {
  static volatile int word = 4711;
  const auto child_can_read = [] {
    const pid_t parent = getpid(), child = fork();
    if (child == 0) {
      int got = 0;
      iovec mine{&got, sizeof got}, there{const_cast<int*>(&word), sizeof got};
      _exit(process_vm_readv(parent, &mine, 1, &there, 1, 0) == sizeof got && got == word ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return status == 0;
  };
  const bool can_forbid = prctl(PR_SET_PTRACER, 0, 0, 0, 0) == 0 && !child_can_read();
  if (!can_forbid) return;
  job.checkpoint_here();
  CHECK(!child_can_read());
  CHECK_EQ(prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0), 0);
  CHECK(child_can_read());
  job.checkpoint_here();
  CHECK(child_can_read());
}

// A job goes on without, which a line says: nobody is told who shares a core with whom.
SCENARIO(job_on_cores_of_its_own_goes_on, .ranks = 1) {
  constexpr int kSchedCore = 62, kCreate = 1;  // PR_SCHED_CORE, PR_SCHED_CORE_CREATE
  if (prctl(kSchedCore, kCreate, 0, 1 /* the process */, 0) != 0) return;
  job.checkpoint_here();
}

// As on a machine without: it would be lost at a restart, and returns fail then.
SCENARIO(no_thread_gets_a_shadow_stack, .ranks = 1) {
  constexpr long kEnable = 0x5001, kMapShadowStack = 453;  // ARCH_SHSTK_ENABLE; map_shadow_stack
  if (job.plain()) return;
  for (int turn = 0; turn < 2; turn++) {
    CHECK(syscall(SYS_arch_prctl, kEnable, 1) != 0 && errno == EOPNOTSUPP);
    CHECK(syscall(kMapShadowStack, 0, 4096, 0) == -1 && errno == EOPNOTSUPP);
    job.checkpoint_here();
  }
}

// Some CPUs have none; some programs (node) hold one without giving it to memory.
SCENARIO(protection_keys_that_no_memory_has_stay, .ranks = 2) {
  const int free = pkey_alloc(0, 0), held = pkey_alloc(0, PKEY_DISABLE_WRITE);
  if (held >= 0) CHECK_EQ(pkey_free(free), 0);
  const auto check = [&] {
    if (held < 0) return;
    CHECK_EQ(pkey_get(held), PKEY_DISABLE_WRITE);
    const int again = pkey_alloc(0, 0);
    CHECK_EQ(again, free);
    char* page = static_cast<char*>(mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    CHECK_EQ(pkey_mprotect(page, kPage, PROT_READ | PROT_WRITE, again), 0);
    std::snprintf(page, kPage, "/proc/self/status");
    const int file = open(page, O_RDONLY);  // a caught call reads its arguments there
    CHECK(file >= 0);
    close(file);
    CHECK_EQ(pkey_mprotect(page, kPage, PROT_READ | PROT_WRITE, 0), 0);
    CHECK_EQ(munmap(page, kPage), 0);
    CHECK_EQ(pkey_free(again), 0);
  };
  check();
  job.checkpoint_here();
  check();
  job.checkpoint_here();
  check();
  if (held >= 0) CHECK_EQ(pkey_free(held), 0);
}

}  // namespace
