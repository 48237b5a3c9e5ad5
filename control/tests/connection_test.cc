// SPDX-License-Identifier: BSD-3-Clause
// What strangers get on the control port.
#include <asio/connect.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>
#include <asio/read.hpp>
#include <asio/write.hpp>
#include <catch2/catch.hpp>
#include <filesystem>
#include <vector>

#include "control/connection.h"
#include "control/job_file.h"
#include "control/tests/test_tree.h"

using namespace mana::control;
using namespace mana::control::test;

namespace {

asio::ip::tcp::socket dial(asio::io_context& io, const std::string& directory) {
  asio::ip::tcp::socket socket(io);
  socket.connect({asio::ip::address_v4::loopback(), read_job_file(directory).value().port});
  return socket;
}

}  // namespace

TEST_CASE("garbage on the control port is dropped and the job goes on") {
  TemporaryDirectory directory;
  TestJob job(directory.path(), {.ranks = 2});
  asio::io_context io;
  for (const std::string& bytes : {std::string(1000, '\0'), std::string(1000, '\xff'),
                                   std::string("GET / HTTP/1.1\r\n\r\n") + std::string(100, 'x')}) {
    asio::ip::tcp::socket socket = dial(io, directory.path());
    asio::write(socket, asio::buffer(bytes));
    char byte;
    asio::error_code error;
    asio::read(socket, asio::buffer(&byte, 1), error);
    CHECK(error);  // closed without a word
  }
  CHECK(job.checkpoint().value().ok);
}

TEST_CASE("a connection that says nothing holds nobody up") {
  TemporaryDirectory directory;
  TestJob job(directory.path(), {.ranks = 2});
  asio::io_context io;
  std::vector<asio::ip::tcp::socket> silent;
  for (int i = 0; i < 20; ++i) silent.push_back(dial(io, directory.path()));
  asio::write(silent[0], asio::buffer("MANActl1", 8));  // and one that stops in the middle
  CHECK(job.checkpoint().value().ok);
}

TEST_CASE("a connection closed right after its message was written is gone quietly") {
  asio::io_context io;
  asio::ip::tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
  asio::ip::tcp::socket near(io);
  near.connect(acceptor.local_endpoint());
  asio::ip::tcp::socket far = acceptor.accept();
  auto connection = std::make_shared<Connection>(std::move(near));
  connection->send(std::string(1000, 'm'));  // written at once; that it has been is told later
  asio::post(io, [&] { connection->close(); });
  io.run();
  CHECK(connection.use_count() == 1);
  char length[4];
  CHECK(asio::read(far, asio::buffer(length)) == sizeof length);
}

TEST_CASE("a wrong secret is refused") {
  TemporaryDirectory directory, other;
  TestJob job(directory.path(), {.ranks = 2});
  JobFile file = read_job_file(directory.path()).value();
  file.secret[0] ^= 1;
  REQUIRE(write_job_file(other.path(), file).ok());
  Result<Answer> answer = ask_job(other.path(), {}, [](const std::string&) {});
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().text.find("no job is running with checkpoint directory") == 0);
  CHECK(who_owns(other.path()).owner == Owner::nobody);
  CHECK(who_owns(directory.path()).owner == Owner::running);
}

TEST_CASE("the job file is for its owner only and survives being written and read") {
  TemporaryDirectory directory;
  JobFile file;
  file.job = "0123456789abcdef";
  file.addresses = {"127.0.0.1", "10.0.0.1"};
  file.port = 4711;
  file.secret[31] = 7;
  REQUIRE(write_job_file(directory.path(), file).ok());
  CHECK((std::filesystem::status(directory.path() + "/control.json").permissions() &
         std::filesystem::perms::all) ==
        (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
  JobFile read = read_job_file(directory.path()).value();
  CHECK(read.secret == file.secret);
  CHECK(read.addresses == file.addresses);
  remove_job_file(directory.path(), "another job");
  CHECK(read_job_file(directory.path()).ok());
  remove_job_file(directory.path(), file.job);
  CHECK_FALSE(read_job_file(directory.path()).ok());
}
