// SPDX-License-Identifier: BSD-3-Clause
// One rank's place in the control tree at work: connections to parent, children and commands, the
// merging of what goes up (relay.h), this rank's own part (rank.h), and at rank 0 the job's
// (job_root.h, root_desk.h).  Everything runs on the thread that runs the io_context, except where
// said.
#pragma once

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control/connection.h"
#include "control/place.h"
#include "control/rank.h"
#include "control/relay.h"
#include "control/root_desk.h"

namespace mana::control {

struct NodeSetup {
  Place place;
  std::vector<Card> cards;
  std::vector<Door> doors;  // doors[0] has the secret
  std::optional<asio::ip::tcp::acceptor> acceptor;
  std::optional<DeskSetup> desk;  // rank 0: which job this is
  JobRoot::Settings settings = {};
  std::function<void(const std::string&)> warn;  // one line for the job's stderr
};

class Node : public DeskWires {
 public:
  Node(asio::io_context& io, NodeSetup setup, RankPort& port);
  void start();
  // Any thread: what the rank has to say goes up soon.
  void poke();
  // A job of one rank without MPI has got MPI, or a front end.
  void describe(const std::string& mpi, const std::string& mpi_version,
                const std::string& front_end);
  // This process ends: removes the job's file and closes all connections.
  void stop();
  // In a job of one: an image that has been taken is written to the end and committed first.  Calls
  // `then` afterwards.
  void stop_after_commit(std::function<void()> then);
  Rank& rank() { return rank_; }

 private:
  struct Child {
    Connection::Pointer connection;  // null: not connected yet, or lost
    bool lost = false;
  };
  void accept_next();
  void welcome(Connection::Pointer connection, Hello hello);
  void child_said(int child, std::span<const std::byte> bytes);
  void child_lost(int child, const std::string& why);
  void connect_parent();
  void parent_lost(const std::string& why);
  void up(std::vector<Up> messages);
  void hear_own(Up message);
  void down(const Down& message);
  void leave(const Leave& leave);
  void step_soon(double seconds);
  void children_ready();
  void set_deadline_for_children();
  void look_for_silent_children();
  // DeskWires
  void broadcast(const Down& message) override;
  void wake_after(double seconds) override;

  asio::io_context& io_;
  NodeSetup setup_;
  RankPort& port_;
  Rank rank_;
  Relay relay_;
  std::unique_ptr<RootDesk> desk_;
  std::map<int, Child> children_;
  Connection::Pointer parent_;
  std::vector<std::string> unsent_;  // for the parent, before it is connected
  asio::steady_timer step_timer_, wake_timer_, patience_, accept_timer_, silence_timer_;
  Relay::Key unanswered_{};     // what somebody has not answered
  double unanswered_since_ = 0;
  std::set<int> excused_;       // of those: who has been named, and who is alive and names others
  bool ready_ = false, finalizing_ = false, stopped_ = false;
  int handshakes_ = 0;
  std::function<void()> after_commit_;
};

}  // namespace mana::control
