// SPDX-License-Identifier: BSD-3-Clause
// Communicators of every constructor, used after the restart; their freeing and creation around it.
#include "test/scenarios/collectives.h"

namespace {

using namespace mana::test;

SCENARIO(every_intracommunicator_constructor_outlives_the_lower_half, .ranks = 4) {
  std::vector<MPI_Comm> made(11, MPI_COMM_NULL);
  MPI_Group world, some, reversed;
  MPI_Info info;
  MPI_Info_create(&info);
  MPI_Comm_group(MPI_COMM_WORLD, &world);
  const int members[3] = {3, 1, 0}, backwards[4] = {3, 2, 1, 0};
  MPI_Group_incl(world, 3, members, &some);
  MPI_Group_incl(world, 4, backwards, &reversed);
  MPI_Request dup;
  MPI_Comm_dup(MPI_COMM_WORLD, &made[0]);
  MPI_Comm_idup(MPI_COMM_WORLD, &made[1], &dup);
  MPI_Wait(&dup, MPI_STATUS_IGNORE);
  MPI_Comm_dup_with_info(MPI_COMM_WORLD, info, &made[2]);
  MPI_Comm_split(MPI_COMM_WORLD, job.rank % 2, -job.rank, &made[3]);
  MPI_Comm_split(MPI_COMM_WORLD, job.rank == 2 ? MPI_UNDEFINED : 7, 0, &made[4]);
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, -job.rank, MPI_INFO_NULL, &made[5]);
  MPI_Comm_create(MPI_COMM_WORLD, some, &made[6]);
  if (job.rank != 2) MPI_Comm_create_group(MPI_COMM_WORLD, some, 12, &made[7]);
  MPI_Comm_create(MPI_COMM_WORLD, reversed, &made[8]);
  if (made[6] != MPI_COMM_NULL) MPI_Comm_dup(made[6], &made[9]);
  MPI_Comm_split(made[8], job.rank / 2, job.rank, &made[10]);
  MPI_Group_free(&some);
  MPI_Group_free(&reversed);
  MPI_Group_free(&world);
  MPI_Info_free(&info);
  CHECK_EQ(made[4] == MPI_COMM_NULL, job.rank == 2);
  CHECK_EQ(made[6] == MPI_COMM_NULL, job.rank == 2);
  job.checkpoint_here();
  for (MPI_Comm comm : made) check_communicator(job, comm);
  for (MPI_Comm comm : made) check_all_blocking(job, comm);
  if (job.rank != 2) {
    const int place[4] = {2, 1, -1, 0};
    CHECK_EQ(Member(made[6]).rank, place[job.rank]);
    CHECK_EQ(Member(made[7]).rank, place[job.rank]);
    CHECK_EQ(Member(made[9]).size, 3);
    int relation = -1;
    MPI_Comm_compare(made[6], made[9], &relation);
    CHECK_EQ(relation, MPI_CONGRUENT);
    MPI_Comm_compare(made[4], made[6], &relation);
    CHECK_EQ(relation, MPI_SIMILAR);
    MPI_Comm_compare(made[4], made[3], &relation);
    CHECK_EQ(relation, MPI_UNEQUAL);
  }
  CHECK_EQ(Member(made[8]).rank, 3 - job.rank);
  CHECK_EQ(Member(made[3]).rank, job.rank < 2 ? 1 : 0);
  for (MPI_Comm& comm : made) {
    if (comm != MPI_COMM_NULL) MPI_Comm_free(&comm);
    CHECK(comm == MPI_COMM_NULL);
  }
}

