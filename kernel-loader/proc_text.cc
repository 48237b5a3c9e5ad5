// SPDX-License-Identifier: BSD-3-Clause
#include "kernel-loader/proc_text.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "kernel-loader/ids.h"
#include "kernel-loader/sys.h"
#include "kernel-loader/text.h"

namespace mana::loader {
namespace {

bool is_number(const char* text) {
  const char* end = text;
  read_number(end, 10);
  return end != text && *end == 0;
}

// Takes the last part off a path.
const char* take_part(char* path) {
  char* part = path;
  for (char* at = path; *at != 0; at++) {
    if (*at == '/') part = at;
  }
  if (*part != '/') return "";
  *part = 0;
  return part + 1;
}

ProcFile::Kind kind_named(const char* name) {
  struct Word {
    const char* name;
    ProcFile::Kind kind;
  };
  static constexpr Word kWords[] = {{"stat", ProcFile::stat},         {"status", ProcFile::status}, {"sched", ProcFile::sched},
                                    {"children", ProcFile::children}, {"timers", ProcFile::timers}, {"locks", ProcFile::locks}};
  for (const Word& word : kWords) {
    if (same_text(name, word.name)) return word.kind;
  }
  return ProcFile::none;
}

}  // namespace

ProcFile proc_file(int64_t number) {
  constexpr ProcFile kNone{ProcFile::none, false};
  const bool here = number == AT_FDCWD;
  struct statfs system;
  const uint64_t which = here ? sys::bits(".") : static_cast<uint64_t>(number);
  const long known = sys::raw(here ? __NR_statfs : __NR_fstatfs, which, sys::bits(&system));
  if (sys::failed(known) || system.f_type != PROC_SUPER_MAGIC) return kNone;
  struct stat status;
  if (sys::failed(sys::raw(__NR_newfstatat, static_cast<uint64_t>(number), sys::bits(""), sys::bits(&status), AT_EMPTY_PATH))) return kNone;
  char link[48], path[256];
  TextLine line(link, sizeof link);
  if (here)
    line.add("/proc/thread-self/cwd");
  else
    line.add("/proc/thread-self/fd/").decimal(number);
  const long length = sys::raw(__NR_readlink, sys::bits(link), sys::bits(path), sizeof path - 1);
  if (sys::failed(length)) return kNone;
  path[length] = 0;
  const char* name = take_part(path);
  const bool folder = S_ISDIR(status.st_mode);
  constexpr uint64_t kRoot = 1;
  if (folder && status.st_ino == kRoot) return {ProcFile::processes, false};
  if (folder && (same_text(name, "fd") || same_text(name, "fdinfo") || same_text(name, "map_files"))) return {ProcFile::descriptors, false};
  ProcFile::Kind kind = folder ? (same_text(name, "task") ? ProcFile::threads : ProcFile::folder) : kind_named(name);
  if (kind == ProcFile::locks || kind == ProcFile::folder) return {kind, false};
  const char* owner = take_part(path);
  if (is_number(name) && same_text(owner, "fdinfo")) {
    kind = ProcFile::fdinfo;
    owner = take_part(path);
  }
  if (kind == ProcFile::none || !is_number(owner)) return kNone;
  uint64_t process = read_number(owner, 10);
  if (same_text(take_part(path), "task")) process = read_number(owner = take_part(path), 10);
  return {kind, process == static_cast<uint64_t>(sys::getpid())};
}

bool ProcText::put(const char* piece, size_t length) {
  if (at_ == 0) find_name(piece, length);
  for (size_t i = 0; i < length && !full_; i++) put(piece[i]);
  return !full_;
}

// "1234 (name) S ..." and "name (1234, #threads: 1)": a name has at most 64 bytes, of any kind.
void ProcText::find_name(const char* piece, size_t length) {
  if (file_.kind == ProcFile::stat) {
    while (name_from_ < length && piece[name_from_] != ' ') name_from_++;
    for (size_t i = name_from_; i < length; i++) {
      if (piece[i] == ')') name_to_ = i + 1;
    }
  }
  if (file_.kind == ProcFile::sched) {
    constexpr char kBehind[] = ", #threads: ";
    for (size_t i = 0; i + sizeof kBehind <= length && i < 128; i++) {
      if (__builtin_memcmp(piece + i, kBehind, sizeof kBehind - 1) == 0) name_to_ = i;
    }
    while (name_to_ > 0 && piece[name_to_ - 1] >= '0' && piece[name_to_ - 1] <= '9') name_to_--;
  }
}

void ProcText::put(char letter) {
  const bool in_name = at_ >= name_from_ && at_ < name_to_;
  at_++;
  if (in_name) end_word();
  if (in_name) return emit(&letter, 1);
  if (letter == ' ' || letter == '\t' || letter == '\n' || letter == ',') {
    end_word();
    emit(&letter, 1);
    if (letter == '\n') words_ = 0, in_line_ = Id::none;
    return;
  }
  if (length_ == sizeof word_ - 1) {
    emit(word_, length_);
    length_ = 0;
    overlong_ = true;
  }
  word_[length_++] = letter;
}

void ProcText::end_word() {
  if (length_ == 0) return;
  word_[length_] = 0;
  const Id id = overlong_ ? Id::none : id_in_word();
  const char* digits = word_;
  if (id == Id::after_dot) {
    for (const char* at = word_; *at != 0; at++) {
      if (*at == '.') digits = at + 1;
    }
  }
  emit(word_, static_cast<size_t>(digits - word_));
  if (id == Id::none || !is_number(digits)) {
    emit(digits, text_length(digits));
  } else {
    char text[24];
    const char* end = digits;
    TextLine(text, sizeof text).decimal(seen(id, read_number(end, 10)));
    emit(text, text_length(text));
  }
  if (id == Id::lock && (is_number(digits) || same_text(digits, "-1" /* of an open file */))) in_line_ = Id::none;
  words_++;
  length_ = 0;
  overlong_ = false;
}

// Files with several lines have in the first word of each what it tells.
ProcText::Id ProcText::id_in_word() {
  struct Label {
    ProcFile::Kind kind;
    const char* text;
    Id id;
  };
  static constexpr Label kLabels[] = {
      {ProcFile::status, "Tgid:", Id::task},          {ProcFile::status, "Ngid:", Id::task},     {ProcFile::status, "Pid:", Id::task},
      {ProcFile::status, "PPid:", Id::process},       {ProcFile::status, "NStgid:", Id::task},   {ProcFile::status, "NSpid:", Id::task},
      {ProcFile::status, "TracerPid:", Id::process},  {ProcFile::status, "NSpgid:", Id::group},  {ProcFile::status, "NSsid:", Id::session},
      {ProcFile::fdinfo, "Pid:", Id::process},        {ProcFile::fdinfo, "NSpid:", Id::process}, {ProcFile::fdinfo, "lock:", Id::lock},
      {ProcFile::timers, "notify:", Id::after_dot},
  };
  switch (file_.kind) {
    case ProcFile::stat: {
      static constexpr Id kFields[] = {Id::task, Id::none /* behind the name: the state */, Id::process, Id::group, Id::session, Id::none, Id::group};
      return words_ < static_cast<int>(sizeof kFields / sizeof kFields[0]) ? kFields[words_] : Id::none;
    }
    case ProcFile::sched:
      return at_ <= name_to_ + 16 && words_ == 0 ? Id::task : Id::none;
    case ProcFile::children:
      return Id::process;
    case ProcFile::locks:  // "1: POSIX  ADVISORY  WRITE 1234 00:23:45 0 EOF", "1: -> POSIX ..."
      if (words_ == 0) in_line_ = Id::lock;
      return words_ == 0 ? Id::none : in_line_;
    default:
      break;
  }
  if (words_ == 0) {
    for (const Label& label : kLabels) {
      if (label.kind == file_.kind && same_text(label.text, word_)) in_line_ = label.id;
    }
    return Id::none;
  }
  return words_ == 1 || in_line_ == Id::lock ? in_line_ : Id::none;  // a second id is of an inner namespace
}

int32_t ProcText::seen(Id id, uint64_t real) const {
  const auto number = static_cast<int32_t>(real);
  if (id == Id::group) return seen_id(number, IdKind::group);
  if (id == Id::session) return seen_id(number, IdKind::session);
  return file_.own && (id == Id::task || id == Id::after_dot) ? seen_id(number) : seen_process(number);
}

void ProcText::emit(const char* text, size_t length) {
  for (; length > 0; text++, length--) {
    if (skip_ > 0) {
      skip_--;
    } else if (used_ < room_) {
      to_[used_++] = *text;
    } else {
      full_ = true;
    }
  }
}

}  // namespace mana::loader
