// SPDX-License-Identifier: BSD-3-Clause
// The closure's questions of application threads, as core operations.  They come only while a
// checkpoint is intended; the lock and the decisions are control/rank.h's.  Without an agent there
// is no checkpoint: everything may go on.
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "lower/agent_thread.h"
#include "lower/park.h"
#include "upper/core_ops.h"

namespace mana::lower {

namespace {

control::ThreadId id_of(void* record) { return reinterpret_cast<control::ThreadId>(record); }

// The record of the calling thread; MPI_Finalize does not hand it on.
ThreadRecord* my_record() {
  const auto tid = static_cast<uint32_t>(syscall(SYS_gettid));
  ThreadRecord* record =
      park_control.upper != nullptr ? park_control.upper->threads.load() : nullptr;
  while (record != nullptr && record->tid.load() != tid) record = record->next;
  return record;
}

}  // namespace

int closure_begin(void* arguments) {
  auto* a = static_cast<core::ClosureBegin*>(arguments);
  auto* counter = static_cast<CommCounter*>(a->counter);
  Agent* agent = the_agent();
  if (agent == nullptr || counter->member_count == 1) {  // nobody else can be half done
    counter->begun.fetch_add(1);
    a->go = 1;
    return 0;
  }
  a->go = agent->rank().may_begin(id_of(a->record), counter_of(counter)) ? 1 : 0;
  return 0;
}

int closure_begun(void* arguments) {
  auto* a = static_cast<core::ClosureBegun*>(arguments);
  if (Agent* agent = the_agent())
    agent->rank().begun(counter_of(static_cast<CommCounter*>(a->counter)));
  return 0;
}

int closure_waiting(void* arguments) {
  auto* a = static_cast<core::ClosureWaiting*>(arguments);
  Agent* agent = the_agent();
  if (agent == nullptr) return 0;
  control::RankSet ranks = control::rank_set({a->world_ranks, a->world_ranks + a->count});
  const std::string call(a->call, strnlen(a->call, sizeof a->call));
  agent->rank().waiting(id_of(a->record), std::move(ranks), call, a->polling != 0);
  return 0;
}

int closure_running(void* arguments) {
  auto* a = static_cast<core::ClosureRunning*>(arguments);
  if (Agent* agent = the_agent()) agent->rank().running(id_of(a->record));
  return 0;
}

int finalize_ready(void* arguments) {
  auto* a = static_cast<core::FinalizeReady*>(arguments);
  Agent* agent = the_agent();
  const control::ThreadId thread = id_of(my_record());
  a->go = agent == nullptr || agent->rank().finalize(thread) ? 1 : 0;
  const bool intended =
      park_control.upper != nullptr && park_control.upper->control.intent.load() != 0;
  if (a->go == 0 && !intended) {
    agent->wait_for_finalize();
    a->go = agent->rank().finalize(thread) ? 1 : 0;
  }
  return 0;
}

}  // namespace mana::lower
