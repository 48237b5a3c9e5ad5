// SPDX-License-Identifier: BSD-3-Clause
#include "lower/socket_options.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <cstring>
#include <vector>

namespace mana::lower {
namespace {

struct Option {
  int level, name;
};
constexpr int kBufferLock = 72, kIp6FreeBind = 78;  // SO_BUF_LOCK (Linux 5.16), IPV6_FREEBIND
// In the order in which they are set again.  Not here: what tells (TCP_INFO), what is the kernel's own choice until it is set and reads as
// if it had been (TCP_MAXSEG).
constexpr Option kOptions[] = {
    {SOL_SOCKET, SO_REUSEADDR},        {SOL_SOCKET, SO_REUSEPORT},       {SOL_SOCKET, SO_KEEPALIVE},
    {SOL_SOCKET, SO_BROADCAST},        {SOL_SOCKET, SO_SNDBUF},          {SOL_SOCKET, SO_RCVBUF},
    {SOL_SOCKET, kBufferLock},         {SOL_SOCKET, SO_PASSCRED},        {SOL_SOCKET, SO_PASSSEC},
    {SOL_SOCKET, SO_RCVTIMEO},         {SOL_SOCKET, SO_SNDTIMEO},        {SOL_SOCKET, SO_LINGER},
    {SOL_SOCKET, SO_OOBINLINE},        {SOL_SOCKET, SO_MARK},
    {SOL_SOCKET, SO_RCVLOWAT},         {SOL_SOCKET, SO_BINDTODEVICE},    {SOL_SOCKET, SO_DONTROUTE},
    {SOL_SOCKET, SO_NO_CHECK},         {SOL_SOCKET, SO_TIMESTAMP},       {SOL_SOCKET, SO_TIMESTAMPNS},
    {SOL_SOCKET, SO_RXQ_OVFL},         {SOL_SOCKET, SO_BUSY_POLL},       {IPPROTO_TCP, TCP_NODELAY},
    {IPPROTO_TCP, TCP_CORK},           {IPPROTO_TCP, TCP_KEEPIDLE},      {IPPROTO_TCP, TCP_KEEPINTVL},
    {IPPROTO_TCP, TCP_KEEPCNT},        {IPPROTO_TCP, TCP_USER_TIMEOUT},  {IPPROTO_TCP, TCP_DEFER_ACCEPT},
    {IPPROTO_TCP, TCP_SYNCNT},         {IPPROTO_TCP, TCP_LINGER2},       {IPPROTO_TCP, TCP_CONGESTION},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT},  {IPPROTO_TCP, TCP_FASTOPEN},      {IPPROTO_UDP, UDP_SEGMENT},
    {IPPROTO_UDP, UDP_GRO},            {IPPROTO_IP, IP_TOS},             {IPPROTO_IP, IP_TTL},
    {IPPROTO_IP, IP_FREEBIND},         {IPPROTO_IP, IP_TRANSPARENT},     {IPPROTO_IP, IP_MTU_DISCOVER},
    {IPPROTO_IP, IP_PKTINFO},          {IPPROTO_IP, IP_RECVERR},         {IPPROTO_IP, IP_RECVTTL},
    {IPPROTO_IP, IP_RECVTOS},          {IPPROTO_IP, IP_MULTICAST_TTL},   {IPPROTO_IP, IP_MULTICAST_LOOP},
    {IPPROTO_IP, IP_MULTICAST_IF},     {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT},
    {IPPROTO_IPV6, IPV6_V6ONLY},       {IPPROTO_IPV6, kIp6FreeBind},     {IPPROTO_IPV6, IPV6_TCLASS},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS}, {IPPROTO_IPV6, IPV6_MTU_DISCOVER}, {IPPROTO_IPV6, IPV6_RECVPKTINFO},
    {IPPROTO_IPV6, IPV6_RECVERR},      {IPPROTO_IPV6, IPV6_RECVHOPLIMIT}, {IPPROTO_IPV6, IPV6_RECVTCLASS},
    {IPPROTO_IPV6, IPV6_MULTICAST_HOPS}, {IPPROTO_IPV6, IPV6_MULTICAST_LOOP}, {IPPROTO_IPV6, IPV6_MULTICAST_IF},
    {SOL_SOCKET, SO_PRIORITY}};  // IP_TOS changes it
constexpr Option kFilterLock{SOL_SOCKET, SO_LOCK_FILTER};  // after the filter

std::string option_of(int number, Option option) {
  char value[64];
  socklen_t length = sizeof value;
  if (getsockopt(number, option.level, option.name, value, &length) != 0) return {};
  return std::string(value, length);
}

bool is_set(const std::string& value) { return value.find_first_not_of('\0') != std::string::npos; }

// A filter is asked for under the name of what detaches it, and its length is counted in instructions.
std::string save_filter(int number, Contents& into) {
  socklen_t instructions = 0;
  if (getsockopt(number, SOL_SOCKET, SO_GET_FILTER, nullptr, &instructions) != 0)
    return errno == EACCES ? "a BPF program is attached to it" : std::string();
  if (instructions == 0) return {};
  std::vector<sock_filter> filter(instructions);
  if (getsockopt(number, SOL_SOCKET, SO_GET_FILTER, filter.data(), &instructions) != 0) return "its filter is not told";
  into.add(ItemKind::option, std::string(reinterpret_cast<char*>(filter.data()), filter.size() * sizeof filter[0]), SOL_SOCKET,
           SO_ATTACH_FILTER);
  return {};
}

// With its lock (SO_LOCK_FILTER) it is attached already, and nothing changes it any more.
void attach_filter(int number, const Item& item) {
  if (is_set(option_of(number, kFilterLock))) return;
  std::vector<sock_filter> filter(item.bytes.size() / sizeof(sock_filter));
  std::memcpy(filter.data(), item.bytes.data(), filter.size() * sizeof filter[0]);
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  if (setsockopt(number, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0)
    say_at_restart("the filter of a socket cannot be attached again: " + std::string(std::strerror(errno)));
}

}  // namespace

std::string save_options(int number, Contents& into) {
  for (const Option option : kOptions) {
    std::string value = option_of(number, option);
    if (!value.empty())
      into.add(ItemKind::option, std::move(value), static_cast<uint64_t>(option.level),
               static_cast<uint64_t>(option.name));
  }
  std::string why = save_filter(number, into), lock = option_of(number, kFilterLock);
  if (is_set(lock)) into.add(ItemKind::option, std::move(lock), SOL_SOCKET, SO_LOCK_FILTER);
  return why;
}

void restore_options(int number, const Contents& contents) {
  for (const Item& item : contents.items) {
    if (item.kind != ItemKind::option) continue;
    const Option option{static_cast<int>(item.words[0]), static_cast<int>(item.words[1])};
    if (option.level == SOL_SOCKET && option.name == SO_ATTACH_FILTER) {
      attach_filter(number, item);
      continue;
    }
    if (option_of(number, option) == item.bytes) continue;
    std::string value = item.bytes;
    if (option.level == SOL_SOCKET && (option.name == SO_SNDBUF || option.name == SO_RCVBUF) &&
        value.size() == sizeof(int)) {
      int bytes;
      std::memcpy(&bytes, value.data(), sizeof bytes);
      bytes /= 2;  // socket(7): the kernel doubles it
      std::memcpy(value.data(), &bytes, sizeof bytes);
    }
    setsockopt(number, option.level, option.name, value.data(), static_cast<socklen_t>(value.size()));
  }
}

}  // namespace mana::lower