SCENARIO(cartesian_topology_outlives_the_lower_half, .ranks = 4) {
  MPI_Comm grid, rows;
  const int dims[2] = {2, 2}, periods[2] = {1, 0}, keep[2] = {0, 1};
  MPI_Cart_create(MPI_COMM_WORLD, 2, dims, periods, 0, &grid);
  MPI_Cart_sub(grid, keep, &rows);
  job.checkpoint_here();
  int got_dims[2], got_periods[2], coords[2], dimensions = 0, topology = -1, low = 0, high = 0, rank = -1, where[2] = {1, 1};
  MPI_Topo_test(grid, &topology);
  CHECK_EQ(topology, MPI_CART);
  MPI_Cartdim_get(grid, &dimensions);
  CHECK_EQ(dimensions, 2);
  MPI_Cart_get(grid, 2, got_dims, got_periods, coords);
  CHECK_EQ(got_dims[0] * 1000 + got_dims[1] * 100 + got_periods[0] * 10 + got_periods[1], 2210);
  CHECK_EQ(coords[0] * 2 + coords[1], job.rank);
  MPI_Cart_rank(grid, where, &rank);
  CHECK_EQ(rank, 3);
  MPI_Cart_shift(grid, 0, 1, &low, &high);
  CHECK_EQ(low, (job.rank + 2) % 4);
  MPI_Cart_shift(grid, 1, 1, &low, &high);
  CHECK_EQ(low, job.rank % 2 == 0 ? MPI_PROC_NULL : job.rank - 1);
  CHECK_EQ(high, job.rank % 2 == 0 ? job.rank + 1 : MPI_PROC_NULL);
  MPI_Cart_get(rows, 1, got_dims, got_periods, coords);
  CHECK_EQ(got_dims[0], 2);
  check_all_blocking(job, grid);
  check_all_blocking(job, rows);
  int sum = 0;
  MPI_Allreduce(&job.rank, &sum, 1, MPI_INT, MPI_SUM, rows);
  CHECK_EQ(sum, job.rank < 2 ? 1 : 5);
  MPI_Comm_free(&rows);
  MPI_Comm_free(&grid);
}

SCENARIO(graph_topologies_outlive_the_lower_half, .ranks = 4) {
  MPI_Comm graph, adjacent, spread;
  const int index[4] = {2, 3, 4, 6}, edges[6] = {1, 3, 0, 3, 0, 2};
  MPI_Graph_create(MPI_COMM_WORLD, 4, index, edges, 0, &graph);
  const int left = (job.rank + 3) % 4, right = (job.rank + 1) % 4, in_weight = left + 10, out_weight = job.rank + 10;
  MPI_Dist_graph_create_adjacent(MPI_COMM_WORLD, 1, &left, &in_weight, 1, &right, &out_weight, MPI_INFO_NULL, 0, &adjacent);
  const int degree = 1;
  MPI_Dist_graph_create(MPI_COMM_WORLD, 1, &job.rank, &degree, &right, MPI_UNWEIGHTED, MPI_INFO_NULL, 0, &spread);
  job.checkpoint_here();
  int topology = -1, nodes = 0, edge_count = 0, neighbours = 0, list[2] = {-1, -1}, got_index[4], got_edges[6];
  MPI_Topo_test(graph, &topology);
  CHECK_EQ(topology, MPI_GRAPH);
  MPI_Graphdims_get(graph, &nodes, &edge_count);
  CHECK_EQ(nodes * 10 + edge_count, 46);
  MPI_Graph_get(graph, 4, 6, got_index, got_edges);
  CHECK(std::equal(index, index + 4, got_index) && std::equal(edges, edges + 6, got_edges));
  MPI_Graph_neighbors_count(graph, job.rank, &neighbours);
  CHECK_EQ(neighbours, index[job.rank] - (job.rank ? index[job.rank - 1] : 0));
  MPI_Graph_neighbors(graph, 3, 2, list);
  CHECK_EQ(list[0] * 10 + list[1], 2);
  for (MPI_Comm comm : {adjacent, spread}) {
    int in = 0, out = 0, weighted = -1, source = -1, destination = -1, weights[2] = {0, 0};
    MPI_Topo_test(comm, &topology);
    CHECK_EQ(topology, MPI_DIST_GRAPH);
    MPI_Dist_graph_neighbors_count(comm, &in, &out, &weighted);
    CHECK_EQ(in * 10 + out, 11);
    CHECK_EQ(weighted != 0, comm == adjacent);
    MPI_Dist_graph_neighbors(comm, 1, &source, comm == adjacent ? &weights[0] : MPI_UNWEIGHTED, 1, &destination,
                             comm == adjacent ? &weights[1] : MPI_UNWEIGHTED);
    CHECK_EQ(source, left);
    CHECK_EQ(destination, right);
    if (comm == adjacent) CHECK_EQ(weights[0] * 100 + weights[1], in_weight * 100 + out_weight);
    int got = -1;
    MPI_Neighbor_allgather(&job.rank, 1, MPI_INT, &got, 1, MPI_INT, comm);
    CHECK_EQ(got, left);
  }
  check_all_blocking(job, graph);
  for (MPI_Comm* comm : {&graph, &adjacent, &spread}) MPI_Comm_free(comm);
}

MPI_Comm halves(const Job& job, MPI_Comm* local) {  // {0, 1} and {2, 3}
  MPI_Comm inter;
  MPI_Comm_split(MPI_COMM_WORLD, job.rank / 2, 0, local);
  MPI_Intercomm_create(*local, 0, MPI_COMM_WORLD, job.rank < 2 ? 2 : 0, 17, &inter);
  return inter;
}

