// SPDX-License-Identifier: BSD-3-Clause
// MPI_Dims_create (MPI 5.0, 8.5.2): dimensions as close to each other as possible, in non-increasing order.  "Close" is taken as: the
// smallest difference between the largest and the smallest; of those, the largest smallest one (as MPICH has it).
#include "upper/containers.h"
#include "upper/errors.h"
#include "upper/guarded.h"
#include "upper/topology.h"
#include "mpi_wrappers/upper_api.h"

namespace mana::upper {

namespace {

constexpr int kMostDimensions = 32;  // beyond these only ones are left: 2^31 has 31 factors

struct Search {
  int best[kMostDimensions];
  int current[kMostDimensions];
  int dimensions;
  int64_t best_difference = INT64_MAX;
  const int* divisors;
  int64_t divisor_count;

  // Chooses dimension `at`, at most `limit`, so that the rest can still multiply to `left`.
  void choose(int at, int left, int limit) {
    if (at == dimensions - 1) {
      if (left > limit) return;
      current[at] = left;
      const int64_t difference = int64_t{current[0]} - left;
      if (difference > best_difference || (difference == best_difference && current[0] <= best[0])) return;
      best_difference = difference;
      for (int d = 0; d < dimensions; ++d) best[d] = current[d];
      return;
    }
    for (int64_t index = 0; index < divisor_count && divisors[index] <= limit; ++index) {
      const int size = divisors[index];
      if (left % size != 0 || !can_reach(size, dimensions - at, left)) continue;
      // The last one is at most the rest's root, so the difference can only shrink so far.
      if (at == 0 && size - root_at_least(left, dimensions) > best_difference) break;
      current[at] = size;
      choose(at + 1, left / size, size);
    }
  }

  // size^count >= left?
  static bool can_reach(int64_t size, int count, int64_t left) {
    int64_t product = 1;
    for (int d = 0; d < count && product < left; ++d) product *= size;
    return product >= left;
  }
  static int64_t root_at_least(int64_t value, int count) {
    int64_t root = 1;
    while (!can_reach(root, count, value)) ++root;
    return root;
  }
};

void balance(int nodes, int dimensions, int* result) {
  Vector<int> divisors{};
  for (int64_t d = 1; d * d <= nodes; ++d) {
    if (nodes % d == 0) divisors.push(static_cast<int>(d));
  }
  for (int64_t index = divisors.size - 1; index >= 0; --index) {
    const int other = nodes / divisors[index];
    if (other != divisors[index]) divisors.push(other);
  }
  Search search;
  search.dimensions = dimensions < kMostDimensions ? dimensions : kMostDimensions;
  search.divisors = divisors.items;
  search.divisor_count = divisors.size;
  search.best[0] = 0;
  search.choose(0, nodes, nodes);
  for (int d = 0; d < dimensions; ++d) result[d] = d < search.dimensions ? search.best[d] : 1;
  divisors.free();
}

}  // namespace

int Dims_create(int nnodes, int ndims, int* dims) {
  return guarded("MPI_Dims_create", [&]() -> int {
    if (nnodes < 1 || ndims < 0) return ndims < 0 ? abi::ERR_DIMS : abi::ERR_ARG;
    int left = nnodes, open = 0;
    for (int d = 0; d < ndims; ++d) {
      if (dims[d] < 0) return abi::ERR_DIMS;
      if (dims[d] == 0) {
        ++open;
      } else if (left % dims[d] != 0) {
        return abi::ERR_DIMS;
      } else {
        left /= dims[d];
      }
    }
    if (open == 0) return left == 1 ? abi::SUCCESS : abi::ERR_DIMS;
    Scratch<int> chosen(open);
    balance(left, open, chosen.get());
    for (int d = 0, next = 0; d < ndims; ++d) {
      if (dims[d] == 0) dims[d] = chosen[next++];
    }
    return abi::SUCCESS;
  });
}

}  // namespace mana::upper
