// SPDX-License-Identifier: BSD-3-Clause
// MPI_Init to MPI_Finalize: MPI 5.0, 11.2 and 11.6.
#include "mpi_wrappers/generated_calls.h"
#include "mpi_wrappers/upper_api.h"
#include "upper/attribute.h"
#include "upper/closure.h"
#include "upper/comm.h"
#include "upper/containers.h"
#include "upper/datatype.h"
#include "upper/env.h"
#include "upper/errors.h"
#include "upper/group.h"
#include "upper/init.h"
#include "upper/kernel.h"
#include "upper/op.h"
#include "upper/text.h"

namespace mana::upper {

void learn_world(Call& call) {
  core::PrivateComm mine{};
  call.cross(CoreOp::private_comm, &mine);
  world.private_comm = mine.comm;
  core::Resolve null{abi::COMM_NULL, 0};
  call.cross(CoreOp::resolve, &null);
  world.null_comm = null.lower;
  world.packed = lower(predefined_type(abi::PACKED));
}

namespace {

// Neutral levels grow with what they allow.
void grant_level(int level) {
  upper_interface.thread_level = level;
  threads_multiple = level == abi::THREAD_MULTIPLE;
}

constexpr int32_t kPortableTagUb = (1 << 21) - 1;

int initialize(int required, int* provided) {
  if (world.initialized) return abi::ERR_OTHER;
  Call call;
  core::Init facts{};
  facts.required = required;
  int error = call.cross(CoreOp::init, &facts);
  if (error != 0) return error;
  own_world_rank = upper_interface.world_rank = facts.rank;
  own_world_size = upper_interface.world_size = facts.size;
  // Promised for the job's life, so no more than every MPI it may meet grants: libfabric's providers leave the fewest bits.
  if (facts.tag_ub > kPortableTagUb) facts.tag_ub = kPortableTagUb;
  world.tag_ub = facts.tag_ub;
  set_environment(facts, false);
  start_world(call, facts.rank, facts.size);
  learn_world(call);
  *provided = facts.provided;
  world.initialized = 1;
  upper_interface.initialized = 1;
  return 0;
}

// The lock begins to matter: nobody holds it, as the one thread that is in here has left.
int initialize_and_grant(int required, int* provided, const char* name) {
  int error = initialize(required, provided);
  if (error != 0) return raise(error, name);
  grant_level(*provided);
  return 0;
}

// Until every rank has come to MPI_Finalize and no checkpoint is under way: an interruptible wait, because a checkpoint may still
// need this rank.
void wait_for_all_to_come(Call& call) {
  let_go_of_freed(call);
  begin_collective(call, world_comm.counter, false);
  for (;;) {
    core::FinalizeReady block{};
    call.cross(CoreOp::finalize_ready, &block);
    if (block.go) return;
    wait_turn(call);
    let_go_of_freed(call);
  }
}

void largest_of_all(Call& call, const void* mine, void* result, int64_t count, int type) {
  ops::Allreduce block{mine, result, count, lower(predefined_type(type)), lower(static_cast<Op*>(predefined(abi::MAX))),
                       world.private_comm};
  call.cross_waiting(static_cast<uint32_t>(GeneratedOp::Allreduce), &block);
}

// Every rank has come, so no farewell of a freed communicator begins after this.  One that all its members have begun ends, and must
// be waited for: what a rank leaves under way can keep the library's MPI_Finalize waiting for peers that no longer listen.  One
// that a member has not begun (a receive is pending there, or it never freed the communicator) cannot end.  So all say which are open,
// then each says which of these it keeps from ending.
void say_last_farewells(Call& call) {
  let_go_of_freed(call);
  uint64_t open = 0, most = 0;
  for (Comm* comm = live_comms.first; comm != nullptr; comm = comm->next) open += comm->farewell != 0;
  largest_of_all(call, &open, &most, 1, abi::UINT64_T);
  if (most == 0) return;
  const auto each = static_cast<int64_t>(most);
  const int64_t count = each * upper_interface.world_size;
  Scratch<uint64_t> mine(each);
  for (int64_t i = 0; i < each; ++i) mine[i] = 0;
  uint64_t named = 0;
  for (Comm* comm = live_comms.first; comm != nullptr; comm = comm->next) {
    if (comm->farewell != 0) mine[static_cast<int64_t>(named++)] = comm->counter->uid;
  }
  Scratch<uint64_t> all(count);
  const uint64_t name_type = lower(predefined_type(abi::UINT64_T));
  ops::Allgather block{mine.get(), each, name_type, all.get(), each, name_type, world.private_comm};
  call.cross_waiting(static_cast<uint32_t>(GeneratedOp::Allgather), &block);
  Scratch<uint8_t> kept_here(count), kept(count);
  for (int64_t i = 0; i < count; ++i) {
    const Comm* comm = all[i] == 0 ? nullptr : find_comm(all[i]);
    kept_here[i] = comm != nullptr && !comm->farewell_begun;
  }
  largest_of_all(call, kept_here.get(), kept.get(), count, abi::UINT8_T);
  for (int64_t i = 0; i < each; ++i) {
    const int64_t at = each * upper_interface.world_rank + i;
    while (all[at] != 0 && !kept[at] && find_comm(all[at]) != nullptr) {
      core::Progress progress{};
      call.cross(CoreOp::progress, &progress);
      let_go_of_freed(call);
    }
  }
}

}  // namespace

int Init(int*, char***) {
  int provided = 0;
  return initialize_and_grant(abi::THREAD_SINGLE, &provided, "MPI_Init");
}

int Init_thread(int*, char***, int required, int* provided) {
  return initialize_and_grant(required, provided, "MPI_Init_thread");
}

int Finalize() {
  if (!world.initialized || world.finalized) return raise(abi::ERR_OTHER, "MPI_Finalize");
  int error = delete_attributes(&self_comm);  // first of all, while MPI still works: MPI 5.0, 11.2.4
  if (error != 0) return raise(&self_comm, error, "MPI_Finalize");
  Call call;
  wait_for_all_to_come(call);
  say_last_farewells(call);
  world.finalized = 1;
  upper_interface.finalized = 1;
  core::Finalize block{};
  error = call.cross_waiting(CoreOp::finalize, &block);
  return error;
}

int Abort(Comm* comm, int errorcode) {
  if (!world.initialized || world.finalized) kernel::call(__NR_exit_group, errorcode);
  Call call;
  core::Abort block{comm != nullptr ? comm->lower : world_comm.lower, errorcode};
  call.cross(CoreOp::abort, &block);
  kernel::call(__NR_exit_group, errorcode);
  return 0;
}

}  // namespace mana::upper
