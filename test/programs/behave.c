// SPDX-License-Identifier: BSD-3-Clause
// A small MPI program that does what its first argument says; for the tests of launching, ending and refusing.
#include <mpi.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "test/rendezvous.h"

static Rendezvous meeting;
static int rank, size;

static void meet(const char* where) {
  rendezvous_announce(&meeting, where);
  rendezvous_wait_over(&meeting);
}

// Before MPI_Init the launcher's variables are all that tells the rank.
static int early_rank(void) {
  const char* names[] = {"PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK"};
  for (int i = 0; i < 3; i++) {
    if (getenv(names[i]) != NULL) return atoi(getenv(names[i]));
  }
  return 0;
}

static void hold(long megabytes) {  // random-looking memory, checked after the checkpoint
  const size_t words = (size_t)megabytes << 17;
  unsigned long* memory = malloc(words * sizeof *memory + 8);
  unsigned long state = 88172645463325252UL + (unsigned long)rank;
  for (size_t i = 0; i < words; i++) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    memory[i] = state;
  }
  for (int step = 0; step < 2; step++) {
    meet("hold");
    int sum = 0;
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    if (sum != size * (size - 1) / 2) exit(4);
  }
  state = 88172645463325252UL + (unsigned long)rank;
  for (size_t i = 0; i < words; i++) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    if (memory[i] != state) exit(5);
  }
  free(memory);
}

// Two lines into a file of this rank's own and one that all share, with a meeting between, and what a variable says.
static void write_files(const char* folder) {
  char path[4096];
  snprintf(path, sizeof path, "%s/own.%d", folder, rank);
  FILE* own = fopen(path, "a");
  snprintf(path, sizeof path, "%s/shared", folder);
  FILE* shared = fopen(path, "a");
  snprintf(path, sizeof path, "%s/input", folder);
  FILE* input = fopen(path, "r");
  if (own == NULL || shared == NULL || input == NULL) exit(6);
  for (int step = 0; step < 3; step++) {
    fprintf(own, "%d\n", step), fflush(own);
    fprintf(shared, "%d\n", step), fflush(shared);
    if (step < 2) meet("files");
  }
  const char* said = getenv("MANA_TEST_SAYS");
  fprintf(own, "%s\n", said != NULL ? said : "nothing"), fflush(own);
  if (setenv("MANA_TEST_SAYS", "more", 1) != 0 || strcmp(getenv("MANA_TEST_SAYS"), "more") != 0) exit(7);
  fclose(own), fclose(shared), fclose(input);
}

// A parent in vfork is out of the reach of signals until its child has gone.
static void wait_in_vfork(const char* folder) {
  char path[4096];
  snprintf(path, sizeof path, "%s/child-may-go.%d", folder, rank);
  rendezvous_announce(&meeting, "vfork");
  const pid_t child = vfork();
  if (child == 0) {
    const struct timespec moment = {0, 10000000};
    while (access(path, F_OK) != 0) nanosleep(&moment, NULL);
    _exit(0);
  }
  int status;
  if (waitpid(child, &status, 0) != child || status != 0) exit(9);
  rendezvous_wait_over(&meeting);
}

static void tell_clock(const char* folder) {
  meet("clock");
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  char path[4096];
  snprintf(path, sizeof path, "%s/clock.%d", folder, rank);
  FILE* file = fopen(path, "w");
  fprintf(file, "%ld\n", (long)now.tv_sec);
  fclose(file);
  const struct timespec soon = {now.tv_sec, now.tv_nsec + 1000000 < 1000000000 ? now.tv_nsec + 1000000 : 999999999};
  if (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &soon, NULL) != 0) exit(8);
  MPI_Barrier(MPI_COMM_WORLD);
}

