// SPDX-License-Identifier: BSD-3-Clause
// Ids in what is read, in a restarted process: folders (gate_proc.cc) and files of /proc, who sent the signals that a signalfd gives, and
// (gate_credentials.cc) the messages of a socket.
//
// Reads are on hot paths, so only those of descriptor numbers are caught under which one of these was open once: by one more filter for
// each new number, since filters can only be added.  What the number is by then the handler asks the kernel at each call; if it is
// something else, the thread makes the call itself.  Numbers are given lowest first, so there are few of them; beyond kMostFilters one
// filter catches all.
//
// A text is made anew from the kernel's whenever it is read from its beginning or from elsewhere than where the last read ended, as the
// kernel does (fs/seq_file.c), so that what is read piece by piece is one text.
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>

#include "kernel-loader/descriptor_line.h"
#include "kernel-loader/gate_data.h"
#include "kernel-loader/ids.h"
#include "kernel-loader/inherited.h"
#include "kernel-loader/proc_text.h"
#include "kernel-loader/text.h"

namespace mana::loader {
namespace {

constexpr int kMostFilters = 32;
constinit std::atomic<uint64_t> caught[kMostApplicationDescriptors / 64] = {};
constinit std::atomic<int> filters{0};

uint64_t as_argument(int64_t number) { return static_cast<uint64_t>(number); }

bool is_caught(int64_t number) {
  if (number < 0 || number >= first_lower_descriptor()) return false;
  return filters.load() > kMostFilters || (caught[number / 64].load() >> (number % 64) & 1) != 0;
}

void mark(int64_t number) { caught[number / 64].fetch_or(uint64_t{1} << (number % 64)); }

bool is_signalfd(int64_t number) {
  struct statfs system;
  if (sys::failed(sys::raw(__NR_fstatfs, as_argument(number), sys::bits(&system))) || system.f_type != ANON_INODE_FS_MAGIC) return false;
  char link[48], name[32];
  TextLine(link, sizeof link).add("/proc/thread-self/fd/").decimal(number);
  const long length = sys::raw(__NR_readlink, sys::bits(link), sys::bits(name), sizeof name - 1);
  if (sys::failed(length)) return false;
  name[length] = 0;
  return same_text(name, "anon_inode:[signalfd]");
}

bool tells_ids(int64_t number) { return proc_file(number).kind != ProcFile::none || is_signalfd(number) || passes_credentials(number); }

// A vforked child has filters of its own, but not its own notes.
void catch_reads_of(int64_t number) {
  if (number < 0 || number >= first_lower_descriptor() || process_kind() == ProcessKind::vforked) return;
  if (passes_credentials(number)) catch_sends();
  if (is_caught(number)) return;
  const auto one = static_cast<uint16_t>(number);
  const int before = filters.fetch_add(1);
  if (before > kMostFilters) return;
  if (install_filter_of_numbers(&one, before < kMostFilters ? 1 : 0)) mark(number);
}

// A window of the text that was last read from a number.
struct Text {
  int64_t number;
  uint64_t inode;
  uint64_t from, next;  // where the window begins; where the last read ended
  bool whole;           // to the text's end
  uint64_t length;
  char bytes[4096];
};
constexpr int kTexts = 4;
constinit Text texts[kTexts] = {};

long make_text(Text& text, int64_t number, ProcFile file, uint64_t from) {
  text.number = -1;
  char piece[512];
  ProcText maker(file, from, text.bytes, sizeof text.bytes);
  uint64_t at = 0;
  bool room = true;
  while (room) {
    const long got = sys::pread(static_cast<int>(number), piece, sizeof piece, at);
    if (sys::failed(got)) return got;
    if (got == 0) break;
    room = maker.put(piece, static_cast<size_t>(got));
    at += as_argument(got);
  }
  if (room) maker.end();
  text.number = number;
  text.from = text.next = from;
  text.whole = room;
  text.length = maker.used();
  return 0;
}

struct Room {
  uint64_t address, length;
};

long read_text(int64_t number, ProcFile file, uint64_t from, Room room) {
  struct stat status;
  sys::raw(__NR_fstat, as_argument(number), sys::bits(&status));
  const Hold hold(fork_local().text_lock);
  Text& text = texts[number % kTexts];
  const bool goes_on = from != 0 && text.number == number && text.inode == status.st_ino && text.next == from &&
                       (text.whole || from < text.from + text.length);
  if (!goes_on) {
    const long made = make_text(text, number, file, from);
    if (sys::failed(made)) return made;
    text.inode = status.st_ino;
  }
  const uint64_t left = text.from + text.length - from, length = left < room.length ? left : room.length;
  if (length == 0) return 0;
  const long given = give_bytes(text.bytes + (from - text.from), length, room.address);
  if (!sys::failed(given)) text.next = from + length;
  return given;
}

// The first of the application's buffers that is one: a read may give less than is asked for.
bool find_room(const CaughtCall& call, Room& room) {
  if (call.number() == __NR_read || call.number() == __NR_pread64) {
    room = {call.argument(1), call.argument(2)};
    return room.length != 0;
  }
  const uint64_t at = call.argument(1);
  for (uint64_t i = 0; i < call.argument(2); i++) {
    const uint64_t vector = at + i * sizeof(Room);
    if (!readable_word(vector) || !readable_word(vector + 8)) return false;
    room = *sys::pointer<const Room>(vector);
    if (room.length != 0) return true;
  }
  return false;
}

// Where the kernel has put a byte of what was read.
uint8_t* byte_at(const BlockingCall& blocking, uint64_t offset) {
  if (blocking.number == __NR_read) return sys::pointer<uint8_t>(blocking.arguments[1] + offset);
  const auto* room = sys::pointer<const Room>(blocking.arguments[1]);
  for (; offset >= room->length; room++) offset -= room->length;
  return sys::pointer<uint8_t>(room->address + offset);
}

int32_t load(const BlockingCall& blocking, uint64_t offset) {
  uint32_t value = 0;
  for (uint64_t i = 0; i < sizeof value; i++) value |= static_cast<uint32_t>(*byte_at(blocking, offset + i)) << (8 * i);
  return static_cast<int32_t>(value);
}

void store(const BlockingCall& blocking, uint64_t offset, int32_t value) {
  for (uint64_t i = 0; i < sizeof value; i++) *byte_at(blocking, offset + i) = static_cast<uint8_t>(static_cast<uint32_t>(value) >> (8 * i));
}

void finish_signals(const BlockingCall& blocking, uint64_t length) {
  for (uint64_t at = 0; at + sizeof(signalfd_siginfo) <= length; at += sizeof(signalfd_siginfo)) {
    const uint64_t sender = at + offsetof(signalfd_siginfo, ssi_pid);
    if (!names_a_sender(load(blocking, at + offsetof(signalfd_siginfo, ssi_code)))) continue;
    store(blocking, sender, seen_process(load(blocking, sender)));
  }
}

}  // namespace

void set_finish_of_ids(BlockingCall& blocking) {
  const auto number = static_cast<int64_t>(static_cast<int32_t>(blocking.arguments[0]));
  switch (blocking.number) {
    case __NR_read:
    case __NR_readv:
      if (is_caught(number) && is_signalfd(number)) blocking.finish = FINISH_SUCCESS;
      return;
    case __NR_recvmsg:
    case __NR_recvmmsg:
    case __NR_accept:
    case __NR_accept4:
      if (is_caught(number) && passes_credentials(number)) blocking.finish = FINISH_SUCCESS;
      return;
    default:
      return;
  }
}

void finish_ids(const BlockingCall& blocking, uint64_t result) {
  switch (blocking.number) {
    case __NR_read:
    case __NR_readv:
      return finish_signals(blocking, result);
    case __NR_recvmsg:
    case __NR_recvmmsg:
      return finish_receive(blocking, result);
    case __NR_accept:
    case __NR_accept4:
      return note_descriptor(static_cast<long>(result));
    default:
      return;
  }
}

long wait_for_ids(CaughtCall& call) {
  set_finish_of_ids(call.block());
  return 0;
}

long do_read(CaughtCall& call) {
  const auto number = static_cast<int64_t>(static_cast<int32_t>(call.argument(0)));
  // A process that was launched by one that has restarted has its filters.
  const ProcFile file = is_caught(number) ? proc_file(number) : ProcFile{ProcFile::none, false};
  if (!file.is_text()) return wait_for_ids(call);
  Room room;
  if (!find_room(call, room)) return call.pass();
  int64_t from = call.number() == __NR_read || call.number() == __NR_readv ? -1 : static_cast<int64_t>(call.argument(3));
  if (from < -1 || (from == -1 && call.number() != __NR_read && call.number() != __NR_readv && call.number() != __NR_preadv2)) return -EINVAL;
  const bool moves = from == -1;
  if (moves) from = sys::raw(__NR_lseek, call.argument(0), 0, SEEK_CUR);
  if (from < 0) return from;
  const long got = read_text(number, file, as_argument(from), room);
  if (moves && got > 0) sys::raw(__NR_lseek, call.argument(0), as_argument(from + got), SEEK_SET);
  return got;
}

void note_opened(long made) {
  if (ids_are_translated() && proc_file(made).kind != ProcFile::none) catch_reads_of(made);
}

void note_duplicate(uint64_t number, long made) {
  if (!sys::failed(made) && is_caught(static_cast<int32_t>(number)) && tells_ids(made)) catch_reads_of(made);
}

void note_descriptor(long made) {
  if (!sys::failed(made) && ids_are_translated() && tells_ids(made)) catch_reads_of(made);
}

void catch_reads_of_restored() {
  struct Found {
    int count = 0;
    bool credentials = false;
    uint16_t numbers[kMostNumbersOfFilter] = {};
  } found;
  const auto look = [](int number, void* closure) {
    auto& all = *static_cast<Found*>(closure);
    if (is_stray(number) || !tells_ids(number)) return true;
    if (all.count < kMostNumbersOfFilter) all.numbers[all.count] = static_cast<uint16_t>(number);
    all.count++;
    all.credentials |= passes_credentials(number);
    return true;
  };
  if (!for_each_number(look, &found).ok() || found.count == 0) return;
  if (found.credentials) catch_sends();
  const bool all = found.count > kMostNumbersOfFilter;
  if (!install_filter_of_numbers(found.numbers, all ? 0 : found.count)) return;
  if (all) filters.store(kMostFilters + 1);
  for (int i = 0; i < found.count && !all; i++) mark(found.numbers[i]);
}

}  // namespace mana::loader
