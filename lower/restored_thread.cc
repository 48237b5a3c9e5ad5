// SPDX-License-Identifier: BSD-3-Clause
#include "lower/restored_thread.h"

#include <asm/prctl.h>
#include <linux/futex.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/prctl.h>

#include "kernel-loader/ids.h"
#include "kernel-loader/report.h"
#include "kernel-loader/sys.h"
#include "lower/clone.h"
#include "lower/numa_policy.h"
#include "lower/speculation.h"
#include "lower/threads.h"

extern "C" [[noreturn]] void mana_return_into_frame(uint64_t context);

namespace mana::lower {
namespace {

using sys::bits;

constexpr int kNoMpi = 70;

void set_kernel_state(const RestoredThread& thread) {
  const image::ThreadState& state = thread.state;
  sys::raw(__NR_arch_prctl, ARCH_SET_FS, state.fs);
  sys::raw(__NR_arch_prctl, ARCH_SET_GS, state.gs);
  sys::raw(__NR_set_tid_address, state.tid_address);
  if (state.robust_list != 0) sys::raw(__NR_set_robust_list, state.robust_list, state.robust_bytes);
  if (thread.rseq_address != 0) sys::raw(__NR_rseq, thread.rseq_address, thread.rseq_bytes, 0, thread.rseq_signature);
  sys::raw(__NR_prctl, PR_SET_NAME, bits(state.name));
  if (state.timer_slack != 0) sys::raw(__NR_prctl, PR_SET_TIMERSLACK, state.timer_slack);
  if (state.death_signal != 0) sys::raw(__NR_prctl, PR_SET_PDEATHSIG, state.death_signal);
  const int unset = thread.policy != nullptr ? restore_policy(*thread.policy) : 0;
  if (unset != 0) loader::report("restart", loader::Error{"give a thread its NUMA policy (set_mempolicy) again", unset}.so("goes on as it was launched"));
}

// Last, because code of ours would not run with all of it.
void set_rare_state(const image::ThreadState& state) {
  constexpr uint64_t kSetCpuid = 0x1012;
  if (state.personality != static_cast<uint32_t>(sys::raw(__NR_personality, 0xffffffff))) sys::raw(__NR_personality, state.personality);
  if (state.secure_bits != static_cast<uint8_t>(sys::raw(__NR_prctl, PR_GET_SECUREBITS)) &&
      sys::failed(sys::raw(__NR_prctl, PR_SET_SECUREBITS, state.secure_bits))) {
    sys::raw(__NR_prctl, PR_SET_KEEPCAPS, (state.secure_bits & SECBIT_KEEP_CAPS) != 0);  // the others are root's
  }
  if (state.memory_errors != 0) {
    const uint64_t policy = state.memory_errors - 1u;
    sys::raw(__NR_prctl, PR_MCE_KILL, policy == PR_MCE_KILL_DEFAULT ? PR_MCE_KILL_CLEAR : PR_MCE_KILL_SET, policy == PR_MCE_KILL_DEFAULT ? 0 : policy, 0, 0);
  }
  if (const int error = restore_speculation(state.speculation); error != 0)
    loader::report("restart", loader::Error{"control a thread's speculation (PR_SET_SPECULATION_CTRL) as it had asked for", error}.so("goes on as it was launched"));
  if (state.flushes_io != 0) {
    const long set = sys::raw(__NR_prctl, PR_SET_IO_FLUSHER, 1, 0, 0, 0);
    if (sys::failed(set)) loader::report("restart", loader::Error{"make a thread one that flushes (PR_SET_IO_FLUSHER) again", sys::error_of(set)}.so("goes on as any other"));
  }
  if (state.no_new_privileges != 0) sys::raw(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (state.without_tsc != 0) sys::raw(__NR_prctl, PR_SET_TSC, PR_TSC_SIGSEGV);
  if (state.without_cpuid != 0) sys::raw(__NR_arch_prctl, kSetCpuid, 0);
}

// What was pending for this thread alone: only it may queue any siginfo for itself.
void queue_signals(const RestoredThread& thread) {
  for (std::size_t i = 0; i < thread.signal_count; ++i) {
    image::PendingSignal signal = thread.signals[i];
    if (signal.thread != thread.index) continue;
    loader::name_sender(signal.info);
    sys::raw(__NR_rt_tgsigqueueinfo, static_cast<uint64_t>(sys::getpid()), static_cast<uint64_t>(sys::gettid()),
             static_cast<uint64_t>(signal.signal), bits(signal.info));
  }
}

// Communicators are made again, receives posted again: with the upper %fs, on this (lower) stack.
void rebuild(const RestoredThread& thread) {
  ServiceCall call{};
  do {
    call.what = Service::rebuild;
    call.done = 0;
    thread.upper->service(&call);
    if (call.error == 0) continue;
    loader::report("restart", loader::Error{"make the MPI objects again", 0, static_cast<uint64_t>(call.error)}.at(call.detail));
    exit_on_lender(kNoMpi);
  } while (call.done == 0);
}

void let_go(std::atomic<uint32_t>* go) {
  go->store(1);
  constexpr uint64_t kEverybody = 0x7fffffff;
  sys::raw(__NR_futex, bits(go), FUTEX_WAKE_PRIVATE, kEverybody);
}

// %fs is that of who made this thread until the kernel's state is set; nothing here reads it before.
void begin(void* restored_thread) {
  auto* thread = static_cast<RestoredThread*>(restored_thread);
  set_kernel_state(*thread);
  queue_signals(*thread);
  while (thread->go->load() == 0) sys::raw(__NR_futex, bits(thread->go), FUTEX_WAIT_PRIVATE, 0, 0);
  set_rare_state(thread->state);
  mana_return_into_frame(thread->state.context);
}

}  // namespace

long start_restored_thread(RestoredThread* thread, void* stack_top) {
  constexpr uint64_t kFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_PARENT_SETTID;
  return mana_clone(kFlags, stack_top, &thread->tid, thread, begin, nullptr);
}

void become_restored_thread(RestoredThread* thread) {
  set_kernel_state(*thread);
  queue_signals(*thread);
  if (thread->upper != nullptr) rebuild(*thread);
  let_go(thread->go);
  set_rare_state(thread->state);
  mana_return_into_frame(thread->state.context);
}

void end_main_thread(std::atomic<uint32_t>* go) {
  let_go(go);
  for (;;) sys::raw(__NR_exit, 0);
}

}  // namespace mana::lower
