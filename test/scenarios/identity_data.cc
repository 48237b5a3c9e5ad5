// SPDX-License-Identifier: BSD-3-Clause
// Ids in what is read: folders and files of /proc, records of a signalfd, credentials that come with a message.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <thread>

#include "test/scenario.h"

namespace {

struct OldRecord {
  unsigned long inode, next;
  unsigned short length;
  char name[];
};

// What a folder lists, read with a buffer of `size`, from where it stands.
std::vector<std::string> listed(mana::test::Job& job, int folder, std::size_t size, bool old = false) {
  std::vector<std::string> names;
  alignas(8) char buffer[4096];
  for (;;) {
    const long got = syscall(old ? SYS_getdents : SYS_getdents64, folder, buffer, size);
    CHECK(got >= 0);
    if (got <= 0) return names;
    CHECK(static_cast<std::size_t>(got) <= size);
    for (long at = 0; at < got;) {
      const auto* record = reinterpret_cast<const dirent64*>(buffer + at);
      const auto* record_of_old = reinterpret_cast<const OldRecord*>(buffer + at);
      const int type = old ? buffer[at + record_of_old->length - 1] : record->d_type;
      names.emplace_back(old ? record_of_old->name : record->d_name);
      if (names.back() == std::to_string(getpid())) CHECK_EQ(type, static_cast<int>(DT_DIR));
      at += record->d_reclen;
    }
  }
}

bool all_differ(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  return std::adjacent_find(names.begin(), names.end()) == names.end();
}

struct Threads {
  explicit Threads(int count) {
    for (int i = 0; i < count; i++) {
      all.emplace_back([this, i] {
        ids[i] = static_cast<pid_t>(syscall(SYS_gettid));
        while (!over) usleep(500);
      });
    }
    for (const auto& id : ids) {
      while (id == 0 && &id - ids < count) usleep(500);
    }
  }
  ~Threads() {
    over = true;
    for (std::thread& one : all) one.join();
  }
  std::vector<std::thread> all;
  std::atomic<pid_t> ids[40] = {};
  std::atomic<bool> over{false};
};

SCENARIO(folders_of_proc_list_the_ids_that_the_application_knows, .ranks = 2) {
  const int kThreads = 40;  // more than one read of the listing
  const Threads threads(kThreads);
  const std::string folder = "/proc/self/task";
  const int kept = open(folder.c_str(), O_RDONLY | O_DIRECTORY);
  const auto ask = [&] {
    for (const std::string& path : {folder, "/proc/" + std::to_string(getpid()) + "/task"}) {
      const int task = open(path.c_str(), O_RDONLY | O_DIRECTORY);
      const std::vector<std::string> names = listed(job, task, 4096);
      CHECK(all_differ(names));
      for (int i = 0; i < kThreads; i++) CHECK_EQ(std::count(names.begin(), names.end(), std::to_string(threads.ids[i])), 1);
      CHECK_EQ(std::count(names.begin(), names.end(), std::to_string(getpid())), 1);
      for (const std::string& name : names) {
        if (name[0] != '.') CHECK_EQ(access((path + "/" + name + "/comm").c_str(), R_OK), 0);
      }
      for (const std::size_t size : {32, 48, 100, 768, 1024, 1500}) {
        lseek(task, 0, SEEK_SET);
        CHECK_EQ(listed(job, task, size) == names, true);
        lseek(task, 0, SEEK_SET);
        CHECK_EQ(listed(job, task, size, true) == names, true);
      }
      char small[16];
      lseek(task, 0, SEEK_SET);
      CHECK_EQ(syscall(SYS_getdents64, task, small, sizeof small), -1L);
      CHECK_EQ(errno, EINVAL);
      CHECK_EQ(syscall(SYS_getdents64, task, 4711, 4096), -1L);
      CHECK_EQ(errno, EFAULT);
      CHECK_EQ(listed(job, task, 4096) == names, true);  // nothing was lost
      close(task);
    }
    DIR* task = opendir(folder.c_str());
    std::vector<long> places;
    std::vector<std::string> names;
    while (const dirent* entry = readdir(task)) names.emplace_back(entry->d_name), places.push_back(telldir(task));
    for (std::size_t i = names.size() - 1; i-- > 0;) {
      seekdir(task, places[i]);
      CHECK_EQ(std::string(readdir(task)->d_name), names[i + 1]);
    }
    closedir(task);
    lseek(kept, 0, SEEK_SET);
    CHECK_EQ(listed(job, kept, 4096) == names, true);

    const int processes = open("/proc", O_RDONLY | O_DIRECTORY);
    for (const std::size_t size : {4096, 64}) {
      lseek(processes, 0, SEEK_SET);
      const std::vector<std::string> all = listed(job, processes, size);
      CHECK(all_differ(all));
      for (const pid_t one : {getpid(), getppid()}) CHECK_EQ(std::count(all.begin(), all.end(), std::to_string(one)), 1);
      for (const char* other : {"self", "meminfo", "sys"}) CHECK_EQ(std::count(all.begin(), all.end(), other), 1);
    }
    close(processes);
  };
  ask();
  job.checkpoint_here();
  ask();
  close(kept);
}

// From where the descriptor stands to the end.
std::string rest_of(int file, std::size_t size = 4096) {
  std::string text(1 << 16, 0);
  std::size_t used = 0;
  for (ssize_t got; (got = read(file, text.data() + used, std::min(size, text.size() - used))) > 0;) used += static_cast<std::size_t>(got);
  text.resize(used);
  return text;
}

std::string contents(const std::string& path, std::size_t size = 4096) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return "error " + std::to_string(errno);
  const std::string text = rest_of(file, size);
  close(file);
  return text;
}

