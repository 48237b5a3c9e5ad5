// SPDX-License-Identifier: BSD-3-Clause
// The price of system calls and of what is made of them: one process, no MPI.  Question: what does the gate cost, compared
// with the same binary started alone?  One JSON line per case, as micro.c prints them.
//
// usage: system_calls [MILLISECONDS per repetition]
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kRepetitions = 7, kThreads = 8 };

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static void die(const char* what) {
  perror(what);
  exit(1);
}

static int zero;  // /dev/zero

static void body_clock_gettime(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
}
static void body_gettimeofday(void) {
  struct timeval t;
  gettimeofday(&t, NULL);
}
static void body_read(void) {
  char byte;
  if (read(zero, &byte, 1) != 1) die("read");
}
static void body_stat(void) {
  struct stat status;
  if (stat("/dev/zero", &status) != 0) die("stat");
}
static void body_getpid(void) { (void)syscall(SYS_getpid); }
static void body_open_close(void) {
  const int file = open("/dev/null", O_RDONLY);
  if (file < 0 || close(file) != 0) die("open");
}
static void body_dup_close(void) {
  const int copy = dup(zero);
  if (copy < 0 || close(copy) != 0) die("dup");
}
static void body_mmap_munmap(void) {
  void* at = mmap(NULL, 64 << 10, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED || munmap(at, 64 << 10) != 0) die("mmap");
}
static void body_sigaction(void) {
  struct sigaction old;
  if (sigaction(SIGUSR2, NULL, &old) != 0) die("sigaction");
}
static void body_sigprocmask(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  sigprocmask(SIG_BLOCK, &set, NULL);
  sigprocmask(SIG_UNBLOCK, &set, NULL);
}
static void* nothing(void* unused) { return unused; }
static void body_thread(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, nothing, NULL) != 0) die("pthread_create");
  pthread_join(thread, NULL);
}
static void body_fork(void) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  if (child < 0 || waitpid(child, NULL, 0) != child) die("fork");
}
static void body_exec(void) {
  const pid_t child = fork();
  if (child == 0) {
    execl("/bin/true", "true", (char*)NULL);
    _exit(1);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || status != 0) die("exec");
}
static void* allocate(void* seed) {
  uint32_t random = (uint32_t)(uintptr_t)seed + 1;
  void* held[64] = {0};
  for (int i = 0; i < 200000; ++i) {
    random = random * 1664525 + 1013904223;
    void** slot = &held[random >> 26];
    free(*slot);
    *slot = malloc(16u << ((random >> 8) % 10));  // up to 8 KiB
    if (*slot != NULL) *(volatile char*)*slot = 1;
  }
  for (int i = 0; i < 64; ++i) free(held[i]);
  return NULL;
}
static void body_malloc(void) {
  pthread_t threads[kThreads];
  for (intptr_t i = 0; i < kThreads; ++i) {
    if (pthread_create(&threads[i], NULL, allocate, (void*)i) != 0) die("pthread_create");
  }
  for (int i = 0; i < kThreads; ++i) pthread_join(threads[i], NULL);
}
static void body_large_malloc(void) {  // above the threshold: each is a mapping of its own
  char* block = malloc(1 << 20);
  if (block == NULL) die("malloc");
  *(volatile char*)block = 1;
  free(block);
}

static int ascending(const void* a, const void* b) {
  const double x = *(const double*)a, y = *(const double*)b;
  return (x > y) - (x < y);
}

static void measure(const char* name, void (*body)(void), double repetition_ns) {
  long iterations = 1;
  double results[kRepetitions];
  for (;;) {
    const double start = now_ns();
    for (long i = 0; i < iterations; ++i) body();
    const double took = now_ns() - start;
    if (took >= repetition_ns / 2) break;
    iterations *= 2;
  }
  for (int r = 0; r < kRepetitions; ++r) {
    const double start = now_ns();
    for (long i = 0; i < iterations; ++i) body();
    results[r] = (now_ns() - start) / (double)iterations;
  }
  qsort(results, kRepetitions, sizeof results[0], ascending);
  printf("{\"case\": \"%s\", \"median\": %.3f, \"least\": %.3f, \"unit\": \"ns\"}\n", name, results[kRepetitions / 2], results[0]);
}

int main(int argc, char** argv) {
  const double repetition_ns = 1e6 * (argc > 1 ? atof(argv[1]) : 10);
  zero = open("/dev/zero", O_RDONLY);
  if (zero < 0) die("/dev/zero");
  static const struct {
    const char* name;
    void (*body)(void);
  } kCases[] = {
      {"clock_gettime", body_clock_gettime},
      {"gettimeofday", body_gettimeofday},
      {"getpid (not caught)", body_getpid},
      {"read 1 byte (not caught)", body_read},
      {"stat (not caught)", body_stat},
      {"sigaction", body_sigaction},
      {"sigprocmask, block and unblock", body_sigprocmask},
      {"dup, close", body_dup_close},
      {"open, close", body_open_close},
      {"mmap, munmap 64 KiB", body_mmap_munmap},
      {"malloc, free 1 MiB", body_large_malloc},
      {"8 threads, 200,000 malloc and free each", body_malloc},
      {"thread create, join", body_thread},
      {"fork, wait", body_fork},
      {"fork, exec true, wait", body_exec},
  };
  for (size_t i = 0; i < sizeof kCases / sizeof kCases[0]; ++i) measure(kCases[i].name, kCases[i].body, repetition_ns);
  return 0;
}
