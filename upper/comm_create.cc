// SPDX-License-Identifier: BSD-3-Clause
// Making communicators: MPI 5.0, 7.4 and 8.5.  The lower half makes its own with its own call, counted and gated like any
// collective; what it turned out to be is asked once (comm_shape) and kept in world ranks.
#include "mpi_wrappers/generated_calls.h"
#include "mpi_wrappers/upper_api.h"
#include "upper/attribute.h"
#include "upper/collective.h"
#include "upper/comm.h"
#include "upper/errors.h"
#include "upper/info.h"
#include "upper/request.h"
#include "upper/topology.h"

namespace mana::upper {

namespace {

inline int raised(Comm* comm, int error, const char* name) { return error == 0 ? 0 : raise(comm, error, name); }

bool is_null(uint64_t lower) { return lower == 0 || lower == world.null_comm; }

// An error handler goes from parent to child (MPI 5.0, 9.3), and so do strangers among the members.
void inherit(Comm* child, const Comm* parent) {
  if (parent->foreign) make_foreign(child, parent->refusal);
  if (parent->errhandler != nullptr) set_errhandler(child->errhandler, parent->errhandler);
}

// Enters the creating collective on `parent`, lets `cross` make the lower communicator, describes it.  *child stays null where
// this process is not a member.  All members take the child index, also those that get none.
template <class Cross>
int create(Comm* parent, Comm** child, Cross cross) {
  *child = nullptr;
  Call call;
  let_go_of_freed(call);
  begin_collective(call, parent->counter, true);
  uint64_t lower = 0;
  int error = cross(call, &lower);
  end_collective(call);
  uint64_t seed = next_child(parent);
  if (error != 0 || is_null(lower)) return error;
  *child = make_comm(call, lower, seed, &error);
  if (*child == nullptr) return error;
  inherit(*child, parent);
  return 0;
}

template <class Block>
int cross_create(Call& call, GeneratedOp op, Block& block, uint64_t Block::*result, uint64_t* lower) {
  int error = call.cross_waiting(static_cast<uint32_t>(op), &block);
  *lower = block.*result;
  return error;
}

// The copy functions run before the duplicate can be used, and may fail: then it is given up again.
int copy_attributes_or_free(Comm* comm, Comm** child) {
  int error = copy_attributes(comm, *child);
  if (error == 0) return 0;
  Call call;
  free_handle(*child);
  *child = nullptr;
  return error;
}

int duplicate(Comm* comm, Info* info, bool with_info, Comm** child, const char* name) {
  if (comm == nullptr) return raise(abi::ERR_COMM, name);
  int error = create(comm, child, [&](Call& call, uint64_t* lower) {
    ops::Comm_dup block{comm->lower, 0};
    return cross_create(call, GeneratedOp::Comm_dup, block, &ops::Comm_dup::newcomm, lower);
  });
  if (error == 0) {
    Comm* made = *child;
    made->local_leader = comm->local_leader;
    made->remote_leader_world_rank = comm->remote_leader_world_rank;
    copy_topology(comm, made);
    made->info = with_info ? copy_info(info) : comm->info != nullptr ? copy_info(comm->info) : nullptr;
    error = copy_attributes_or_free(comm, child);
  }
  return raised(comm, error, name);
}

int duplicate_nonblocking(Comm* comm, Info* info, bool with_info, Comm** child, Request** request, const char* name) {
  if (comm == nullptr) return raise(abi::ERR_COMM, name);
  int error = 0;
  Comm* made = nullptr;
  {
    Call call;
    begin_collective(call, comm->counter, false);
    made = make_comm_like(comm, next_child(comm));
    if (made == nullptr) return abi::ERR_NO_MEM;
    inherit(made, comm);
    copy_topology(comm, made);
    made->info = with_info ? copy_info(info) : comm->info != nullptr ? copy_info(comm->info) : nullptr;
    ops::Comm_idup block{comm->lower, &made->lower, 0};
    error = call.cross(static_cast<uint32_t>(GeneratedOp::Comm_idup), &block);
    if (error == 0) {
      Request* r = new_request(call, Request::What::idup);
      attach_to(r, comm, nullptr);
      keep(made);
      r->extra = made;
      r->lower = block.request;
      list_request(r);
      *request = r;
    }
  }
  if (error == 0) error = copy_attributes(comm, made);
  if (error != 0) {
    Call call;
    free_handle(made);
    return raise(comm, error, name);
  }
  *child = made;
  return 0;
}

}  // namespace

int Comm_dup(Comm* comm, Comm** newcomm) { return duplicate(comm, nullptr, false, newcomm, "MPI_Comm_dup"); }
int Comm_dup_with_info(Comm* comm, Info* info, Comm** newcomm) {
  return duplicate(comm, info, true, newcomm, "MPI_Comm_dup_with_info");
}
int Comm_idup(Comm* comm, Comm** newcomm, Request** request) {
  return duplicate_nonblocking(comm, nullptr, false, newcomm, request, "MPI_Comm_idup");
}
int Comm_idup_with_info(Comm* comm, Info* info, Comm** newcomm, Request** request) {
  return duplicate_nonblocking(comm, info, true, newcomm, request, "MPI_Comm_idup_with_info");
}

int Comm_split(Comm* comm, int color, int key, Comm** newcomm) {
  if (comm == nullptr) return raise(abi::ERR_COMM, "MPI_Comm_split");
  int error = color < 0 && color != abi::UNDEFINED ? abi::ERR_ARG : 0;
  if (error == 0) {
    error = create(comm, newcomm, [&](Call& call, uint64_t* lower) {
      ops::Comm_split block{comm->lower, color, key, 0};
      return cross_create(call, GeneratedOp::Comm_split, block, &ops::Comm_split::newcomm, lower);
    });
  }
  return raised(comm, error, "MPI_Comm_split");
}

int Comm_split_type(Comm* comm, int split_type, int key, Info* info, Comm** newcomm) {
  if (comm == nullptr) return raise(abi::ERR_COMM, "MPI_Comm_split_type");
  int error = create(comm, newcomm, [&](Call& call, uint64_t* lower_comm) {
    ops::Comm_split_type block{comm->lower, split_type, key, lower(info), 0};
    return cross_create(call, GeneratedOp::Comm_split_type, block, &ops::Comm_split_type::newcomm, lower_comm);
  });
  return raised(comm, error, "MPI_Comm_split_type");
}

int Comm_create(Comm* comm, Group* group, Comm** newcomm) {
  if (comm == nullptr) return raise(abi::ERR_COMM, "MPI_Comm_create");
  if (group == nullptr) return raise(comm, abi::ERR_GROUP, "MPI_Comm_create");
  if (comm->foreign) return raise(comm, abi::ERR_UNSUPPORTED_OPERATION, "MPI_Comm_create");  // groups name ranks of our world
  int error = create(comm, newcomm, [&](Call& call, uint64_t* lower) {
    ops::Comm_create block{comm->lower, group->world_ranks, group->size, 0};
    return cross_create(call, GeneratedOp::Comm_create, block, &ops::Comm_create::newcomm, lower);
  });
  return raised(comm, error, "MPI_Comm_create");
}

// Collective over the group only: counted on a uid that parent, members and tag make.
int Comm_create_group(Comm* comm, Group* group, int tag, Comm** newcomm) {
  *newcomm = nullptr;
  if (comm == nullptr) return raise(abi::ERR_COMM, "MPI_Comm_create_group");
  if (group == nullptr) return raise(comm, abi::ERR_GROUP, "MPI_Comm_create_group");
  if (comm->foreign) return raise(comm, abi::ERR_UNSUPPORTED_OPERATION, "MPI_Comm_create_group");  // groups name ranks of our world
  if (tag < 0 || tag > world.tag_ub) return raise(comm, abi::ERR_TAG, "MPI_Comm_create_group");
  if (group->rank < 0) return 0;
  int error = 0;
  {
    Call call;
    let_go_of_freed(call);
    uint64_t parent = comm->counter != nullptr ? comm->counter->uid : 0;
    uint64_t uid = mix(hash_ranks(mix(parent, 0x67726f7570), group->world_ranks, group->size),
                       static_cast<uint64_t>(tag));
    CommCounter* counter =
        group->size > 1 ? one_shot_counter(uid, group->world_ranks, static_cast<uint32_t>(group->size)) : nullptr;
    begin_collective(call, counter, true);
    uint64_t seed = mix(uid, counter != nullptr ? counter->begun.load(std::memory_order_relaxed) : 0);
    ops::Comm_create_group block{comm->lower, group->world_ranks, group->size, tag, 0};
    error = call.cross_waiting(static_cast<uint32_t>(GeneratedOp::Comm_create_group), &block);
    end_collective(call);
    if (error == 0 && !is_null(block.newcomm)) *newcomm = make_comm(call, block.newcomm, seed, &error);
    if (*newcomm != nullptr) inherit(*newcomm, comm);
  }
  return raised(comm, error, "MPI_Comm_create_group");
}

int Intercomm_merge(Comm* intercomm, int high, Comm** newintracomm) {
  if (intercomm == nullptr || !intercomm->is_inter) return raise(intercomm, abi::ERR_COMM, "MPI_Intercomm_merge");
  int error = create(intercomm, newintracomm, [&](Call& call, uint64_t* lower) {
    ops::Intercomm_merge block{intercomm->lower, high, 0};
    return cross_create(call, GeneratedOp::Intercomm_merge, block, &ops::Intercomm_merge::newintracomm, lower);
  });
  return raised(intercomm, error, "MPI_Intercomm_merge");
}

// --- topologies

int Cart_create(Comm* comm_old, int ndims, const int* dims, const int* periods, int reorder, Comm** comm_cart) {
  if (comm_old == nullptr || comm_old->is_inter) return raise(comm_old, abi::ERR_COMM, "MPI_Cart_create");
  int error = check_cart(ndims, dims, comm_old->size);
  if (error == 0) {
    error = create(comm_old, comm_cart, [&](Call& call, uint64_t* lower) {
      ops::Cart_create block{comm_old->lower, ndims, dims, periods, reorder, 0};
      return cross_create(call, GeneratedOp::Cart_create, block, &ops::Cart_create::comm_cart, lower);
    });
  }
  if (error == 0 && *comm_cart != nullptr) {
    set_topology(*comm_cart, abi::CART, make_cart(ndims, dims, periods, (*comm_cart)->rank));
  }
  return raised(comm_old, error, "MPI_Cart_create");
}

int Cart_sub(Comm* comm, const int* remain_dims, Comm** newcomm) {
  if (comm == nullptr) return raise(abi::ERR_COMM, "MPI_Cart_sub");
  if (comm->topology != abi::CART) return raise(comm, abi::ERR_TOPOLOGY, "MPI_Cart_sub");
  int32_t colour, key;
  CartTopology* part = cart_sub(comm, remain_dims, &colour, &key);
  int error = create(comm, newcomm, [&](Call& call, uint64_t* lower) {
    ops::Cart_sub block{comm->lower, remain_dims, 0};
    return cross_create(call, GeneratedOp::Cart_sub, block, &ops::Cart_sub::newcomm, lower);
  });
  if (error == 0 && *newcomm != nullptr) set_topology(*newcomm, abi::CART, part);
  return raised(comm, error, "MPI_Cart_sub");
}

int Graph_create(Comm* comm_old, int nnodes, const int* index, const int* edges, int reorder, Comm** comm_graph) {
  if (comm_old == nullptr || comm_old->is_inter) return raise(comm_old, abi::ERR_COMM, "MPI_Graph_create");
  int error = check_graph(nnodes, index, edges, comm_old->size);
  if (error == 0) {
    error = create(comm_old, comm_graph, [&](Call& call, uint64_t* lower) {
      ops::Graph_create block{comm_old->lower, nnodes, index, edges, reorder, 0};
      return cross_create(call, GeneratedOp::Graph_create, block, &ops::Graph_create::comm_graph, lower);
    });
  }
  if (error == 0 && *comm_graph != nullptr) set_topology(*comm_graph, abi::GRAPH, make_graph(nnodes, index, edges));
  return raised(comm_old, error, "MPI_Graph_create");
}

namespace {
bool is_weighted(const int* weights) { return reinterpret_cast<intptr_t>(weights) != abi::UNWEIGHTED; }
const int* weights_or_none(const int* weights) {
  bool given = is_weighted(weights) && reinterpret_cast<intptr_t>(weights) != abi::WEIGHTS_EMPTY;
  return given ? weights : nullptr;
}
}  // namespace

int Dist_graph_create_adjacent(Comm* comm_old, int indegree, const int* sources, const int* sourceweights,
                               int outdegree, const int* destinations, const int* destweights, Info* info, int,
                               Comm** comm_dist_graph) {
  constexpr const char* kName = "MPI_Dist_graph_create_adjacent";
  if (comm_old == nullptr || comm_old->is_inter) return raise(comm_old, abi::ERR_COMM, kName);
  if (indegree < 0 || outdegree < 0) return raise(comm_old, abi::ERR_ARG, kName);
  int error = create(comm_old, comm_dist_graph, [&](Call& call, uint64_t* lower_comm) {
    ops::Dist_graph_create_adjacent block{comm_old->lower, indegree, sources, sourceweights, outdegree, destinations,
                                          destweights, lower(info), 0, 0};  // edges are told in ranks of comm_old: they must stay
    return cross_create(call, GeneratedOp::Dist_graph_create_adjacent, block,
                        &ops::Dist_graph_create_adjacent::comm_dist_graph, lower_comm);
  });
  if (error == 0 && *comm_dist_graph != nullptr) {
    set_topology(*comm_dist_graph, abi::DIST_GRAPH,
                 make_dist_graph(indegree, sources, weights_or_none(sourceweights), outdegree, destinations,
                                 weights_or_none(destweights), is_weighted(sourceweights)));
  }
  return raised(comm_old, error, kName);
}

}  // namespace mana::upper
