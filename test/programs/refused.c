// SPDX-License-Identifier: BSD-3-Clause
// An MPI program that does to its process what no restart brings back; for the tests of refusing.
//
// usage: refused KIND
// Step 1: it is done (the step's text is `unavailable: ...` where the kernel does not let it).  Step 2: undone, where that
// can be.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <mpi.h>
#include <mqueue.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
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

// A file of this process alone, which is gone when the test's folder is.
static int open_own_file(const char* name) {
  char path[600];
  snprintf(path, sizeof path, "%s/%s.%d", meeting.folder, name, rank);
  return open(path, O_RDWR | O_CREAT, 0600);
}

static long lease_file(void) {
  const int file = open_own_file("leased");
  return file >= 0 && fcntl(file, F_SETLEASE, F_WRLCK) == 0 ? file : -1;
}

// A descriptor is on its way between two ends.
static long send_descriptor(void) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return -1;
  char byte = 'x', room[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec data = {&byte, 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET, header->cmsg_type = SCM_RIGHTS, header->cmsg_len = CMSG_LEN(sizeof(int));
  const int sent = STDERR_FILENO;
  memcpy(CMSG_DATA(header), &sent, sizeof sent);
  return sendmsg(ends[0], &message, 0) == 1 ? ends[1] : -1;
}

// It still reports what was added under a number that is closed now.
static long watch_closed_number(void) {
  int ends[2];
  if (pipe(ends) != 0) return -1;
  const int set = epoll_create1(0), again = dup(ends[0]);
  struct epoll_event event = {.events = EPOLLIN};
  if (epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event) != 0) return -1;
  close(ends[0]);
  return again >= 0 ? set : -1;
}

static long leave_event_unread(void) {
  const int watches = inotify_init1(0);
  if (watches < 0 || inotify_add_watch(watches, meeting.folder, IN_CREATE) < 0) return -1;
  close(open_own_file("seen"));
  return watches;
}

// Connected, and nobody has accepted it yet.
static long leave_connection_waiting(void) {
  const struct sockaddr_un name = {.sun_family = AF_UNIX};
  const int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un given;
  socklen_t length = sizeof given;
  if (bind(server, (const struct sockaddr*)&name, sizeof name.sun_family) != 0 || listen(server, 1) != 0) return -1;
  if (getsockname(server, (struct sockaddr*)&given, &length) != 0) return -1;
  return connect(client, (const struct sockaddr*)&given, length) == 0 ? server : -1;
}

// A filter that is a program of the extended kind, whose own descriptor is closed.
static long filter_by_program(void) {
  const struct bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = -1 /* all of it */}, {.code = BPF_JMP | BPF_EXIT}};
  union bpf_attr load = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insns = (uintptr_t)code, .insn_cnt = 2, .license = (uintptr_t) "BSD"};
  const int program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load), number = socket(AF_INET, SOCK_DGRAM, 0);
  const int attached = program < 0 ? -1 : setsockopt(number, SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof program), why = errno;
  close(program);
  errno = why;
  return attached == 0 ? number : -1;
}

// Which of the sockets that share a port gets a packet.
static long choose_among_sockets(void) {
  struct sock_filter first = {BPF_RET | BPF_K, 0, 0, 0};
  const struct sock_fprog program = {1, &first};
  const int number = socket(AF_INET, SOCK_DGRAM, 0), yes = 1;
  if (setsockopt(number, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes) != 0) return -1;
  return setsockopt(number, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) == 0 ? number : -1;
}

static long join_group_of_one_source(void) {
  struct sockaddr_in group = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xe8010203)}, source = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
  struct group_source_req wanted = {.gsr_interface = if_nametoindex("lo")};
  memcpy(&wanted.gsr_group, &group, sizeof group);
  memcpy(&wanted.gsr_source, &source, sizeof source);
  const int number = socket(AF_INET, SOCK_DGRAM, 0);
  return setsockopt(number, IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, &wanted, sizeof wanted) == 0 ? number : -1;
}

static long open_removed_device(void) {
  char path[600];
  snprintf(path, sizeof path, "%s/device.%d", meeting.folder, rank);
  if (mknod(path, S_IFCHR | 0600, makedev(1, 5)) != 0) return -1;  // that of /dev/zero
  const int got = open(path, O_RDONLY);
  unlink(path);
  return got;
}

