// SPDX-License-Identifier: BSD-3-Clause
#include "control/place.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>

namespace mana::control {

namespace {

// The running kernel and the network namespace: containers of one machine that do not share a
// loopback interface are different hosts.
void fill_host(Card& card) {
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  struct stat network {};
  stat("/proc/self/ns/net", &network);
  boot += ' ' + std::to_string(network.st_ino);
  crypto_generichash(card.host, sizeof card.host,
                     reinterpret_cast<const unsigned char*>(boot.data()), boot.size(), nullptr, 0);
}

void fill_addresses(Card& card) {
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return;
  std::size_t used = 0;
  for (int family : {AF_INET, AF_INET6}) {
    for (const ifaddrs* one = all; one && used < std::size(card.addresses); one = one->ifa_next) {
      if (!one->ifa_addr || one->ifa_addr->sa_family != family) continue;
      if ((one->ifa_flags & IFF_LOOPBACK) || !(one->ifa_flags & IFF_UP)) continue;
      Address& address = card.addresses[used];
      if (family == AF_INET) {
        std::memcpy(address.bytes, &reinterpret_cast<const sockaddr_in*>(one->ifa_addr)->sin_addr,
                    4);
        address.family = 4;
      } else {
        const in6_addr& ip = reinterpret_cast<const sockaddr_in6*>(one->ifa_addr)->sin6_addr;
        if (IN6_IS_ADDR_LINKLOCAL(&ip)) continue;  // means nothing on another host
        std::memcpy(address.bytes, &ip, 16);
        address.family = 6;
      }
      ++used;
    }
  }
  freeifaddrs(all);
}

}  // namespace

Card my_card() {
  Card card;
  fill_host(card);
  fill_addresses(card);
  gethostname(card.name, sizeof card.name - 1);
  card.pid = static_cast<int32_t>(getpid());
  return card;
}

std::vector<std::string> addresses_of(const Card& card) {
  std::vector<std::string> texts;
  for (const Address& address : card.addresses) {
    char text[INET6_ADDRSTRLEN];
    if (address.family == 0) continue;
    if (inet_ntop(address.family == 4 ? AF_INET : AF_INET6, address.bytes, text, sizeof text))
      texts.push_back(text);
  }
  return texts;
}

Place find_place(int rank, const std::vector<Card>& cards, int degree) {
  Place place;
  place.rank = rank;
  place.size = static_cast<int>(cards.size());
  place.parents.assign(cards.size(), -1);
  std::map<std::string, int> leader_of;
  std::vector<int> leaders;
  for (std::size_t r = 0; r < cards.size(); ++r) {
    std::string host(reinterpret_cast<const char*>(cards[r].host), sizeof cards[r].host);
    auto [at, fresh] = leader_of.try_emplace(host, static_cast<int>(r));
    if (!fresh) {
      place.parents[r] = at->second;
      continue;
    }
    if (!leaders.empty())
      place.parents[r] = leaders[(leaders.size() - 1) / static_cast<std::size_t>(degree)];
    leaders.push_back(static_cast<int>(r));
  }
  place.one_host = leaders.size() == 1;
  return place;
}

std::vector<int> Place::children() const {
  std::vector<int> found;
  for (std::size_t r = 0; r < parents.size(); ++r) {
    if (parents[r] == rank) found.push_back(static_cast<int>(r));
  }
  return found;
}

// A parent's rank is always lower than its children's, so one pass is enough.
std::vector<int> Place::below(int child) const {
  std::vector<bool> in(parents.size(), false);
  std::vector<int> found;
  for (std::size_t r = static_cast<std::size_t>(child); r < parents.size(); ++r) {
    in[r] = static_cast<int>(r) == child ||
            (parents[r] >= 0 && in[static_cast<std::size_t>(parents[r])]);
    if (in[r]) found.push_back(static_cast<int>(r));
  }
  return found;
}

int Place::height() const {
  int most = 0;
  for (const int below_this : below(rank)) {
    int up = 0;
    for (int at = below_this; at != rank; at = parents[static_cast<std::size_t>(at)]) ++up;
    most = std::max(most, up);
  }
  return most;
}

}  // namespace mana::control
