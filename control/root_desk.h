// SPDX-License-Identifier: BSD-3-Clause
// What the root does besides sending messages: talks to commands, makes and commits generations,
// keeps the job's file, writes the status.  The RootPort of a real job.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "control/connection.h"
#include "control/job_file.h"
#include "control/job_root.h"
#include "control/manifest.h"

namespace mana::control {

// How the root reaches the ranks and the clock: node.h.
class DeskWires {
 public:
  virtual ~DeskWires() = default;
  virtual void broadcast(const Down& message) = 0;
  virtual void wake_after(double seconds) = 0;
};

struct DeskSetup {
  std::string directory;  // checkpoint directory, absolute
  uint32_t keep = 2;
  JobFile file;
  Manifest manifest;  // what is the same for every generation of this run
};

class RootDesk : public RootPort {
 public:
  RootDesk(DeskWires& wires, DeskSetup setup, JobRoot::Settings settings,
           std::function<void(const std::string&)> warn);
  JobRoot& root() { return root_; }

  // The directory is usable and the job's file is written; or why not.
  Outcome open();
  void close();                                 // the job ends
  void client(Connection::Pointer connection);  // a command has connected
  void when_told(
      std::function<void()> then);  // once all clients have been sent what they were told
  // MPI is there now: what was started as a job of one rank without MPI.
  void describe(const std::string& mpi, const std::string& mpi_version,
                const std::string& front_end);

 private:
  double now() override;
  void broadcast(const Down& message) override { wires_.broadcast(message); }
  void wake_after(double seconds) override { wires_.wake_after(seconds); }
  void tell(uint64_t client, const ToCommand& message) override;
  Result<OpenGeneration> open_generation() override;
  Outcome commit(const OpenGeneration& generation, const std::vector<ImageNote>& images,
                 const Costs& costs, uint32_t keep) override;
  void drop(const OpenGeneration& generation) override;
  std::string status_text(const JobStatus& status) override;
  void warn(const std::string& line) override { warn_(line); }

  DeskWires& wires_;
  DeskSetup setup_;
  std::function<void(const std::string&)> warn_;
  JobRoot root_;
  std::map<uint64_t, Connection::Pointer> clients_;
  uint64_t last_client_ = 0;
  bool written_ = false;
};

}  // namespace mana::control
