// SPDX-License-Identifier: BSD-3-Clause
#include "control/node.h"

#include <fmt/format.h>

#include <algorithm>
#include <asio/post.hpp>
#include <chrono>

#include "control/wire.h"

namespace mana::control {

namespace {

using asio::ip::tcp;

constexpr int kSelf = -1;             // this rank among the relay's contributors
constexpr int kMostHandshakes = 256;  // connections that have not proved anything yet, at one time
constexpr std::chrono::seconds kTreePatience{60};  // for all children to connect
constexpr double kSilencePatience = 10;  // seconds that an agent may take for an answer before it is named
constexpr double kSilencePerLevel = 1;   // more, so that who is nearer to it speaks first
constexpr double kLookForSilence = 0.5;

std::chrono::nanoseconds duration(double seconds) {
  return std::chrono::nanoseconds(static_cast<int64_t>(seconds * 1e9));
}

std::set<int> contributors(const Place& place) {
  std::vector<int> children = place.children();
  std::set<int> all(children.begin(), children.end());
  all.insert(kSelf);
  return all;
}

std::vector<tcp::endpoint> ways_to(int rank, const NodeSetup& setup) {
  const Card& mine = setup.cards[static_cast<std::size_t>(setup.place.rank)];
  const Card& theirs = setup.cards[static_cast<std::size_t>(rank)];
  uint16_t port = setup.doors[static_cast<std::size_t>(rank)].port;
  std::vector<tcp::endpoint> ways;
  if (std::equal(std::begin(mine.host), std::end(mine.host), std::begin(theirs.host))) {
    ways.emplace_back(asio::ip::address_v4::loopback(), port);
    return ways;
  }
  for (const std::string& text : addresses_of(theirs))
    ways.emplace_back(asio::ip::make_address(text), port);
  return ways;
}

}  // namespace

Node::Node(asio::io_context& io, NodeSetup setup, RankPort& port)
    : io_(io),
      setup_(std::move(setup)),
      port_(port),
      rank_(setup_.place.rank, port, [this](Up message) { hear_own(std::move(message)); }),
      relay_(contributors(setup_.place)),
      step_timer_(io),
      wake_timer_(io),
      patience_(io),
      accept_timer_(io),
      silence_timer_(io) {
  for (int child : setup_.place.children()) children_[child] = {};
  if (setup_.desk)
    desk_ = std::make_unique<RootDesk>(*this, *setup_.desk, setup_.settings, setup_.warn);
}

void Node::start() {
  if (setup_.acceptor) accept_next();
  if (desk_) {
    if (Outcome opened = desk_->open(); !opened.ok()) desk_->root().cannot(opened.error().text);
  }
  if (!children_.empty()) set_deadline_for_children();
  children_ready();
}

void Node::poke() {
  asio::post(io_, [this] {
    if (!stopped_) rank_.flush();
  });
}

void Node::describe(const std::string& mpi, const std::string& mpi_version,
                    const std::string& front_end) {
  if (desk_) desk_->describe(mpi, mpi_version, front_end);
}

void Node::stop_after_commit(std::function<void()> then) {
  bool writing = desk_ && setup_.place.size == 1 && desk_->root().phase() == Phase::write;
  if (!writing) return then();
  after_commit_ = std::move(then);
}

void Node::stop() {
  if (std::exchange(stopped_, true)) return;
  if (desk_) desk_->close();
  asio::error_code ignored;
  if (setup_.acceptor) setup_.acceptor->close(ignored);
  step_timer_.cancel();
  wake_timer_.cancel();
  patience_.cancel();
  accept_timer_.cancel();
  silence_timer_.cancel();
  for (auto& [rank, child] : children_) {
    if (child.connection) child.connection->close();
  }
  if (parent_) parent_->close();
}

// --- connections

void Node::accept_next() {
  setup_.acceptor->async_accept(io_, [this](asio::error_code error, tcp::socket socket) {
    if (stopped_) return;
    if (error) {  // out of descriptors, most likely: that can pass
      accept_timer_.expires_after(std::chrono::seconds(1));
      accept_timer_.async_wait([this](asio::error_code cancelled) {
        if (!cancelled) accept_next();
      });
      return;
    }
    if (handshakes_ < kMostHandshakes) {  // otherwise the socket is closed here
      ++handshakes_;
      Connection::accept(std::move(socket), setup_.doors[0].secret, [this](auto result) {
        --handshakes_;
        if (stopped_ || !result.ok()) return;  // a stranger
        welcome(result.value().first, result.value().second);
      });
    }
    accept_next();
  });
}

void Node::welcome(Connection::Pointer connection, Hello hello) {
  if (hello.role == Role::command && desk_) return desk_->client(std::move(connection));
  auto child = children_.find(hello.rank);
  if (hello.role != Role::child || child == children_.end() || child->second.connection ||
      child->second.lost) {
    return connection->close();
  }
  child->second.connection = connection;
  int rank = hello.rank;
  connection->start([this, rank](std::span<const std::byte> bytes) { child_said(rank, bytes); },
                    [this, rank](const std::string& why) { child_lost(rank, why); });
  children_ready();
}

void Node::set_deadline_for_children() {
  patience_.expires_after(kTreePatience);
  patience_.async_wait([this](asio::error_code cancelled) {
    if (cancelled || ready_) return;
    for (auto& [rank, child] : children_) {
      if (!child.connection && !child.lost)
        child_lost(rank, "it has not connected to the control tree");
    }
  });
}

// A node tells its parent that it is there when its whole subtree is, so the root's readiness is
// everybody's.
void Node::children_ready() {
  if (ready_) return;
  for (auto& [rank, child] : children_) {
    if (!child.connection) return;
  }
  ready_ = true;
  patience_.cancel();
  if (desk_)
    desk_->root().ready();
  else
    connect_parent();
}

void Node::connect_parent() {
  int parent = setup_.place.parent();
  Connection::connect(
      io_, ways_to(parent, setup_), {Role::child, setup_.place.rank}, setup_.doors[0].secret,
      [this](auto outcome) {
        if (stopped_) return;
        if (auto* failure = std::get_if<Connection::Failure>(&outcome)) {
          return parent_lost(failure->error.text);  // the parent will miss this rank and say so
        }
        parent_ = std::get<Connection::Pointer>(outcome);
        parent_->start(
            [this](std::span<const std::byte> bytes) {
              Result<Down> message = decode<Down>(bytes);
              if (message.ok())
                down(message.value());
              else
                parent_lost(message.error().text);
            },
            [this](const std::string& why) { parent_lost(why); });
        for (std::string& message : std::exchange(unsent_, {})) parent_->send(std::move(message));
      });
}

// Without a way to the root this subtree goes on by itself: everything parked is let go, and nobody
// waits for an agreement to finalize.
void Node::parent_lost(const std::string& why) {
  if (stopped_ || finalizing_) return;
  finalizing_ = true;
  // Said once, by the first of those who notice; the loss of any other rank is told by the root.
  const std::vector<int>& parents = setup_.place.parents;
  bool first = std::find(parents.begin(), parents.end(), 0) - parents.begin() == setup_.place.rank;
  if (first)
    setup_.warn("rank 0 was lost: " + why +
                "; checkpoints are no longer possible, the job goes on");
  if (parent_) parent_->close();
  parent_.reset();
  for (auto& [rank, child] : children_) {
    if (child.connection) child.connection->close();
    child = {nullptr, true};
  }
  rank_.orphaned();
}

void Node::child_said(int child, std::span<const std::byte> bytes) {
  Result<Up> message = decode<Up>(bytes);
  if (!message.ok()) {
    children_[child].connection->close();
    return child_lost(child, message.error().text);
  }
  if (std::holds_alternative<Silent>(message.value())) excused_.insert(child);
  up(relay_.hear(child, std::move(message.value())));
}

// A rank that is stopped, or whose host is out of reach, is not lost: it may come back.  It is named, and everybody goes on
// waiting.
void Node::look_for_silent_children() {
  silence_timer_.expires_after(duration(kLookForSilence));
  silence_timer_.async_wait([this](asio::error_code cancelled) {
    if (cancelled || stopped_) return;
    look_for_silent_children();
    const auto unanswered = relay_.unanswered();
    if (!unanswered || unanswered->key != unanswered_) {
      unanswered_ = unanswered ? unanswered->key : Relay::Key{};
      unanswered_since_ = port_.now();
      excused_.clear();
      return;
    }
    const double seconds = port_.now() - unanswered_since_;
    if (seconds < kSilencePatience + kSilencePerLevel * (setup_.place.height() - 1)) return;
    for (const int child : unanswered->by) {
      if (child == kSelf || !excused_.insert(child).second) continue;
      const Card& card = setup_.cards[static_cast<std::size_t>(child)];
      const auto behind = static_cast<uint32_t>(setup_.place.below(child).size() - 1);
      up({Silent{std::get<1>(unanswered->key), child, card.pid, behind, seconds, card.name}});
    }
  });
}

void Node::child_lost(int child, const std::string& why) {
  children_[child] = {nullptr, true};
  if (stopped_ || finalizing_) return;
  up(relay_.lose(child, Lost{rank_set(setup_.place.below(child)), why}));
}

// --- messages

void Node::hear_own(Up message) { up(relay_.hear(kSelf, std::move(message))); }

void Node::up(std::vector<Up> messages) {
  for (Up& message : messages) {
    if (desk_)
      desk_->root().hear(std::move(message));
    else if (parent_)
      parent_->send(encode(message));
    else if (!finalizing_)
      unsent_.push_back(encode(message));
  }
}

// The root's own rank hears a broadcast after what goes on now, like every other rank.
void Node::broadcast(const Down& message) {
  asio::post(io_, [this, message] {
    if (!stopped_) down(message);
  });
}

void Node::down(const Down& message) {
  std::string bytes = encode(message);
  for (auto& [rank, child] : children_) {
    if (child.connection) child.connection->send(bytes);
  }
  if (std::holds_alternative<FinalizeGrant>(message)) finalizing_ = true;
  if (std::holds_alternative<Intent>(message) && !children_.empty()) look_for_silent_children();
  if (auto* last = std::get_if<Leave>(&message)) return leave(*last);
  rank_.hear(message);
  step_soon(0);
  bool over = std::holds_alternative<Settle>(message) || std::holds_alternative<Abandon>(message);
  if (over) silence_timer_.cancel();
  if (over && after_commit_) std::exchange(after_commit_, nullptr)();
}

// The process ends inside rank_.hear: everything must have been sent before.
void Node::leave(const Leave& leave) {
  finalizing_ = true;
  auto all = std::shared_ptr<void>(
      nullptr, [this, leave](void*) { asio::post(io_, [this, leave] { rank_.hear(leave); }); });
  for (auto& [rank, child] : children_) {
    if (child.connection) child.connection->when_sent([all] {});
  }
  if (desk_) {
    desk_->when_told([all] {});
  }
}

void Node::step_soon(double seconds) {
  step_timer_.expires_after(duration(seconds));
  step_timer_.async_wait([this](asio::error_code cancelled) {
    if (cancelled || stopped_) return;
    if (auto again = rank_.step()) step_soon(*again);
  });
}

void Node::wake_after(double seconds) {
  wake_timer_.expires_after(duration(seconds));
  wake_timer_.async_wait([this](asio::error_code cancelled) {
    if (!cancelled && !stopped_) desk_->root().wake();
  });
}

}  // namespace mana::control
