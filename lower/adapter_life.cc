// SPDX-License-Identifier: BSD-3-Clause
// MPI_Init, what the adapter sets up behind it, and the end.
#include <mpi.h>
#include <sched.h>

#include <cstdint>
#include <cstdlib>

#include "control/launcher_end.h"
#include "lower/adapter.h"
#include "lower/adapter_convert.h"
#include "lower/adapter_state.h"
#include "lower/adapter_wait.h"
#include "lower/children.h"
#include "lower/core_functions.h"

namespace mana::lower {
namespace {

constexpr std::atomic<uint32_t> kNoIntent{0};
// Turns of a wait that go without giving the core away although ranks share it: some ten
// microseconds, about what a message takes that another core is sending.
constexpr int kTurnsWhenShared = 100;

void (*before_hook)();
void (*joined_hook)(const core::Init& facts);
core::Init facts_of_start;  // size 0: MPI is not initialised
std::atomic<bool> finalizing;

}  // namespace

AdapterState adapter_state;
Waiting waiting{&kNoIntent, INT_MAX};

const char* mpi_name() {
#if defined(MPICH_VERSION)
  return "mpich";
#else
  return "openmpi";
#endif
}

void set_intent_word(const std::atomic<uint32_t>* word) { waiting.intent = word; }
void on_init(void (*before)(), void (*joined)(const core::Init& facts)) {
  before_hook = before;
  joined_hook = joined;
}

namespace {

// Whether the ranks of this host are more than the cores that they, together, may use.  Asked of
// all of them, because a launcher that binds gives each rank a set of its own.
bool cores_are_shared() {
  MPI_Comm host;
  if (MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host) !=
      MPI_SUCCESS)
    return false;
  int ranks = 1;
  MPI_Comm_size(host, &ranks);
  cpu_set_t mine, all;
  CPU_ZERO(&mine);
  const bool known = sched_getaffinity(0, sizeof mine, &mine) == 0;
  const int code = MPI_Allreduce(&mine, &all, sizeof mine, MPI_BYTE, MPI_BOR, host);
  MPI_Comm_free(&host);
  return known && code == MPI_SUCCESS && ranks > CPU_COUNT(&all);
}

// Two sends that are pending at the same time and have the same request share a constant one (Open
// MPI's ompi_request_empty, MPICH's builtin request of a send).
MPI_Request find_complete_send() {
  MPI_Request first, second;
  if (MPI_Isend(nullptr, 0, MPI_BYTE, MPI_PROC_NULL, 0, adapter_state.private_comm, &first) !=
      MPI_SUCCESS) {
    return MPI_REQUEST_NULL;
  }
  MPI_Request found = MPI_REQUEST_NULL;
  if (MPI_Isend(nullptr, 0, MPI_BYTE, MPI_PROC_NULL, 0, adapter_state.private_comm, &second) ==
      MPI_SUCCESS) {
    if (first == second) found = first;
    MPI_Wait(&second, MPI_STATUS_IGNORE);
  }
  MPI_Wait(&first, MPI_STATUS_IGNORE);
  return found;
}

int32_t world_attribute(int keyval, int32_t otherwise) {
  void* value = nullptr;
  int flag = 0;
  if (MPI_Comm_get_attr(MPI_COMM_WORLD, keyval, &value, &flag) != MPI_SUCCESS || !flag)
    return otherwise;
  return *static_cast<int*>(value);
}

bool started_by_launcher() {
#if defined(MPICH_VERSION)
  return std::getenv("PMI_FD") != nullptr || std::getenv("PMI_PORT") != nullptr ||
         std::getenv("PMIX_RANK") != nullptr;
#else
  return true;
#endif
}

// One line without its end: library versions are printed in reports and manifests.
void copy_line(char* to, std::size_t room, const char* from, int length) {
  std::size_t used = 0;
  for (int i = 0; i < length && used + 1 < room && from[i] != '\0' && from[i] != '\n'; ++i) {
    to[used++] = from[i] == '\t' ? ' ' : from[i];
  }
  to[used] = '\0';
}

void collect_facts(core::Init* facts) {
  MPI_Comm_rank(MPI_COMM_WORLD, &facts->rank);
  MPI_Comm_size(MPI_COMM_WORLD, &facts->size);
  facts->tag_ub = world_attribute(MPI_TAG_UB, 32767);
  facts->wtime_is_global = world_attribute(MPI_WTIME_IS_GLOBAL, 0);
  // A process of MPICH that no launcher started would have to start one (mpiexec) to answer this.
  facts->universe_size = started_by_launcher() ? world_attribute(MPI_UNIVERSE_SIZE, -1) : -1;
  facts->appnum = world_attribute(MPI_APPNUM, -1);
  facts->host = neutral_rank(world_attribute(MPI_HOST, MPI_PROC_NULL));
  facts->io = neutral_rank(world_attribute(MPI_IO, MPI_ANY_SOURCE));
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  if (MPI_Get_processor_name(text, &length) != MPI_SUCCESS) length = 0;
  copy_line(facts->processor_name, sizeof facts->processor_name, text, length);
  if (MPI_Get_library_version(text, &length) != MPI_SUCCESS) length = 0;
  copy_line(facts->library_version, sizeof facts->library_version, text, length);
}

}  // namespace

