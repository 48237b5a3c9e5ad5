// SPDX-License-Identifier: BSD-3-Clause
#include "lower/refusals.h"

#include <dirent.h>
#include <errno.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include "kernel-loader/descriptor_line.h"
#include "kernel-loader/ids.h"
#include "kernel-loader/layout.h"
#include "kernel-loader/system_v.h"
#include "lower/proc_file.h"
#include "lower/protection_keys.h"
#include "lower/stop.h"
#include "lower/threads.h"

namespace mana::lower {
namespace {

std::vector<int> numbers_in(const std::string& folder) {
  std::vector<int> numbers;
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(opendir(folder.c_str()), closedir);
  if (entries == nullptr) return numbers;
  while (const dirent* entry = readdir(entries.get())) {
    if (const int number = std::atoi(entry->d_name); number > 0) numbers.push_back(number);
  }
  return numbers;
}

int tracer_of(const std::string& task) {
  const std::unique_ptr<FILE, int (*)(FILE*)> status(std::fopen((task + "/status").c_str(), "re"), std::fclose);
  char line[256];
  int tracer = 0;
  while (status != nullptr && std::fgets(line, sizeof line, status.get()) != nullptr) {
    if (std::sscanf(line, "TracerPid: %d", &tracer) == 1) break;
  }
  return tracer;
}

// A process that one of our threads traces; 0: none.  /proc tells the tracer only from the traced side.
int traced_process() {
  for (const int process : numbers_in("/proc")) {
    const std::string tasks = "/proc/" + std::to_string(process) + "/task";
    for (const int thread : numbers_in(tasks)) {
      const int tracer = tracer_of(tasks + "/" + std::to_string(thread));
      if (tracer != 0 && access(("/proc/self/task/" + std::to_string(tracer)).c_str(), F_OK) == 0) return process;
    }
  }
  return 0;
}

// Sockets that may have one port together, among which a program may choose.
bool shares_port() {
  for (const int number : numbers_in("/proc/thread-self/fd")) {
    int shares = 0;
    socklen_t length = sizeof shares;
    if (number < loader::first_lower_descriptor() && getsockopt(number, SOL_SOCKET, SO_REUSEPORT, &shares, &length) == 0 && shares != 0) return true;
  }
  return false;
}

bool has_asynchronous_io() {
  const std::unique_ptr<FILE, int (*)(FILE*)> maps(std::fopen("/proc/thread-self/maps", "re"), std::fclose);
  char line[512];
  while (maps != nullptr && std::fgets(line, sizeof line, maps.get()) != nullptr) {
    if (std::strstr(line, "/[aio]") != nullptr) return true;
  }
  return false;
}

// User, groups and capabilities of a task, as the kernel writes them, and what a security module calls it.
std::string credentials_of(const std::string& task) {
  const std::unique_ptr<FILE, int (*)(FILE*)> status(std::fopen((task + "/status").c_str(), "re"), std::fclose);
  std::string all;
  char line[4096];
  while (status != nullptr && std::fgets(line, sizeof line, status.get()) != nullptr) {
    for (const char* name : {"Uid:", "Gid:", "Groups:", "CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"}) {
      if (std::strncmp(line, name, std::strlen(name)) == 0) all += line;
    }
  }
  return all + read_proc_file(task + "/attr/current");
}

// A libc changes them in the threads that it has made, which those of the lower half are not; but the agent's was made in MPI_Init.
bool credentials_changed() {
  const auto of = [](pid_t thread) { return credentials_of("/proc/self/task/" + std::to_string(thread)); };
  return of(lending_thread()) != of(getpid());
}

// Thread 0: none has tables of its own.  (Where the kernel or a container does not let them be compared, nobody can know.)
int thread_with_own_tables() {
  constexpr int kFiles = 2, kFileSystem = 3;  // KCMP_FILES, KCMP_FS
  const auto differ = [](pid_t thread, int which) { return syscall(SYS_kcmp, gettid(), thread, which, 0, 0) > 0; };
  for (const ParkSlot* slot : parked_threads()) {
    const pid_t thread = slot->tid.load();
    if (differ(thread, kFiles) || differ(thread, kFileSystem)) return thread;
  }
  return 0;
}

// Descriptors of segments of its own (modify_ldt).
bool has_own_segments() {
  std::vector<char> table(8192 * 8);
  const long bytes = syscall(SYS_modify_ldt, 0, table.data(), table.size());
  return bytes > 0 && std::any_of(table.begin(), table.begin() + bytes, [](char byte) { return byte != 0; });
}

}  // namespace

std::string lasting_refusal(const loader::GateState& gate) {
  struct Reason {
    uint64_t effect;
    const char* text;
  };
  static constexpr Reason kReasons[] = {
      {loader::kUnshared, "the application has left a namespace or a shared table (unshare), which a restart cannot do again"},
      {loader::kEnteredNamespace, "the application has entered another namespace (setns), which a restart cannot do again"},
      {loader::kChangedRoot, "the application has changed its root folder (chroot), which a restart cannot do again"},
      {loader::kOwnFilter, "the application has installed a seccomp filter of its own, which nobody can read back to install it again"},
      {loader::kRestricted, "the application has restricted itself (landlock), and nobody can read back how"},
      {loader::kDispatches, "the application has had its system calls dispatched (PR_SET_SYSCALL_USER_DISPATCH), and nobody can read back how"},
      {loader::kHasPorts, "the application has asked for input and output ports (iopl, ioperm), which a restart cannot do again"},
      {loader::kWatchesFolder, "the application has had a folder watched (F_NOTIFY), which a restart cannot do again: inotify can be"},
      {loader::kSessionKeyRing, "the application has joined a session's key ring or put a key into one (keyctl, add_key): a restart has its launcher's"},
  };
  for (const Reason& reason : kReasons) {
    if ((gate.lasting & reason.effect) != 0) return reason.text;
  }
  if (memory_has_protection_key(gate)) return "the application has memory with a protection key (pkey_mprotect), which a restart cannot give to it yet: give it key 0 first";
  if (credentials_changed()) return "the application has changed its user, groups, capabilities or security label since it was launched: a restart has its launcher's";
  if ((gate.lasting & loader::kAsynchronousIo) != 0 && has_asynchronous_io())
    return "the application has a context of asynchronous input and output (io_setup), which nothing makes again: destroy it first";
  for (const ParkSlot* slot : parked_threads()) {
    if (slot->has_key_ring) return "the application has a key ring of a thread or of its process (keyctl, add_key), which nothing makes again";
  }
  if (has_own_segments()) return "the application has segments of its own (modify_ldt), which nothing makes again: remove them first";
  if (const int thread = thread_with_own_tables(); thread != 0)
    return "thread " + std::to_string(loader::seen_id(thread)) + " has descriptors or a working directory of its own (clone without CLONE_FILES or CLONE_FS), which cannot be given to it again";
  if ((gate.lasting & loader::kChoosesSocket) != 0 && shares_port())
    return "the application has let a program choose among sockets that share a port (SO_ATTACH_REUSEPORT_CBPF), and nobody can read it back: close them first";
  if (loader::placed_by_kernel()) return "the application has mapped what has no address of its own (a ring of io_uring), which nothing makes again: unmap it first";
  if ((gate.lasting & loader::kTraces) != 0) {
    if (const int process = traced_process(); process != 0)
      return "the application traces process " + std::to_string(process) + " (ptrace), which a restart cannot do again: detach first";
  }
  return {};
}

namespace {

const char* name_of(loader::SystemV kind) {
  switch (kind) {
    case loader::SystemV::semaphores: return "System V semaphore set ";
    case loader::SystemV::queue: return "System V message queue ";
    default: return "System V shared memory segment ";
  }
}

// The attachments of one segment.  The first one brings the bytes back.
std::string note_segment(int id, const std::vector<UpperRegion*>& parts, image::SystemVSegment& saved) {
  const int seen = loader::seen_segment(id);
  const std::string name = name_of(loader::SystemV::segment) + std::to_string(seen);
  shmid_ds segment{};
  if (shmctl(id, IPC_STAT, &segment) != 0) return "look at " + name + ": " + std::strerror(errno);
  if (segment.shm_nattch > parts.size()) return name + " is attached by other processes, too, which cannot be saved with this one";
  for (UpperRegion* part : parts) {
    if (part->offset != 0 || part->end - part->begin < loader::page_up(segment.shm_segsz)) return name + " is not attached whole, which cannot be made again";
    part->kind = image::SegmentKind::shared_segment;
    part->offset = static_cast<uint64_t>(seen);
    part->saved_elsewhere = part != parts.front();
  }
  saved = {seen, id, segment.shm_perm.__key, segment.shm_perm.mode, segment.shm_segsz, segment.shm_ctime, segment.shm_cpid, 0};
  return {};
}

}  // namespace

std::string note_system_v(std::vector<UpperRegion>& regions, std::vector<image::SystemVSegment>& segments) {
  std::map<int, std::vector<UpperRegion*>> attached;
  for (UpperRegion& region : regions) {
    if (region.kind == image::SegmentKind::shared_memory && region.name.rfind("/SYSV", 0) == 0) attached[static_cast<int>(region.inode)].push_back(&region);
  }
  for (const auto& [id, parts] : attached) {
    if (std::string why = note_segment(id, parts, segments.emplace_back()); !why.empty()) return why;
  }
  loader::SystemVObject object{};
  for (uint64_t place = 0; loader::system_v_object_at(place, object);) {
    const bool is_segment = object.kind == loader::SystemV::segment;
    if (is_segment && attached.count(object.real) != 0) continue;
    return name_of(object.kind) + std::to_string(object.seen) + " belongs to its host" + (is_segment ? " and is not attached" : "") +
           ": no restart brings it back; when it is removed (IPC_RMID) a checkpoint is possible";
  }
  if (loader::system_v_objects_are_too_many()) return "the application has got more System V objects at once than can be followed";
  return {};
}

}  // namespace mana::lower