// What it is told of its host, before and after a meeting: "name name", by uname(2) and by the file in /proc.
static void tell_host(const char* folder) {
  char path[4096];
  snprintf(path, sizeof path, "%s/host.%d", folder, rank);
  FILE* file = fopen(path, "a");
  for (int step = 0; step < 2; step++) {
    char name[256] = "", said[256] = "";
    gethostname(name, sizeof name - 1);
    FILE* kernel = fopen("/proc/sys/kernel/hostname", "r");
    if (kernel == NULL || fscanf(kernel, "%255s", said) != 1) exit(9);
    fclose(kernel);
    fprintf(file, "%s %s\n", name, said);
    fflush(file);
    if (step == 0) meet("host");
  }
  fclose(file);
}

// Private huge pages: their contents before and after a meeting.
static void hold_huge_pages(void) {
  const size_t bytes = 4 << 20;
  char* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
  if (memory == MAP_FAILED) return meet("unavailable");
  for (size_t i = 0; i < bytes / 2; i += 4096) memory[i] = (char)(i >> 12);
  meet("huge");
  for (size_t i = 0; i < bytes / 2; i += 4096) {
    if (memory[i] != (char)(i >> 12)) exit(5);
  }
  memset(memory, 'x', bytes);
  if (munmap(memory, bytes) != 0) exit(6);
}

static void* hold_lock(void* lock) {
  if (pthread_mutex_lock(lock) != 0) exit(9);
  for (;;) pause();
}

// Two robust locks in a file that both ranks have mapped; rank 1 ends with both held, one by a thread that nobody asks to end.
static int end_with_locks(const char* folder) {
  char path[4096];
  snprintf(path, sizeof path, "%s/locks", folder);
  const int file = open(path, O_RDWR | O_CREAT, 0600);
  if (ftruncate(file, 4096) != 0) exit(9);
  pthread_mutex_t* locks = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (rank == 0) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    for (int i = 0; i < 2; i++) pthread_mutex_init(&locks[i], &attributes);
  }
  MPI_Barrier(MPI_COMM_WORLD);
  if (rank == 1) {
    pthread_t other;
    pthread_create(&other, NULL, hold_lock, &locks[1]);
    if (pthread_mutex_lock(&locks[0]) != 0) exit(9);
    while (pthread_mutex_trylock(&locks[1]) == 0) pthread_mutex_unlock(&locks[1]), usleep(500);
  }
  meet("locks");
  MPI_Barrier(MPI_COMM_WORLD);
  MPI_Finalize();
  if (rank == 1) return 0;
  for (int i = 0; i < 2; i++) {
    if (pthread_mutex_lock(&locks[i]) != EOWNERDEAD) return 9;
  }
  return 0;
}

