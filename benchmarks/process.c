// SPDX-License-Identifier: BSD-3-Clause
// One process without MPI that makes steps and says when: for a checkpoint of a single process, and
// what threads and descriptors add to it.
//
// usage: process MEBIBYTES FILE THREADS DESCRIPTORS computing|waiting
// Holds MEBIBYTES of random data, THREADS threads that wait for a condition, and DESCRIPTORS open
// descriptors (pipes with a byte, and this program's file).  Computes all the time, or works a
// little every millisecond and leaves the cores to others.  Tells of each step after a gap of 3 ms
// or more (steps.h).  Ends when FILE exists; the exit code says whether the threads and
// descriptors are still there.
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "benchmarks/steps.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ended = PTHREAD_COND_INITIALIZER;
static int end, awake;

static void* wait_for_the_end(void* unused) {
  pthread_mutex_lock(&mutex);
  while (!end) pthread_cond_wait(&ended, &mutex);
  ++awake;
  pthread_mutex_unlock(&mutex);
  return unused;
}

static int open_some(int* descriptors, int count) {
  for (int i = 0; i < count; i += 4) {
    if (pipe(&descriptors[i]) != 0 || write(descriptors[i + 1], "x", 1) != 1) return 0;
    for (int k = 2; k < 4; ++k)
      if ((descriptors[i + k] = open("/proc/self/exe", O_RDONLY | O_CLOEXEC)) < 0) return 0;
  }
  return 1;
}

static int still_there(const int* descriptors, int count) {
  char byte[4];
  for (int i = 0; i < count; i += 4) {
    if (read(descriptors[i], byte, 1) != 1 || byte[0] != 'x') return 0;
    for (int k = 2; k < 4; ++k)
      if (pread(descriptors[i + k], byte, 4, 0) != 4 || byte[1] != 'E') return 0;
  }
  return 1;
}

int main(int argc, char** argv) {
  if (argc != 6) {
    fprintf(stderr, "usage: process MEBIBYTES FILE THREADS DESCRIPTORS computing|waiting\n");
    return 2;
  }
  const size_t count = (size_t)atol(argv[1]) << 17;
  const int thread_count = atoi(argv[3]), descriptor_count = atoi(argv[4]) / 4 * 4;
  const int waits = strcmp(argv[5], "waiting") == 0;
  const struct timespec pause = {0, 1000000};
  uint64_t* words = random_words(count, 1);
  pthread_t* threads = calloc((size_t)thread_count + 1, sizeof *threads);
  int* descriptors = calloc((size_t)descriptor_count + 1, sizeof *descriptors);
  if (words == NULL || threads == NULL || descriptors == NULL) return 3;
  if (!open_some(descriptors, descriptor_count)) return 4;
  for (int i = 0; i < thread_count; ++i)
    if (pthread_create(&threads[i], NULL, wait_for_the_end, NULL) != 0) return 5;
  struct steps steps = {now_ns(), 0};
  volatile uint64_t sum = 0;
  for (long step = 1, stop = 0; !stop; ++step) {
    sum += sum_of_some(words, count, waits ? kStepReads / 100 : kStepReads, step);
    if (waits) nanosleep(&pause, NULL);
    stop = access(argv[2], F_OK) == 0;
    step_done(&steps, step, 3000000, (int)stop);
  }
  pthread_mutex_lock(&mutex);
  end = 1;
  pthread_cond_broadcast(&ended);
  pthread_mutex_unlock(&mutex);
  for (int i = 0; i < thread_count; ++i) pthread_join(threads[i], NULL);
  return awake == thread_count && still_there(descriptors, descriptor_count) ? 0 : 6;
}
