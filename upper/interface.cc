// SPDX-License-Identifier: BSD-3-Clause
// The UpperInterface of this front end, its registration with the gate, and threads that come to MPI for the first time.
#include "upper/interface.h"

#include "mpi_wrappers/generated_calls.h"
#include "upper/drain.h"
#include "upper/front_end.h"
#include "upper/kernel.h"
#include "upper/object_tables.h"
#include "upper/op.h"
#include "upper/runtime.h"
#include "upper/text.h"

__thread mana::ThreadRecord* mana_thread = nullptr;  // declared extern "C" and hidden in runtime.h

extern "C" [[gnu::weak]] char** environ;  // of the application's libc

namespace mana::upper {

namespace {

constinit Refusal no_refusals[1] = {};

// A thread's own %fs base: the psABI puts the address of the thread control block at offset 0 of the block.
uint64_t own_fs() {
  uint64_t base;
  asm("mov %%fs:0, %0" : "=r"(base));
  return base;
}

ThreadRecord* take_free_record() {
  for (ThreadRecord* r = upper_interface.threads.load(std::memory_order_acquire); r != nullptr; r = r->next) {
    uint32_t none = 0;
    if (r->tid.load(std::memory_order_relaxed) == 0 && r->tid.compare_exchange_strong(none, 1)) return r;
  }
  return nullptr;
}

void add_record(ThreadRecord* record) {
  ThreadRecord* first = upper_interface.threads.load(std::memory_order_relaxed);
  do record->next = first;
  while (!upper_interface.threads.compare_exchange_weak(first, record, std::memory_order_release));
}

}  // namespace

LowerFunction lower_functions[kLowerFunctionCount];

namespace {
// Never touched unless a restart fills it, so it costs nothing in an image.
EnvironmentRoom environment_room;
}  // namespace

constinit UpperInterface upper_interface = {
    .magic = kInterfaceMagic,
    .version = kInterfaceVersion,
    .function_count = kLowerFunctionCount,
    .function_names = kLowerFunctionNames,
    .functions = lower_functions,
    .front_end = nullptr,
    .control = {},
    .threads = nullptr,
    .counters = nullptr,
    .refusals = no_refusals,
    .refusal_count = 0,
    .initialized = 0,
    .finalized = 0,
    .thread_level = 0,
    .world_rank = -1,
    .world_size = 0,
    .pending_user_reductions = 0,
    .service = &service,
    .run_op = &run_op,
    .attempt = 0,
    .environment = &environment_room,
    .reserved = {},
};
constinit World world = {};
constinit SpinLock state_lock;

ThreadRecord* attach_thread() {
  if (upper_interface.functions[static_cast<uint32_t>(CoreOp::attach_thread)] == nullptr) {
    fail("an MPI function was called, but this program was not started by mana_launch");
  }
  ThreadRecord* record = take_free_record();
  bool fresh = record == nullptr;
  if (fresh) record = make_zeroed<ThreadRecord>();
  record->lower_fs = 0;
  record->upper_fs = own_fs();
  record->depth.store(0, std::memory_order_relaxed);
  record->safe_point.store(0, std::memory_order_relaxed);
  record->inside_uid.store(0, std::memory_order_relaxed);
  for (uint64_t& word : record->reserved) word = 0;
  long thread = kernel::call(__NR_gettid);
  record->is_main = thread == kernel::call(__NR_getpid);
  record->tid.store(static_cast<uint32_t>(thread), std::memory_order_relaxed);
  if (fresh) add_record(record);
  mana_thread = record;
  core::AttachThread block{record};
  int error = lower_functions[static_cast<uint32_t>(CoreOp::attach_thread)](&block);
  if (error != 0) fail("the lower half could not lend a thread", static_cast<uint64_t>(error));
  return record;
}

// depth > 0 all along: the function's address is in a register between its load and the call.  The lower half knows
// park_here by its text and lets the thread stop there.
void park(ThreadRecord* record) {
  const uint32_t depth = record->depth.load(std::memory_order_relaxed);
  record->depth.store(depth + 1, std::memory_order_relaxed);
  order_for_signal();
  core::ParkHere block{record};
  lower_functions[static_cast<uint32_t>(CoreOp::park_here)](&block);
  order_for_signal();
  record->depth.store(depth, std::memory_order_relaxed);
  order_for_signal();
}

void count_step(ThreadRecord* record) { Call::bump(record->operations); }

// For calls from parts that know nothing of Call: a lock is neither taken nor needed.
int call_lower(CoreOp op, void* block) {
  ThreadRecord* record = this_thread();
  record->depth.store(record->depth.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  order_for_signal();
  int result = mana_cross(lower_functions[static_cast<uint32_t>(op)], block, record);
  order_for_signal();
  record->depth.store(record->depth.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
  return result;
}

// Runs when the application's loader initialises the front end, before any function of the application.
__attribute__((constructor)) static void register_with_gate() {
  start_tables();
  upper_interface.front_end = front_end::facts.name;
  if (&environ != nullptr) environment_room.environment = &environ;
  // Fails in a process that was not started by mana_launch: MPI_Init will say so.
  kernel::call(kRegisterCall, reinterpret_cast<long>(&upper_interface));
}

}  // namespace mana::upper
