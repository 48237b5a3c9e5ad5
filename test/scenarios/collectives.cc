// SPDX-License-Identifier: BSD-3-Clause
// Collectives: blocking, nonblocking, in place, with user-defined operators, persistent, over neighbourhoods.
#include "test/scenarios/collectives.h"

namespace {

using namespace mana::test;

SCENARIO(every_blocking_collective_works_after, .ranks = 4) {
  check_all_blocking(job, MPI_COMM_WORLD);
  MPI_Comm reversed;
  MPI_Comm_split(MPI_COMM_WORLD, 0, -job.rank, &reversed);
  job.checkpoint_here();
  check_all_blocking(job, MPI_COMM_WORLD);
  check_all_blocking(job, reversed);
  check_all_blocking(job, MPI_COMM_SELF);
  MPI_Comm_free(&reversed);
}

SCENARIO(every_nonblocking_collective_outlives_the_lower_half, .ranks = 4) {
  EveryCollective world(MPI_COMM_WORLD), self(MPI_COMM_SELF);
  auto requests = world.begin();
  auto more = self.begin();
  requests.insert(requests.end(), more.begin(), more.end());
  job.checkpoint_here();
  std::vector<MPI_Status> statuses(requests.size());
  MPI_Waitall(static_cast<int>(requests.size()), requests.data(), statuses.data());
  world.check(job);
  self.check(job);
  for (auto request : requests) CHECK(request == MPI_REQUEST_NULL);
}

SCENARIO(nonblocking_collectives_begun_by_some_ranks_only, .ranks = 3) {
  EveryCollective all(MPI_COMM_WORLD);
  std::vector<MPI_Request> requests;
  if (job.rank == 0) requests = all.begin();
  job.announce();
  if (job.rank != 0) {
    job.wait_until_underway();
    requests = all.begin();
  }
  MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE);
  all.check(job);
}

SCENARIO(nonblocking_collectives_complete_one_by_one_in_any_order, .ranks = 2) {
  constexpr int kPending = 20;
  int sums[kPending], mine[kPending];
  MPI_Request requests[kPending];
  for (int i = 0; i < kPending; i++) {
    mine[i] = i + job.rank;
    MPI_Iallreduce(&mine[i], &sums[i], 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD, &requests[i]);
  }
  job.checkpoint_here();
  for (int i = kPending - 1; i >= 0; i -= 2) {
    int flag = 0;
    while (!flag) MPI_Test(&requests[i], &flag, MPI_STATUS_IGNORE);
    CHECK_EQ(sums[i], 2 * i + 1);
  }
  int done = 0, indices[kPending];
  MPI_Waitsome(kPending, requests, &done, indices, MPI_STATUSES_IGNORE);
  CHECK(done >= 1);
  MPI_Waitall(kPending, requests, MPI_STATUSES_IGNORE);
  for (int i = 0; i < kPending; i++) CHECK_EQ(sums[i], 2 * i + 1);
}

