// SPDX-License-Identifier: BSD-3-Clause
// A program without MPI: counts up to a checkpoint and on.  With `terminal`: it is in the foreground of its terminal, before and after.
#include <termios.h>

#include "test/rendezvous.h"

static void check_terminal(void) {
  if (tcgetpgrp(0) != getpgrp() || tcgetsid(0) != getsid(0) || tcsetpgrp(0, getpgrp()) != 0) {
    fprintf(stderr, "alone: group %d of session %d, but the terminal says %d of %d (%s)\n", getpgrp(), getsid(0), tcgetpgrp(0), tcgetsid(0),
            strerror(errno));
    exit(12);
  }
}

int main(int argc, char** argv) {
  const int terminal = argc > 1 && strcmp(argv[1], "terminal") == 0;
  Rendezvous meeting = rendezvous_open(0);
  long turns = 0;
  for (int step = 0; step < 2; step++) {
    if (terminal) check_terminal();
    rendezvous_announce(&meeting, "alone");
    do turns++;
    while (!rendezvous_over(&meeting));
  }
  printf("alone: %s\n", turns >= 2 ? "counted" : "lost count");
  return 11;
}
