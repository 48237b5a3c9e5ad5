// SPDX-License-Identifier: BSD-3-Clause
// How an operation of the adapter waits.  Nothing of the application ever sits in a blocking call
// of the library without a way out: a wait is a nonblocking operation and a loop of tests that
// leaves when a checkpoint is wanted.
#pragma once

#include <sched.h>

#include <atomic>
#include <climits>
#include <cstdint>

namespace mana::lower {

// Set at initialisation, constant while MPI calls are made.
struct Waiting {
  const std::atomic<uint32_t>* intent;  // control.intent of the upper half, never null
  int turns_before_yield;  // INT_MAX where every rank of this host has a core of its own
};
extern Waiting waiting;

inline bool checkpoint_wanted() { return waiting.intent->load(std::memory_order_relaxed) != 0; }

// One per wait.  A turn that found nothing gives the core away when ranks share cores, but only
// after as many turns as a message needs that is already on its way.
class Patience {
 public:
  void turn() {
    if (++turns_ >= waiting.turns_before_yield) [[unlikely]] {
      turns_ = waiting.turns_before_yield - 1;
      sched_yield();
    }
  }

 private:
  int turns_ = 0;
};

}  // namespace mana::lower
