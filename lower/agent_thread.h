// SPDX-License-Identifier: BSD-3-Clause
// The running agent, for the two files that make it up: agent.cc (its life) and agent_closure.cc
// (what application threads ask it).
#pragma once

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "control/join.h"
#include "control/node.h"
#include "lower/agent.h"
#include "lower/agent_port.h"

namespace mana::lower {

class Agent {
 public:
  // Collective over the job.  Null with one line on stderr when this job cannot be checkpointed.
  static std::unique_ptr<Agent> start(const AgentJob& job);
  ~Agent();
  void joined(const AgentJob& job);  // a job of one has initialised MPI
  void end();

  control::Rank& rank() { return node_->rank(); }
  // Waits a moment for the agreement to finalize; ends early when something has to be done in
  // between.
  void wait_for_finalize();

 private:
  Agent(const AgentJob& job) : job_(job), work_(asio::make_work_guard(io_)) {}
  void run();

  AgentJob job_;
  asio::io_context io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::unique_ptr<AgentPort> port_;
  std::unique_ptr<control::Node> node_;
  std::thread thread_;
  std::mutex finalize_lock_;
  std::condition_variable finalize_granted_;
  bool granted_ = false;
};

// Null while there is none.
Agent* the_agent();

}  // namespace mana::lower
