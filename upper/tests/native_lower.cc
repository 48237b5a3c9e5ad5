// SPDX-License-Identifier: BSD-3-Clause
#include "upper/tests/native_lower.h"

#include <mpi.h>
#include <sched.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "lower/adapter.h"
#include "lower/core_functions.h"
#include "lower/table.h"
#include "mpi_wrappers/generated_calls.h"
#include "trampolines/callback.h"
#include "upper/drain.h"

extern "C" int mana_cross(int (*function)(void*), void* arguments, mana::ThreadRecord*) { return function(arguments); }

namespace mana::upper::front_end {
const Facts facts = [] {
  Facts f{};
  f.name = f.library_version = "test";
  f.version = 4;
  f.object_name = f.processor_name = 128;
  f.error_string = 512;
  f.library_version_string = f.info_key = 256;
  f.info_value = 1024;
  f.pair_elements = 2;
  return f;
}();


int call_copy(void (*function)(), Object*, int keyval, void* extra, void* value, void** copy, int* flag) {
  return reinterpret_cast<int (*)(int, void*, void*, void**, int*)>(function)(keyval, extra, value, copy, flag);
}
int call_delete(void (*function)(), Object*, int keyval, void* value, void* extra) {
  return reinterpret_cast<int (*)(int, void*, void*)>(function)(keyval, value, extra);
}
void call_errhandler(void (*)(), Object*, int) {}
void call_op(void (*function)(), bool, void* in, void* inout, int64_t length, Datatype*) {
  reinterpret_cast<void (*)(void*, void*, int64_t)>(function)(in, inout, length);
}
int call_grequest_query(void (*function)(), void* extra, abi::Status* status) {
  return reinterpret_cast<int (*)(void*, abi::Status*)>(function)(extra, status);
}
int call_grequest_free(void (*function)(), void* extra) { return reinterpret_cast<int (*)(void*)>(function)(extra); }
int call_grequest_cancel(void (*function)(), void* extra, int complete) {
  return reinterpret_cast<int (*)(void*, int)>(function)(extra, complete);
}
int application_error(int neutral) { return neutral; }
int neutral_error(int application) { return application; }
int application_attribute(int, int value) { return value; }
}  // namespace mana::upper::front_end

// One function per operator, as many as the tests need.
namespace mana::trampolines {
namespace {
struct Slot {
  uint64_t op_object;
  OperatorBody body;
};
Slot slots[4];
int slots_used = 0;
template <int N>
void call_slot(void* in, void* inout, int* length, void* datatype) {
  slots[N].body(slots[N].op_object, in, inout, length, datatype);
}
}  // namespace

UserFunction make_operator(uint64_t op_object, OperatorBody body) {
  static const UserFunction functions[] = {call_slot<0>, call_slot<1>, call_slot<2>, call_slot<3>};
  int at = slots_used++ % 4;
  slots[at] = {op_object, body};
  return functions[at];
}
void free_operator(UserFunction) {}
void run_op(uint64_t op_object, void* in, void* inout, int* length, uint64_t lower_datatype) {
  upper::upper_interface.run_op(op_object, in, inout, length, lower_datatype);
}
}  // namespace mana::trampolines

namespace mana::lower {

// The agent's operations.  No closure: collectives begin at once.
int closure_begin(void* arguments) {
  auto* a = static_cast<core::ClosureBegin*>(arguments);
  static_cast<CommCounter*>(a->counter)->begun.fetch_add(1);
  a->go = 1;
  return 0;
}
int closure_begun(void*) { return 0; }
int closure_waiting(void*) { return 0; }
int closure_running(void*) { return 0; }
int finalize_ready(void* arguments) {
  static_cast<core::FinalizeReady*>(arguments)->go = 1;
  return 0;
}
int attach_thread(void*) { return 0; }
int park_here(void*) {
  upper::upper_interface.control.stop = 0;
  upper::test::checkpoint(upper::test::checkpoint_mode);
  upper::upper_interface.control.intent = 0;
  return 0;
}

}  // namespace mana::lower

