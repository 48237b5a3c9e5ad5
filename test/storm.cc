// SPDX-License-Identifier: BSD-3-Clause
// A program that is never still, for checkpoints at random moments: overlapping communicators, wildcard receives,
// nonblocking collectives, unequal use of MPI_COMM_SELF, communicators made and freed, large and small messages.  What
// each round must give is known from its number, so every round checks itself.  Ends when $MANA_TEST_DIR/stop exists
// (or after argv[1] rounds).  Any even number of ranks >= 4.
#include <mpi.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

namespace {

int rank = 0, size = 1;
long round_number = 0;
constexpr int kRingTag = 1001;  // the tags of wildcards() are less
long failures = 0;

void check(bool right, const char* what, long got, long expected) {
  if (right) return;
  failures++;
  if (failures < 20) {
    std::fprintf(stderr, "FAILED storm round %ld rank %d: %s: %ld != %ld\n", round_number, rank, what, got, expected);
  }
}
void check_equal(const char* what, long got, long expected) { check(got == expected, what, got, expected); }

std::uint64_t mix(std::uint64_t value) {
  value ^= value >> 33, value *= 0xff51afd7ed558ccdULL, value ^= value >> 33;
  value *= 0xc4ceb9fe1a85ec53ULL;
  return value ^ value >> 33;
}
int value_of(long round, int from, int salt) {
  return static_cast<int>(mix(static_cast<std::uint64_t>(round) * 1000003 + static_cast<std::uint64_t>(from) * 101 + salt) % 100000);
}

struct Communicators {
  MPI_Comm row, column, dup, pair;  // {0,1}{2,3}..., {0,2,..}{1,3,..}, everybody, {1,2}{3,4}...{n-1,0}
};

// Sums of everybody's value, blocking and not, on communicators that overlap; issued in an order that differs by rank
// where MPI allows it (nonblocking, different communicators).
void collectives(const Communicators& comms) {
  const int mine = value_of(round_number, rank, 1);
  int row_sum = 0, column_sum = 0, world_sum = 0, pair_max = 0, told = rank == 0 ? mine : 0;
  MPI_Request requests[4];
  const auto begin_row = [&] { MPI_Iallreduce(&mine, &row_sum, 1, MPI_INT, MPI_SUM, comms.row, &requests[0]); };
  const auto begin_column = [&] { MPI_Iallreduce(&mine, &column_sum, 1, MPI_INT, MPI_SUM, comms.column, &requests[1]); };
  if (rank % 2 == 0) {
    begin_row(), begin_column();
  } else {
    begin_column(), begin_row();
  }
  MPI_Iallreduce(&mine, &pair_max, 1, MPI_INT, MPI_MAX, comms.pair, &requests[2]);
  MPI_Ibarrier(comms.dup, &requests[3]);
  MPI_Allreduce(&mine, &world_sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  MPI_Bcast(&told, 1, MPI_INT, 0, comms.dup);
  MPI_Waitall(4, requests, MPI_STATUSES_IGNORE);
  int rows = 0, columns = 0, all = 0;
  for (int other = 0; other < size; other++) {
    const int value = value_of(round_number, other, 1);
    all += value;
    if (other / 2 == rank / 2) rows += value;
    if (other % 2 == rank % 2) columns += value;
  }
  const int partner = rank % 2 == 1 ? (rank + 1) % size : (rank + size - 1) % size;
  check_equal("row", row_sum, rows);
  check_equal("column", column_sum, columns);
  check_equal("world", world_sum, all);
  check_equal("pair", pair_max, std::max(mine, value_of(round_number, partner, 1)));
  check_equal("bcast", told, value_of(round_number, 0, 1));
}

// Everybody sends to everybody; received by wildcard, in whatever order.  Half of the receives are posted before.
void wildcards(const Communicators& comms) {
  const int tag = static_cast<int>(round_number % 1000);
  std::vector<int> got(static_cast<std::size_t>(size)), sent(static_cast<std::size_t>(size));
  std::vector<MPI_Request> receives(static_cast<std::size_t>(size), MPI_REQUEST_NULL), sends(receives);
  for (int i = 0; i < size / 2; i++) MPI_Irecv(&got[i], 1, MPI_INT, MPI_ANY_SOURCE, tag, comms.dup, &receives[i]);
  for (int to = 0; to < size; to++) {
    sent[to] = value_of(round_number, rank, to + 10);
    MPI_Isend(&sent[to], 1, MPI_INT, to, tag, comms.dup, &sends[to]);
  }
  long sum = 0, expected = 0;
  std::vector<bool> seen(static_cast<std::size_t>(size));
  for (int i = 0; i < size; i++) {
    MPI_Status status;
    int index = i;
    if (i < size / 2) {
      MPI_Waitany(size / 2, receives.data(), &index, &status);
    } else {
      MPI_Recv(&got[i], 1, MPI_INT, MPI_ANY_SOURCE, tag, comms.dup, &status);
    }
    check(!seen[status.MPI_SOURCE], "one message of each rank", status.MPI_SOURCE, -1);
    seen[status.MPI_SOURCE] = true;
    check_equal("wildcard", got[index], value_of(round_number, status.MPI_SOURCE, rank + 10));
    sum += got[index];
    expected += value_of(round_number, i, rank + 10);
  }
  check_equal("sum of wildcards", sum, expected);
  MPI_Waitall(size, sends.data(), MPI_STATUSES_IGNORE);
}

// A large message around the ring, probed; its tag and content depend on the round.
void ring(const Communicators& comms) {
  const int right = (rank + 1) % size, left = (rank + size - 1) % size;
  const auto length_of = [](int from) { return 1000 + value_of(round_number, from, 5) * 2; };
  std::vector<int> out(static_cast<std::size_t>(length_of(rank)), value_of(round_number, rank, 6));
  MPI_Request request;
  MPI_Isend(out.data(), static_cast<int>(out.size()), MPI_INT, right, kRingTag, comms.dup, &request);
  MPI_Status status;
  int count = 0;
  MPI_Probe(MPI_ANY_SOURCE, kRingTag, comms.dup, &status);
  MPI_Get_count(&status, MPI_INT, &count);
  check_equal("length", count, length_of(left));
  std::vector<int> in(static_cast<std::size_t>(count), -1);
  MPI_Recv(in.data(), count, MPI_INT, status.MPI_SOURCE, kRingTag, comms.dup, MPI_STATUS_IGNORE);
  for (int i = 0; i < count; i += 997) check_equal("content", in[static_cast<std::size_t>(i)], value_of(round_number, left, 6));
  MPI_Wait(&request, MPI_STATUS_IGNORE);
}

void self_unequally() {
  const int times = value_of(round_number, rank, 8) % 7 * (rank + 1);
  for (int i = 0; i < times; i++) {
    int sum = 0;
    MPI_Allreduce(&i, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_SELF);
    check_equal("self", sum, i);
  }
}

// A chain of receives through which the ranks wait for each other between collectives of the pairs.
void chain(const Communicators& comms) {
  int token = 0;
  if (rank > 0) MPI_Recv(&token, 1, MPI_INT, rank - 1, 9, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  check_equal("token", token, rank);
  token++;
  if (rank + 1 < size) MPI_Send(&token, 1, MPI_INT, rank + 1, 9, MPI_COMM_WORLD);
  MPI_Barrier(comms.row);
}

void new_communicator(const Communicators& comms) {
  MPI_Comm made;
  MPI_Comm_split(round_number % 2 ? comms.dup : comms.row, rank % 2, -rank, &made);
  int members = 0, sum = 0;
  const int one = 1;
  MPI_Comm_size(made, &members);
  MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, made);
  check_equal("members", sum, members);
  MPI_Comm_free(&made);
}

void compute() {
  volatile double heat = 0;
  const int turns = value_of(round_number, rank, 3) * 3;
  for (int i = 0; i < turns; i++) heat = heat + 1.0 / (i + 1);
}

bool asked_to_stop(const std::string& stop, long limit) {
  int mine = 0, anybody = 0;
  if (rank == 0) mine = limit > 0 ? round_number >= limit : access(stop.c_str(), F_OK) == 0;
  MPI_Allreduce(&mine, &anybody, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  return anybody != 0;
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  const long limit = argc > 1 ? std::atol(argv[1]) : 0;
  const char* folder = std::getenv("MANA_TEST_DIR");
  const std::string stop = std::string(folder ? folder : ".") + "/stop";
  Communicators comms;
  MPI_Comm_split(MPI_COMM_WORLD, rank / 2, rank, &comms.row);
  MPI_Comm_split(MPI_COMM_WORLD, rank % 2, rank, &comms.column);
  MPI_Comm_dup(MPI_COMM_WORLD, &comms.dup);
  MPI_Comm_split(MPI_COMM_WORLD, (rank + 1) % size / 2, rank, &comms.pair);
  for (; !asked_to_stop(stop, limit); round_number++) {
    collectives(comms);
    compute();
    wildcards(comms);
    self_unequally();
    ring(comms);
    chain(comms);
    if (round_number % 5 == 0) new_communicator(comms);
  }
  long all_failures = 0;
  MPI_Reduce(&failures, &all_failures, 1, MPI_LONG, MPI_SUM, 0, MPI_COMM_WORLD);
  if (rank == 0) std::printf("storm: %ld rounds, %ld failures\n", round_number, all_failures);
  for (MPI_Comm* comm : {&comms.row, &comms.column, &comms.dup, &comms.pair}) MPI_Comm_free(comm);
  MPI_Finalize();
  return failures == 0 ? 0 : 1;
}
