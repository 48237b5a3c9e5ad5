/* SPDX-License-Identifier: BSD-3-Clause
 * A program without MPI whose threads stand in different places: computing, in nanosleep, in a timed wait for a condition, in one
 * that never ends, in pause.  Every 50 ms the main thread prints one line that says how far everybody is and whether anybody has
 * noticed anything.  A 'q' appended to the file argv[1] ends the program; argv[2] doubles are held in memory. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static atomic_long computed, slept, timed_out, errors, ticks;
static atomic_int quit, woken;
static _Thread_local long mine;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static double checksum(const double *array, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++) sum += array[i];
  return sum;
}

static void *compute(void *unused) {
  double x = 1;
  while (!quit) {
    for (int i = 0; i < 1000; i++) x = x * 1.0000001 + 1e-9;
    mine++;
    computed++;
    if (mine != computed || !(x > 1)) errors++;
  }
  return unused;
}

static void *sleep_often(void *unused) {
  while (!quit) {
    struct timespec time = {0, 7000000};
    if (nanosleep(&time, NULL) != 0) errors++;
    slept++;
  }
  return unused;
}

static void *wait_for_condition(void *unused) {
  pthread_setname_np(pthread_self(), "waiter");
  pthread_mutex_lock(&mutex);
  while (!quit) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 20000000;
    if (until.tv_nsec >= 1000000000) until.tv_nsec -= 1000000000, until.tv_sec++;
    int error = pthread_cond_timedwait(&condition, &mutex, &until);
    if (error == ETIMEDOUT) timed_out++;
    else if (error != 0) errors++;
  }
  pthread_mutex_unlock(&mutex);
  return unused;
}

static void *wait_long(void *unused) {  /* a wait that only ends with the program */
  pthread_mutex_lock(&mutex);
  while (!woken) pthread_cond_wait(&condition, &mutex);
  pthread_mutex_unlock(&mutex);
  return unused;
}

static void *pause_for_ever(void *unused) {
  pause();
  errors++;  /* nobody sends this thread a signal */
  return unused;
}

static void *nothing(void *unused) { return unused; }

static void on_tick(int signal) {
  (void)signal;
  ticks++;
}

int main(int argc, char **argv) {
  if (argc < 3) return 64;
  size_t count = strtoul(argv[2], NULL, 10);
  double *array = malloc(count * sizeof *array);
  for (size_t i = 0; i < count; i++) array[i] = (double)i;
  double sum = checksum(array, count);
  char *reserved = mmap(NULL, 1ul << 33, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  reserved[1ul << 32] = 77;
  signal(SIGALRM, on_tick);
  setlinebuf(stdout);

  pthread_t threads[5];
  void *(*bodies[5])(void *) = {compute, sleep_often, wait_for_condition, wait_long, pause_for_ever};
  for (int i = 0; i < 5; i++) pthread_create(&threads[i], NULL, bodies[i], NULL);
  long step = 0, bytes = 0;
  int input = open(argv[1], O_RDONLY);
  FILE *log = argc > 3 ? fopen(argv[3], "a") : NULL;
  while (!quit) {
    char byte;
    struct timespec time = {0, 50000000};
    if (nanosleep(&time, NULL) != 0) errors++;
    if (read(input, &byte, 1) == 1) {
      bytes++;
      if (byte == 'q') quit = 1;
    }
    if (reserved[1ul << 32] != 77 || checksum(array, count) != sum) errors++;
    char *fresh = malloc(1000 + (size_t)step % 100000);
    memset(fresh, 1, 1000);
    free(fresh);
    // Also while the lower half opens a FIFO (mini_agent.cc) that nobody writes to yet.
    const int again = dup2(input, 60);
    if (again != 60 || close(again) != 0) errors++;
    pthread_t brief;
    if (pthread_create(&brief, NULL, nothing, NULL) != 0) errors++;
    else pthread_join(brief, NULL);
    printf("step %ld computed %ld slept %ld timed_out %ld bytes %ld errors %ld\n", ++step, (long)computed, (long)slept, (long)timed_out,
           bytes, (long)errors);
    if (log) fprintf(log, "step %ld\n", step), fflush(log);
  }
  pthread_mutex_lock(&mutex);
  woken = 1;
  pthread_cond_broadcast(&condition);
  pthread_mutex_unlock(&mutex);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  printf("done after %ld steps, %ld errors\n", step, (long)errors);
  return errors ? 1 : 42;
}
