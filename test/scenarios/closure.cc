// SPDX-License-Identifier: BSD-3-Clause
// The moment of a checkpoint while ranks stand in collectives, before collectives, and wait for each other across both
// (control/README.md, "closure").  Ranks are A, B, C, D = 0, 1, 2, 3.
#include "test/scenarios/collectives.h"

namespace {

using namespace mana::test;

// X = {A, D}, Y = {B, C}.  C is inside a collective of Y; B must come to it, but waits for A; A is held before a collective
// of X, which precedes what it does for B; D computes.  `a_acts` and `b_waits` are the point-to-point edge.
template <class Acts, class Waits>
void collective_behind_an_edge(Job& job, Acts a_acts, Waits b_waits) {
  MPI_Comm x, y;
  MPI_Comm_split(MPI_COMM_WORLD, job.rank == 0 || job.rank == 3 ? 0 : MPI_UNDEFINED, 0, &x);
  MPI_Comm_split(MPI_COMM_WORLD, job.rank == 1 || job.rank == 2 ? 0 : MPI_UNDEFINED, 0, &y);
  job.announce();
  int sum = 0;
  switch (job.rank) {
    case 0:
      job.wait_until_underway();
      MPI_Allreduce(&job.rank, &sum, 1, MPI_INT, MPI_SUM, x);
      CHECK_EQ(sum, 3);
      a_acts();
      break;
    case 1:
      b_waits();
      MPI_Allreduce(&job.rank, &sum, 1, MPI_INT, MPI_SUM, y);
      CHECK_EQ(sum, 3);
      break;
    case 2:
      MPI_Allreduce(&job.rank, &sum, 1, MPI_INT, MPI_SUM, y);
      CHECK_EQ(sum, 3);
      break;
    default: {
      job.wait_until_underway();
      volatile double heat = 0;
      for (int i = 0; i < 20000000; i++) heat = heat + 1.0 / (i + 1);
      MPI_Allreduce(&job.rank, &sum, 1, MPI_INT, MPI_SUM, x);
      CHECK_EQ(sum, 3);
    }
  }
  job.wait_until_over();
  if (x != MPI_COMM_NULL) check_all_blocking(job, x), MPI_Comm_free(&x);
  if (y != MPI_COMM_NULL) check_all_blocking(job, y), MPI_Comm_free(&y);
}

int got = 0;
void send_to_b() {
  const int value = 8;
  MPI_Send(&value, 1, MPI_INT, 1, 5, MPI_COMM_WORLD);
}

SCENARIO(collective_behind_a_recv, .ranks = 4) {
  collective_behind_an_edge(job, send_to_b, [] { MPI_Recv(&got, 1, MPI_INT, 0, 5, MPI_COMM_WORLD, MPI_STATUS_IGNORE); });
}
SCENARIO(collective_behind_a_wildcard_recv, .ranks = 4) {
  collective_behind_an_edge(job, send_to_b, [] {
    MPI_Recv(&got, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  });
}
SCENARIO(collective_behind_a_waitany, .ranks = 4) {
  static int other = 0;
  MPI_Request requests[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
  collective_behind_an_edge(job, send_to_b, [&] {
    int index = -1;
    MPI_Irecv(&other, 1, MPI_INT, 2, 6, MPI_COMM_WORLD, &requests[0]);
    MPI_Irecv(&got, 1, MPI_INT, 0, 5, MPI_COMM_WORLD, &requests[1]);
    MPI_Waitany(2, requests, &index, MPI_STATUS_IGNORE);
    CHECK_EQ(index, 1);
  });
  const int value = 1;
  if (job.rank == 2) MPI_Send(&value, 1, MPI_INT, 1, 6, MPI_COMM_WORLD);
  MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
}
SCENARIO(collective_behind_a_waitall, .ranks = 4) {
  collective_behind_an_edge(
      job,
      [] {
        send_to_b();
        send_to_b();
      },
      [] {
        int values[2] = {0, 0};
        MPI_Request requests[2];
        for (int i = 0; i < 2; i++) MPI_Irecv(&values[i], 1, MPI_INT, 0, 5, MPI_COMM_WORLD, &requests[i]);
        MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
      });
}
SCENARIO(collective_behind_a_probe, .ranks = 4) {
  collective_behind_an_edge(job, send_to_b, [] {
    MPI_Status status;
    MPI_Probe(MPI_ANY_SOURCE, 5, MPI_COMM_WORLD, &status);
    MPI_Recv(&got, 1, MPI_INT, 0, 5, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  });
}
SCENARIO(collective_behind_a_test_loop, .ranks = 4) {
  collective_behind_an_edge(job, send_to_b, [] {
    MPI_Request request;
    int flag = 0;
    MPI_Irecv(&got, 1, MPI_INT, 0, 5, MPI_COMM_WORLD, &request);
    while (!flag) MPI_Test(&request, &flag, MPI_STATUS_IGNORE);
  });
}
SCENARIO(collective_behind_a_rendezvous_send, .ranks = 4) {
  static std::vector<int> values(2 << 20, 4), room(2 << 20);
  collective_behind_an_edge(
      job, [] { MPI_Recv(room.data(), 2 << 20, MPI_INT, 1, 5, MPI_COMM_WORLD, MPI_STATUS_IGNORE); },
      [] { MPI_Send(values.data(), 2 << 20, MPI_INT, 0, 5, MPI_COMM_WORLD); });
  if (job.rank == 0) CHECK(room == values);
}
SCENARIO(collective_behind_a_synchronous_send, .ranks = 4) {
  collective_behind_an_edge(
      job, [] { MPI_Recv(&got, 1, MPI_INT, 1, 5, MPI_COMM_WORLD, MPI_STATUS_IGNORE); },
      [] { MPI_Ssend(&got, 1, MPI_INT, 0, 5, MPI_COMM_WORLD); });
}
SCENARIO(collective_behind_two_receives_in_a_row, .ranks = 4) {
  // As above, and A itself, after X, sends to D, which passes the message on to B.
  MPI_Comm x, y;
  MPI_Comm_split(MPI_COMM_WORLD, job.rank == 0 || job.rank == 3 ? 0 : MPI_UNDEFINED, 0, &x);
  MPI_Comm_split(MPI_COMM_WORLD, job.rank == 1 || job.rank == 2 ? 0 : MPI_UNDEFINED, 0, &y);
  job.announce();
  int value = 4;
  if (job.rank == 0) {
    job.wait_until_underway();
    MPI_Barrier(MPI_COMM_SELF);
    MPI_Comm pair;
    MPI_Comm_dup(x, &pair);
    MPI_Comm_free(&pair);
    MPI_Send(&value, 1, MPI_INT, 3, 1, MPI_COMM_WORLD);
  }
  if (job.rank == 3) {
    job.wait_until_underway();
    MPI_Comm pair;
    MPI_Comm_dup(x, &pair);
    MPI_Comm_free(&pair);
    MPI_Recv(&value, 1, MPI_INT, 0, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    MPI_Send(&value, 1, MPI_INT, 1, 2, MPI_COMM_WORLD);
  }
  if (job.rank == 1) MPI_Recv(&value, 1, MPI_INT, 3, 2, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  if (y != MPI_COMM_NULL) MPI_Barrier(y);
  CHECK_EQ(value, 4);
  job.wait_until_over();
  if (x != MPI_COMM_NULL) MPI_Comm_free(&x);
  if (y != MPI_COMM_NULL) MPI_Comm_free(&y);
}

SCENARIO(one_rank_is_inside_a_barrier_and_the_others_come_late, .ranks = 4) {
  job.announce();
  if (job.rank != 0) job.wait_until_underway();
  MPI_Barrier(MPI_COMM_WORLD);
  check_communicator(job, MPI_COMM_WORLD);
}

SCENARIO(rank_that_never_calls_mpi_again, .ranks = 3) {
  MPI_Comm others;
  MPI_Comm_split(MPI_COMM_WORLD, job.rank == 0 ? MPI_UNDEFINED : 1, 0, &others);
  job.announce();
  if (job.rank == 0) {
    volatile long turns = 0;
    while (!job.over()) turns = turns + 1;
  } else {
    for (int everybody = 0; !everybody;) {
      int mine = job.over();
      MPI_Allreduce(&mine, &everybody, 1, MPI_INT, MPI_MIN, others);
    }
    MPI_Comm_free(&others);
  }
}

// The root has left a broadcast that a leaf has not yet entered.
template <class After>
void root_runs_ahead(Job& job, After after) {
  job.announce();
  int told = job.rank == 0 ? 21 : 0;
  if (job.rank == 2) job.wait_until_underway();
  MPI_Bcast(&told, 1, MPI_INT, 0, MPI_COMM_WORLD);
  CHECK_EQ(told, 21);
  after();
}
SCENARIO(broadcast_root_runs_ahead_and_computes, .ranks = 3) {
  root_runs_ahead(job, [&] { job.wait_until_over(); });
}
SCENARIO(broadcast_root_runs_ahead_and_sends, .ranks = 3) {
  int value = 4;
  root_runs_ahead(job, [&] {
    if (job.rank == 0) MPI_Ssend(&value, 1, MPI_INT, 2, 6, MPI_COMM_WORLD);
    if (job.rank == 2) MPI_Recv(&value, 1, MPI_INT, 0, 6, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  });
}
SCENARIO(broadcast_root_runs_ahead_and_parks, .ranks = 3) {
  root_runs_ahead(job, [&] { check_communicator(job, MPI_COMM_WORLD); });
}
SCENARIO(broadcast_loop_without_synchronisation, .ranks = 3) {
  job.announce();
  for (int round = 0, last = 0; !last; round++) {
    int told[2] = {round, job.over()};
    if (job.rank == 2 && round % 16 == 0) {
      volatile double heat = 0;
      for (int i = 0; i < 100000; i++) heat = heat + i;
    }
    MPI_Bcast(told, 2, MPI_INT, 0, MPI_COMM_WORLD);
    CHECK_EQ(told[0], round);
    last = told[1];
    if (round % 64 == 63) MPI_Barrier(MPI_COMM_WORLD);  // natively an unbounded lead would fill the memory
  }
}

SCENARIO(collectives_on_an_intercommunicator_while_under_way, .ranks = 4) {
  MPI_Comm local, inter;
  MPI_Comm_split(MPI_COMM_WORLD, job.rank / 2, 0, &local);
  MPI_Intercomm_create(local, 0, MPI_COMM_WORLD, job.rank < 2 ? 2 : 0, 17, &inter);
  job.announce();
  if (job.rank % 2 == 1) job.wait_until_underway();
  int sum = 0;
  MPI_Allreduce(&job.rank, &sum, 1, MPI_INT, MPI_SUM, inter);
  CHECK_EQ(sum, job.rank < 2 ? 5 : 1);
  MPI_Barrier(inter);
  MPI_Comm_free(&inter);
  MPI_Comm_free(&local);
}

SCENARIO(intercommunicator_and_group_creation_while_under_way, .ranks = 4) {
  MPI_Group world, pair;
  MPI_Comm local, inter, both = MPI_COMM_NULL;
  MPI_Comm_group(MPI_COMM_WORLD, &world);
  const int members[2] = {1, 3};
  MPI_Group_incl(world, 2, members, &pair);
  MPI_Comm_split(MPI_COMM_WORLD, job.rank / 2, 0, &local);
  job.announce();
  if (job.rank == 1) job.wait_until_underway();
  if (job.rank % 2 == 1) MPI_Comm_create_group(MPI_COMM_WORLD, pair, 3, &both);
  MPI_Intercomm_create(local, 0, MPI_COMM_WORLD, job.rank < 2 ? 2 : 0, 17, &inter);
  job.wait_until_over();
  check_communicator(job, both);
  int sum = 0;
  MPI_Allreduce(&job.rank, &sum, 1, MPI_INT, MPI_SUM, inter);
  CHECK_EQ(sum, job.rank < 2 ? 5 : 1);
  if (both != MPI_COMM_NULL) MPI_Comm_free(&both);
  MPI_Comm_free(&inter);
  MPI_Comm_free(&local);
  MPI_Group_free(&world);
  MPI_Group_free(&pair);
}

SCENARIO(ring_of_pairwise_communicators, .ranks = 4) {
  MPI_Comm even, odd;  // {0,1} {2,3} and {1,2} {3,0}
  MPI_Comm_split(MPI_COMM_WORLD, job.rank / 2, 0, &even);
  MPI_Comm_split(MPI_COMM_WORLD, (job.rank + 1) % 4 / 2, 0, &odd);
  job.announce();
  int everybody = 0;
  for (int round = 0; !everybody; round++) {
    int mine = job.rank + round, sum = 0;
    MPI_Allreduce(&mine, &sum, 1, MPI_INT, MPI_SUM, round % 2 ? odd : even);
    if (round % 50 == 0) {
      int over = job.over();
      MPI_Allreduce(&over, &everybody, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    }
  }
  MPI_Comm_free(&even);
  MPI_Comm_free(&odd);
}

}  // namespace
