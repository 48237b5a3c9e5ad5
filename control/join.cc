// SPDX-License-Identifier: BSD-3-Clause
#include "control/join.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sodium.h>
#include <unistd.h>

#include <asio/ip/v6_only.hpp>

namespace mana::control {

namespace {

using asio::ip::tcp;

template <class T>
std::vector<T> gather(const T& mine, int size, const Allgather& allgather) {
  std::vector<T> all(static_cast<std::size_t>(size));
  if (size == 1)
    all[0] = mine;
  else
    allgather(&mine, all.data(), sizeof(T));
  return all;
}

// On the loopback interface when the whole job is on this host, otherwise on all interfaces.
tcp::acceptor listen(asio::io_context& io, bool loopback_only, asio::error_code& error) {
  std::vector<tcp::endpoint> choices;
  if (loopback_only)
    choices = {{asio::ip::address_v4::loopback(), 0}};
  else
    choices = {{tcp::v6(), 0}, {tcp::v4(), 0}};  // the first serves both where the kernel has IPv6
  tcp::acceptor acceptor(io);
  for (const tcp::endpoint& choice : choices) {
    acceptor = tcp::acceptor(io);
    acceptor.open(choice.protocol(), error);
    if (!error) fcntl(acceptor.native_handle(), F_SETFD, FD_CLOEXEC);
    if (!error && choice.protocol() == tcp::v6())
      acceptor.set_option(asio::ip::v6_only(false), error);
    if (!error) acceptor.bind(choice, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (!error) break;
  }
  return acceptor;
}

}  // namespace

Result<NodeSetup> join_job(asio::io_context& io, int rank, int size, const Allgather& allgather,
                           const Card& card) {
  if (sodium_init() < 0) return Error{"libsodium cannot be initialised"};
  NodeSetup setup;
  setup.cards = gather(card, size, allgather);
  setup.place = find_place(rank, setup.cards);
  Door door;
  asio::error_code error;
  if (rank == 0 || !setup.place.children().empty()) {
    setup.acceptor = listen(io, setup.place.one_host, error);
    if (error)
      door.failed = 1;
    else
      door.port = setup.acceptor->local_endpoint().port();
  }
  if (rank == 0) {
    randombytes_buf(door.secret.data(), door.secret.size());  // from getrandom
    randombytes_buf(&door.job, sizeof door.job);
  }
  setup.doors = gather(door, size, allgather);
  for (int r = 0; r < size; ++r) {
    if (!setup.doors[static_cast<std::size_t>(r)].failed) continue;
    return Error{fmt::format("rank {} cannot listen for the control tree{}{}", r, error ? ": " : "",
                             error ? error.message() : "")};
  }
  return setup;
}

JobFile job_file_of(const NodeSetup& setup) {
  JobFile file;
  file.job = fmt::format("{:016x}", setup.doors[0].job);
  file.host = setup.cards[0].name;
  file.host_id = hexadecimal(setup.cards[0].host, sizeof setup.cards[0].host);
  file.addresses = {"127.0.0.1"};
  if (!setup.place.one_host) {
    for (const std::string& address : addresses_of(setup.cards[0]))
      file.addresses.push_back(address);
  }
  file.port = setup.doors[0].port;
  file.secret = setup.doors[0].secret;
  file.pid = static_cast<int>(getpid());
  file.ranks = setup.place.size;
  file.started = utc_now();
  return file;
}

}  // namespace mana::control
