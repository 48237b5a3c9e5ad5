// SPDX-License-Identifier: BSD-3-Clause
// The coverage statement of the gate: every system call that is caught when it is made from the
// arena, and under which condition.  The filter (gate_filter.cc) is built from this table; gate.cc
// does the calls.
#pragma once

#include <asm/unistd.h>
#include <fcntl.h>
#include <sys/resource.h>

#include <cstdint>

#include "kernel-loader/layout.h"
#include "kernel-loader/vdso.h"

namespace mana::loader {

enum class Catch : uint8_t {
  always,
  argument_set,     // argument `index` is not 0
  argument_equals,  // low word of argument `index` is `value`
  lower_number,     // argument `index` is a descriptor of the lower half (descriptor_line.h)
  lower_last,       // close_range: argument 1 is not below the line, or CLOSE_RANGE_UNSHARE is set
  path_may_matter,  // open, openat (from the working directory): argument `index` has flags with
                    // which the gate may have to answer; in a restarted process any flags, because
                    // the path may have an id in it (ids.h)
  argument_between,   // low word of argument `index` is in [value, last]
  argument_differs,   // argument 1 is not 0 and low word of argument `index` is not `value`
  argument_negative,  // low word of argument `index` is negative
  argument_has,       // low word of argument `index` has the bits `value`
  timed,              // low word of argument `index` is `value`, and argument `last`, a time, is not 0
  refuse,             // not caught: fails with errno `value`
};

inline constexpr uint32_t kLandlockRestrictSelf = 446;  // Linux 5.13

enum class In : uint8_t {
  any_process,
  restarted,   // ids.h, gate_futex.cc, clocks.h
  named_host,  // restarted, under the name of another host
  watched,     // a filter of its own, when the MPI library may keep memory registered (watch_memory)
};

struct CaughtCallRule {
  uint32_t number;
  Catch when = Catch::always;
  uint8_t index = 0;
  uint32_t value = 0;
  uint32_t last = 0;
  In in = In::any_process;
  uint32_t mask = 0xffffffff;  // of the argument, for argument_between and timed
};

// What the gate answers is a file that exists and is only read: the front end, which ld.so opens
// with O_CLOEXEC alone, and the program, through the link /proc/self/exe.  So whoever asks for
// one of these does not mean it.
inline constexpr uint32_t kPathDoesNotMatter = O_ACCMODE | O_CREAT | O_NOFOLLOW | O_DIRECTORY;

constexpr CaughtCallRule in_restarted(uint32_t number) {
  return {number, Catch::always, 0, 0, 0, In::restarted};
}
constexpr CaughtCallRule in_restarted_if(uint32_t number, uint8_t index, uint32_t value) {
  return {number, Catch::argument_equals, index, value, 0, In::restarted};
}

inline constexpr uint32_t kSetHomeNode = 450;  // set_mempolicy_home_node, Linux 5.17
inline constexpr uint32_t kMapShadowStack = 453;  // Linux 6.6
inline constexpr uint32_t kSealMemory = 462;   // mseal, Linux 6.10
inline constexpr uint32_t kProcessMadvise = 440;
inline constexpr uint32_t kEpollPwait2 = 441, kFutexWaitv = 449, kFutexWait = 455;  // newer than the headers we build with

// Calls that wait for a span whose rest the kernel does not tell (gate_spans.cc).  Those with milliseconds only from here on: a shorter span
// costs little when a checkpoint makes it begin anew, once, and who waits so may do it often.
inline constexpr uint32_t kLongWait = 1000;

// In ascending order of number: the filter searches by halves.  A call with several rules is caught when one of them holds; the first
// one says whether the call is caught after a restart alone (gate_ids.cc).
inline constexpr CaughtCallRule kCaughtCalls[] = {
    {__NR_open, Catch::path_may_matter, 1},
    {__NR_close, Catch::lower_number, 0},
    in_restarted(__NR_stat),
    in_restarted(__NR_lstat),
    {__NR_poll, Catch::argument_between, 2, kLongWait, INT32_MAX},
    {__NR_mmap},
    {__NR_munmap},
    {__NR_brk},
    {__NR_rt_sigaction},
    {__NR_rt_sigprocmask, Catch::argument_differs, 0, 1 /* SIG_UNBLOCK; queries have no set */},
    in_restarted_if(__NR_ioctl, 1, 0x540f /* TIOCGPGRP */),
    in_restarted_if(__NR_ioctl, 1, 0x5410 /* TIOCSPGRP */),
    in_restarted_if(__NR_ioctl, 1, 0x5429 /* TIOCGSID */),
    // FIOSETOWN, SIOCSPGRP, FIOGETOWN, SIOCGPGRP
    {__NR_ioctl, Catch::argument_between, 1, 0x8901, 0x8904, In::restarted},
    in_restarted(__NR_access),
    {__NR_mremap},
    {__NR_madvise, Catch::argument_between, 2, 10 /* MADV_DONTFORK */,
     102 /* MADV_GUARD_INSTALL */},
    {__NR_madvise, Catch::argument_between, 2, 4 /* MADV_DONTNEED */, 9 /* MADV_FREE, MADV_REMOVE */, In::watched},
    {__NR_madvise, Catch::argument_between, 2, 4 /* MADV_DONTNEED */, 9 /* MADV_FREE, MADV_REMOVE */, In::restarted},  // gate_image_memory.cc
    {__NR_shmget},
    {__NR_shmat},
    in_restarted(__NR_shmctl),
    {__NR_dup, Catch::lower_number, 0},
    {__NR_dup2},
    {__NR_nanosleep, Catch::argument_equals, 1, 0 /* no place for the rest */},
    in_restarted(__NR_getpid),
    {__NR_setsockopt, Catch::argument_between, 2, 51 /* SO_ATTACH_REUSEPORT_CBPF */, 52 /* SO_ATTACH_REUSEPORT_EBPF */},
    in_restarted_if(__NR_setsockopt, 2, 16 /* SO_PASSCRED */),
    in_restarted_if(__NR_getsockopt, 2, 17 /* SO_PEERCRED */),
    {__NR_execve},
    in_restarted(__NR_exit),
    // A group: negative, but not "any child".
    {__NR_wait4, Catch::argument_between, 0, 0x80000000, 0xfffffffe, In::restarted},
    in_restarted(__NR_kill),
    {__NR_uname, Catch::always, 0, 0, 0, In::named_host},
    {__NR_semget},
    {__NR_shmdt, Catch::always, 0, 0, 0, In::watched},
    {__NR_msgget},
    {__NR_fcntl, Catch::lower_number, 0},
    in_restarted_if(__NR_fcntl, 1, 5 /* F_GETLK */),
    in_restarted_if(__NR_fcntl, 1, 36 /* F_OFD_GETLK */),
    {__NR_fcntl, Catch::argument_equals, 1, 1026 /* F_NOTIFY */},
    // F_SETOWN, F_GETOWN; F_SETOWN_EX, F_GETOWN_EX
    {__NR_fcntl, Catch::argument_between, 1, 8, 9, In::restarted},
    {__NR_fcntl, Catch::argument_between, 1, 15, 16, In::restarted},
    in_restarted(__NR_chdir),
    {__NR_readlink},
    {__NR_getrlimit, Catch::argument_equals, 0, RLIMIT_NOFILE},
    in_restarted(__NR_sysinfo),
    in_restarted(__NR_times),
    {__NR_ptrace, Catch::argument_between, 0, 16 /* PTRACE_ATTACH */, 0x4206 /* PTRACE_SEIZE */},
    in_restarted(__NR_setpgid),
    in_restarted(__NR_getppid),
    in_restarted(__NR_getpgrp),
    in_restarted(__NR_setsid),
    in_restarted(__NR_getpgid),
    in_restarted(__NR_getsid),
    in_restarted(__NR_capget),
    in_restarted(__NR_capset),
    {__NR_rt_sigtimedwait},
    in_restarted(__NR_rt_sigqueueinfo),
    {__NR_rt_sigsuspend},
    in_restarted(__NR_getpriority),
    in_restarted(__NR_setpriority),
    in_restarted(__NR_sched_setparam),
    in_restarted(__NR_sched_getparam),
    in_restarted(__NR_sched_setscheduler),
    in_restarted(__NR_sched_getscheduler),
    in_restarted(__NR_sched_rr_get_interval),
    {__NR_mlock},
    {__NR_mlockall},
    {__NR_munlockall},
    {__NR_pivot_root},
    {__NR_prctl, Catch::argument_equals, 0, 22 /* PR_SET_SECCOMP */},
    {__NR_prctl, Catch::argument_equals, 0, 35 /* PR_SET_MM */},
    {__NR_prctl, Catch::argument_equals, 0, 59 /* PR_SET_SYSCALL_USER_DISPATCH */},
    {__NR_prctl, Catch::argument_equals, 0, 62 /* PR_SCHED_CORE */},
    {__NR_prctl, Catch::argument_equals, 0, 0x59616d61 /* PR_SET_PTRACER */},
    // No thread gets a shadow stack: as on a machine without.  It lies in memory that cannot be written to, and cannot be entered in its middle.
    {__NR_arch_prctl, Catch::argument_equals, 0, 0x5001 /* ARCH_SHSTK_ENABLE */},
    {__NR_setrlimit, Catch::argument_equals, 0, RLIMIT_NOFILE},
    {__NR_chroot},
    {__NR_iopl},
    {__NR_ioperm},
    in_restarted(__NR_gettid),
    in_restarted(__NR_tkill),
    {__NR_futex, Catch::timed, 1, 0 /* FUTEX_WAIT */, 3, In::any_process, 0xffffff7f},
    // Of the futexes those with priority inheritance: FUTEX_LOCK_PI, UNLOCK_PI, TRYLOCK_PI; WAIT_REQUEUE_PI, CMP_REQUEUE_PI, LOCK_PI2;
    // whatever FUTEX_PRIVATE_FLAG and FUTEX_CLOCK_REALTIME are.
    {__NR_futex, Catch::argument_between, 1, 6, 8, In::restarted, 0xfffffe7f},
    {__NR_futex, Catch::argument_between, 1, 11, 13, In::restarted, 0xfffffe7f},
    // FUTEX_WAIT_BITSET with a deadline that is none of the time of day.
    {__NR_futex, Catch::timed, 1, 9, 3, In::restarted, 0xffffff7f},
    in_restarted(__NR_sched_setaffinity),
    in_restarted(__NR_sched_getaffinity),
    {__NR_io_setup},
    in_restarted(__NR_set_tid_address),
    in_restarted(__NR_timer_create),
    {__NR_timer_settime, Catch::argument_has, 1, 1 /* TIMER_ABSTIME */, 0, In::restarted},
    {__NR_clock_gettime, Catch::argument_negative, 0, 0, 0, In::restarted},
    in_restarted_if(__NR_clock_gettime, 0, 1 /* CLOCK_MONOTONIC */),
    in_restarted_if(__NR_clock_gettime, 0, 4 /* CLOCK_MONOTONIC_RAW */),
    in_restarted_if(__NR_clock_gettime, 0, 6 /* CLOCK_MONOTONIC_COARSE */),
    in_restarted_if(__NR_clock_gettime, 0, 7 /* CLOCK_BOOTTIME */),
    in_restarted_if(__NR_clock_gettime, 0, 9 /* CLOCK_BOOTTIME_ALARM */),
    {__NR_clock_getres, Catch::argument_negative, 0, 0, 0, In::restarted},
    {__NR_clock_nanosleep, Catch::argument_equals, 3, 0 /* no place for the rest */},
    {__NR_clock_nanosleep, Catch::argument_negative, 0, 0, 0, In::restarted},
    {__NR_clock_nanosleep, Catch::argument_has, 1, 1 /* TIMER_ABSTIME */, 0, In::restarted},
    {__NR_exit_group},
    {__NR_epoll_wait, Catch::argument_between, 3, kLongWait, INT32_MAX},
    in_restarted(__NR_tgkill),
    {__NR_mbind},
    {__NR_set_mempolicy},
    in_restarted_if(__NR_waitid, 0, 2 /* P_PGID */),
    {__NR_add_key},
    {__NR_request_key},
    {__NR_keyctl},
    in_restarted(__NR_ioprio_set),
    in_restarted(__NR_ioprio_get),
    in_restarted(__NR_migrate_pages),
    {__NR_openat, Catch::path_may_matter, 2},
    // A path from the working directory, not a descriptor (fstat) or a name in a folder (walks through trees).
    in_restarted_if(__NR_newfstatat, 0, static_cast<uint32_t>(AT_FDCWD)),
    {__NR_readlinkat},
    in_restarted_if(__NR_faccessat, 0, static_cast<uint32_t>(AT_FDCWD)),
    {__NR_pselect6, Catch::argument_set, 5},
    {__NR_ppoll, Catch::argument_set, 3},
    {__NR_unshare},
    in_restarted(__NR_get_robust_list),
    in_restarted(__NR_move_pages),
    {__NR_epoll_pwait, Catch::argument_set, 4},
    {__NR_epoll_pwait, Catch::argument_between, 3, kLongWait, INT32_MAX},
    {__NR_signalfd},
    {__NR_timerfd_settime, Catch::argument_has, 1, 1 /* TFD_TIMER_ABSTIME */, 0, In::restarted},
    {__NR_signalfd4},
    {__NR_dup3},
    in_restarted(__NR_rt_tgsigqueueinfo),
    {__NR_prlimit64, Catch::argument_equals, 1, RLIMIT_NOFILE},
    in_restarted(__NR_prlimit64),
    {__NR_setns},
    in_restarted(__NR_process_vm_readv),
    in_restarted(__NR_process_vm_writev),
    in_restarted(__NR_kcmp),
    in_restarted(__NR_sched_setattr),
    in_restarted(__NR_sched_getattr),
    {__NR_seccomp, Catch::argument_between, 0, 0, 1 /* SECCOMP_SET_MODE_FILTER */},
    {__NR_execveat},
    {__NR_mlock2},
    {__NR_pkey_alloc},
    {__NR_pkey_free},
    in_restarted_if(__NR_statx, 0, static_cast<uint32_t>(AT_FDCWD)),
    {__NR_rseq},
    in_restarted(__NR_pidfd_open),
    // A child made with CLONE_CLEAR_SIGHAND loses our SIGSYS handler but not the filter; libcs go
    // on with clone.
    {__NR_clone3, Catch::refuse, 0, 38 /* ENOSYS */},
    {__NR_close_range, Catch::lower_last},
    {__NR_openat2},
    in_restarted_if(__NR_faccessat2, 0, static_cast<uint32_t>(AT_FDCWD)),
    // As madvise.
    {kProcessMadvise, Catch::argument_between, 3, 10 /* MADV_DONTFORK */, 102 /* MADV_GUARD_INSTALL */},
    {kProcessMadvise, Catch::argument_between, 3, 4 /* MADV_DONTNEED */, 9 /* MADV_REMOVE */, In::restarted},
    {kEpollPwait2, Catch::argument_set, 4},
    {kEpollPwait2, Catch::argument_set, 3},
    {kLandlockRestrictSelf},
    {kFutexWaitv, Catch::timed, 4, 1 /* CLOCK_MONOTONIC */, 3, In::restarted},
    {kSetHomeNode},
    {kMapShadowStack, Catch::refuse, 0, 95 /* EOPNOTSUPP */},
    {kFutexWait, Catch::timed, 5, 1 /* CLOCK_MONOTONIC */, 4, In::restarted},
    {kSealMemory},
    {static_cast<uint32_t>(kFrontEndCall)},
    {static_cast<uint32_t>(kFinishCall)},
};
inline constexpr int kCaughtCallCount = sizeof kCaughtCalls / sizeof kCaughtCalls[0];

constexpr bool caught_calls_are_sorted() {
  for (int i = 1; i < kCaughtCallCount; i++) {
    if (kCaughtCalls[i - 1].number > kCaughtCalls[i].number) return false;
  }
  return true;
}
static_assert(caught_calls_are_sorted());

}  // namespace mana::loader
