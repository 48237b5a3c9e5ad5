// SPDX-License-Identifier: BSD-3-Clause
// What the service thread does for the agent while everything else is parked: finish collectives, exchange counts, drain,
// rebuild.  Each call is one step that comes back.
#pragma once

#include <cstdint>

#include "upper/runtime.h"

namespace mana::upper {

void service(ServiceCall* call);  // UpperInterface::service

// --- parts, in the order in which they are used
void finish_collectives(Call& call, ServiceCall* what);
void exchange_counts(Call& call, ServiceCall* what);
void drain(Call& call, ServiceCall* what);
void rebuild(Call& call, ServiceCall* what);

// --- records that travel between ranks over the private communicator, each rank hearing what all others have for it.
struct Record {
  uint64_t uid;     // communicator; 0: acknowledgements of synchronous sends
  uint64_t value;
  uint64_t key;     // synchronous: the sender's name for the send; else 0
  int32_t destination, source;   // world ranks
  int32_t tag;
  uint32_t kind;    // RecordKind
};
enum class RecordKind : uint32_t {
  sent,             // value: messages sent to `destination` on `uid` since it was made
  synchronous,      // a pending synchronous send; value: how many sends of its stream were begun after it
  matched,          // answer: 1, a receive of the application had taken it; 0, it is in the queue
};

// Acknowledgements of synchronous sends whose messages had been drained.
void acknowledge(Call& call, int32_t world_rank, uint64_t key);
bool take_acknowledgements(Call& call);
void collect_ack_counts();

// One all-to-all exchange of records, stepwise.
class Exchange {
 public:
  void add(const Record& record);                  // before the first step
  bool step(Call& call, uint64_t attempt, uint32_t phase);  // true: finished; heard() is complete
  void reset();
  bool begun() const { return begun_; }
  Record* heard() const { return records_; }       // all of them are for this rank
  int64_t heard_count() const { return count_; }

 private:
  bool begun_;
  bool sending_;
  uint32_t round_;
  int64_t count_, capacity_;
  Record* records_;
  uint64_t send_request_;
  uint8_t* send_buffer_;
};

}  // namespace mana::upper
