// SPDX-License-Identifier: BSD-3-Clause
// One authenticated connection that carries whole messages in order.  Made by connect() or
// accept(), which do the handshake: each side proves with a keyed hash of both sides' random
// numbers that it holds the job's secret; the secret itself is never sent.  All functions and
// callbacks run on the thread that runs the io_context.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "control/place.h"
#include "control/result.h"

namespace mana::control {

enum class Role : uint8_t { child = 1, command = 2 };
struct Hello {
  Role role = Role::command;
  int32_t rank = -1;  // of a child
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Pointer = std::shared_ptr<Connection>;
  static constexpr std::size_t kLongestMessage = std::size_t{256} << 20;

  // Tries the addresses one after the other.  Errors say which step failed; `refused` means that
  // somebody else or nobody listens there, as for a job that has ended.
  struct Failure {
    Error error;
    bool refused = false;
  };
  static void connect(asio::io_context& io, std::vector<asio::ip::tcp::endpoint> addresses,
                      Hello hello, const Secret& secret,
                      std::function<void(std::variant<Pointer, Failure>)> done);
  static void accept(asio::ip::tcp::socket socket, const Secret& secret,
                     std::function<void(Result<std::pair<Pointer, Hello>>)> done);

  void start(std::function<void(std::span<const std::byte>)> message,
             std::function<void(std::string)> closed);
  void send(std::string payload);
  void when_sent(std::function<void()> then);  // also when the connection has failed
  void close();                                // no callback comes after it

  explicit Connection(asio::ip::tcp::socket socket) : socket_(std::move(socket)) {}

 private:
  asio::awaitable<void> read_messages();
  asio::awaitable<void> write_messages();
  void fail(const std::string& why);

  asio::ip::tcp::socket socket_;
  std::function<void(std::span<const std::byte>)> message_;
  std::function<void(std::string)> closed_;
  std::function<void()> sent_;
  std::deque<std::string> queue_;
  bool writing_ = false, open_ = true;
};

}  // namespace mana::control
