// SPDX-License-Identifier: BSD-3-Clause
// Records that travel between ranks over the runtime's own communicator: each rank has some for some others, and afterwards holds
// all that the others had for it.
//
// Log-step all-to-all: in round k a rank sends to the rank 2^k ahead everything it holds whose way there still has bit k, and hears
// from the rank 2^k behind.  ceil(log2 P) messages a rank, whatever the pattern, and no rank needs to know who has something for it.
// Only point-to-point with the number of the attempt in every message: an exchange that some ranks began before the
// checkpoint was given up, and others did not, leaves nothing behind that a later one could mistake for its own.
#pragma once

#include <cstdint>

#include "upper/containers.h"
#include "upper/runtime.h"

namespace mana::upper {

enum class RecordKind : uint32_t {
  sent,         // value: messages sent from source to destination on uid since it was made
  notes,        // value: notes sent (drain_synchronous.h)
  synchronous,  // a pending synchronous send of stream (uid, source, tag); value: how many sends of the stream came after it
  verdict,      // the answer; value: 1: a receive of the application has taken it, 0: it waits in the queue
};

struct Record {
  RecordKind kind;
  int32_t destination, source;  // world ranks
  int32_t tag;
  uint64_t uid;
  uint64_t value;
  uint64_t key;                 // the sender's name for a synchronous send
};

class Exchange {
 public:
  uint64_t number() const { return number_; }
  void begin(uint64_t number);       // then add(), then step() until it is true
  void add(const Record& record) { records_.push(record); }
  bool step(Call& call);             // true: finished
  Vector<Record>& records() { return records_; }   // of others, for this rank, once finished
  void end();

 private:
  bool send_round(Call& call);
  bool hear_round(Call& call);

  bool sent_;
  uint32_t round_;
  uint64_t number_;
  uint64_t send_request_;
  uint8_t* send_buffer_;
  Vector<Record> records_;
};

// Tags on the private communicator.
inline constexpr int32_t kExchangeTag = 1, kNoteTag = 2;

}  // namespace mana::upper