void check_intercommunicator(Job& job, MPI_Comm inter) {
  const bool first = job.rank < 2;
  const int mine = job.rank + 1, other_sum = first ? 7 : 3, peer = job.rank % 2;
  int flag = 0, remote = 0, sum = 0, got = 0;
  MPI_Comm_test_inter(inter, &flag);
  MPI_Comm_remote_size(inter, &remote);
  CHECK_EQ(flag * 10 + remote, 12);
  MPI_Sendrecv(&mine, 1, MPI_INT, peer, 3, &got, 1, MPI_INT, peer, 3, inter, MPI_STATUS_IGNORE);
  CHECK_EQ(got, (job.rank + 2) % 4 + 1);
  MPI_Barrier(inter);
  MPI_Allreduce(&mine, &sum, 1, MPI_INT, MPI_SUM, inter);
  CHECK_EQ(sum, other_sum);
  int told = job.rank == 1 ? 55 : 0;
  const int root = first ? (job.rank == 1 ? MPI_ROOT : MPI_PROC_NULL) : 1;
  MPI_Bcast(&told, 1, MPI_INT, root, inter);
  if (!first || job.rank == 1) CHECK_EQ(told, 55);
  sum = 0;
  MPI_Reduce(&mine, &sum, 1, MPI_INT, MPI_SUM, root, inter);
  if (job.rank == 1) CHECK_EQ(sum, 7);
  int all[2] = {0, 0}, crossed[2] = {0, 0};
  const int out[2] = {job.rank * 10, job.rank * 10 + 1};
  MPI_Allgather(&mine, 1, MPI_INT, all, 1, MPI_INT, inter);
  CHECK_EQ(all[0] * 10 + all[1], first ? 34 : 12);
  MPI_Alltoall(out, 1, MPI_INT, crossed, 1, MPI_INT, inter);
  CHECK_EQ(crossed[0], (first ? 2 : 0) * 10 + peer);
  int gathered[2] = {0, 0};
  MPI_Gather(&mine, 1, MPI_INT, gathered, 1, MPI_INT, root, inter);
  if (job.rank == 1) CHECK_EQ(gathered[0] * 10 + gathered[1], 34);
  int part = 0;
  MPI_Scatter(out, 1, MPI_INT, &part, 1, MPI_INT, root, inter);
  if (!first) CHECK_EQ(part, 10 + peer);
}

SCENARIO(intercommunicators_outlive_the_lower_half, .ranks = 4) {
  MPI_Comm local, merged, copy;
  MPI_Comm inter = halves(job, &local);
  MPI_Intercomm_merge(inter, job.rank < 2, &merged);
  MPI_Comm_dup(inter, &copy);
  job.checkpoint_here();
  check_intercommunicator(job, inter);
  check_intercommunicator(job, copy);
  check_all_blocking(job, merged);
  CHECK_EQ(Member(merged).rank, (job.rank + 2) % 4);
  MPI_Group remote;
  int size = 0, relation = -1;
  MPI_Comm_remote_group(inter, &remote);
  MPI_Group_size(remote, &size);
  CHECK_EQ(size, 2);
  MPI_Group_free(&remote);
  MPI_Comm_compare(inter, copy, &relation);
  CHECK_EQ(relation, MPI_CONGRUENT);
  MPI_Comm again;
  MPI_Intercomm_merge(copy, 0, &again);
  check_communicator(job, again);
  for (MPI_Comm* comm : {&local, &merged, &copy, &again, &inter}) MPI_Comm_free(comm);
}

SCENARIO(pending_operations_on_an_intercommunicator, .ranks = 4) {
  MPI_Comm local;
  MPI_Comm inter = halves(job, &local);
  int mine = job.rank + 1, sum = 0, got = -1;
  const int peer = job.rank % 2;
  MPI_Request r[3];
  MPI_Irecv(&got, 1, MPI_INT, MPI_ANY_SOURCE, 4, inter, &r[0]);
  MPI_Iallreduce(&mine, &sum, 1, MPI_INT, MPI_SUM, inter, &r[1]);
  MPI_Isend(&mine, 1, MPI_INT, peer, 5, inter, &r[2]);
  job.checkpoint_here();
  MPI_Send(&mine, 1, MPI_INT, peer, 4, inter);
  MPI_Status statuses[3];
  MPI_Waitall(3, r, statuses);
  CHECK_EQ(got, (job.rank + 2) % 4 + 1);
  CHECK_EQ(statuses[0].MPI_SOURCE, peer);
  CHECK_EQ(sum, job.rank < 2 ? 7 : 3);
  MPI_Recv(&got, 1, MPI_INT, peer, 5, inter, MPI_STATUS_IGNORE);
  CHECK_EQ(got, (job.rank + 2) % 4 + 1);
  MPI_Comm_free(&inter);
  MPI_Comm_free(&local);
}

