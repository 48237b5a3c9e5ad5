// SPDX-License-Identifier: BSD-3-Clause
#include "upper/tests/support.h"

#include <cstdio>
#include <cstdlib>

#include "upper/lower_calls.h"
#include "upper/topology.h"

extern "C" {
__thread mana::ThreadRecord* mana_thread = nullptr;
int mana_cross(int (*)(void*), void*, mana::ThreadRecord*) { std::abort(); }
}

#ifndef TEST_STANDARD_BOUNDS
#define TEST_STANDARD_BOUNDS 0
#endif

namespace mana::upper {

constinit UpperInterface upper_interface{};
constinit World world{};
constinit SpinLock state_lock;
LowerFunction lower_functions[1] = {};

ThreadRecord* attach_thread() { return mana_thread = make_zeroed<ThreadRecord>(); }
void park(ThreadRecord*) {}
void count_step(ThreadRecord*) {}

void destroy_comm(Comm* comm) {
  free_topology(comm);
  delete_object(comm);
}
void destroy_request(Request* request) { delete_object(request); }
void start_comms() {
  register_predefined(&test::world, Kind::communicator, abi::COMM_WORLD);
  register_predefined(&test::self, Kind::communicator, abi::COMM_SELF);
}

namespace test {
Comm world{}, self{};
std::vector<int> lower_types_made;
std::vector<uint64_t> lower_types_freed;

void start(int rank, int size) {
  static bool started = false;
  if (!started) start_tables(), this_thread();
  started = true;
  own_world_rank = world.rank = rank;
  own_world_size = world.size = size;
  self.size = 1;
  world.errhandler = self.errhandler = errors_return();
}
}  // namespace test

// The fake lower half: bits are constants for predefined types, 0x1000 + index for made ones.
int call_lower(CoreOp op, void* block) {
  switch (op) {
    case CoreOp::resolve: {
      auto* resolve = static_cast<core::Resolve*>(block);
      const bool lacking = resolve->constant == abi::REAL2 || resolve->constant == abi::LOGICAL2;
      resolve->lower = lacking ? 0 : static_cast<uint64_t>(resolve->constant);
      return 0;
    }
    case CoreOp::type_create: {
      auto* create = static_cast<core::TypeCreate*>(block);
      test::lower_types_made.push_back(create->combiner);
      create->datatype = 0x1000 + test::lower_types_made.size() - 1;
      return 0;
    }
    case CoreOp::type_free:
      test::lower_types_freed.push_back(static_cast<core::TypeFree*>(block)->datatype);
      return 0;
    case CoreOp::op_create:
      static_cast<core::OpCreate*>(block)->op = 0x2000;
      return 0;
    case CoreOp::info_create:
      static_cast<core::InfoCreate*>(block)->info = 0x3000;
      return 0;
    default:
      return 0;
  }
}

namespace front_end {

const Facts facts = {
    .name = "test",
    .library_version = "test",
    .version = 4,
    .subversion = 0,
    .object_name = 128,
    .error_string = 512,
    .processor_name = 128,
    .library_version_string = 8192,
    .info_key = 255,
    .info_value = 1024,
    .order_c = 56,
    .order_fortran = 57,
    .distribute_none = 123,
    .distribute_block = 121,
    .distribute_cyclic = 122,
    .distribute_default = -49767,
    .standard_bounds = TEST_STANDARD_BOUNDS,
    .port_name = 256,
    .pair_elements = TEST_STANDARD_BOUNDS ? 1 : 2,
};

using Copy = int (*)(Object*, int, void*, void*, void*, int*);
using Delete = int (*)(Object*, int, void*, void*);
using Handler = void (*)(Object*, int*);
using User = void (*)(void*, void*, int*, Datatype**);

int call_copy(void (*function)(), Object* object, int keyval, void* extra, void* value, void** copy, int* flag) {
  return reinterpret_cast<Copy>(function)(object, keyval, extra, value, copy, flag);
}
int call_delete(void (*function)(), Object* object, int keyval, void* value, void* extra) {
  return reinterpret_cast<Delete>(function)(object, keyval, value, extra);
}
void call_errhandler(void (*function)(), Object* object, int code) {
  reinterpret_cast<Handler>(function)(object, &code);
}
void call_op(void (*function)(), bool, void* in, void* inout, int64_t length, Datatype* type) {
  int count = static_cast<int>(length);
  reinterpret_cast<User>(function)(in, inout, &count, &type);
}
int application_error(int neutral) { return neutral; }
int neutral_error(int application) { return application; }
int application_attribute(int, int neutral_value) { return neutral_value; }

}  // namespace front_end
}  // namespace mana::upper
