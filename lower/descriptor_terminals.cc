// SPDX-License-Identifier: BSD-3-Clause
// Pseudo-terminals whose master is the application's.  Any other terminal is its launcher's.
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <string_view>

#include "kernel-loader/descriptor_line.h"
#include "kernel-loader/sys.h"
#include "lower/descriptor_contents.h"

namespace mana::lower {
namespace {

using loader::Descriptor;
using loader::DescriptorKind;
using loader::Error;
using loader::Result;

bool is_slave(const Descriptor& descriptor) { return std::string_view(descriptor.path).starts_with("/dev/pts/"); }

std::optional<int> master_of(const std::string& slave, const SeenDescriptors& all) {
  for (const Descriptor& one : all.all()) {
    if (one.kind != DescriptorKind::device) continue;
    const std::string index = field(fdinfo(one.number), "tty-index:");
    if (!index.empty() && "/dev/pts/" + std::to_string(std::atoi(index.c_str())) == slave) return one.number;
  }
  return {};
}

template <class T>
void save_setting(int number, unsigned long request, uint64_t which, Contents& into) {
  T value{};
  if (ioctl(number, request, &value) == 0)
    into.add(ItemKind::terminal, std::string(reinterpret_cast<char*>(&value), sizeof value), which);
}

}  // namespace

std::string save_terminal(const Descriptor& descriptor, const std::string& info, const SeenDescriptors& all, Contents& into,
                          bool& is_one) {
  const bool master = !field(info, "tty-index:").empty();
  if (!master && !is_slave(descriptor)) return {};
  const std::optional<int> owner = master ? std::nullopt : master_of(descriptor.path, all);
  if (!master && !owner) return {};
  is_one = true;
  into.kind = master ? ContentsKind::terminal_master : ContentsKind::terminal_slave;
  int unread = 0;
  if (ioctl(descriptor.number, FIONREAD, &unread) == 0 && unread > 0)
    return "pseudo-terminal with " + std::to_string(unread) + " bytes that were not read yet";
  if (!master) {
    if (*owner > descriptor.number) return "its master has a higher number";  // it is made from the master
    into.words[0] = static_cast<uint64_t>(*owner);
    return {};
  }
  save_setting<termios>(descriptor.number, TCGETS, 0, into);
  save_setting<winsize>(descriptor.number, TIOCGWINSZ, 1, into);
  int packet = 0;
  if (ioctl(descriptor.number, TIOCGPKT, &packet) == 0) into.words[0] = static_cast<uint64_t>(packet);
  return {};
}

Result<int> make_terminal(const Contents& contents) {
  const int got = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
  int unlocked = 0;
  if (got < 0 || ioctl(got, TIOCSPTLCK, &unlocked) != 0) return Error{"make a pseudo-terminal", errno}.at("/dev/ptmx");
  for (const Item& item : contents.items) {
    if (item.kind != ItemKind::terminal) continue;
    const unsigned long request = item.words[0] == 0 ? TCSETS : TIOCSWINSZ;
    if (ioctl(got, request, item.bytes.data()) != 0) return Error{"set a pseudo-terminal", errno}.at("/dev/ptmx");
  }
  const int packet = static_cast<int>(contents.words[0]);
  if (packet != 0) ioctl(got, TIOCPKT, &packet);
  return got;
}

Result<int> open_slave(const Descriptor& descriptor, const Contents& contents) {
  const auto master = static_cast<int>(contents.words[0]);  // a lower number
  const loader::MakingDescriptors making;
  const long flags = (descriptor.flags & (O_ACCMODE | O_NONBLOCK)) | O_NOCTTY | O_CLOEXEC;
  const long got = loader::move_above(making, sys::raw(SYS_ioctl, static_cast<uint64_t>(master), TIOCGPTPEER, static_cast<uint64_t>(flags)));
  errno = sys::failed(got) ? sys::error_of(got) : 0;
  if (errno != 0) return Error{"open a pseudo-terminal", errno}.at(descriptor.path);
  return static_cast<int>(got);
}

}  // namespace mana::lower
