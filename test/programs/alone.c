// SPDX-License-Identifier: BSD-3-Clause
// A program without MPI: counts up to a checkpoint and on.  With `terminal`: it is in the foreground of its terminal, before and after.
// With `segment`: it has one of System V, which on the next host, where there are no others, has a number that a later one would get.
#include <sys/shm.h>
#include <termios.h>

#include "test/rendezvous.h"

static void check_terminal(void) {
  if (tcgetpgrp(0) != getpgrp() || tcgetsid(0) != getsid(0) || tcsetpgrp(0, getpgrp()) != 0) {
    fprintf(stderr, "alone: group %d of session %d, but the terminal says %d of %d (%s)\n", getpgrp(), getsid(0), tcgetpgrp(0), tcgetsid(0),
            strerror(errno));
    exit(12);
  }
}

static int* attached(int id) {
  void* at = id < 0 ? (void*)-1 : shmat(id, NULL, 0);
  if (at == (void*)-1) exit(13);
  return at;
}

static int make_segment(void) {
  int ids[4];
  for (int i = 0; i < 4; i++) ids[i] = shmget(IPC_PRIVATE, 4096, 0600);
  for (int i = 0; i < 3; i++) shmctl(ids[i], IPC_RMID, NULL);
  *attached(ids[3]) = 4711;
  return ids[3];
}

static void check_segment(int id) {
  int* kept = attached(id);
  for (int i = 0; i < 4; i++) {
    const int other = shmget(IPC_PRIVATE, 4096, 0600);
    int* words = attached(other);
    if (other == id || *words != 0 || *kept != 4711) exit(14);
    *words = i;
    if (shmctl(other, IPC_RMID, NULL) != 0) exit(15);
  }
  struct shmid_ds known;
  if (shmctl(id, IPC_STAT, &known) != 0 || known.shm_nattch < 2 || (known.shm_perm.mode & SHM_DEST) != 0) exit(16);
  if (shmdt(kept) != 0) exit(17);
}

int main(int argc, char** argv) {
  const int terminal = argc > 1 && strcmp(argv[1], "terminal") == 0;
  const int segment = argc > 1 && strcmp(argv[1], "segment") == 0;
  const int id = segment ? make_segment() : -1;
  Rendezvous meeting = rendezvous_open(0);
  long turns = 0;
  for (int step = 0; step < 2; step++) {
    if (terminal) check_terminal();
    rendezvous_announce(&meeting, "alone");
    do turns++;
    while (!rendezvous_over(&meeting));
    if (segment) check_segment(id);
  }
  if (segment && shmctl(id, IPC_RMID, NULL) != 0) return 18;
  printf("alone: %s\n", turns >= 2 ? "counted" : "lost count");
  return 11;
}
