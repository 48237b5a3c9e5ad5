// SPDX-License-Identifier: BSD-3-Clause
#include "lower/socket_diag.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <sys/socket.h>
#include <unistd.h>

namespace mana::lower {
namespace {

constexpr std::size_t kMostAnswerBytes = 64 << 10;  // of one datagram: a queue of 4096 that wait to be accepted

// Calls each(message, its attributes, their bytes) until that returns true; false: it never did.
template <class Message, class Request, class Each>
bool ask(const Request& request, int flags, Each each) {
  struct {
    nlmsghdr head;
    Request request;
  } question{};
  question.head.nlmsg_len = sizeof question;
  question.head.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  question.head.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
  question.request = request;
  const int link = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (link < 0) return false;
  std::vector<uint64_t> answer(kMostAnswerBytes / sizeof(uint64_t));
  bool found = false, more = send(link, &question, sizeof question, 0) > 0;
  while (more && !found) {
    const ssize_t got = recv(link, answer.data(), kMostAnswerBytes, 0);
    auto left = static_cast<int>(got);
    more = got > 0 && (flags & NLM_F_DUMP) != 0;  // what is no dump has one answer, and no end
    for (auto* head = reinterpret_cast<nlmsghdr*>(answer.data()); !found && NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
      if (head->nlmsg_type != SOCK_DIAG_BY_FAMILY) {
        more = false;  // the end, or an error
        break;
      }
      auto* message = static_cast<Message*>(NLMSG_DATA(head));
      found = each(*message, reinterpret_cast<rtattr*>(message + 1), static_cast<int>(head->nlmsg_len - NLMSG_LENGTH(sizeof *message)));
    }
  }
  close(link);
  return found;
}

}  // namespace

std::optional<UnixState> unix_state(uint64_t inode) {
  unix_diag_req request{};
  request.sdiag_family = AF_UNIX;
  request.udiag_states = ~0u;
  request.udiag_ino = static_cast<uint32_t>(inode);
  request.udiag_show = UDIAG_SHOW_PEER | UDIAG_SHOW_ICONS;
  request.udiag_cookie[0] = request.udiag_cookie[1] = ~0u;
  UnixState state;
  const auto take = [&](const unix_diag_msg&, rtattr* at, int left) {
    for (; RTA_OK(at, left); at = RTA_NEXT(at, left)) {
      if (at->rta_type == UNIX_DIAG_PEER) state.peer = *static_cast<uint32_t*>(RTA_DATA(at));
      if (at->rta_type == UNIX_DIAG_SHUTDOWN) state.shutdown = *static_cast<uint8_t*>(RTA_DATA(at));
      if (at->rta_type != UNIX_DIAG_ICONS) continue;
      const auto* inodes = static_cast<uint32_t*>(RTA_DATA(at));
      state.waiting.assign(inodes, inodes + RTA_PAYLOAD(at) / sizeof *inodes);
    }
    return true;
  };
  if (!ask<unix_diag_msg>(request, 0, take)) return {};
  return state;
}

std::optional<unsigned> udp_shutdown(int family, in_port_t port, uint64_t inode) {
  inet_diag_req_v2 request{};
  request.sdiag_family = static_cast<uint8_t>(family);
  request.sdiag_protocol = IPPROTO_UDP;
  request.idiag_states = ~0u;
  request.id.idiag_sport = port;
  std::optional<unsigned> shutdown;
  if (port == 0) return {};
  ask<inet_diag_msg>(request, NLM_F_DUMP, [&](const inet_diag_msg& message, rtattr* at, int left) {
    if (message.idiag_inode != static_cast<uint32_t>(inode)) return false;
    for (; RTA_OK(at, left); at = RTA_NEXT(at, left)) {
      if (at->rta_type == INET_DIAG_SHUTDOWN) shutdown = *static_cast<uint8_t*>(RTA_DATA(at));
    }
    return true;
  });
  return shutdown;
}

}  // namespace mana::lower
