// SPDX-License-Identifier: BSD-3-Clause
// What the programs that make steps share.
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

// `count` random words, or NULL.
static uint64_t* random_words(size_t count, uint64_t seed) {
  uint64_t* words = malloc(count * sizeof *words + 1);
  uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
  if (words == NULL) return NULL;
  for (size_t i = 0; i < count; ++i) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    words[i] = x;
  }
  return words;
}

// Work on the words: reads at most `reads` of them, far from each other.
static uint64_t sum_of_some(const uint64_t* words, size_t count, size_t reads, long step) {
  uint64_t sum = 0;
  for (size_t i = 0; i < reads && i < count; ++i)
    sum += words[(i * 4099 + (size_t)step) % count];
  return sum;
}

enum { kStepReads = 100000 };

struct steps {
  int64_t last, printed;  // times in ns
};

// Prints `step NUMBER TIME GAP` (nanoseconds of CLOCK_REALTIME; since the step before) ten times a
// second, at the last step, and at once after a gap of `notable` ns or more.
static void step_done(struct steps* steps, long step, int64_t notable, int last_step) {
  const int64_t now = now_ns(), gap = now - steps->last;
  if (gap >= notable || now - steps->printed >= 100000000 || last_step) {
    printf("step %ld %lld %lld\n", step, (long long)now, (long long)gap);
    fflush(stdout);
    steps->printed = now;
  }
  steps->last = now;
}
