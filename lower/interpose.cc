// SPDX-License-Identifier: BSD-3-Clause
// Functions that the lower program exports, so that the MPI library and everything under it call ours instead of libc's.
//
// Threads: those that lower code makes are known, and no signal of the application ever finds them.
// Signal actions: they belong to the application, SIGSYS to the gate.  (Seen: LLVM in an OpenCL plug-in of hwloc, loaded by
// MPI_Init, takes SIGSYS; UCX and Open MPI install handlers for SIGSEGV and its kin.)  What a library asks for is kept,
// so that it reads back what it wrote, and the kernel is told nothing.  The same holds for alternate signal stacks.
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <mutex>

#include "lower/threads.h"

namespace mana::lower {
namespace {

using CreateThread = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);

struct Begin {
  void* (*routine)(void*);
  void* argument;
};

// Leaves the set of known threads also when the thread ends by pthread_exit or is cancelled.
struct Registered {
  Registered() { add_lower_thread(gettid()); }
  ~Registered() { remove_lower_thread(gettid()); }
};

void* begin_lower_thread(void* argument) {
  const std::unique_ptr<Begin> begin(static_cast<Begin*>(argument));
  thread_local Registered registered;
  static_cast<void>(&registered);
  const Begin what = *begin;
  return what.routine(what.argument);
}

struct Actions {
  std::mutex mutex;
  struct sigaction by_signal[_NSIG] = {};
};
Actions& actions() {
  static auto* all = new Actions;
  return *all;
}

}  // namespace
}  // namespace mana::lower

#define MANA_EXPORT extern "C" __attribute__((visibility("default")))

MANA_EXPORT int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*routine)(void*), void* argument) {
  using namespace mana::lower;
  static const auto real = reinterpret_cast<CreateThread>(dlsym(RTLD_NEXT, "pthread_create"));
  auto begin = std::make_unique<Begin>(Begin{routine, argument});
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int error = real(thread, attributes, begin_lower_thread, begin.get());
  if (error == 0) begin.release();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return error;
}

MANA_EXPORT int sigaction(int number, const struct sigaction* action, struct sigaction* before) noexcept {
  using namespace mana::lower;
  if (number <= 0 || number >= _NSIG || ((number == SIGKILL || number == SIGSTOP) && action != nullptr)) {
    errno = EINVAL;
    return -1;
  }
  const std::lock_guard lock(actions().mutex);
  const struct sigaction kept = actions().by_signal[number];
  if (action != nullptr) actions().by_signal[number] = *action;
  if (before != nullptr) *before = kept;
  return 0;
}

MANA_EXPORT sighandler_t signal(int number, sighandler_t handler) noexcept {
  struct sigaction action = {}, before = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  return sigaction(number, &action, &before) == 0 ? before.sa_handler : SIG_ERR;
}

// The alternate stack is the thread's, so on an application's thread it is the application's.  (Seen: UCX, in MPI_Init, gives
// the main thread one in lower memory; the checkpoint signal's frame then lay there and was lost with it.)
MANA_EXPORT int sigaltstack(const stack_t* stack, stack_t* before) noexcept {
  static thread_local stack_t kept = {nullptr, SS_DISABLE, 0};
  if (before != nullptr) *before = kept;
  if (stack != nullptr) kept = *stack;
  return 0;
}

MANA_EXPORT sighandler_t bsd_signal(int number, sighandler_t handler) noexcept { return signal(number, handler); }
MANA_EXPORT sighandler_t sysv_signal(int number, sighandler_t handler) noexcept { return signal(number, handler); }