// The first number behind a word of a text; -1: there is none.
long behind(const std::string& text, const std::string& word) {
  const std::size_t at = text.find(word);
  return at == std::string::npos ? -1 : strtol(text.c_str() + at + word.size(), nullptr, 10);
}

void check_stat(mana::test::Job& job, const std::string& text, pid_t id, pid_t parent) {
  int state_parent = 0, group = 0, session = 0;
  CHECK_EQ(atoi(text.c_str()), id);
  CHECK(text.rfind(')') != std::string::npos);
  CHECK_EQ(sscanf(text.c_str() + text.rfind(')') + 1, " %*c %d %d %d", &state_parent, &group, &session), 3);
  CHECK_EQ(state_parent, parent);
  CHECK_EQ(group, getpgrp());
  CHECK_EQ(session, getsid(0));
  CHECK_EQ(text.back(), '\n');
}

void check_status(mana::test::Job& job, const std::string& text, pid_t id) {
  CHECK_EQ(behind(text, "\nTgid:"), getpid());
  CHECK_EQ(behind(text, "\nPid:"), id);
  CHECK_EQ(behind(text, "\nPPid:"), getppid());
  CHECK_EQ(behind(text, "\nNStgid:"), getpid());
  CHECK_EQ(behind(text, "\nNSpid:"), id);
  CHECK_EQ(behind(text, "\nNSpgid:"), getpgrp());
  CHECK_EQ(behind(text, "\nNSsid:"), getsid(0));
  CHECK(text.find("\nnonvoluntary_ctxt_switches:") != std::string::npos);
}

