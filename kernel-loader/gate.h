// SPDX-License-Identifier: BSD-3-Clause
// The gate: system calls that the upper half makes from the arena and that the kernel alone cannot
// answer as needed are caught by a seccomp filter and done here, in a SIGSYS handler of the lower
// program's text.  The handler runs with the upper %fs on the thread's stack (or its alternate
// one), all signals blocked; no libc, TLS or stack protector. README.md has the list of calls.
// State that must outlive a restart is in GateState; everything else is read from the kernel again.
#pragma once

#include <cstdint>

#include "kernel-loader/layout.h"
#include "kernel-loader/program.h"
#include "kernel-loader/result.h"

namespace mana {
struct UpperInterface;
}

namespace mana::loader {

inline constexpr int kCheckpointSignal = 60;
inline constexpr int kSignals = 65;  // table size; signal numbers start at 1

// A signal action as the application set it (layout of the kernel's struct).  handler 0: SIG_DFL,
// 1: SIG_IGN.
struct AppAction {
  uint64_t handler;
  uint64_t flags;
  uint64_t restorer;
  uint64_t mask;
};
static_assert(sizeof(AppAction) == 32);

// All hooks are called in the gate's handler: upper %fs, signals blocked, no TLS may be touched
// before %fs is changed.
struct GateHooks {
  int64_t (*on_register)(
      UpperInterface* upper);       // kRegisterCall: returns what the front end gets in rax
  void (*on_exit_group)(int code);  // original process only; if it returns, the process exits
  // What is installed in the kernel for every handler of the application, as void(int, siginfo_t*,
  // void*); it finds the application's in mana_app_actions.  0: the application's own is installed
  // (tests without trampolines).
  uint64_t signal_entry;
  // Handler of kernel signal 60 (SA_SIGINFO; flags below are added).  0: none.
  uint64_t checkpoint_handler;
  uint64_t checkpoint_flags;
  // Front ends: the application's open of libmpich.so.12*, libmpi.so.12* / libmpi.so.40* (last part
  // of the name, any trailing .N) gives these files.  Null: none.  The strings must stay.
  const char* front_end_mpich;
  const char* front_end_openmpi;
  // The launcher and its options, to which the argv[0] and the path of a program and its further arguments are appended when the
  // application executes one (gate_exec.cc).  Null: programs are executed natively.  The strings must stay.
  const char* const* relaunch;
  bool (*may_relaunch)();  // in a signal handler, any %fs
  bool relaunch_children;  // also MPI programs that a forked child executes
};

// First thing in main(), while what is open is what the application inherits: from here on the halves have numbers of their own.
Outcome begin_lower_half();

// Installs the handlers of SIGSYS and 60, the filter (all threads), and for a restart the
// application's actions.
Outcome install_gate(const GateHooks& hooks);

// Some libraries replace SIGSYS or install handlers for signals the application owns: puts ours and
// the application's back.  Call after the lower half's MPI_Init (any thread, lower %fs).
void assert_gate_handlers();

// True in the process that was launched, false in its forked and vforked children.
bool in_original_process();
// The application has mappings above the line, of a kind that nothing makes again.
bool placed_by_kernel();

// From now on `tell` hears of memory of the application that is about to be unmapped, given away (madvise) or replaced (upper %fs, all signals
// blocked; lower/memory_watch.h).  After install_gate; adds a filter for the calls that are not caught otherwise.
Outcome watch_memory(void (*tell)(uint64_t address, uint64_t length));

// The application's actions, [1..64], and where the signal entry goes on: the function that was the handler last, changed
// before the kernel's action is.  SIG_IGN and SIG_DFL leave it: a signal whose delivery began under the action before is on its way
// to the entry, and natively would still be handled.
extern "C" AppAction mana_app_actions[kSignals];
extern "C" uint64_t mana_signal_handlers[kSignals];

// --- parking
// The checkpoint signal found the thread at `rip` with `rax`.  False: it stands between a caught
// call and its completion (a descriptor not yet under its final number); send again.  Blocking
// calls of the gate (open of a FIFO, accept, ppoll with a mask...) are made in the upper half (by
// code in the synthetic vdso), so a thread waiting in one has a `rip` below the line, right behind
// a syscall instruction, like any other.
bool gate_may_park(uint64_t rip, int64_t rax);
// The number of the call that a thread has come out of, if it stands behind the gate's own instruction for calls that wait; else -1.
int64_t blocking_call_at(uint64_t rip, uint64_t rsp);
// The thread (ucontext_t) is about to make such a call, perhaps once more: it waits for no longer than what is left of the span that the
// application asked for.
void shorten_wait(void* context);
// A checkpoint has interrupted this call (EINTR, ucontext_t), which waits for a span that nobody has noted.  True: the thread makes it again in
// the gate's code for calls that wait, with its span noted from now on.  `room` is the signal handler's, of which nothing may lie above it
// that is written to later.
struct alignas(16) StackRoom {
  uint64_t words[56];
};
bool wait_in_vdso(int64_t number, void* context, StackRoom& room);
// A signal came while the thread was in a function of the kernel's vdso.  Its handler must not run on top of that: a frame would be saved
// that leads back there.  return_from_kernel: where the thread's return address lies; null: it is not there.  wait_for_return: with it, all
// signals are blocked until the function has returned, and the thread gets the mask of the context then.
uint64_t* return_from_kernel(const void* context);
void wait_for_return(void* context, uint64_t* return_address);
// Until then.
inline constexpr uint64_t kWaitingMask = ~(uint64_t{1} << (31 - 1));  // a blocked SIGSYS would end the process
// At a restart, for each thread: `context` is the ucontext_t with which it goes on.
void take_up_thread(void* context);
// Of all threads that were restored: the process ends (gate_futex.cc).
void leave_robust_locks_of_all();
// Whether the calling thread, with the upper %fs, has registered its restartable sequences: a new thread has not done it yet.
bool has_rseq(uint64_t fs);
// kUnshared and its like, so far.
uint64_t lasting_effects();
// MPI has been initialised.  Its library may let all processes trace this one, so nothing is known of an application that had forbidden it.
void forget_that_none_may_trace();

// --- state.  Fixed layout; part of the image.
inline constexpr uint64_t kGateMagic = 0x3165746147414e4d;
inline constexpr uint32_t kGateVersion = 2;

inline constexpr int kHostNameSize = 72;  // uname(2) has room for 64 and the zero

struct GateState {
  uint64_t magic;
  uint32_t version;
  uint32_t size;
  AppAction actions[kSignals];
  uint64_t brk_start, brk_current, brk_limit;
  uint64_t stack_low, stack_high;  // of the main thread, guard excluded
  uint64_t argument_start,
      argument_end;  // strings on it, as /proc/PID/cmdline and environ would show them
  uint64_t environment_start, environment_end;
  uint64_t vdso, vdso_length;
  uint64_t placement_top;  // mappings are placed downwards from here
  uint64_t stack_limit;    // soft RLIMIT_STACK as the application should see it
  int64_t rseq_offset;     // of a thread's struct rseq from its %fs base
  uint32_t rseq_length;    // 0: the application has not registered
  uint32_t rseq_signature;
  uint64_t auxv[128];       // pairs, ends with AT_NULL
  char program[kPathSize];  // absolute path of the program (what /proc/self/exe is to the
                            // application)
  char name[16];            // of the process, as ps shows it
  int32_t process, parent, group, session;  // ids as the application sees them
  uint64_t memory_flags;    // kMemoryFlagsWereUsed; from bit 8 on the flags of mlockall if it has MCL_FUTURE
  uint64_t lasting;         // kUnshared and its like
  char host[kHostNameSize];  // where the job was launched
  uint64_t stack_pointer;  // with which the program began: its argc is there
  uint64_t tracer;  // PR_SET_PTRACER, as the application has named it, if kChoseTracer
  uint64_t reserved[15];
};
// The application has called madvise or mlock in a way that leaves flags on memory, or mmap with such flags: only then
// /proc/self/smaps, which is slow with much memory, must be read for a checkpoint.
inline constexpr uint64_t kMemoryFlagsWereUsed = 1;
inline constexpr int kLockAllShift = 8;
// What the application has done that no restart brings back (gate_lasting.cc).
inline constexpr uint64_t kUnshared = 1, kEnteredNamespace = 2, kChangedRoot = 4, kOwnFilter = 8, kTraces = 16,
                          kRestricted = 32, kAsynchronousIo = 64, kSessionKeyRing = 1024, kDispatches = 2048, kHasPorts = 4096,
                          kWatchesFolder = 8192, kChoosesSocket = 16384, kSharesCore = 32768, kMovedWords = 131072;
inline constexpr uint64_t kProtectionKeys = uint64_t{0xffff} << 48;  // a bit for each that it holds
constexpr uint64_t protection_key(uint64_t key) { return uint64_t{1} << (48 + key % 16); }
// What it has done at all, and a checkpoint looks for.
inline constexpr uint64_t kMemoryPolicies = 128, kHomeNodes = 256, kKeyRings = 512, kChoseTracer = 65536;

static_assert(sizeof(GateState) % 8 == 0);

void save_gate_state(GateState& state);
// Between restore_gate_state and install_gate: what uname(2) and /proc/sys/kernel/hostname tell the application from now on.
Outcome set_host_name(const char* name);
// After the image is placed (the allocator learns from /proc/self/maps what is taken) and before
// install_gate.  Fills the synthetic vdso's table with this kernel's functions.
Outcome restore_gate_state(const GateState& state);

// --- descriptors.  Both sides run in the original process while the application is parked, without
// its locks.
enum class DescriptorKind : uint32_t {
  standard = 1,  // inherited 0, 1 or 2, or a duplicate of one: the new process's own stream takes
                 // its place
  file,          // regular: path, flags, offset
  directory,
  device,  // character device
  other,   // open() does not make it again; `path` says what it is: "socket:[4711]", "pipe:[...]",
           // "anon_inode:[eventpoll]"
  inherited,  // as `other`, left open by what started the job: closed after a restart
};
struct Descriptor {
  int32_t number;
  DescriptorKind kind;
  int32_t
      flags;  // open flags (O_ACCMODE, O_APPEND, O_NONBLOCK, ... without O_CREAT, O_TRUNC, O_EXCL)
  int32_t close_on_exec;
  int32_t same_as;  // lowest number that shares this open file (offset included); itself when it is
                    // the lowest
  int32_t standard_number;  // kind standard: 0, 1 or 2
  int64_t offset;
  uint64_t device, inode;  // of the file
  uint32_t unlinked;       // the file has no name any more: cannot be opened again
  uint32_t reserved;
  char path[kPathSize];
};

// Calls each() for every descriptor of the application, in ascending order, until it returns false.  Which of them share an open file, and which were
// inherited, is not known here: same_as is the number itself, the kind what the file is.
Outcome describe_descriptors(bool (*each)(const Descriptor&, void* closure), void* closure);
// At a restart: begin keeps the new process's own 0, 1, 2; restore in ascending order of number
// (Error: names the path and why); end closes what the new process was started with under numbers that were not restored, 0..2 included.  (What
// its launcher and its MPI speak over lies above the line: cli/launcher.cc.)
Outcome begin_descriptor_restore();
Outcome restore_descriptor(const Descriptor& descriptor);
// Instead of restore_descriptor, for what open() does not make again: `made` is a new open file of the
// same kind; it gets the number and the close-on-exec flag, and is closed.
Outcome place_descriptor(const Descriptor& descriptor, int made);
Outcome end_descriptor_restore();
// Why restore_descriptor cannot do it, as one word: "socket", "pipe", "epoll", "eventfd", "deleted file",
// ...; null: it can.  Most of these lower/ makes again all the same.
const char* cannot_restore(const Descriptor& descriptor);

}  // namespace mana::loader
