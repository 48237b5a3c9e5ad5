// SPDX-License-Identifier: BSD-3-Clause
// The line between the descriptor numbers of the halves, and the limit of open files.
//
// Numbers below first_lower_descriptor() are the application's, whose calls are the kernel's own;
// from there up they are the lower half's.  Two things keep the halves apart.
//
// The limit: while the application runs, the kernel's soft limit (RLIMIT_NOFILE) is not above the
// line, so the kernel itself answers EMFILE, EBADF (dup2) and EINVAL (F_DUPFD) there.  What the
// application is told of the limit is what it has natively.
//
// The move: whatever makes a lasting descriptor in the lower half moves it above the line at once.
// Every call that makes one takes the lowest free number, so for that moment it has a number of the
// application's.  Meanwhile MakingDescriptors holds a lock, which the application's dup2, dup3 and
// close_range take too: these could put something else at that number, which would be moved, and
// the application's be closed.  A call of the application that makes a descriptor gets another
// number, because the kernel gives each once; a close() of a number that the application does not
// have can only hit ours, and move_above tells.  For the same moment the limit is raised.  An open
// of the application could then get a number beyond its limit only if all below are taken, where it
// would fail natively.
#pragma once

#include <cstdint>
#include <optional>

#include "kernel-loader/fork_local.h"
#include "kernel-loader/result.h"

namespace mana::loader {

struct FileLimit {
  uint64_t soft, hard;  // as struct rlimit
};

int first_lower_descriptor();

// First of all; what was open before (by libraries, before main) lies where it should already.
Outcome settle_file_limit();
// As the application knows it; in the original process.
FileLimit file_limit();
// As setrlimit: 0 or an error.
long set_file_limit(const FileLimit& wanted);

// While the application's descriptors are made again, below the line and beyond the limit that it
// may have set.  As often as each other.
void raise_file_limit();
void lower_file_limit();

// Around each call that makes a descriptor of the lower half, and its move.  The call must not wait
// for anything long.  All signals are blocked: a handler of the application may call dup2.  In a
// child of the application or of the lower half there is nothing to keep apart, and this and
// move_above do nothing.
class MakingDescriptors {
 public:
  MakingDescriptors();
  ~MakingDescriptors();
  MakingDescriptors(const MakingDescriptors&) = delete;
  MakingDescriptors& operator=(const MakingDescriptors&) = delete;
  bool in_original() const { return original_; }

 private:
  bool original_;
  uint64_t mask_ = 0;
  std::optional<Hold> hold_;
};

// `made`: what the call returned, errors included.  The new number above the line, an error of the
// call, or why it could not be moved (it is closed then).  kWasClosed: the application has closed
// it, which it did not have; make it again.
inline constexpr long kWasClosed = -4095;
long move_above(const MakingDescriptors& making, long made);

// For code without libc.  Like sys::open_read.
long open_above(const char* path, int more_flags = 0);
// For a file that is read and closed again while the application stands still: nobody is there to be kept apart from, so it
// may have one of the application's numbers meanwhile.
long open_for_a_moment(const char* path);

// What execve gives to the new program: the limit as the application knows it.  When it failed, all
// is as before.
class LimitForExec {
 public:
  LimitForExec();
  ~LimitForExec();
  LimitForExec(const LimitForExec&) = delete;
  LimitForExec& operator=(const LimitForExec&) = delete;

 private:
  bool original_;
  std::optional<Hold> hold_;
  FileLimit before_;
};

// Of a child, whose limit the kernel keeps: as the child should see it.
FileLimit seen_by_child(const FileLimit& kernel);

}  // namespace mana::loader
