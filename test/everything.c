// SPDX-License-Identifier: BSD-3-Clause
// One ordinary C program that holds something of everything that outlives a restart, over two checkpoints: in the first
// all of it is alive, in the second again, made anew by the resumed job.  The program of the matrix.  Any number of ranks >= 2.
// With MANA_TEST_MODE unset it runs through.
#include <mpi.h>

#include "test/rendezvous.h"

static Rendezvous meeting;
static int rank, size, failures, round_;

static void nudge(void) {
  int flag = 0;
  MPI_Iprobe(MPI_ANY_SOURCE, 32001, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);  // a tag that nobody uses
}

#define CHECK_EQ(GOT, EXPECTED)                                                                                      \
  do {                                                                                                               \
    const long long got_ = (long long)(GOT), expected_ = (long long)(EXPECTED);                                      \
    if (got_ != expected_) {                                                                                         \
      failures++;                                                                                                    \
      fprintf(stderr, "FAILED everything round %d rank %d line %d: CHECK_EQ(%s, %s): %lld != %lld\n", round_, rank,  \
              __LINE__, #GOT, #EXPECTED, got_, expected_);                                                           \
    }                                                                                                                \
  } while (0)

static int handled, deleted, copied;
static void on_error(MPI_Comm* comm, int* code, ...) {
  (void)comm;
  int class_of_error = 0;
  MPI_Error_class(*code, &class_of_error);
  handled += class_of_error == MPI_ERR_RANK;
}
static int on_copy(MPI_Comm comm, int key, void* extra, void* in, void* out, int* flag) {
  (void)comm, (void)key, (void)extra;
  copied++;
  *(void**)out = in;
  *flag = 1;
  return MPI_SUCCESS;
}
static int on_delete(MPI_Comm comm, int key, void* value, void* extra) {
  (void)comm, (void)key, (void)value, (void)extra;
  deleted++;
  return MPI_SUCCESS;
}
static void sum_of_pairs(void* in, void* inout, int* length, MPI_Datatype* type) {
  (void)type;
  const int* a = in;
  int* b = inout;
  for (int i = 0; i < 2 * *length; i++) b[i] += a[i];
}

static void everything(void) {
  const int right = (rank + 1) % size, left = (rank + size - 1) % size, mine = rank + 1;
  const int all_sum = size * (size + 1) / 2;

  // Communicators, a topology, attributes, an error handler, names, info.
  MPI_Comm dup, halves, ring, inter = MPI_COMM_NULL, merged = MPI_COMM_NULL;
  MPI_Comm_dup(MPI_COMM_WORLD, &dup);
  MPI_Comm_split(dup, rank % 2, -rank, &halves);
  const int periodic = 1;
  MPI_Cart_create(MPI_COMM_WORLD, 1, &size, &periodic, 0, &ring);
  MPI_Intercomm_create(halves, 0, MPI_COMM_WORLD, rank % 2 == 0 ? (size - 1) - size % 2 : (size - 1) - (size - 1) % 2, 9, &inter);
  MPI_Intercomm_merge(inter, rank % 2, &merged);
  int key = 0;
  static char attribute[10];
  MPI_Comm_create_keyval(on_copy, on_delete, &key, NULL);
  MPI_Comm_set_attr(dup, key, attribute);
  MPI_Errhandler handler;
  MPI_Comm_create_errhandler(on_error, &handler);
  MPI_Comm_set_errhandler(dup, handler);
  MPI_Errhandler_free(&handler);
  MPI_Comm_set_name(dup, "everything");
  MPI_Info info;
  MPI_Info_create(&info);
  MPI_Info_set(info, "where", "above");
  MPI_Group group;
  MPI_Comm_group(halves, &group);

  // Types and operators, in use and freed.
  MPI_Datatype pair, column;
  MPI_Type_contiguous(2, MPI_INT, &pair);
  MPI_Type_commit(&pair);
  MPI_Type_vector(8, 1, 4, pair, &column);
  MPI_Type_commit(&column);
  MPI_Op op;
  MPI_Op_create(sum_of_pairs, 1, &op);

  // In flight: unmatched, posted, persistent, synchronous, matched by a probe, freed; collectives begun.
  enum { kLarge = 1 << 20 };
  int* large = malloc(kLarge * sizeof(int));
  int* large_in = malloc(kLarge * sizeof(int));
  for (int i = 0; i < kLarge; i++) large[i] = i * 3 + rank;
  int grid[64], grid_in[64], wildcard[2] = {-1, -1}, persistent_in = -1, pairs[2] = {mine, 1}, pair_sum[2] = {0, 0};
  int bcast = rank == 0 ? 61 : 0, handshake_in = -1, matched_in = -1, scan = 0, ready_in = -1;
  for (int i = 0; i < 64; i++) grid[i] = rank * 100 + i, grid_in[i] = -1;
  MPI_Request requests[12], persistent[2];
  MPI_Irecv(&wildcard[0], 1, MPI_INT, MPI_ANY_SOURCE, 20, dup, &requests[0]);
  MPI_Irecv(&wildcard[1], 1, MPI_INT, MPI_ANY_SOURCE, 20, dup, &requests[1]);
  MPI_Isend(large, kLarge, MPI_INT, right, 21, MPI_COMM_WORLD, &requests[2]);
  MPI_Isend(grid, 1, column, right, 22, ring, &requests[3]);
  MPI_Issend(&mine, 1, MPI_INT, right, 23, merged, &requests[4]);
  MPI_Iallreduce(pairs, pair_sum, 1, pair, op, MPI_COMM_WORLD, &requests[5]);
  MPI_Ibcast(&bcast, 1, MPI_INT, 0, dup, &requests[6]);
  MPI_Iscan(&mine, &scan, 1, MPI_INT, MPI_SUM, ring, &requests[7]);
  MPI_Irecv(&ready_in, 1, MPI_INT, left, 26, dup, &requests[8]);
  MPI_Send_init(&mine, 1, MPI_INT, right, 24, dup, &persistent[0]);
  MPI_Recv_init(&persistent_in, 1, MPI_INT, left, 24, dup, &persistent[1]);
  MPI_Startall(2, persistent);
  MPI_Send(&mine, 1, MPI_INT, right, 25, MPI_COMM_WORLD);
  MPI_Message message;
  MPI_Mprobe(left, 25, MPI_COMM_WORLD, &message, MPI_STATUS_IGNORE);
  MPI_Send(&mine, 1, MPI_INT, right, 20, dup);
  const double before = MPI_Wtime();

  rendezvous_announce(&meeting, "everything");
  rendezvous_wait_over(&meeting);

  CHECK_EQ(MPI_Wtime() >= before, 1);
  MPI_Status status, statuses[12];
  int count = 0, flag = 0, relation = -1, length = 0, value = 0;
  MPI_Rsend(&mine, 1, MPI_INT, right, 26, dup);
  MPI_Send(&mine, 1, MPI_INT, right, 20, dup);
  MPI_Mrecv(&matched_in, 1, MPI_INT, &message, &status);
  CHECK_EQ(matched_in, left + 1);
  CHECK_EQ(status.MPI_SOURCE, left);
  MPI_Probe(MPI_ANY_SOURCE, 21, MPI_COMM_WORLD, &status);
  MPI_Get_count(&status, MPI_INT, &count);
  CHECK_EQ(count, kLarge);
  MPI_Recv(large_in, kLarge, MPI_INT, left, 21, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  for (int i = 0; i < kLarge; i += 4097) CHECK_EQ(large_in[i], i * 3 + left);
  MPI_Recv(grid_in, 1, column, left, MPI_ANY_TAG, ring, &status);
  CHECK_EQ(status.MPI_TAG, 22);
  for (int i = 0; i < 58; i++) CHECK_EQ(grid_in[i], i % 8 < 2 ? left * 100 + i : -1);
  // Where rank r of world stands in `merged`: the even ones first, each half in reverse order of world ranks.
  MPI_Group world_group, merged_group;
  MPI_Comm_group(MPI_COMM_WORLD, &world_group);
  MPI_Comm_group(merged, &merged_group);
  int merged_rank = 0, source = 0, previous = 0;
  MPI_Comm_rank(merged, &merged_rank);
  (void)merged_rank;
  MPI_Recv(&handshake_in, 1, MPI_INT, MPI_ANY_SOURCE, 23, merged, &status);
  previous = status.MPI_SOURCE;
  MPI_Group_translate_ranks(merged_group, 1, &previous, world_group, &source);
  CHECK_EQ(handshake_in, source + 1);
  MPI_Group_free(&world_group);
  MPI_Group_free(&merged_group);
  MPI_Waitall(9, requests, statuses);
  CHECK_EQ(wildcard[0], left + 1);
  CHECK_EQ(wildcard[1], left + 1);
  CHECK_EQ(statuses[0].MPI_SOURCE, left);
  CHECK_EQ(ready_in, left + 1);
  CHECK_EQ(pair_sum[0], all_sum);
  CHECK_EQ(pair_sum[1], size);
  CHECK_EQ(bcast, 61);
  CHECK_EQ(scan, mine * (mine + 1) / 2);
  MPI_Waitall(2, persistent, MPI_STATUSES_IGNORE);
  CHECK_EQ(persistent_in, left + 1);
  persistent_in = -1;
  MPI_Startall(2, persistent);
  MPI_Waitall(2, persistent, MPI_STATUSES_IGNORE);
  CHECK_EQ(persistent_in, left + 1);
  MPI_Request_free(&persistent[0]);
  MPI_Request_free(&persistent[1]);

  // Everything made before, used after.
  int sum = 0, coordinate = -1, low = -1, high = -1, remote = 0;
  MPI_Allreduce(pairs, pair_sum, 1, pair, op, merged);
  CHECK_EQ(pair_sum[0], all_sum);
  MPI_Allreduce(&mine, &sum, 1, MPI_INT, MPI_SUM, inter);
  MPI_Comm_remote_size(inter, &remote);
  int halves_sum = 0;
  MPI_Allreduce(&mine, &halves_sum, 1, MPI_INT, MPI_SUM, halves);
  CHECK_EQ(sum + halves_sum, all_sum);
  MPI_Group_size(group, &value);
  CHECK_EQ(remote + value, size);
  MPI_Cart_shift(ring, 0, 1, &low, &high);
  MPI_Cart_coords(ring, rank, 1, &coordinate);
  CHECK_EQ(low * 10000 + high * 100 + coordinate, left * 10000 + right * 100 + rank);
  void* found = NULL;
  MPI_Comm_get_attr(dup, key, &found, &flag);
  CHECK_EQ(flag, 1);
  CHECK_EQ(found == attribute, 1);
  MPI_Comm copy;
  MPI_Comm_dup(dup, &copy);
  MPI_Comm_compare(dup, copy, &relation);
  CHECK_EQ(relation, MPI_CONGRUENT);
  MPI_Send(&value, 1, MPI_INT, 5000, 1, copy);
  char text[MPI_MAX_OBJECT_NAME > MPI_MAX_INFO_VAL ? MPI_MAX_OBJECT_NAME : MPI_MAX_INFO_VAL];
  MPI_Comm_get_name(dup, text, &length);
  CHECK_EQ(strcmp(text, "everything"), 0);
  MPI_Info_get(info, "where", MPI_MAX_INFO_VAL - 1, text, &flag);
  CHECK_EQ(flag == 1 && strcmp(text, "above") == 0, 1);

  MPI_Comm* comms[] = {&copy, &merged, &inter, &ring, &halves, &dup};
  for (int i = 0; i < 6; i++) MPI_Comm_free(comms[i]);
  MPI_Comm_free_keyval(&key);
  MPI_Info_free(&info);
  MPI_Group_free(&group);
  MPI_Op_free(&op);
  MPI_Type_free(&pair);
  MPI_Type_free(&column);
  free(large);
  free(large_in);
  CHECK_EQ(handled, round_ + 1);
  CHECK_EQ(copied, round_ + 1);
  CHECK_EQ(deleted, 2 * (round_ + 1));
}

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  meeting = rendezvous_open(rank);
  meeting.nudge = nudge;
  for (round_ = 0; round_ < 2; round_++) everything();
  int all_failures = 0;
  MPI_Reduce(&failures, &all_failures, 1, MPI_INT, MPI_SUM, 0, MPI_COMM_WORLD);
  if (rank == 0) printf("everything: %d ranks, %d failures\n", size, all_failures);
  MPI_Finalize();
  return failures != 0;
}
