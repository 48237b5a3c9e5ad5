// SPDX-License-Identifier: BSD-3-Clause
// Credentials that come and go with messages (SCM_CREDENTIALS), in a restarted process.
//
// Received: by sockets with SO_PASSCRED, whose numbers are caught as those of gate_read_ids.cc are.  The option is set by a call that is
// caught, comes back at a restart, or is inherited by what a listening socket accepts.
//
// Sent: a process that names its own id as it knows it would be refused by the kernel.  Whether a message has credentials stands in
// memory where no filter can look, and catching all sendmsg of every restarted process would make all pay for what hardly any does.  So they
// are caught from the moment on when the process has a socket with SO_PASSCRED: who speaks of credentials does so in both directions.  The
// thread sends a copy of the message's head, which lies on its stack beside the BlockingCall.
#include <sys/socket.h>

#include <atomic>

#include "kernel-loader/descriptor_line.h"
#include "kernel-loader/gate_data.h"
#include "kernel-loader/ids.h"

namespace mana::loader {
namespace {

constinit std::atomic<bool> sends_are_caught{false};

constexpr uint64_t kMessageWords = sizeof(msghdr) / 8;
static_assert(sizeof(mmsghdr) == sizeof(msghdr) + 8);

// Calls each(process id) for all credentials in `length` bytes of control data.
template <class Each>
void each_credentials(char* control, uint64_t length, Each each) {
  for (uint64_t at = 0; at + sizeof(cmsghdr) <= length;) {
    cmsghdr head;
    __builtin_memcpy(&head, control + at, sizeof head);
    if (head.cmsg_len < sizeof head || head.cmsg_len > length - at) return;
    auto* credentials = reinterpret_cast<ucred*>(control + at + sizeof head);
    if (head.cmsg_level == SOL_SOCKET && head.cmsg_type == SCM_CREDENTIALS && head.cmsg_len >= sizeof head + sizeof(ucred)) each(credentials->pid);
    at += (head.cmsg_len + 7) & ~uint64_t{7};
  }
}

// The kernel has just written it.
void tell_credentials(const msghdr& message) {
  each_credentials(static_cast<char*>(message.msg_control), message.msg_controllen, [](pid_t& process) { process = seen_process(process); });
}

}  // namespace

bool passes_credentials(int64_t number) {
  int on = 0;
  socklen_t size = sizeof on;
  const long got = sys::raw(__NR_getsockopt, static_cast<uint64_t>(number), SOL_SOCKET, SO_PASSCRED, sys::bits(&on), sys::bits(&size));
  return !sys::failed(got) && on != 0;
}

void catch_sends() {
  if (process_kind() == ProcessKind::vforked || sends_are_caught.exchange(true)) return;
  if (!install_filter_of_sends()) sends_are_caught.store(false);
}

long do_setsockopt(CaughtCall& call) {
  const long got = call.pass();
  if (!sys::failed(got) && call.argument(1) == SOL_SOCKET) note_descriptor(static_cast<int32_t>(call.argument(0)));
  return got;
}

void finish_receive(const BlockingCall& blocking, uint64_t result) {
  if (blocking.number == __NR_recvmsg) return tell_credentials(*sys::pointer<const msghdr>(blocking.arguments[1]));
  const auto* messages = sys::pointer<const mmsghdr>(blocking.arguments[1]);
  for (uint64_t i = 0; i < result; i++) tell_credentials(messages[i].msg_hdr);
}

void name_own_credentials(CaughtCall& call, BlockingCall& blocking) {
  const uint64_t at = blocking.arguments[1];
  if (!readable_words(at, kMessageWords)) return;
  msghdr message = *sys::pointer<const msghdr>(at);
  uint64_t control[WaitRoom::kWords - kMessageWords];
  const uint64_t length = message.msg_controllen, from = sys::bits(message.msg_control);
  if (length < sizeof(cmsghdr) || length > sizeof control || !readable_word(from) || !readable_word(from + length - 8)) return;
  __builtin_memcpy(control, message.msg_control, length);
  bool changed = false;
  each_credentials(reinterpret_cast<char*>(control), length, [&](pid_t& process) {
    changed |= real_process(process) != process;
    process = real_process(process);
  });
  if (!changed) return;
  uint64_t* room = reinterpret_cast<WaitRoom*>(&blocking)->words;
  message.msg_control = room + kMessageWords;
  __builtin_memcpy(room, &message, sizeof message);
  __builtin_memcpy(room + kMessageWords, control, length);
  call.set_argument(1, sys::bits(room));
}

long do_sendmsg(CaughtCall& call) {
  BlockingCall& blocking = call.block(sizeof(WaitRoom));
  if (ids_are_translated()) name_own_credentials(call, blocking);
  return 0;
}

}  // namespace mana::loader
