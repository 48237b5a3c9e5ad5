// SPDX-License-Identifier: BSD-3-Clause
#include "upper/topology.h"

#include "upper/abi.h"
#include "upper/memory.h"
#include "upper/text.h"

namespace mana::upper {

namespace {

int32_t* copy_ranks(const int32_t* from, int32_t count) {
  auto* copy = allocate_array<int32_t>(count);
  copy_bytes(copy, from, sizeof(int32_t) * static_cast<size_t>(count));
  return copy;
}

const CartTopology* cart_of(const Comm* comm) { return static_cast<const CartTopology*>(comm->topology_data); }
const GraphTopology* graph_of(const Comm* comm) { return static_cast<const GraphTopology*>(comm->topology_data); }
const DistGraphTopology* dist_of(const Comm* comm) {
  return static_cast<const DistGraphTopology*>(comm->topology_data);
}

}  // namespace

CartTopology* make_cart(int32_t dimensions, const int32_t* sizes, const int32_t* periodic, int32_t rank) {
  auto* cart = make_zeroed<CartTopology>();
  cart->dimensions = dimensions;
  cart->sizes = copy_ranks(sizes, dimensions);
  cart->periodic = copy_ranks(periodic, dimensions);
  cart->coordinates = allocate_array<int32_t>(dimensions);
  cart->nodes = 1;
  for (int32_t d = 0; d < dimensions; ++d) {
    cart->nodes *= sizes[d];
    cart->periodic[d] = periodic[d] != 0;
  }
  cart_coordinates(cart, rank, cart->coordinates);
  return cart;
}

GraphTopology* make_graph(int32_t nodes, const int32_t* index, const int32_t* edges) {
  auto* graph = make_zeroed<GraphTopology>();
  graph->nodes = nodes;
  graph->edge_count = nodes > 0 ? index[nodes - 1] : 0;
  graph->index = copy_ranks(index, nodes);
  graph->edges = copy_ranks(edges, graph->edge_count);
  return graph;
}

DistGraphTopology* make_dist_graph(int32_t indegree, const int32_t* sources, const int32_t* source_weights,
                                   int32_t outdegree, const int32_t* destinations,
                                   const int32_t* destination_weights, bool weighted) {
  auto* graph = make_zeroed<DistGraphTopology>();
  graph->indegree = indegree;
  graph->outdegree = outdegree;
  graph->weighted = weighted;
  graph->sources = copy_ranks(sources, indegree);
  graph->destinations = copy_ranks(destinations, outdegree);
  // MPI_WEIGHTS_EMPTY stands for the weights of no edges: there is nothing to read then.
  if (weighted) {
    graph->source_weights = copy_ranks(source_weights, indegree);
    graph->destination_weights = copy_ranks(destination_weights, outdegree);
  }
  return graph;
}

int check_cart(int32_t dimensions, const int32_t* sizes, int32_t comm_size) {
  if (dimensions < 0) return abi::ERR_DIMS;
  int64_t nodes = 1;
  for (int32_t d = 0; d < dimensions; ++d) {
    if (sizes[d] <= 0) return abi::ERR_DIMS;
    nodes *= sizes[d];
    if (nodes > comm_size) return abi::ERR_DIMS;
  }
  return nodes > comm_size ? abi::ERR_DIMS : abi::SUCCESS;
}

int check_graph(int32_t nodes, const int32_t* index, const int32_t* edges, int32_t comm_size) {
  if (nodes < 0 || nodes > comm_size) return abi::ERR_ARG;
  int32_t before = 0;
  for (int32_t node = 0; node < nodes; ++node) {
    if (index[node] < before) return abi::ERR_ARG;
    before = index[node];
  }
  for (int32_t edge = 0; edge < before; ++edge) {
    if (edges[edge] < 0 || edges[edge] >= nodes) return abi::ERR_ARG;
  }
  return abi::SUCCESS;
}

void set_topology(Comm* comm, int32_t kind, void* data) {
  comm->topology = kind;
  comm->topology_data = data;
}

void copy_topology(const Comm* from, Comm* to) {
  void* data = nullptr;
  if (from->topology == abi::CART) {
    const CartTopology* cart = cart_of(from);
    data = make_cart(cart->dimensions, cart->sizes, cart->periodic, to->rank);
  } else if (from->topology == abi::GRAPH) {
    const GraphTopology* graph = graph_of(from);
    data = make_graph(graph->nodes, graph->index, graph->edges);
  } else if (from->topology == abi::DIST_GRAPH) {
    const DistGraphTopology* graph = dist_of(from);
    data = make_dist_graph(graph->indegree, graph->sources, graph->source_weights, graph->outdegree,
                           graph->destinations, graph->destination_weights, graph->weighted != 0);
  }
  set_topology(to, from->topology, data);
}

void free_topology(Comm* comm) {
  if (comm->topology == abi::CART) {
    const CartTopology* cart = cart_of(comm);
    for (int32_t* array : {cart->sizes, cart->periodic, cart->coordinates}) deallocate(array);
  } else if (comm->topology == abi::GRAPH) {
    const GraphTopology* graph = graph_of(comm);
    for (int32_t* array : {graph->index, graph->edges}) deallocate(array);
  } else if (comm->topology == abi::DIST_GRAPH) {
    const DistGraphTopology* graph = dist_of(comm);
    for (int32_t* array : {graph->sources, graph->source_weights, graph->destinations, graph->destination_weights}) {
      deallocate(array);
    }
  }
  deallocate(comm->topology_data);
  set_topology(comm, 0, nullptr);
}

CartTopology* cart_sub(const Comm* comm, const int32_t* remain, int32_t* colour, int32_t* key) {
  const CartTopology* cart = cart_of(comm);
  auto* sizes = allocate_array<int32_t>(cart->dimensions);
  auto* periodic = allocate_array<int32_t>(cart->dimensions);
  int32_t kept = 0;
  *colour = *key = 0;
  for (int32_t d = 0; d < cart->dimensions; ++d) {
    int32_t* number = remain[d] ? key : colour;  // ranks of a part follow the kept dimensions, row-major
    *number = *number * cart->sizes[d] + cart->coordinates[d];
    if (!remain[d]) continue;
    sizes[kept] = cart->sizes[d];
    periodic[kept++] = cart->periodic[d];
  }
  CartTopology* part = make_cart(kept, sizes, periodic, *key);
  deallocate(sizes);
  deallocate(periodic);
  return part;
}

int32_t cart_rank(const CartTopology* cart, const int32_t* coordinates) {
  int32_t rank = 0;
  for (int32_t d = 0; d < cart->dimensions; ++d) {
    const int32_t size = cart->sizes[d];
    int32_t at = coordinates[d];
    if (at < 0 || at >= size) {
      if (!cart->periodic[d]) return -1;
      at %= size;
      if (at < 0) at += size;
    }
    rank = rank * size + at;
  }
  return rank;
}

void cart_coordinates(const CartTopology* cart, int32_t rank, int32_t* coordinates) {
  for (int32_t d = cart->dimensions - 1; d >= 0; --d) {
    coordinates[d] = rank % cart->sizes[d];
    rank /= cart->sizes[d];
  }
}

namespace {

// The rank `displacement` away from `rank` in one direction.
int32_t cart_neighbour(const CartTopology* cart, int32_t rank, int32_t direction, int64_t displacement) {
  int64_t below = 1;  // ranks from one coordinate to the next
  for (int32_t d = cart->dimensions - 1; d > direction; --d) below *= cart->sizes[d];
  const int64_t size = cart->sizes[direction], at = rank / below % size;
  int64_t there = at + displacement;
  if (there < 0 || there >= size) {
    if (!cart->periodic[direction]) return abi::PROC_NULL;
    there = (there % size + size) % size;
  }
  return static_cast<int32_t>(rank + (there - at) * below);
}

}  // namespace

void cart_shift(const CartTopology* cart, int32_t rank, int32_t direction, int32_t displacement, int32_t* source,
                int32_t* destination) {
  *source = cart_neighbour(cart, rank, direction, -int64_t{displacement});
  *destination = cart_neighbour(cart, rank, direction, displacement);
}

void neighbour_counts(const Comm* comm, int32_t* sources, int32_t* destinations) {
  *sources = *destinations = 0;
  if (comm->topology == abi::CART) {
    *sources = *destinations = 2 * cart_of(comm)->dimensions;
  } else if (comm->topology == abi::GRAPH) {
    const GraphTopology* graph = graph_of(comm);
    *sources = *destinations = graph->index[comm->rank] - (comm->rank > 0 ? graph->index[comm->rank - 1] : 0);
  } else if (comm->topology == abi::DIST_GRAPH) {
    *sources = dist_of(comm)->indegree;
    *destinations = dist_of(comm)->outdegree;
  }
}

void neighbours(const Comm* comm, int32_t* sources, int32_t* destinations) {
  if (comm->topology == abi::CART) {
    const CartTopology* cart = cart_of(comm);
    for (int32_t d = 0; d < cart->dimensions; ++d) {  // per dimension: the one below, the one above
      cart_shift(cart, comm->rank, d, 1, &sources[2 * d], &sources[2 * d + 1]);
    }
    copy_bytes(destinations, sources, sizeof(int32_t) * 2 * static_cast<size_t>(cart->dimensions));
  } else if (comm->topology == abi::GRAPH) {
    const GraphTopology* graph = graph_of(comm);
    const int32_t first = comm->rank > 0 ? graph->index[comm->rank - 1] : 0;
    const auto bytes = sizeof(int32_t) * static_cast<size_t>(graph->index[comm->rank] - first);
    copy_bytes(sources, graph->edges + first, bytes);
    copy_bytes(destinations, graph->edges + first, bytes);
  } else if (comm->topology == abi::DIST_GRAPH) {
    const DistGraphTopology* graph = dist_of(comm);
    copy_bytes(sources, graph->sources, sizeof(int32_t) * static_cast<size_t>(graph->indegree));
    copy_bytes(destinations, graph->destinations, sizeof(int32_t) * static_cast<size_t>(graph->outdegree));
  }
}

}  // namespace mana::upper
