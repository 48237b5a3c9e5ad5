// SPDX-License-Identifier: BSD-3-Clause
#include "lower/stop.h"

#include <dirent.h>
#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "kernel-loader/gate.h"
#include "kernel-loader/report.h"
#include "lower/proc_file.h"
#include "lower/threads.h"
#include "trampolines/signal_entry.h"

namespace mana::lower {
namespace {

using loader::kCheckpointSignal;

constexpr uint32_t kSlots = 1 << 16;  // a thread needs a mapping for its stack, of which a process may have as many (vm.max_map_count)
constexpr std::size_t kServiceStackBytes = 4 << 20;

std::vector<ParkSlot*> asked;  // every slot in use since the table was last cleared
uint32_t arrivals_seen = 0;

long futex(std::atomic<uint32_t>* word, int operation, uint32_t value, const timespec* timeout = nullptr) {
  return syscall(SYS_futex, word, operation, value, timeout, nullptr, 0);
}

void* map_or_die(std::size_t bytes) {
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) {
    loader::report("launch", loader::Error{"reserve memory for what is known of threads", errno, bytes}.so("raise the limits of memory (ulimit -d, ulimit -v)"));
    std::exit(70);
  }
  return at;
}

std::string task_file(pid_t tid, const char* name) {
  return "/proc/self/task/" + std::to_string(tid) + '/' + name;
}

// Fields of /proc/self/task/TID/syscall: "nr arg0..arg5 sp pc", "running", or "-1 sp pc" outside a call.
void note_blocked_call(ParkSlot* slot, pid_t tid) {
  slot->blocked_call.store(-1);
  long long call = -1;
  unsigned long long sp = 0, pc = 0;
  const std::string text = read_proc_file(task_file(tid, "syscall"));
  if (std::sscanf(text.c_str(), "%lld %*s %*s %*s %*s %*s %*s %llx %llx", &call, &sp, &pc) != 3) return;
  slot->blocked_sp = sp;
  slot->blocked_pc = pc;
  slot->blocked_call.store(call);
}

bool is_parked(const ParkSlot* slot) {
  return slot->state.load() == ParkState::parked && slot->release.load() == park_control.release.load();
}

// True when the thread is in a wrapper and has not said that it may be stopped there: the signal could only disturb it.
bool busy_in_wrapper(const ThreadRecord* record) {
  return record != nullptr && record->depth.load() > 0 && record->safe_point.load() == 0;
}

const ThreadRecord* record_of_tid(pid_t tid) {
  if (park_control.upper == nullptr) return nullptr;
  const ThreadRecord* record = park_control.upper->threads.load();
  while (record != nullptr && record->tid.load() != static_cast<uint32_t>(tid)) record = record->next;
  return record;
}

// False: as many signals of this user wait as may (RLIMIT_SIGPENDING).
bool send_signal(pid_t tid) {
  siginfo_t info{};
  info.si_signo = kCheckpointSignal;
  info.si_code = SI_QUEUE;
  info.si_pid = getpid();
  info.si_uid = getuid();
  info.si_value.sival_ptr = reinterpret_cast<void*>(kCheckpointMagic);
  const long sent = syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, kCheckpointSignal, &info);
  return sent == 0 || errno != EAGAIN;  // ESRCH: it has ended, poll_stop will see
}

// The soft limit is for what the application queues.
bool send_beyond_the_limit(pid_t tid) {
  rlimit limit{};
  getrlimit(RLIMIT_SIGPENDING, &limit);
  const rlimit raised{limit.rlim_max, limit.rlim_max};
  setrlimit(RLIMIT_SIGPENDING, &raised);
  const bool sent = send_signal(tid);
  setrlimit(RLIMIT_SIGPENDING, &limit);
  return sent;
}

// Sends the signal unless it is on its way or the thread has just parked (or is about to leave since the last resume).  False: it cannot be sent now.
bool ask(ParkSlot* slot, pid_t tid) {
  ParkState state = slot->state.load();
  if (state == ParkState::asked || state == ParkState::parked) return true;
  note_blocked_call(slot, tid);
  if (!slot->state.compare_exchange_strong(state, ParkState::asked)) return true;
  if (send_signal(tid) || send_beyond_the_limit(tid)) return true;
  ParkState mine = ParkState::asked;
  slot->state.compare_exchange_strong(mine, ParkState::none);  // again the next time
  return false;
}

// State letter of proc(5); 0: the thread has gone.
char state_of(pid_t tid) {
  const std::string text = read_proc_file(task_file(tid, "stat"));
  const auto after_name = text.rfind(')');
  return after_name != std::string::npos && after_name + 2 < text.size() ? text[after_name + 2] : '\0';
}

// A main thread that has ended by pthread_exit stays in the list of tasks as long as the process lives.
bool has_ended(pid_t tid) { return tid == getpid() && state_of(tid) == 'Z'; }

std::string where_is(const ParkSlot* slot, const ThreadRecord* record) {
  if (busy_in_wrapper(record)) return "in an MPI call";
  if (slot->blocked_call.load() >= 0) return "in system call " + std::to_string(slot->blocked_call.load());
  return "computing";
}

