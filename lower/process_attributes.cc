// SPDX-License-Identifier: BSD-3-Clause
#include "lower/process_attributes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "kernel-loader/report.h"
#include "lower/descriptor_contents.h"
#include "lower/proc_file.h"
#include "lower/stop.h"

namespace mana::lower {
namespace {

constexpr int kGetExtendedStates = 0x1022, kAskForExtendedState = 0x1023;  // ARCH_GET_XCOMP_PERM, ARCH_REQ_XCOMP_PERM (Linux 5.16)
constexpr int kGetRegistrations = 1 << 9;                                  // MEMBARRIER_CMD_GET_REGISTRATIONS (Linux 6.3)

uint64_t extended_states() {
  uint64_t states = 0;
  return syscall(SYS_arch_prctl, kGetExtendedStates, &states) == 0 ? states : 0;
}

uint32_t barrier_registrations() {
  const long commands = syscall(SYS_membarrier, kGetRegistrations, 0, 0);
  return commands < 0 ? 0 : static_cast<uint32_t>(commands);
}

constexpr int kGetWriteOrExecute = 66, kSetWriteOrExecute = 65;  // PR_GET_MDWE (Linux 6.3)
constexpr int kGetMemoryMerge = 68, kSetMemoryMerge = 67;        // PR_GET_MEMORY_MERGE (Linux 6.4)

constexpr char kFilterFile[] = "/proc/self/coredump_filter";

uint32_t core_dump_filter() { return static_cast<uint32_t>(std::strtoul(read_proc_file(kFilterFile).c_str(), nullptr, 16)); }

uint32_t launched_filter = 0;

constexpr char kScoreFile[] = "/proc/self/oom_score_adj";

int32_t out_of_memory_score() { return std::atoi(read_proc_file(kScoreFile).c_str()); }

int32_t launched_score = 0;

Speculation launched_speculation;

void write_number(const char* path, int32_t number, const char* what) {
  const int file = open(path, O_WRONLY | O_CLOEXEC);
  const std::string text = std::to_string(number);
  const bool written = file >= 0 && write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (!written) loader::report("restart", loader::Error{what, errno}.at(path));
  close(file);
}

}  // namespace

void note_launched_process() {
  launched_score = out_of_memory_score();
  launched_filter = core_dump_filter();
  launched_speculation = read_speculation();
}

void read_process_attributes(image::ProcessState& state) {
  int reaps = 0;
  if (prctl(PR_GET_CHILD_SUBREAPER, &reaps, 0, 0, 0) == 0) state.child_subreaper = reaps != 0;
  state.without_huge_pages = static_cast<uint32_t>(std::max(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 0));
  state.extended_states = extended_states();
  state.barrier_registrations = barrier_registrations();
  state.out_of_memory_score = out_of_memory_score();
  state.has_out_of_memory_score = state.out_of_memory_score != launched_score;
  const uint32_t filter = core_dump_filter();
  if (filter != launched_filter) state.core_dump_filter = filter | image::kHasCoreDumpFilter;
  state.not_dumpable = is_hidden();
  state.memory_merges = prctl(kGetMemoryMerge, 0, 0, 0, 0) == 1;
  const int write_or_execute = prctl(kGetWriteOrExecute, 0, 0, 0, 0);
  if (write_or_execute > 0) state.write_or_execute = static_cast<uint32_t>(write_or_execute);
}

void note_own_speculation(const Speculation& now, image::ThreadState& state) {
  for (uint64_t i = 0; i < kMisfeatures; ++i) state.speculation[i] = now.of[i] == launched_speculation.of[i] ? 0 : now.of[i];
}

loader::Outcome restore_process_attributes(const image::ProcessState& state) {
  if (state.child_subreaper != 0) prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  // With flags since Linux 6.18 (PR_THP_DISABLE_EXCEPT_ADVISED).
  if (state.without_huge_pages != 0 && prctl(PR_SET_THP_DISABLE, 1, state.without_huge_pages & ~1u, 0, 0) != 0)
    loader::report("restart", loader::Error{"do without huge pages (PR_SET_THP_DISABLE) again", errno, state.without_huge_pages}.so("goes on with them"));
  // An ordinary user may not go below what the launcher gave.
  if (state.has_out_of_memory_score != 0) write_number(kScoreFile, state.out_of_memory_score, "set the application's score for when memory runs out");
  if ((state.core_dump_filter & image::kHasCoreDumpFilter) != 0)
    write_number(kFilterFile, static_cast<int32_t>(state.core_dump_filter & ~image::kHasCoreDumpFilter), "choose what of the memory a core dump has");
  if (state.memory_merges != 0 && prctl(kSetMemoryMerge, 1, 0, 0, 0) != 0)
    loader::report("restart", loader::Error{"ask for all memory to be merged (PR_SET_MEMORY_MERGE) again", errno}.so("goes on without"));
  // Without leave to use it the first instruction of AMX, or the return into a frame that holds its registers, is fatal.
  const uint64_t missing = state.extended_states & ~extended_states();
  for (int feature = 0; feature < 64; ++feature) {
    if ((missing >> feature & 1) == 0) continue;
    if (syscall(SYS_arch_prctl, kAskForExtendedState, feature) != 0) {
      return loader::Error{"ask for the CPU's extended state, which the application uses", errno, static_cast<uint64_t>(feature)}.so(
          "restart it on a machine of the same kind");
    }
  }
  // Each bit is the command that registers.
  const uint32_t unregistered = state.barrier_registrations & ~barrier_registrations();
  for (uint32_t command = 1; command != 0 && command <= unregistered; command <<= 1) {
    if ((unregistered & command) != 0) syscall(SYS_membarrier, command, 0, 0);
  }
  return loader::Done{};
}

void restore_restrictions(const image::ProcessState& state) {
  if (state.write_or_execute != 0 && prctl(kSetWriteOrExecute, state.write_or_execute, 0, 0, 0) != 0)
    loader::report("restart", loader::Error{"forbid memory that can be written and executed (PR_SET_MDWE) again", errno}.so("goes on without"));
  if (state.not_dumpable != 0) prctl(PR_SET_DUMPABLE, 0);
}

void restore_relations(const loader::GateState& gate) {
  const bool chose = (gate.lasting & loader::kChoseTracer) != 0, chose_one = gate.tracer != 0 && gate.tracer != PR_SET_PTRACER_ANY;
  if (chose && !chose_one) prctl(PR_SET_PTRACER, gate.tracer, 0, 0, 0);  // without Yama every process of the user may
  // That one is gone, or has another id; and the MPI library may need that all may.
  if (chose && chose_one)
    loader::report("restart", loader::Error{"let a process trace this one (PR_SET_PTRACER) again"}.so("it may no more, if this machine restricts it (Yama)"));
  if ((gate.lasting & loader::kMovedWords) != 0)
    loader::report("restart", loader::Error{"show in /proc what the application had put there (PR_SET_MM)"}.so("ps shows the words that it was launched with"));
  if ((gate.lasting & loader::kSharesCore) != 0)
    loader::report("restart", loader::Error{"schedule threads on cores of their own (PR_SCHED_CORE) again, of which nobody can read back whose they are"}.so(
                                  "they share cores with others as this machine's launcher lets them"));
}

}  // namespace mana::lower
