// SPDX-License-Identifier: BSD-3-Clause
// A program that makes steps and says when: for the size of an image, the time of a checkpoint, how
// long the application stands still for one, and the time from mpirun to the first step.
//
// usage: steps MEBIBYTES FILE
// Each rank holds MEBIBYTES of random data.  A step is some work on them and an Allreduce.  Rank 0
// prints `step NUMBER TIME GAP` (nanoseconds of CLOCK_REALTIME; since the step before) ten times a
// second, and at once after a gap of 20 ms or more, so also for the first step after a restart.
// Ends when FILE exists.
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static uint64_t* random_words(size_t count, uint64_t seed) {
  uint64_t* words = malloc(count * sizeof *words + 1);
  uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
  if (words == NULL) return NULL;
  for (size_t i = 0; i < count; ++i) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    words[i] = x;
  }
  return words;
}

int main(int argc, char** argv) {
  int rank;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (argc != 3) {
    if (rank == 0) fprintf(stderr, "usage: steps MEBIBYTES FILE\n");
    MPI_Finalize();
    return 2;
  }
  const size_t count = (size_t)atol(argv[1]) << 17;
  uint64_t* words = random_words(count, (uint64_t)rank + 1);
  if (words == NULL) MPI_Abort(MPI_COMM_WORLD, 3);
  MPI_Barrier(MPI_COMM_WORLD);
  int64_t last = now_ns(), printed = 0;
  for (long step = 1, stop = 0; !stop; ++step) {
    uint64_t sum = 0;
    for (size_t i = 0; i < 100000 && i < count; ++i)
      sum += words[(i * 4099 + (size_t)step) % count];
    long mine[2] = {access(argv[2], F_OK) == 0, (long)(sum & 1)}, all[2];
    MPI_Allreduce(mine, all, 2, MPI_LONG, MPI_MAX, MPI_COMM_WORLD);
    stop = all[0];
    const int64_t now = now_ns(), gap = now - last;
    if (rank == 0 && (gap >= 20000000 || now - printed >= 100000000 || stop)) {
      printf("step %ld %lld %lld\n", step, (long long)now, (long long)gap);
      fflush(stdout);
      printed = now;
    }
    last = now;
  }
  free(words);
  MPI_Finalize();
  return 0;
}
