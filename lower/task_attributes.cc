// SPDX-License-Identifier: BSD-3-Clause
#include "lower/task_attributes.h"

#include <errno.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "kernel-loader/descriptor_line.h"
#include "kernel-loader/report.h"
#include "lower/stop.h"

namespace mana::lower {
namespace {

using image::Limit;
using image::ThreadAttributes;

// linux/sched/types.h, which does not go together with sched.h.
struct Scheduling {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
  uint32_t utilization_min, utilization_max;
};
static_assert(sizeof(Scheduling) == 56);  // SCHED_ATTR_SIZE_VER1 (Linux 5.3); older kernels take it, with zeroes at the end
constexpr uint32_t kDeadlinePolicy = 6;

constexpr int kThread = 1;  // IOPRIO_WHO_PROCESS; 0 is the calling one

uint32_t io_priority(pid_t tid) {
  const long got = syscall(SYS_ioprio_get, kThread, tid);
  return got < 0 ? 0 : static_cast<uint32_t>(got);
}

// What the kernel says of a thread that has none of its own: by its nice value (ioprio.h).
uint32_t io_priority_of(const Scheduling& scheduling) {
  constexpr uint32_t kRealTime = 1, kBestEffort = 2, kIdle = 3, kClassShift = 13;
  const uint32_t level = static_cast<uint32_t>(scheduling.nice + 20) / 5;
  const bool real_time = scheduling.policy == SCHED_FIFO || scheduling.policy == SCHED_RR;
  return (scheduling.policy == SCHED_IDLE ? kIdle : real_time ? kRealTime : kBestEffort) << kClassShift | level;
}

struct Launched {
  uint32_t io_priority;
  uint64_t cpus[std::size(ThreadAttributes{}.cpus)];
  Scheduling scheduling;
  rlimit limits[RLIM_NLIMITS];
} launched;

// Of open files the application has another one than the kernel's.
bool read_limit(int which, rlimit& limit) {
  if (which != RLIMIT_NOFILE) return getrlimit(static_cast<__rlimit_resource>(which), &limit) == 0;
  const loader::FileLimit files = loader::file_limit();
  limit = {files.soft, files.hard};
  return true;
}

void read_cpus(pid_t tid, uint64_t (&cpus)[std::size(launched.cpus)]) {
  std::memset(cpus, 0, sizeof cpus);
  syscall(SYS_sched_getaffinity, tid, sizeof cpus, cpus);
}

Scheduling read_scheduling(pid_t tid) {
  Scheduling scheduling{};
  syscall(SYS_sched_getattr, tid, &scheduling, sizeof scheduling, 0);
  return scheduling;
}

ThreadAttributes attributes_of(pid_t tid) {
  ThreadAttributes attributes{};
  read_cpus(tid, attributes.cpus);
  attributes.own_cpus = std::memcmp(attributes.cpus, launched.cpus, sizeof launched.cpus) != 0;
  const Scheduling now = read_scheduling(tid);
  const Scheduling& then = launched.scheduling;
  // Of an ordinary thread it is the slice (Linux 6.12), which is the machine's unless the thread has asked for one.
  const bool own_runtime = now.policy == kDeadlinePolicy || now.runtime != then.runtime;
  attributes.own_scheduling =
      now.policy != then.policy || now.nice != then.nice || now.priority != then.priority || now.flags != then.flags || own_runtime;
  attributes.own_utilization = now.utilization_min != then.utilization_min || now.utilization_max != then.utilization_max;
  attributes.utilization_min = static_cast<uint16_t>(now.utilization_min);
  attributes.utilization_max = static_cast<uint16_t>(now.utilization_max);
  attributes.policy = now.policy;
  attributes.nice = now.nice;
  attributes.flags = now.flags;
  attributes.priority = now.priority;
  attributes.runtime = own_runtime ? now.runtime : 0;
  attributes.deadline = now.deadline;
  attributes.period = now.period;
  const uint32_t priority = io_priority(tid);
  if (priority != launched.io_priority && priority != io_priority_of(now)) attributes.own_io_priority = priority | image::kHasIoPriority;
  return attributes;
}

void tell(const char* what, int error, pid_t tid) {
  loader::report("restart", loader::Error{what, error, static_cast<uint64_t>(tid)}.so("goes on as it was launched"));
}

// The kernel quietly leaves out CPUs that are not there; a thread that asked for these would share others unasked.
void restore_cpus(const ThreadAttributes& attributes, pid_t tid) {
  uint64_t before[std::size(launched.cpus)], now[std::size(launched.cpus)];
  read_cpus(tid, before);
  const long set = syscall(SYS_sched_setaffinity, tid, sizeof attributes.cpus, attributes.cpus);
  read_cpus(tid, now);
  if (set == 0 && std::memcmp(now, attributes.cpus, sizeof now) == 0) return;
  syscall(SYS_sched_setaffinity, tid, sizeof before, before);
  tell("bind a thread to the CPUs that it had chosen, which this machine does not have", set == 0 ? 0 : errno, tid);
}

void restore_scheduling(const ThreadAttributes& attributes, pid_t tid) {
  Scheduling wanted{sizeof wanted, attributes.policy, attributes.flags, attributes.nice, attributes.priority, attributes.runtime, 0, 0, 0, 0};
  if (attributes.policy == kDeadlinePolicy) {
    wanted.deadline = attributes.deadline;
    wanted.period = attributes.period;
  }
  if (syscall(SYS_sched_setattr, tid, &wanted, 0) != 0) tell("give a thread its scheduling policy or nice value again", errno, tid);
}

void restore_utilization(const ThreadAttributes& attributes, pid_t tid) {
  constexpr uint64_t kKeepPolicy = 0x08, kKeepParameters = 0x10, kClampMin = 0x20, kClampMax = 0x40;  // SCHED_FLAG_*
  Scheduling wanted{};
  wanted.size = sizeof wanted;
  wanted.flags = kKeepPolicy | kKeepParameters | kClampMin | kClampMax;
  wanted.utilization_min = attributes.utilization_min;
  wanted.utilization_max = attributes.utilization_max;
  if (syscall(SYS_sched_setattr, tid, &wanted, 0) != 0) tell("clamp a thread's utilization of a CPU (sched_setattr) again", errno, tid);
}

}  // namespace

void note_launched_attributes() {
  read_cpus(0, launched.cpus);
  launched.scheduling = read_scheduling(0);
  launched.io_priority = io_priority(0);
  for (int which = 0; which < RLIM_NLIMITS; ++which) read_limit(which, launched.limits[which]);
}

std::vector<ThreadAttributes> thread_attributes() {
  std::vector<ThreadAttributes> all;
  bool any = false;
  for (const ParkSlot* slot : parked_threads()) {
    all.push_back(attributes_of(slot->tid.load()));
    const ThreadAttributes& own = all.back();
    any = any || own.own_cpus != 0 || own.own_scheduling != 0 || own.own_utilization != 0 || own.own_io_priority != 0;
  }
  if (!any) all.clear();
  return all;
}

std::vector<Limit> own_limits() {
  std::vector<Limit> limits;
  for (int which = 0; which < RLIM_NLIMITS; ++which) {
    rlimit now{};
    if (!read_limit(which, now)) continue;
    const auto resource = static_cast<uint32_t>(which);
    const rlimit& then = launched.limits[which];
    if (now.rlim_max != then.rlim_max) limits.push_back({resource | image::kHardLimit, 0, now.rlim_max});
    // The lower half is launched with a stack limit of its own.
    if (which == RLIMIT_STACK || now.rlim_cur != then.rlim_cur) limits.push_back({resource, 0, now.rlim_cur});
  }
  return limits;
}

void restore_thread_attributes(const std::vector<ThreadAttributes>& attributes, const std::function<pid_t(int32_t)>& tid_of) {
  for (std::size_t i = 0; i < attributes.size(); ++i) {
    const pid_t tid = tid_of(static_cast<int32_t>(i));
    if (attributes[i].own_cpus != 0) restore_cpus(attributes[i], tid);
    if (attributes[i].own_scheduling != 0) restore_scheduling(attributes[i], tid);
    if (attributes[i].own_utilization != 0) restore_utilization(attributes[i], tid);
    if ((attributes[i].own_io_priority & image::kHasIoPriority) != 0 &&
        syscall(SYS_ioprio_set, kThread, tid, attributes[i].own_io_priority & ~image::kHasIoPriority) != 0)
      tell("give a thread its priority of input and output (ioprio_set) again", errno, tid);
  }
}

void restore_limits(const std::vector<Limit>& limits) {
  for (const Limit& limit : limits) {
    const uint32_t resource = limit.resource & ~image::kHardLimit;
    const bool is_hard = resource != limit.resource;
    rlimit now{};
    if (resource >= RLIM_NLIMITS || !read_limit(static_cast<int>(resource), now)) continue;
    if (is_hard) {
      now.rlim_max = limit.value;
      now.rlim_cur = std::min(now.rlim_cur, now.rlim_max);
    } else {
      now.rlim_cur = std::min<rlim_t>(limit.value, now.rlim_max);
    }
    const bool set = resource == RLIMIT_NOFILE ? loader::set_file_limit({now.rlim_cur, now.rlim_max}) == 0
                                               : setrlimit(static_cast<__rlimit_resource>(resource), &now) == 0;
    if (!set) loader::report("restart", loader::Error{"set a limit (setrlimit) again", errno, resource, limit.value}.so("it is what the launcher gave"));
  }
}

}  // namespace mana::lower
