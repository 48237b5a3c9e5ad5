// SPDX-License-Identifier: BSD-3-Clause
// Each combiner, made from its contents, against the same type made by the library's own
// constructor.
#include <mpi.h>

#include <numeric>
#include <vector>

#include "lower/adapter_convert.h"
#include "lower/core_functions.h"
#include "lower/tests/adapter_tests.h"
#include "lower/tests/check.h"

namespace mana::lower::tests {
namespace {

struct Given {
  int combiner;
  std::vector<int64_t> integers, addresses;
  std::vector<uint64_t> datatypes;
};

MPI_Datatype made_from(const Given& given) {
  core::TypeCreate block{given.combiner,
                         static_cast<int32_t>(given.integers.size()),
                         static_cast<int32_t>(given.addresses.size()),
                         static_cast<int32_t>(given.datatypes.size()),
                         given.integers.data(),
                         given.addresses.data(),
                         given.datatypes.data(),
                         0};
  CHECK_EQ(type_create(&block), 0);
  return native_datatype(block.datatype);
}

std::vector<char> packed(MPI_Datatype datatype) {
  std::vector<char> source(4096), out(8192);
  std::iota(source.begin(), source.end(), 0);
  int position = 0;
  MPI_Pack(source.data() + 1024, 1, datatype, out.data(), static_cast<int>(out.size()), &position,
           MPI_COMM_SELF);
  out.resize(static_cast<std::size_t>(position));
  return out;
}

void same_type(const Given& given, MPI_Datatype expected) {
  const MPI_Datatype got = made_from(given);
  MPI_Type_commit(&expected);
  MPI_Aint low[2], extent[2], true_low[2], true_extent[2];
  int size[2];
  const MPI_Datatype both[] = {got, expected};
  for (int i = 0; i < 2; ++i) {
    MPI_Type_get_extent(both[i], &low[i], &extent[i]);
    MPI_Type_get_true_extent(both[i], &true_low[i], &true_extent[i]);
    MPI_Type_size(both[i], &size[i]);
  }
  CHECK_EQ(low[0], low[1]);
  CHECK_EQ(extent[0], extent[1]);
  CHECK_EQ(true_low[0], true_low[1]);
  CHECK_EQ(true_extent[0], true_extent[1]);
  CHECK_EQ(size[0], size[1]);
  CHECK_EQ(packed(got) == packed(expected), true);
  core::TypeFree free{datatype_bits(got)};
  CHECK_EQ(type_free(&free), 0);
  MPI_Type_free(&expected);
}

void lists_of_blocks(uint64_t element) {
  MPI_Datatype type;
  const int lengths[] = {2, 1, 3}, displacements[] = {0, 5, 7};
  const MPI_Aint bytes[] = {0, 20, 40};
  MPI_Type_indexed(3, lengths, displacements, MPI_INT, &type);
  same_type({abi::COMBINER_INDEXED, {3, 2, 1, 3, 0, 5, 7}, {}, {element}}, type);
  MPI_Type_create_hindexed(3, lengths, bytes, MPI_INT, &type);
  same_type({abi::COMBINER_HINDEXED, {3, 2, 1, 3}, {0, 20, 40}, {element}}, type);
  MPI_Type_create_indexed_block(3, 2, displacements, MPI_INT, &type);
  same_type({abi::COMBINER_INDEXED_BLOCK, {3, 2, 0, 5, 7}, {}, {element}}, type);
  MPI_Type_create_hindexed_block(3, 2, bytes, MPI_INT, &type);
  same_type({abi::COMBINER_HINDEXED_BLOCK, {3, 2}, {0, 20, 40}, {element}}, type);
  const MPI_Datatype parts[] = {MPI_INT, MPI_DOUBLE, MPI_CHAR};
  MPI_Type_create_struct(3, lengths, bytes, parts, &type);
  same_type({abi::COMBINER_STRUCT,
             {3, 2, 1, 3},
             {0, 20, 40},
             {element, resolved(abi::DOUBLE), resolved(abi::CHAR)}},
            type);
  MPI_Type_indexed(0, nullptr, nullptr, MPI_INT, &type);
  same_type({abi::COMBINER_INDEXED, {0}, {}, {element}}, type);
}

void parts_of_arrays(uint64_t element) {
  MPI_Datatype type;
  const int sizes[] = {6, 5}, subsizes[] = {2, 3}, starts[] = {1, 2};
  MPI_Type_create_subarray(2, sizes, subsizes, starts, MPI_ORDER_FORTRAN, MPI_INT, &type);
  same_type({abi::COMBINER_SUBARRAY, {2, 6, 5, 2, 3, 1, 2, abi::ORDER_FORTRAN}, {}, {element}},
            type);
  const int kinds[] = {MPI_DISTRIBUTE_BLOCK, MPI_DISTRIBUTE_CYCLIC};
  const int blocks[] = {MPI_DISTRIBUTE_DFLT_DARG, 2}, processes[] = {2, 2};
  MPI_Type_create_darray(4, 1, 2, sizes, kinds, blocks, processes, MPI_ORDER_C, MPI_INT, &type);
  same_type({abi::COMBINER_DARRAY,
             {4, 1, 2, 6, 5, abi::DISTRIBUTE_BLOCK, abi::DISTRIBUTE_CYCLIC,
              abi::DISTRIBUTE_DFLT_DARG, 2, 2, 2, abi::ORDER_C},
             {},
             {element}},
            type);
}

void types_of_fortran_kinds() {
  MPI_Datatype expected;
  MPI_Type_create_f90_real(6, 30, &expected);
  const MPI_Datatype got = made_from({abi::COMBINER_F90_REAL, {6, 30}, {}, {}});
  int sizes[2] = {};
  MPI_Type_size(got, &sizes[0]);
  MPI_Type_size(expected, &sizes[1]);
  CHECK_EQ(sizes[0], sizes[1]);
  core::TypeFree free{datatype_bits(got)};
  CHECK_EQ(type_free(&free), 0);  // predefined: left alone
}

void bad_contents_are_errors() {
  const int64_t integers[] = {-1};
  const uint64_t datatypes[] = {resolved(abi::INT)};
  core::TypeCreate negative{abi::COMBINER_CONTIGUOUS, 1, 0, 1, integers, nullptr, datatypes, 0};
  CHECK_EQ(type_create(&negative), abi::ERR_COUNT);
  core::TypeCreate too_short{abi::COMBINER_VECTOR, 1, 0, 1, integers, nullptr, datatypes, 0};
  CHECK_EQ(type_create(&too_short), abi::ERR_ARG);
}

// More elements than an int counts: as one element of a derived type.
void large_counts_become_a_type() {
  const int64_t count = (int64_t{1} << 31) + 5;
  const Transfer what(count, resolved(abi::BYTE));
  CHECK_EQ(what.count(), 1);
  MPI_Aint low, extent;
  MPI_Type_get_extent(what.datatype(), &low, &extent);
  CHECK_EQ(extent, count);
}

}  // namespace

void datatype_tests() {
  const uint64_t element = resolved(abi::INT);
  MPI_Datatype type;
  MPI_Type_dup(MPI_INT, &type);
  same_type({abi::COMBINER_DUP, {}, {}, {element}}, type);
  MPI_Type_contiguous(5, MPI_INT, &type);
  same_type({abi::COMBINER_CONTIGUOUS, {5}, {}, {element}}, type);
  MPI_Type_vector(3, 2, 4, MPI_INT, &type);
  same_type({abi::COMBINER_VECTOR, {3, 2, 4}, {}, {element}}, type);
  MPI_Type_vector(3, 2, -4, MPI_INT, &type);
  same_type({abi::COMBINER_VECTOR, {3, 2, -4}, {}, {element}}, type);
  MPI_Type_create_hvector(3, 2, 24, MPI_INT, &type);
  same_type({abi::COMBINER_HVECTOR, {3, 2}, {24}, {element}}, type);
  MPI_Type_create_resized(MPI_INT, -4, 16, &type);
  same_type({abi::COMBINER_RESIZED, {}, {-4, 16}, {element}}, type);
  lists_of_blocks(element);
  parts_of_arrays(element);
  types_of_fortran_kinds();
  bad_contents_are_errors();
  large_counts_become_a_type();
}

}  // namespace mana::lower::tests