// Slots of threads that have ended would fill the table one day.  Nobody is parked, and while `stop` is 0 nobody adds one.
void forget_slots() {
  if (park_control.handlers.load() != 0) return;  // a late one may be looking at its slot: next time
  for (ParkSlot* slot : asked) {
    slot->tid.store(0);
    slot->state.store(ParkState::none);
    slot->listed = 0;
  }
  asked.clear();
}

void remember(ParkSlot* slot) {
  if (slot->listed++ == 0) asked.push_back(slot);
}

ParkSlot* service_slot() {
  if (const int32_t tid = park_control.service_tid.load()) return find_slot(tid);
  for (const ParkSlot* slot : parked_threads()) {  // main thread first
    if (slot->record == nullptr || slot->record->tid.load() != static_cast<uint32_t>(slot->tid.load())) continue;
    park_control.service_tid.store(slot->tid.load());
    return const_cast<ParkSlot*>(slot);
  }
  return nullptr;
}

bool hidden = false;

void show_to_itself() {
  if (prctl(PR_GET_DUMPABLE) != 0) return;
  hidden = true;
  prctl(PR_SET_DUMPABLE, 1);
}

void hide_again() {
  if (hidden) prctl(PR_SET_DUMPABLE, 0);
  hidden = false;
}

void wake(ParkSlot* slot) {
  slot->wake.fetch_add(1);
  futex(&slot->wake, FUTEX_WAKE_PRIVATE, 1);
}

}  // namespace

bool register_barrier() { return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0; }

void prepare_stopping() {
  mana_interrupted_below = leave_before_handler;
  park_control.slots = static_cast<ParkSlot*>(map_or_die(kSlots * sizeof(ParkSlot)));
  park_control.slot_count = kSlots;
  char* stack = static_cast<char*>(map_or_die(kServiceStackBytes));
  mprotect(stack, 4096, PROT_NONE);
  park_control.service_stack_top = reinterpret_cast<uint64_t>(stack + kServiceStackBytes);
}

void stop_set_upper(UpperInterface* upper) { park_control.upper = upper; }

void request_stop() {
  forget_slots();
  park_control.service_tid.store(0);
  park_control.stop.store(1);
  if (park_control.upper != nullptr) park_control.upper->control.stop.store(1);
  poll_stop();
}

std::vector<NotParked> poll_stop() {
  show_to_itself();
  arrivals_seen = park_control.arrivals.load();
  std::vector<NotParked> missing;
  for (const pid_t tid : upper_threads()) {
    ParkSlot* slot = find_or_add_slot(tid);
    if (slot == nullptr) {
      missing.push_back({tid, "one thread too many for the table"});
      continue;
    }
    remember(slot);
    if (is_parked(slot) || slot->state.load() == ParkState::foreign || has_ended(tid)) continue;
    const ThreadRecord* record = record_of_tid(tid);
    const bool can_hear = busy_in_wrapper(record) || ask(slot, tid);
    if (!is_parked(slot)) missing.push_back({tid, where_is(slot, record), can_hear});
  }
  return missing;
}

std::string out_of_reach(const NotParked& thread) {
  const pid_t tid = thread.tid;
  if (!thread.can_hear) return "beyond the limit of waiting signals (ulimit -i)";
  const char state = state_of(tid);
  if (state == 't') return "stopped by a debugger";
  if (state != 'D') return {};
  const std::string call = read_proc_file(task_file(tid, "syscall"));
  return "blocked in the kernel (system call " + call.substr(0, call.find(' ')) + ")";
}

void wait_for_parking(int milliseconds) {
  const timespec timeout{milliseconds / 1000, milliseconds % 1000 * 1000000L};
  futex(&park_control.arrivals, FUTEX_WAIT_PRIVATE, arrivals_seen, &timeout);
}

bool service(ServiceCall& call) {
  ParkSlot* slot = service_slot();
  if (slot == nullptr) return false;
  const uint32_t answered = park_control.answered.load();
  park_control.command.store(&call);
  wake(slot);
  while (park_control.answered.load() == answered) futex(&park_control.answered, FUTEX_WAIT_PRIVATE, answered);
  return true;
}

void keep_progressing(bool on) {
  ParkSlot* slot = service_slot();
  park_control.progressing.store(on && slot != nullptr);
  if (on && slot != nullptr) wake(slot);
}

void take_pending(const ParkSlot* parked, TakenSignals& taken) {
  auto* slot = const_cast<ParkSlot*>(parked);
  taken.done.store(0);
  slot->take.store(&taken);
  wake(slot);
  while (taken.done.load() == 0) futex(&taken.done, FUTEX_WAIT_PRIVATE, 0);
}

std::vector<const ParkSlot*> parked_threads() {
  std::vector<const ParkSlot*> parked;
  for (const ParkSlot* slot : asked) {
    if (is_parked(slot)) parked.push_back(slot);
  }
  for (auto& slot : parked) {
    if (slot->tid.load() == getpid()) std::swap(slot, parked.front());
  }
  return parked;
}

bool is_hidden() { return hidden; }

void resume() {
  hide_again();
  park_control.progressing.store(0);
  park_control.stop.store(0);
  if (park_control.upper != nullptr) park_control.upper->control.stop.store(0);
  park_control.release.fetch_add(1);
  for (ParkSlot* slot : asked) {
    const bool was_parked = slot->state.exchange(ParkState::none) == ParkState::parked;
    if (was_parked) wake(slot);
  }
}

}  // namespace mana::lower
