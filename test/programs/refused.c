// SPDX-License-Identifier: BSD-3-Clause
// An MPI program that does to its process what no restart brings back; for the tests of refusing.
//
// usage: refused KIND
// Step 1: it is done (the step's text is `unavailable: ...` where the kernel does not let it).  Step 2: undone, where that
// can be.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <mpi.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "test/rendezvous.h"

static Rendezvous meeting;
static int rank;

static void meet(const char* where) {
  rendezvous_announce(&meeting, where);
  rendezvous_wait_over(&meeting);
}

// Step 1, by a call's result.
static void meet_when_done(const char* kind, long result) {
  char text[200];
  snprintf(text, sizeof text, result < 0 ? "unavailable: %s: %s" : "%s", kind, strerror(errno));
  meet(text);
}

static long open_descriptor(const char* kind) {
  if (strcmp(kind, "pidfd") == 0) return syscall(SYS_pidfd_open, getpid(), 0);
  if (strcmp(kind, "userfaultfd") == 0) return syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */);
  if (strcmp(kind, "io_uring") == 0) {
    char parameters[120] = {0};  // struct io_uring_params
    return syscall(SYS_io_uring_setup, 4, parameters);
  }
  if (strcmp(kind, "perf") == 0) {
    struct perf_event_attr event = {.type = PERF_TYPE_SOFTWARE, .size = sizeof event, .config = PERF_COUNT_SW_TASK_CLOCK};
    event.exclude_kernel = 1;
    return syscall(SYS_perf_event_open, &event, 0, -1, -1, 0);
  }
  if (strcmp(kind, "bpf") == 0) {
    union bpf_attr map = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
    return syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof map);
  }
  if (strcmp(kind, "kvm") == 0) return open("/dev/kvm", O_RDWR);
  if (strcmp(kind, "tun") == 0) return open("/dev/net/tun", O_RDWR);
  if (strcmp(kind, "message-queue") == 0) {
    char name[64];
    snprintf(name, sizeof name, "/mana-test-%d", (int)getpid());
    const long queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, NULL);
    if (queue >= 0) mq_unlink(name);
    return queue;
  }
  return -2;
}

static long install_filter(void) {
  struct sock_filter allow = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
  struct sock_fprog filter = {1, &allow};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

static long enter_own_namespace(void) {
  const int space = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
  const long result = setns(space, CLONE_NEWUTS);
  const int why = errno;
  close(space);
  errno = why;
  return result;
}

// May not make sockets with a name in a folder.
static long restrict_itself(void) {
  const uint64_t handled[3] = {1 << 9 /* LANDLOCK_ACCESS_FS_MAKE_SOCK */, 0, 0};  // struct landlock_ruleset_attr
  const long rules = syscall(444 /* landlock_create_ruleset */, handled, sizeof handled[0], 0);
  if (rules < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  const long result = syscall(446 /* landlock_restrict_self */, rules, 0);
  close((int)rules);
  return result;
}

static long change_process(const char* kind) {
  if (strcmp(kind, "unshare") == 0) return unshare(CLONE_FS);
  if (strcmp(kind, "setns") == 0) return enter_own_namespace();
  if (strcmp(kind, "chroot") == 0) return chroot("/");
  if (strcmp(kind, "seccomp") == 0) return install_filter();
  if (strcmp(kind, "landlock") == 0) return restrict_itself();
  if (strcmp(kind, "capabilities") == 0) return prctl(PR_CAPBSET_DROP, 25 /* CAP_SYS_TIME */, 0, 0, 0);
  return -2;
}

// Every rank traces a child of its own.
static void trace(const char* kind) {
  const pid_t child = fork();
  if (child == 0) {
    for (;;) pause();
  }
  meet_when_done(kind, child < 0 ? -1 : ptrace(PTRACE_SEIZE, child, 0, 0));
  int status;
  if (kill(child, SIGKILL) != 0 || waitpid(child, &status, __WALL) != child) exit(5);
  meet("undone");
}

static void use_asynchronous_io(const char* kind) {
  unsigned long context = 0;
  meet_when_done(kind, syscall(SYS_io_setup, 4, &context));
  if (context != 0 && syscall(SYS_io_destroy, context) != 0) exit(8);
  meet("undone");
}

// Rank 0's segment is attached by rank 1, too, in step 1.  In step 2 only rank 0 has it.
static void share_segment(const char* kind) {
  int id = rank == 0 ? shmget(IPC_PRIVATE, 8192, IPC_CREAT | 0600) : -1;
  MPI_Bcast(&id, 1, MPI_INT, 0, MPI_COMM_WORLD);
  int* words = id < 0 ? (int*)-1 : shmat(id, NULL, 0);
  MPI_Barrier(MPI_COMM_WORLD);
  if (rank == 0 && id >= 0 && shmctl(id, IPC_RMID, NULL) != 0) exit(5);
  if (rank == 0 && words != (int*)-1) words[0] = 4711;
  meet_when_done(kind, words == (int*)-1 ? -1 : 0);
  if (rank == 1 && shmdt(words) != 0) exit(6);
  MPI_Barrier(MPI_COMM_WORLD);
  meet("undone");
  if (rank == 0 && (words[0] != 4711 || shmdt(words) != 0)) exit(7);
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  meeting = rendezvous_open(rank);
  const long number = open_descriptor(argv[1]);
  if (number != -2) {
    meet_when_done(argv[1], number);
    close((int)number);
    meet("undone");
  } else if (strcmp(argv[1], "ptrace") == 0) {
    trace(argv[1]);
  } else if (strcmp(argv[1], "aio") == 0) {
    use_asynchronous_io(argv[1]);
  } else if (strcmp(argv[1], "segment") == 0) {
    share_segment(argv[1]);
  } else {
    meet_when_done(argv[1], change_process(argv[1]));
  }
  MPI_Finalize();
  return 0;
}
