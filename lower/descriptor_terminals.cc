// SPDX-License-Identifier: BSD-3-Clause
// Pseudo-terminals whose master is the application's.  Any other terminal is its launcher's.
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <optional>

#include "kernel-loader/descriptor_line.h"
#include "kernel-loader/sys.h"
#include "lower/descriptor_contents.h"

namespace mana::lower {
namespace {

using loader::Descriptor;
using loader::DescriptorKind;
using loader::Error;
using loader::Result;

constexpr unsigned kSlaveMajor = 136;  // UNIX98_PTY_SLAVE_MAJOR, linux/major.h

std::string slave_at(unsigned index) { return "/dev/pts/" + std::to_string(index); }

// Of what was opened as /dev/tty the terminal that this was (TIOCGDEV, ioctl_tty(2); the kernel's own encoding of a device).
std::string name_of(const Descriptor& descriptor) {
  unsigned device = 0;
  const bool is_slave = std::strcmp(descriptor.path, "/dev/tty") == 0 && ioctl(descriptor.number, TIOCGDEV, &device) == 0 &&
                        (device >> 8 & 0xfff) == kSlaveMajor;
  return is_slave ? slave_at((device & 0xff) | (device >> 12 & 0xfff00)) : descriptor.path;
}

std::optional<int> master_of(const std::string& slave, const SeenDescriptors& all) {
  for (const Descriptor& one : all.all()) {
    if (one.kind != DescriptorKind::device) continue;
    const std::string index = field(fdinfo(one.number), "tty-index:");
    if (!index.empty() && slave_at(static_cast<unsigned>(std::atoi(index.c_str()))) == slave) return one.number;
  }
  return {};
}

template <class T>
void save_setting(int number, unsigned long request, uint64_t which, Contents& into) {
  T value{};
  if (ioctl(number, request, &value) == 0)
    into.add(ItemKind::terminal, std::string(reinterpret_cast<char*>(&value), sizeof value), which);
}

// By name: opening and closing it would hang it up if the application has not opened it yet.
void save_slave(unsigned index, Contents& into) {
  struct stat status {};
  if (stat(slave_at(index).c_str(), &status) != 0 || status.st_rdev != makedev(kSlaveMajor, index)) return;
  into.words[2] = status.st_mode & 07777;
  // Whoever makes a pseudo-terminal owns it.
  into.add(ItemKind::owner, {}, status.st_uid == geteuid() ? static_cast<uid_t>(-1) : status.st_uid, status.st_gid);
}

void restore_slave(int master, const Contents& contents) {
  const std::string what = "descriptor " + std::to_string(contents.number) + ", a pseudo-terminal, has ";
  unsigned index = 0;
  struct stat now {};
  for (const Item& item : contents.items) {
    if (item.kind != ItemKind::owner || ioctl(master, TIOCGPTN, &index) != 0) continue;
    const std::string name = slave_at(index);
    const auto user = static_cast<uid_t>(item.words[0]);
    const auto group = static_cast<gid_t>(item.words[1]);
    const bool same = stat(name.c_str(), &now) == 0 && (user == static_cast<uid_t>(-1) || now.st_uid == user) && now.st_gid == group;
    const bool owned = same || chown(name.c_str(), user, group) == 0;
    if (!owned) say_at_restart(what + "another owner now: " + std::strerror(errno));
    if (chmod(name.c_str(), static_cast<mode_t>(contents.words[2])) != 0) say_at_restart(what + "another mode now: " + std::strerror(errno));
  }
}

}  // namespace

std::string save_terminal(const Descriptor& descriptor, const std::string& info, const SeenDescriptors& all, Contents& into,
                          bool& is_one) {
  const std::string index = field(info, "tty-index:"), name = name_of(descriptor);
  const bool master = !index.empty();
  if (!master && !name.starts_with("/dev/pts/")) return {};
  const std::optional<int> owner = master ? std::nullopt : master_of(name, all);
  if (!master && !owner) return {};
  is_one = true;
  into.kind = master ? ContentsKind::terminal_master : ContentsKind::terminal_slave;
  int unread = 0;
  if (ioctl(descriptor.number, FIONREAD, &unread) == 0 && unread > 0)
    return "pseudo-terminal with " + std::to_string(unread) + " bytes that were not read yet";
  if (!master) {
    into.words[0] = static_cast<uint64_t>(*owner);
    return {};
  }
  save_setting<termios>(descriptor.number, TCGETS, 0, into);
  save_setting<winsize>(descriptor.number, TIOCGWINSZ, 1, into);
  int packet = 0;
  if (ioctl(descriptor.number, TIOCGPKT, &packet) == 0) into.words[0] = static_cast<uint64_t>(packet);
  pid_t session = 0;
  into.words[1] = ioctl(descriptor.number, TIOCGSID, &session) == 0 && session == getsid(0);  // the slave's
  save_slave(static_cast<unsigned>(std::atoi(index.c_str())), into);
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
  restore_slave(got, contents);
  if (contents.words[1] != 0 && ioctl(got, TIOCSCTTY, 0) != 0)  // the slave
    say_at_restart("descriptor " + std::to_string(contents.number) + ", a pseudo-terminal, does not control the application's session any more: " +
                   std::strerror(errno));
  return got;
}

Result<int> open_slave(int master, const Descriptor& descriptor) {
  const loader::MakingDescriptors making;
  const long flags = (descriptor.flags & (O_ACCMODE | O_NONBLOCK)) | O_NOCTTY | O_CLOEXEC;
  const long got = loader::move_above(making, sys::raw(SYS_ioctl, static_cast<uint64_t>(master), TIOCGPTPEER, static_cast<uint64_t>(flags)));
  errno = sys::failed(got) ? sys::error_of(got) : 0;
  if (errno != 0) return Error{"open a pseudo-terminal", errno}.at(descriptor.path);
  return static_cast<int>(got);
}

}  // namespace mana::lower
