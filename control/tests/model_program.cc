// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>

#include "control/tests/model.h"

namespace mana::control::model {

namespace {

int below(std::mt19937_64& random, int limit) {
  return static_cast<int>(random() % static_cast<uint64_t>(limit));
}

bool chance(std::mt19937_64& random, double probability) {
  return std::uniform_real_distribution<>(0, 1)(random) < probability;
}

class Maker {
 public:
  Maker(std::mt19937_64& random, Program& program) : random_(random), program_(program) {}

  void make(int events, bool finalizes) {
    for (int number = 0; number < events; ++number) {
      if (chance(random_, 0.45))
        collective(number);
      else
        message(number);
      if (chance(random_, 0.5))
        append(below(random_, program_.ranks), below(random_, program_.threads), work(number));
    }
    for (auto& [number, comm] : open_) end_nonblocking(number, comm);
    if (finalizes) finalize(events);
  }

 private:
  int thread_of(int comm) const { return program_.comms[static_cast<std::size_t>(comm)].thread; }
  void append(int rank, int thread, const Event& event) {
    program_.of[static_cast<std::size_t>(rank)][static_cast<std::size_t>(thread)].push_back(event);
  }
  Event work(int number) {
    Event event{Event::What::work, -1, number, -1, -1, false, 1 + below(random_, 5), -1};
    return event;
  }

  void collective(int number) {
    auto comm = usable_[static_cast<std::size_t>(below(random_, static_cast<int>(usable_.size())))];
    const Comm on = program_.comms[static_cast<std::size_t>(comm)];
    Event event{Event::What::collective, comm, number, -1, -1, false, 0, -1};
    if (on.one_shot || chance(random_, 0.15)) {
      event.creates = create(on, number);
    } else if (chance(random_, 0.5)) {
      auto root = on.members.begin();
      std::advance(root, below(random_, static_cast<int>(on.members.size())));
      event.root = *root;
    } else if (chance(random_, 0.4)) {
      event.what = Event::What::begin_nonblocking;
      open_.push_back({number, comm});
    }
    for (int rank : on.members) append(rank, thread_of(comm), event);
    if (event.creates >= 0) usable_.push_back(event.creates);
    if (!open_.empty() && chance(random_, 0.5)) {
      end_nonblocking(open_.front().first, open_.front().second);
      open_.erase(open_.begin());
    }
  }

  int create(const Comm& parent, int number) {
    Comm made;
    made.uid = 1000 + static_cast<uint64_t>(number);
    made.members = parent.members;
    made.thread = parent.thread;
    made.exists = false;
    program_.comms.push_back(made);
    return static_cast<int>(program_.comms.size()) - 1;
  }

  void end_nonblocking(int number, int comm) {
    Event event{Event::What::end_nonblocking, comm, number, -1, -1, false, 0, -1};
    for (int rank : program_.comms[static_cast<std::size_t>(comm)].members)
      append(rank, thread_of(comm), event);
  }

  void message(int number) {
    int from = below(random_, program_.ranks), to = below(random_, program_.ranks - 1);
    if (to >= from) ++to;
    append(from, below(random_, program_.threads),
           {Event::What::send, -1, number, to, -1, chance(random_, 0.5), 0, -1});
    Event receive{Event::What::receive, -1, number, from, -1, chance(random_, 0.4), 0, -1};
    receive.polls = chance(random_, 0.15);
    append(to, below(random_, program_.threads), receive);
  }

  void finalize(int number) {
    for (int rank = 0; rank < program_.ranks; ++rank) {
      append(rank, 0, {Event::What::finalize, 0, number, -1, -1, false, 0, -1});
    }
  }

 public:
  std::vector<int> usable_;

 private:
  std::mt19937_64& random_;
  Program& program_;
  std::vector<std::pair<int, int>> open_;  // nonblocking collectives begun: number, communicator
};

}  // namespace

Program make_program(std::mt19937_64& random, bool finalizes) {
  Program program;
  program.ranks = 2 + below(random, 5);
  program.threads = chance(random, 0.5) ? 1 : 1 + below(random, 3);
  program.finalize_counts = chance(random, 0.5);
  Comm world;
  world.uid = 1;
  for (int rank = 0; rank < program.ranks; ++rank) world.members.insert(rank);
  program.comms.push_back(world);
  int others = 1 + below(random, 4);
  for (int i = 0; i < others; ++i) {
    Comm comm;
    comm.uid = 2 + static_cast<uint64_t>(i);
    int size = std::min(program.ranks, 2 + below(random, 2));
    while (static_cast<int>(comm.members.size()) < size)
      comm.members.insert(below(random, program.ranks));
    comm.one_shot = chance(random, 0.2);
    comm.thread = (1 + i) % program.threads;
    comm.exists = !comm.one_shot;
    program.comms.push_back(comm);
  }
  program.of.resize(static_cast<std::size_t>(program.ranks));
  for (auto& rank : program.of) rank.resize(static_cast<std::size_t>(program.threads));
  Maker maker(random, program);
  for (int comm = 0; comm <= others; ++comm) maker.usable_.push_back(comm);
  maker.make(4 + below(random, 36), finalizes);
  return program;
}

void add_deadlock(std::mt19937_64& random, Program& program) {
  for (auto& rank : program.of) {
    for (auto& thread : rank) {
      for (Event& event : thread) event.polls = false;
    }
  }
  constexpr int kNumber = 1000;  // of no other event
  for (int rank : {0, 1}) {
    std::vector<Event>& events = program.of[static_cast<std::size_t>(rank)][0];
    auto at = events.begin() + below(random, static_cast<int>(events.size()) + 1);
    at = events.insert(at, {Event::What::send, -1, kNumber + rank, 1 - rank, -1, false, 0, -1});
    events.insert(at, {Event::What::receive, -1, kNumber + 1 - rank, 1 - rank, -1, false, 0, -1});
  }
}

}  // namespace mana::control::model
