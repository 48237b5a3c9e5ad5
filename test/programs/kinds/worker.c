// SPDX-License-Identifier: BSD-3-Clause
// C: rounds of work with threads, locks, memory of many sizes and non-local jumps.  Compiled in several ways (harness/kinds.py): for glibc
// and musl, at a fixed address, under sanitizers, with MPI (-DWITH_MPI).  Every round leaves a line in out.RANK; after the last one it waits
// for the file `finish`.
#include <pthread.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef WITH_MPI
#include <mpi.h>
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

enum { kRounds = 100, kThreads = 3, kBlocks = 400 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int asked, answered;
static uint64_t sums[kThreads], state = 1;
static _Thread_local uint64_t own;

static pid_t process;

static uint64_t mix(uint64_t value) { return (value ^ value >> 29) * 0xbf58476d1ce4e5b9u; }

static void* work(void* argument) {
  const int number = (int)(intptr_t)argument;
  own = (uint64_t)number + 1;
  for (int round = 1; round <= kRounds; round++) {
    pthread_mutex_lock(&lock);
    while (asked < round) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < 2500000; i++) own = mix(own + (uint64_t)i);
    pthread_mutex_lock(&lock);
    sums[number] = own;
    answered++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
  }
  return NULL;
}

// Blocks that live for several rounds; each is checked before it is freed.
static char* blocks[kBlocks];
static size_t sizes[kBlocks];
static void turn_over(int round) {
  for (int i = round % 3; i < kBlocks; i += 3) {
    for (size_t at = 0; blocks[i] != NULL && at < sizes[i]; at += 97) {
      if (blocks[i][at] != (char)i) abort();
    }
    free(blocks[i]);
    sizes[i] = (size_t)(mix((uint64_t)(round * kBlocks + i)) % (i % 50 == 0 ? 600000 : 3000)) + 1;
    blocks[i] = malloc(sizes[i]);
    memset(blocks[i], i, sizes[i]);
  }
}

static jmp_buf back;
static void jump(int depth) {
  volatile char room[100];
  room[depth % 100] = 1;
  if (depth == 0) longjmp(back, 1);
  jump(depth - 1);
  room[0] = 0;
}

// What the sanitizer knows must have come back with the memory.
static void check_sanitizer(void) {
#ifdef __SANITIZE_ADDRESS__
  char* block = malloc(100);
  if (!__asan_address_is_poisoned(block + 100) || __asan_address_is_poisoned(block + 99)) abort();
  free(block);
  if (!__asan_address_is_poisoned(block)) abort();
  for (int i = 0; i < kBlocks; i++) {
    if (blocks[i] != NULL && (__asan_region_is_poisoned(blocks[i], sizes[i]) != NULL || !__asan_address_is_poisoned(blocks[i] + sizes[i]))) abort();
  }
#endif
}

static void all_ranks(uint64_t* value) {
#ifdef WITH_MPI
  uint64_t mine = *value;
  MPI_Allreduce(&mine, value, 1, MPI_UINT64_T, MPI_BXOR, MPI_COMM_WORLD);
#else
  (void)value;
#endif
}

static void one_round(int round, FILE* out, int rank) {
  turn_over(round);
  pthread_mutex_lock(&lock);
  asked = round;
  answered = 0;
  pthread_cond_broadcast(&changed);
  while (answered < kThreads) pthread_cond_wait(&changed, &lock);
  pthread_mutex_unlock(&lock);
  for (int i = 0; i < kThreads; i++) state = mix(state + sums[i] + (uint64_t)rank);
  if (setjmp(back) == 0) jump(50);
  all_ranks(&state);
  check_sanitizer();
  fprintf(out, "%d %016llx %d\n", round, (unsigned long long)state, getpid() == process);
  fflush(out);
}

int main(int argc, char** argv) {
  int rank = 0;
#ifdef WITH_MPI
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
#endif
  (void)argv;
  process = getpid();
  char name[32];
  snprintf(name, sizeof name, "out.%d", rank);
  FILE* out = fopen(name, "w");
  pthread_t threads[kThreads];
  for (int i = 0; i < kThreads; i++) pthread_create(&threads[i], NULL, work, (void*)(intptr_t)i);
  for (int round = 1; round <= kRounds; round++) one_round(round, out, rank);
  for (int i = 0; i < kThreads; i++) pthread_join(threads[i], NULL);
#ifdef OVERFLOW  // for UndefinedBehaviorSanitizer
  volatile int most = 0x7fffffff;
  most += argc;
#endif
  while (access("finish", F_OK) != 0) {
    struct timespec pause = {0, 2000000};
    nanosleep(&pause, NULL);
  }
  for (int i = 0; i < kBlocks; i++) free(blocks[i]);
  fclose(out);
#ifdef WITH_MPI
  MPI_Finalize();
#endif
#ifdef LEAK  // for LeakSanitizer
  volatile char* lost = malloc(1000);
  lost = NULL;
  (void)lost;
#endif
  return 0;
}
