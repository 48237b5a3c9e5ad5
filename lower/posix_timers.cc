// SPDX-License-Identifier: BSD-3-Clause
#include "lower/posix_timers.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <memory>

#include "lower/stop.h"
#include "lower/threads.h"

namespace mana::lower {
namespace {

using image::PosixTimer;
using loader::Done;
using loader::Error;
using loader::Outcome;

constexpr int kRestoreIds = 77;  // PR_TIMER_CREATE_RESTORE_IDS, Linux 6.16
constexpr int32_t kProcessClock = -6, kThreadClock = -2;  // as the kernel notes CLOCK_PROCESS_CPUTIME_ID and CLOCK_THREAD_CPUTIME_ID
// Without restoring of ids they are used up one after the other until the right one comes; hence the timers are sorted.
constexpr int32_t kMostIdsUsedUp = 1 << 20;

constexpr int64_t kSecond = 1'000'000'000;
int64_t nanoseconds(const timespec& time) { return time.tv_sec * kSecond + time.tv_nsec; }
timespec time_of(int64_t nanoseconds) { return {nanoseconds / kSecond, nanoseconds % kSecond}; }

int32_t index_of(pid_t tid) {
  const std::vector<const ParkSlot*> threads = parked_threads();
  for (std::size_t i = 0; i < threads.size(); ++i) {
    if (threads[i]->tid.load() == tid) return static_cast<int32_t>(i);
  }
  return -1;
}

bool read_times(PosixTimer& timer) {
  itimerspec times{};
  if (syscall(SYS_timer_gettime, timer.id, &times) != 0) return false;
  timer.remaining_ns = nanoseconds(times.it_value);
  timer.interval_ns = nanoseconds(times.it_interval);
  return true;
}

sigevent event_of(const PosixTimer& timer, pid_t tid) {
  sigevent event{};
  event.sigev_notify = timer.notify;
  event.sigev_signo = timer.signal;
  event.sigev_value.sival_ptr = reinterpret_cast<void*>(timer.value);
  if (timer.notify == SIGEV_THREAD_ID) event._sigev_un._tid = tid;
  return event;
}

// Makes one with exactly this id.  0, or errno.
int create(const PosixTimer& timer, sigevent event, bool with_id) {
  int id = timer.id;
  if (with_id) return syscall(SYS_timer_create, timer.clock, &event, &id) == 0 ? 0 : errno;
  for (int32_t i = 0; i < kMostIdsUsedUp; ++i) {
    if (syscall(SYS_timer_create, timer.clock, &event, &id) != 0) return errno;
    if (id == timer.id) return 0;
    syscall(SYS_timer_delete, id);
    if (id > timer.id) return EBUSY;
  }
  return EBUSY;
}

}  // namespace

// Four lines a timer: "ID: 0", "signal: 14/00007ffe...", "notify: signal/pid.4711" (or "none", "thread"; "tid.4712"), "ClockID: 1".
std::vector<PosixTimer> posix_timers(std::string* error) {
  std::vector<PosixTimer> timers;
  const std::unique_ptr<FILE, int (*)(FILE*)> list(std::fopen("/proc/self/timers", "re"), std::fclose);
  if (list == nullptr) return timers;  // a kernel without CONFIG_CHECKPOINT_RESTORE or without timers
  char line[256];
  PosixTimer timer{};
  bool lower = false;
  while (std::fgets(line, sizeof line, list.get()) != nullptr) {
    char how[16], whom[4];
    int who = 0;
    if (std::sscanf(line, "ID: %" SCNd32, &timer.id) == 1) continue;
    if (std::sscanf(line, "signal: %" SCNd32 "/%" SCNx64, &timer.signal, &timer.value) == 2) continue;
    if (std::sscanf(line, "notify: %15[^/]/%3[a-z].%d", how, whom, &who) == 3) {
      const bool to_thread = std::strcmp(whom, "tid") == 0;
      timer.notify = to_thread ? SIGEV_THREAD_ID : std::strcmp(how, "none") == 0 ? SIGEV_NONE : SIGEV_SIGNAL;
      timer.thread = to_thread ? index_of(who) : -1;
      lower = to_thread && is_lower_thread(who);
      continue;
    }
    if (std::sscanf(line, "ClockID: %" SCNd32, &timer.clock) != 1 || lower) continue;
    if (timer.notify == SIGEV_THREAD_ID && timer.thread < 0) {
      *error = "timer " + std::to_string(timer.id) + " signals a thread that has ended";
    } else if (timer.clock == kThreadClock || timer.clock == CLOCK_THREAD_CPUTIME_ID || (timer.clock < 0 && timer.clock != kProcessClock)) {
      *error = "timer " + std::to_string(timer.id) + " runs on the processor time of a thread, which cannot be saved yet";
    } else if (read_times(timer)) {
      timers.push_back(timer);
    }
  }
  std::sort(timers.begin(), timers.end(), [](const PosixTimer& a, const PosixTimer& b) { return a.id < b.id; });
  return timers;
}

Outcome restore_posix_timers(const std::vector<PosixTimer>& timers, const std::function<pid_t(int32_t)>& tid_of) {
  if (timers.empty()) return Done{};
  const bool with_id = prctl(kRestoreIds, 1, 0, 0, 0) == 0;
  int failed = 0;
  const PosixTimer* at = nullptr;
  for (const PosixTimer& timer : timers) {
    at = &timer;
    failed = create(timer, event_of(timer, timer.thread < 0 ? 0 : tid_of(timer.thread)), with_id);
    if (failed != 0) break;
    const itimerspec times{time_of(timer.interval_ns), time_of(timer.remaining_ns)};
    if (syscall(SYS_timer_settime, timer.id, 0, &times, nullptr) != 0) failed = errno;
    if (failed != 0) break;
  }
  if (with_id) prctl(kRestoreIds, 0, 0, 0, 0);
  if (failed != 0) return Error{"make a timer again", failed, static_cast<uint64_t>(at->id)};
  return Done{};
}

}  // namespace mana::lower
