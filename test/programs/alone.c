// SPDX-License-Identifier: BSD-3-Clause
// A program without MPI: counts up to a checkpoint and on.
#include "test/rendezvous.h"

int main(void) {
  Rendezvous meeting = rendezvous_open(0);
  long turns = 0;
  for (int step = 0; step < 2; step++) {
    rendezvous_announce(&meeting, "alone");
    do turns++;
    while (!rendezvous_over(&meeting));
  }
  printf("alone: %s\n", turns >= 2 ? "counted" : "lost count");
  return 11;
}
