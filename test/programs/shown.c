// SPDX-License-Identifier: BSD-3-Clause
// Prints what the kernel shows of this process, to itself and to a child; for a comparison with a native run.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char** environ;

static char bytes[1 << 20];
static size_t length;

static void read_all(const char* path) {
  FILE* file = fopen(path, "re");
  length = file == NULL ? 0 : fread(bytes, 1, sizeof bytes, file);
  if (file != NULL) fclose(file);
}

static void print(const char* path) {
  read_all(path);
  printf("%s: ", path);
  for (size_t i = 0; i < length; i++) putchar(bytes[i] == 0 ? '|' : bytes[i]);
  putchar('\n');
}

static int environment_is_told(void) {
  read_all("/proc/self/environ");
  const char* at = bytes;
  for (char** word = environ; *word != NULL; word++) {
    if (at >= bytes + length || strcmp(at, *word) != 0) return 0;
    at += strlen(at) + 1;
  }
  return at == bytes + length;
}

static int auxiliary_vector_is_told(void) {
  char** end = environ;
  while (*end != NULL) end++;
  read_all("/proc/self/auxv");
  const unsigned long* told = (const unsigned long*)(void*)bytes;
  const unsigned long* given = (const unsigned long*)(void*)(end + 1);
  for (size_t i = 0; i + 1 < length / sizeof *told; i += 2) {
    if (told[i] != given[i] || (told[i] != 0 && told[i + 1] != given[i + 1])) return 0;
    if (told[i] == 0) return i > 0;
  }
  return 0;
}

// Field 28 of /proc/self/stat: where the stack begins, which is the word with argc.
static int stack_is_told(char** argv) {
  read_all("/proc/self/stat");
  bytes[length < sizeof bytes ? length : sizeof bytes - 1] = 0;
  const char* at = strrchr(bytes, ')');
  for (int field = 2; at != NULL && field < 28; field++) at = strchr(at + 1, ' ');
  return at != NULL && strtoul(at, NULL, 10) == (unsigned long)(argv - 1);
}

int main(int argc, char** argv) {
  print("/proc/self/cmdline");
  print("/proc/self/comm");
  char link[4096];
  const ssize_t got = readlink("/proc/self/exe", link, sizeof link);
  printf("exe: %.*s\n", (int)(got < 0 ? 0 : got), link);
  printf("environ %d auxv %d stack %d\n", environment_is_told(), auxiliary_vector_is_told(), stack_is_told(argv));
  for (char* c = argv[0]; argc > 0 && *c != 0; c++) *c = 't';  // a title, written over it
  fflush(stdout);
  return system("tr '\\0' '|' </proc/$PPID/cmdline; cat /proc/$PPID/comm") == 0 ? 0 : 1;
}