void check_files_of_proc(mana::test::Job& job, const Threads& threads, int locked) {
  const std::string own = "/proc/" + std::to_string(getpid());
  for (const std::string& folder : {std::string("/proc/self"), own, std::string("/proc/thread-self"), own + "/task/" + std::to_string(getpid())}) {
    check_stat(job, contents(folder + "/stat"), getpid(), getppid());
    check_stat(job, contents(folder + "/stat", 1), getpid(), getppid());
    check_status(job, contents(folder + "/status"), getpid());
    check_status(job, contents(folder + "/status", 100), getpid());
  }
  const std::string task = "/proc/self/task/" + std::to_string(threads.ids[0]);
  check_stat(job, contents(task + "/stat"), threads.ids[0], getppid());
  check_status(job, contents(task + "/status"), threads.ids[0]);
  if (access("/proc/self/sched", R_OK) == 0) {
    const std::string sched = contents("/proc/self/sched", 700);
    const std::size_t at = sched.find(", #threads:");
    CHECK_EQ(atoi(sched.c_str() + sched.rfind('(', at) + 1), getpid());
    CHECK_EQ(sched.find("error"), std::string::npos);
  }
  char name[16];
  prctl(PR_GET_NAME, name);
  prctl(PR_SET_NAME, "a) 1 2 (\n 3 4");  // a name may be anything
  check_stat(job, contents("/proc/self/stat"), getpid(), getppid());
  prctl(PR_SET_NAME, name);

  const pid_t child = fork();
  if (child == 0) {
    const std::string text = contents("/proc/self/stat");
    const bool right = atoi(text.c_str()) == getpid() && behind(contents("/proc/self/status"), "\nPPid:") == getppid() &&
                       atoi(text.c_str() + text.rfind(')') + 3) == getppid();
    raise(SIGSTOP);
    _exit(right ? 7 : 1);
  }
  int status = 0;
  CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
  check_stat(job, contents("/proc/" + std::to_string(child) + "/stat"), child, getpid());
  const std::string children = "/proc/self/task/" + std::to_string(getpid()) + "/children";
  if (access(children.c_str(), R_OK) == 0) CHECK_EQ(atoi(contents(children).c_str()), child);
  const std::string of_parent = "/proc/" + std::to_string(getppid()) + "/task/" + std::to_string(getppid()) + "/children";
  if (access(of_parent.c_str(), R_OK) == 0) CHECK((" " + contents(of_parent)).find(" " + std::to_string(getpid()) + " ") != std::string::npos);
  kill(child, SIGCONT);
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 7 << 8);

  const std::string info = contents("/proc/self/fdinfo/" + std::to_string(locked));
  CHECK(info.find("WRITE " + std::to_string(getpid()) + " ") != std::string::npos);
  CHECK(contents("/proc/locks").find("WRITE " + std::to_string(getpid()) + " ") != std::string::npos);
  const std::string timers = contents("/proc/self/timers");
  CHECK_EQ(behind(timers, "/pid."), getpid());
  CHECK_EQ(behind(timers, "/tid."), threads.ids[0].load());
  for (const std::size_t size : {1, 5, 50}) CHECK_EQ(contents("/proc/self/timers", size), timers);
}

SCENARIO(files_of_proc_tell_the_ids_that_the_application_knows, .ranks = 2) {
  const Threads threads(2);
  char path[] = "/tmp/mana-scenario-XXXXXX";
  const int locked = mkstemp(path);
  struct flock whole = {};
  whole.l_type = F_WRLCK;
  CHECK_EQ(fcntl(locked, F_SETLK, &whole), 0);
  timer_t by_process, by_thread;
  sigevent event = {};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGUSR1;
  CHECK_EQ(timer_create(CLOCK_MONOTONIC, &event, &by_process), 0);
  event.sigev_notify = SIGEV_THREAD_ID;
  event._sigev_un._tid = threads.ids[0];
  CHECK_EQ(timer_create(CLOCK_MONOTONIC, &event, &by_thread), 0);
  check_files_of_proc(job, threads, locked);
  job.checkpoint_here();
  check_files_of_proc(job, threads, locked);
  timer_delete(by_process);
  timer_delete(by_thread);
  close(locked);
  unlink(path);
}

