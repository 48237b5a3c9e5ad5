// SPDX-License-Identifier: BSD-3-Clause
// The kernel shows without ptrace only which signals are pending, not what they carry.  So they are taken, by whom they are
// pending for, and queued again: all threads of the application are parked with all signals blocked, so nobody sees
// them missing, and none is lost: room in the queue is there, because it has just become free.
//
// A signal that is pending only because its thread is parked, and that would end or stop the process, is not saved: it
// does its work when this process goes on, but an image of it would be of no use to anybody.  (A batch system sends SIGTERM
// when the time is up, which is when checkpoints are taken.)
#include "lower/pending_signals.h"

#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "kernel-loader/gate.h"
#include "kernel-loader/ids.h"
#include "lower/stop.h"

namespace mana::lower {
namespace {

using image::PendingSignal;

constexpr uint64_t bit(int signal) { return uint64_t{1} << (signal - 1); }
// Never pending for the application: caught calls, parking.
constexpr uint64_t kOurs = bit(SIGSYS) | bit(loader::kCheckpointSignal);
// What does nothing when it is not handled.
constexpr uint64_t kHarmless = bit(SIGCHLD) | bit(SIGURG) | bit(SIGWINCH) | bit(SIGCONT);

struct Status {
  uint64_t thread = 0, process = 0;  // SigPnd, ShdPnd
  uint32_t queued = 0;               // SigQ: of this user, so no less than of this process
};

Status read_status(pid_t tid) {
  Status status;
  const std::string path = "/proc/self/task/" + std::to_string(tid) + "/status";
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "re"), std::fclose);
  if (file == nullptr) return status;
  char line[256];
  while (std::fgets(line, sizeof line, file.get()) != nullptr) {
    std::sscanf(line, "SigPnd: %" SCNx64, &status.thread);
    std::sscanf(line, "ShdPnd: %" SCNx64, &status.process);
    std::sscanf(line, "SigQ: %" SCNu32, &status.queued);
  }
  return status;
}

uint64_t blocked_by_application(const ParkSlot* slot) {
  uint64_t mask;
  std::memcpy(&mask, &reinterpret_cast<const ucontext_t*>(slot->context)->uc_sigmask, sizeof mask);
  return mask;
}

bool is_worth_saving(int signal, uint64_t blocked) {
  const bool standard_action = loader::mana_app_actions[signal].handler == 0;
  return (blocked & bit(signal)) != 0 || !standard_action || (kHarmless & bit(signal)) != 0;
}

class Room {
 public:
  Room(const Status& status, uint64_t set) {
    constexpr uint32_t kSpare = 64 + 64;  // standard signals need no place in the queue; some may come meanwhile
    infos_ = std::make_unique<uint64_t[][16]>(status.queued + kSpare);
    taken_.set = set & ~kOurs;
    taken_.room = status.queued + kSpare;
    taken_.info = infos_.get();
  }
  TakenSignals& taken() { return taken_; }
  void add_to(std::vector<PendingSignal>& all, int32_t thread, uint64_t blocked) const {
    for (uint32_t i = 0; i < taken_.count; ++i) {
      PendingSignal pending{};
      pending.thread = thread;
      pending.signal = static_cast<int32_t>(infos_[i][0]);
      std::memcpy(pending.info, infos_[i], sizeof pending.info);
      loader::tell_sender(pending.info);
      if (is_worth_saving(pending.signal, blocked)) all.push_back(pending);
    }
  }

 private:
  std::unique_ptr<uint64_t[][16]> infos_;
  TakenSignals taken_{};
};

// The kernel lets a thread queue any siginfo, such as that of kill(), only under its own id.
void queue_for_process(int signal, uint64_t* info) { syscall(SYS_rt_sigqueueinfo, gettid(), signal, info); }

void take_for_process(TakenSignals& taken) {
  const timespec no_time{};
  while (taken.count < taken.room && syscall(SYS_rt_sigtimedwait, &taken.set, taken.info[taken.count], &no_time, sizeof taken.set) > 0) {
    ++taken.count;
  }
}

}  // namespace

std::vector<PendingSignal> pending_signals() {
  std::vector<PendingSignal> all;
  const std::vector<const ParkSlot*> threads = parked_threads();
  // First those for the process: a thread that took one of its own would take one of these after it.
  const Status mine = read_status(gettid());
  Room for_process(mine, mine.process);
  take_for_process(for_process.taken());
  uint64_t blocked_by_all = ~uint64_t{0};
  for (std::size_t i = 0; i < threads.size(); ++i) {
    const Status status = read_status(threads[i]->tid.load());
    const uint64_t blocked = blocked_by_application(threads[i]);
    blocked_by_all &= blocked;
    if ((status.thread & ~kOurs) == 0) continue;
    Room room(status, status.thread);
    take_pending(threads[i], room.taken());
    room.add_to(all, static_cast<int32_t>(i), blocked);
  }
  for_process.add_to(all, -1, blocked_by_all);
  for (uint32_t i = 0; i < for_process.taken().count; ++i) {
    queue_for_process(static_cast<int>(for_process.taken().info[i][0]), for_process.taken().info[i]);
  }
  return all;
}

void queue_process_signals(const std::vector<PendingSignal>& signals) {
  for (PendingSignal signal : signals) {
    if (signal.thread >= 0) continue;
    loader::name_sender(signal.info);
    queue_for_process(signal.signal, signal.info);
  }
}

}  // namespace mana::lower
