// SPDX-License-Identifier: BSD-3-Clause
// One rank's side of a checkpoint: does what the root says, step by step, and reports.  Holds the
// RankClosure and its lock: the closure's questions come from application threads, everything else
// from the agent's thread. What really happens to the process is behind RankPort
// (lower/agent_port.h; a fake one in the tests).
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "control/messages.h"
#include "control/rank_closure.h"
#include "control/result.h"

namespace mana::control {

struct StepResult {
  bool done = false;
  uint32_t pending = 0;  // operations left, for the status
};

// All functions are called on the agent's thread and must not block for long.
class RankPort {
 public:
  virtual ~RankPort() = default;
  virtual double now() = 0;  // seconds, steady
  // Sets the flag that wrappers read.  When it returns true has been seen by every thread, or that
  // thread will call begun() (a barrier on all threads).
  virtual void set_intent(bool intent) = 0;
  // Every rank's intent is set.  Only now may messages be received ahead of the application: the sender of a synchronous
  // one, which completes by that, knows that it has to ask.
  virtual void all_intend() = 0;
  // know() every counter, or (not `all`) those that are new since the last call.  Called under the
  // closure's lock.
  virtual void collect_counters(RankClosure& closure, bool all) = 0;
  virtual std::vector<Observed> observe() = 0;  // threads that have called MPI
  // Synchronous sends that are held back until their receivers have said that they took the message complete now.
  virtual void release_held_sends() = 0;
  virtual std::vector<RefusalNote> refusals() = 0;
  // Whether children of the application that still run, or have not been waited for, make the stop fail.
  virtual void ignore_children(bool) {}
  virtual Outcome request_stop() = 0;
  virtual Result<StepResult> poll_stop() = 0;  // done: every thread is parked
  virtual Result<StepResult> service(
      Phase phase) = 0;  // one step of finish_collectives, exchange_counts, drain
  // Starts the process that writes the image of `generation` into `directory`.  True: it has its copy of
  // the memory.  False: it has none (`in_place`, or none could be had), so the threads must stay parked until it has finished.
  // `finished` is called on the agent's thread, not from within, when the image is durable or could not be made.
  using ImageFinished = std::function<void(Result<ImageNote>)>;
  virtual Result<bool> start_image(const std::string& directory, uint64_t generation, bool in_place,
                                   ImageFinished finished) = 0;
  virtual void
  discard_image() = 0;        // end a writer that runs; its `finished` is not called any more
  virtual void resume() = 0;  // after request_stop: all threads go on
  virtual void leave(int exit_code) = 0;
  virtual void finalize_granted() = 0;
  virtual void
  flush_wanted() = 0;  // any thread: flush() is to be called on the agent's thread soon
};

class Rank {
 public:
  Rank(int32_t rank, RankPort& port, std::function<void(Up)> send)
      : rank_(rank), port_(port), send_(std::move(send)), closure_(rank) {}

  // --- the agent's thread
  void hear(const Down& message);
  // Moves the current phase on.  Seconds until it wants to be called again, or nothing.
  std::optional<double> step();
  void flush();     // sends what application threads have brought about
  void orphaned();  // no root any more: forget the attempt, let everybody go on
  Phase phase() const { return phase_; }

  // --- application threads, on the slow path
  bool may_begin(ThreadId thread, const Counter& counter);
  void begun(const Counter& counter);
  void waiting(ThreadId thread, RankSet ranks, std::string call, bool polling = false);
  void running(ThreadId thread);
  bool finalize(
      ThreadId thread);  // true: granted.  False: the thread is held to be gone; ask again

 private:
  void on(const Intent&);
  void on(const Targets&);
  void on(const Permits&);
  void on(const Release&);
  void on(const Query&);
  void on(const Advance&);
  void on(const Resume&);
  void on(const Abandon&);
  void on(const Settle&);
  void on(const Leave&);
  void on(const FinalizeGrant&);
  void enter(Phase phase);
  void phase_done(std::vector<RefusalNote> refusals = {});
  void snapshot_done();
  void image_finished(uint64_t attempt, Result<ImageNote> image);
  void fail(const Error& error);
  void go_on(bool settled);
  double quiet_seconds(const std::vector<Observed>& threads);

  int32_t rank_;
  RankPort& port_;
  std::function<void(Up)> send_;

  uint64_t attempt_ = 0;
  Phase phase_ = Phase::idle;
  bool all_intend_ = false;
  bool stepping_ = false;  // the phase asks for steps and is not done
  bool stopped_ = false;   // request_stop was called and resume was not
  bool failed_ = false;    // reported; waits for the root to abandon
  bool written_ = false;   // the image is durable
  bool in_place_ = false;  // the image is being written from the application's own memory
  uint32_t pending_ = 0;
  int idle_steps_ = 0;
  double snapshot_begun_ = 0, snapshot_ended_ = 0;
  uint64_t last_operations_ = 0;
  double quiet_since_ = -1;

  std::mutex lock_;  // of what follows
  RankClosure closure_;
  bool finalize_reached_ = false, finalize_told_ = false, finalize_granted_ = false;
};

}  // namespace mana::control
