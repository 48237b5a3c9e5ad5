// SPDX-License-Identifier: BSD-3-Clause
// MPI_Dist_graph_create (MPI 5.0, 8.5.4): any process may name any edge, so the edges are brought to where they end first; then
// the lower communicator is made in the adjacent form, which is also how a restart makes it again.
#include "mpi_wrappers/generated_calls.h"
#include "mpi_wrappers/upper_api.h"
#include "upper/collective.h"
#include "upper/comm.h"
#include "upper/errors.h"
#include "upper/info.h"
#include "upper/topology.h"

namespace mana::upper {

namespace {

struct Edge {
  int32_t source, destination, weight;
};

constexpr int32_t kInts = sizeof(Edge) / sizeof(int32_t);

// Everybody's edges, in rank order; inside the collective.  Returns 0 or an error class.
int gather_edges(Call& call, Comm* comm, const Vector<Edge>& mine, Vector<Edge>* all) {
  uint64_t type = lower(predefined_type(abi::INT32_T));
  Scratch<int32_t> counts(comm->size), displacements(comm->size);
  int32_t own = static_cast<int32_t>(mine.size) * kInts;
  ops::Allgather sizes{&own, 1, type, counts.get(), 1, type, comm->lower};
  int error = call.cross_waiting(static_cast<uint32_t>(GeneratedOp::Allgather), &sizes);
  if (error != 0) return error;
  int32_t total = 0;
  for (int32_t i = 0; i < comm->size; ++i) {
    displacements[i] = total;
    total += counts[i];
  }
  all->reserve(total / kInts + 1);
  all->size = total / kInts;
  ops::Allgatherv edges{};
  edges.sendbuf = mine.items;
  edges.sendcount = own;
  edges.sendtype = edges.recvtype = type;
  edges.recvbuf = all->items;
  edges.recvcounts = counts.get();
  edges.displs = displacements.get();
  edges.recvcounts_width = edges.displs_width = 4;
  edges.recvcounts_length = edges.displs_length = comm->size;
  edges.comm = comm->lower;
  return call.cross_waiting(static_cast<uint32_t>(GeneratedOp::Allgatherv), &edges);
}

struct Neighbourhood {
  Vector<int32_t> sources, source_weights, destinations, destination_weights;
  bool weighted;

  void collect(const Vector<Edge>& edges, int32_t rank) {
    for (const Edge& edge : edges) {
      if (edge.destination == rank) sources.push(edge.source), source_weights.push(edge.weight);
      if (edge.source == rank) destinations.push(edge.destination), destination_weights.push(edge.weight);
    }
    // An empty array still has an address: null means something else to the library.
    for (Vector<int32_t>* v : {&sources, &source_weights, &destinations, &destination_weights}) v->reserve(1);
  }
  void free() {
    for (Vector<int32_t>* v : {&sources, &source_weights, &destinations, &destination_weights}) v->free();
  }
};

int make_adjacent(Call& call, Comm* comm, const Neighbourhood& n, Info* info, uint64_t* made) {
  auto* unweighted = reinterpret_cast<const int32_t*>(static_cast<intptr_t>(abi::UNWEIGHTED));
  ops::Dist_graph_create_adjacent block{comm->lower,
                                        static_cast<int32_t>(n.sources.size),
                                        n.sources.items,
                                        n.weighted ? n.source_weights.items : unweighted,
                                        static_cast<int32_t>(n.destinations.size),
                                        n.destinations.items,
                                        n.weighted ? n.destination_weights.items : unweighted,
                                        lower(info),
                                        0,
                                        0};
  int error = call.cross_waiting(static_cast<uint32_t>(GeneratedOp::Dist_graph_create_adjacent), &block);
  *made = block.comm_dist_graph;
  return error;
}

int check_edges(const Comm* comm, int n, const int* sources, const int* degrees, const int* destinations) {
  if (n < 0) return abi::ERR_ARG;
  int64_t at = 0;
  for (int i = 0; i < n; ++i) {
    if (sources[i] < 0 || sources[i] >= comm->size || degrees[i] < 0) return abi::ERR_ARG;
    for (int k = 0; k < degrees[i]; ++k, ++at) {
      if (destinations[at] < 0 || destinations[at] >= comm->size) return abi::ERR_ARG;
    }
  }
  return 0;
}

}  // namespace

int Dist_graph_create(Comm* comm_old, int n, const int* sources, const int* degrees, const int* destinations,
                      const int* weights, Info* info, int, Comm** comm_dist_graph) {
  constexpr const char* kName = "MPI_Dist_graph_create";
  *comm_dist_graph = nullptr;
  if (comm_old == nullptr || comm_old->is_inter) return raise(comm_old, abi::ERR_COMM, kName);
  if (comm_old->foreign) return raise(comm_old, abi::ERR_UNSUPPORTED_OPERATION, kName);  // strangers hear none of our messages
  int error = check_edges(comm_old, n, sources, degrees, destinations);
  if (error != 0) return raise(comm_old, error, kName);
  bool weighted = reinterpret_cast<intptr_t>(weights) != abi::UNWEIGHTED;
  {
    Call call;
    let_go_of_freed(call);
    Vector<Edge> mine = {}, all = {};
    int64_t at = 0;
    for (int i = 0; i < n; ++i) {
      for (int k = 0; k < degrees[i]; ++k, ++at) mine.push({sources[i], destinations[at], weighted ? weights[at] : 0});
    }
    mine.reserve(1);
    Neighbourhood neighbourhood = {};
    neighbourhood.weighted = weighted;
    uint64_t made = 0;
    begin_collective(call, comm_old->counter, true);
    error = gather_edges(call, comm_old, mine, &all);
    if (error == 0) {
      neighbourhood.collect(all, comm_old->rank);
      error = make_adjacent(call, comm_old, neighbourhood, info, &made);
    }
    end_collective(call);
    uint64_t seed = next_child(comm_old);
    if (error == 0) *comm_dist_graph = make_comm(call, made, seed, &error);
    if (*comm_dist_graph != nullptr) {
      if (comm_old->errhandler != nullptr) set_errhandler((*comm_dist_graph)->errhandler, comm_old->errhandler);
      const Neighbourhood& g = neighbourhood;
      set_topology(*comm_dist_graph, abi::DIST_GRAPH,
                   make_dist_graph(static_cast<int32_t>(g.sources.size), g.sources.items, g.source_weights.items,
                                   static_cast<int32_t>(g.destinations.size), g.destinations.items,
                                   g.destination_weights.items, weighted));
    }
    neighbourhood.free();
    mine.free();
    all.free();
  }
  return error == 0 ? 0 : raise(comm_old, error, kName);
}

}  // namespace mana::upper
