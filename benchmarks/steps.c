// SPDX-License-Identifier: BSD-3-Clause
// A program that makes steps and says when: for the size of an image, the time of a checkpoint, how
// long the application stands still for one, and the time from mpirun to the first step.
//
// usage: steps MEBIBYTES FILE
// Each rank holds MEBIBYTES of random data.  A step is some work on them and an Allreduce.  Rank 0
// tells of them (steps.h), of each after a gap of 20 ms or more, so also of the first one after a
// restart.  Ends when FILE exists.
#include <mpi.h>
#include <unistd.h>

#include "benchmarks/steps.h"

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
  struct steps steps = {now_ns(), 0};
  for (long step = 1, stop = 0; !stop; ++step) {
    const uint64_t sum = sum_of_some(words, count, kStepReads, step);
    long mine[2] = {access(argv[2], F_OK) == 0, (long)(sum & 1)}, all[2];
    MPI_Allreduce(mine, all, 2, MPI_LONG, MPI_MAX, MPI_COMM_WORLD);
    stop = all[0];
    if (rank == 0) step_done(&steps, step, 20000000, (int)stop);
  }
  free(words);
  MPI_Finalize();
  return 0;
}