SCENARIO(open_files_of_proc_stay_live, .ranks = 2) {
  const int stat = open("/proc/self/stat", O_RDONLY), status = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  char name[16];
  prctl(PR_GET_NAME, name);
  const auto ask = [&](int stat_file, int status_file) {
    prctl(PR_SET_NAME, "before");
    char text[4096] = {};
    CHECK_EQ(lseek(stat_file, 0, SEEK_SET), 0);
    CHECK(read(stat_file, text, sizeof text) > 0);
    check_stat(job, text, getpid(), getppid());
    CHECK(strstr(text, "(before)") != nullptr);
    const off_t end = lseek(stat_file, 0, SEEK_CUR);
    CHECK_EQ(end, static_cast<off_t>(strlen(text)));
    CHECK_EQ(read(stat_file, text, sizeof text), 0);
    prctl(PR_SET_NAME, "after");
    memset(text, 0, sizeof text);
    CHECK(pread(stat_file, text, sizeof text, 0) > 0);
    check_stat(job, text, getpid(), getppid());
    CHECK(strstr(text, "(after)") != nullptr);
    CHECK_EQ(lseek(stat_file, 0, SEEK_CUR), end);
    char first[3] = {}, second[4096] = {};
    const iovec parts[] = {{nullptr, 0}, {first, 2}, {second, sizeof second - 1}};
    CHECK_EQ(lseek(stat_file, 0, SEEK_SET), 0);
    const ssize_t got = readv(stat_file, parts, 3);
    CHECK(got >= 2);
    if (got == 2) CHECK(read(stat_file, second, sizeof second - 1) > 0);
    check_stat(job, std::string(first) + second, getpid(), getppid());
    CHECK_EQ(preadv(stat_file, parts + 1, 1, 0), 2);
    CHECK_EQ(std::string(first), std::to_string(getpid()).substr(0, 2));
    CHECK_EQ(pread(stat_file, text, 10, 1 << 20), 0);
    CHECK_EQ(pread(stat_file, text, 10, -1), -1);
    CHECK_EQ(errno, EINVAL);
    CHECK_EQ(syscall(SYS_pread64, stat_file, 4711, 10, 0), -1L);
    CHECK_EQ(errno, EFAULT);
    CHECK_EQ(syscall(SYS_preadv, stat_file, 4711, 1, 0, 0), -1L);
    CHECK_EQ(errno, EFAULT);
    CHECK_EQ(lseek(status_file, 0, SEEK_SET), 0);
    check_status(job, rest_of(status_file), getpid());
    prctl(PR_SET_NAME, name);
  };
  ask(stat, status);
  CHECK_EQ(lseek(status, 100, SEEK_SET), 100);
  job.checkpoint_here();
  CHECK_EQ(lseek(status, 0, SEEK_CUR), 100);
  ask(stat, status);
  const int copy = dup(stat), second = fcntl(status, F_DUPFD_CLOEXEC, 3);
  const int chosen = dup2(stat, open("/dev/null", O_RDONLY)), third = dup3(copy, open("/dev/null", O_RDONLY), O_CLOEXEC);
  ask(copy, second);
  ask(chosen, status);
  ask(third, status);
  for (const int one : {stat, status, copy, second, chosen, third}) close(one);
  // The numbers are something else now, and a read may wait.
  int pipe_ends[2];
  CHECK_EQ(pipe(pipe_ends), 0);
  CHECK_EQ(dup2(pipe_ends[0], chosen), chosen);
  std::thread writer([&] {
    usleep(1000);
    CHECK_EQ(write(pipe_ends[1], "abc", 3), 3L);
  });
  char text[8] = {};
  CHECK_EQ(read(chosen, text, sizeof text), 3L);
  CHECK_EQ(std::string(text), "abc");
  writer.join();
  for (const int one : {pipe_ends[0], pipe_ends[1], chosen}) close(one);
}

SCENARIO(any_number_of_files_of_proc_may_be_open, .ranks = 2) {
  std::vector<int> files;
  const auto ask = [&] {
    for (const int file : files) {
      lseek(file, 0, SEEK_SET);
      CHECK_EQ(atoi(rest_of(file).c_str()), getpid());
    }
  };
  const auto open_more = [&] {
    for (int i = 0; i < 70; i++) files.push_back(open("/proc/self/stat", O_RDONLY));
  };
  open_more();
  ask();
  job.checkpoint_here();
  ask();
  open_more();
  ask();
  for (const int file : files) close(file);
}