SCENARIO(in_place_collectives, .ranks = 3) {
  for (int round = 0; round < 2; round++) {
    int value = job.rank + 1, scanned = job.rank + 1;
    std::vector<int> all(3, -1), crossed(3);
    all[job.rank] = job.rank * 2;
    for (int i = 0; i < 3; i++) crossed[i] = job.rank * 10 + i;
    std::vector<int> gathered = all, block(3, 1);
    int at_root = job.rank + 1;
    std::vector<MPI_Request> r(6);
    MPI_Iallreduce(MPI_IN_PLACE, &value, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD, &r[0]);
    MPI_Iallgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, all.data(), 1, MPI_INT, MPI_COMM_WORLD, &r[1]);
    MPI_Ialltoall(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, crossed.data(), 1, MPI_INT, MPI_COMM_WORLD, &r[2]);
    MPI_Iscan(MPI_IN_PLACE, &scanned, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD, &r[3]);
    MPI_Ireduce(job.rank == 1 ? MPI_IN_PLACE : &at_root, &at_root, 1, MPI_INT, MPI_PROD, 1, MPI_COMM_WORLD, &r[4]);
    MPI_Ireduce_scatter_block(MPI_IN_PLACE, block.data(), 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD, &r[5]);
    if (round == 0) job.checkpoint_here();
    MPI_Waitall(6, r.data(), MPI_STATUSES_IGNORE);
    CHECK_EQ(value, 6);
    CHECK_EQ(all, (std::vector<int>{0, 2, 4}));
    for (int i = 0; i < 3; i++) CHECK_EQ(crossed[i], i * 10 + job.rank);
    CHECK_EQ(scanned, (job.rank + 1) * (job.rank + 2) / 2);
    if (job.rank == 1) CHECK_EQ(at_root, 6);
    CHECK_EQ(block[0], 3);
    int again = job.rank + 1;
    MPI_Allreduce(MPI_IN_PLACE, &again, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    CHECK_EQ(again, 3);
    int mine = job.rank * 2;
    if (job.rank == 2) MPI_Gather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, gathered.data(), 1, MPI_INT, 2, MPI_COMM_WORLD);
    if (job.rank != 2) MPI_Gather(&mine, 1, MPI_INT, nullptr, 0, MPI_DATATYPE_NULL, 2, MPI_COMM_WORLD);
    if (job.rank == 2) CHECK_EQ(gathered, (std::vector<int>{0, 2, 4}));
    if (job.rank == 2) MPI_Scatter(gathered.data(), 1, MPI_INT, MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, 2, MPI_COMM_WORLD);
    if (job.rank != 2) MPI_Scatter(nullptr, 0, MPI_DATATYPE_NULL, &mine, 1, MPI_INT, 2, MPI_COMM_WORLD);
    CHECK_EQ(mine, job.rank * 2);
  }
}

// 2x2 matrices over a small field: associative, not commutative.
struct Matrix {
  int a, b, c, d;
  bool operator==(const Matrix&) const = default;
};
Matrix multiply(const Matrix& x, const Matrix& y) {
  return {(x.a * y.a + x.b * y.c) % 97, (x.a * y.b + x.b * y.d) % 97, (x.c * y.a + x.d * y.c) % 97, (x.c * y.b + x.d * y.d) % 97};
}
MPI_Datatype matrix_type = MPI_DATATYPE_NULL;
int wrong_types_seen = 0;
void multiply_in_order(void* in, void* inout, int* length, MPI_Datatype* type) {
  if (*type != matrix_type) wrong_types_seen++;
  const auto* x = static_cast<const Matrix*>(in);
  auto* y = static_cast<Matrix*>(inout);
  for (int i = 0; i < *length; i++) y[i] = multiply(x[i], y[i]);
}
Matrix matrix_of(int rank) { return {rank + 1, 2, rank, 1}; }
Matrix product_up_to(int size) {
  Matrix result = matrix_of(0);
  for (int i = 1; i < size; i++) result = multiply(result, matrix_of(i));
  return result;
}

