// SPDX-License-Identifier: BSD-3-Clause
#include "lower/restore.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "kernel-loader/gate.h"
#include "kernel-loader/ids.h"
#include "kernel-loader/image_cpu.h"
#include "kernel-loader/image_placer.h"
#include "kernel-loader/image_reader.h"
#include "kernel-loader/loader.h"
#include "kernel-loader/report.h"
#include "kernel-loader/sys.h"
#include "kernel-loader/system_v.h"
#include "lower/adapter.h"
#include "lower/clocks.h"
#include "lower/descriptor_contents.h"
#include "lower/descriptor_signals.h"
#include "lower/environment.h"
#include "lower/memory_flags.h"
#include "lower/memory_policies.h"
#include "lower/memory_watch.h"
#include "lower/moved_files.h"
#include "lower/pending_signals.h"
#include "lower/posix_timers.h"
#include "lower/process_attributes.h"
#include "lower/program_environment.h"
#include "lower/protection_keys.h"
#include "lower/rank_process.h"
#include "lower/removed_directory.h"
#include "lower/restored_thread.h"
#include "lower/session.h"
#include "lower/spare_cores.h"
#include "lower/task_attributes.h"
#include "lower/threads.h"
#include "trampolines/signal_entry.h"

namespace mana::lower {
namespace {

using image::ImageFile;
using loader::Error;
using loader::Outcome;

constexpr int kFailed = 1;
constexpr std::size_t kFirstStackBytes = 16 << 10;  // of a restored thread, until it is in its frame

void complain(const std::string& where, const std::string& why) {
  std::fprintf(stderr, "mana: rank %d: restart: %s: %s\n", rank_process().options.rank, where.c_str(), why.c_str());
}

std::string image_path(int rank) {
  char name[32];
  std::snprintf(name, sizeof name, "/rank-%06d.core", rank);
  return rank_process().options.generation_directory + name;
}

// With more ranks than there were, this rank has no image: the first one knows how many there were.
bool explain_missing_rank(int ranks) {
  image::Complaint ignored;
  const auto first = ImageFile::open(image_path(0), &ignored);
  if (first == nullptr || first->header().size == ranks) return false;
  complain(rank_process().options.generation_directory, "a checkpoint of " + std::to_string(first->header().size) +
           " ranks cannot be restarted with " + std::to_string(ranks) + "; use mpirun -n " + std::to_string(first->header().size));
  return true;
}

std::unique_ptr<ImageFile> open_checked(int rank, int ranks) {
  const std::string path = image_path(rank);
  image::Complaint wrong;
  auto image = ImageFile::open(path, &wrong);
  if (image == nullptr) {
    if (!explain_missing_rank(ranks)) complain(path, wrong);
    return nullptr;
  }
  const image::ImageHeader& header = image->header();
  const std::string missing = image::missing_features(header.cpu, image::this_cpu());
  if (header.size != ranks && explain_missing_rank(ranks)) return nullptr;
  if (header.rank != rank) {
    wrong = "is the image of rank " + std::to_string(header.rank) + "; choose another generation";
  } else if (!missing.empty()) {
    wrong = "was written on a CPU with " + missing + ", which this one lacks; restart it on a machine that has it";
  } else {
    wrong = image->verify(spare_cores(ranks));
  }
  if (wrong.empty()) return image;
  complain(path, wrong);
  return nullptr;
}

Outcome restore_process_state(const ImageFile& image) {
  const image::ProcessState& state = image.process();
  const std::string directory = image.path(state.working_directory);
  if (state.directory_was_removed != 0) {
    const loader::Result<int> made = make_removed_directory(directory, state.removed_directory_mode);
    if (!made.ok()) return made.error();
    const bool entered = fchdir(made.value()) == 0;
    close(made.value());
    if (!entered) return Error{"enter a removed working directory", errno}.at(directory.c_str());
  } else if (!directory.empty() && chdir(directory.c_str()) != 0) {
    return Error{"enter the application's working directory", errno}.at(directory.c_str()).so("make it again, or mount it");
  }
  umask(state.file_mode_mask);
  return restore_process_attributes(state);
}

void restore_timers(const ImageFile& image) {
  for (int which : {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF}) {
    const auto& timer = image.process().timers[which];
    // Of a periodic timer whose signal is pending the kernel says 0: it goes on when that is taken (setitimer(2), it_real_incr).
    const int64_t left = timer.value_us == 0 && which == ITIMER_REAL ? timer.interval_us : timer.value_us;
    if (left == 0) continue;
    const itimerval value{{timer.interval_us / 1'000'000, timer.interval_us % 1'000'000}, {left / 1'000'000, left % 1'000'000}};
    setitimer(static_cast<__itimer_which_t>(which), &value, nullptr);
  }
}

// The front end of the image meets this lower half.
void connect_upper(const image::ImageHeader& header) {
  auto* upper = reinterpret_cast<UpperInterface*>(header.upper_interface);
  register_upper(upper);
  upper->control.stop.store(0);
  upper->control.intent.store(0);
  upper->control.restarts.fetch_add(1);
}

class RestoredThreads {
 public:
  RestoredThreads(const ImageFile& image, UpperInterface* upper) {
    static loader::GateState gate;
    loader::save_gate_state(gate);
    for (const image::ThreadState& state : image.threads()) {
      RestoredThread& thread = threads_.emplace_back();
      thread.state = state;
      thread.index = static_cast<int32_t>(threads_.size() - 1);
      thread.signals = image.pending_signals().data();
      thread.signal_count = image.pending_signals().size();
      thread.policy = nullptr;
      for (const image::MemoryPolicy& policy : image.memory_policies()) {
        if (policy.bytes == 0 && policy.thread == thread.index) thread.policy = &policy;
      }
      thread.go = &go_;
      thread.upper = upper;
      thread.tid.store(getpid());
      loader::take_up_thread(reinterpret_cast<void*>(state.context));
      if (gate.rseq_length != 0 && state.without_rseq == 0) {
        thread.rseq_address = state.fs + static_cast<uint64_t>(gate.rseq_offset);
        thread.rseq_bytes = gate.rseq_length;
        thread.rseq_signature = gate.rseq_signature;
      }
    }
  }

