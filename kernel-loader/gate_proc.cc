// SPDX-License-Identifier: BSD-3-Clause
// Folders of /proc whose entries are ids (/proc itself, and the folder task of a process), in a restarted process: they are listed with
// the names under which the application can open them (translate_proc_path).
//
// The kernel's records are read in pieces and laid out anew, because names have other lengths.  What does not fit is read again: the
// folder's position is put back to where the first such record begins, which is what the kernel does itself.
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>

#include "kernel-loader/gate_data.h"
#include "kernel-loader/ids.h"
#include "kernel-loader/text.h"

namespace mana::loader {
namespace {

enum class Names { others, processes, threads };

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
constexpr uint64_t kPiece = 768, kGrown = kPiece / 24 * 32;

uint64_t record_length(const char* name) { return (kName + text_length(name) + 1 + 7) & ~uint64_t{7}; }

Names names_in(uint64_t folder) {
  struct statfs system;
  struct stat status;
  if (sys::failed(sys::raw(__NR_fstatfs, folder, sys::bits(&system))) || system.f_type != PROC_SUPER_MAGIC) return Names::others;
  constexpr uint64_t kRootOfProc = 1;
  if (!sys::failed(sys::raw(__NR_fstat, folder, sys::bits(&status))) && status.st_ino == kRootOfProc) return Names::processes;
  char link[kProcPathSize], path[kProcPathSize];
  TextLine(link, sizeof link).add("/proc/thread-self/fd/").decimal(static_cast<int32_t>(folder));
  const long length = sys::raw(__NR_readlink, sys::bits(link), sys::bits(path), sizeof path - 1);
  if (sys::failed(length)) return Names::others;
  path[length] = 0;
  const char* last = last_part(path);
  if (!same_text(last, "task") || last - path < 2) return Names::others;
  path[last - path - 1] = 0;
  const char* process = last_part(path);
  return read_number(process, 10) == static_cast<uint64_t>(sys::getpid()) ? Names::threads : Names::processes;
}

// The name that the application knows, in `into`; false: such an id means another task to it.
bool told_name(const char* name, Names names, char (&into)[kProcPathSize]) {
  const char* end = name;
  const uint64_t number = read_number(end, 10);
  TextLine line(into, sizeof into);
  if (end == name || *end != 0 || number > INT32_MAX) {
    line.add(name);
    return true;
  }
  const auto real = static_cast<int32_t>(number);
  const int32_t seen = names == Names::threads ? seen_id(real) : seen_process(real);
  line.decimal(seen);
  const int32_t meant = names == Names::threads ? real_id(real) : real_process(real);
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

}  // namespace

long do_read_folder(CaughtCall& call) {
  const uint64_t folder = call.argument(0);
  const Names names = names_in(folder);
  if (names == Names::others) return call.pass();
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
      if (told_name(record->name, names, name)) {
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