SCENARIO(non_commutative_operator_on_a_derived_type, .ranks = 4) {
  MPI_Op op;
  MPI_Type_contiguous(4, MPI_INT, &matrix_type);
  MPI_Type_commit(&matrix_type);
  MPI_Op_create(multiply_in_order, 0, &op);
  const Matrix mine = matrix_of(job.rank);
  wrong_types_seen = 0;
  for (int round = 0; round < 2; round++) {
    Matrix all{}, scanned{}, reduced{}, before{}, block{}, again{};
    std::vector<Matrix> four(4, mine);
    MPI_Request r[3];
    MPI_Iallreduce(&mine, &all, 1, matrix_type, op, MPI_COMM_WORLD, &r[0]);
    MPI_Iscan(&mine, &scanned, 1, matrix_type, op, MPI_COMM_WORLD, &r[1]);
    MPI_Ireduce(&mine, &reduced, 1, matrix_type, op, 2, MPI_COMM_WORLD, &r[2]);
    if (round == 0) job.checkpoint_here();
    MPI_Waitall(3, r, MPI_STATUSES_IGNORE);
    CHECK(all == product_up_to(4));
    CHECK(scanned == product_up_to(job.rank + 1));
    if (job.rank == 2) CHECK(reduced == product_up_to(4));
    MPI_Exscan(&mine, &before, 1, matrix_type, op, MPI_COMM_WORLD);
    if (job.rank > 0) CHECK(before == product_up_to(job.rank));
    MPI_Reduce_scatter_block(four.data(), &block, 1, matrix_type, op, MPI_COMM_WORLD);
    CHECK(block == product_up_to(4));
    again = matrix_of(1);
    const Matrix left = matrix_of(0);
    MPI_Reduce_local(&left, &again, 1, matrix_type, op);
    CHECK(again == product_up_to(2));
  }
  CHECK_EQ(wrong_types_seen, 0);
  int commutes = -1;
  MPI_Op_commutative(op, &commutes);
  CHECK_EQ(commutes, 0);
  MPI_Op_free(&op);
  CHECK(op == MPI_OP_NULL);
  MPI_Type_free(&matrix_type);
}

SCENARIO(operator_and_type_freed_while_a_reduction_is_pending, .ranks = 2) {
  MPI_Op op;
  MPI_Request request;
  MPI_Type_contiguous(4, MPI_INT, &matrix_type);
  MPI_Type_commit(&matrix_type);
  MPI_Op_create(multiply_in_order, 0, &op);
  const Matrix mine = matrix_of(job.rank);
  Matrix all{};
  MPI_Iallreduce(&mine, &all, 1, matrix_type, op, MPI_COMM_WORLD, &request);
  job.checkpoint_here();
  MPI_Op_free(&op);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  CHECK(all == product_up_to(2));
  MPI_Type_free(&matrix_type);
}

template <class T>
void check_sum(Job& job, MPI_Datatype type) {
  const T mine[2] = {static_cast<T>(job.rank + 1), static_cast<T>(2)};
  T sum[2] = {};
  MPI_Allreduce(mine, sum, 2, type, MPI_SUM, MPI_COMM_WORLD);
  CHECK(sum[0] == static_cast<T>(3));
  CHECK(sum[1] == static_cast<T>(4));
}

SCENARIO(every_predefined_type_and_operator_reduces, .ranks = 2) {
  for (int round = 0; round < 2; round++) {
    check_sum<signed char>(job, MPI_SIGNED_CHAR);
    check_sum<unsigned char>(job, MPI_UNSIGNED_CHAR);
    check_sum<short>(job, MPI_SHORT);
    check_sum<unsigned short>(job, MPI_UNSIGNED_SHORT);
    check_sum<int>(job, MPI_INT);
    check_sum<unsigned>(job, MPI_UNSIGNED);
    check_sum<long>(job, MPI_LONG);
    check_sum<unsigned long>(job, MPI_UNSIGNED_LONG);
    check_sum<long long>(job, MPI_LONG_LONG);
    check_sum<unsigned long long>(job, MPI_UNSIGNED_LONG_LONG);
    check_sum<float>(job, MPI_FLOAT);
    check_sum<double>(job, MPI_DOUBLE);
    check_sum<long double>(job, MPI_LONG_DOUBLE);
    check_sum<int8_t>(job, MPI_INT8_T);
    check_sum<int16_t>(job, MPI_INT16_T);
    check_sum<int32_t>(job, MPI_INT32_T);
    check_sum<int64_t>(job, MPI_INT64_T);
    check_sum<uint8_t>(job, MPI_UINT8_T);
    check_sum<uint64_t>(job, MPI_UINT64_T);
    check_sum<MPI_Aint>(job, MPI_AINT);
    check_sum<MPI_Offset>(job, MPI_OFFSET);
    check_sum<MPI_Count>(job, MPI_COUNT);
    double complex_mine[2] = {1.0 + job.rank, 1}, complex_sum[2];
    MPI_Allreduce(complex_mine, complex_sum, 1, MPI_C_DOUBLE_COMPLEX, MPI_PROD, MPI_COMM_WORLD);
    CHECK_EQ(complex_sum[0], 1.0);  // (1+i)(2+i) = 1+3i
    CHECK_EQ(complex_sum[1], 3.0);
    struct { double value; int at; } pair{job.rank == 0 ? 2.0 : -3.0, job.rank}, low{}, high{};
    MPI_Allreduce(&pair, &low, 1, MPI_DOUBLE_INT, MPI_MINLOC, MPI_COMM_WORLD);
    MPI_Allreduce(&pair, &high, 1, MPI_DOUBLE_INT, MPI_MAXLOC, MPI_COMM_WORLD);
    CHECK_EQ(low.at * 10 + high.at, 10);
    const struct { MPI_Op op; int expected; } cases[] = {{MPI_MAX, 6}, {MPI_MIN, 5}, {MPI_PROD, 30}, {MPI_BAND, 4}, {MPI_BOR, 7},
                                                         {MPI_BXOR, 3}, {MPI_LAND, 1}, {MPI_LOR, 1}, {MPI_LXOR, 0}};
    const int mine = 5 + job.rank;
    for (const auto& one : cases) {
      int got = -1;
      MPI_Allreduce(&mine, &got, 1, MPI_INT, one.op, MPI_COMM_WORLD);
      CHECK_EQ(got, one.expected);
    }
    if (round == 0) job.checkpoint_here();
  }
}

