// SPDX-License-Identifier: BSD-3-Clause
// The steps of one application thread in the model, as the wrappers do them.
#include <algorithm>

#include "control/tests/model_world.h"

namespace mana::control::model {

void World::next_event(Node&, Thread& thread) {
  ++thread.at;
  thread.stage = 0;
  thread.worked = 0;
}

// One step; true when something moved.  A thread inside a blocking collective of the lower half
// does not see `stop`.
bool World::step_thread(Node& node, Thread& thread) {
  if (thread.parked) return false;
  if (node.stop && !thread.entered) {
    thread.parked = true;
    return false;
  }
  const auto& program =
      program_.of[static_cast<std::size_t>(node.rank)][static_cast<std::size_t>(thread.index)];
  if (thread.at >= program.size()) return false;
  const Event& event = program[thread.at];
  switch (event.what) {
    case Event::What::work:
      if (++thread.worked >= event.steps) next_event(node, thread);
      return true;
    case Event::What::collective:
    case Event::What::begin_nonblocking:
      return step_collective(node, thread, event);
    case Event::What::end_nonblocking: {
      const std::set<int>& members = program_.comms[static_cast<std::size_t>(event.comm)].members;
      bool over = nonblocking_complete(event.number);
      if (!wait_for(node, thread, over, rank_set({members.begin(), members.end()}), "MPI_Wait"))
        return false;
      node.nonblocking.erase(event.number);
      next_event(node, thread);
      return true;
    }
    case Event::What::send:
      return step_send(node, thread, event);
    case Event::What::receive: {
      if (event.polls && !sent_.contains(event.number)) return true;  // one more MPI_Test
      RankSet senders =
          event.flag ? RankSet{{0, program_.ranks - 1}} : RankSet{{event.peer, event.peer}};
      if (!wait_for(node, thread, sent_.contains(event.number), senders, "MPI_Recv")) return false;
      received_.insert(event.number);
      next_event(node, thread);
      return true;
    }
    case Event::What::finalize:
      return step_finalize(node, thread, event);
  }
  return false;
}

bool World::step_send(Node& node, Thread& thread, const Event& event) {
  if (thread.stage == 0) {
    sent_.insert(event.number);
    if (event.flag)
      thread.stage = 1;
    else
      next_event(node, thread);
    return true;
  }
  if (!wait_for(node, thread, received_.contains(event.number), {{event.peer, event.peer}},
                "MPI_Ssend"))
    return false;
  next_event(node, thread);
  return true;
}

bool World::step_finalize(Node& node, Thread& thread, const Event& event) {
  if (thread.stage < 3 && program_.finalize_counts) {
    int before = thread.stage;
    bool begun = begin_collective(node, thread, event);
    if (begun) thread.stage = 3;
    return before != thread.stage;
  }
  thread.shown.inside_uid = 0;
  for (const Thread& other : node.threads) {
    const auto& program =
        program_.of[static_cast<std::size_t>(node.rank)][static_cast<std::size_t>(other.index)];
    if (&other != &thread && other.at < program.size()) return false;
  }
  if (!node.side->finalize(thread.id)) return false;
  next_event(node, thread);
  return true;
}

// An interruptible wait: while intent is set the thread says for whom it waits.
bool World::wait_for(Node& node, Thread& thread, bool over, const RankSet& ranks,
                     const char* call) {
  if (over) {
    if (std::exchange(thread.announced, false)) node.side->running(thread.id);
    return true;
  }
  if (node.intent && !thread.announced) {
    thread.announced = true;
    node.side->waiting(thread.id, ranks, call);
  }
  return false;
}

// The wrapper's way into a collective, in the steps at which a checkpoint can come in between.
// True: counted.
bool World::begin_collective(Node& node, Thread& thread, const Event& event) {
  const Comm& comm = program_.comms[static_cast<std::size_t>(event.comm)];
  Counter counter{comm.uid, node.begun[comm.uid].get(), {}};
  if (comm.one_shot) counter.members.assign(comm.members.begin(), comm.members.end());
  switch (thread.stage) {
    case 0:
      thread.shown.inside_uid = comm.uid;
      if (comm.one_shot) know(node, counter);
      thread.stage = node.intent ? 2 : 1;
      return false;
    case 1:  // the fast path: intent was not set when it was read
      counter.begun->fetch_add(1);
      if (node.intent) node.side->begun(counter);
      return true;
    default:
      return node.side->may_begin(thread.id, counter);
  }
}

bool World::step_collective(Node& node, Thread& thread, const Event& event) {
  std::set<int>& who = entered_[event.number];
  if (thread.stage < 3) {
    int before = thread.stage;
    if (!begin_collective(node, thread, event)) return before != thread.stage;
    who.insert(node.rank);
    if (event.what == Event::What::begin_nonblocking) {
      node.nonblocking.insert(event.number);
      thread.shown.inside_uid = 0;
      next_event(node, thread);
    } else {
      thread.entered = true;
      thread.stage = 3;
    }
    return true;
  }
  bool leave =
      event.root >= 0
          ? node.rank == event.root || who.contains(event.root)
          : who.size() == program_.comms[static_cast<std::size_t>(event.comm)].members.size();
  if (!leave) return false;
  if (event.creates >= 0) {
    const Comm& made = program_.comms[static_cast<std::size_t>(event.creates)];
    know(node, {made.uid, node.begun[made.uid].get(), {}});
  }
  thread.entered = false;
  thread.shown.inside_uid = 0;
  next_event(node, thread);
  return true;
}

void World::know(Node& node, const Counter& counter) {
  bool known = std::any_of(node.counters.begin(), node.counters.end(),
                           [&](const Counter& c) { return c.uid == counter.uid; });
  if (!known) node.counters.push_back(counter);
}

}  // namespace mana::control::model