  // Makes the tasks of all but the main thread.  They wait.
  Outcome start() {
    for (RestoredThread& thread : threads_) {
      if (thread.state.is_main) continue;
      void* stack = mmap(nullptr, kFirstStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (stack == MAP_FAILED) return Error{"map a stack for a thread", errno};
      const long tid = start_restored_thread(&thread, static_cast<char*>(stack) + kFirstStackBytes);
      if (tid < 0) return Error{"make a thread again", static_cast<int>(-tid)}.so("raise the limit of processes (ulimit -u)");
      thread.tid.store(static_cast<int32_t>(tid));
      if (!loader::add_id(loader::IdKind::task, thread.state.tid, thread.tid.load(), thread.state.fs)) return Error{"keep the ids of so many threads"};
    }
    return loader::Done{};
  }

  // Every record of the image gets its thread's new id and a lower thread; records of threads that had ended become free.
  Outcome lend_to(UpperInterface* upper) {
    for (ThreadRecord* record = upper->threads.load(); record != nullptr; record = record->next) {
      const auto owner = std::find_if(threads_.begin(), threads_.end(), [&](const RestoredThread& thread) {
        return thread.state.record == reinterpret_cast<uint64_t>(record);
      });
      record->lower_fs = 0;
      record->tid.store(0);
      if (owner != threads_.end() && !lend(record, owner->tid.load())) return Error{"lend a lower thread", EAGAIN};
    }
    return loader::Done{};
  }

  pid_t tid(int32_t index) { return threads_[static_cast<std::size_t>(index)].tid.load(); }

  std::atomic<uint32_t>* go() { return &go_; }

  // nullptr: it had ended before the checkpoint.
  RestoredThread* main() {
    for (RestoredThread& thread : threads_) {
      if (thread.state.is_main) return &thread;
    }
    return nullptr;
  }

 private:
  std::deque<RestoredThread> threads_;
  std::atomic<uint32_t> go_{0};
};

// --hostname; empty: this host's own.
std::string told_host(const ImageFile& image, const loader::GateState& gate) {
  const std::string& asked = rank_process().options.host;
  if (asked != "original") return asked;
  return gate.host[0] != 0 ? gate.host : image.text(image.header().host);
}

const loader::GateState& gate_of(const ImageFile& image) {
  static loader::GateState gate;  // large
  std::memcpy(&gate, image.gate_state().data(), std::min(sizeof gate, image.gate_state().size()));
  return gate;
}

Outcome restore_environment(const ImageFile& image, const loader::GateState& gate) {
  const auto& changes = rank_process().options.environment;
  if (changes.empty()) return loader::Done{};
  const auto* upper = reinterpret_cast<const UpperInterface*>(image.header().upper_interface);
  return change_environment(upper != nullptr ? upper->environment : room_for_environment(gate), changes);
}

// From here on a fault leaves nothing to go back to, so it ends the process.
Outcome place(const ImageFile& image) {
  const bool map_file = std::getenv("MANA_RESTART_READ") == nullptr && image::mapping_is_safe(image.descriptor());
  if (Outcome held = restore_protection_keys(gate_of(image)); !held.ok()) return held;
  image::SystemVSegments segments(image);
  if (Outcome placed = image::place_image(image, map_file, segments, spare_cores(rank_process().options.ranks)); !placed.ok()) return placed.error().during("place the image");
  for (const auto& [seen, real] : segments.real_ids()) loader::add_segment(seen, real);
  if (!segments.told().empty()) complain("System V shared memory segment", segments.told());
  const loader::GateState& gate = gate_of(image);
  restore_session(image.process(), gate);
  if (Outcome restored = loader::restore_gate_state(gate); !restored.ok()) return restored.error().during("restore the gate");
  mana_signal_entry_tells_sender = 1;
  if (const std::string host = told_host(image, gate); !host.empty()) {
    if (Outcome named = loader::set_host_name(host.c_str()); !named.ok()) return named;
  }
  if (Outcome restored = restore_process_state(image); !restored.ok()) return restored;
  struct stat file {};
  if (map_file && fstat(image.descriptor(), &file) == 0) loader::memory_comes_from(file.st_ino);
  loader::keep_words(gate);
  restore_relations(gate);
  restore_memory_policies(gate, image.memory_policies());
  restore_memory_flags(image.memory_flags());
  if (Outcome changed = restore_environment(image, gate); !changed.ok()) return changed;
  return restore_descriptors(image, rank_process().options);
}

// "0007" -> 7
int64_t generation_of(const std::string& directory) {
  const std::string name = std::filesystem::path(directory).filename().string();
  return name.empty() || name.find_first_not_of("0123456789") != std::string::npos ? -1 : std::stoll(name);
}

void take_identity(const ImageFile& image) {
  rank_process().program = image.text(image.header().program);
  rank_process().arguments = image.arguments();
}

int give_up(const Error& error) {
  loader::report("restart", error);
  abort_job(kFailed);
}

// Ranks give up together, and each of them in MPI: a launcher (Hydra) may wait for ever for a rank that ends before
// MPI_Init, and the others in MPI_Init for that rank.
bool all_are_good(bool good) {
  const auto ranks = static_cast<std::size_t>(rank_process().options.ranks);
  std::vector<char> all(ranks);
  const char mine = good;
  gather_from_all(&mine, all.data(), 1);
  return std::find(all.begin(), all.end(), 0) == all.end();
}

// The kernel takes the application's signals only when its threads are in their frames, which bring their own masks.
void block_all_signals() {
  const uint64_t all = ~uint64_t{0};
  sys::rt_sigprocmask(SIG_SETMASK, &all, nullptr);
}

}  // namespace

int restart() {
  RankProcess& process = rank_process();
  std::atexit(loader::leave_robust_locks_of_all);  // first, so it is done last: other threads still run
  const auto image = open_checked(process.options.rank, process.options.ranks);
  bool good = image != nullptr;
  if (const Outcome kernel = loader::check_kernel(); !kernel.ok()) {
    loader::report("restart", kernel.error());
    good = false;
  }
  if (good) {
    image->set_moved([](const std::string& path) { return moved_path(path, rank_process().options.paths); });
    good = files_are_good(*image, process.options);
    if (good) loader::show_command(gate_of(*image));
  }
  prepare_process();

  core::Init facts{};
  facts.rank = process.options.rank;
  facts.size = process.options.ranks;
  const bool with_mpi = good ? image->header().mpi_initialized && !image->header().mpi_finalized : process.options.ranks > 1;
  if (with_mpi) {
    const int level = good ? image->header().thread_level : static_cast<int>(abi::THREAD_SINGLE);
    if (start_mpi(level, &facts) != 0) return give_up({"initialise MPI"});
    if (!is_as_launched(facts)) return give_up(not_as_launched());
    good = all_are_good(good);
  }
  if (!good) {
    finish_mpi();
    return kFailed;
  }
  const image::ImageHeader& header = image->header();
  take_identity(*image);

  const Outcome placed = place(*image);
  // Nobody runs, and writes to a file that others share, before all have cut their files (moved_files.h).
  const bool all_placed = with_mpi ? all_are_good(placed.ok()) : placed.ok();
  if (!placed.ok()) loader::report("restart", placed.error());
  if (!all_placed) {  // the rank that could not be placed has said why
    finish_mpi();
    return kFailed;
  }
  continue_clocks(header, process.options.ranks, with_mpi);
  if (const Outcome armed = arm_timer_descriptors(*image); !armed.ok()) return give_up(armed.error());
  const bool has_front_end = header.upper_interface != 0;
  if (has_front_end) connect_upper(header);
  static RestoredThreads threads(*image, with_mpi ? process.upper : nullptr);
  if (threads.main() == nullptr && has_front_end) return give_up({"the image has no main thread"});
  if (const Outcome closed = loader::install_gate(gate_hooks()); !closed.ok()) return give_up(closed.error());
  if (with_mpi) watch_memory();
  block_all_signals();
  if (const Outcome started = threads.start(); !started.ok()) return give_up(started.error());
  if (has_front_end) {
    if (const Outcome lent = threads.lend_to(process.upper); !lent.ok()) return give_up(lent.error());
  }
  start_agent(facts.rank, facts.size, facts.library_version, generation_of(process.options.generation_directory));
  const auto tid_of = [](int32_t index) { return threads.tid(index); };
  restore_thread_attributes(image->attributes(), tid_of);
  restore_limits(image->limits());
  if (const Outcome made = restore_posix_timers(image->posix_timers(), tid_of); !made.ok()) return give_up(made.error());
  restore_timers(*image);
  restore_descriptor_signals(image->descriptor_signals());
  queue_process_signals(image->pending_signals());
  lock_future_memory(image->memory_flags());
  restore_restrictions(image->process());
  if (threads.main() == nullptr) end_main_thread(threads.go());
  become_restored_thread(threads.main());
}

}  // namespace mana::lower
