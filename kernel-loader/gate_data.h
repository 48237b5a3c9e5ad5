// SPDX-License-Identifier: BSD-3-Clause
// What the gate's files share: the frame of a caught call, the live state, and the emulations by
// name.  Private to kernel-loader.  Everything here runs in the SIGSYS handler: upper %fs, signals
// blocked, possibly on a small alternate stack (keep frames under 2 KiB).
#pragma once

#include <signal.h>
#include <ucontext.h>

#include <cstdint>

#include "kernel-loader/fork_local.h"
#include "kernel-loader/gate.h"
#include "kernel-loader/maps.h"
#include "kernel-loader/sys.h"
#include "kernel-loader/vdso.h"

namespace mana::loader {

GateState& live_state();
const GateHooks& gate_hooks();

inline constexpr int kSigSys = 31;
// Never blocked and never installed for the application: SIGSYS and the checkpoint signal.
inline constexpr uint64_t kOurSignals =
    (uint64_t{1} << (kSigSys - 1)) | (uint64_t{1} << (kCheckpointSignal - 1));

// What a waiting thread keeps on its stack.
struct WaitRoom {
  static constexpr int kWords = 40;
  BlockingCall blocking;
  uint64_t words[kWords];  // the head of a message and its control data (gate_credentials.cc)
};

// The registers of the thread that made the call.
class CaughtCall {
 public:
  CaughtCall(long number, ucontext_t* context, WaitRoom* spare)
      : number_(number), context_(context), spare_(spare) {}

  long number() const { return number_; }
  uint64_t argument(int i) const {
    static constexpr int kRegister[6] = {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9};
    return reg(kRegister[i]);
  }
  uint64_t reg(int which) const {
    return static_cast<uint64_t>(context_->uc_mcontext.gregs[which]);
  }
  void set_reg(int which, uint64_t value) {
    context_->uc_mcontext.gregs[which] = static_cast<greg_t>(value);
  }
  uint64_t stack_pointer() const { return reg(REG_RSP); }
  // The mask that the thread gets back when the handler returns.
  uint64_t mask() const { return *reinterpret_cast<const uint64_t*>(&context_->uc_sigmask); }
  void set_mask(uint64_t mask) { *reinterpret_cast<uint64_t*>(&context_->uc_sigmask) = mask; }
  ucontext_t* context() const { return context_; }

  // The call as it is, here and now.
  long pass() const {
    return sys::raw(number_, argument(0), argument(1), argument(2), argument(3), argument(4),
                    argument(5));
  }

  // Has the thread make the call in the upper half, as if it had never been caught, when the
  // handler returns.  bytes: of WaitRoom, what it needs there; some stacks have little room (Go).
  BlockingCall& block(uint64_t bytes = sizeof(BlockingCall));
  void set_argument(int i, uint64_t value) {
    static constexpr int kRegister[6] = {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9};
    set_reg(kRegister[i], value);
  }
  bool redirected() const { return redirected_; }
  void set_redirected() { redirected_ = true; }

