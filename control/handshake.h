// SPDX-License-Identifier: BSD-3-Clause
// The first bytes of a connection.  Fixed sizes, so that what strangers send is bounded before they
// have proved anything.
//   connecting side   "MANActl1", role, rank, 32 random bytes
//   accepting side    32 random bytes, keyed hash over ("mana accepts", all of the above)
//   connecting side   keyed hash over ("mana connects", the same)
//   accepting side    one byte: welcome
#pragma once

#include <asio/awaitable.hpp>
#include <asio/ip/tcp.hpp>

#include "control/connection.h"

namespace mana::control {

// Both throw std::system_error (asio) or HandshakeRefused.
struct HandshakeRefused : std::runtime_error {
  using std::runtime_error::runtime_error;
};
asio::awaitable<void> introduce(asio::ip::tcp::socket& socket, Hello hello, Secret secret);
asio::awaitable<Hello> receive_introduction(asio::ip::tcp::socket& socket, Secret secret);

}  // namespace mana::control