SCENARIO(collectives_with_derived_types, .ranks = 3) {
  MPI_Datatype column, spread, resized;
  MPI_Type_vector(3, 1, 3, MPI_INT, &column);
  MPI_Type_create_resized(column, 0, sizeof(int), &resized);
  MPI_Type_vector(3, 1, 2, MPI_INT, &spread);
  MPI_Type_commit(&resized);
  MPI_Type_commit(&spread);
  MPI_Type_free(&column);
  job.checkpoint_here();
  std::vector<int> matrix(9), row(6, -1);
  std::iota(matrix.begin(), matrix.end(), 0);
  MPI_Scatter(matrix.data(), 1, resized, row.data(), 1, spread, 0, MPI_COMM_WORLD);
  CHECK_EQ(row, (std::vector<int>{job.rank, -1, job.rank + 3, -1, job.rank + 6, -1}));
  std::vector<int> back(9, -1);
  MPI_Allgather(row.data(), 1, spread, back.data(), 1, resized, MPI_COMM_WORLD);
  CHECK_EQ(back, matrix);
  MPI_Type_free(&resized);
  MPI_Type_free(&spread);
}

SCENARIO(neighbourhood_collectives, .ranks = 4) {
  MPI_Comm cart, graph;
  const int dims[1] = {4}, periods[1] = {1};
  MPI_Cart_create(MPI_COMM_WORLD, 1, dims, periods, 0, &cart);
  const int left = (job.rank + 3) % 4, right = (job.rank + 1) % 4;
  MPI_Dist_graph_create_adjacent(MPI_COMM_WORLD, 1, &left, MPI_UNWEIGHTED, 1, &right, MPI_UNWEIGHTED, MPI_INFO_NULL, 0, &graph);
  for (int round = 0; round < 2; round++) {
    int mine = job.rank, around[2] = {-1, -1}, from_left = -1, to_both[2] = {job.rank * 2, job.rank * 2 + 1}, crossed[2] = {-1, -1};
    const int ones[2] = {1, 1}, places[2] = {0, 1};
    const MPI_Aint byte_places[2] = {0, sizeof(int)};
    const MPI_Datatype types[2] = {MPI_INT, MPI_INT};
    int around_v[2] = {-1, -1}, crossed_v[2] = {-1, -1}, crossed_w[2] = {-1, -1};
    MPI_Request r[6];
    MPI_Ineighbor_allgather(&mine, 1, MPI_INT, around, 1, MPI_INT, cart, &r[0]);
    MPI_Ineighbor_alltoall(to_both, 1, MPI_INT, crossed, 1, MPI_INT, cart, &r[1]);
    MPI_Ineighbor_allgather(&mine, 1, MPI_INT, &from_left, 1, MPI_INT, graph, &r[2]);
    MPI_Ineighbor_allgatherv(&mine, 1, MPI_INT, around_v, ones, places, MPI_INT, cart, &r[3]);
    MPI_Ineighbor_alltoallv(to_both, ones, places, MPI_INT, crossed_v, ones, places, MPI_INT, cart, &r[4]);
    MPI_Ineighbor_alltoallw(to_both, ones, byte_places, types, crossed_w, ones, byte_places, types, cart, &r[5]);
    if (round == 0) job.checkpoint_here();
    MPI_Waitall(6, r, MPI_STATUSES_IGNORE);
    CHECK_EQ(around[0] * 10 + around[1], left * 10 + right);
    CHECK_EQ(around_v[0] * 10 + around_v[1], left * 10 + right);
    CHECK_EQ(from_left, left);
    for (const int* got : {crossed, crossed_v, crossed_w}) {
      CHECK_EQ(got[0], left * 2 + 1);
      CHECK_EQ(got[1], right * 2);
    }
    MPI_Neighbor_allgather(&mine, 1, MPI_INT, &from_left, 1, MPI_INT, graph);
    MPI_Neighbor_alltoall(to_both, 1, MPI_INT, crossed, 1, MPI_INT, cart);
    MPI_Neighbor_alltoallv(to_both, ones, places, MPI_INT, crossed_v, ones, places, MPI_INT, cart);
    MPI_Neighbor_alltoallw(to_both, ones, byte_places, types, crossed_w, ones, byte_places, types, cart);
    MPI_Neighbor_allgatherv(&mine, 1, MPI_INT, around_v, ones, places, MPI_INT, cart);
    CHECK_EQ(from_left, left);
    CHECK_EQ(crossed[0], left * 2 + 1);
    CHECK_EQ(crossed_w[1], right * 2);
  }
  MPI_Comm_free(&cart);
  MPI_Comm_free(&graph);
}

