// SPDX-License-Identifier: BSD-3-Clause
// Signal calls of the upper half.  Two rules: a handler of the application is entered through the
// lower half's signal entry (it may interrupt the lower half), and SIGSYS and the checkpoint signal
// are never blocked or replaced.
#include <signal.h>

#include <cerrno>

#include "kernel-loader/gate_data.h"
#include "kernel-loader/ids.h"
#include "kernel-loader/report.h"

namespace mana::loader {

extern "C" {
constinit AppAction mana_app_actions[kSignals] = {};
constinit uint64_t mana_signal_handlers[kSignals] = {};
void mana_gate_sigsys(int signal, siginfo_t* info, void* context);  // gate.cc
}
// The kernel returns from a handler to this: rt_sigreturn.
__asm__(
    ".text\n"
    ".p2align 4\n"
    ".hidden mana_gate_restorer\n"
    ".globl mana_gate_restorer\n"
    ".type mana_gate_restorer, @function\n"
    "mana_gate_restorer:\n"
    "movl $15, %eax\n"
    "syscall\n"
    ".size mana_gate_restorer, . - mana_gate_restorer\n");
extern "C" void mana_gate_restorer();

namespace {

constexpr uint64_t kRestorerFlag = 0x04000000;  // SA_RESTORER
constexpr uint64_t kMaskSize = 8;
constexpr uint64_t kHandlerMin = 2;  // above SIG_DFL and SIG_IGN

bool is_ours(int signal) { return signal == kSigSys || signal == kCheckpointSignal; }

// rt_sigaction copies the new action before it looks at the signal, and refuses to change SIGKILL.
bool readable_action(uint64_t address) {
  return sys::raw(__NR_rt_sigaction, SIGKILL, address, 0, kMaskSize) != -EFAULT;
}
// Writes 32 bytes of something.
bool writable_action(uint64_t address) {
  return sys::raw(__NR_rt_sigaction, SIGTERM, 0, address, kMaskSize) != -EFAULT;
}

}  // namespace

void remember_action(int signal, const AppAction& action) {
  if (action.handler >= kHandlerMin) __atomic_store_n(&mana_signal_handlers[signal], action.handler, __ATOMIC_RELEASE);
  mana_app_actions[signal] = action;
}

namespace {

long virtual_action(int signal, uint64_t action, uint64_t old) {
  const AppAction& known = mana_app_actions[signal];
  if (old != 0 && !writable_action(old)) return -EFAULT;
  const AppAction before = known;
  if (action != 0 && process_kind() != ProcessKind::vforked)
    remember_action(signal, *sys::pointer<const AppAction>(action));
  if (old != 0) *sys::pointer<AppAction>(old) = before;
  return 0;
}

bool replaced_by_library(const sys::KernelAction& action) {
  return action.handler >= kLine && action.handler != gate_hooks().signal_entry;
}

}  // namespace

bool readable_word(uint64_t address) {
  constexpr uint64_t kNoSuchHow = 99;  // the set is copied first, then `how` is refused
  return sys::raw(__NR_rt_sigprocmask, kNoSuchHow, address, 0, kMaskSize) != -EFAULT;
}

long do_rt_sigaction(CaughtCall& call) {
  const int signal = static_cast<int>(call.argument(0));
  const uint64_t action = call.argument(1);
  const uint64_t old = call.argument(2);
  if (signal < 1 || signal >= kSignals || call.argument(3) != kMaskSize || signal == SIGKILL ||
      signal == SIGSTOP) {
    return call.pass();
  }
  if (action != 0 && !readable_action(action)) return -EFAULT;
  const Hold hold(fork_local().action_lock);
  if (is_ours(signal)) return virtual_action(signal, action, old);

  const AppAction before = mana_app_actions[signal];
  sys::KernelAction wanted{};
  if (action != 0) {
    const AppAction asked = *sys::pointer<const AppAction>(action);
    wanted = {asked.handler, asked.flags, asked.restorer, asked.mask & ~kOurSignals};
    // A vforked child has signal actions of its own but shares the table: nothing of it may reach
    // the table.  It never enters the lower half, so its handlers need no detour.
    if (process_kind() != ProcessKind::vforked) {
      // The word that the signal entry reads comes first: an old action in the kernel may meet the
      // new handler for a moment, but no new one an old handler.
      remember_action(signal, asked);
      if (asked.handler >= kHandlerMin && gate_hooks().signal_entry != 0)
        wanted.handler = gate_hooks().signal_entry;
    }
  }
  const long got = sys::raw(__NR_rt_sigaction, static_cast<uint64_t>(signal),
                            action != 0 ? sys::bits(&wanted) : 0, old, kMaskSize);
  if (sys::failed(got) || old == 0) return got;
  // What the kernel says is the truth (SA_RESETHAND, children); where that is our entry, the table
  // says the rest.
  auto* told = sys::pointer<AppAction>(old);
  if (told->handler == gate_hooks().signal_entry && told->handler != 0) {
    told->handler = before.handler;
    told->mask |= before.mask & kOurSignals;
  }
  return got;
}

long do_rt_sigprocmask(CaughtCall& call) {
  const int how = static_cast<int>(call.argument(0));
  const uint64_t set = call.argument(1);
  const uint64_t old = call.argument(2);
  if (call.argument(3) != kMaskSize) return -EINVAL;
  const uint64_t before = call.mask();
  if (set != 0) {
    if (!readable_word(set)) return -EFAULT;
    const uint64_t asked = *sys::pointer<const uint64_t>(set);
    switch (how) {
      case SIG_BLOCK:
        call.set_mask(before | (asked & ~kOurSignals));
        break;
      case SIG_UNBLOCK:
        call.set_mask(before & ~asked);
        break;
      case SIG_SETMASK:
        call.set_mask(asked & ~kOurSignals);
        break;
      default:
        return -EINVAL;
    }
  }
  if (old != 0) {
    if (sys::raw(__NR_rt_sigprocmask, SIG_BLOCK, 0, old, kMaskSize) == -EFAULT) return -EFAULT;
    *sys::pointer<uint64_t>(old) = before;
  }
  return 0;
}

// Calls that wait under a mask of their own, or for signals of a set.
long do_call_with_mask(CaughtCall& call, int mask_argument, int size_argument) {
  const uint64_t mask = call.argument(mask_argument);
  if (mask != 0 && !readable_word(mask)) return -EFAULT;
  BlockingCall& blocking = call.block();
  note_span(blocking);
  if (mask == 0 || call.argument(size_argument) != kMaskSize)
    return 0;  // the kernel refuses other sizes by itself
  if (call.number() == __NR_rt_sigtimedwait && ids_are_translated()) blocking.finish = FINISH_SUCCESS;
  blocking.mask = *sys::pointer<const uint64_t>(mask) & ~kOurSignals;
  call.set_argument(mask_argument, sys::bits(&blocking.mask));
  return 0;
}

long do_pselect6(CaughtCall& call) {
  const uint64_t pair = call.argument(5);
  if (!readable_word(pair) || !readable_word(pair + 8)) return -EFAULT;
  const uint64_t mask = sys::pointer<const uint64_t>(pair)[0];
  const uint64_t size = sys::pointer<const uint64_t>(pair)[1];
  if (mask != 0 && size == kMaskSize && !readable_word(mask)) return -EFAULT;
  BlockingCall& blocking = call.block();
  if (mask == 0 || size != kMaskSize) return 0;
  blocking.mask = *sys::pointer<const uint64_t>(mask) & ~kOurSignals;
  blocking.pair[0] = sys::bits(&blocking.mask);
  blocking.pair[1] = kMaskSize;
  call.set_argument(5, sys::bits(blocking.pair));
  return 0;
}

long do_signalfd(CaughtCall& call) {
  if (call.argument(2) != kMaskSize) return -EINVAL;
  if (!readable_word(call.argument(1))) return -EFAULT;
  const uint64_t mask = *sys::pointer<const uint64_t>(call.argument(1)) & ~kOurSignals;
  const uint64_t flags = call.number() == __NR_signalfd4 ? call.argument(3) : 0;
  const long got = sys::raw(__NR_signalfd4, call.argument(0), sys::bits(&mask), kMaskSize, flags);
  note_descriptor(got);
  return got;
}

Outcome install_handlers() {
  // All signals blocked: the handler holds locks and has the thread's registers half in hand.  On
  // the alternate stack where there is one, because the interrupted stack may be a small one that
  // expects no signals (Go).
  const sys::KernelAction ours{reinterpret_cast<uint64_t>(&mana_gate_sigsys),
                               SA_SIGINFO | SA_ONSTACK | kRestorerFlag,
                               reinterpret_cast<uint64_t>(&mana_gate_restorer), ~uint64_t{0}};
  long got = sys::rt_sigaction(kSigSys, &ours, nullptr);
  if (sys::failed(got)) return Error{"install the handler of SIGSYS", sys::error_of(got)};
  if (gate_hooks().checkpoint_handler == 0) return Done{};
  // Not SIGSYS: a parked thread serves the agent with code of the upper half, whose calls are
  // caught like any.
  constexpr uint64_t sigsys = uint64_t{1} << (kSigSys - 1);
  const sys::KernelAction checkpoint{gate_hooks().checkpoint_handler,
                                     SA_SIGINFO | gate_hooks().checkpoint_flags | kRestorerFlag,
                                     reinterpret_cast<uint64_t>(&mana_gate_restorer), ~sigsys};
  got = sys::rt_sigaction(kCheckpointSignal, &checkpoint, nullptr);
  if (sys::failed(got))
    return Error{"install the handler of the checkpoint signal", sys::error_of(got)};
  return Done{};
}

void assert_gate_handlers() {
  if (Outcome installed = install_handlers(); !installed.ok()) fail("gate", installed.error());
  for (int signal = 1; signal < kSignals; signal++) {
    if (is_ours(signal) || signal == SIGKILL || signal == SIGSTOP) continue;
    sys::KernelAction now;
    if (sys::failed(sys::rt_sigaction(signal, nullptr, &now)) || !replaced_by_library(now))
      continue;
    const AppAction& known = mana_app_actions[signal];
    sys::KernelAction back{known.handler, known.flags, known.restorer, known.mask & ~kOurSignals};
    if (known.handler >= kHandlerMin && gate_hooks().signal_entry != 0)
      back.handler = gate_hooks().signal_entry;
    sys::rt_sigaction(signal, &back, nullptr);
  }
}

// raise(SIGSYS) and the like: the application's action for it, which the kernel does not know.
void handle_own_sigsys(siginfo_t* info, ucontext_t* context) {
  const AppAction action = mana_app_actions[kSigSys];
  if (action.handler == 1) return;
  tell_sender(info);
  if (action.handler >= kHandlerMin) {
    const auto handler = reinterpret_cast<void (*)(int, siginfo_t*, void*)>(action.handler);
    uint64_t blocked;
    sys::rt_sigprocmask(SIG_SETMASK, reinterpret_cast<const uint64_t*>(&context->uc_sigmask),
                        &blocked);
    handler(kSigSys, info, context);
    sys::rt_sigprocmask(SIG_SETMASK, &blocked, nullptr);
    return;
  }
  const sys::KernelAction standard{};
  sys::rt_sigaction(kSigSys, &standard, nullptr);
  sys::raw(__NR_tgkill, static_cast<uint64_t>(sys::getpid()), static_cast<uint64_t>(sys::gettid()),
           kSigSys);
  const uint64_t only_sigsys = uint64_t{1} << (kSigSys - 1);
  sys::rt_sigprocmask(SIG_UNBLOCK, &only_sigsys, nullptr);
}

}  // namespace mana::loader