static long open_descriptor(const char* kind) {
  if (strcmp(kind, "waiting") == 0) return leave_connection_waiting();
  if (strcmp(kind, "program") == 0) return filter_by_program();
  if (strcmp(kind, "chosen") == 0) return choose_among_sockets();
  if (strcmp(kind, "sources") == 0) return join_group_of_one_source();
  if (strcmp(kind, "removed-device") == 0) return open_removed_device();
  if (strcmp(kind, "lease") == 0) return lease_file();
  if (strcmp(kind, "passed") == 0) return send_descriptor();
  if (strcmp(kind, "watched") == 0) return watch_closed_number();
  if (strcmp(kind, "unread") == 0) return leave_event_unread();
  if (strcmp(kind, "fanotify") == 0) return syscall(SYS_fanotify_init, 0, O_RDONLY);
  if (strcmp(kind, "secret") == 0) {
    const long file = syscall(447 /* memfd_secret */, 0);
    return file >= 0 && ftruncate((int)file, 4096) == 0 ? file : -1;
  }
  if (strcmp(kind, "huge-file") == 0) return memfd_create("huge", MFD_HUGETLB);
  if (strcmp(kind, "netlink") == 0) return socket(AF_NETLINK, SOCK_RAW, 0);
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

// The first device here that can be mapped: block devices, and what is left of /dev/mem.
static void* map_device(void) {
  const char* devices[] = {"/dev/loop0", "/dev/ram0", "/dev/zram0", "/dev/mem", "/dev/vda", "/dev/sda", "/dev/nvme0n1"};
  void* mapped = MAP_FAILED;
  for (size_t i = 0; i < sizeof devices / sizeof *devices && mapped == MAP_FAILED; i++) {
    const int device = open(devices[i], O_RDONLY);
    if (device < 0) continue;
    mapped = mmap(NULL, 4096, PROT_READ, MAP_SHARED, device, 0);
    const int why = errno;
    close(device);
    errno = why;
  }
  return mapped;
}

// A counter's page; its descriptor is closed, and not what gives it away.
static void* map_counter(void) {
  const int counter = (int)open_descriptor("perf");
  if (counter < 0) return MAP_FAILED;
  void* mapped = mmap(NULL, 4096, PROT_READ, MAP_SHARED, counter, 0);
  close(counter);
  return mapped;
}

static void keep_timer(const char* kind) {
  timer_t timer;
  struct sigevent nothing = {.sigev_notify = SIGEV_NONE};
  meet_when_done(kind, timer_create(CLOCK_THREAD_CPUTIME_ID, &nothing, &timer));
  if (timer_delete(timer) != 0) exit(5);
  meet("undone");
}

static void keep_mapped(const char* kind, void* mapped) {
  meet_when_done(kind, mapped == MAP_FAILED ? -1 : 0);
  if (munmap(mapped, 4096) != 0) exit(5);
  meet("undone");
}

static long add_key_to(int ring) { return syscall(SYS_add_key, "user", "mana-test", "x", 1, ring); }

static long drop_capability(void) { return prctl(PR_CAPBSET_DROP, 25 /* CAP_SYS_TIME */, 0, 0, 0); }

static long change_process(const char* kind) {
  if (strcmp(kind, "unshare") == 0) return unshare(CLONE_FS);
  if (strcmp(kind, "setns") == 0) return enter_own_namespace();
  if (strcmp(kind, "chroot") == 0) return chroot("/");
  if (strcmp(kind, "seccomp") == 0) return install_filter();
  if (strcmp(kind, "landlock") == 0) return restrict_itself();
  if (strcmp(kind, "capabilities") == 0) return drop_capability();
  if (strcmp(kind, "dispatch") == 0) {
    static char let_through;
    return prctl(59 /* PR_SET_SYSCALL_USER_DISPATCH */, 1, 0, 0, &let_through);
  }
  if (strcmp(kind, "ports") == 0) return syscall(SYS_iopl, 3);
  if (strcmp(kind, "folder") == 0) return signal(SIGIO, SIG_IGN) == SIG_ERR ? -1 : fcntl(open(meeting.folder, O_RDONLY | O_DIRECTORY), F_NOTIFY, DN_RENAME | DN_MULTISHOT);
  if (strcmp(kind, "unreadable") == 0) {
    char* page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    page[0] = 'x';
    return mprotect(page, 4096, PROT_NONE) != 0 ? -1 : syscall(462 /* mseal */, page, 4096, 0);
  }
  if (strcmp(kind, "process-keys") == 0) return add_key_to(KEY_SPEC_PROCESS_KEYRING);
  if (strcmp(kind, "session-keys") == 0) return add_key_to(KEY_SPEC_SESSION_KEYRING);
  if (strcmp(kind, "joined-session") == 0) return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
  return -2;
}

static void* hold_key(void* kind) {
  meet_when_done(kind, add_key_to(KEY_SPEC_THREAD_KEYRING));
  return NULL;
}

// Until the thread ends.
static void hold_key_of_thread(char* kind) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, hold_key, kind) != 0 || pthread_join(thread, NULL) != 0) exit(5);
  meet("undone");
}

