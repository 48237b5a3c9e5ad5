// SPDX-License-Identifier: BSD-3-Clause
// MPI_Init to MPI_Finalize: MPI 5.0, 11.2 and 11.6.
#include "mpi_wrappers/upper_api.h"
#include "upper/attribute.h"
#include "upper/closure.h"
#include "upper/comm.h"
#include "upper/datatype.h"
#include "upper/env.h"
#include "upper/errors.h"
#include "upper/group.h"
#include "upper/init.h"
#include "upper/kernel.h"
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

// Every rank has come: the farewells of freed communicators can end, except where a receive was left pending on one.
void say_last_farewells(Call& call) {
  constexpr int kTurns = 1000;
  for (int turn = 0; turn < kTurns && any_farewell_open(); ++turn) {
    core::Progress progress{};
    call.cross(CoreOp::progress, &progress);
    let_go_of_freed(call);
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
