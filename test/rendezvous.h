// SPDX-License-Identifier: BSD-3-Clause
// How a test program and test/run agree on the moment of a checkpoint, without calling MPI: through files in the folder
// $MANA_TEST_DIR.  Step K of the job: every rank leaves `arrived.K.RANK`; the runner asks for a checkpoint, writes
// `underway.K` once the job says that one is under way, kills and restarts the job where the mode asks for it, and writes
// `go.K`.  Waiting is polling for a file, a stated condition.  Without the folder (or in mode `plain`) nothing happens.
// C and C++; the counters live in the program's memory, so they are part of its image.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct Rendezvous {
  const char* folder;  // null: plain mode
  int rank;
  int steps;           // announced so far
  // Called while waiting takes long: MPI may hold back the last message of a call that has returned until the next one.
  void (*nudge)(void);
} Rendezvous;

static inline Rendezvous rendezvous_open(int rank) {
  const char* mode = getenv("MANA_TEST_MODE");
  const char* folder = getenv("MANA_TEST_DIR");
  Rendezvous opened = {0, rank, 0, 0};
  if (folder != NULL && mode != NULL && strcmp(mode, "live") == 0) opened.folder = folder;
  return opened;
}

static inline int rendezvous_exists(const Rendezvous* meeting, const char* what, int step) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s.%d", meeting->folder, what, step);
  return access(path, F_OK) == 0;
}

static inline void rendezvous_wait(const Rendezvous* meeting, const char* what, int step) {
  if (meeting->folder == NULL) return;
  for (int turn = 0; !rendezvous_exists(meeting, what, step); turn++) {
    struct timespec pause = {0, 2000000};
    nanosleep(&pause, NULL);
    if (turn > 500 && meeting->nudge != NULL) meeting->nudge();
  }
}

// Tells the runner that this rank is ready for the checkpoint; does not wait.
static inline void rendezvous_announce(Rendezvous* meeting, const char* where) {
  meeting->steps++;
  if (meeting->folder == NULL) return;
  char path[512], draft[520];
  snprintf(path, sizeof path, "%s/arrived.%d.%d", meeting->folder, meeting->steps, meeting->rank);
  snprintf(draft, sizeof draft, "%s.new", path);
  const int file = open(draft, O_CREAT | O_WRONLY | O_TRUNC, 0600);
  if (file < 0 || write(file, where, strlen(where)) < 0 || close(file) != 0 || rename(draft, path) != 0) {
    fprintf(stderr, "rank %d: cannot write %s: %s\n", meeting->rank, path, strerror(errno));
    _exit(97);
  }
}

// 1 when the checkpoint of the last announced step is over (and, in the restart modes, the job runs again).
static inline int rendezvous_over(const Rendezvous* meeting) {
  return meeting->folder == NULL || rendezvous_exists(meeting, "go", meeting->steps);
}
static inline void rendezvous_wait_over(const Rendezvous* meeting) {
  if (meeting->steps > 0) rendezvous_wait(meeting, "go", meeting->steps);
}
static inline void rendezvous_wait_underway(const Rendezvous* meeting) {
  rendezvous_wait(meeting, "underway", meeting->steps);
}
