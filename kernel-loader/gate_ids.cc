// SPDX-License-Identifier: BSD-3-Clause
// Calls that take or tell ids of processes and threads (ids.h), or are otherwise caught in a restarted process only.
#include <fcntl.h>
#include <linux/sockios.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cerrno>

#include "kernel-loader/caught_calls.h"
#include "kernel-loader/clocks.h"
#include "kernel-loader/descriptor_line.h"
#include "kernel-loader/gate_data.h"
#include "kernel-loader/ids.h"
#include "kernel-loader/text.h"

namespace mana::loader {
namespace {

int32_t as_id(uint64_t argument) { return static_cast<int32_t>(argument); }
uint64_t as_argument(int32_t id) { return static_cast<uint64_t>(static_cast<int64_t>(id)); }

// Negative: a group.  -1 (everybody) and 0 (oneself, or one's group) are the same on both sides.
uint64_t translated(uint64_t argument) {
  const int32_t id = as_id(argument);
  if (id > 0) return as_argument(real_id(id));
  return id < -1 ? as_argument(-real_id(-id, IdKind::group)) : argument;
}

long told(long real, IdKind kind) { return real > 0 ? seen_id(static_cast<int32_t>(real), kind) : real; }

// A clock of a process or a thread has its id, complemented, in the number (CPUCLOCK_* of the kernel).
uint64_t translated_clock(uint64_t argument) {
  const auto clock = static_cast<int32_t>(argument);
  constexpr int32_t kKindBits = 7, kDescriptor = 3;
  if (clock >= 0 || (clock & 3) == kDescriptor) return argument;
  const int32_t id = ~(clock >> 3);
  return as_argument(static_cast<int32_t>((static_cast<uint32_t>(~real_id(id)) << 3) | static_cast<uint32_t>(clock & kKindBits)));
}

// The first `count` arguments are ids; the caller's registers stay as they were, as the kernel would leave them.
long with_real_ids(const CaughtCall& call, int count) {
  uint64_t arguments[6];
  for (int i = 0; i < 6; i++) arguments[i] = i < count ? translated(call.argument(i)) : call.argument(i);
  return sys::raw(call.number(), arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

// getpriority and its like: argument 0 says what argument 1 is.  ioprio_set and ioprio_get count from 1.
long with_real_who(const CaughtCall& call) {
  const bool counts_from_one = call.number() == __NR_ioprio_get || call.number() == __NR_ioprio_set;
  const auto which = static_cast<int>(call.argument(0)) - (counts_from_one ? 1 : 0);
  uint64_t who = call.argument(1);
  if (which == PRIO_PROCESS) who = as_argument(real_id(as_id(who)));
  if (which == PRIO_PGRP) who = as_argument(real_id(as_id(who), IdKind::group));
  return sys::raw(call.number(), call.argument(0), who, call.argument(2));
}

// The new launcher may have made the process the leader of a group or a session, of which the application knows nothing: it leads the group that
// it asks for already; and who may not make a session because of that leaves the group before, or has the session already.
bool leads_unknowingly() {
  const auto group = static_cast<int32_t>(sys::raw(__NR_getpgrp));
  return in_original_process() && group == sys::getpid() && seen_id(group, IdKind::group) != seen_id(group);
}

long do_setpgid(const CaughtCall& call) {
  const uint64_t process = translated(call.argument(0)), group = as_argument(real_id(as_id(call.argument(1)), IdKind::group));
  const int32_t self = sys::getpid();
  const auto is_self = [self](uint64_t id) { return id == 0 || as_id(id) == self; };
  if (is_self(process) && (call.argument(1) == 0 || as_id(call.argument(1)) == seen_id(self)) && leads_unknowingly()) {
    rename_id(IdKind::group, self, seen_id(self));
    return 0;
  }
  const long got = sys::raw(call.number(), process, group);
  if (got != -EPERM || !is_self(process) || !in_original_process() || sys::raw(__NR_getsid) != self) return got;
  // The leader of a session may not leave its group; natively the application leads none.  So it is told to be in the other group.
  if (seen_id(self, IdKind::session) == seen_id(self)) return got;
  rename_id(IdKind::group, self, as_id(call.argument(1)));
  return 0;
}

long do_setsid(const CaughtCall& call) {
  long got = call.pass();
  const int32_t self = sys::getpid(), seen = seen_id(self);
  if (got != -EPERM || !leads_unknowingly()) return told(got, IdKind::session);
  if (sys::raw(__NR_getsid) != self) {
    sys::raw(__NR_setpgid, 0, as_argument(static_cast<int32_t>(sys::raw(__NR_getpgid, as_argument(static_cast<int32_t>(sys::raw(__NR_getppid)))))));
    got = call.pass();
    if (sys::failed(got)) return got;
  }
  rename_id(IdKind::group, self, seen);
  rename_id(IdKind::session, self, seen);
  return seen;
}

long with_real_clock(const CaughtCall& call) {
  return sys::raw(call.number(), translated_clock(call.argument(0)), call.argument(1), call.argument(2), call.argument(3));
}

// Which thread is told of the timer is in the event.
long do_timer_create(CaughtCall& call) {
  const uint64_t clock = translated_clock(call.argument(0));
  const uint64_t at = call.argument(1);
  constexpr uint64_t kEventBytes = 64;
  struct Event {
    uint64_t value;
    int32_t signal, notify, thread;
    uint8_t rest[kEventBytes - 20];
  };
  static_assert(sizeof(Event) == kEventBytes);
  if (at == 0 || !readable_word(at) || !readable_word(at + kEventBytes - 8)) return sys::raw(call.number(), clock, at, call.argument(2));
  Event event = *sys::pointer<const Event>(at);
  if ((event.notify & SIGEV_THREAD_ID) != 0) event.thread = real_id(event.thread);
  return sys::raw(call.number(), clock, sys::bits(&event), call.argument(2));
}

long with_real_sender(CaughtCall& call) {
  const int info_argument = call.number() == __NR_rt_sigqueueinfo ? 2 : 3;
  const uint64_t at = call.argument(info_argument);
  constexpr uint64_t kInfoBytes = 48;  // the kernel looks at no more
  uint64_t info[16] = {};
  uint64_t arguments[4] = {translated(call.argument(0)), call.argument(1), call.argument(2), call.argument(3)};
  if (info_argument == 3) arguments[1] = translated(call.argument(1));
  if (readable_word(at) && readable_word(at + kInfoBytes - 8)) {
    __builtin_memcpy(info, sys::pointer<const void>(at), kInfoBytes);
    name_sender(info);
    arguments[info_argument] = sys::bits(info);
  }
  return sys::raw(call.number(), arguments[0], arguments[1], arguments[2], arguments[3]);
}

// A call that waits, and one of its arguments is an id.
uint64_t translated_argument(long number, int index, uint64_t argument) {
  if (number == __NR_clock_nanosleep) return index == 0 ? translated_clock(argument) : argument;
  if (number == __NR_wait4) return index == 0 ? translated(argument) : argument;
  return index == 1 && argument != 0 ? as_argument(real_id(as_id(argument), IdKind::group)) : argument;  // waitid(P_PGID)
}

void translate_arguments(CaughtCall& call, BlockingCall& blocking) {
  const auto number = static_cast<long>(blocking.number);
  for (int i = 0; i < 2; i++) call.set_argument(i, translated_argument(number, i, blocking.arguments[i]));
  take_up_deadline(call, blocking);
}

long wait_with_real_id(CaughtCall& call) {
  BlockingCall& blocking = call.block();
  translate_arguments(call, blocking);
  note_span(blocking);
  return 0;
}

// Whose capabilities is in a header, into which the kernel writes the version that it wants when it is another.
long do_capabilities(const CaughtCall& call) {
  const uint64_t at = call.argument(0);
  if (!readable_word(at)) return call.pass();
  struct Header {
    uint32_t version;
    int32_t id;
  };
  const Header given = *sys::pointer<const Header>(at);
  Header header{given.version, real_id(given.id)};
  const long got = sys::raw(call.number(), sys::bits(&header), call.argument(1));
  if (header.version == given.version) return got;
  return sys::failed(give_bytes(&header.version, sizeof header.version, at)) ? -EFAULT : got;
}

// Only of the peer; the other options of that number are no socket's.
long do_getsockopt(const CaughtCall& call) {
  const long got = call.pass();
  if (sys::failed(got) || call.argument(1) != SOL_SOCKET) return got;
  if (*sys::pointer<const socklen_t>(call.argument(4)) < sizeof(int32_t)) return got;
  auto* process = sys::pointer<int32_t>(call.argument(3));
  *process = seen_process(*process);
  return got;
}

}  // namespace

bool commands_ids(const CaughtCall& call) {
  const uint64_t command = call.argument(1);
  if (static_cast<int32_t>(call.argument(0)) >= first_lower_descriptor()) return false;
  return command == F_GETLK || command == F_OFD_GETLK || command == F_SETOWN || command == F_GETOWN || command == F_SETOWN_EX ||
         command == F_GETOWN_EX;
}

long do_fcntl_of_ids(CaughtCall& call) {
  const uint64_t at = call.argument(2);
  switch (call.argument(1)) {
    case F_SETOWN:
      return sys::raw(call.number(), call.argument(0), F_SETOWN, translated(at));
    case F_GETOWN: {
      const long got = call.pass();
      return sys::failed(got) || got >= 0 ? told(got, IdKind::task) : -told(-got, IdKind::group);
    }
    case F_SETOWN_EX: {
      if (!readable_word(at)) return -EFAULT;
      f_owner_ex owner = *sys::pointer<const f_owner_ex>(at);
      owner.pid = real_id(owner.pid, owner.type == F_OWNER_PGRP ? IdKind::group : IdKind::task);
      return sys::raw(call.number(), call.argument(0), F_SETOWN_EX, sys::bits(&owner));
    }
    default:
      break;
  }
  const long got = call.pass();
  if (sys::failed(got)) return got;
  if (call.argument(1) == F_GETOWN_EX) {
    auto* owner = sys::pointer<f_owner_ex>(at);
    owner->pid = seen_id(owner->pid, owner->type == F_OWNER_PGRP ? IdKind::group : IdKind::task);
  } else {  // F_GETLK, F_OFD_GETLK
    auto* lock = sys::pointer<struct flock>(at);
    if (lock->l_type != F_UNLCK) lock->l_pid = seen_process(lock->l_pid);
  }
  return got;
}

// The foreground group and the session of a terminal; the owner of a socket.
long do_ioctl_of_ids(CaughtCall& call) {
  const uint64_t at = call.argument(2);
  if (call.argument(1) == FIOSETOWN || call.argument(1) == SIOCSPGRP) {
    if (!readable_word(at & ~uint64_t{7})) return call.pass();
    const auto owner = static_cast<int32_t>(translated(static_cast<uint64_t>(static_cast<int64_t>(*sys::pointer<const int32_t>(at)))));
    return sys::raw(call.number(), call.argument(0), call.argument(1), sys::bits(&owner));
  }
  if (call.argument(1) == TIOCSPGRP) {
    if (!readable_word(at & ~uint64_t{7})) return -EFAULT;
    const int32_t group = real_id(*sys::pointer<const int32_t>(at), IdKind::group);
    BlockingCall& blocking = call.block();  // it stops a process in the background
    blocking.mask = static_cast<uint32_t>(group);
    call.set_argument(2, sys::bits(&blocking.mask));
    return 0;
  }
  const long got = call.pass();
  if (sys::failed(got)) return got;
  auto* group = sys::pointer<int32_t>(at);
  if (call.argument(1) == FIOGETOWN || call.argument(1) == SIOCGPGRP)
    *group = *group >= 0 ? seen_id(*group) : -seen_id(-*group, IdKind::group);
  else
    *group = seen_id(*group, call.argument(1) == TIOCGSID ? IdKind::session : IdKind::group);
  return got;
}

void take_up_blocking_call(CaughtCall& call, BlockingCall& blocking) {
  const auto number = static_cast<long>(blocking.number);
  if (number == __NR_rt_sigtimedwait) blocking.finish = FINISH_SUCCESS;
  if (number == __NR_sendmsg) return name_own_credentials(call, blocking);
  set_finish_of_ids(blocking);
  if (number == __NR_clock_nanosleep || number == __NR_wait4 || number == __NR_waitid) return translate_arguments(call, blocking);
  take_up_deadline(call, blocking);
}

long do_clock_nanosleep(CaughtCall& call) { return wait_with_real_id(call); }

long do_id_call(CaughtCall& call) {
  switch (call.number()) {
    case __NR_futex:
      return do_futex(call);
    case __NR_exit:
      return do_exit(call);
    case __NR_shmctl:
      return do_shmctl(call);
    case __NR_uname:
      return do_uname(call);
    case __NR_chdir:
      return do_chdir(call);
    case __NR_kcmp:
      return with_real_ids(call, 2);
    case __NR_capget:
    case __NR_capset:
      return do_capabilities(call);
    case __NR_stat:
    case __NR_lstat:
    case __NR_access:
      return do_look_at_path(call, 0);
    case __NR_newfstatat:
    case __NR_statx:
    case __NR_faccessat:
    case __NR_faccessat2:
      return do_look_at_path(call, 1);
    case __NR_wait4:
    case __NR_waitid:
      return wait_with_real_id(call);
    case __NR_ioctl:
      return do_ioctl_of_ids(call);
    case __NR_getsockopt:
      return do_getsockopt(call);
    case __NR_setsockopt:
      return do_setsockopt(call);
    case __NR_setsid:
      return do_setsid(call);
    case __NR_gettid:
      return seen_id_of_this_thread();
    case __NR_set_tid_address: {
      const long got = call.pass();
      return sys::failed(got) ? got : seen_id_of_this_thread();
    }
    case __NR_getpid:
    case __NR_getppid:
      return told(call.pass(), IdKind::task);
    case __NR_getpgrp:
      return told(call.pass(), IdKind::group);
    case __NR_getpgid:
      return told(with_real_ids(call, 1), IdKind::group);
    case __NR_getsid:
      return told(with_real_ids(call, 1), IdKind::session);
    case __NR_setpgid:
      return do_setpgid(call);
    case __NR_tgkill:
      return with_real_ids(call, 2);
    case __NR_rt_sigqueueinfo:
    case __NR_rt_tgsigqueueinfo:
      return with_real_sender(call);
    case __NR_getpriority:
    case __NR_setpriority:
    case __NR_ioprio_get:
    case __NR_ioprio_set:
      return with_real_who(call);
    case __NR_clock_gettime:
      return is_shifted(as_id(call.argument(0))) ? do_clock_call(call) : with_real_clock(call);
    case __NR_clock_getres:
      return with_real_clock(call);
    case __NR_timer_settime:
    case __NR_timerfd_settime:
    case __NR_sysinfo:
    case __NR_times:
    case kFutexWaitv:
    case kFutexWait:
      return do_clock_call(call);
    case __NR_timer_create:
      return do_timer_create(call);
    default:  // kill, tkill, rt_sigqueueinfo, sched_*, process_vm_*, pidfd_open
      return with_real_ids(call, 1);
  }
}

}  // namespace mana::loader