int start_mpi(int thread_level, core::Init* facts) {
  int provided = MPI_THREAD_SINGLE;
  int code;
  {
    const LowerChildren daemons;  // a process that no launcher started may start one
    code = MPI_Init_thread(nullptr, nullptr, to_native(kThreadLevels, thread_level), &provided);
  }
  if (code != MPI_SUCCESS) return abi::ERR_OTHER;
  facts->provided = to_neutral(kThreadLevels, provided);
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN);
  MPI_File_set_errhandler(MPI_FILE_NULL,
                          MPI_ERRORS_RETURN);  // the default of files yet to be opened
  code = MPI_Comm_dup(MPI_COMM_WORLD, &adapter_state.private_comm);
  if (code == MPI_SUCCESS) code = MPI_Comm_group(MPI_COMM_WORLD, &adapter_state.world_group);
  if (code != MPI_SUCCESS) return class_of_failure(code);
  adapter_state.complete_send = find_complete_send();
  collect_facts(facts);
  waiting.turns_before_yield = cores_are_shared() ? kTurnsWhenShared : INT_MAX;
  facts_of_start = *facts;
  return 0;
}

void gather_from_all(const void* mine, void* all, std::size_t bytes) {
  MPI_Allgather(mine, static_cast<int>(bytes), MPI_BYTE, all, static_cast<int>(bytes), MPI_BYTE,
                adapter_state.private_comm);
}

void finish_mpi() {
  int initialized = 0, finalized = 0;
  MPI_Initialized(&initialized);
  MPI_Finalized(&finalized);
  if (!initialized || finalized) return;
  if (adapter_state.world_group != MPI_GROUP_NULL) MPI_Group_free(&adapter_state.world_group);
  if (adapter_state.private_comm != MPI_COMM_NULL) MPI_Comm_free(&adapter_state.private_comm);
  finalizing = true;
  MPI_Finalize();
  finalizing = false;
}

bool is_finalizing() { return finalizing; }

void abort_job(int code) {
  int initialized = 0, finalized = 0;
  MPI_Initialized(&initialized);
  MPI_Finalized(&finalized);
  if (initialized && !finalized) MPI_Abort(MPI_COMM_WORLD, code);
  if (!initialized) control::end_job_at_launcher(code);
  std::exit(code);
}

// At a restart MPI has been initialised before there was an upper half to ask for it: the upper
// half, which asks again for the facts of this lower half, gets them.
int init(void* arguments) {
  auto* a = static_cast<core::Init*>(arguments);
  if (facts_of_start.size != 0) {
    const int32_t required = a->required;
    *a = facts_of_start;
    a->required = required;
    return 0;
  }
  if (before_hook != nullptr) before_hook();
  const int error = start_mpi(a->required, a);
  if (error == 0 && joined_hook != nullptr) joined_hook(*a);
  return error;
}

int finalize(void*) {
  finish_mpi();
  return 0;
}

int abort(void* arguments) {
  auto* a = static_cast<core::Abort*>(arguments);
  const MPI_Comm comm = a->comm ? native_comm(a->comm) : MPI_COMM_WORLD;
  return neutral_error(MPI_Abort(comm, a->code));
}

}  // namespace mana::lower
