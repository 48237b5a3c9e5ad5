// SPDX-License-Identifier: BSD-3-Clause
// A signal that the application handles has reached a thread of the lower half.  Freestanding: it may interrupt anything.
#include <signal.h>

#include "kernel-loader/sys.h"

namespace {

bool is_fault(int signal, const siginfo_t* info) {
  const bool kind = signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL || signal == SIGTRAP;
  return kind && info->si_code > 0;
}

}  // namespace

// A fault of the lower half's own code is not the application's to handle: it ends the process as it would without a
// handler, with the core at the faulting instruction.  A signal to the process is the application's main thread's.
extern "C" __attribute__((visibility("hidden"))) void mana_signal_in_lower_thread(int signal, siginfo_t* info, void*) {
  const auto process = static_cast<uint64_t>(mana::sys::getpid());
  const auto thread = static_cast<uint64_t>(mana::sys::gettid());
  const auto number = static_cast<uint64_t>(signal);
  if (!is_fault(signal, info) && thread != process) {
    mana::sys::raw(__NR_rt_tgsigqueueinfo, process, process, number, mana::sys::bits(info));
    return;
  }
  const mana::sys::KernelAction by_default{};
  mana::sys::rt_sigaction(signal, &by_default, nullptr);
  if (!is_fault(signal, info)) mana::sys::raw(__NR_tgkill, process, thread, number);
}