static long set_segment(unsigned size) {
  const struct {
    unsigned entry, base, limit, flags;
  } segment = {0, size != 0 ? 0x1000 : 0, size, size != 0 ? 0x51 : 0x28 /* an empty one */};
  return syscall(SYS_modify_ldt, 1, &segment, sizeof segment);
}

static void have_segments(const char* kind) {
  meet_when_done(kind, set_segment(0xfff));
  if (set_segment(0) != 0) exit(5);
  meet("undone");
}

// A thread that no libc has made: with its own copy of the process's descriptors, or of its working directory.
static int wait_for_end(void* word) {
  while (*(volatile int*)word == 0) syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL);
  return 0;
}

static void have_own_tables(const char* kind, int shared) {
  static int over, tid;
  static uint64_t words[8192];  // stack, and above it what %fs leads to: room for errno below, the thread's own address, the canary
  uint64_t* self = words + 7168;
  self[0] = self[2] = (uint64_t)(uintptr_t)self;
  __asm__("movq %%fs:0x28, %0" : "=r"(self[5]));
  const int flags = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | shared;
  meet_when_done(kind, clone(wait_for_end, words + 4096, flags, &over, &tid, self, &tid));
  over = 1;
  syscall(SYS_futex, &over, FUTEX_WAKE, 1);
  for (int now = tid; now != 0; now = *(volatile int*)&tid) syscall(SYS_futex, &tid, FUTEX_WAIT, now, NULL);
  meet("undone");
}

