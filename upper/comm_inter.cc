// SPDX-License-Identifier: BSD-3-Clause
// MPI_Intercomm_create (MPI 5.0, 7.6.2), in three steps that the closure understands:
//   1. the leaders tell each other their groups, point to point on peer_comm with the application's tag: an interruptible wait,
//      so a leader whose counterpart is parked names it;
//   2. each leader tells its local group: counted collectives of local_comm;
//   3. all together make the lower communicator: one collective, counted on a uid that both groups, their parents and the
//      tag make, known to every member.
// Only in step 3 does anybody depend on the other group inside a call that cannot be left.
#include "mpi_wrappers/generated_calls.h"
#include "mpi_wrappers/upper_api.h"
#include "upper/collective.h"
#include "upper/comm.h"
#include "upper/errors.h"
#include "upper/p2p.h"

namespace mana::upper {

namespace {

// Bridges are the runtime's own communicator: no receive of the application can see the library's messages.
constexpr int32_t kBridgeTag = 16;

struct RemoteGroup {
  int32_t size;
  int32_t leader;       // world rank
  int32_t unused;
  int32_t failed;       // error class of step 1
  uint64_t parent;      // uid of the other local communicator
  int32_t* ranks;       // world ranks in rank order
};

int swap_with_leader(Call& call, Comm* peer, int rank, int tag, void* mine, int64_t out, void* theirs, int64_t in) {
  Datatype* bytes = predefined_type(abi::BYTE);
  Request* pair[2];
  int error = start_receive(call, theirs, in, bytes, rank, tag, peer, &pair[0]);
  if (error != 0) return error;
  error = start_send(call, mine, out, bytes, rank, tag, peer, standard, &pair[1]);
  if (error != 0) return error;
  wait_for(call, pair, 2, true, "MPI_Intercomm_create");
  error = pair[0]->status.error;
  free_request(pair[0]);
  free_request(pair[1]);
  return error;
}

// Step 1.
int ask_other_leader(Call& call, Comm* local, Comm* peer, int remote_leader, int tag, RemoteGroup* remote) {
  uint64_t head[3] = {static_cast<uint64_t>(local->size), static_cast<uint64_t>(upper_interface.world_rank),
                      local->counter != nullptr ? local->counter->uid : 0};
  uint64_t other[3];
  int error = swap_with_leader(call, peer, remote_leader, tag, head, sizeof head, other, sizeof other);
  if (error != 0) return error;
  remote->size = static_cast<int32_t>(other[0]);
  remote->leader = static_cast<int32_t>(other[1]);
  remote->parent = other[2];
  remote->ranks = allocate_array<int32_t>(remote->size);
  return swap_with_leader(call, peer, remote_leader, tag, local->world_ranks, int64_t{4} * local->size, remote->ranks,
                          int64_t{4} * remote->size);
}

int tell_group(Call& call, Comm* local, int root, void* data, int64_t bytes) {
  Datatype* byte = predefined_type(abi::BYTE);
  begin_collective(call, local->counter, true);
  ops::Bcast block{data, bytes, lower(byte), root, local->lower};
  int error = call.cross_waiting(static_cast<uint32_t>(GeneratedOp::Bcast), &block);
  end_collective(call);
  return error;
}

// Step 2.
int share_with_group(Call& call, Comm* local, int root, RemoteGroup* remote) {
  int error = tell_group(call, local, root, remote, offsetof(RemoteGroup, ranks));
  if (error != 0) return error;
  if (remote->failed != 0) return remote->failed;
  if (local->rank != root) remote->ranks = allocate_array<int32_t>(remote->size);
  return tell_group(call, local, root, remote->ranks, int64_t{4} * remote->size);
}

// Step 3.
Comm* make_together(Call& call, Comm* local, int root, int tag, const RemoteGroup& remote, int* error) {
  uint64_t parent = local->counter != nullptr ? local->counter->uid : 0;
  uint64_t here = hash_ranks(parent, local->world_ranks, local->size);
  uint64_t there = hash_ranks(remote.parent, remote.ranks, remote.size);
  uint64_t uid = mix(mix(here < there ? here : there, here < there ? there : here), static_cast<uint64_t>(tag));
  int32_t total = local->size + remote.size;
  auto* members = allocate_array<int32_t>(total);
  for (int32_t i = 0; i < total; ++i) {
    members[i] = i < local->size ? local->world_ranks[i] : remote.ranks[i - local->size];
  }
  CommCounter* counter = one_shot_counter(uid, members, static_cast<uint32_t>(total));
  deallocate(members);
  begin_collective(call, counter, true);
  uint64_t seed = mix(uid, counter->begun.load(std::memory_order_relaxed));
  ops::Intercomm_create block{local->lower, root, world.private_comm, remote.leader, kBridgeTag, 0};
  *error = call.cross_waiting(static_cast<uint32_t>(GeneratedOp::Intercomm_create), &block);
  end_collective(call);
  if (*error != 0) return nullptr;
  Comm* comm = make_comm(call, block.newintercomm, seed, error);
  if (comm != nullptr) {
    comm->local_leader = root;
    comm->remote_leader_world_rank = remote.leader;
    comm->bridge_tag = tag;
  }
  return comm;
}

}  // namespace

int Intercomm_create(Comm* local_comm, int local_leader, Comm* peer_comm, int remote_leader, int tag,
                     Comm** newintercomm) {
  constexpr const char* kName = "MPI_Intercomm_create";
  *newintercomm = nullptr;
  if (local_comm == nullptr || local_comm->is_inter) return raise(local_comm, abi::ERR_COMM, kName);
  if (local_leader < 0 || local_leader >= local_comm->size) return raise(local_comm, abi::ERR_RANK, kName);
  bool leads = local_comm->rank == local_leader;
  if (leads && peer_comm == nullptr) return raise(local_comm, abi::ERR_COMM, kName);
  if (local_comm->foreign) return raise(local_comm, abi::ERR_UNSUPPORTED_OPERATION, kName);  // strangers do not know our three steps
  int error = 0;
  RemoteGroup remote{};
  {
    Call call;
    let_go_of_freed(call);
    if (leads) {
      remote.failed = peer_comm->foreign ? abi::ERR_UNSUPPORTED_OPERATION : check_destination(peer_comm, remote_leader, tag);
      if (remote.failed == 0) remote.failed = ask_other_leader(call, local_comm, peer_comm, remote_leader, tag, &remote);
    }
    error = share_with_group(call, local_comm, local_leader, &remote);
    if (error == 0) *newintercomm = make_together(call, local_comm, local_leader, tag, remote, &error);
    if (*newintercomm != nullptr && local_comm->errhandler != nullptr) {
      set_errhandler((*newintercomm)->errhandler, local_comm->errhandler);
    }
    deallocate(remote.ranks);
  }
  return error == 0 ? 0 : raise(local_comm, error, kName);
}

}  // namespace mana::upper