int main(int argc, char** argv) {
  const char* what = argc > 1 ? argv[1] : "nothing";
  const long number = argc > 2 ? atol(argv[2]) : 0;
  meeting = rendezvous_open(early_rank());
  if (strcmp(what, "before-init") == 0) meet(what);
  if (strcmp(what, "in-init") == 0) {
    rendezvous_announce(&meeting, what);
    if (meeting.rank != 0) rendezvous_wait_over(&meeting);
  }
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (strcmp(what, "exit") == 0) {
    MPI_Finalize();
    return rank == 0 ? (int)number : 0;
  }
  if (strcmp(what, "exit-early") == 0) exit((int)number);
  if (strcmp(what, "abort") == 0) {
    if (rank == 0) MPI_Abort(MPI_COMM_WORLD, (int)number);
    MPI_Barrier(MPI_COMM_WORLD);
  }
  if (strcmp(what, "crash") == 0) {
    volatile size_t nowhere = 8;
    if (rank == 0) *(volatile int*)nowhere = 1;
    MPI_Barrier(MPI_COMM_WORLD);
  }
  if (strcmp(what, "signal") == 0) {
    if (rank == 0) raise((int)number);
    MPI_Barrier(MPI_COMM_WORLD);
  }
  if (strcmp(what, "arguments") == 0 && rank == 0) {
    for (int i = 1; i < argc; i++) printf("<%s>\n", argv[i]);
    fprintf(stderr, "on stderr\n");
  }
  if (strcmp(what, "cat") == 0 && rank == 0) {
    for (int c; (c = getchar()) != EOF;) putchar(c);
  }
  if (strcmp(what, "vfork") == 0) wait_in_vfork(argv[2]);
  if (strcmp(what, "clock") == 0) tell_clock(argv[2]);
  if (strcmp(what, "files") == 0) write_files(argv[2]);
  if (strcmp(what, "host") == 0) tell_host(argv[2]);
  if (strcmp(what, "locks") == 0) return end_with_locks(argv[2]);
  if (strcmp(what, "hold") == 0) hold(number);
  if (strcmp(what, "huge") == 0) hold_huge_pages();
  if (strcmp(what, "zeros") == 0) {
    char* zeros = mmap(NULL, (size_t)number << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(zeros, 0, (size_t)number << 20);
    meet(what);
    for (size_t i = 0; i < (size_t)number << 20; i += 4096) {
      if (zeros[i] != 0) exit(5);
    }
  }
  if (strcmp(what, "window") == 0) {
    int cell = 0;
    MPI_Win window;
    MPI_Win_create(&cell, sizeof cell, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &window);
    meet(what);
    MPI_Win_fence(0, window);
    if (rank == 0) MPI_Put(&size, 1, MPI_INT, size - 1, 0, 1, MPI_INT, window);
    MPI_Win_fence(0, window);
    if (rank == size - 1 && cell != size) exit(6);
    MPI_Win_free(&window);
    meet(what);
  }
  if (strcmp(what, "file") == 0) {
    MPI_File file;
    char path[600];
    snprintf(path, sizeof path, "%s/data", meeting.folder != NULL ? meeting.folder : ".");
    if (MPI_File_open(MPI_COMM_WORLD, path, MPI_MODE_CREATE | MPI_MODE_RDWR, MPI_INFO_NULL, &file) != MPI_SUCCESS) exit(7);
    meet(what);
    int written = rank + 1, got = 0;
    MPI_File_write_at_all(file, rank * (MPI_Offset)sizeof written, &written, 1, MPI_INT, MPI_STATUS_IGNORE);
    MPI_File_sync(file);
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_File_read_at(file, (size - 1 - rank) * (MPI_Offset)sizeof got, &got, 1, MPI_INT, MPI_STATUS_IGNORE);
    if (got != size - rank) exit(8);
    MPI_File_close(&file);
    meet(what);
  }
  if (strcmp(what, "child") == 0) {
    const pid_t child = fork();
    if (child == 0) {
      execlp("sleep", "sleep", "100000", (char*)NULL);
      _exit(9);
    }
    meet(what);
    int status = 0;
    // After a restart it is another process's child, if it is there at all.
    if (kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child && WTERMSIG(status) != SIGKILL) exit(9);
    meet(what);
  }
  if (strcmp(what, "late-barrier") == 0) {  // rank 0 computes while the others stand in a barrier
    rendezvous_announce(&meeting, what);
    if (rank == 0) rendezvous_wait_over(&meeting);
    MPI_Barrier(MPI_COMM_WORLD);
    rendezvous_wait_over(&meeting);
    meet(what);
  }
  if (strcmp(what, "deadlock") == 0) {  // rank 1 never comes to the barrier: it waits for a message that nobody sends
    int never = 0;
    rendezvous_announce(&meeting, what);
    if (rank == 1) MPI_Recv(&never, 1, MPI_INT, 0, 99, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    MPI_Barrier(MPI_COMM_WORLD);
  }
  if (strcmp(what, "in-finalize") == 0) {
    rendezvous_announce(&meeting, what);
    if (rank != 0) rendezvous_wait_underway(&meeting);
  }
  MPI_Finalize();
  if (strcmp(what, "after-finalize") == 0) meet(what);
  return 0;
}
