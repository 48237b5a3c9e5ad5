// SPDX-License-Identifier: BSD-3-Clause
// Sockets.  Two ends of UNIX sockets that are both the application's come back as a pair, with what was on its way;
// what led out of the process comes back as a connection that was reset; what only listened or had a name listens and
// has it again.
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <vector>

#include "lower/descriptor_contents.h"
#include "lower/socket_diag.h"
#include "lower/socket_groups.h"
#include "lower/socket_options.h"

namespace mana::lower {
namespace {

using loader::Descriptor;
using loader::DescriptorKind;
using loader::Done;
using loader::Error;
using loader::Outcome;
using loader::Result;

constexpr std::size_t kMostMessageBytes = 1 << 20;
constexpr int kMostMessages = 1 << 16;
constexpr int kRoom = 1 << 20;
constexpr uint64_t kModeIsKnown = uint64_t{1} << 32;  // with the address of a UNIX socket
constexpr int kUntilReset_ms = 1000;

int int_option(int number, int name) {
  int value = 0;
  socklen_t length = sizeof value;
  getsockopt(number, SOL_SOCKET, name, &value, &length);
  return value;
}

// Empty: an abstract name.
std::string path_of(const sockaddr_storage& address) {
  sockaddr_un name{};
  std::memcpy(&name, &address, sizeof name);
  return {name.sun_path, strnlen(name.sun_path, sizeof name.sun_path)};
}

void save_address(int number, bool peer, Contents& into) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  auto* at = reinterpret_cast<sockaddr*>(&address);
  if ((peer ? getpeername(number, at, &length) : getsockname(number, at, &length)) != 0) return;
  if (address.ss_family == AF_UNIX && length <= sizeof(sa_family_t)) return;  // has no name
  struct stat file {};
  const bool in_file_system = address.ss_family == AF_UNIX && !peer && stat(path_of(address).c_str(), &file) == 0 && S_ISSOCK(file.st_mode);
  into.add(ItemKind::address,
           std::string(reinterpret_cast<char*>(&address), std::min<std::size_t>(length, sizeof address)), peer,
           in_file_system ? kModeIsKnown | (file.st_mode & 07777) : 0);
}

const Item* address_of(const Contents& contents, uint64_t which) {
  for (const Item& item : contents.items) {
    if (item.kind == ItemKind::address && item.words[0] == which && item.bytes.size() >= sizeof(sa_family_t))
      return &item;
  }
  return nullptr;
}

in_port_t port_of(const Item& address) {
  sockaddr_in6 name{};
  std::memcpy(&name, address.bytes.data(), std::min(sizeof name, address.bytes.size()));
  return name.sin6_port;  // at the same place in sockaddr_in
}

// With a peek offset each peek begins behind what the last one returned (SO_PEEK_OFF, socket(7)).
std::string peek_messages(int number, int type, bool ends, Contents& into) {
  const int before = int_option(number, SO_PEEK_OFF);
  const int from_the_start = 0;
  if (setsockopt(number, SOL_SOCKET, SO_PEEK_OFF, &from_the_start, sizeof from_the_start) != 0)
    return "its bytes cannot be peeked at";
  std::string why, buffer(kMostMessageBytes, '\0');
  for (int count = 0;; ++count) {
    const ssize_t got = recv(number, buffer.data(), buffer.size(), MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC);
    if (got < 0 && errno == EINTR) continue;
    // Nothing is the end of a stream; of a sequence too once nobody can send any more, where it may be an empty message
    // otherwise.
    if (got < 0 || (got == 0 && (type == SOCK_STREAM || ends))) break;
    if (static_cast<std::size_t>(got) > buffer.size() || count == kMostMessages) {
      why = "it holds too much that was not read yet";
      break;
    }
    into.add(ItemKind::message, buffer.substr(0, static_cast<std::size_t>(got)));
  }
  setsockopt(number, SOL_SOCKET, SO_PEEK_OFF, &before, sizeof before);
  return why;
}

int lowest_of_inode(const Inode& inode, const SeenDescriptors& all) {
  for (const Descriptor* one : all.of(inode)) {
    if (one->kind != DescriptorKind::inherited && one->kind != DescriptorKind::standard) return one->number;
  }
  return -1;
}

void set_socket(Contents& into, int family, int type, int protocol, SocketState state) {
  into.kind = ContentsKind::socket;
  into.words[0] = static_cast<uint64_t>(family);
  into.words[1] = static_cast<uint64_t>(type);
  into.words[2] = static_cast<uint64_t>(protocol);
  into.words[3] = static_cast<uint64_t>(state);
  into.words[4] = SOMAXCONN;
}

// Of datagram sockets many may be connected to one, which may be connected to none, or to itself.
bool is_pair(uint64_t one, uint64_t other) {
  const std::optional<UnixState> state = unix_state(other);
  return one != other && state && state->peer == one;
}

std::string holds_no_message(int number, int type) {
  Contents queued;
  if (std::string why = peek_messages(number, type, false, queued); !why.empty()) return why;
  return queued.items.empty() ? std::string() : "it holds messages that were not read yet";
}

std::string save_unix(const Descriptor& descriptor, int type, const SeenDescriptors& all, Contents& into) {
  const int number = descriptor.number;
  const std::optional<UnixState> state = unix_state(descriptor.inode);
  if (!state) return "the kernel does not tell its other end (CONFIG_UNIX_DIAG)";
  if (const std::string passed = field(fdinfo(number), "scm_fds:"); std::atoi(passed.c_str()) != 0)
    return "descriptors are on their way in it";
  sockaddr_storage peer{};
  socklen_t length = sizeof peer;
  const bool told = getpeername(number, reinterpret_cast<sockaddr*>(&peer), &length) == 0;
  const bool connected = state->peer != 0 || told, peer_has_name = told && length > sizeof(sa_family_t);
  if (int_option(number, SO_ACCEPTCONN) == 0 && connected) {
    const int other = state->peer == 0 ? -1 : lowest_of_inode({descriptor.device, state->peer}, all);
    if (type == SOCK_DGRAM && state->peer != 0 && peer_has_name && !is_pair(descriptor.inode, state->peer)) {
      set_socket(into, AF_UNIX, type, 0, SocketState::datagram);
      into.words[5] = state->shutdown;
      save_address(number, false, into);
      save_address(number, true, into);
      return holds_no_message(number, type);
    }
    if (type == SOCK_DGRAM) save_address(number, false, into);
    into.kind = ContentsKind::socket_pair;
    into.words[0] = static_cast<uint64_t>(other);
    into.words[1] = static_cast<uint64_t>(type);
    into.words[2] = state->shutdown;
    into.words[3] = state->peer != 0 && other < 0;  // it leads out of the process
    return peek_messages(number, type, (state->shutdown & 1) != 0 || state->peer == 0, into);
  }
  for (const uint32_t inode : state->waiting) {
    if (inode == 0 || lowest_of_inode({descriptor.device, inode}, all) >= 0)
      return "a connection of the application's own waits in it to be accepted";
  }
  set_socket(into, AF_UNIX, type, 0,
             int_option(number, SO_ACCEPTCONN) != 0 ? SocketState::listening : SocketState::idle);
  into.words[5] = state->shutdown;
  save_address(number, false, into);
  return type == SOCK_DGRAM ? holds_no_message(number, type) : std::string();
}

// Of a socket without a port, or where the kernel has no more to tell, poll(2) does not tell that only the sending side is shut.
unsigned shutdown_of_udp(const Descriptor& descriptor, int family, const Contents& saved) {
  const Item* own = address_of(saved, 0);
  const std::optional<unsigned> told = udp_shutdown(family, own == nullptr ? 0 : port_of(*own), descriptor.inode);
  if (told) return *told;
  pollfd ended{descriptor.number, POLLRDHUP, 0};
  poll(&ended, 1, 0);
  return (ended.revents & POLLHUP) != 0 ? 3 : (ended.revents & POLLRDHUP) != 0 ? 1 : 0;
}

std::string save_internet(const Descriptor& descriptor, int family, int type, int protocol, Contents& into) {
  const int number = descriptor.number;
  set_socket(into, family, type, protocol, SocketState::datagram);
  save_address(number, false, into);
  save_address(number, true, into);
  if (type == SOCK_DGRAM && protocol == IPPROTO_UDP) {
    into.words[5] = shutdown_of_udp(descriptor, family, into);
    return save_groups(number, into);
  }
  if (type != SOCK_STREAM || protocol != IPPROTO_TCP) return "neither TCP nor UDP";
  tcp_info info{};
  socklen_t length = sizeof info;
  if (getsockopt(number, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return "its state is not told";
  const bool listens = info.tcpi_state == TCP_LISTEN;
  if (listens) into.words[4] = info.tcpi_sacked;  // tcp_get_info(): the backlog
  pollfd ended{number, POLLRDHUP, 0};             // POLLERR, POLLRDHUP: it has been connected
  poll(&ended, 1, 0);
  const bool idle = info.tcpi_state == TCP_CLOSE && (ended.revents & (POLLERR | POLLRDHUP)) == 0;
  into.words[3] = static_cast<uint64_t>(listens ? SocketState::listening
                                        : idle  ? SocketState::idle
                                                : SocketState::connected);
  return {};
}

// --- restart
const sockaddr* as_address(const Item& item) { return reinterpret_cast<const sockaddr*>(item.bytes.data()); }
socklen_t length_of(const Item& item) { return static_cast<socklen_t>(item.bytes.size()); }

// The name of a UNIX socket stays in the file system when its process is gone.  Of a living socket of another type
// connect() says EPROTOTYPE.
void remove_stale(const Item& address) {
  sockaddr_un name{};
  std::memcpy(&name, address.bytes.data(), std::min(sizeof name - 1, address.bytes.size()));
  struct stat status {};
  if (name.sun_path[0] == '\0' || lstat(name.sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) return;
  const int probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const bool stale = connect(probe, as_address(address), length_of(address)) != 0 && errno == ECONNREFUSED;
  close(probe);
  if (stale) unlink(name.sun_path);
}

bool bind_again(int number, const Contents& contents, int family) {
  const Item* own = address_of(contents, 0);
  if (own == nullptr || (family != AF_UNIX && port_of(*own) == 0)) return true;
  if (family == AF_UNIX) remove_stale(*own);
  const int yes = 1;  // connections of the process before may still be in TIME_WAIT there
  if (family != AF_UNIX && contents.words[1] == SOCK_STREAM)
    setsockopt(number, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const bool bound = bind(number, as_address(*own), length_of(*own)) == 0;
  if (bound && (own->words[1] & kModeIsKnown) != 0) {
    sockaddr_storage address{};
    std::memcpy(&address, own->bytes.data(), std::min(sizeof address, own->bytes.size()));
    chmod(path_of(address).c_str(), static_cast<mode_t>(own->words[1] & 07777));
  }
  restore_options(number, contents);
  return bound;
}

// A TCP connection whose peer has reset it: reading gives ECONNRESET, writing EPIPE.  Without a loopback interface it
// is one that was never connected.
int make_reset(int family) {
  const int listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0),
            mine = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in6 six{};
  six.sin6_family = AF_INET6;
  six.sin6_addr = in6addr_loopback;
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* name = family == AF_INET ? reinterpret_cast<sockaddr*>(&four) : reinterpret_cast<sockaddr*>(&six);
  socklen_t length = family == AF_INET ? sizeof four : sizeof six;
  const bool met = bind(listener, name, length) == 0 && listen(listener, 1) == 0 &&
                   getsockname(listener, name, &length) == 0 && connect(mine, name, length) == 0;
  const int peer = met ? accept4(listener, nullptr, nullptr, SOCK_CLOEXEC) : -1;
  if (peer >= 0) {
    const linger at_once{1, 0};  // close() then sends a reset
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(peer);
    pollfd wait{mine, 0, 0};  // for POLLERR
    poll(&wait, 1, kUntilReset_ms);
  }
  close(listener);
  return mine;
}

Result<int> make_single(const Contents& contents) {
  const auto family = static_cast<int>(contents.words[0]);
  const auto state = static_cast<SocketState>(contents.words[3]);
  const std::string name = "descriptor " + std::to_string(contents.number) + ", a socket";
  if (state == SocketState::connected) {
    say_at_restart(name + " connected to the outside, is a connection that was reset");
    const int reset = make_reset(family);
    if (reset < 0) return Error{"socket", errno};
    restore_options(reset, contents);
    return reset;
  }
  const int got =
      socket(family, static_cast<int>(contents.words[1]) | SOCK_CLOEXEC, static_cast<int>(contents.words[2]));
  if (got < 0) return Error{"socket", errno, contents.words[0], contents.words[1]};
  restore_options(got, contents);
  if (!bind_again(got, contents, family)) {
    say_at_restart(name + ", cannot have its address again: " + std::strerror(errno));
    return got;
  }
  join_groups(got, contents);
  if (state == SocketState::listening && listen(got, static_cast<int>(contents.words[4])) != 0)
    say_at_restart(name + ", cannot listen again: " + std::strerror(errno));
  return got;
}

// A pair is made with a connection, not with names.
void name_again(int number, const Contents& contents) {
  if (!bind_again(number, contents, AF_UNIX))
    say_at_restart("descriptor " + std::to_string(contents.number) + ", a socket, cannot have its address again: " + std::strerror(errno));
}

}  // namespace

std::string save_socket(const Descriptor& descriptor, const SeenDescriptors& all, Contents& into) {
  const int number = descriptor.number;
  const int family = int_option(number, SO_DOMAIN), type = int_option(number, SO_TYPE);
  if (std::string why = save_options(number, into); !why.empty()) return why;
  if (family == AF_UNIX) return save_unix(descriptor, type, all, into);
  if (family == AF_INET || family == AF_INET6)
    return save_internet(descriptor, family, type, int_option(number, SO_PROTOCOL), into);
  return "of an address family that cannot be made again (" + std::to_string(family) + ")";
}

Result<int> make_socket(const Contents& contents, const std::map<int, Contents>& all, std::map<int, int>& other_ends) {
  if (contents.kind == ContentsKind::socket) return make_single(contents);
  if (const auto waiting = other_ends.find(contents.number); waiting != other_ends.end()) {
    const int made = waiting->second;
    other_ends.erase(waiting);
    restore_options(made, contents);
    name_again(made, contents);
    return made;
  }
  int ends[2];
  if (socketpair(AF_UNIX, static_cast<int>(contents.words[1]) | SOCK_CLOEXEC, 0, ends) != 0)
    return Error{"socketpair", errno, contents.words[1]};
  restore_options(ends[0], contents);
  name_again(ends[0], contents);
  const auto peer = static_cast<int>(contents.words[0]);
  const bool both = peer > contents.number && all.count(peer) != 0;
  other_ends[both ? peer : contents.number] = ends[1];
  if (!both)
    setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &kRoom, sizeof kRoom);  // what was on its way had room in the lost one
  if (contents.words[3] != 0)
    say_at_restart("descriptor " + std::to_string(contents.number) +
                   ", a socket connected to the outside, has lost its peer");
  return ends[0];
}

Outcome fill_socket(int descriptor, const Contents& contents, int other_end) {
  for (const Item& item : contents.items) {
    if (item.kind != ItemKind::message) continue;
    const ssize_t sent = send(other_end, item.bytes.data(), item.bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(item.bytes.size()))
      return Error{"put what was not read yet into a socket", sent < 0 ? errno : 0, static_cast<uint64_t>(descriptor),
                   item.bytes.size()};
  }
  return Done{};
}

void connect_datagrams(int descriptor, const Contents& contents) {
  if (contents.kind != ContentsKind::socket || static_cast<SocketState>(contents.words[3]) != SocketState::datagram) return;
  const Item* peer = address_of(contents, 1);
  if (peer != nullptr && connect(descriptor, as_address(*peer), length_of(*peer)) != 0)
    say_at_restart("descriptor " + std::to_string(descriptor) + ", a socket, cannot be connected to its peer again: " + std::strerror(errno));
}

Outcome shut_socket(int descriptor, const Contents& contents) {
  if (contents.kind != ContentsKind::socket_pair && contents.kind != ContentsKind::socket) return Done{};
  constexpr int kHow[] = {-1, SHUT_RD, SHUT_WR, SHUT_RDWR};
  const int how = kHow[contents.words[contents.kind == ContentsKind::socket ? 5 : 2] & 3];
  // ENOTCONN: it has been done nevertheless (inet_shutdown() of the kernel).
  if (how >= 0 && shutdown(descriptor, how) != 0 && errno != ENOTCONN)
    return Error{"shut down a socket again", errno, static_cast<uint64_t>(descriptor)};
  return Done{};
}

}  // namespace mana::lower
