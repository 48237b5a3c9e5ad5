// SPDX-License-Identifier: BSD-3-Clause
// Subarrays and distributed arrays, laid out as nested vectors, the fastest dimension innermost.  A part of one
// dimension is some blocks of equal length, equally spaced, and perhaps a shorter one at the end.
#include "upper/containers.h"
#include "upper/datatype.h"
#include "upper/errors.h"
#include "upper/guarded.h"
#include "mpi_wrappers/upper_api.h"

namespace mana::upper {

Datatype* make_array(const Envelope& envelope, Datatype* equivalent, int64_t extent);

namespace {

struct Part1D {
  int64_t start;                          // first index
  int64_t blocks, block_length, spacing;  // whole blocks, `spacing` indices apart
  int64_t remainder;                      // length of a last, shorter block
};

// `type` at each index of the part, where neighbours are `stride` bytes apart; takes the reference to `type` over.
Datatype* along(Datatype* type, const Part1D& part, int64_t stride) {
  Datatype* result;
  if (part.blocks <= 1) {
    const int64_t length = part.blocks * part.block_length + (part.blocks == 0 ? part.remainder : 0);
    if (part.blocks == 1 && part.remainder) {
      const int64_t lengths[] = {part.block_length, part.remainder};
      const int64_t displacements[] = {part.start * stride, (part.start + part.spacing) * stride};
      result = make_hindexed(2, lengths, displacements, type);
    } else {
      const int64_t displacement = part.start * stride;
      result = make_hindexed(1, &length, &displacement, type);
    }
  } else {
    Datatype* whole = make_hvector(part.blocks, part.block_length, part.spacing * stride, type);
    const int64_t count = part.remainder ? 2 : 1;
    const int64_t integers[] = {count, 1, part.remainder};
    const int64_t displacements[] = {part.start * stride, (part.start + part.blocks * part.spacing) * stride};
    Datatype* types[] = {whole, type};
    result = whole ? make_type({abi::COMBINER_STRUCT, count + 1, count, count, integers, displacements, types}) : nullptr;
    if (whole) release(whole);
  }
  release(type);
  return result;
}

// An element of the next dimension: neighbours in it are `stride` bytes apart whatever the part covers.
Datatype* spaced(Datatype* type, int64_t stride) {
  Datatype* result = make_resized(type, 0, stride);
  release(type);
  return result;
}

// Dimension `index` in order of speed, fastest first.
int in_speed_order(int order, int dimensions, int index) {
  return order == abi::ORDER_FORTRAN ? index : dimensions - 1 - index;
}

int build(const Envelope& envelope, int dimensions, int order, const Counts& sizes, const Part1D* parts, Datatype* oldtype,
          Datatype** newtype) {
  int64_t stride = oldtype->extent;
  retain(oldtype);
  Datatype* type = oldtype;
  for (int index = 0; index < dimensions && type; ++index) {
    const int dimension = in_speed_order(order, dimensions, index);
    if (index > 0) type = spaced(type, stride);
    if (type) type = along(type, parts[dimension], stride);
    stride *= sizes[static_cast<size_t>(dimension)];
  }
  *newtype = make_array(envelope, type, stride);
  if (type) release(type);
  return *newtype ? abi::SUCCESS : abi::ERR_NO_MEM;
}

bool valid_order(int order) { return order == abi::ORDER_C || order == abi::ORDER_FORTRAN; }

// Part of one dimension that process `coordinate` of `processes` holds (MPI 5.0, 5.1.4).  False: contradictory arguments.
bool distribute(int64_t size, int distribution, int64_t argument, int64_t processes, int64_t coordinate, Part1D* part) {
  const bool by_default = argument == abi::DISTRIBUTE_DFLT_DARG;
  if (distribution == abi::DISTRIBUTE_NONE) {
    *part = {0, 1, size, size, 0};
    return processes == 1;
  }
  if (!by_default && argument <= 0) return false;
  if (distribution == abi::DISTRIBUTE_BLOCK) {
    const int64_t block = by_default ? (size + processes - 1) / processes : argument;
    if (block * processes < size) return false;
    int64_t length = size - block * coordinate;
    length = length < 0 ? 0 : length > block ? block : length;
    *part = {length ? block * coordinate : 0, 1, length, length, 0};
    return true;
  }
  if (distribution != abi::DISTRIBUTE_CYCLIC) return false;
  const int64_t block = by_default ? 1 : argument, cycle = block * processes, first = coordinate * block;
  if (first >= size) {
    *part = {0, 1, 0, 0, 0};
    return true;
  }
  const int64_t left = size - first, beyond = left % cycle;
  *part = {first, left / cycle + (beyond >= block ? 1 : 0), block, cycle, beyond < block ? beyond : 0};
  return true;
}

int64_t append(Vector<int64_t>& integers, const Counts& values, int count) {
  for (int index = 0; index < count; ++index) integers.push(values[static_cast<size_t>(index)]);
  return integers.size;
}

}  // namespace

int Type_create_subarray(int ndims, Counts array_of_sizes, Counts array_of_subsizes, Counts array_of_starts, int order,
                         Datatype* oldtype, Datatype** newtype) {
  return guarded("MPI_Type_create_subarray", [&]() -> int {
    if (!oldtype) return abi::ERR_TYPE;
    if (ndims < 1 || !valid_order(order)) return abi::ERR_ARG;
    Scratch<Part1D> parts(ndims);
    for (int dimension = 0; dimension < ndims; ++dimension) {
      const auto at = static_cast<size_t>(dimension);
      const int64_t size = array_of_sizes[at], length = array_of_subsizes[at], start = array_of_starts[at];
      if (size < 1 || length < 1 || length > size || start < 0 || start > size - length) return abi::ERR_ARG;
      parts[dimension] = {start, 1, length, length, 0};
    }
    Vector<int64_t> integers{};
    integers.push(ndims);
    append(integers, array_of_sizes, ndims);
    append(integers, array_of_subsizes, ndims);
    append(integers, array_of_starts, ndims);
    integers.push(order);
    int error = build({abi::COMBINER_SUBARRAY, integers.size, 0, 1, integers.items, nullptr, &oldtype}, ndims, order,
                      array_of_sizes, parts.get(), oldtype, newtype);
    integers.free();
    if (!error) (*newtype)->handles = 1, (*newtype)->large = array_of_sizes.width == 8;
    return error;
  });
}

int Type_create_darray(int size, int rank, int ndims, Counts array_of_gsizes, const int* array_of_distribs,
                       const int* array_of_dargs, const int* array_of_psizes, int order, Datatype* oldtype,
                       Datatype** newtype) {
  return guarded("MPI_Type_create_darray", [&]() -> int {
    if (!oldtype) return abi::ERR_TYPE;
    if (ndims < 1 || size < 1 || rank < 0 || rank >= size || !valid_order(order)) return abi::ERR_ARG;
    Scratch<Part1D> parts(ndims);
    int64_t processes = 1;
    for (int dimension = 0; dimension < ndims; ++dimension) processes *= array_of_psizes[dimension] > 0 ? array_of_psizes[dimension] : 0;
    if (processes != size) return abi::ERR_ARG;
    int64_t below = size, rest = rank;  // the process grid is in row-major order, whatever `order` says
    for (int dimension = 0; dimension < ndims; ++dimension) {
      below /= array_of_psizes[dimension];
      const int64_t coordinate = rest / below, extent = array_of_gsizes[static_cast<size_t>(dimension)];
      rest %= below;
      if (extent < 1 || !distribute(extent, array_of_distribs[dimension], array_of_dargs[dimension],
                                    array_of_psizes[dimension], coordinate, &parts[dimension])) {
        return abi::ERR_ARG;
      }
    }
    Vector<int64_t> integers{};
    for (int value : {size, rank, ndims}) integers.push(value);
    append(integers, array_of_gsizes, ndims);
    append(integers, {array_of_distribs, 4}, ndims);
    append(integers, {array_of_dargs, 4}, ndims);
    append(integers, {array_of_psizes, 4}, ndims);
    integers.push(order);
    int error = build({abi::COMBINER_DARRAY, integers.size, 0, 1, integers.items, nullptr, &oldtype}, ndims, order,
                      array_of_gsizes, parts.get(), oldtype, newtype);
    integers.free();
    if (!error) (*newtype)->handles = 1, (*newtype)->large = array_of_gsizes.width == 8;
    return error;
  });
}

}  // namespace mana::upper
