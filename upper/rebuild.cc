// SPDX-License-Identifier: BSD-3-Clause
// After a restart: the lower half is new, every `lower` word is of the old one.  Runs on the service thread of every rank,
// before any code of the application; all ranks are in here, so blocking calls of the lower half may be used.
//
// Order of communicators.  Making one is collective over its members, so any two ranks must make those they share in the same
// order.  Uids are equal at all members and unique: every rank goes by ascending uid.  That cannot block: of all communicators not yet
// made, the one with the lowest uid is the next of each of its members.  Nothing depends on parents, because each is made from
// world ranks.
//
// Pending receives are posted again in the order in which the application posted them; messages in the queue match none of
// them (queue.h).  Then all ranks meet, so that a ready send finds its receive posted.
#include "mpi_wrappers/generated_calls.h"
#include "upper/comm.h"
#include "upper/datatype.h"
#include "upper/drain.h"
#include "upper/drain_synchronous.h"
#include "upper/env.h"
#include "upper/init.h"
#include "upper/p2p_self.h"
#include "upper/text.h"
#include "upper/topology.h"

namespace mana::upper {

namespace {

constexpr int32_t kBridgeTag = 17;

uint32_t op(GeneratedOp which) { return static_cast<uint32_t>(which); }

int32_t tag_of(uint64_t uid) { return static_cast<int32_t>(uid & 0x3fff); }

int make_from_ranks(Call& call, const int32_t* ranks, int32_t count, uint64_t uid, uint64_t* made) {
  core::CommFromRanks block{ranks, count, tag_of(uid), 0};
  int error = call.cross(CoreOp::comm_from_ranks, &block);
  *made = block.comm;
  return error;
}

void free_lower(Call& call, uint64_t comm) {
  core::CommFree block{comm};
  call.cross(CoreOp::comm_free, &block);
}

// The lowest rank of each group leads; the group with the lowest member of all comes first.
int make_inter(Call& call, Comm* comm) {
  uint64_t local = 0;
  int error = make_from_ranks(call, comm->world_ranks, comm->size, comm->counter->uid, &local);
  if (error != 0) return error;
  ops::Intercomm_create block{local, 0, world.private_comm, comm->remote_world_ranks[0], kBridgeTag, 0};
  error = call.cross(op(GeneratedOp::Intercomm_create), &block);
  comm->lower = block.newintercomm;
  free_lower(call, local);
  return error;
}

int add_cart(Call& call, uint64_t plain, const CartTopology* t, uint64_t* made) {
  ops::Cart_create block{plain, t->dimensions, t->sizes, t->periodic, 0, 0};
  int error = call.cross(op(GeneratedOp::Cart_create), &block);
  *made = block.comm_cart;
  return error;
}

int add_graph(Call& call, uint64_t plain, const GraphTopology* t, uint64_t* made) {
  ops::Graph_create block{plain, t->nodes, t->index, t->edges, 0, 0};
  int error = call.cross(op(GeneratedOp::Graph_create), &block);
  *made = block.comm_graph;
  return error;
}

int add_dist_graph(Call& call, uint64_t plain, const DistGraphTopology* t, uint64_t* made) {
  auto* unweighted = reinterpret_cast<const int32_t*>(static_cast<intptr_t>(abi::UNWEIGHTED));
  auto* empty = reinterpret_cast<const int32_t*>(static_cast<intptr_t>(abi::WEIGHTS_EMPTY));
  auto weights = [&](const int32_t* given) { return !t->weighted ? unweighted : given != nullptr ? given : empty; };
  int32_t nobody = 0;
  ops::Dist_graph_create_adjacent block{plain,
                                        t->indegree,
                                        t->indegree > 0 ? t->sources : &nobody,
                                        weights(t->indegree > 0 ? t->source_weights : nullptr),
                                        t->outdegree,
                                        t->outdegree > 0 ? t->destinations : &nobody,
                                        weights(t->outdegree > 0 ? t->destination_weights : nullptr),
                                        0,
                                        0,
                                        0};
  int error = call.cross(op(GeneratedOp::Dist_graph_create_adjacent), &block);
  *made = block.comm_dist_graph;
  return error;
}

int make_intra(Call& call, Comm* comm) {
  uint64_t uid = comm->counter != nullptr ? comm->counter->uid : 0;
  uint64_t plain = 0;
  int error = make_from_ranks(call, comm->world_ranks, comm->size, uid, &plain);
  if (error != 0 || comm->topology == 0) {
    comm->lower = plain;
    return error;
  }
  switch (comm->topology) {
    case abi::CART:
      error = add_cart(call, plain, static_cast<const CartTopology*>(comm->topology_data), &comm->lower);
      break;
    case abi::GRAPH:
      error = add_graph(call, plain, static_cast<const GraphTopology*>(comm->topology_data), &comm->lower);
      break;
    default:
      error = add_dist_graph(call, plain, static_cast<const DistGraphTopology*>(comm->topology_data), &comm->lower);
  }
  free_lower(call, plain);
  return error;
}

uint64_t uid_of(const Comm* comm) { return comm->counter != nullptr ? comm->counter->uid : 0; }

// Heap sort: in place, no recursion.
void sort_by_uid(Vector<Comm*>& comms) {
  auto sift = [&](int64_t root, int64_t end) {
    for (int64_t child; (child = 2 * root + 1) < end; root = child) {
      if (child + 1 < end && uid_of(comms[child]) < uid_of(comms[child + 1])) ++child;
      if (uid_of(comms[root]) >= uid_of(comms[child])) return;
      Comm* swapped = comms[root];
      comms[root] = comms[child];
      comms[child] = swapped;
    }
  };
  for (int64_t root = comms.size / 2; root-- > 0;) sift(root, comms.size);
  for (int64_t end = comms.size; end-- > 1;) {
    Comm* last = comms[end];
    comms[end] = comms[0];
    comms[0] = last;
    sift(0, end);
  }
}

int resolve_predefined(Call& call, Comm* comm) {
  core::Resolve block{comm->constant, 0};
  int error = call.cross(CoreOp::resolve, &block);
  comm->lower = block.lower;
  return error;
}

// Those that the application has freed are not made again: all their messages have been received, and the others have
// counted the same end.  A receive still pending on one can only be cancelled; it waits above.
int make_comms(Call& call, ServiceCall* what) {
  Vector<Comm*> comms = {};
  int error = 0;
  for (Comm* comm = live_comms.first; comm != nullptr; comm = comm->next) {
    comm->lower = 0;
    comm->farewell = 0;
    if (comm->constant != 0) {
      error = error != 0 ? error : resolve_predefined(call, comm);
    } else if (comm->handle_freed == 0) {
      comms.push(comm);
    }
  }
  learn_world(call);
  sort_by_uid(comms);
  for (int64_t i = 0; i < comms.size && error == 0; ++i) {
    error = comms[i]->is_inter ? make_inter(call, comms[i]) : make_intra(call, comms[i]);
    if (error != 0) {
      Text text;
      text.add("communicator ").add(comms[i]->name).add(" of ").add(comms[i]->size).add(" ranks");
      copy_text(what->detail, text.c_str(), sizeof what->detail);
    }
  }
  comms.free();
  return error;
}

int post_receives_again(Call& call, ServiceCall* what) {
  for (Request* r = active_requests.first; r != nullptr; r = r->next) {
    r->lower = 0;
    r->busy = 0;
    if (r->what != Request::What::recv || r->complete || r->comm->lower == 0) continue;
    if (is_self(r->comm, r->peer)) continue;  // never handed down
    int error = post_again(call, r);
    if (error == 0) continue;
    Text text;
    text.add("receive from ").add(r->peer).add(" with tag ").add(r->tag);
    copy_text(what->detail, text.c_str(), sizeof what->detail);
    return error;
  }
  return 0;
}

int check_facts(Call& call, ServiceCall* what) {
  core::Init facts{};
  facts.required = upper_interface.thread_level;
  int error = call.cross(CoreOp::init, &facts);
  if (error != 0) return error;
  set_environment(facts, true);
  if (facts.tag_ub < world.tag_ub) {
    Text text;
    text.add("MPI_TAG_UB is ").add(facts.tag_ub).add(" here, the application was told ").add(world.tag_ub);
    copy_text(what->detail, text.c_str(), sizeof what->detail);
    return abi::ERR_TAG;
  }
  if (facts.provided < upper_interface.thread_level) {
    copy_text(what->detail, "this MPI grants a lower thread level than the application was granted",
              sizeof what->detail);
    return abi::ERR_OTHER;
  }
  return 0;
}

}  // namespace

void rebuild(Call& call, ServiceCall* what) {
  forget_lower_handles();
  forget_notes_under_way();
  what->error = check_facts(call, what);
  if (what->error == 0) what->error = make_comms(call, what);
  if (what->error == 0) what->error = post_receives_again(call, what);
  if (what->error == 0) {
    ops::Barrier block{world.private_comm};
    what->error = call.cross(op(GeneratedOp::Barrier), &block);
  }
  ServiceCall over{};
  resume(call, &over);
  what->done = what->error == 0;
}

}  // namespace mana::upper