 private:
  long number_;
  ucontext_t* context_;
  WaitRoom* spare_;
  bool redirected_ = false;  // registers are set for something else than returning a result
};

// --- memory (gate_memory.cc)
long do_mmap(CaughtCall& call);
long do_munmap(CaughtCall& call);
long do_mremap(CaughtCall& call);
long do_brk(CaughtCall& call);
long do_shmat(CaughtCall& call);
long do_shmdt(CaughtCall& call);
long do_flag_memory(CaughtCall& call);  // madvise, mlock, mlock2, mlockall, munlockall
long do_process_madvise(CaughtCall& call);
// Before memory goes away, or something else comes into its place.  A forked child has no MPI library that could want to know.
void tell_unmap(uint64_t address, uint64_t length);
// After a restart (gate_image_memory.cc): a part of the range is mapped from the image; before the advice is given, what it concerns of
// that becomes such memory as the application had.
bool comes_from_image(uint64_t address, uint64_t length);
void note_moved(const MapsLine& piece);  // where it lies now
void say_the_same(uint64_t address, Region of);  // what the application has said of that (madvise, mlock, mbind)
bool prepare_image_memory(uint64_t address, uint64_t length, uint64_t advice);  // true: a part of it does

// --- signals (gate_signals.cc)
long do_rt_sigaction(CaughtCall& call);
void remember_action(int signal, const AppAction& action);  // in the tables, not in the kernel
long do_rt_sigprocmask(CaughtCall& call);
// ppoll, epoll_pwait, rt_sigsuspend, rt_sigtimedwait
long do_call_with_mask(CaughtCall& call, int mask_argument, int size_argument);
long do_pselect6(CaughtCall& call);
long do_signalfd(CaughtCall& call);
Outcome install_handlers();
void handle_own_sigsys(siginfo_t* info, ucontext_t* context);  // a SIGSYS that is not the filter's

// --- descriptors (gate_descriptors.cc)
long do_at_the_line(CaughtCall& call);  // close, dup, fcntl of a number of the lower half
long do_dup_onto(CaughtCall& call);     // dup2, dup3
long do_close_range(CaughtCall& call);
long do_file_limit(CaughtCall& call);   // getrlimit, setrlimit, prlimit64 of RLIMIT_NOFILE

// --- files and processes (gate_files.cc)
long do_open(CaughtCall& call, int path_argument);
long do_readlink(CaughtCall& call, int path_argument);
long do_look_at_path(CaughtCall& call, int path_argument);  // stat, access and their kin, in restarted processes
long do_chdir(CaughtCall& call);
long do_execve(CaughtCall& call, int path_argument);
// /proc/self/exe, /proc/thread-self/exe, /proc/PID/exe of this process.
bool names_own_program(const char* path);

// --- ids of processes and threads (gate_ids.cc)
long do_id_call(CaughtCall& call);
long do_clock_nanosleep(CaughtCall& call);
long do_fcntl_of_ids(CaughtCall& call);
long do_ioctl_of_ids(CaughtCall& call);
long do_choose_tracer(CaughtCall& call);
bool commands_ids(const CaughtCall& call);  // fcntl, ioctl: which of the two is meant
// A thread stands in a call that it began before the restart: with ids and a deadline of that time, and not yet so that its result is
// translated.
void take_up_blocking_call(CaughtCall& call, BlockingCall& blocking);
// --- names in /proc, in restarted processes (gate_proc.cc)
inline constexpr int kProcPathSize = 256;
// A path in /proc, from its root or from a folder of it (a descriptor or AT_FDCWD), that names a process or a thread, with the kernel's ids.
// False: no other path than it was.
bool translate_proc_path(uint64_t folder, const char* path, char (&into)[kProcPathSize]);
// The other way round: where a link of the kernel's leads to.
bool tell_proc_path(const char* path, char (&into)[kProcPathSize]);
long do_read_folder(CaughtCall& call);  // getdents, getdents64

// --- descriptors out of which ids are read, in restarted processes (gate_read_ids.cc)
long do_read(CaughtCall& call);  // read, pread64, readv, preadv, preadv2
void catch_reads_of_restored();
// `made` has come to be: by an open, as a duplicate, in another way.
void note_opened(long made);
void note_duplicate(uint64_t number, long made);
void note_descriptor(long made);
// A read, or what else such a number is caught for, that waits in the vdso: before and after.
long wait_for_ids(CaughtCall& call);
void set_finish_of_ids(BlockingCall& blocking);
void finish_ids(const BlockingCall& blocking, uint64_t result);

// --- credentials with messages, in restarted processes (gate_credentials.cc)
bool passes_credentials(int64_t number);
void catch_sends();
long do_setsockopt(CaughtCall& call);  // SO_PASSCRED
void finish_receive(const BlockingCall& blocking, uint64_t result);  // recvmsg, recvmmsg
long do_sendmsg(CaughtCall& call);
// The message of a sendmsg that waits in the vdso.
void name_own_credentials(CaughtCall& call, BlockingCall& blocking);

// --- the name of the host (gate_host.cc)
bool host_is_named();
const char* host_name_file(const char* path);  // what to open instead; null: it is another file
long do_uname(CaughtCall& call);

// --- locks with an owner, in restarted processes (gate_futex.cc)
long do_futex(CaughtCall& call);
// What the wait of do_futex came to, in `result`, which becomes the call's.  False: the registers are set for another wait.
bool finish_futex(CaughtCall& call, const BlockingCall& blocking, long& result);
long do_exit(CaughtCall& call);
void leave_robust_locks();  // of the calling thread, which ends

// --- monotonic clocks, in restarted processes (gate_clocks.cc)
long do_clock_call(CaughtCall& call);
// The call waits in the vdso until a deadline of the application, if it has one.
long wait_until_deadline(CaughtCall& call);
// The deadline of such a call in the kernel's time, as it is in this process.
void take_up_deadline(CaughtCall& call, BlockingCall& blocking);
// --- spans, in any process (gate_spans.cc)
long wait_for_span(CaughtCall& call);  // the same with a span, if it has one
void note_span(BlockingCall& blocking);
void set_rest_of_span(CaughtCall& call, BlockingCall& blocking);
// What the wait for a socket came to: the call's result, or the call is made where the application made it.
void finish_socket_wait(BlockingCall& blocking, long& result);

// --- the rest (gate.cc)
void finish_blocking_call(CaughtCall& call);
// --- calls with effects that a checkpoint refuses (gate_lasting.cc)
bool watches_folder(const CaughtCall& call);  // fcntl(F_NOTIFY)
long do_lasting(CaughtCall& call);
uint64_t lasting_after(uint64_t lasting, const CaughtCall& call, long result);  // GateState::lasting

// --- System V objects (gate_system_v.cc)
long do_get_system_v(CaughtCall& call);  // shmget, semget, msgget
long do_shmctl(CaughtCall& call);
uint64_t real_segment(uint64_t seen);

// --- the filter (gate_filter.cc)
enum class In : uint8_t;  // caught_calls.h
Outcome install_filter(uint64_t vdso, In process);
// One more for the reads of these numbers, or with a count of 0 of all.
inline constexpr int kMostNumbersOfFilter = 64;
bool install_filter_of_numbers(const uint16_t* numbers, int count);
bool install_filter_of_sends();  // of all

// Whether the kernel can read 8 bytes there (a wrong pointer must give EFAULT, not a fault in the
// handler).
bool readable_word(uint64_t address);
// A structure of `count` words, on at most two pages.
inline bool readable_words(uint64_t address, uint64_t count) { return readable_word(address) && readable_word(address + 8 * (count - 1)); }
// Writes to the application's memory, which the kernel finds out to be writable: `length`, or -EFAULT.
long give_bytes(const void* from, uint64_t length, uint64_t to);

}  // namespace mana::loader
