// SPDX-License-Identifier: BSD-3-Clause
// OpenMP: rounds of parallel regions (loops of every schedule, a reduction, tasks, a lock, a critical section, ordered output), whose pool
// of threads lives from the first to the last, with threadprivate memory.  As worker.c otherwise.
#include <omp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#ifdef WITH_MPI
#include <mpi.h>
#endif

enum { kRounds = 100, kThreads = 4, kLength = 8000000 };

static uint64_t own;
#pragma omp threadprivate(own)

static uint64_t mix(uint64_t value) { return (value ^ value >> 29) * 0xbf58476d1ce4e5b9u; }

static uint64_t by_tasks(int depth, uint64_t value) {
  if (depth == 0) return mix(value);
  uint64_t left = 0, right = 0;
#pragma omp task shared(left)
  left = by_tasks(depth - 1, value + 1);
#pragma omp task shared(right)
  right = by_tasks(depth - 1, value + 2);
#pragma omp taskwait
  return mix(left ^ right * 3);
}

static uint64_t one_round(uint64_t state, omp_lock_t* lock) {
  uint64_t sum = 0, locked = 0, critical = 0, ordered = state, tasks = 0;
  int teams = 0;
#pragma omp parallel num_threads(kThreads)
  {
#pragma omp for schedule(static) reduction(+ : sum)
    for (int i = 0; i < kLength; i++) sum += mix(state + (uint64_t)i);
#pragma omp for schedule(dynamic, 1000) reduction(^ : sum)
    for (int i = 0; i < kLength; i++) sum ^= mix(state * 3 + (uint64_t)i);
#pragma omp for schedule(guided) ordered
    for (int i = 0; i < 50; i++) {
#pragma omp ordered
      ordered = mix(ordered + (uint64_t)i);
    }
    own = mix(own + (uint64_t)omp_get_thread_num());
    omp_set_lock(lock);
    locked += own;
    omp_unset_lock(lock);
#pragma omp critical
    critical ^= own;
#pragma omp atomic
    teams += 1;
#pragma omp barrier
#pragma omp single
    tasks = by_tasks(7, state);
  }
  return mix(sum + locked + critical + ordered + tasks + (uint64_t)teams);
}

int main(int argc, char** argv) {
  int rank = 0;
#ifdef WITH_MPI
  int provided;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
#endif
  (void)argc, (void)argv;
  omp_set_dynamic(0);
  char name[32];
  snprintf(name, sizeof name, "out.%d", rank);
  FILE* out = fopen(name, "w");
  omp_lock_t lock;
  omp_init_lock(&lock);
  uint64_t state = (uint64_t)rank + 1;
  for (int round = 1; round <= kRounds; round++) {
    state = one_round(state, &lock);
#ifdef WITH_MPI
    uint64_t mine = state;
    MPI_Allreduce(&mine, &state, 1, MPI_UINT64_T, MPI_BXOR, MPI_COMM_WORLD);
#endif
    fprintf(out, "%d %016llx\n", round, (unsigned long long)state);
    fflush(out);
  }
  while (access("finish", F_OK) != 0) {
    struct timespec pause = {0, 2000000};
    nanosleep(&pause, NULL);
  }
  omp_destroy_lock(&lock);
  fclose(out);
#ifdef WITH_MPI
  MPI_Finalize();
#endif
  return 0;
}