// In plain mode a thread of the MPI library, which blocks nothing, may take a signal of the process: so a thread's own.
SCENARIO(signalfd_tells_the_sender_that_the_application_knows, .ranks = 2) {
  sigset_t mask, before;
  sigemptyset(&mask);
  for (const int one : {SIGUSR1, SIGUSR2, SIGRTMIN + 3}) sigaddset(&mask, one);
  pthread_sigmask(SIG_BLOCK, &mask, &before);
  const int kept = signalfd(-1, &mask, SFD_CLOEXEC);
  const auto send = [](int number) { return syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), number); };
  const auto ask = [&](int number) {
    CHECK_EQ(send(SIGUSR1), 0L);
    signalfd_siginfo info[3] = {};
    CHECK_EQ(read(number, info, sizeof info), static_cast<ssize_t>(sizeof info[0]));
    CHECK_EQ(info[0].ssi_code, SI_TKILL);
    CHECK_EQ(static_cast<pid_t>(info[0].ssi_pid), getpid());
    const pid_t self = static_cast<pid_t>(syscall(SYS_gettid));
    const pid_t child = fork();
    if (child == 0) _exit(syscall(SYS_tgkill, getppid(), self, SIGUSR2) == 0 ? 7 : 1);
    int status = 0;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 7 << 8);
    CHECK_EQ(pthread_sigqueue(pthread_self(), SIGRTMIN + 3, {.sival_int = 42}), 0);
    char first[10], second[sizeof info - 10];
    const iovec parts[] = {{first, sizeof first}, {second, sizeof second}};
    memset(info, 0, sizeof info);
    ssize_t got = readv(number, parts, 2);
    if (got > 0) {
      memcpy(info, first, sizeof first);
      memcpy(reinterpret_cast<char*>(info) + sizeof first, second, sizeof second);
    } else {  // before Linux 6.8 each part is read by itself
      got = read(number, info, sizeof info);
    }
    CHECK_EQ(got, static_cast<ssize_t>(2 * sizeof info[0]));
    CHECK_EQ(static_cast<pid_t>(info[0].ssi_pid), child);
    CHECK_EQ(static_cast<pid_t>(info[1].ssi_pid), getpid());
    CHECK_EQ(info[1].ssi_int, 42);
  };
  ask(kept);
  CHECK_EQ(send(SIGUSR1), 0L);  // pending across the checkpoint
  std::atomic<pid_t> waiter{0}, from{0};
  std::thread reader([&] {
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR2);
    const int own = signalfd(-1, &one, SFD_CLOEXEC);
    waiter = static_cast<pid_t>(syscall(SYS_gettid));
    signalfd_siginfo info = {};
    from = read(own, &info, sizeof info) == sizeof info ? static_cast<pid_t>(info.ssi_pid) : -1;
    close(own);
  });
  while (waiter == 0) usleep(500);
  job.checkpoint_here();
  CHECK_EQ(syscall(SYS_tgkill, getpid(), waiter.load(), SIGUSR2), 0L);
  reader.join();
  CHECK_EQ(from.load(), getpid());
  signalfd_siginfo info = {};
  CHECK_EQ(read(kept, &info, sizeof info), static_cast<ssize_t>(sizeof info));
  CHECK_EQ(static_cast<pid_t>(info.ssi_pid), getpid());
  ask(kept);
  const int made_after = signalfd(-1, &mask, SFD_CLOEXEC), copy = dup(made_after);
  ask(made_after);
  ask(copy);
  for (const int one : {kept, made_after, copy}) close(one);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// A message of one byte, with room for credentials.
struct Message {
  explicit Message(char content) : byte(content) {
    head.msg_iov = &part;
    head.msg_iovlen = 1;
    head.msg_control = control;
    head.msg_controllen = sizeof control;
  }
  Message(const Message&) = delete;
  // As this process's.
  Message& with_credentials() {
    cmsghdr* one = CMSG_FIRSTHDR(&head);
    one->cmsg_level = SOL_SOCKET;
    one->cmsg_type = SCM_CREDENTIALS;
    one->cmsg_len = CMSG_LEN(sizeof(ucred));
    const ucred own{getpid(), getuid(), getgid()};
    memcpy(CMSG_DATA(one), &own, sizeof own);
    return *this;
  }
  pid_t sender() {
    for (cmsghdr* one = CMSG_FIRSTHDR(&head); one != nullptr; one = CMSG_NXTHDR(&head, one)) {
      ucred who;
      memcpy(&who, CMSG_DATA(one), sizeof who);
      if (one->cmsg_level == SOL_SOCKET && one->cmsg_type == SCM_CREDENTIALS) return who.pid;
    }
    return -1;
  }
  char byte;
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))] = {};
  msghdr head = {};
};

void check_credentials(mana::test::Job& job, int from, int to) {
  CHECK_EQ(write(from, "a", 1), 1L);
  Message seen('?'), got('?'), named('?');
  CHECK_EQ(recvmsg(to, &seen.head, MSG_PEEK), 1L);
  CHECK_EQ(seen.sender(), getpid());
  CHECK_EQ(recvmsg(to, &got.head, 0), 1L);
  CHECK_EQ(got.byte, 'a');
  CHECK_EQ(got.sender(), getpid());
  Message own('b');
  CHECK_EQ(sendmsg(from, &own.with_credentials().head, 0), 1L);
  CHECK_EQ(own.sender(), getpid());  // is as it was
  CHECK_EQ(recvmsg(to, &named.head, 0), 1L);
  CHECK_EQ(named.byte, 'b');
  CHECK_EQ(named.sender(), getpid());
  const pid_t child = fork();
  if (child == 0) {
    Message childs('c');
    _exit(write(from, "d", 1) == 1 && sendmsg(from, &childs.with_credentials().head, 0) == 1 ? 7 : 1);
  }
  int status = 0;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 7 << 8);
  Message two[] = {Message('?'), Message('?')};
  mmsghdr heads[] = {{two[0].head, 0}, {two[1].head, 0}};
  CHECK_EQ(recvmmsg(to, heads, 2, 0, nullptr), 2);
  for (int i = 0; i < 2; i++) {
    two[i].head = heads[i].msg_hdr;
    CHECK_EQ(two[i].sender(), child);
  }
  CHECK_EQ(two[1].byte, 'c');
}

