// SPDX-License-Identifier: BSD-3-Clause
// A program without MPI: counts up to a checkpoint and on.  With `terminal`: it is in the foreground of its terminal, before and after.
// It prints what the variable MANA_TEST_SAYS is in the end.  With `streams`: it reads a line before each step and after the last, and says on stdout and stderr what that was.
// With `member`: a socket of it is a member of a multicast group, on an interface that the next host does not have.
// With `own-terminal`: one that it has made itself controls its session.  With `own-group`: it is alone in its process group.
// With `restricted`: it may have no memory that can be written and executed.
// With `segment`: it has one of System V, which on the next host, where there are no others, has a number that a later one would get.
// With `thread`: another thread does so, and the main one has ended.
// With `told`: it has asked for what no restart can do again, as far as this kernel and its user can have it, and says for what.
// With `busy BYTES`: it writes to all pages of so much memory, over and over.
// With `connected`: it has a connection to port MANA_TEST_PORT, which must be one that was reset in the end.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/mempolicy.h>
#include <net/if.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <termios.h>

#include "test/rendezvous.h"

static void check_terminal(void) {
  if (tcgetpgrp(0) != getpgrp() || tcgetsid(0) != getsid(0) || tcsetpgrp(0, getpgrp()) != 0) {
    fprintf(stderr, "alone: group %d of session %d, but the terminal says %d of %d (%s)\n", getpgrp(), getsid(0), tcgetpgrp(0), tcgetsid(0),
            strerror(errno));
    exit(12);
  }
}

static int make_terminal(void) {
  const int master = posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0 || open(ptsname(master), O_RDWR) < 0) exit(22);
  return master;
}

static void check_own_terminal(int master) {
  const int terminal = open("/dev/tty", O_RDWR | O_NOCTTY);
  char text[8];
  if (terminal < 0 || write(terminal, "mine\n", 5) != 5 || read(master, text, sizeof text) != 6) exit(23);
  if (tcgetpgrp(terminal) != getpgrp() || tcgetsid(terminal) != getsid(0) || getsid(0) != getpid()) exit(24);
  close(terminal);
}

static volatile sig_atomic_t signalled;
static void on_signal(int number) { signalled = number; }

static void check_own_group(void) {
  signalled = 0;
  if (getpgrp() != getpid() || kill(0, SIGUSR1) != 0 || signalled != SIGUSR1) exit(25);
}

static void check_restricted(void) {
  const void* made = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (made != MAP_FAILED || errno != EACCES) exit(27);
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

static int connected(void) {
  const int got = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in there = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  there.sin_port = htons((uint16_t)atoi(getenv("MANA_TEST_PORT")));
  if (connect(got, (struct sockaddr*)&there, sizeof there) != 0) exit(19);
  return got;
}

// "unavailable" if there is no such interface but the loopback one.
static struct group_req group;
static int join_group(void) {
  const struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xef010203)};
  memcpy(&group.gr_group, &name, sizeof name);
  const int got = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct if_nameindex* all = if_nameindex();
  for (struct if_nameindex* one = all; one != NULL && one->if_index != 0; one++) {
    group.gr_interface = one->if_index;
    if (strcmp(one->if_name, "lo") != 0 && setsockopt(got, IPPROTO_IP, MCAST_JOIN_GROUP, &group, sizeof group) == 0) return got;
  }
  printf("unavailable\n");
  exit(11);
}

static void ask_for_what_is_told(char** argv) {
  const unsigned long node = 1;
  void* memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (syscall(SYS_mbind, memory, 4096, MPOL_BIND, &node, 64, 0) == 0 && syscall(450 /* set_mempolicy_home_node, Linux 5.17 */, memory, 4096, 0, 0) == 0)
    printf("asked: home nodes\n");
  if (prctl(PR_SET_MM, PR_SET_MM_ARG_START, argv[0], 0, 0) == 0) printf("asked: PR_SET_MM\n");
  if (prctl(PR_SET_PTRACER, getppid(), 0, 0, 0) == 0) printf("asked: PR_SET_PTRACER\n");
  if (prctl(62, 1, 0, 1, 0) == 0) printf("asked: PR_SCHED_CORE\n");
  fflush(stdout);
}

