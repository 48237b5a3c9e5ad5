// SPDX-License-Identifier: BSD-3-Clause
// A small world in which the whole protocol runs without sockets or real threads: random
// deadlock-free MPI programs on ranks with several threads, the real Rank, Relay and JobRoot of
// every node, messages delayed at random but first-in first-out per connection, and every message
// through the wire format.
//
// A program is made from one list of events, each appended to the programs of the threads
// concerned: doing the events in list order is always possible, so the program cannot deadlock,
// even with synchronous sends.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "control/job_root.h"
#include "control/rank.h"
#include "control/relay.h"

namespace mana::control::model {

struct Event {
  enum class What {
    collective,
    begin_nonblocking,
    end_nonblocking,
    send,
    receive,
    work,
    finalize
  } what = What::work;
  int comm = -1;   // collectives
  int number = 0;  // which event this is: two sides of one event have the same
  int peer = -1;   // send, receive
  int root = -1;   // collective: -1 all wait for all, else the root leaves at once and the others
                   // after it came
  bool flag = false;   // send: synchronous.  receive: posted with MPI_ANY_SOURCE
  int steps = 0;       // work
  int creates = -1;    // collective: this communicator exists when it is left
  bool polls = false;  // receive: with MPI_Test in a loop, never seen to wait
};

struct Comm {
  uint64_t uid = 0;
  std::set<int> members;
  bool one_shot = false;  // counts calls of MPI_Comm_create_group and the like
  bool exists = true;     // from the start
  int thread = 0;         // calls its collectives, at every member: MPI wants them in one order
};

struct Program {
  int ranks = 0, threads = 1;
  std::vector<Comm> comms;
  std::vector<std::vector<std::vector<Event>>> of;  // rank, thread
  bool finalize_counts = false;                     // MPI_Finalize counts as a collective on world
};
Program make_program(std::mt19937_64& random, bool finalizes);
// Ranks 0 and 1 receive from each other before they send, somewhere on their way.
void add_deadlock(std::mt19937_64& random, Program& program);

struct Happening {  // something that befalls the job at a step of the simulation
  enum class What { checkpoint, stop, cancel, death } what = What::checkpoint;
  int step = 0;
  int rank = 0;  // death
};

struct Options {
  ClosureJudge::Rules rules = {};
  int step_limit = 400000;
  bool may_hang = false;  // the program need not end
  std::vector<Happening> happenings;
};

class World {
 public:
  World(Program program, uint64_t seed, Options options);
  ~World();
  // Runs until everything asked for is answered and the program has ended (or nothing lives).
  // Empty, or what is wrong.
  std::string run();

  struct AnswerSeen {
    Happening::What to;
    Answer answer;
    int step = 0;
  };
  const std::vector<AnswerSeen>& answers() const { return answers_; }
  int commits() const { return commits_; }

 private:
  struct Thread;
  struct Node;
  class Port;
  class Root;
  friend class Port;
  friend class Root;

  double now() const { return step_ * 1e-4; }
  bool step_thread(Node& node, Thread& thread);
  bool begin_collective(Node& node, Thread& thread, const Event& event);
  bool step_collective(Node& node, Thread& thread, const Event& event);
  bool step_send(Node& node, Thread& thread, const Event& event);
  bool step_finalize(Node& node, Thread& thread, const Event& event);
  void step_node(Node& node);
  void know(Node& node, const Counter& counter);
  bool nonblocking_complete(int number) const;
  bool leaving() const;
  std::string picture() const;
  bool wait_for(Node& node, Thread& thread, bool over, const RankSet& ranks, const char* call);
  void next_event(Node& node, Thread& thread);
  void send_up(int node, int from, Up message);
  void deliver_up(int node);
  void deliver_down(int node);
  void happen(const Happening& happening);
  void die(int rank);
  void orphan(int rank);
  bool finished() const;
  void check_snapshot(int rank);
  void wrong(const std::string& what);

  Program program_;
  Options options_;
  std::mt19937_64 random_;
  int step_ = 0, last_happening_ = 0;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::unique_ptr<Root> root_port_;
  std::unique_ptr<JobRoot> root_;
  std::optional<double> wake_at_;
  std::map<int, std::set<int>> entered_;  // collective event: ranks that entered
  std::map<int, std::size_t> size_of_;    // collective event: how many take part
  std::set<int> sent_, received_;
  std::map<uint64_t, std::map<uint64_t, uint64_t>> at_snapshot_;  // attempt -> uid -> count
  std::vector<AnswerSeen> answers_;
  std::map<uint64_t, Happening::What> asked_;
  std::size_t asked_count_ = 0;
  int commits_ = 0, opened_ = 0;
  bool died_ = false;
  std::string wrong_;
};

}  // namespace mana::control::model
