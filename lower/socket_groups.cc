// SPDX-License-Identifier: BSD-3-Clause
#include "lower/socket_groups.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>

#include <cstdio>
#include <cstring>
#include <sstream>
#include <vector>

#include "lower/proc_file.h"

namespace mana::lower {
namespace {

struct Group {
  unsigned interface;
  std::string device;
  sockaddr_storage address;
};

int level_of(const sockaddr_storage& address) { return address.ss_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6; }

template <class Name>
Group group(unsigned interface, const char* device, const Name& name) {
  Group one{interface, device, {}};
  std::memcpy(&one.address, &name, sizeof name);
  return one;
}

// /proc/net/igmp: "4	eth0      :     1      V3", and below each group of it: "				010000E0     1 0:00000000		0".
// /proc/net/igmp6: "4    eth0            ff020000000000000000000000000001     1 0000000C 0".
std::vector<Group> groups_of_host() {
  std::vector<Group> all;
  char device[IFNAMSIZ + 1] = {}, hexadecimal[33] = {};
  unsigned interface = 0;
  std::istringstream four(read_proc_file("/proc/thread-self/net/igmp")), six(read_proc_file("/proc/thread-self/net/igmp6"));
  for (std::string line; std::getline(four, line);) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    if (line.empty() || line[0] != '\t')
      std::sscanf(line.c_str(), "%u %16[^: \t]", &interface, device);
    else if (std::sscanf(line.c_str(), " %x", &name.sin_addr.s_addr) == 1)
      all.push_back(group(interface, device, name));
  }
  for (std::string line; std::getline(six, line);) {
    sockaddr_in6 name{};
    name.sin6_family = AF_INET6;
    if (std::sscanf(line.c_str(), "%u %16s %32[0-9a-f]", &interface, device, hexadecimal) != 3) continue;
    for (unsigned i = 0; i < 16; ++i) std::sscanf(hexadecimal + 2 * i, "%2hhx", &name.sin6_addr.s6_addr[i]);
    all.push_back(group(interface, device, name));
  }
  return all;
}

}  // namespace

std::string save_groups(int number, Contents& into) {
  for (const Group& one : groups_of_host()) {
    group_filter filter{};
    filter.gf_interface = one.interface;
    filter.gf_group = one.address;
    socklen_t length = GROUP_FILTER_SIZE(0);
    if (getsockopt(number, level_of(one.address), MCAST_MSFILTER, &filter, &length) != 0) continue;  // EADDRNOTAVAIL: no member
    if (filter.gf_fmode != MCAST_EXCLUDE || filter.gf_numsrc != 0) return "it has joined a multicast group for some of its sources";
    into.add(ItemKind::group, std::string(reinterpret_cast<const char*>(&one.address), sizeof one.address) + one.device,
             static_cast<uint64_t>(level_of(one.address)));
  }
  return {};
}

void join_groups(int number, const Contents& contents) {
  for (const Item& item : contents.items) {
    if (item.kind != ItemKind::group || item.bytes.size() < sizeof(sockaddr_storage)) continue;
    group_req wanted{};
    std::memcpy(&wanted.gr_group, item.bytes.data(), sizeof wanted.gr_group);
    const std::string device = item.bytes.substr(sizeof wanted.gr_group);
    wanted.gr_interface = if_nametoindex(device.c_str());
    if (wanted.gr_interface == 0 || setsockopt(number, static_cast<int>(item.words[0]), MCAST_JOIN_GROUP, &wanted, sizeof wanted) != 0)
      say_at_restart("descriptor " + std::to_string(contents.number) + ", a socket, cannot join its multicast group on " + device + " again: " +
                     std::strerror(errno));
  }
}

}  // namespace mana::lower