SCENARIO(credentials_of_messages_name_who_the_application_knows, .ranks = 2) {
  const int on = 1;
  int kept[2], stream[2];
  CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, kept), 0);
  CHECK_EQ(setsockopt(kept[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "mana-scenario-%d-%d", getpid(), job.rank);
  const int listening = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK_EQ(bind(listening, reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
  CHECK_EQ(setsockopt(listening, SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
  CHECK_EQ(listen(listening, 4), 0);
  check_credentials(job, kept[0], kept[1]);
  CHECK_EQ(write(kept[0], "q", 1), 1L);
  job.checkpoint_here();
  Message queued('?');
  CHECK_EQ(recvmsg(kept[1], &queued.head, 0), 1L);
  CHECK_EQ(queued.byte, 'q');
  CHECK_EQ(queued.sender(), getpid());
  check_credentials(job, kept[0], kept[1]);
  CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, stream), 0);
  CHECK_EQ(setsockopt(stream[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
  check_credentials(job, stream[1], stream[0]);
  const int copy = dup(stream[0]);
  check_credentials(job, stream[1], copy);
  const int calling = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK_EQ(connect(calling, reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
  const int accepted = accept(listening, nullptr, nullptr);
  CHECK_EQ(write(calling, "a", 1), 1L);
  Message got('?');
  CHECK_EQ(recvmsg(accepted, &got.head, 0), 1L);
  CHECK_EQ(got.sender(), getpid());
  // What a message has besides stays as it is, also where nothing can be read.
  Message wrong('?');
  wrong.head.msg_control = reinterpret_cast<void*>(4711);
  CHECK_EQ(sendmsg(calling, &wrong.head, 0), -1L);
  CHECK_EQ(errno, EFAULT);
  CHECK_EQ(syscall(SYS_sendmsg, calling, 4711, 0), -1L);
  CHECK_EQ(errno, EFAULT);
  for (const int one : {kept[0], kept[1], stream[0], stream[1], copy, listening, calling, accepted}) close(one);
}

SCENARIO(message_with_credentials_that_waits_is_sent, .ranks = 2) {
  const int on = 1;
  int pair[2];
  CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
  CHECK_EQ(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
  int waiting = 0;
  while (send(pair[0], "f", 1, MSG_DONTWAIT) == 1) waiting++;
  std::atomic<bool> begun{false};
  std::atomic<long> sent{0};
  std::thread sender([&] {
    Message own('w');
    begun = true;
    sent = sendmsg(pair[0], &own.with_credentials().head, 0);
  });
  std::atomic<long> received{0};
  std::atomic<pid_t> who{0};
  int other[2];
  CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, other), 0);
  CHECK_EQ(setsockopt(other[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
  std::thread receiver([&] {
    Message got('?');
    received = recvmsg(other[1], &got.head, 0);
    who = got.sender();
  });
  while (!begun) usleep(500);
  job.checkpoint_here();
  CHECK_EQ(sent.load(), 0L);
  for (int i = 0; i <= waiting; i++) {
    Message got('?');
    CHECK_EQ(recvmsg(pair[1], &got.head, 0), 1L);
    CHECK_EQ(got.byte, i < waiting ? 'f' : 'w');
    CHECK_EQ(got.sender(), getpid());
  }
  sender.join();
  CHECK_EQ(sent.load(), 1L);
  CHECK_EQ(send(other[0], "r", 1, 0), 1L);
  receiver.join();
  CHECK_EQ(received.load(), 1L);
  CHECK_EQ(who.load(), getpid());
  for (const int one : {pair[0], pair[1], other[0], other[1]}) close(one);
}

}  // namespace
