// SPDX-License-Identifier: BSD-3-Clause
// Processes that the application has started and that would be lost with this one.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace mana::lower {

struct Child {
  pid_t pid;
  bool ended;           // and nobody has waited for it
  std::string command;
};

// Children of this process that the lower half has not made.
std::vector<Child> children();
bool has_children();

// "the application's child 4711 (sleep 60) is still running"
std::string describe(const std::vector<Child>& children);

// The writer of an image, and what MPI_Init starts, is not the application's.
void note_lower_child(pid_t pid);
void forget_lower_child(pid_t pid);
// Every child there is now that was not there before: around a call of the lower half that may start processes.
class LowerChildren {
 public:
  LowerChildren();
  ~LowerChildren();
  LowerChildren(const LowerChildren&) = delete;
  LowerChildren& operator=(const LowerChildren&) = delete;

 private:
  std::vector<pid_t> before_;
};

}  // namespace mana::lower
