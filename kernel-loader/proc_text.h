// SPDX-License-Identifier: BSD-3-Clause
// Files of /proc that tell ids of processes, for a restarted process: which they are, and their text with the ids that the application
// knows.  What the text says besides is the kernel's, byte by byte.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mana::loader {

struct ProcFile {
  enum Kind { none, stat, status, sched, children, timers, fdinfo, locks, processes, threads, descriptors, folder } kind;
  bool own;  // of this process or one of its threads
  bool is_text() const { return kind != none && kind < processes; }
  // Folders: names in them and below that are numbers are ids; in `descriptors` (fd, fdinfo, map_files) not.
  bool has_ids_in_names() const { return kind == processes || kind == threads || kind == folder; }
};
// What is open under a number of the application's, or the working directory (AT_FDCWD).
ProcFile proc_file(int64_t number);

// A window of such a text.  The kernel's is put in piece by piece; the first must have at least the first 128 bytes.
class ProcText {
 public:
  ProcText(ProcFile file, uint64_t skip, char* to, size_t room) : file_(file), skip_(skip), to_(to), room_(room) {}

  bool put(const char* piece, size_t length);  // false: the window is full
  void end() { end_word(); }
  size_t used() const { return used_; }

 private:
  enum class Id { none, task, process, group, session, lock, after_dot };
  void find_name(const char* piece, size_t length);
  void put(char letter);
  void end_word();
  Id id_in_word();
  int32_t seen(Id id, uint64_t real) const;
  void emit(const char* text, size_t length);

  ProcFile file_;
  uint64_t skip_;
  char* to_;
  size_t room_, used_ = 0;
  bool full_ = false;
  uint64_t at_ = 0, name_from_ = 0, name_to_ = 0;  // the thread's name, which may be any text
  char word_[64];
  size_t length_ = 0;
  bool overlong_ = false;
  int words_ = 0;  // before it in its line
  Id in_line_ = Id::none;
};

}  // namespace mana::loader