static void hold_protection_key(const char* kind) {
  const int key = pkey_alloc(0, 0);
  char* page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  meet_when_done(kind, key < 0 ? key : pkey_mprotect(page, 4096, PROT_READ | PROT_WRITE, key));
  if (pkey_mprotect(page, 4096, PROT_READ | PROT_WRITE, 0) != 0 || pkey_free(key) != 0) exit(5);
  meet("undone");
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

// A ring works; its mapping alone, without the descriptor, is refused too.
static void keep_ring(const char* kind) {
  struct io_uring_params parameters = {0};
  const int ring = (int)syscall(SYS_io_uring_setup, 4, &parameters);
  const size_t bytes = parameters.sq_off.array + parameters.sq_entries * sizeof(uint32_t), entries = parameters.sq_entries * sizeof(struct io_uring_sqe);
  char* queue = ring < 0 ? MAP_FAILED : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
  char* completed = ring < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
  struct io_uring_sqe* entry = ring < 0 ? MAP_FAILED : mmap(NULL, entries, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
  if (ring >= 0 && (queue == MAP_FAILED || completed == MAP_FAILED || entry == MAP_FAILED)) exit(9);
  if (ring >= 0) {
    entry->opcode = IORING_OP_NOP;
    entry->user_data = 4711;
    *(uint32_t*)(queue + parameters.sq_off.array) = 0;
    __atomic_store_n((uint32_t*)(queue + parameters.sq_off.tail), 1, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1) exit(10);
    if (((struct io_uring_cqe*)(completed + parameters.cq_off.cqes))->user_data != 4711) exit(11);
    if (munmap(completed, 4096) != 0 || munmap(entry, entries) != 0 || close(ring) != 0) exit(12);
  }
  meet_when_done(kind, ring);
  if (munmap(queue, bytes) != 0) exit(13);
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

// Of the rank's own.  0: nothing of System V is meant.
static int use_system_v(const char* kind) {
  int id = -1;
  void* at = NULL;
  if (strcmp(kind, "semaphores") == 0) {
    meet_when_done(kind, id = semget(IPC_PRIVATE, 2, 0600));
    if (semctl(id, 0, IPC_RMID) != 0) exit(5);
  } else if (strcmp(kind, "queue") == 0) {
    meet_when_done(kind, id = msgget(IPC_PRIVATE, 0600));
    if (msgctl(id, IPC_RMID, NULL) != 0) exit(5);
  } else if (strcmp(kind, "unattached") == 0) {
    meet_when_done(kind, id = shmget(IPC_PRIVATE, 8192, 0600));
    if (shmctl(id, IPC_RMID, NULL) != 0) exit(5);
  } else if (strcmp(kind, "in-part") == 0) {
    id = shmget(IPC_PRIVATE, 8192, 0600);
    at = id < 0 ? NULL : shmat(id, NULL, 0);
    if (at == NULL || munmap(at, 4096) != 0 || shmctl(id, IPC_RMID, NULL) != 0) exit(5);
    meet_when_done(kind, 0);
    if (shmdt(at) != 0) exit(6);
  } else if (strcmp(kind, "too-many") == 0) {
    static int sets[1100];
    int got = 0;
    while (got < (int)(sizeof sets / sizeof *sets) && (id = sets[got] = semget(IPC_PRIVATE, 1, 0600)) >= 0) got++;
    for (int i = 0; i < got; i++) semctl(sets[i], 0, IPC_RMID);
    meet_when_done(kind, id);
    return 1;
  } else {
    return 0;
  }
  meet("undone");
  return 1;
}

// Processes of another job: first what was made of the communicator with them is all that is left of it.  The child is not under us,
// and waits in the library's own MPI_Comm_disconnect for ours.
static void part_from(MPI_Comm others, int high, const char* kind) {
  MPI_Comm all = MPI_COMM_NULL;
  int size = 0, last = -1;
  MPI_Intercomm_merge(others, high, &all);
  MPI_Comm_disconnect(&others);
  MPI_Comm_size(all, &size);
  if (kind != NULL) meet(kind);
  MPI_Allreduce(MPI_IN_PLACE, &size, 1, MPI_INT, MPI_SUM, all);
  if (size != 3 * 3) exit(9);
  MPI_Comm_free(&all);  // Open MPI hangs when it is to be disconnected, natively too
  // The last word of a child that has parted well.
  char path[600];
  snprintf(path, sizeof path, "%s/parted", meeting.folder);
  if (kind == NULL) close(open(path, O_WRONLY | O_CREAT, 0600));
  while (kind != NULL && access(path, F_OK) != 0) MPI_Iprobe(MPI_ANY_SOURCE, 32000, MPI_COMM_WORLD, &last, MPI_STATUS_IGNORE);
  if (kind != NULL) meet("parted");
}

static void spawn_child(char* program, const char* kind) {
  char* arguments[] = {"child", NULL};
  MPI_Comm others = MPI_COMM_NULL;
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  if (MPI_Comm_spawn(program, arguments, 1, MPI_INFO_NULL, 0, MPI_COMM_WORLD, &others, MPI_ERRCODES_IGNORE) == MPI_SUCCESS) {
    part_from(others, 0, kind);
  } else {
    meet("unavailable: MPI_Comm_spawn");
  }
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const int is_early = strcmp(argv[1], "early-capabilities") == 0;
  const long early = is_early ? drop_capability() : 0;
  const int early_error = errno;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  meeting = rendezvous_open(rank);
  MPI_Comm parent = MPI_COMM_NULL;
  if (strcmp(argv[1], "child") == 0) {
    MPI_Comm_get_parent(&parent);
    part_from(parent, 1, NULL);
    MPI_Finalize();
    return 0;
  }
  const long number = open_descriptor(argv[1]);
  if (number != -2) {
    meet_when_done(argv[1], number);
    close((int)number);
    meet("undone");
  } else if (strcmp(argv[1], "device") == 0) {
    keep_mapped(argv[1], map_device());
  } else if (strcmp(argv[1], "counter") == 0) {
    keep_mapped(argv[1], map_counter());
  } else if (strcmp(argv[1], "timer") == 0) {
    keep_timer(argv[1]);
  } else if (strcmp(argv[1], "ptrace") == 0) {
    trace(argv[1]);
  } else if (strcmp(argv[1], "spawned") == 0) {
    spawn_child(argv[0], argv[1]);
  } else if (strcmp(argv[1], "ring") == 0) {
    keep_ring(argv[1]);
  } else if (strcmp(argv[1], "aio") == 0) {
    use_asynchronous_io(argv[1]);
  } else if (is_early) {
    errno = early_error;
    meet_when_done(argv[1], early);
  } else if (strcmp(argv[1], "thread-keys") == 0) {
    hold_key_of_thread(argv[1]);
  } else if (strcmp(argv[1], "segments") == 0) {
    have_segments(argv[1]);
  } else if (strcmp(argv[1], "own-files") == 0) {
    have_own_tables(argv[1], CLONE_FS);
  } else if (strcmp(argv[1], "own-folder") == 0) {
    have_own_tables(argv[1], CLONE_FILES);
  } else if (strcmp(argv[1], "protection-key") == 0) {
    hold_protection_key(argv[1]);
  } else if (strcmp(argv[1], "segment") == 0) {
    share_segment(argv[1]);
  } else if (!use_system_v(argv[1])) {
    meet_when_done(argv[1], change_process(argv[1]));
  }
  MPI_Finalize();
  return 0;
}
