// SPDX-License-Identifier: BSD-3-Clause
// Sockets: who is connected to whom by name, and what setsockopt has made of them.
#include <arpa/inet.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "test/scenarios/descriptor_calls.h"

namespace {

using namespace mana::test;

sockaddr_un named(const std::string& path) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  path.copy(name.sun_path, sizeof name.sun_path - 1);
  return name;
}
int bound(int type, const std::string& path) {
  const int got = socket(AF_UNIX, type, 0);
  const sockaddr_un name = named(path);
  return bind(got, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0 ? got : -1;
}
bool connect_to(int from, const std::string& path) {
  const sockaddr_un name = named(path);
  return connect(from, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0;
}
std::string own_name(int number) {
  sockaddr_un name{};
  socklen_t length = sizeof name;
  getsockname(number, reinterpret_cast<sockaddr*>(&name), &length);
  return name.sun_path;
}

SCENARIO(many_datagram_sockets_stay_connected_to_one, .ranks = 2) {
  char folder[] = "/tmp/mana-sockets-XXXXXX";
  CHECK(mkdtemp(folder) != nullptr);
  const std::string path = std::string(folder) + "/";
  const int early = socket(AF_UNIX, SOCK_DGRAM, 0);
  const int one = bound(SOCK_DGRAM, path + "one");
  const int late = bound(SOCK_DGRAM, path + "late");
  const int itself = bound(SOCK_DGRAM, path + "itself");
  const int left = bound(SOCK_DGRAM, path + "left"), right = bound(SOCK_DGRAM, path + "right");
  CHECK(connect_to(early, path + "one") && connect_to(late, path + "one") && connect_to(itself, path + "itself"));
  CHECK(connect_to(left, path + "right") && connect_to(right, path + "left"));
  CHECK(put(left, "waiting"));
  job.checkpoint_here();
  for (const int from : {early, late}) {
    CHECK(put(from, "hello"));
    CHECK_EQ(take(one, 16), "hello");
  }
  CHECK(put(itself, "me"));
  CHECK_EQ(take(itself, 16), "me");
  CHECK_EQ(take(right, 16), "waiting");
  CHECK(put(right, "answer"));
  CHECK_EQ(take(left, 16), "answer");
  CHECK_EQ(own_name(late), path + "late");
  CHECK_EQ(own_name(left), path + "left");
  close_all({early, one, late, itself, left, right});
  for (const char* name : {"one", "late", "itself", "left", "right"}) unlink((path + name).c_str());
  rmdir(folder);
}

SCENARIO(name_of_a_socket_keeps_its_mode, .ranks = 2) {
  char folder[] = "/tmp/mana-sockets-XXXXXX";
  CHECK(mkdtemp(folder) != nullptr);
  const std::string path = std::string(folder) + "/private";
  const int server = bound(SOCK_STREAM, path);
  CHECK(listen(server, 4) == 0 && chmod(path.c_str(), 0620) == 0);
  job.checkpoint_here();
  struct stat status {};
  CHECK_EQ(stat(path.c_str(), &status), 0);
  CHECK_EQ(status.st_mode & 07777, 0620u);
  close(server);
  unlink(path.c_str());
  rmdir(folder);
}

SCENARIO(both_ends_of_a_connection_know_the_process_at_the_other, .ranks = 2) {
  char folder[] = "/tmp/mana-sockets-XXXXXX";
  CHECK(mkdtemp(folder) != nullptr);
  const std::string path = std::string(folder) + "/server";
  const int server = bound(SOCK_STREAM, path), client = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK(listen(server, 4) == 0 && connect_to(client, path));
  const int accepted = accept(server, nullptr, nullptr);
  int stream[2], datagram[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, stream) == 0 && socketpair(AF_UNIX, SOCK_DGRAM, 0, datagram) == 0);
  const auto ask = [&] {
    for (const int one : {client, accepted, stream[0], stream[1], datagram[0], datagram[1]}) {
      struct ucred peer = {};
      socklen_t size = sizeof peer;
      CHECK_EQ(getsockopt(one, SOL_SOCKET, SO_PEERCRED, &peer, &size), 0);
      CHECK_EQ(peer.pid, getpid());
      CHECK_EQ(peer.uid, getuid());
    }
  };
  ask();
  job.checkpoint_here();
  ask();
  close_all({server, client, accepted, stream[0], stream[1], datagram[0], datagram[1]});
  unlink(path.c_str());
  rmdir(folder);
}

// Of the loopback interface, connected to itself; -1: there is no such.
int connected_to_itself(int family) {
  sockaddr_in6 six{};
  six.sin6_family = AF_INET6;
  six.sin6_addr = in6addr_loopback;
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* at = family == AF_INET ? reinterpret_cast<sockaddr*>(&four) : reinterpret_cast<sockaddr*>(&six);
  socklen_t length = family == AF_INET ? sizeof four : sizeof six;
  const int got = socket(family, SOCK_DGRAM, 0);
  if (bind(got, at, length) == 0 && getsockname(got, at, &length) == 0 && connect(got, at, length) == 0) return got;
  close(got);
  return -1;
}

// What a datagram socket with a peer still does.  `at` receives what it sends.
std::string ways(int number, int at) {
  const bool receives = (ready(number) & POLLRDHUP) == 0, sends = send(number, "x", 1, MSG_NOSIGNAL) == 1;
  char byte;
  while (recv(at, &byte, 1, MSG_DONTWAIT) == 1) {
  }
  return std::string(receives ? "receives" : "") + (sends ? "sends" : "");
}

SCENARIO(datagram_sockets_stay_shut_down, .ranks = 2) {
  struct Shut {
    int number, at;
    std::string ways;
  };
  std::vector<Shut> all;
  char folder[] = "/tmp/mana-sockets-XXXXXX";
  CHECK(mkdtemp(folder) != nullptr);
  const std::string path = std::string(folder) + "/reader";
  const int reader = bound(SOCK_DGRAM, path);
  constexpr std::pair<int, const char*> kShut[] = {{-1, "receivessends"}, {SHUT_RD, "sends"}, {SHUT_WR, "receives"}, {SHUT_RDWR, ""}};
  for (const auto& [how, left] : kShut) {
    const int four = connected_to_itself(AF_INET), six = connected_to_itself(AF_INET6), local = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK(connect_to(local, path));
    for (const int one : {four, six, local}) {
      if (one < 0) continue;
      CHECK(how < 0 || shutdown(one, how) == 0);
      all.push_back({one, one == local ? reader : one, left});
    }
  }
  // Without a peer the call fails for UDP, and is done nevertheless.
  const int alone = socket(AF_INET, SOCK_DGRAM, 0), local_alone = socket(AF_UNIX, SOCK_DGRAM, 0);
  CHECK(shutdown(alone, SHUT_RDWR) != 0 && shutdown(local_alone, SHUT_RD) == 0);
  const auto ask = [&] {
    for (const Shut& one : all) CHECK_EQ(ways(one.number, one.at), one.ways);
    CHECK_EQ(ready(alone) & (POLLRDHUP | POLLHUP), POLLRDHUP | POLLHUP);
    CHECK_EQ(ready(local_alone) & (POLLRDHUP | POLLHUP), POLLRDHUP);
  };
  ask();
  job.checkpoint_here();
  ask();
  for (const Shut& one : all) close(one.number);
  close_all({reader, alone, local_alone});
  unlink(path.c_str());
  rmdir(folder);
}

SCENARIO(unix_listener_stays_shut_down, .ranks = 2) {
  char folder[] = "/tmp/mana-sockets-XXXXXX";
  CHECK(mkdtemp(folder) != nullptr);
  const std::string path = std::string(folder) + "/server";
  const int server = bound(SOCK_STREAM, path), client = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK(listen(server, 4) == 0 && shutdown(server, SHUT_RD) == 0);
  job.checkpoint_here();
  CHECK(!connect_to(client, path) && errno == ECONNREFUSED);
  CHECK(accept(server, nullptr, nullptr) < 0 && errno == EINVAL);
  close_all({server, client});
  unlink(path.c_str());
  rmdir(folder);
}

using Option = std::pair<int, int>;  // level, name

int value_of(int number, Option option) {
  int value = -1;
  socklen_t length = sizeof value;
  getsockopt(number, option.first, option.second, &value, &length);
  return value;
}

SCENARIO(options_of_sockets_stay_set, .ranks = 2) {
  constexpr std::pair<Option, int> kOfTcp[] = {
      {{IPPROTO_TCP, TCP_KEEPIDLE}, 77}, {{IPPROTO_TCP, TCP_KEEPINTVL}, 11}, {{IPPROTO_TCP, TCP_KEEPCNT}, 4},
      {{IPPROTO_TCP, TCP_USER_TIMEOUT}, 4321}, {{IPPROTO_TCP, TCP_CORK}, 1}, {{SOL_SOCKET, SO_RCVLOWAT}, 5},
      {{IPPROTO_IP, IP_TTL}, 33}, {{IPPROTO_IP, IP_TOS}, 0x10}, {{SOL_SOCKET, SO_PRIORITY}, 3}};  // IP_TOS changes the priority
  constexpr std::pair<Option, int> kOfUdp[] = {{{IPPROTO_IP, IP_FREEBIND}, 1}, {{IPPROTO_IP, IP_MULTICAST_TTL}, 9},
                                               {{IPPROTO_IP, IP_MULTICAST_LOOP}, 0}, {{SOL_SOCKET, SO_TIMESTAMP}, 1}};
  const int tcp = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0);
  for (const auto& [option, value] : kOfTcp) CHECK_EQ(setsockopt(tcp, option.first, option.second, &value, sizeof value), 0);
  for (const auto& [option, value] : kOfUdp) CHECK_EQ(setsockopt(udp, option.first, option.second, &value, sizeof value), 0);
  sockaddr_in nowhere{};
  nowhere.sin_family = AF_INET;
  inet_pton(AF_INET, "192.0.2.7", &nowhere.sin_addr);  // no host's; IP_FREEBIND lets it be bound
  CHECK_EQ(bind(udp, reinterpret_cast<sockaddr*>(&nowhere), sizeof nowhere), 0);
  sock_filter shorten[] = {BPF_STMT(BPF_RET | BPF_K, 8 + 3)};  // headers, and three bytes
  const sock_fprog program{1, shorten};
  const int filtered = socket(AF_INET, SOCK_DGRAM, 0), sender = socket(AF_INET, SOCK_DGRAM, 0);
  CHECK_EQ(setsockopt(filtered, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);
  const int yes = 1;
  CHECK_EQ(setsockopt(filtered, SOL_SOCKET, SO_LOCK_FILTER, &yes, sizeof yes), 0);
  job.checkpoint_here();
  for (const auto& [option, value] : kOfTcp) CHECK_EQ(value_of(tcp, option), value);
  for (const auto& [option, value] : kOfUdp) CHECK_EQ(value_of(udp, option), value);
  sockaddr_in name{};
  socklen_t length = sizeof name;
  getsockname(udp, reinterpret_cast<sockaddr*>(&name), &length);
  CHECK_EQ(name.sin_addr.s_addr, nowhere.sin_addr.s_addr);
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* at = reinterpret_cast<sockaddr*>(&here);
  length = sizeof here;
  CHECK(bind(filtered, at, sizeof here) == 0 && getsockname(filtered, at, &length) == 0);
  CHECK_EQ(sendto(sender, "abcdef", 6, 0, at, sizeof here), 6);
  CHECK_EQ(take(filtered, 16), "abc");
  CHECK(setsockopt(filtered, SOL_SOCKET, SO_DETACH_FILTER, &yes, sizeof yes) != 0 && errno == EPERM);
  close_all({tcp, udp, filtered, sender});
}

// Of two sockets one has joined a group; leaving it works for a member only.
SCENARIO(multicast_groups_stay_joined, .ranks = 2) {
  group_req four{}, six{};
  four.gr_interface = six.gr_interface = if_nametoindex("lo");
  sockaddr_in name_of_four{};
  name_of_four.sin_family = AF_INET;
  inet_pton(AF_INET, "239.1.2.3", &name_of_four.sin_addr);
  memcpy(&four.gr_group, &name_of_four, sizeof name_of_four);
  sockaddr_in6 name_of_six{};
  name_of_six.sin6_family = AF_INET6;
  inet_pton(AF_INET6, "ff15::1:2:3", &name_of_six.sin6_addr);
  memcpy(&six.gr_group, &name_of_six, sizeof name_of_six);
  const int member = socket(AF_INET, SOCK_DGRAM, 0), other = socket(AF_INET, SOCK_DGRAM, 0), member_of_six = socket(AF_INET6, SOCK_DGRAM, 0);
  CHECK_EQ(setsockopt(member, IPPROTO_IP, MCAST_JOIN_GROUP, &four, sizeof four), 0);
  const bool has_six = setsockopt(member_of_six, IPPROTO_IPV6, MCAST_JOIN_GROUP, &six, sizeof six) == 0;
  job.checkpoint_here();
  CHECK_EQ(setsockopt(other, IPPROTO_IP, MCAST_LEAVE_GROUP, &four, sizeof four), -1);
  CHECK_EQ(errno, EADDRNOTAVAIL);
  CHECK_EQ(setsockopt(member, IPPROTO_IP, MCAST_LEAVE_GROUP, &four, sizeof four), 0);
  if (has_six) CHECK_EQ(setsockopt(member_of_six, IPPROTO_IPV6, MCAST_LEAVE_GROUP, &six, sizeof six), 0);
  for (const int one : {member, other, member_of_six}) close(one);
}

}  // namespace