SCENARIO(overlapping_rows_and_columns, .ranks = 4) {
  MPI_Comm row, column;
  MPI_Comm_split(MPI_COMM_WORLD, job.rank / 2, job.rank, &row);
  MPI_Comm_split(MPI_COMM_WORLD, job.rank % 2, job.rank, &column);
  for (int round = 0; round < 4; round++) {
    int sum = 0, total = 0;
    MPI_Request r[2];
    MPI_Irecv(&total, 1, MPI_INT, MPI_ANY_SOURCE, 3, column, &r[0]);
    MPI_Iallreduce(&job.rank, &sum, 1, MPI_INT, MPI_SUM, row, &r[1]);
    if (round == 2) job.checkpoint_here();
    MPI_Wait(&r[1], MPI_STATUS_IGNORE);
    CHECK_EQ(sum, job.rank < 2 ? 1 : 5);
    MPI_Send(&sum, 1, MPI_INT, 1 - job.rank / 2, 3, column);
    MPI_Wait(&r[0], MPI_STATUS_IGNORE);
    CHECK_EQ(sum + total, 6);
    MPI_Barrier(round % 2 ? row : column);
  }
  MPI_Comm_free(&row);
  MPI_Comm_free(&column);
}

SCENARIO(communicator_freed_with_pending_operations, .ranks = 2) {
  MPI_Comm comm;
  MPI_Request pending;
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  const auto values = pattern(2 << 20, 9);
  std::vector<int> got(2 << 20);
  if (job.rank == 0) MPI_Irecv(got.data(), 2 << 20, MPI_INT, MPI_ANY_SOURCE, 1, comm, &pending);
  if (job.rank == 1) MPI_Isend(values.data(), 2 << 20, MPI_INT, 0, 1, comm, &pending);
  MPI_Comm_free(&comm);
  CHECK(comm == MPI_COMM_NULL);
  job.checkpoint_here();
  MPI_Wait(&pending, MPI_STATUS_IGNORE);
  if (job.rank == 0) CHECK(got == values);
}

SCENARIO(receive_pending_on_a_communicator_its_owner_freed, .ranks = 2) {
  MPI_Comm comm;
  MPI_Request pending;
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  int got = -1;
  const int value = 12;
  if (job.rank == 0) {
    MPI_Irecv(&got, 1, MPI_INT, 1, 1, comm, &pending);
    MPI_Comm_free(&comm);
  }
  job.announce();
  if (job.rank == 1) {
    job.wait_until_underway();  // not longer: freeing is collective, and rank 0 has begun it
    MPI_Send(&value, 1, MPI_INT, 0, 1, comm);
    MPI_Comm_free(&comm);
  } else {
    MPI_Wait(&pending, MPI_STATUS_IGNORE);
    CHECK_EQ(got, 12);
  }
}

SCENARIO(dup_while_the_checkpoint_is_under_way, .ranks = 3) {
  MPI_Comm copies[2];
  job.announce();
  if (job.rank != 0) job.wait_until_underway();
  MPI_Comm_dup(MPI_COMM_WORLD, &copies[0]);
  MPI_Comm_split(copies[0], 0, -job.rank, &copies[1]);
  check_all_blocking(job, copies[0]);
  check_all_blocking(job, copies[1]);
  job.wait_until_over();
  check_communicator(job, copies[1]);
  MPI_Comm_free(&copies[0]);
  MPI_Comm_free(&copies[1]);
}

SCENARIO(idup_pending_across, .ranks = 2) {
  MPI_Comm copy = MPI_COMM_NULL;
  MPI_Request pending;
  MPI_Comm_idup(MPI_COMM_WORLD, &copy, &pending);
  job.checkpoint_here();
  MPI_Wait(&pending, MPI_STATUS_IGNORE);
  check_all_blocking(job, copy);
  MPI_Comm_free(&copy);
}

