// SPDX-License-Identifier: BSD-3-Clause
// Bringing every thread of the application to a halt, working with the halted application, and letting it go on.  Called by
// the agent's thread only (ordinary code), in this order: request_stop, poll_stop until it is empty, service and
// parked_threads as often as wanted, resume.  The threads' side is park.cc.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <string>
#include <vector>

#include "lower/park.h"
#include "upper/interface.h"

namespace mana::lower {

// Whether the kernel can make all threads pass a barrier, which the closure cannot do without.
bool register_barrier();

// On the main thread, before the application: the checkpoint signal gets its handler and is unblocked.
void prepare_stopping();

// The front end that has registered (null for a program without MPI): its `stop` word and its thread records are used.
// Called when it registers and at a restart.
void stop_set_upper(UpperInterface* upper);

// Sets control.stop and signals every upper thread.
void request_stop();

// Looks again, signals those that could not park when they were asked, and threads that are new.  Returns who is not parked
// yet; empty: all are.  Does not wait: call it again after something has happened, or wait_for_parking.
struct NotParked {
  pid_t tid;
  std::string where;     // "computing", "in an MPI call", "in system call 232"
  bool can_hear = true;  // false: no signal can be queued, because as many wait as may
};
std::vector<NotParked> poll_stop();
// "blocked in the kernel (system call 58)", "stopped by a debugger": where no signal reaches the thread until it has left by
// itself.  Empty: one will.
std::string out_of_reach(const NotParked& thread);
// Waits until some thread has parked since the last poll_stop, or `milliseconds` have passed.
void wait_for_parking(int milliseconds);

// Has a command executed by the service thread: the parked main thread, or, if that has gone or has never called MPI, any
// parked thread that has.  Returns when it is done.  False: there is no such thread, so there is nothing to do either.
bool service(ServiceCall& call);
// While on, the service thread calls Service::progress over and over between commands, so that the network keeps moving.
void keep_progressing(bool on);

// A parked thread takes its pending signals and queues them again; returns when that is done.
void take_pending(const ParkSlot* slot, TakenSignals& taken);

// All parked threads, main thread first.  Valid until resume.
std::vector<const ParkSlot*> parked_threads();

// The application is not dumpable (PR_SET_DUMPABLE).  An ordinary user's process that is not may not read its own files in /proc, so it is
// dumpable while it is stopped.  (What the application changes between being asked to stop and being parked is lost.)
bool is_hidden();

// Clears control.stop and lets everybody go on.
void resume();

// Core operation (upper/core_ops.h): called with the upper %fs, uses no TLS; park_x86_64.S.
int park_here(void* arguments);

}  // namespace mana::lower
