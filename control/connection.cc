// SPDX-License-Identifier: BSD-3-Clause
#include "control/connection.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/read.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>
#include <chrono>

#include "control/handshake.h"

namespace mana::control {

namespace {

using asio::ip::tcp;

// A stranger gets this long for the first bytes; a peer that is swapping still makes it.
constexpr std::chrono::seconds kHandshakeTime{10};
constexpr std::chrono::seconds kConnectTime{5};

void set(int descriptor, int level, int option, int value) {
  setsockopt(descriptor, level, option, &value,
             sizeof value);  // best effort: all have working defaults
}

// A peer whose host vanished without a word is noticed within about a minute.
void prepare(tcp::socket& socket) {
  int descriptor = socket.native_handle();
  fcntl(descriptor, F_SETFD,
        FD_CLOEXEC);  // a program that the application executes must not keep it open
  set(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
  set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, 30);
  set(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set(descriptor, IPPROTO_TCP, TCP_KEEPCNT, 3);
  set(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, 60000);
}

// Closes the socket when the time is over, unless destroyed before.
class Deadline {
 public:
  Deadline(tcp::socket& socket, std::chrono::seconds time)
      : timer_(socket.get_executor(), time), over_(std::make_shared<bool>(false)) {
    timer_.async_wait([&socket, over = over_](asio::error_code error) {
      if (error || *over) return;
      *over = true;
      asio::error_code ignored;
      socket.close(ignored);
    });
  }
  ~Deadline() { *over_ = true; }  // the timer's handler may be queued already
  bool over() const { return *over_; }

 private:
  asio::steady_timer timer_;
  std::shared_ptr<bool> over_;
};

std::string text_of(const tcp::endpoint& address) {
  return address.address().to_string() + " port " + std::to_string(address.port());
}

using ConnectDone = std::function<void(std::variant<Connection::Pointer, Connection::Failure>)>;

asio::awaitable<void> try_addresses(std::vector<tcp::endpoint> addresses, Hello hello,
                                    Secret secret, ConnectDone done) {
  auto executor = co_await asio::this_coro::executor;
  Connection::Failure failure{{"no address to connect to"}, true};
  bool all_refused = true;
  for (const tcp::endpoint& address : addresses) {
    tcp::socket socket(executor);
    bool timed_out = false;
    try {
      {
        Deadline deadline(socket, kConnectTime);
        try {
          co_await socket.async_connect(address, asio::use_awaitable);
        } catch (const std::system_error&) {
          timed_out = deadline.over();
          throw;
        }
      }
      prepare(socket);
      {
        Deadline deadline(socket, kHandshakeTime);
        try {
          co_await introduce(socket, hello, secret);
        } catch (const std::system_error&) {
          timed_out = deadline.over();
          throw;
        }
      }
      done(std::make_shared<Connection>(std::move(socket)));
      co_return;
    } catch (const HandshakeRefused& refused) {
      failure = {{text_of(address) + ": " + refused.what()}, all_refused};
    } catch (const std::system_error& error) {
      std::string why = timed_out ? "no answer" : error.code().message();
      bool nobody = error.code() == asio::error::connection_refused ||
                    error.code() == asio::error::eof ||
                    error.code() == asio::error::connection_reset;
      all_refused = all_refused && nobody && !timed_out;
      failure = {{text_of(address) + ": " + why}, all_refused};
    }
  }
  done(failure);
}

asio::awaitable<void> welcome(
    tcp::socket socket, Secret secret,
    std::function<void(Result<std::pair<Connection::Pointer, Hello>>)> done) {
  std::string why;
  try {
    prepare(socket);
    Hello hello;
    {
      Deadline deadline(socket, kHandshakeTime);
      hello = co_await receive_introduction(socket, secret);
    }
    done(std::pair(std::make_shared<Connection>(std::move(socket)), hello));
    co_return;
  } catch (const std::exception& error) {
    why = error.what();
  }
  done(Error{why});
}

}  // namespace

void Connection::connect(asio::io_context& io, std::vector<tcp::endpoint> addresses, Hello hello,
                         const Secret& secret, ConnectDone done) {
  asio::co_spawn(io, try_addresses(std::move(addresses), hello, secret, std::move(done)),
                 asio::detached);
}

void Connection::accept(tcp::socket socket, const Secret& secret,
                        std::function<void(Result<std::pair<Pointer, Hello>>)> done) {
  auto executor = socket.get_executor();
  asio::co_spawn(executor, welcome(std::move(socket), secret, std::move(done)), asio::detached);
}

void Connection::start(std::function<void(std::span<const std::byte>)> message,
                       std::function<void(std::string)> closed) {
  message_ = std::move(message);
  closed_ = std::move(closed);
  asio::co_spawn(
      socket_.get_executor(), [self = shared_from_this()] { return self->read_messages(); },
      asio::detached);
}

asio::awaitable<void> Connection::read_messages() {
  std::string why;
  std::vector<std::byte> bytes;
  try {
    while (open_) {
      uint32_t length = 0;
      co_await asio::async_read(socket_, asio::buffer(&length, sizeof length), asio::use_awaitable);
      if (length > kLongestMessage) {
        why = "a message is too long";
        break;
      }
      bytes.resize(length);
      co_await asio::async_read(socket_, asio::buffer(bytes), asio::use_awaitable);
      if (open_) message_(bytes);
    }
  } catch (const std::system_error& error) {
    why = error.code() == asio::error::eof ? "the connection was closed" : error.code().message();
  }
  fail(why);
}

void Connection::send(std::string payload) {
  if (!open_) return;
  auto length = static_cast<uint32_t>(payload.size());
  std::string framed(reinterpret_cast<const char*>(&length), sizeof length);
  framed += payload;
  queue_.push_back(std::move(framed));
  if (std::exchange(writing_, true)) return;
  asio::co_spawn(
      socket_.get_executor(), [self = shared_from_this()] { return self->write_messages(); },
      asio::detached);
}

asio::awaitable<void> Connection::write_messages() {
  std::string why;
  try {
    while (open_ && !queue_.empty()) {
      // Not in the queue meanwhile: fail() may clear that before this goes on, also after a write that succeeded.
      const std::string message = std::move(queue_.front());
      queue_.pop_front();
      co_await asio::async_write(socket_, asio::buffer(message), asio::use_awaitable);
    }
  } catch (const std::system_error& error) {
    why = error.code().message();
  }
  writing_ = false;
  if (!why.empty()) fail(why);
  if (auto sent = std::exchange(sent_, nullptr)) sent();
}

void Connection::when_sent(std::function<void()> then) {
  if (!open_ || (queue_.empty() && !writing_)) return then();
  sent_ = std::move(then);
}

void Connection::fail(const std::string& why) {
  if (!std::exchange(open_, false)) return;
  asio::error_code ignored;
  socket_.close(ignored);
  queue_.clear();
  auto closed = std::exchange(closed_, nullptr);
  if (closed) closed(why);
}

void Connection::close() {
  closed_ = nullptr;
  fail("");
}

}  // namespace mana::control