SCENARIO(nonblocking_collectives_in_opposite_order_on_two_dups, .ranks = 2) {
  MPI_Comm first, second;
  MPI_Comm_dup(MPI_COMM_WORLD, &first);
  MPI_Comm_dup(MPI_COMM_WORLD, &second);
  int a = 1 + job.rank, b = 10 + job.rank, sum_a = 0, product_b = 0;
  MPI_Request r[2];
  const auto begin_a = [&] { MPI_Iallreduce(&a, &sum_a, 1, MPI_INT, MPI_SUM, first, &r[0]); };
  const auto begin_b = [&] { MPI_Iallreduce(&b, &product_b, 1, MPI_INT, MPI_PROD, second, &r[1]); };
  if (job.rank == 0) begin_a();
  if (job.rank == 1) begin_b();
  job.announce();
  job.wait_until_underway();
  if (job.rank == 0) begin_b();
  if (job.rank == 1) begin_a();
  job.wait_until_over();
  MPI_Waitall(2, r, MPI_STATUSES_IGNORE);
  CHECK_EQ(sum_a, 3);
  CHECK_EQ(product_b, 110);
  MPI_Comm_free(&first);
  MPI_Comm_free(&second);
}

SCENARIO(thousands_of_communicators_made_and_freed, .ranks = 2) {
  MPI_Comm kept[5], comm;
  for (int i = 0; i < 6000; i++) {  // more than MPICH has context ids
    MPI_Comm_dup(i % 2 ? MPI_COMM_SELF : MPI_COMM_WORLD, &comm);
    if (i % 1500 == 0) MPI_Comm_dup(comm, &kept[i / 1500]);
    MPI_Comm_free(&comm);
  }
  MPI_Comm_dup(MPI_COMM_WORLD, &kept[4]);
  job.checkpoint_here();
  for (int i = 0; i < 500; i++) {
    MPI_Comm_split(kept[i % 5], 0, 0, &comm);
    if (i % 50 == 0) check_communicator(job, comm);
    MPI_Comm_free(&comm);
  }
  for (auto& one : kept) {
    check_all_blocking(job, one);
    MPI_Comm_free(&one);
  }
}

SCENARIO(communicators_made_in_different_orders, .ranks = 3) {
  // {0,1}, {1,2}, {0,2}, each rank makes its two in its own order of world ranks: a cycle would deadlock a naive rebuild.
  MPI_Group world;
  MPI_Comm_group(MPI_COMM_WORLD, &world);
  MPI_Comm pair[3] = {MPI_COMM_NULL, MPI_COMM_NULL, MPI_COMM_NULL};
  const int members[3][2] = {{0, 1}, {1, 2}, {0, 2}};
  for (int i = 0; i < 3; i++) {
    MPI_Group both;
    MPI_Group_incl(world, 2, members[i], &both);
    if (members[i][0] == job.rank || members[i][1] == job.rank) MPI_Comm_create_group(MPI_COMM_WORLD, both, 5, &pair[i]);
    MPI_Group_free(&both);
  }
  MPI_Group_free(&world);
  for (int turn = 0; turn < 3; turn++) {
    const int i = (turn + 1) % 3;
    if (pair[i] == MPI_COMM_NULL) continue;
    MPI_Comm renewed;
    MPI_Comm_dup(pair[i], &renewed);
    MPI_Comm_free(&pair[i]);
    pair[i] = renewed;
  }
  job.checkpoint_here();
  for (auto& comm : pair) {
    check_communicator(job, comm);
    if (comm != MPI_COMM_NULL) MPI_Comm_free(&comm);
  }
}

SCENARIO(unequal_use_of_comm_self, .ranks = 3) {
  int sum = 0;
  const auto use = [&](int times) {
    for (int i = 0; i < times; i++) {
      MPI_Allreduce(&i, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_SELF);
      CHECK_EQ(sum, i);
    }
    MPI_Comm copy;
    MPI_Comm_dup(MPI_COMM_SELF, &copy);
    MPI_Barrier(copy);
    MPI_Comm_free(&copy);
  };
  if (job.rank == 0) use(1000);
  MPI_Request pending = MPI_REQUEST_NULL;
  if (job.rank == 1) MPI_Ibarrier(MPI_COMM_SELF, &pending);
  job.announce();
  if (job.rank == 2) use(3);
  while (job.rank == 0 && !job.over()) use(50);
  if (job.rank != 0) job.wait_until_over();  // not inside a collective that rank 0 comes to only then
  MPI_Wait(&pending, MPI_STATUS_IGNORE);
  check_communicator(job, MPI_COMM_WORLD);
  use(job.rank + 1);
}

}  // namespace
