// SPDX-License-Identifier: BSD-3-Clause
// Communicators and collectives over a real library, with checkpoints between and inside their lives.
#include <cstdio>
#include <cstring>
#include <numeric>
#include <vector>

#include "upper/tests/native_lower.h"

using namespace mana;
using namespace mana::upper;
using namespace mana::upper::test;

namespace {

Comm* const all = &world_comm;
void* const in_place = reinterpret_cast<void*>(1);
int rank, size;
Datatype* type_int;
Op* sum;

void pause_here() { checkpoint(checkpoint_mode); }

int total_on(Comm* comm, int value) {
  int total = -1;
  CHECK_OK(Allreduce(&value, &total, 1, type_int, sum, comm));
  return total;
}

void every_collective_works_on(Comm* comm) {
  int me, n;
  CHECK_OK(Comm_rank(comm, &me));
  CHECK_OK(Comm_size(comm, &n));
  auto count = static_cast<size_t>(n);
  std::vector<int> a(count), b(count, -1), counts(count, 1), displs(count);
  std::iota(displs.begin(), displs.end(), 0);
  std::iota(a.begin(), a.end(), me * 100);
  Counts ones{counts.data(), 4}, where{displs.data(), 4};
  std::vector<int64_t> wide_counts(count, 1), wide_displs(displs.begin(), displs.end());
  Counts wide_ones{wide_counts.data(), 8}, wide_where{wide_displs.data(), 8};
  CHECK_OK(Barrier(comm));
  int x = me == 0 ? 77 : 0;
  CHECK_OK(Bcast(&x, 1, type_int, 0, comm));
  CHECK_EQ(x, 77);
  CHECK_OK(Gather(&me, 1, type_int, b.data(), 1, type_int, 0, comm));
  if (me == 0) CHECK_EQ(b.back(), n - 1);
  CHECK_OK(Scatter(a.data(), 1, type_int, &x, 1, type_int, 0, comm));
  CHECK_EQ(x, me);
  CHECK_OK(Gatherv(&me, 1, type_int, b.data(), ones, where, type_int, n - 1, comm));
  CHECK_OK(Scatterv(a.data(), ones, where, type_int, &x, 1, type_int, 0, comm));
  CHECK_EQ(x, me);
  CHECK_OK(Allgather(&me, 1, type_int, b.data(), 1, type_int, comm));
  CHECK_EQ(b.back(), n - 1);
  CHECK_OK(Allgatherv(&me, 1, type_int, b.data(), ones, where, type_int, comm));
  CHECK_OK(Allgatherv(&me, 1, type_int, b.data(), wide_ones, wide_where, type_int, comm));
  CHECK_EQ(b.back(), n - 1);
  CHECK_OK(Alltoall(a.data(), 1, type_int, b.data(), 1, type_int, comm));
  CHECK_EQ(b.back(), (n - 1) * 100 + me);
  CHECK_OK(Alltoallv(a.data(), ones, where, type_int, b.data(), wide_ones, wide_where, type_int, comm));
  CHECK_EQ(b.back(), (n - 1) * 100 + me);
  std::vector<int> bytes(displs);
  for (int& d : bytes) d *= 4;
  Counts byte_where{bytes.data(), 4};
  std::vector<Datatype*> types(count, type_int);
  CHECK_OK(Alltoallw(a.data(), ones, byte_where, types.data(), b.data(), ones, byte_where, types.data(), comm));
  CHECK_EQ(b.back(), (n - 1) * 100 + me);
  CHECK_OK(Reduce(&me, &x, 1, type_int, sum, 0, comm));
  if (me == 0) CHECK_EQ(x, n * (n - 1) / 2);
  CHECK_EQ(total_on(comm, 1), n);
  CHECK_OK(Scan(&me, &x, 1, type_int, sum, comm));
  CHECK_EQ(x, me * (me + 1) / 2);
  CHECK_OK(Exscan(&me, &x, 1, type_int, sum, comm));
  if (me > 0) CHECK_EQ(x, me * (me - 1) / 2);
  CHECK_OK(Reduce_scatter_block(a.data(), &x, 1, type_int, sum, comm));
  CHECK_EQ(x, 100 * (n * (n - 1) / 2) + n * me);
  CHECK_OK(Reduce_scatter(a.data(), &x, ones, type_int, sum, comm));
  CHECK_EQ(x, 100 * (n * (n - 1) / 2) + n * me);
  x = me;
  CHECK_OK(Allreduce(in_place, &x, 1, type_int, sum, comm));
  CHECK_EQ(x, n * (n - 1) / 2);
}

void nonblocking_and_persistent_collectives() {
  int one = 1, total = 0, x = rank == 0 ? 5 : 0;
  std::vector<int> all_ranks(static_cast<size_t>(size));
  Request* requests[3];
  CHECK_OK(Iallreduce(&one, &total, 1, type_int, sum, all, &requests[0]));
  CHECK_OK(Ibcast(&x, 1, type_int, 0, all, &requests[1]));
  CHECK_OK(Iallgather(&rank, 1, type_int, all_ranks.data(), 1, type_int, all, &requests[2]));
  pause_here();
  abi::Status statuses[3];
  CHECK_OK(Waitall(3, requests, statuses));
  CHECK_EQ(total, size);
  CHECK_EQ(x, 5);
  CHECK_EQ(all_ranks.back(), size - 1);

  Request* persistent;
  CHECK_OK(Allreduce_init(&one, &total, 1, type_int, sum, all, nullptr, &persistent));
  for (int i = 0; i < 3; ++i) {
    one = i;
    CHECK_OK(Start(&persistent));
    if (i == 1) pause_here();
    CHECK_OK(Wait(&persistent, nullptr));
    CHECK_EQ(total, i * size);
    if (i == 0) pause_here();
  }
  CHECK_OK(Request_free(&persistent));
}

void add_all(void* in, void* inout, int64_t length) {
  for (int64_t i = 0; i < length; ++i) static_cast<int*>(inout)[i] += static_cast<int*>(in)[i];
}

void user_operators_outlive_the_lower_half() {
  Op* op;
  CHECK_OK(Op_create(reinterpret_cast<Function>(add_all), 1, &op, 0));
  int one = 1, total = 0;
  CHECK_OK(Allreduce(&one, &total, 1, type_int, op, all));
  CHECK_EQ(total, size);
  Request* request;
  CHECK_OK(Iallreduce(&one, &total, 1, type_int, op, all, &request));
  CHECK_OK(Op_free(&op));
  pause_here();
  CHECK_OK(Wait(&request, nullptr));
  CHECK_EQ(total, size);
  CHECK_EQ(upper_interface.pending_user_reductions, 0u);
}

int copies = 0, deletes = 0;
int on_copy(int, void*, void* value, void** copy, int* flag) {
  ++copies;
  *copy = value;
  *flag = 1;
  return 0;
}
int on_delete(int, void*, void*) {
  ++deletes;
  return 0;
}

void communicators_outlive_the_lower_half() {
  int keyval;
  CHECK_OK(Comm_create_keyval(reinterpret_cast<Function>(on_copy), reinterpret_cast<Function>(on_delete), &keyval,
                              nullptr));
  Comm *dup, *half, *reversed, *none, *grouped = nullptr, *idup;
  CHECK_OK(Comm_dup(all, &dup));
  CHECK_OK(Comm_set_attr(dup, keyval, &copies));
  CHECK_OK(Comm_set_name(dup, "the duplicate"));
  CHECK_OK(Comm_split(all, rank % 2, rank, &half));
  CHECK_OK(Comm_split(all, 0, size - rank, &reversed));
  CHECK_OK(Comm_split(all, rank == 0 ? abi::UNDEFINED : 1, 0, &none));
  CHECK_EQ(none == nullptr, rank == 0);
  Request* pending;
  CHECK_OK(Comm_idup(dup, &idup, &pending));
  CHECK_EQ(copies, 1);
  Group *everybody, *lower_half_group;
  CHECK_OK(Comm_group(all, &everybody));
  int ranges[1][3] = {{0, size > 1 ? size / 2 - 1 : 0, 1}};
  CHECK_OK(Group_range_incl(everybody, 1, &ranges[0][0], &lower_half_group));
  if (lower_half_group->rank >= 0) CHECK_OK(Comm_create_group(all, lower_half_group, 9, &grouped));
  Comm* created;
  CHECK_OK(Comm_create(all, lower_half_group, &created));
  CHECK_EQ(created != nullptr, lower_half_group->rank >= 0);
  pause_here();
  CHECK_OK(Wait(&pending, nullptr));
  int result;
  CHECK_OK(Comm_compare(all, dup, &result));
  CHECK_EQ(result, abi::CONGRUENT);
  CHECK_OK(Comm_compare(all, reversed, &result));
  CHECK_EQ(result, size > 1 ? abi::SIMILAR : abi::CONGRUENT);
  CHECK_EQ(reversed->rank, size - 1 - rank);
  CHECK_EQ(half->counter == nullptr || half->counter->uid != dup->counter->uid, true);
  for (Comm* comm : {dup, half, reversed, none, grouped, created, idup}) {
    if (comm != nullptr) every_collective_works_on(comm);
  }
  // Two communicators with the same members: messages stay on theirs.
  int a = 1, b = 2, in = 0, peer = size > 1 ? rank ^ 1 : 0;
  CHECK_OK(Send(&a, 1, type_int, peer, 0, dup));
  CHECK_OK(Send(&b, 1, type_int, peer, 0, idup));
  pause_here();
  CHECK_OK(Recv(&in, 1, type_int, peer, 0, idup, nullptr));
  CHECK_EQ(in, 2);
  CHECK_OK(Recv(&in, 1, type_int, peer, 0, dup, nullptr));
  CHECK_EQ(in, 1);
  char name[128];
  int length;
  CHECK_OK(Comm_get_name(dup, name, &length));
  CHECK_EQ(std::strcmp(name, "the duplicate"), 0);
  for (Comm** comm : {&dup, &half, &reversed, &none, &grouped, &created, &idup}) {
    if (*comm != nullptr) CHECK_OK(Comm_free(comm));
  }
  CHECK_EQ(deletes, 2);
}

void topologies_outlive_the_lower_half() {
  Comm *cart, *row, *ring;
  int dims[2] = {0, 0}, periods[2] = {1, 0};
  CHECK_OK(Dims_create(size, 2, dims));
  CHECK_OK(Cart_create(all, 2, dims, periods, 0, &cart));
  int remain[2] = {0, 1};
  CHECK_OK(Cart_sub(cart, remain, &row));
  int sources[2] = {(rank + size - 1) % size, rank}, destinations[2] = {(rank + 1) % size, rank};
  auto* unweighted = reinterpret_cast<int*>(static_cast<intptr_t>(abi::UNWEIGHTED));
  CHECK_OK(Dist_graph_create_adjacent(all, 2, sources, unweighted, 2, destinations, unweighted, nullptr, 0, &ring));
  Comm* general;
  int degree = 1;
  CHECK_OK(Dist_graph_create(all, 1, &rank, &degree, destinations, &degree, nullptr, 0, &general));
  pause_here();
  std::vector<int> heard(4, -1);
  CHECK_OK(Neighbor_allgather(&rank, 1, type_int, heard.data(), 1, type_int, ring));
  CHECK_EQ(heard[0], sources[0]);
  CHECK_EQ(heard[1], rank);
  heard[0] = -1;
  CHECK_OK(Neighbor_allgather(&rank, 1, type_int, heard.data(), 1, type_int, general));
  CHECK_EQ(heard[0], sources[0]);
  int out[4] = {rank, rank, rank, rank};
  CHECK_OK(Neighbor_alltoall(out, 1, type_int, heard.data(), 1, type_int, cart));
  CHECK_EQ(total_on(row, 1), dims[1]);
  int64_t displs[2] = {0, 4};
  int counts[2] = {1, 1};
  Datatype* types[2] = {type_int, type_int};
  Request* request;
  CHECK_OK(Ineighbor_alltoallw(out, {counts, 4}, displs, types, heard.data(), {counts, 4}, displs, types, ring, &request));
  pause_here();
  CHECK_OK(Wait(&request, nullptr));
  CHECK_EQ(heard[0], sources[0]);
  for (Comm** comm : {&cart, &row, &ring, &general}) CHECK_OK(Comm_free(comm));
}

void intercommunicators_outlive_the_lower_half() {
  if (size < 2) return;
  Comm *half, *inter, *merged, *dup;
  bool low = rank < size / 2;
  CHECK_OK(Comm_split(all, low, rank, &half));
  CHECK_OK(Intercomm_create(half, 0, all, low ? size / 2 : 0, 12, &inter));
  int flag, remote;
  CHECK_OK(Comm_test_inter(inter, &flag));
  CHECK_EQ(flag, 1);
  CHECK_OK(Comm_remote_size(inter, &remote));
  CHECK_EQ(remote, low ? size - size / 2 : size / 2);
  CHECK_OK(Comm_dup(inter, &dup));
  CHECK_OK(Intercomm_merge(inter, !low, &merged));
  CHECK_EQ(merged->rank, rank);
  int in = -1;
  if (half->rank < (low ? remote : size / 2)) CHECK_OK(Send(&rank, 1, type_int, half->rank % remote, 3, inter));
  pause_here();
  if (size % 2 == 0) {
    CHECK_OK(Recv(&in, 1, type_int, half->rank, 3, inter, nullptr));
    CHECK_EQ(in, low ? rank + size / 2 : rank - size / 2);
  }
  CHECK_EQ(total_on(merged, 1), size);
  int sum_of_remote = 0;
  CHECK_OK(Allreduce(&rank, &sum_of_remote, 1, type_int, sum, dup));
  int expected = 0;
  for (int i = 0; i < size; ++i) expected += (i < size / 2) != low ? i : 0;
  CHECK_EQ(sum_of_remote, expected);
  CHECK_OK(Barrier(inter));
  for (Comm** comm : {&half, &inter, &merged, &dup}) CHECK_OK(Comm_free(comm));
}

void freed_communicator_with_pending_receive() {
  if (size < 2) return;
  Comm* dup;
  int in = -1, out = 8, peer = rank ^ 1;
  CHECK_OK(Comm_dup(all, &dup));
  Request *receive, *send;
  CHECK_OK(Irecv(&in, 1, type_int, peer, 0, dup, &receive));
  CHECK_OK(Isend(&out, 1, type_int, peer, 0, dup, &send));
  CHECK_OK(Comm_free(&dup));
  pause_here();
  CHECK_OK(Wait(&send, nullptr));
  CHECK_OK(Wait(&receive, nullptr));
  CHECK_EQ(in, 8);
}

void counters_of_dead_communicators_are_used_again() {
  auto entries = [] {
    int n = 0;
    for (CommCounter* c = upper_interface.counters; c != nullptr; c = c->next) ++n;
    return n;
  };
  int before = 0;
  for (int i = 0; i < 300; ++i) {
    Comm* dup;
    CHECK_OK(Comm_dup(all, &dup));
    CHECK_OK(Comm_free(&dup));
    if (i == 20) before = entries();
  }
  CHECK_EQ(entries() - before < 100, true);
}

}  // namespace

int main() {
  start();
  rank = world_comm.rank;
  size = world_comm.size;
  type_int = predefined_type(abi::INT);
  sum = static_cast<Op*>(predefined(abi::SUM));
  every_collective_works_on(all);
  pause_here();
  every_collective_works_on(all);
  every_collective_works_on(&self_comm);
  nonblocking_and_persistent_collectives();
  user_operators_outlive_the_lower_half();
  communicators_outlive_the_lower_half();
  topologies_outlive_the_lower_half();
  intercommunicators_outlive_the_lower_half();
  freed_communicator_with_pending_receive();
  counters_of_dead_communicators_are_used_again();
  return finish();
}
