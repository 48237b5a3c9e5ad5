// SPDX-License-Identifier: BSD-3-Clause
// Topologies that communicators carry.  Making a communicator with one is collective (comm.cc); everything asked about it
// is answered here.  Comm::topology_data points to the structure that Comm::topology names.
#pragma once

#include <cstdint>

#include "upper/objects.h"

namespace mana::upper {

struct CartTopology {
  int32_t dimensions;
  int32_t nodes;          // product of sizes; 1 for no dimensions
  int32_t* sizes;
  int32_t* periodic;      // 0 or 1
  int32_t* coordinates;   // of this rank
};
struct GraphTopology {
  int32_t nodes, edge_count;
  int32_t* index;         // as in MPI_Graph_create
  int32_t* edges;
};
struct DistGraphTopology {
  int32_t indegree, outdegree, weighted;
  int32_t* sources;
  int32_t* source_weights;        // null when not weighted
  int32_t* destinations;
  int32_t* destination_weights;
};

// Each copies its arguments; all checks of the arguments are done by check_*.
CartTopology* make_cart(int32_t dimensions, const int32_t* sizes, const int32_t* periodic, int32_t rank);
GraphTopology* make_graph(int32_t nodes, const int32_t* index, const int32_t* edges);
DistGraphTopology* make_dist_graph(int32_t indegree, const int32_t* sources, const int32_t* source_weights,
                                   int32_t outdegree, const int32_t* destinations,
                                   const int32_t* destination_weights, bool weighted);
int check_cart(int32_t dimensions, const int32_t* sizes, int32_t comm_size);             // 0 or error class
int check_graph(int32_t nodes, const int32_t* index, const int32_t* edges, int32_t comm_size);
void set_topology(Comm* comm, int32_t kind, void* data);  // takes data over
void copy_topology(const Comm* from, Comm* to);           // MPI_Comm_dup
void free_topology(Comm* comm);

// MPI_Cart_sub is a split of `comm`: colour and key of this rank, and the topology of its part.
CartTopology* cart_sub(const Comm* comm, const int32_t* remain, int32_t* colour, int32_t* key);

int32_t cart_rank(const CartTopology* cart, const int32_t* coordinates);  // wraps periodic ones; -1: out of range
void cart_coordinates(const CartTopology* cart, int32_t rank, int32_t* coordinates);
void cart_shift(const CartTopology* cart, int32_t rank, int32_t direction, int32_t displacement, int32_t* source,
                int32_t* destination);

// Ranks that neighbourhood collectives receive from and send to, in the standard's order, abi::PROC_NULL included.
void neighbour_counts(const Comm* comm, int32_t* sources, int32_t* destinations);
void neighbours(const Comm* comm, int32_t* sources, int32_t* destinations);

}  // namespace mana::upper
