// SPDX-License-Identifier: BSD-3-Clause
// The application's handlers run with the application's %fs wherever the signal finds the thread.
#include <signal.h>
#include <sys/time.h>
#include <ucontext.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <csetjmp>

#include "kernel-loader/gate.h"
#include "trampolines/callback.h"
#include "trampolines/cross.h"
#include "trampolines/signal_entry.h"
#include "trampolines/tests/halves.h"

namespace mana::test {
namespace {

thread_local uint64_t ticks = 0;  // in the application's TLS, and in the lower half's
std::atomic<uint64_t> in_upper{0}, in_lower{0}, wrong_fs{0};
sigjmp_buf out_of_handler;

void on_tick(int, siginfo_t*, void* context) {
  if (fs_base() >= kLine) wrong_fs.fetch_add(1);
  ++ticks;
  // %rbp of the interrupted code says nothing; the interrupted half is told by a register that the loops below keep.
  const auto* registers = static_cast<const ucontext_t*>(context)->uc_mcontext.gregs;
  (registers[REG_R15] == 0x10 ? in_lower : in_upper).fetch_add(1);
}

struct Action {
  Action(int signal, void (*handler)(int, siginfo_t*, void*)) : signal_(signal) {
    loader::mana_signal_handlers[signal] = reinterpret_cast<uint64_t>(handler);
    struct sigaction action {};
    action.sa_sigaction = reinterpret_cast<void (*)(int, siginfo_t*, void*)>(mana_signal_entry);
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    sigaction(signal, &action, &before_);
  }
  ~Action() { sigaction(signal_, &before_, nullptr); }
  int signal_;
  struct sigaction before_ {};
};

int spin_below(void*) {
  asm volatile(
      "mov $0x10, %%r15d\n"
      "mov $300, %%ecx\n"
      "1: pause\n dec %%ecx\n jnz 1b\n"
      "xor %%r15d, %%r15d\n" ::: "r15", "rcx", "cc");
  ++ticks;
  return 0;
}

void only_this_thread_takes(int signal) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

}  // namespace

TEST_CASE("a_storm_of_signals_finds_handlers_with_the_upper_fs") {
  sigset_t alarm, before;
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  pthread_sigmask(SIG_BLOCK, &alarm, &before);  // inherited by the lent thread; the upper one takes the signals
  for (const bool by_call : {!fsgsbase_allowed(), true}) {
    in_upper = in_lower = wrong_fs = 0;
    uint64_t upper_ticks = 0;
    Action action(SIGALRM, on_tick);
    run_upper(by_call, [&](ThreadRecord& record) {
      only_this_thread_takes(SIGALRM);
      ticks = 0;
      const itimerval every{{0, 50}, {0, 50}}, never{};
      setitimer(ITIMER_REAL, &every, nullptr);
      while (in_lower < 2000 || in_upper < 200) mana_cross(spin_below, nullptr, &record);
      setitimer(ITIMER_REAL, &never, nullptr);
      upper_ticks = ticks;
    });
    CHECK(wrong_fs == 0);
    CHECK(upper_ticks == in_upper + in_lower);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

namespace {
void leave_by_jump(int, siginfo_t*, void*) { siglongjmp(out_of_handler, 1); }
int raise_below(void*) {
  raise(SIGUSR1);
  return 0;
}
}  // namespace

TEST_CASE("a_handler_may_leave_a_crossing_by_siglongjmp") {
  Action action(SIGUSR1, leave_by_jump);
  bool jumped = false, right_fs = false;
  run_upper(!fsgsbase_allowed(), [&](ThreadRecord& record) {
    if (sigsetjmp(out_of_handler, 1) == 0) {
      mana_cross(raise_below, nullptr, &record);
    } else {
      jumped = true;
      right_fs = fs_base() == record.upper_fs;
    }
  });
  CHECK(jumped);
  CHECK(right_fs);
}

}  // namespace mana::test
