// SPDX-License-Identifier: BSD-3-Clause
// What an image holds of a descriptor beyond loader::Descriptor, and the two sides of it: save (on the agent's thread
// while all threads of the application are parked) and restore (on the main thread, before any of them runs).  Ordinary
// code.
//
// Saving never takes anything out of a pipe or socket of the running application: pipes are copied with tee(2), sockets
// peeked. Nor does it open and close a file that the application has open: that would drop the process's POSIX locks
// (fcntl_locking(2)).
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "kernel-loader/gate.h"
#include "kernel-loader/image_format.h"
#include "kernel-loader/image_reader.h"
#include "kernel-loader/result.h"
#include "lower/options.h"

namespace mana::lower {

// words[] of each kind.  Part of the image: add at the end only.
enum class ContentsKind : uint32_t {
  file = 1,  // length and time are noted (1), bytes, time of change s, ns; locks are items
  eventfd,   // count, semaphore
  timerfd,   // clock, settime flags, value s, ns (absolute if the flags say so), interval s, ns, expirations
  memfd,     // first (lowest number with the same inode), bytes, mode, seals
  unlinked,  // first, bytes, mode: a regular file without a name
  pipe,      // first (lowest number with the same pipe), capacity, holds bytes (1)
  fifo,      // the same, mode: a pipe with a name
  signalfd,  // mask
  epoll,
  inotify,
  terminal_master,  // packet mode, controls the application's session (1), mode of the slave; its owner is an item
  terminal_slave,   // number of its master
  socket_pair,      // number of the other end (-1: gone), type, shutdown (1: no receiving, 2: no sending)
  socket,           // family, type, protocol, state (SocketState), number of connections asked for, shutdown as of a pair
  removed_directory,  // first, -, mode, is the working directory (1)
};
enum class ItemKind : uint32_t {
  extent = 1,  // offset; bytes: of a file
  mapping,     // begin, length, protection, offset: shared, of this file
  lock,        // LockKind, type (F_RDLCK, F_WRLCK), start, length
  packet,      // bytes: of a pipe in packet mode
  message,     // bytes: in the queue to read from
  watch,       // epoll: number, events, data; inotify: wd, mask; bytes: path
  address,     // which (0 own, 1 peer); bytes: sockaddr
  option,      // level, name; bytes: value of a socket option
  terminal,    // 0 termios, 1 window size; bytes
  owner,       // user, group
  time,        // s, ns: first of the last access, then of the last change of the contents
  group,       // level; bytes: sockaddr_storage of a multicast group, name of the interface
};
enum class LockKind : uint64_t { flock, posix, open_file };
enum class SocketState : uint64_t { idle, listening, datagram, connected };

struct Item {
  ItemKind kind;
  uint64_t words[4];
  std::string bytes;
};

struct Contents {
  int number = -1;
  ContentsKind kind = ContentsKind::file;
  uint64_t words[8] = {};
  std::vector<Item> items;

  void add(ItemKind item, std::string bytes, uint64_t a = 0, uint64_t b = 0, uint64_t c = 0, uint64_t d = 0) {
    items.push_back({item, {a, b, c, d}, std::move(bytes)});
  }
};

// --- image side
void append(std::string& note, const Contents& contents);
void append(std::string& note, const loader::Descriptor& descriptor);
std::map<int, Contents> read_contents(std::string_view note);  // what does not make sense ends it

struct SavedDescriptors {
  std::string table;          // note "descriptors"
  std::string contents;       // note "contents"
  std::vector<image::DescriptorSignals> signals;
  std::set<uint64_t> mapped;  // where regions begin whose bytes are in `contents`
  std::string error;          // not empty: one that cannot be saved, and why
};
SavedDescriptors save_descriptors();
loader::Outcome restore_descriptors(const image::ImageFile& image, const Options& options);
// After restore_descriptors, when the application's clocks go on (clocks.h): a time that is left counts from there.
loader::Outcome arm_timer_descriptors(const image::ImageFile& image);

// --- shared between the files of this part
using Descriptors = std::vector<loader::Descriptor>;
Descriptors read_descriptors(std::string_view note);  // what does not make sense ends it

struct Inode {
  uint64_t device, number;
  auto operator<=>(const Inode&) const = default;
};
inline Inode inode_of(const loader::Descriptor& descriptor) { return {descriptor.device, descriptor.inode}; }

// The application's descriptors while it stands still.  It may have very many: nothing here asks each about each.
class SeenDescriptors {
 public:
  explicit SeenDescriptors(Descriptors all);
  SeenDescriptors(const SeenDescriptors&) = delete;
  const Descriptors& all() const { return all_; }  // ascending by number
  const loader::Descriptor* find(int number) const;
  // All of the inode, ascending by number.
  const std::vector<const loader::Descriptor*>& of(const Inode& inode) const;

 private:
  const Descriptors all_;
  std::map<Inode, std::vector<const loader::Descriptor*>> by_inode_;
};
std::string fdinfo(int number);
// The rest of the line that starts with `key`; empty: there is none.
std::string field(const std::string& text, const char* key);

// inotify (descriptor_watches.cc) and pseudo-terminals (descriptor_terminals.cc).  Text: why not; empty: saved, or, if `is_one` stays
// false, no pseudo-terminal of the application's own.
std::string save_inotify(int number, const std::string& info, const SeenDescriptors& all, Contents& into);
loader::Result<int> make_inotify(const Contents& contents, const Options& options);
std::string save_terminal(const loader::Descriptor& descriptor, const std::string& info, const SeenDescriptors& all, Contents& into,
                          bool& is_one);
loader::Result<int> make_terminal(const Contents& contents);
loader::Result<int> open_slave(int master, const loader::Descriptor& descriptor);

// Sockets (descriptor_sockets.cc).  Text: why not; empty: saved.
std::string save_socket(const loader::Descriptor& descriptor, const SeenDescriptors& all, Contents& into);
loader::Result<int> make_socket(const Contents& contents, const std::map<int, Contents>& all,
                                std::map<int, int>& other_ends);
loader::Outcome fill_socket(int descriptor, const Contents& contents, int other_end);
void connect_datagrams(int descriptor, const Contents& contents);  // when all have their addresses
loader::Outcome shut_socket(int descriptor, const Contents& contents);  // when all are filled
void say_at_restart(const std::string& what);                           // one line on stderr

}  // namespace mana::lower
