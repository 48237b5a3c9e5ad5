// SPDX-License-Identifier: BSD-3-Clause
#include "control/command.h"

#include <fmt/format.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <cerrno>
#include <chrono>
#include <optional>

#include "control/connection.h"
#include "control/files.h"
#include "control/wire.h"

namespace mana::control {

namespace {

bool on_this_host(const JobFile& file) {
  Card card = my_card();
  return file.host_id == hexadecimal(card.host, sizeof card.host);
}

std::vector<asio::ip::tcp::endpoint> ways_to(const JobFile& file) {
  bool here = on_this_host(file);
  std::vector<asio::ip::tcp::endpoint> ways;
  for (const std::string& text : file.addresses) {
    asio::error_code error;
    asio::ip::address address = asio::ip::make_address(text, error);
    if (error || address.is_loopback() != here) continue;
    ways.emplace_back(address, file.port);
  }
  return ways;
}

using ConnectOutcome = std::variant<Connection::Pointer, Connection::Failure>;

ConnectOutcome connect(asio::io_context& io, const JobFile& file) {
  std::optional<ConnectOutcome> outcome;
  Connection::connect(io, ways_to(file), {Role::command, -1}, file.secret,
                      [&](ConnectOutcome result) { outcome = std::move(result); });
  io.run();
  io.restart();
  return *outcome;
}

Error not_running(const std::string& directory, const std::string& why) {
  return {fmt::format("no job is running with checkpoint directory {} ({})", directory, why)};
}

std::string does_not_answer(const JobFile& file) {
  return fmt::format("rank 0 (process {} on {}) does not answer: it has been stopped (SIGSTOP), or its host is out of reach; let it go on",
                     file.pid, file.host);
}

// Rank 0 tells every few seconds what it waits for, but not to a command whose turn has not come: so who has heard nothing for long
// knocks once more.
class Listening {
 public:
  Listening(asio::io_context& io, const JobFile& file, const std::function<void(const std::string&)>& story)
      : timer_(io), file_(file), story_(story) {
    heard();
  }
  void heard() {
    timer_.expires_after(kPatience);
    timer_.async_wait([this](asio::error_code cancelled) {
      if (cancelled) return;
      asio::io_context other;
      const ConnectOutcome outcome = connect(other, file_);
      if (auto* failure = std::get_if<Connection::Failure>(&outcome); failure != nullptr && !failure->refused) story_(does_not_answer(file_));
      heard();
    });
  }
  void stop() { timer_.cancel(); }

 private:
  static constexpr std::chrono::seconds kPatience{10};
  asio::steady_timer timer_;
  const JobFile& file_;
  const std::function<void(const std::string&)>& story_;
};

}  // namespace

Result<Answer> ask_job(const std::string& directory, const Command& command,
                       const std::function<void(const std::string&)>& story) {
  if (sodium_init() < 0) return Error{"libsodium cannot be initialised"};
  Result<JobFile> file = read_job_file(directory);
  if (!file.ok()) {
    bool missing = access((directory + "/control.json").c_str(), F_OK) != 0 && errno == ENOENT;
    if (missing) return not_running(directory, "it has no control.json; a job under mpirun has one from its MPI_Init on");
    return file.error();
  }
  asio::io_context io;
  ConnectOutcome outcome = connect(io, file.value());
  if (auto* failure = std::get_if<Connection::Failure>(&outcome)) {
    if (on_this_host(file.value())) {
      return failure->refused ? not_running(directory, "its last one has ended") : Error{does_not_answer(file.value())};
    }
    return Error{
        fmt::format("the job of checkpoint directory {} runs on host {} and cannot be reached from "
                    "here ({}): run "
                    "this command on that host",
                    directory, file.value().host, failure->error.text)};
  }
  auto connection = std::get<Connection::Pointer>(outcome);
  std::optional<Answer> answer;
  Listening listening(io, file.value(), story);
  connection->start(
      [&](std::span<const std::byte> bytes) {
        listening.heard();
        Result<ToCommand> message = decode<ToCommand>(bytes);
        if (!message.ok())
          answer = Answer{false, 0, "this mana and the job's are of different builds"};
        else if (auto* line = std::get_if<Story>(&message.value()))
          story(line->line);
        else
          answer = std::get<Answer>(message.value());
        if (!answer) return;
        listening.stop();
        connection->close();
      },
      [&](const std::string&) { listening.stop(); });
  connection->send(encode(command));
  io.run();
  if (!answer)
    return Error{"the job has ended before it answered; `mana list` shows what is committed"};
  return *answer;
}

Ownership who_owns(const std::string& directory) {
  Ownership ownership;
  Result<JobFile> file = read_job_file(directory);
  if (!file.ok() || sodium_init() < 0) return ownership;
  ownership.job = file.value();
  asio::io_context io;
  ConnectOutcome outcome = connect(io, file.value());
  if (auto* connection = std::get_if<Connection::Pointer>(&outcome)) {
    (*connection)->close();
    ownership.owner = Owner::running;
  } else if (!on_this_host(file.value()) && !std::get<Connection::Failure>(outcome).refused) {
    ownership.owner = Owner::unreachable;
  }
  return ownership;
}

Outcome prepare_directory(const std::string& directory) {
  struct stat facts {};
  if (stat(directory.c_str(), &facts) != 0) {
    if (errno != ENOENT)
      return Error{fmt::format("checkpoint directory {}: {}", directory, reason(errno))};
    // Ranks of one launch may do this at the same time.
    if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
      return Error{
          fmt::format("checkpoint directory {} cannot be made: {}; create its parent, make it "
                      "writable, or give another with --ckpt-dir",
                      directory, reason(errno))};
    }
  } else if (!S_ISDIR(facts.st_mode)) {
    return Error{fmt::format("checkpoint directory {} is not a directory", directory)};
  }
  if (access(directory.c_str(), W_OK | X_OK) != 0) {
    return Error{
        fmt::format("checkpoint directory {} is not writable: {}; give another with --ckpt-dir",
                    directory, reason(errno))};
  }
  Ownership owner = who_owns(directory);
  if (owner.owner == Owner::running) {
    return Error{
        fmt::format("checkpoint directory {} belongs to a running job (process {} on {}): give "
                    "this one another with "
                    "--ckpt-dir",
                    directory, owner.job.pid, owner.job.host)};
  }
  if (owner.owner == Owner::unreachable) {
    return Error{
        fmt::format("checkpoint directory {} may belong to a job on {} that cannot be asked from "
                    "here: if that has "
                    "ended, remove {}/control.json",
                    directory, owner.job.host, directory)};
  }
  return Done{};
}

}  // namespace mana::control
