// SPDX-License-Identifier: BSD-3-Clause
// Ids in /proc: what folders list, what files tell, names below a folder; and calls that hardly anybody makes.
#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <filesystem>
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
    const int copy = dup(kept);
    lseek(copy, 0, SEEK_SET);
    CHECK_EQ(listed(job, copy, 4096) == names, true);
    close(copy);

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

  const int itself = static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0));
  CHECK_EQ(behind(contents("/proc/self/fdinfo/" + std::to_string(itself)), "\nPid:"), getpid());
  close(itself);
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

void check_names_below(mana::test::Job& job, int processes, pid_t thread) {
  const std::string own = std::to_string(getpid()), one = std::to_string(thread);
  const int process = openat(processes, own.c_str(), O_RDONLY | O_DIRECTORY);
  const int task = openat(process, "task", O_RDONLY | O_DIRECTORY);
  struct stat by_path = {}, by_name = {};
  struct statx more = {};
  CHECK_EQ(stat(("/proc/self/task/" + one).c_str(), &by_path), 0);
  CHECK_EQ(fstatat(task, one.c_str(), &by_name, 0), 0);
  CHECK_EQ(by_name.st_ino, by_path.st_ino);
  CHECK_EQ(fstatat(processes, ("self/task/" + one).c_str(), &by_name, 0), 0);
  CHECK_EQ(by_name.st_ino, by_path.st_ino);
  CHECK_EQ(statx(task, one.c_str(), 0, STATX_INO, &more), 0);
  CHECK_EQ(more.stx_ino, by_path.st_ino);
  CHECK_EQ(fstat(task, &by_name), 0);
  CHECK_EQ(faccessat(task, one.c_str(), R_OK, 0), 0);
  CHECK_EQ(faccessat(task, (one + "/status").c_str(), R_OK, AT_EACCESS), 0);
  CHECK_EQ(faccessat(task, "1", R_OK, 0), -1);
  CHECK_EQ(errno, ENOENT);
  char link[300] = {}, same[300] = {};
  CHECK(readlinkat(task, (one + "/cwd").c_str(), link, sizeof link - 1) > 0);
  CHECK(readlink("/proc/self/cwd", same, sizeof same - 1) > 0);
  CHECK_EQ(std::string(link), same);
  const int file = openat(task, (one + "/stat").c_str(), O_RDONLY);
  check_stat(job, rest_of(file), thread, getppid());
  for (const auto& [number, path] : {std::pair(task, "/proc/" + own + "/task"), std::pair(file, "/proc/" + own + "/task/" + one + "/stat")}) {
    const std::string name = "/proc/self/fd/" + std::to_string(number);
    memset(link, 0, sizeof link);
    CHECK_EQ(readlink(name.c_str(), link, sizeof link - 1), static_cast<ssize_t>(path.size()));
    CHECK_EQ(std::string(link), path);
  }
  const int descriptors = openat(process, "fdinfo", O_RDONLY | O_DIRECTORY);
  CHECK_EQ(faccessat(descriptors, std::to_string(file).c_str(), R_OK, 0), 0);
  for (const int number : {process, task, file, descriptors}) close(number);
  int count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator("/proc/self/task", std::filesystem::directory_options::skip_permission_denied)) {
    count += entry.path() == "/proc/self/task/" + one + "/stat";
  }
  CHECK_EQ(count, 1);

  const int before = open(".", O_RDONLY | O_DIRECTORY);
  CHECK_EQ(chdir(("/proc/" + own + "/task").c_str()), 0);
  check_stat(job, contents(one + "/stat"), thread, getppid());
  CHECK_EQ(chdir(one.c_str()), 0);
  check_stat(job, contents("stat"), thread, getppid());
  CHECK_EQ(chdir("/proc/self/task/no"), -1);
  CHECK_EQ(errno, ENOENT);
  CHECK_EQ(syscall(SYS_chdir, 4711), -1L);
  CHECK_EQ(errno, EFAULT);
  CHECK_EQ(fchdir(before), 0);
  close(before);
}

SCENARIO(names_in_folders_of_proc_are_ids_that_the_application_knows, .ranks = 2) {
  const Threads threads(1);
  const int processes = open("/proc", O_RDONLY | O_DIRECTORY);
  check_names_below(job, processes, threads.ids[0]);
  job.checkpoint_here();
  check_names_below(job, processes, threads.ids[0]);
  const int again = open("/proc", O_RDONLY | O_DIRECTORY);
  check_names_below(job, again, threads.ids[0]);
  close(processes);
  close(again);
}

SCENARIO(rare_calls_take_the_ids_that_the_application_knows, .ranks = 2) {
  const Threads threads(1);
  int pair[2];
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  const int copy = dup(pair[0]);
  const auto compare = [&](int other) { return syscall(SYS_kcmp, getpid(), threads.ids[0].load(), 0 /* KCMP_FILE */, pair[0], other); };
  const bool compares = compare(copy) == 0;  // the kernel has it
  const bool has_tracers = prctl(PR_SET_PTRACER, getpid()) == 0;
  const auto ask = [&] {
    if (compares) {
      CHECK_EQ(compare(copy), 0L);
      CHECK(compare(pair[1]) > 0);
    }
    __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct own[2] = {}, of_thread[2] = {};
    CHECK_EQ(syscall(SYS_capget, &head, own), 0L);
    for (const pid_t one : {getpid(), threads.ids[0].load()}) {
      head.pid = one;
      memset(of_thread, 0xff, sizeof of_thread);
      CHECK_EQ(syscall(SYS_capget, &head, of_thread), 0L);
      CHECK_EQ(memcmp(own, of_thread, sizeof own), 0);
      CHECK_EQ(head.pid, one);
    }
    head.pid = getpid();
    CHECK_EQ(syscall(SYS_capset, &head, own), 0L);
    head.version = 1;
    CHECK_EQ(syscall(SYS_capget, &head, own), -1L);
    CHECK_EQ(errno, EINVAL);
    CHECK_EQ(head.version, static_cast<unsigned>(_LINUX_CAPABILITY_VERSION_3));
    for (const auto& [set, get] : {std::pair(FIOSETOWN, FIOGETOWN), std::pair(SIOCSPGRP, SIOCGPGRP)}) {
      for (pid_t owner : {getpid(), -getpgrp(), 0}) {
        pid_t told = 4711;
        CHECK_EQ(ioctl(pair[0], set, &owner), 0);
        CHECK_EQ(ioctl(pair[0], get, &told), 0);
        CHECK_EQ(told, owner);
        CHECK_EQ(fcntl(pair[0], F_GETOWN), owner);
      }
    }
    if (has_tracers) {
      for (const unsigned long one : {static_cast<unsigned long>(getpid()), static_cast<unsigned long>(getppid()), PR_SET_PTRACER_ANY, 0UL}) CHECK_EQ(prctl(PR_SET_PTRACER, one), 0);
    }
  };
  ask();
  job.checkpoint_here();
  ask();
  for (const int one : {pair[0], pair[1], copy}) close(one);
}

}  // namespace
