// SPDX-License-Identifier: BSD-3-Clause
#include "upper/env.h"

#include "upper/attribute.h"
#include "upper/errors.h"
#include "upper/front_end.h"
#include "upper/guarded.h"
#include "upper/info.h"
#include "upper/kernel.h"
#include "upper/memory.h"
#include "upper/runtime.h"
#include "upper/text.h"
#include "mpi_wrappers/upper_api.h"

namespace mana::upper {

namespace {

struct KernelTime {
  int64_t seconds, nanoseconds;
};
// The C library that the application runs with reads the clock without a system call.  Weak: any will do, or none.
extern "C" [[gnu::weak]] int library_clock(int clock, KernelTime* time) asm("clock_gettime");

constinit char processor_name[256] = "";
constinit char lower_version[512] = "";
constexpr int kMonotonic = 1;

void describe_environment(const core::Init& facts) {
  Info* info = environment_info();
  char directory[1024];
  if (kernel::call(__NR_getcwd, reinterpret_cast<long>(directory), sizeof(directory)) > 0) {
    info_put(info, "wdir", directory);
  }
  info_put(info, "arch", "x86_64");
  info_put(info, "host", facts.processor_name);
  info_put(info, "maxprocs", Text().add(facts.size).c_str());
  const char* level = facts.provided == abi::THREAD_MULTIPLE     ? "MPI_THREAD_MULTIPLE"
                      : facts.provided == abi::THREAD_SERIALIZED ? "MPI_THREAD_SERIALIZED"
                      : facts.provided == abi::THREAD_FUNNELED   ? "MPI_THREAD_FUNNELED"
                                                                 : "MPI_THREAD_SINGLE";
  info_put(info, "thread_level", level);
}

}  // namespace

void set_environment(const core::Init& facts, bool restarted) {
  copy_text(processor_name, facts.processor_name, sizeof(processor_name));
  copy_text(lower_version, facts.library_version, sizeof(lower_version));
  if (restarted) return;
  set_world_facts({facts.tag_ub, facts.host, facts.io, facts.wtime_is_global, facts.universe_size, facts.appnum});
  describe_environment(facts);
}

// CLOCK_MONOTONIC goes on over a restart (kernel-loader/clocks.h), and so does this.
double Wtime() {
  KernelTime now{};
  if (!library_clock || library_clock(kMonotonic, &now) != 0) {
    kernel::call(__NR_clock_gettime, kMonotonic, reinterpret_cast<long>(&now));
  }
  return static_cast<double>(now.seconds * 1'000'000'000 + now.nanoseconds) * 1e-9;
}

double Wtick() { return 1e-9; }

int Initialized(int* flag) {
  *flag = world.initialized;
  return abi::SUCCESS;
}
int Finalized(int* flag) {
  *flag = world.finalized;
  return abi::SUCCESS;
}
int Query_thread(int* provided) {
  *provided = upper_interface.thread_level;
  return abi::SUCCESS;
}
int Is_thread_main(int* flag) {
  *flag = mana_thread && mana_thread->is_main;
  return abi::SUCCESS;
}

int Get_version(int* version, int* subversion) {
  *version = front_end::facts.version;
  *subversion = front_end::facts.subversion;
  return abi::SUCCESS;
}

int Get_library_version(char* version, int* resultlen) {
  Text text;
  text.add(front_end::facts.library_version);
  if (lower_version[0]) {
    char first_line[256];
    int length = 0;
    while (length < 255 && lower_version[length] && lower_version[length] != '\n') ++length;
    copy_text(first_line, lower_version, static_cast<size_t>(length) + 1);
    text.add("; running on ").add(first_line);
  }
  *resultlen = copy_text(version, text.c_str(), static_cast<size_t>(front_end::facts.library_version_string));
  return abi::SUCCESS;
}

int Get_processor_name(char* name, int* resultlen) {
  *resultlen = copy_text(name, processor_name, static_cast<size_t>(front_end::facts.processor_name));
  return abi::SUCCESS;
}

// The memory is ours, so the application's malloc is never asked; it is saved like all upper memory.
int Alloc_mem(int64_t size, Info*, void** baseptr) {
  return guarded("MPI_Alloc_mem", [&]() -> int {
    if (size < 0) return abi::ERR_SIZE;
    *baseptr = try_allocate(static_cast<size_t>(size));
    return *baseptr ? abi::SUCCESS : abi::ERR_NO_MEM;
  });
}

int Free_mem(void* base) {
  return guarded("MPI_Free_mem", [&]() -> int { return deallocate(base), abi::SUCCESS; });
}

}  // namespace mana::upper
