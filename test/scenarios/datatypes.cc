// SPDX-License-Identifier: BSD-3-Clause
// Datatypes: every constructor, nested, and freed while something still uses them.
#include <numeric>

#include "test/scenario.h"

namespace {

using mana::test::pattern;

// One type per constructor, each on a derived type that is freed at once.  All are made of ints.
std::vector<MPI_Datatype> make_types() {
  std::vector<MPI_Datatype> types;
  MPI_Datatype type;
  const auto add = [&](int ints_of_base, auto construct) {
    MPI_Datatype base;
    MPI_Type_contiguous(ints_of_base, MPI_INT, &base);
    construct(base);
    types.push_back(type);
    MPI_Type_free(&base);
  };
  using Base = MPI_Datatype;
  const int lengths[3] = {2, 1, 3}, places[3] = {0, 4, 7};
  const MPI_Aint byte_places[3] = {4, 24, 40};
  const int sizes[2] = {6, 5}, part[2] = {2, 3}, start[2] = {1, 1};
  const int globals[2] = {6, 6}, distribution[2] = {MPI_DISTRIBUTE_BLOCK, MPI_DISTRIBUTE_CYCLIC},
            arguments[2] = {MPI_DISTRIBUTE_DFLT_DARG, 2}, processes[2] = {2, 1};
  add(2, [&](Base base) { MPI_Type_contiguous(3, base, &type); });
  add(2, [&](Base base) { MPI_Type_vector(3, 2, 4, base, &type); });
  add(2, [&](Base base) { MPI_Type_create_hvector(3, 1, 20, base, &type); });
  add(1, [&](Base base) { MPI_Type_indexed(3, lengths, places, base, &type); });
  add(1, [&](Base base) { MPI_Type_create_hindexed(3, lengths, byte_places, base, &type); });
  add(1, [&](Base base) { MPI_Type_create_indexed_block(3, 2, places, base, &type); });
  add(1, [&](Base base) { MPI_Type_create_hindexed_block(3, 2, byte_places, base, &type); });
  add(2, [&](Base base) {
    const MPI_Datatype members[3] = {MPI_INT, base, MPI_INT};
    MPI_Type_create_struct(3, lengths, byte_places, members, &type);
  });
  add(1, [&](Base base) { MPI_Type_create_subarray(2, sizes, part, start, MPI_ORDER_C, base, &type); });
  add(1, [&](Base base) { MPI_Type_create_subarray(2, sizes, part, start, MPI_ORDER_FORTRAN, base, &type); });
  add(1, [&](Base base) {
    MPI_Type_create_darray(2, 1, 2, globals, distribution, arguments, processes, MPI_ORDER_C, base, &type);
  });
  add(2, [&](Base base) { MPI_Type_create_resized(base, -4, 32, &type); });
  add(3, [&](Base base) { MPI_Type_dup(base, &type); });
  MPI_Datatype inner, middle;  // four levels
  MPI_Type_vector(2, 1, 3, MPI_INT, &inner);
  MPI_Type_create_resized(inner, 0, 24, &middle);
  MPI_Type_free(&inner);
  MPI_Type_indexed(2, lengths, places, middle, &inner);
  MPI_Type_free(&middle);
  MPI_Type_create_hvector(2, 1, 300, inner, &type);
  MPI_Type_free(&inner);
  types.push_back(type);
  for (auto& one : types) MPI_Type_commit(&one);
  return types;
}

constexpr int kRoom = 1000;  // ints
constexpr int kCount = 2;    // of each type per message
constexpr int kOrigin = 10;  // a resized type may begin before its address

std::vector<int> packed(MPI_Datatype type, const std::vector<int>& from) {
  int size = 0, used = 0;
  MPI_Pack_size(kCount, type, MPI_COMM_WORLD, &size);
  std::vector<int> out(static_cast<std::size_t>(size) / sizeof(int) + 1, -1);
  MPI_Pack(&from[kOrigin], kCount, type, out.data(), size, &used, MPI_COMM_WORLD);
  out.resize(static_cast<std::size_t>(used) / sizeof(int));
  return out;
}

SCENARIO(every_datatype_constructor_outlives_the_lower_half, .ranks = 2) {
  auto types = make_types();
  std::vector<int> from(kRoom);
  std::iota(from.begin(), from.end(), 1);
  std::vector<std::vector<int>> before;
  struct Shape { MPI_Aint lower, extent, true_lower, true_extent; int size; };
  std::vector<Shape> shapes;
  const auto shape_of = [](MPI_Datatype type) {
    Shape shape{};
    MPI_Type_get_extent(type, &shape.lower, &shape.extent);
    MPI_Type_get_true_extent(type, &shape.true_lower, &shape.true_extent);
    MPI_Type_size(type, &shape.size);
    return shape;
  };
  for (auto type : types) before.push_back(packed(type, from)), shapes.push_back(shape_of(type));
  job.checkpoint_here();
  for (std::size_t i = 0; i < types.size(); i++) {
    CHECK_EQ(packed(types[i], from), before[i]);
    const auto shape = shape_of(types[i]);
    CHECK_EQ(shape.lower, shapes[i].lower);
    CHECK_EQ(shape.extent, shapes[i].extent);
    CHECK_EQ(shape.true_lower, shapes[i].true_lower);
    CHECK_EQ(shape.true_extent, shapes[i].true_extent);
    CHECK_EQ(shape.size * kCount, static_cast<int>(before[i].size() * sizeof(int)));
    // Through the new lower half: typed to packed, and back into the gaps.
    std::vector<int> wire(before[i].size(), -1), back(kRoom, 0), all(2 * kRoom, 0);
    int used = 0;
    MPI_Sendrecv(&from[kOrigin], kCount, types[i], 1 - job.rank, 1, wire.data(), static_cast<int>(wire.size() * sizeof(int)),
                 MPI_PACKED, 1 - job.rank, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    MPI_Unpack(wire.data(), static_cast<int>(wire.size() * sizeof(int)), &used, &back[kOrigin], kCount, types[i], MPI_COMM_WORLD);
    CHECK_EQ(packed(types[i], back), before[i]);
    back.assign(kRoom, 0);
    MPI_Sendrecv(&from[kOrigin], kCount, types[i], 1 - job.rank, 2, &back[kOrigin], kCount, types[i], 1 - job.rank, 2,
                 MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK_EQ(packed(types[i], back), before[i]);
    back.assign(kRoom, 0);
    if (job.rank == 0) back = from;
    MPI_Bcast(&back[kOrigin], kCount, types[i], 0, MPI_COMM_WORLD);
    CHECK_EQ(packed(types[i], back), before[i]);
  }
  for (auto& type : types) MPI_Type_free(&type);
}

SCENARIO(messages_of_every_datatype_are_drained, .ranks = 2) {
  auto types = make_types();
  const int n = static_cast<int>(types.size());
  std::vector<int> from(kRoom);
  std::iota(from.begin(), from.end(), 5);
  std::vector<std::vector<int>> expected, got(types.size(), std::vector<int>(kRoom, 0));
  for (auto type : types) expected.push_back(packed(type, from));
  std::vector<MPI_Request> pending(types.size(), MPI_REQUEST_NULL), posted(types.size(), MPI_REQUEST_NULL);
  const auto in_use = types;
  if (job.rank == 1) {  // even ones unmatched at the checkpoint, odd ones posted and not yet sent
    for (int i = 0; i < n; i += 2) MPI_Isend(&from[kOrigin], kCount, types[i], 0, i, MPI_COMM_WORLD, &pending[i]);
  } else {
    for (int i = 1; i < n; i += 2) MPI_Irecv(&got[i][kOrigin], kCount, types[i], 1, i, MPI_COMM_WORLD, &posted[i]);
  }
  std::vector<MPI_Datatype> copies(types.size());
  for (int i = 0; i < n; i++) MPI_Type_dup(types[i], &copies[i]), MPI_Type_free(&types[i]);
  job.checkpoint_here();
  if (job.rank == 1) {
    for (int i = 1; i < n; i += 2) MPI_Send(&from[kOrigin], kCount, copies[i], 0, i, MPI_COMM_WORLD);
  } else {
    for (int i = 0; i < n; i += 2) MPI_Recv(&got[i][kOrigin], kCount, copies[i], 1, i, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  }
  MPI_Waitall(n, pending.data(), MPI_STATUSES_IGNORE);
  MPI_Waitall(n, posted.data(), MPI_STATUSES_IGNORE);
  for (int i = 0; i < n && job.rank == 0; i++) CHECK_EQ(packed(copies[i], got[i]), expected[i]);
  for (auto& type : copies) MPI_Type_free(&type);
}

SCENARIO(type_contents_are_told_after, .ranks = 2) {
  MPI_Datatype base, type, inner[1];
  MPI_Type_vector(2, 3, 4, MPI_DOUBLE, &base);
  const int lengths[2] = {1, 2}, places[2] = {5, 9};
  MPI_Type_indexed(2, lengths, places, base, &type);
  MPI_Type_free(&base);
  job.checkpoint_here();
  int integers = 0, addresses = 0, types = 0, combiner = 0, values[5];
  MPI_Type_get_envelope(type, &integers, &addresses, &types, &combiner);
  CHECK_EQ(combiner, MPI_COMBINER_INDEXED);
  CHECK_EQ(integers * 100 + addresses * 10 + types, 501);
  MPI_Aint none[1];
  MPI_Type_get_contents(type, 5, 0, 1, values, none, inner);
  CHECK_EQ(values[0] * 10000 + values[1] * 1000 + values[2] * 100 + values[3] * 10 + values[4], 21259);
  MPI_Type_get_envelope(inner[0], &integers, &addresses, &types, &combiner);
  CHECK_EQ(combiner, MPI_COMBINER_VECTOR);
  MPI_Type_free(&inner[0]);
  MPI_Type_free(&type);
  CHECK(type == MPI_DATATYPE_NULL);
}

SCENARIO(external_packing_and_sized_types, .ranks = 2) {
  MPI_Datatype eight_bytes, real;
  MPI_Type_match_size(MPI_TYPECLASS_INTEGER, 8, &eight_bytes);
  MPI_Type_create_f90_real(12, MPI_UNDEFINED, &real);
  const int values[3] = {1, 258, -2};
  unsigned char wire[12];
  MPI_Aint used = 0, size = 0;
  MPI_Pack_external("external32", values, 3, MPI_INT, wire, 12, &used);
  job.checkpoint_here();
  MPI_Pack_external_size("external32", 3, MPI_INT, &size);
  CHECK_EQ(size, 12);
  CHECK_EQ(wire[6] * 256 + wire[7], 258);
  int back[3], bytes = 0;
  used = 0;
  MPI_Unpack_external("external32", wire, 12, &used, back, 3, MPI_INT);
  CHECK(std::equal(values, values + 3, back));
  MPI_Type_size(eight_bytes, &bytes);
  CHECK_EQ(bytes, 8);
  int64_t mine = job.rank, sum = 0;
  MPI_Allreduce(&mine, &sum, 1, eight_bytes, MPI_SUM, MPI_COMM_WORLD);
  CHECK_EQ(sum, 1);
  double number = 2.5, got = 0;
  MPI_Sendrecv(&number, 1, real, 1 - job.rank, 1, &got, 1, real, 1 - job.rank, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  CHECK_EQ(got, 2.5);
}

SCENARIO(partly_filled_receive_counts_elements, .ranks = 2) {
  MPI_Datatype pair;
  MPI_Type_contiguous(2, MPI_INT, &pair);
  MPI_Type_commit(&pair);
  const int values[5] = {1, 2, 3, 4, 5};
  if (job.rank == 1) MPI_Send(values, 5, MPI_INT, 0, 1, MPI_COMM_WORLD);
  job.checkpoint_here();
  if (job.rank == 0) {
    int got[8], count = 0, elements = 0;
    MPI_Count large = 0;
    MPI_Status status;
    MPI_Recv(got, 4, pair, 1, 1, MPI_COMM_WORLD, &status);
    MPI_Get_count(&status, pair, &count);
    MPI_Get_elements(&status, pair, &elements);
    MPI_Get_elements_x(&status, pair, &large);
    CHECK_EQ(count, MPI_UNDEFINED);
    CHECK_EQ(elements, 5);
    CHECK_EQ(large, 5);
  }
  MPI_Type_free(&pair);
}

}  // namespace
