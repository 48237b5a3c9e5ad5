// SPDX-License-Identifier: BSD-3-Clause
// What the agents of one job say to each other, and what a command says to the root.  Plain values:
// the state machines (rank_closure.h, rank.h, relay.h, job_root.h) take and make them, wire.h turns
// them into bytes, node.h carries them.
//
// Down messages go from the root to every rank, in order.  Up messages go to the root; inner nodes
// of the tree merge them (relay.h), so the root sees one Report, Reply or PhaseDone for all ranks.
// Every channel is first-in first-out: a Reply was given after everything that the root had said
// before its Query was handled, and after every Raise before it.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace mana::control {

// Where a checkpoint stands.  The root leads; a rank is never more than one phase behind it.
enum class Phase : uint8_t {
  idle,                // no checkpoint
  intent,              // the ranks report what they have begun
  closure,             // ranks run on until no collective is half done
  stop,                // every thread is being parked
  finish_collectives,  // nonblocking collectives are driven to completion
  exchange_counts,     // every rank learns what was sent to it
  drain,               // what is in flight is received
  snapshot,            // every rank forks the process that writes its image
  write,               // images become durable (the job runs on, except under --stop)
  sync,                // the end of write, told afterwards: all images were complete, only the storage was awaited
  commit,              // the manifest is renamed into place
};
const char* name_of(Phase phase);

// first..last, both included.  The senders that MPI_ANY_SOURCE stands for are one or two of these,
// not thousands of ranks.
struct RankRange {
  int32_t first = 0, last = 0;
  bool operator==(const RankRange&) const = default;
};
using RankSet = std::vector<RankRange>;
RankSet rank_set(std::vector<int32_t> ranks);  // sorts, merges neighbours
std::string text_of(const RankSet& ranks);     // "3, 7-9"

// Collectives begun on the communicator `uid`.  `members` (world ranks) only for uids that count
// the calls of MPI_Comm_create_group and its like: a member that has not begun the call knows no
// counter yet, but lags.
struct Count {
  uint64_t uid = 0, begun = 0;
  std::vector<int32_t> members;
  bool operator==(const Count&) const = default;
};

// Objects that cannot outlive a restart yet.
struct RefusalNote {
  int32_t rank = 0;
  uint64_t alive = 0;
  std::string function, reason;
};

enum class ThreadState : uint8_t { running, inside, waiting, parked, gone };
struct ThreadView {
  ThreadState state = ThreadState::running;
  uint64_t uid = 0;  // inside, parked: of which communicator
  RankSet ranks;     // waiting: who could end it
  std::string call;  // waiting: in which MPI call
  bool polling = false;  // waiting: that call came back empty-handed; the thread may compute
};
struct RankView {
  int32_t rank = 0;
  Phase phase = Phase::idle;
  bool lagging = false;          // some count is below its target
  bool done = false;             // has done what the phase asks
  std::vector<uint64_t> behind;  // uids on which it lags
  std::vector<ThreadView> threads;
  double quiet_seconds = 0;  // how long it has been without an MPI call
  uint32_t pending = 0;      // operations left in this phase
};

struct ImageNote {  // one rank's image, durable
  int32_t rank = 0;
  uint64_t bytes = 0;
  std::string file, checksum, host;
  double fork_seconds = 0, write_seconds = 0;
  double sync_seconds = 0;  // the end of write_seconds, in which the image was complete and became durable
};

// --- down
struct Intent {
  uint64_t attempt = 0;
  bool ignore_children = false;
};
struct Targets {
  uint64_t attempt = 0;
  std::vector<Count> counts;
};
struct Permits {
  uint64_t attempt = 0;
  std::vector<int32_t> ranks;
};
// Nothing moves: a completed synchronous send that still waits for its receiver's word need not wait any longer.
struct Release {
  uint64_t attempt = 0;
};
struct Query {
  uint64_t attempt = 0;
  uint32_t round = 0;
  bool detail = false;
};
struct Advance {  // do this phase: stop ... snapshot
  uint64_t attempt = 0;
  Phase phase = Phase::idle;
  uint64_t generation = 0;
  std::string directory;  // snapshot: where the images go
  bool hold = false;      // snapshot: stay parked afterwards (--stop)
  bool in_place = false;  // snapshot: no copy of the memory, the application stands still until the image is written
};
struct Resume {
  uint64_t attempt = 0;
};  // all have forked: run on
struct Abandon {
  uint64_t attempt = 0;
  std::string reason;
};  // forget this attempt, run on
struct Settle {
  uint64_t attempt = 0;
};  // committed: this attempt is over
struct Leave {
  uint64_t attempt = 0;
  int32_t exit_code = 0;
};                        // committed under --stop: end
struct FinalizeGrant {};  // everybody has come to MPI_Finalize
using Down = std::variant<Intent, Targets, Permits, Release, Query, Advance, Resume, Abandon, Settle, Leave,
                          FinalizeGrant>;

// --- up
struct Report {
  uint64_t attempt = 0;
  std::vector<Count> counts;
  std::vector<RefusalNote> refusals;
};
struct Raise {
  uint64_t attempt = 0;
  std::vector<Count> counts;
};
struct Reply {
  uint64_t attempt = 0;
  uint32_t round = 0;
  bool lagging = false, inside = false;  // of any rank
  uint64_t fingerprint =
      0;  // of all states, counts and progress counters: equal when nothing moved
  std::vector<RankView> views;  // asked with `detail`
};
struct PhaseDone {
  uint64_t attempt = 0;
  Phase phase = Phase::idle;
  std::vector<RefusalNote> refusals;  // stop: objects made since the report
  std::vector<ImageNote> images;      // write
};
struct Failed {
  uint64_t attempt = 0;
  int32_t rank = 0;
  std::string what;
  bool for_lack_of_memory = false;
};
struct Lost {
  RankSet ranks;
  std::string why;
};
struct FinalizeReached {};
// A rank has not answered its parent in the tree for some time: it is stopped, or its host out of reach.
struct Silent {
  uint64_t attempt = 0;
  int32_t rank = 0, pid = 0;
  uint32_t behind = 0;  // ranks that are heard through this one only
  double seconds = 0;
  std::string host;
};
using Up = std::variant<Report, Raise, Reply, PhaseDone, Failed, Lost, FinalizeReached, Silent>;

// --- commands
struct Command {
  enum class What : uint8_t { checkpoint, cancel, status } what = What::status;
  bool stop = false;  // checkpoint: the job ends after the commit
  uint32_t keep = 0;  // checkpoint: generations to keep, 0: what the job was told before (first: 2)
  bool ignore_children = false;  // checkpoint: processes that the application has started are left out of it
};
struct Story {
  std::string line;
};               // for the command's stderr, any number of them
struct Answer {  // the last word
  bool ok = false;
  uint64_t generation = 0;  // checkpoint: what was committed
  std::string text;         // status: JSON; not ok: why
};
using ToCommand = std::variant<Story, Answer>;

}  // namespace mana::control
