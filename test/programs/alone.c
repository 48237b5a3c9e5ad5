// SPDX-License-Identifier: BSD-3-Clause
// A program without MPI: counts up to a checkpoint and on.  With `terminal`: it is in the foreground of its terminal, before and after.
// It prints what the variable MANA_TEST_SAYS is in the end.  With `streams`: it reads a line before each step and after the last, and says on stdout and stderr what that was.
#define _GNU_SOURCE
#include <termios.h>

#include "test/rendezvous.h"

static void check_terminal(void) {
  if (tcgetpgrp(0) != getpgrp() || tcgetsid(0) != getsid(0) || tcsetpgrp(0, getpgrp()) != 0) {
    fprintf(stderr, "alone: group %d of session %d, but the terminal says %d of %d (%s)\n", getpgrp(), getsid(0), tcgetpgrp(0), tcgetsid(0),
            strerror(errno));
    exit(12);
  }
}

static void echo_line(void) {
  char line[64];
  if (fgets(line, sizeof line, stdin) == NULL) strcpy(line, "nothing\n");
  printf("out %s", line), fflush(stdout);
  fprintf(stderr, "err %s", line);
}

int main(int argc, char** argv) {
  const int terminal = argc > 1 && strcmp(argv[1], "terminal") == 0;
  const int streams = argc > 1 && strcmp(argv[1], "streams") == 0;
  Rendezvous meeting = rendezvous_open(0);
  long turns = 0;
  for (int step = 0; step < (streams ? 1 : 2); step++) {
    if (streams) echo_line();
    if (terminal) check_terminal();
    rendezvous_announce(&meeting, "alone");
    do turns++;
    while (!rendezvous_over(&meeting));
  }
  if (streams) echo_line(), echo_line();
  // Through `environ`, of which such a program may have its own copy.
  if (environ != NULL && getenv("MANA_TEST_SAYS") != NULL) printf("says %s\n", getenv("MANA_TEST_SAYS"));
  printf("alone: %s\n", turns >= (streams ? 1 : 2) ? "counted" : "lost count");
  return 11;
}