static unsigned char* rewritten;
static size_t rewritten_pages;
static void rewrite(long turn) {
  for (size_t i = 0; i < rewritten_pages; i++) rewritten[i * 4096] = (unsigned char)(i * 7 + (size_t)turn);
}
static void check_rewritten(long turn) {
  for (size_t i = 0; i < rewritten_pages; i++) {
    if (rewritten[i * 4096] != (unsigned char)(i * 7 + (size_t)turn)) exit(29);
  }
}

static void echo_line(void) {
  char line[64];
  if (fgets(line, sizeof line, stdin) == NULL) strcpy(line, "nothing\n");
  printf("out %s", line), fflush(stdout);
  fprintf(stderr, "err %s", line);
}

static int count(int argc, char** argv) {
  const int terminal = argc > 1 && strcmp(argv[1], "terminal") == 0;
  const int own_group = argc > 1 && strcmp(argv[1], "own-group") == 0;
  const int master = argc > 1 && strcmp(argv[1], "own-terminal") == 0 ? make_terminal() : -1;
  if (own_group && (getpgrp() == getpid() || setpgid(0, 0) != 0 || signal(SIGUSR1, on_signal) == SIG_ERR)) return 26;
  const int restricted = argc > 1 && strcmp(argv[1], "restricted") == 0 && prctl(65 /* PR_SET_MDWE */, 1, 0, 0, 0) == 0;  // Linux 6.3
  const int segment = argc > 1 && strcmp(argv[1], "segment") == 0;
  const int id = segment ? make_segment() : -1;
  const int connection = argc > 1 && strcmp(argv[1], "connected") == 0 ? connected() : -1;
  const int member = argc > 1 && strcmp(argv[1], "member") == 0 ? join_group() : -1;
  if (argc > 2 && strcmp(argv[1], "busy") == 0) {
    rewritten_pages = (size_t)atol(argv[2]) / 4096;
    rewritten = mmap(NULL, rewritten_pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (rewritten == MAP_FAILED) return 30;
    rewrite(0);
  }
  if (argc > 1 && strcmp(argv[1], "told") == 0) ask_for_what_is_told(argv);
  const int streams = argc > 1 && strcmp(argv[1], "streams") == 0;
  Rendezvous meeting = rendezvous_open(0);
  long turns = 0;
  for (int step = 0; step < (streams ? 1 : 2); step++) {
    if (streams) echo_line();
    if (terminal) check_terminal();
    if (master >= 0) check_own_terminal(master);
    if (own_group) check_own_group();
    if (restricted) check_restricted();
    rendezvous_announce(&meeting, "alone");
    do {
      check_rewritten(turns);
      rewrite(++turns);
    } while (!rendezvous_over(&meeting));
    if (segment) check_segment(id);
  }
  if (segment && shmctl(id, IPC_RMID, NULL) != 0) return 18;
  if (streams) echo_line(), echo_line();
  if (master >= 0) check_own_terminal(master);
  if (own_group) check_own_group();
  if (restricted) check_restricted();
  if (member >= 0 && setsockopt(member, IPPROTO_IP, MCAST_LEAVE_GROUP, &group, sizeof group) == 0) return 28;
  char byte;
  if (connection >= 0 && (recv(connection, &byte, 1, 0) != -1 || errno != ECONNRESET || send(connection, "x", 1, MSG_NOSIGNAL) != -1)) return 20;
  // Through `environ`, of which such a program may have its own copy.
  if (environ != NULL && getenv("MANA_TEST_SAYS") != NULL) printf("says %s\n", getenv("MANA_TEST_SAYS"));
  printf("alone: %s\n", turns >= (streams ? 1 : 2) ? "counted" : "lost count");
  return 11;
}

struct Words {
  int count;
  char** list;
};
static void* count_in_thread(void* words) {
  const struct Words* all = words;
  exit(count(all->count, all->list));
}

int main(int argc, char** argv) {
  if (argc < 2 || strcmp(argv[1], "thread") != 0) return count(argc, argv);
  static struct Words words;
  words = (struct Words){argc, argv};
  pthread_t thread;
  if (pthread_create(&thread, NULL, count_in_thread, &words) != 0) return 21;
  pthread_exit(NULL);
}
