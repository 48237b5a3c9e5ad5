// SPDX-License-Identifier: BSD-3-Clause
// Names in /proc that are ids, in a restarted process: in paths, and in folders (/proc itself, and the folder task of a process), which are
// listed with the names under which the application can open what is in them.
//
// The kernel's records of a folder are read in pieces and laid out anew, because names have other lengths.  What does not fit is read again: the
// folder's position is put back to where the first such record begins, which is what the kernel does itself.
#include <fcntl.h>

#include <cerrno>

#include "kernel-loader/gate_data.h"
#include "kernel-loader/ids.h"
#include "kernel-loader/proc_text.h"
#include "kernel-loader/text.h"

namespace mana::loader {
namespace {

uint64_t as_argument(int64_t number) { return static_cast<uint64_t>(number); }

// struct linux_dirent64.  struct linux_dirent has the type in the last byte of the record, behind the zero of the name.
struct Record {
  uint64_t inode;
  int64_t next;
  uint16_t length;
  uint8_t type;
  char name[];
};
constexpr uint64_t kName = 19, kNameOfOld = 18;
static_assert(offsetof(Record, name) == kName);
// Of names that are numbers: 24 for up to four digits, else 32.
constexpr uint64_t kPiece = 576, kGrown = kPiece / 24 * 32;

uint64_t record_length(const char* name) { return (kName + text_length(name) + 1 + 7) & ~uint64_t{7}; }

// The name that the application knows, in `into`; false: such an id means another task to it.
bool told_name(const char* name, bool threads, char (&into)[kProcPathSize]) {
  const char* end = name;
  const uint64_t number = read_number(end, 10);
  TextLine line(into, sizeof into);
  if (end == name || *end != 0 || number > INT32_MAX) {
    line.add(name);
    return true;
  }
  const auto real = static_cast<int32_t>(number);
  const int32_t seen = threads ? seen_id(real) : seen_process(real);
  line.decimal(seen);
  const int32_t meant = threads ? real_id(real) : real_process(real);
  return seen != real || meant == real || sys::raw(__NR_kill, as_argument(meant), 0) == -ESRCH;
}

void lay_out(const Record& from, const char* name, bool old, char* to) {
  auto* into = reinterpret_cast<Record*>(to);
  const uint64_t length = record_length(name);
  __builtin_memset(to, 0, length);
  into->inode = from.inode;
  into->next = from.next;
  into->length = static_cast<uint16_t>(length);
  if (old)
    to[length - 1] = static_cast<char>(from.type);
  else
    into->type = from.type;
  copy_text(name, to + (old ? kNameOfOld : kName), length - kName);
}

// A part of a path; false: it is too long to be one that matters.
struct Part {
  char text[64];
  size_t length = 0;
  bool take(const char*& path) {
    while (path[length] != 0 && path[length] != '/') {
      if (length + 1 == sizeof text) return false;
      text[length] = path[length];
      length++;
    }
    text[length] = 0;
    path += length;
    return true;
  }
  int32_t id() const {  // 0: it is none
    const char* end = text;
    const uint64_t number = read_number(end, 10);
    return end == text || *end != 0 || number > INT32_MAX ? 0 : static_cast<int32_t>(number);
  }
  bool names_descriptors() const { return same_text(text, "fd") || same_text(text, "fdinfo") || same_text(text, "map_files"); }
};

}  // namespace

// Each part that is a number is an id: /proc/ID/..., /proc/self/task/ID/..., /proc/ID/task/ID/...; files of a process are named by numbers in
// fd, fdinfo and map_files only.
bool translate_proc_path(uint64_t folder, const char* path, char (&into)[kProcPathSize]) {
  if (!ids_are_translated()) return false;
  if (const char* instead = host_name_file(path)) return copy_text(instead, into, sizeof into);
  const bool relative = *path != '/';
  if (!relative && !starts_with(path, "/proc/")) return false;
  bool changed = false;
  TextLine line(into, sizeof into);
  for (const char* at = path; *at != 0;) {
    if (*at == '/') line.add(*at++);
    Part part;
    if (!part.take(at)) return false;
    if (part.id() != 0 && real_id(part.id()) != part.id()) {
      line.decimal(real_id(part.id()));
      changed = true;
    } else {
      line.add(part.text);
    }
    if (part.names_descriptors()) {
      line.add(at);
      break;
    }
  }
  return changed && !line.full() && (!relative || proc_file(static_cast<int32_t>(folder)).has_ids_in_names());
}

bool tell_proc_path(const char* path, char (&into)[kProcPathSize]) {
  if (!ids_are_translated() || !starts_with(path, "/proc/")) return false;
  const char* at = path + 6;
  Part process, thread;
  if (!process.take(at) || process.id() == 0) return false;
  TextLine line(into, sizeof into);
  line.add("/proc/").decimal(seen_process(process.id()));
  if (starts_with(at, "/task/")) {
    at += 6;
    if (!thread.take(at) || thread.id() == 0) return false;
    line.add("/task/").decimal(process.id() == sys::getpid() ? seen_id(thread.id()) : seen_process(thread.id()));
  }
  line.add(at);
  return !line.full();
}

long do_read_folder(CaughtCall& call) {
  const uint64_t folder = call.argument(0);
  const ProcFile file = ids_are_translated() ? proc_file(static_cast<int32_t>(folder)) : ProcFile{ProcFile::none, false};
  if (file.kind != ProcFile::processes && file.kind != ProcFile::threads) return call.pass();
  alignas(8) char from[kPiece];
  alignas(8) char to[kGrown];
  const uint64_t asked = static_cast<uint32_t>(call.argument(2)), room = asked < sizeof to ? asked : sizeof to;
  for (;;) {
    const long start = sys::raw(__NR_lseek, folder, 0, SEEK_CUR);
    const long got = sys::raw(__NR_getdents64, folder, sys::bits(from), sizeof from);
    if (got <= 0) return got;
    uint64_t used = 0;
    int64_t next = start;
    bool full = false;
    for (long at = 0; at < got;) {
      const auto* record = reinterpret_cast<const Record*>(from + at);
      char name[kProcPathSize];
      if (told_name(record->name, file.kind == ProcFile::threads && file.own, name)) {
        full = used + record_length(name) > room;
        if (full) break;
        lay_out(*record, name, call.number() == __NR_getdents, to + used);
        used += record_length(name);
      }
      next = record->next;
      at += record->length;
    }
    if (full) sys::raw(__NR_lseek, folder, as_argument(next), SEEK_SET);
    if (used == 0 && full) return -EINVAL;
    if (used == 0) continue;
    const long given = give_bytes(to, used, call.argument(1));
    if (sys::failed(given)) sys::raw(__NR_lseek, folder, as_argument(start), SEEK_SET);
    return given;
  }
}

}  // namespace mana::loader
