// SPDX-License-Identifier: BSD-3-Clause
// Communicators.  The upper half knows one by the world ranks of its members, in order; here it is
// made from them.
#include <mpi.h>

#include <vector>

#include "lower/adapter_convert.h"
#include "lower/adapter_state.h"
#include "lower/adapter_wait.h"
#include "lower/core_functions.h"

namespace mana::lower {
namespace {

// World ranks of a group's members, -1 for those that are not in our world.  Frees the group.
int translate_to_world(MPI_Group group, int size, int32_t* world_ranks) {
  std::vector<int> ranks(static_cast<std::size_t>(size));
  for (int i = 0; i < size; ++i) ranks[i] = i;
  const int code =
      MPI_Group_translate_ranks(group, size, ranks.data(), adapter_state.world_group, world_ranks);
  for (int i = 0; i < size && code == MPI_SUCCESS; ++i) {
    if (world_ranks[i] == MPI_UNDEFINED) world_ranks[i] = -1;
  }
  MPI_Group_free(&group);
  return neutral_error(code);
}

// A new communicator's handler: the upper half calls the application's own.
int finish(int code, MPI_Comm comm, uint64_t* bits) {
  if (code != MPI_SUCCESS) return class_of_failure(code);
  if (comm != MPI_COMM_NULL) MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
  *bits = comm_bits(comm);
  return 0;
}

}  // namespace

int comm_shape(void* arguments) {
  auto* a = static_cast<core::CommShape*>(arguments);
  const MPI_Comm comm = native_comm(a->comm);
  a->remote_size = 0;
  int code = MPI_Comm_rank(comm, &a->rank);
  if (code == MPI_SUCCESS) code = MPI_Comm_size(comm, &a->size);
  if (code == MPI_SUCCESS) code = MPI_Comm_test_inter(comm, &a->is_inter);
  if (code == MPI_SUCCESS && a->is_inter) code = MPI_Comm_remote_size(comm, &a->remote_size);
  if (code != MPI_SUCCESS) return class_of_failure(code);
  MPI_Group group;
  if (a->world_ranks != nullptr) {
    code = MPI_Comm_group(comm, &group);
    if (code != MPI_SUCCESS) return class_of_failure(code);
    const int error = translate_to_world(group, a->size, a->world_ranks);
    if (error != 0) return error;
  }
  if (a->is_inter && a->remote_world_ranks != nullptr) {
    code = MPI_Comm_remote_group(comm, &group);
    if (code != MPI_SUCCESS) return class_of_failure(code);
    return translate_to_world(group, a->remote_size, a->remote_world_ranks);
  }
  return 0;
}

int comm_from_ranks(void* arguments) {
  auto* a = static_cast<core::CommFromRanks*>(arguments);
  MPI_Group group;
  int code = MPI_Group_incl(adapter_state.world_group, a->size, a->world_ranks, &group);
  if (code != MPI_SUCCESS) return class_of_failure(code);
  MPI_Comm comm = MPI_COMM_NULL;
  code = MPI_Comm_create_group(MPI_COMM_WORLD, group, a->tag, &comm);
  MPI_Group_free(&group);
  return finish(code, comm, &a->comm);
}

int inter_from_comms(void* arguments) {
  auto* a = static_cast<core::InterFromComms*>(arguments);
  MPI_Comm comm = MPI_COMM_NULL;
  const int code = MPI_Intercomm_create(native_comm(a->local_comm), a->local_leader, MPI_COMM_WORLD,
                                        a->remote_leader_world_rank, a->tag, &comm);
  return finish(code, comm, &a->comm);
}

int comm_free(void* arguments) {
  MPI_Comm comm = native_comm(static_cast<core::CommFree*>(arguments)->comm);
  return neutral_error(MPI_Comm_free(&comm));
}

int comm_disconnect(void* arguments) {
  MPI_Comm comm = native_comm(static_cast<core::CommDisconnect*>(arguments)->comm);
  return neutral_error(MPI_Comm_disconnect(&comm));
}

int comm_set_info(void* arguments) {
  auto* a = static_cast<core::CommSetInfo*>(arguments);
  return neutral_error(MPI_Comm_set_info(native_comm(a->comm), native_info(a->info)));
}

int private_comm(void* arguments) {
  static_cast<core::PrivateComm*>(arguments)->comm = comm_bits(adapter_state.private_comm);
  return 0;
}

// Asking for a message that nobody sends moves all messages of the process, in either library.
int progress(void*) {
  constexpr int kTagOfNoMessage =
      32767;  // the highest that every library has; the upper half counts from 0
  int flag;
  MPI_Status status;
  const int code =
      MPI_Iprobe(MPI_ANY_SOURCE, kTagOfNoMessage, adapter_state.private_comm, &flag, &status);
  if (waiting.turns_before_yield != INT_MAX) sched_yield();
  return neutral_error(code);
}

}  // namespace mana::lower
