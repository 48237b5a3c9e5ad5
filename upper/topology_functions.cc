// SPDX-License-Identifier: BSD-3-Clause
// MPI 5.0, 8.5: what is asked about topologies.  All read only: no protection against a checkpoint is needed.
#include "upper/errors.h"
#include "upper/text.h"
#include "upper/topology.h"
#include "mpi_wrappers/upper_api.h"

namespace mana::upper {

namespace {

// The comm's topology if it is of this kind; else *error says what is wrong.
template <class Topology>
const Topology* topology_of(const Comm* comm, int32_t kind, int* error) {
  *error = !comm ? abi::ERR_COMM : comm->topology != kind ? abi::ERR_TOPOLOGY : abi::SUCCESS;
  return *error ? nullptr : static_cast<const Topology*>(comm->topology_data);
}
const CartTopology* cart_of(const Comm* comm, int* error) { return topology_of<CartTopology>(comm, abi::CART, error); }
const GraphTopology* graph_of(const Comm* comm, int* error) {
  return topology_of<GraphTopology>(comm, abi::GRAPH, error);
}
const DistGraphTopology* dist_of(const Comm* comm, int* error) {
  return topology_of<DistGraphTopology>(comm, abi::DIST_GRAPH, error);
}

int smaller(int a, int b) { return a < b ? a : b; }

void copy_ints(int* to, const int32_t* from, int count) {
  if (count > 0) copy_bytes(to, from, sizeof(int) * static_cast<size_t>(count));
}

}  // namespace

int Topo_test(Comm* comm, int* status) {
  if (!comm) return raise(abi::ERR_COMM, "MPI_Topo_test");
  *status = comm->topology ? comm->topology : abi::UNDEFINED;
  return abi::SUCCESS;
}

int Cartdim_get(Comm* comm, int* ndims) {
  int error;
  const CartTopology* cart = cart_of(comm, &error);
  if (error) return raise(comm, error, "MPI_Cartdim_get");
  *ndims = cart->dimensions;
  return abi::SUCCESS;
}

int Cart_get(Comm* comm, int maxdims, int* dims, int* periods, int* coords) {
  int error;
  const CartTopology* cart = cart_of(comm, &error);
  if (!error && maxdims < cart->dimensions) error = abi::ERR_ARG;
  if (error) return raise(comm, error, "MPI_Cart_get");
  copy_ints(dims, cart->sizes, cart->dimensions);
  copy_ints(periods, cart->periodic, cart->dimensions);
  copy_ints(coords, cart->coordinates, cart->dimensions);
  return abi::SUCCESS;
}

int Cart_rank(Comm* comm, const int* coords, int* rank) {
  int error;
  const CartTopology* cart = cart_of(comm, &error);
  const int found = error ? 0 : cart_rank(cart, coords);
  if (!error && found < 0) error = abi::ERR_ARG;
  if (error) return raise(comm, error, "MPI_Cart_rank");
  *rank = found;
  return abi::SUCCESS;
}

int Cart_coords(Comm* comm, int rank, int maxdims, int* coords) {
  int error;
  const CartTopology* cart = cart_of(comm, &error);
  if (!error && (rank < 0 || rank >= comm->size)) error = abi::ERR_RANK;
  if (!error && maxdims < cart->dimensions) error = abi::ERR_ARG;
  if (error) return raise(comm, error, "MPI_Cart_coords");
  cart_coordinates(cart, rank, coords);
  return abi::SUCCESS;
}

int Cart_shift(Comm* comm, int direction, int disp, int* rank_source, int* rank_dest) {
  int error;
  const CartTopology* cart = cart_of(comm, &error);
  if (!error && (direction < 0 || direction >= cart->dimensions)) error = abi::ERR_ARG;
  if (error) return raise(comm, error, "MPI_Cart_shift");
  cart_shift(cart, comm->rank, direction, disp, rank_source, rank_dest);
  return abi::SUCCESS;
}

// Ranks are never reordered: who has a place keeps its rank.
int Cart_map(Comm* comm, int ndims, const int* dims, const int*, int* newrank) {
  if (!comm) return raise(abi::ERR_COMM, "MPI_Cart_map");
  if (int error = check_cart(ndims, dims, comm->size)) return raise(comm, error, "MPI_Cart_map");
  int nodes = 1;
  for (int d = 0; d < ndims; ++d) nodes *= dims[d];
  *newrank = comm->rank < nodes ? comm->rank : abi::UNDEFINED;
  return abi::SUCCESS;
}

int Graph_map(Comm* comm, int nnodes, const int* index, const int* edges, int* newrank) {
  if (!comm) return raise(abi::ERR_COMM, "MPI_Graph_map");
  if (int error = nnodes < 1 ? abi::ERR_ARG : check_graph(nnodes, index, edges, comm->size)) {
    return raise(comm, error, "MPI_Graph_map");
  }
  *newrank = comm->rank < nnodes ? comm->rank : abi::UNDEFINED;
  return abi::SUCCESS;
}

int Graphdims_get(Comm* comm, int* nnodes, int* nedges) {
  int error;
  const GraphTopology* graph = graph_of(comm, &error);
  if (error) return raise(comm, error, "MPI_Graphdims_get");
  *nnodes = graph->nodes;
  *nedges = graph->edge_count;
  return abi::SUCCESS;
}

int Graph_get(Comm* comm, int maxindex, int maxedges, int* index, int* edges) {
  int error;
  const GraphTopology* graph = graph_of(comm, &error);
  if (!error && (maxindex < graph->nodes || maxedges < graph->edge_count)) error = abi::ERR_ARG;
  if (error) return raise(comm, error, "MPI_Graph_get");
  copy_ints(index, graph->index, graph->nodes);
  copy_ints(edges, graph->edges, graph->edge_count);
  return abi::SUCCESS;
}

int Graph_neighbors_count(Comm* comm, int rank, int* nneighbors) {
  int error;
  const GraphTopology* graph = graph_of(comm, &error);
  if (!error && (rank < 0 || rank >= graph->nodes)) error = abi::ERR_RANK;
  if (error) return raise(comm, error, "MPI_Graph_neighbors_count");
  *nneighbors = graph->index[rank] - (rank > 0 ? graph->index[rank - 1] : 0);
  return abi::SUCCESS;
}

int Graph_neighbors(Comm* comm, int rank, int maxneighbors, int* neighbors) {
  int error;
  const GraphTopology* graph = graph_of(comm, &error);
  if (!error && (rank < 0 || rank >= graph->nodes)) error = abi::ERR_RANK;
  const int first = error || rank == 0 ? 0 : graph->index[rank - 1];
  const int count = error ? 0 : graph->index[rank] - first;
  if (!error && maxneighbors < count) error = abi::ERR_ARG;
  if (error) return raise(comm, error, "MPI_Graph_neighbors");
  copy_ints(neighbors, graph->edges + first, count);
  return abi::SUCCESS;
}

int Dist_graph_neighbors_count(Comm* comm, int* indegree, int* outdegree, int* weighted) {
  int error;
  const DistGraphTopology* graph = dist_of(comm, &error);
  if (error) return raise(comm, error, "MPI_Dist_graph_neighbors_count");
  *indegree = graph->indegree;
  *outdegree = graph->outdegree;
  *weighted = graph->weighted;
  return abi::SUCCESS;
}

int Dist_graph_neighbors(Comm* comm, int maxindegree, int* sources, int* sourceweights, int maxoutdegree,
                         int* destinations, int* destweights) {
  int error;
  const DistGraphTopology* graph = dist_of(comm, &error);
  if (!error && (maxindegree < 0 || maxoutdegree < 0)) error = abi::ERR_ARG;
  if (error) return raise(comm, error, "MPI_Dist_graph_neighbors");
  const int in = smaller(maxindegree, graph->indegree), out = smaller(maxoutdegree, graph->outdegree);
  const auto* unweighted = reinterpret_cast<const int*>(uintptr_t{abi::UNWEIGHTED});
  copy_ints(sources, graph->sources, in);
  copy_ints(destinations, graph->destinations, out);
  if (graph->weighted) {
    if (sourceweights != unweighted) copy_ints(sourceweights, graph->source_weights, in);
    if (destweights != unweighted) copy_ints(destweights, graph->destination_weights, out);
  }
  return abi::SUCCESS;
}

}  // namespace mana::upper
