// SPDX-License-Identifier: BSD-3-Clause
// An MPI program that gives memory away in every way there is, in a thread that calls MPI and in one that never does, before and
// after a step.  Each range must be in $MEMORY_WATCHER_LOG when the call has returned (memory_watcher.c), and each call must do what it does.
#define _GNU_SOURCE
#include <fcntl.h>
#include <mpi.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/shm.h>

#include "test/rendezvous.h"

static const size_t kBytes = 1 << 20;
static int wrong;

static void expect(int holds, const char* what) {
  if (holds) return;
  printf("FAILED %s\n", what);
  fflush(stdout);
  wrong = 1;
}

static void expect_told(const char* what, const void* begin, size_t length) {
  static char all[1 << 20];
  char line[64];
  snprintf(line, sizeof line, "%lx %lx\n", (unsigned long)begin, (unsigned long)begin + length);
  const int file = open(getenv("MEMORY_WATCHER_LOG"), O_RDONLY | O_CLOEXEC);
  const ssize_t bytes = file < 0 ? 0 : read(file, all, sizeof all - 1);
  if (file >= 0) close(file);
  all[bytes > 0 ? bytes : 0] = '\0';
  expect(strstr(all, line) != NULL, what);
}

static char* fresh(void) {
  char* at = mmap(NULL, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(at, 7, kBytes);
  return at;
}

static void* change_everything(void* unused) {
  char* at = fresh();
  expect(mmap(at, kBytes / 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at && at[0] == 0 && at[kBytes / 2] == 7,
         "mmap over memory");
  expect_told("mmap over memory is told", at, kBytes / 2);
  expect(madvise(at + kBytes / 2, kBytes / 2, MADV_DONTNEED) == 0 && at[kBytes / 2] == 0, "madvise");
  expect_told("madvise is told", at + kBytes / 2, kBytes / 2);
  at[5] = 6;
  char* moved = mremap(at, kBytes, 64 * kBytes, MREMAP_MAYMOVE);
  expect(moved != MAP_FAILED && moved[5] == 6, "mremap");
  expect_told("mremap is told", at, kBytes);
  expect(munmap(moved, 64 * kBytes) == 0, "munmap");
  expect_told("munmap is told", moved, 64 * kBytes);
  expect(munmap(moved + 1, kBytes) == -1 && errno == EINVAL, "munmap of what is no page");
  const int segment = shmget(IPC_PRIVATE, kBytes, 0600);
  char* attached = shmat(segment, NULL, 0);
  shmctl(segment, IPC_RMID, NULL);
  expect(shmdt(attached) == 0 && shmdt(attached) == -1 && errno == EINVAL, "shmdt");
  expect_told("shmdt is told", attached, kBytes);
  return unused;
}

static void change(void) {
  pthread_t thread;
  change_everything(NULL);
  expect(pthread_create(&thread, NULL, change_everything, NULL) == 0 && pthread_join(thread, NULL) == 0, "a thread");
  char* end = sbrk((intptr_t)kBytes);
  expect(end != (void*)-1, "sbrk upwards");
  expect(sbrk(-(intptr_t)kBytes) == end + kBytes, "sbrk");
  const uintptr_t page = ((uintptr_t)end + 4095) & ~(uintptr_t)4095;
  expect_told("a lower break is told", (const void*)page, kBytes);
}

int main(int argc, char** argv) {
  int rank;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  Rendezvous meeting = rendezvous_open(rank);
  change();
  rendezvous_announce(&meeting, "changed");
  rendezvous_wait_over(&meeting);
  change();
  MPI_Finalize();
  return wrong;
}
