// SPDX-License-Identifier: BSD-3-Clause
#include "control/handshake.h"

#include <sodium.h>

#include <asio/read.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>
#include <cstring>
#include <string_view>

namespace mana::control {

namespace {

constexpr char kMagic[8] = {'M', 'A', 'N', 'A', 'c', 't', 'l', '1'};
constexpr uint8_t kWelcome = 1;

struct Opening {
  char magic[8];
  uint8_t role;
  uint8_t reserved[3];
  int32_t rank;
  uint8_t nonce[32];
};
static_assert(sizeof(Opening) == 48);
using Proof = std::array<uint8_t, crypto_auth_BYTES>;
struct Reply {
  uint8_t nonce[32];
  Proof proof;
};
static_assert(sizeof(Reply) == 64 && sizeof(Secret) == crypto_auth_KEYBYTES);

Proof prove(std::string_view label, const Opening& opening, const uint8_t (&nonce)[32],
            const Secret& secret) {
  std::string text(label);
  text.append(reinterpret_cast<const char*>(&opening), sizeof opening);
  text.append(reinterpret_cast<const char*>(nonce), sizeof nonce);
  Proof proof;
  crypto_auth(proof.data(), reinterpret_cast<const unsigned char*>(text.data()), text.size(),
              secret.data());
  return proof;
}

bool same(const Proof& a, const Proof& b) {
  return sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

asio::awaitable<void> introduce(asio::ip::tcp::socket& socket, Hello hello, Secret secret) {
  Opening opening{};
  std::memcpy(opening.magic, kMagic, sizeof kMagic);
  opening.role = static_cast<uint8_t>(hello.role);
  opening.rank = hello.rank;
  randombytes_buf(opening.nonce, sizeof opening.nonce);
  co_await asio::async_write(socket, asio::buffer(&opening, sizeof opening), asio::use_awaitable);
  Reply reply;
  co_await asio::async_read(socket, asio::buffer(&reply, sizeof reply), asio::use_awaitable);
  if (!same(reply.proof, prove("mana accepts", opening, reply.nonce, secret))) {
    throw HandshakeRefused("the program that listens there is not this job");
  }
  Proof mine = prove("mana connects", opening, reply.nonce, secret);
  co_await asio::async_write(socket, asio::buffer(mine), asio::use_awaitable);
  uint8_t welcome = 0;
  co_await asio::async_read(socket, asio::buffer(&welcome, 1), asio::use_awaitable);
  if (welcome != kWelcome) throw HandshakeRefused("the job did not accept the secret");
}

asio::awaitable<Hello> receive_introduction(asio::ip::tcp::socket& socket, Secret secret) {
  Opening opening;
  co_await asio::async_read(socket, asio::buffer(&opening, sizeof opening), asio::use_awaitable);
  if (std::memcmp(opening.magic, kMagic, sizeof kMagic) != 0)
    throw HandshakeRefused("not one of our programs");
  Reply reply;
  randombytes_buf(reply.nonce, sizeof reply.nonce);
  reply.proof = prove("mana accepts", opening, reply.nonce, secret);
  co_await asio::async_write(socket, asio::buffer(&reply, sizeof reply), asio::use_awaitable);
  Proof theirs;
  co_await asio::async_read(socket, asio::buffer(theirs), asio::use_awaitable);
  if (!same(theirs, prove("mana connects", opening, reply.nonce, secret)))
    throw HandshakeRefused("wrong secret");
  co_await asio::async_write(socket, asio::buffer(&kWelcome, 1), asio::use_awaitable);
  co_return Hello{static_cast<Role>(opening.role), opening.rank};
}

}  // namespace mana::control
