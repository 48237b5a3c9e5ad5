// SPDX-License-Identifier: BSD-3-Clause
// What sock_diag(7) tells of a socket and no call on the socket does.  Asking takes nothing out of it.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace mana::lower {

struct UnixState {
  uint64_t peer = 0;              // inode; 0: gone, or never there
  unsigned shutdown = 0;          // 1: no receiving, 2: no sending
  std::vector<uint32_t> waiting;  // inodes of those that wait to be accepted; 0: closed already
};
// Nothing: this kernel does not tell (CONFIG_UNIX_DIAG).
std::optional<UnixState> unix_state(uint64_t inode);

// As in UnixState, of a UDP socket.  Nothing: this kernel does not tell (CONFIG_INET_UDP_DIAG), or the socket has no port.
std::optional<unsigned> udp_shutdown(int family, in_port_t port, uint64_t inode);

}  // namespace mana::lower
