// SPDX-License-Identifier: BSD-3-Clause
// The parts of the model's world that its two source files share.
#pragma once

#include <functional>

#include "control/tests/model.h"

namespace mana::control::model {

struct World::Thread {
  int index = 0;
  ThreadId id = 0;
  std::size_t at = 0;  // next event
  int stage = 0;       // within it
  int worked = 0;
  bool entered = false;    // in a blocking collective of the lower half
  bool announced = false;  // waiting() was told
  bool parked = false;     // stopped for the image
  Observed shown;
};

struct World::Node {
  int rank = 0, parent = -1;
  std::vector<int> children;
  double pace = 1;
  bool alive = true, connected = true;
  bool intent = false, stop = false, flush = false;
  std::map<uint64_t, std::unique_ptr<std::atomic<uint64_t>>> begun;
  std::vector<Counter> counters;
  std::vector<Thread> threads;
  std::set<int> nonblocking;  // begun here, not complete
  std::deque<Up> up;          // on the way from here to the parent
  std::deque<Down> down;      // on the way from the parent to here
  std::unique_ptr<Port> port;
  std::unique_ptr<Rank> side;
  std::unique_ptr<Relay> relay;
  std::optional<double> step_at;
  std::function<void(Result<ImageNote>)> image;
  bool left = false;
};

}  // namespace mana::control::model
