// SPDX-License-Identifier: BSD-3-Clause
#include "lower/agent.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <asio/post.hpp>
#include <atomic>
#include <chrono>

#include "lower/agent_thread.h"
#include "lower/stop.h"

namespace mana::lower {

namespace {

std::atomic<Agent*> running{nullptr};

void warn(int rank, const std::string& line) {
  const std::string text = fmt::format("mana: rank {}: control: {}\n", rank, line);
  (void)!write(STDERR_FILENO, text.data(), text.size());
}

// The application's signals are not for this thread.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

control::DeskSetup desk_of(const AgentJob& job, const control::NodeSetup& setup) {
  control::DeskSetup desk;
  desk.directory = job.directory;
  desk.keep = static_cast<uint32_t>(job.keep);
  desk.file = control::job_file_of(setup);
  desk.file.program = job.program;
  desk.manifest.mpi = job.mpi;
  desk.manifest.mpi_version = job.mpi_version;
  desk.manifest.front_end = job.front_end;
  desk.manifest.program = job.program;
  desk.manifest.arguments = job.arguments;
  desk.manifest.restarted_from = job.restarted_from;
  return desk;
}

}  // namespace

Agent* the_agent() { return running.load(std::memory_order_acquire); }

std::unique_ptr<Agent> Agent::start(const AgentJob& job) {
  auto agent = std::unique_ptr<Agent>(new Agent(job));
  auto setup = control::join_job(agent->io_, job.rank, job.size, job.allgather, control::my_card());
  const bool barrier = register_barrier();  // at once: main.cc
  if (!setup.ok() || !barrier) {
    const std::string why = setup.ok() ? "this kernel has no membarrier" : setup.error().text;
    // Without one rank there is no checkpoint: its place in the tree stays empty, which the root
    // reports.
    if (job.rank == 0 || !barrier) warn(job.rank, why + "; this job cannot be checkpointed");
    return nullptr;
  }
  agent->port_ = std::make_unique<AgentPort>(agent->io_, job, setup.value().doors[0].job);
  control::NodeSetup& node = setup.value();
  node.warn = [rank = job.rank](const std::string& line) { warn(rank, line); };
  if (job.rank == 0) node.desk = desk_of(job, node);
  agent->node_ = std::make_unique<control::Node>(agent->io_, std::move(node), *agent->port_);
  Agent* self = agent.get();
  agent->port_->on_flush_wanted = [self] { self->node_->poke(); };
  agent->port_->on_leave = [self] { self->node_->stop(); };
  agent->port_->on_image = [self](const std::string& front_end) {
    self->node_->describe(self->port_->job().mpi, self->port_->job().mpi_version, front_end);
  };
  agent->port_->on_finalize_granted = [self] {
    std::lock_guard guard(self->finalize_lock_);
    self->granted_ = true;
    self->finalize_granted_.notify_all();
  };
  agent->node_->start();  // here, so that commands find the job once MPI_Init has returned at rank 0
  const SignalsBlocked blocked;
  agent->thread_ = std::thread([self] { self->run(); });
  return agent;
}

void Agent::run() {
  prctl(PR_SET_NAME, "mana-agent");
  io_.run();
}

void Agent::joined(const AgentJob& job) {
  asio::post(io_, [this, job] {
    AgentJob& known = port_->job();
    known.mpi = job.mpi;
    known.mpi_version = job.mpi_version;
    known.leave = job.leave;
    node_->describe(job.mpi, job.mpi_version, job.front_end);
  });
}

void Agent::end() {
  if (std::this_thread::get_id() == thread_.get_id()) return node_->stop();
  asio::post(io_, [this] {
    node_->stop_after_commit([this] {
      node_->stop();
      io_.stop();
    });
  });
  thread_.join();
}

Agent::~Agent() {
  if (thread_.joinable()) thread_.detach();
}

void Agent::wait_for_finalize() {
  // The caller moves the network between two of these; a few milliseconds more or less do not
  // matter at the end of a job.
  std::unique_lock guard(finalize_lock_);
  finalize_granted_.wait_for(guard, std::chrono::milliseconds(2), [this] { return granted_; });
}

bool agent_start(const AgentJob& job) {
  if (Agent* agent = the_agent()) {
    if (job.size != 1) {
      warn(job.rank, "this process was started as a job of one and cannot become one of several");
      return false;
    }
    agent->joined(job);
    return true;
  }
  if (job.upper != nullptr) {  // of an image: as it was while everything was parked
    job.upper->control.intent.store(0);
    job.upper->control.stop.store(0);
    job.upper->control.job_ending.store(0);
  }
  std::unique_ptr<Agent> agent = Agent::start(job);
  if (agent == nullptr) return false;
  running.store(agent.release(), std::memory_order_release);  // lives as long as the process
  return true;
}

void agent_end() {
  static std::atomic<bool> ended{false};
  Agent* agent = the_agent();
  if (agent != nullptr && !ended.exchange(true)) agent->end();
}

}  // namespace mana::lower
