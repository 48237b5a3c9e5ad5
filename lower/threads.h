// SPDX-License-Identifier: BSD-3-Clause
// Which tasks of this process are whose, and the lending of lower threads.  Each thread of the application that calls MPI
// runs lower code with the TLS of a pthread of its own, which the lender makes and which stays parked as long as it is
// lent.  The application's main thread borrows the lower main thread: they are one task.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "trampolines/thread_record.h"

namespace mana::lower {

// On the main thread, before the application and before MPI_Init.  Unregisters restartable sequences of the lower libc for
// this thread: a task has one such area, and it is the application's.
void start_lending();
// The thread that lends: made before the application could change anything, so it has what the process was launched with.  0: not yet.
pid_t lending_thread();

// %fs base of the lower main thread.
uint64_t main_lower_fs();
bool set_fs_by_call();   // user code may not use wrfsbase here

// Threads that lower code made (pthread_create is wrapped in the lower program).  All other tasks are upper threads.
void add_lower_thread(pid_t tid);
void remove_lower_thread(pid_t tid);
bool is_lower_thread(pid_t tid);
std::vector<pid_t> upper_threads();

// Lends to `record`, whose thread is `tid`.  On a lower thread: the lender's, or the main one during a restart.  False: no
// thread could be made.
bool lend(ThreadRecord* record, pid_t tid);

// The application's exit_group: the lender's thread runs `leave(code)`, which must not return, while the caller waits for
// ever.  Freestanding: called from the gate with the upper %fs.
[[noreturn]] void exit_on_lender(int code);
void set_leave(void (*leave)(int code));

// One more thread, which nobody borrows for long: the gate's handler goes down on it (memory_watch.h).  False: it could not be made.
bool start_memory_thread();

// Core operation (upper/core_ops.h): called with the upper %fs, uses no TLS.
int attach_thread(void* arguments);

}  // namespace mana::lower
