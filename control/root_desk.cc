// SPDX-License-Identifier: BSD-3-Clause
#include "control/root_desk.h"

#include <chrono>

#include "control/files.h"
#include "control/generations.h"
#include "control/status.h"
#include "control/wire.h"

namespace mana::control {

RootDesk::RootDesk(DeskWires& wires, DeskSetup setup, JobRoot::Settings settings,
                   std::function<void(const std::string&)> warn)
    : wires_(wires), setup_(std::move(setup)), warn_(std::move(warn)), root_(*this, settings) {}

double RootDesk::now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Outcome RootDesk::open() {
  remove_leftovers(setup_.directory);
  Outcome wrote = write_job_file(setup_.directory, setup_.file);
  written_ = wrote.ok();
  if (!wrote.ok()) return wrote.error().during("checkpoint directory " + setup_.directory);
  return Done{};
}

void RootDesk::close() {
  if (std::exchange(written_, false)) remove_job_file(setup_.directory, setup_.file.job);
  for (auto& [id, connection] : std::exchange(clients_, {})) connection->close();
}

void RootDesk::describe(const std::string& mpi, const std::string& mpi_version,
                        const std::string& front_end) {
  setup_.manifest.mpi = mpi;
  setup_.manifest.mpi_version = mpi_version;
  setup_.manifest.front_end = front_end;
}

void RootDesk::client(Connection::Pointer connection) {
  uint64_t id = ++last_client_;
  clients_[id] = connection;
  connection->start(
      [this, id](std::span<const std::byte> bytes) {
        Result<Command> command = decode<Command>(bytes);
        if (command.ok())
          root_.command(id, command.value());
        else
          tell(id, Answer{false, 0, "this mana and the job's are of different builds"});
      },
      [this, id](const std::string&) {
        clients_.erase(id);
        root_.client_gone(id);
      });
}

void RootDesk::tell(uint64_t client, const ToCommand& message) {
  auto found = clients_.find(client);
  if (found != clients_.end()) found->second->send(encode(message));
}

void RootDesk::when_told(std::function<void()> then) {
  // The last of the connections to be done calls `then`.
  auto all = std::shared_ptr<void>(nullptr, [then = std::move(then)](void*) { then(); });
  for (auto& [id, connection] : clients_) connection->when_sent([all] {});
}

Result<OpenGeneration> RootDesk::open_generation() {
  return control::open_generation(setup_.directory);
}

Outcome RootDesk::commit(const OpenGeneration& generation, const std::vector<ImageNote>& images,
                         const Costs& costs, uint32_t keep) {
  Manifest manifest = setup_.manifest;
  manifest.job = setup_.file.job;
  manifest.mana_version = MANA_VERSION;
  manifest.generation = generation.number;
  manifest.ranks = setup_.file.ranks;
  manifest.time = utc_now();
  manifest.images = images;
  manifest.costs = costs;
  if (keep) setup_.keep = keep;
  return commit_generation(setup_.directory, generation, manifest, setup_.keep);
}

void RootDesk::drop(const OpenGeneration& generation) { drop_generation(generation); }

std::string RootDesk::status_text(const JobStatus& status) {
  return status_json(status, setup_.file, setup_.manifest, setup_.directory);
}

}  // namespace mana::control