namespace mana::upper::test {

int failures = 0;
Then checkpoint_mode = Then::go_on;

namespace {

MPI_Comm agents;  // of the test itself

bool all(bool mine) {
  int in = mine, out, flag = 0;
  MPI_Request request;
  MPI_Iallreduce(&in, &out, 1, MPI_INT, MPI_LAND, agents, &request);
  while (!flag) {  // more ranks than cores: nobody spins
    MPI_Test(&request, &flag, MPI_STATUS_IGNORE);
    if (!flag) sched_yield();
  }
  return out != 0;
}

void serve(Service what) {
  ServiceCall call{};
  long turns = 0;
  do {
    call.what = what;
    service(&call);
    if (++turns > 2000000) {
      std::fprintf(stderr, "service %d does not end: pending %u, %s\n", static_cast<int>(what), call.pending, call.detail);
      std::abort();
    }
  } while (!all(call.done != 0));
  if (call.error != 0) {
    std::fprintf(stderr, "service %d failed: %d %s\n", static_cast<int>(what), call.error, call.detail);
    std::abort();
  }
}

// A restarted process has no old operations: here they are taken back, so that they match nothing.
void forget_old_lower_half() {
  for (Request* r = active_requests.first; r != nullptr; r = r->next) {
    if (r->lower == 0) continue;
    core::Cancel cancel{r->lower};
    lower_functions[static_cast<int>(CoreOp::cancel)](&cancel);
    abi::Status status;
    core::TestEach test{&r->lower, 1, 0, &status};
    while (r->lower != 0) lower_functions[static_cast<int>(CoreOp::test_each)](&test);
  }
}

int init_again(void* arguments) {
  auto* facts = static_cast<core::Init*>(arguments);
  facts->provided = upper_interface.thread_level;
  facts->tag_ub = upper::world.tag_ub;
  return 0;
}

}  // namespace

void checkpoint(Then then) {
  ++upper_interface.attempt;
  upper_interface.control.intent = 2;
  all(true);
  serve(Service::progress);
  serve(Service::finish_collectives);
  serve(Service::exchange_counts);
  serve(Service::drain);
  if (then == Then::go_on) {
    serve(Service::resume);
    upper_interface.control.intent = 0;
    return;
  }
  forget_old_lower_half();
  ++upper_interface.control.restarts;
  auto& init = lower_functions[static_cast<int>(CoreOp::init)];
  auto saved = init;
  init = &init_again;
  serve(Service::rebuild);
  init = saved;
  upper_interface.control.intent = 0;
}

void ask_to_stop() {
  upper_interface.control.intent = 2;
  upper_interface.control.stop = 1;
}

void start(int required) {
  lower::fill_functions(&upper_interface);
  lower::set_intent_word(&upper_interface.control.intent);
  int provided;
  CHECK_OK(Init_thread(nullptr, nullptr, required, &provided));
  MPI_Comm_dup(MPI_COMM_WORLD, &agents);
  const char* mode = std::getenv("MANA_TEST_MODE");
  if (mode != nullptr && std::strcmp(mode, "restart") == 0) checkpoint_mode = Then::restart;
  CHECK_OK(Comm_set_errhandler(&world_comm, errors_return()));
}

int finish() {
  MPI_Comm_free(&agents);
  int total = failures;
  Allreduce(reinterpret_cast<void*>(1), &total, 1, predefined_type(abi::INT), static_cast<Op*>(predefined(abi::SUM)),
            &world_comm);
  int rank = upper_interface.world_rank;
  CHECK_OK(Finalize());
  if (rank == 0) std::printf("%d failures\n", total);
  return total != 0 || failures != 0;
}

void check(bool condition, const char* text, const char* file, int line, long a, long b) {
  if (condition) return;
  ++failures;
  std::fprintf(stderr, "rank %d: %s:%d: %s: %ld, %ld\n", upper_interface.world_rank, file, line, text, a, b);
}

}  // namespace mana::upper::test
