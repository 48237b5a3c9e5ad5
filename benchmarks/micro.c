// SPDX-License-Identifier: BSD-3-Clause
// The price of single MPI calls, two ranks.  Question: what does a call cost under mana_launch,
// compared with the same binary under plain mpirun?  Rank 0 prints one JSON line per case: the
// median and the least of the repetitions, in nanoseconds.
//
// usage: micro [MILLISECONDS per repetition]
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { kRepetitions = 7, kLargest = 1 << 20 };

static int rank, size;
static char* buffer;
static volatile int sink;

// The clock of the measurement is not one of the calls that are measured.
static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

typedef void (*Body)(long iterations, int argument);

static void comm_rank(long n, int unused) {
  int value;
  (void)unused;
  for (long i = 0; i < n; ++i) {
    MPI_Comm_rank(MPI_COMM_WORLD, &value);
    sink = value;
  }
}

static void comm_size(long n, int unused) {
  int value;
  (void)unused;
  for (long i = 0; i < n; ++i) {
    MPI_Comm_size(MPI_COMM_WORLD, &value);
    sink = value;
  }
}

static void type_size(long n, int unused) {
  int value;
  (void)unused;
  for (long i = 0; i < n; ++i) {
    MPI_Type_size(MPI_DOUBLE, &value);
    sink = value;
  }
}

static void wtime(long n, int unused) {
  (void)unused;
  for (long i = 0; i < n; ++i) sink = MPI_Wtime() > 0;
}

static void ping_pong(long n, int bytes) {
  const int peer = 1 - rank;
  if (rank > 1) return;
  for (long i = 0; i < n; ++i) {
    if (rank == 0) {
      MPI_Send(buffer, bytes, MPI_BYTE, peer, 1, MPI_COMM_WORLD);
      MPI_Recv(buffer, bytes, MPI_BYTE, peer, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    } else {
      MPI_Recv(buffer, bytes, MPI_BYTE, peer, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      MPI_Send(buffer, bytes, MPI_BYTE, peer, 1, MPI_COMM_WORLD);
    }
  }
}

static void self_exchange(long n, int bytes) {
  for (long i = 0; i < n; ++i) {
    MPI_Request requests[2];
    MPI_Status statuses[2];
    MPI_Irecv(buffer, bytes, MPI_BYTE, rank, 2, MPI_COMM_WORLD, &requests[0]);
    MPI_Isend(buffer + kLargest, bytes, MPI_BYTE, rank, 2, MPI_COMM_WORLD, &requests[1]);
    MPI_Waitall(2, requests, statuses);
  }
}

static void allreduce(long n, int unused) {
  double mine = rank, sum = 0;
  (void)unused;
  for (long i = 0; i < n; ++i) MPI_Allreduce(&mine, &sum, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  sink = sum > 0;
}

static void barrier(long n, int unused) {
  (void)unused;
  for (long i = 0; i < n; ++i) MPI_Barrier(MPI_COMM_WORLD);
}

static void iprobe_miss(long n, int unused) {
  int flag;
  (void)unused;
  for (long i = 0; i < n; ++i) {
    MPI_Iprobe(MPI_ANY_SOURCE, 3, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);
    sink = flag;
  }
}

static double timed(Body body, long iterations, int argument) {
  MPI_Barrier(MPI_COMM_WORLD);
  const double start = now_ns();
  body(iterations, argument);
  return now_ns() - start;
}

static int ascending(const void* a, const void* b) {
  const double x = *(const double*)a, y = *(const double*)b;
  return (x > y) - (x < y);
}

// `per_iteration`: how many of the named thing one iteration does (a ping-pong is two half round
// trips).
static void measure(const char* name, Body body, int argument, int per_iteration,
                    double repetition_ns) {
  long iterations = 8;
  double results[kRepetitions];
  for (;;) {  // rank 0 finds how many iterations fill a repetition, for all
    double took = timed(body, iterations, argument);
    long next = took < repetition_ns / 2 ? iterations * 2 : 0;
    MPI_Bcast(&next, 1, MPI_LONG, 0, MPI_COMM_WORLD);
    if (next == 0) break;
    iterations = next;
  }
  for (int i = 0; i < kRepetitions; ++i)
    results[i] = timed(body, iterations, argument) / iterations / per_iteration;
  qsort(results, kRepetitions, sizeof results[0], ascending);
  if (rank != 0) return;
  printf("{\"case\": \"%s\", \"median\": %.3f, \"least\": %.3f, \"unit\": \"ns\"}\n", name,
         results[kRepetitions / 2], results[0]);
}

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  const double repetition = (argc > 1 ? atof(argv[1]) : 10.0) * 1e6;
  buffer = malloc(2 * kLargest);
  memset(buffer, 1, 2 * kLargest);
  measure("MPI_Comm_rank", comm_rank, 0, 1, repetition);
  measure("MPI_Comm_size", comm_size, 0, 1, repetition);
  measure("MPI_Type_size", type_size, 0, 1, repetition);
  measure("MPI_Wtime", wtime, 0, 1, repetition);
  if (size == 2) {
    measure("ping-pong 8 B", ping_pong, 8, 2, repetition);
    measure("ping-pong 1 KiB", ping_pong, 1 << 10, 2, repetition);
    measure("ping-pong 64 KiB", ping_pong, 1 << 16, 2, repetition);
    measure("ping-pong 1 MiB", ping_pong, 1 << 20, 2, repetition);
  }
  measure("self Irecv+Isend+Waitall", self_exchange, 8, 1, repetition);
  measure("Allreduce 8 B", allreduce, 0, 1, repetition);
  measure("Barrier", barrier, 0, 1, repetition);
  measure("Iprobe miss", iprobe_miss, 0, 1, repetition);
  free(buffer);
  MPI_Finalize();
  return 0;
}
