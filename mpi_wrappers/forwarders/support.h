// SPDX-License-Identifier: BSD-3-Clause
// What functions that are only passed on to the lower half are made of; used by the generated
// forwarders and those by hand.
#pragma once

#include "mpi_wrappers/generated_calls.h"
#include "mpi_wrappers/refusals.h"
#include "mpi_wrappers/upper_api.h"
#include "upper/closure.h"
#include "upper/comm.h"
#include "upper/datatype.h"
#include "upper/errors.h"
#include "upper/info.h"
#include "upper/op.h"
#include "upper/request.h"
#include "upper/runtime.h"

namespace mana::upper {

// The thread cannot be stopped while it stands between a crossing and the object that keeps what
// the crossing made. Unlike a Call it holds no lock, so Calls may follow one another inside.
class Held {
 public:
  Held() : record_(this_thread()) {
    record_->depth.store(record_->depth.load(std::memory_order_relaxed) + 1,
                         std::memory_order_relaxed);
    order_for_signal();
  }
  ~Held() {
    order_for_signal();
    const uint32_t depth = record_->depth.load(std::memory_order_relaxed) - 1;
    record_->depth.store(depth, std::memory_order_relaxed);
    order_for_signal();
    if (stopping() && depth == 0) [[unlikely]]
      park(record_);
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

 private:
  ThreadRecord* record_;
};

// Crosses; a function that this lower half does not have is an unsupported operation.
inline int forward(Call& call, GeneratedOp op, void* block) {
  const int result = call.cross_waiting(static_cast<uint32_t>(op), block);
  return result == kUnsupported ? abi::ERR_UNSUPPORTED_OPERATION : result;
}

inline uint64_t lower_bits(Comm* comm) { return comm ? comm->lower : 0; }
inline uint64_t lower_bits(Window* window) { return window ? window->lower : 0; }
inline uint64_t lower_bits(File* file) { return file ? file->lower : 0; }
inline uint64_t lower_bits(Datatype* type) { return type ? lower(type) : 0; }
inline uint64_t lower_bits(Op* op) { return op ? lower(op) : 0; }
inline uint64_t lower_bits(Info* info) { return lower(info); }
// A partitioned request keeps its lower one in `count`: it outlives completions.
inline uint64_t lower_bits(Request* request) {
  if (request == nullptr) return 0;
  return request->persistent ? static_cast<uint64_t>(request->count) : request->lower;
}
uint64_t lower_bits_of_any(Object* object);

// Lower handles of an array of objects, for the time of a call.
template <class T>
class LowerArray {
 public:
  LowerArray(T** objects, int count) : bits_(objects ? allocate_array<uint64_t>(count) : nullptr) {
    for (int i = 0; bits_ != nullptr && i < count; ++i) bits_[i] = lower_bits(objects[i]);
  }
  ~LowerArray() { deallocate(bits_); }
  LowerArray(const LowerArray&) = delete;
  LowerArray& operator=(const LowerArray&) = delete;
  uint64_t* data() { return bits_; }

 private:
  uint64_t* bits_;
};

// Infos that the lower half returns travel as text: key, value, ..., each zero-terminated, ended by
// an empty key.
inline constexpr int kInfoText = 16384;
Info* info_from_text(const char* text);

// For functions that this runtime does not support: says so through the error handler (or, in the
// tool interface, by the return code).
int refuse(const char* function, const char* reason, bool tool_interface);

}  // namespace mana::upper