SCENARIO(checkpoint_amid_running_collectives, .ranks = 4) {
  job.announce();
  long rounds = 0;
  for (int everybody_saw_it = 0; !everybody_saw_it; rounds++) {
    int mine = job.over() ? 1 : 0;
    MPI_Allreduce(&mine, &everybody_saw_it, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    long sum = 0;
    MPI_Reduce(&rounds, &sum, 1, MPI_LONG, MPI_SUM, 0, MPI_COMM_WORLD);
    if (job.rank == 0) CHECK_EQ(sum, 4 * rounds);
    MPI_Scan(&rounds, &sum, 1, MPI_LONG, MPI_SUM, MPI_COMM_WORLD);
    CHECK_EQ(sum, (job.rank + 1) * rounds);
  }
}

#if MPI_VERSION >= 4
SCENARIO(persistent_collectives, .ranks = 3) {
  int mine = 0, sum = 0, told = 0;
  MPI_Request r[3];
  MPI_Allreduce_init(&mine, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD, MPI_INFO_NULL, &r[0]);
  MPI_Bcast_init(&told, 1, MPI_INT, 1, MPI_COMM_WORLD, MPI_INFO_NULL, &r[1]);
  MPI_Barrier_init(MPI_COMM_WORLD, MPI_INFO_NULL, &r[2]);
  for (int round = 0; round < 4; round++) {
    mine = job.rank + round, sum = -1, told = job.rank == 1 ? round : -1;
    MPI_Startall(3, r);
    if (round == 1) job.checkpoint_here();
    MPI_Waitall(3, r, MPI_STATUSES_IGNORE);
    CHECK_EQ(sum, 3 + 3 * round);
    CHECK_EQ(told, round);
    if (round == 2) job.checkpoint_here();
  }
  for (auto& request : r) MPI_Request_free(&request);
}
#endif

}  // namespace
