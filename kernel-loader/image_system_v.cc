// SPDX-License-Identifier: BSD-3-Clause
#include "kernel-loader/image_system_v.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#include <cstdio>

#include "kernel-loader/layout.h"

namespace mana::image {
namespace {

constexpr uint32_t kAccess = 0777;

// The very one: its time of change is of the process that saved it.
bool is_still_there(const SystemVSegment& segment) {
  shmid_ds now{};
  return shmctl(segment.real, IPC_STAT, &now) == 0 && now.shm_nattch == 0 && now.shm_perm.__key == segment.key && now.shm_perm.cuid == geteuid() &&
         now.shm_segsz == segment.bytes && now.shm_ctime == segment.changed && now.shm_cpid == segment.creator;
}

}  // namespace

SystemVSegment SystemVSegments::description(const SegmentRecord& whole) const {
  SystemVSegment found{};
  for (const SystemVSegment& segment : image_.system_v_segments()) {
    if (segment.seen != id_of(whole)) continue;
    found = segment;
    // Of huge pages the attachment is longer than the segment.
    if (loader::page_up(found.bytes) != whole.bytes) found.bytes = whole.bytes;
  }
  return found;
}

int SystemVSegments::make(const SystemVSegment& segment) {
  if ((segment.mode & SHM_DEST) == 0 && is_still_there(segment)) return segment.real;
  const int access = static_cast<int>((segment.mode & kAccess) | 0600);  // its bytes are written now
  int id = shmget(segment.key, segment.bytes, IPC_CREAT | IPC_EXCL | access);
  if (id < 0 && errno == EEXIST) {
    char key[16];
    std::snprintf(key, sizeof key, "0x%x", static_cast<unsigned>(segment.key));
    told_ = std::string("another one on this host has the key ") + key + ": by that others do not find the application's";
    id = shmget(IPC_PRIVATE, segment.bytes, access);
  }
  return id;
}

void* SystemVSegments::attach(const SegmentRecord& whole) {
  void* const address = reinterpret_cast<void*>(whole.begin);
  if (const auto known = real_.find(id_of(whole)); known != real_.end()) return shmat(known->second, address, 0);
  const SystemVSegment segment = description(whole);
  const int id = make(segment);
  if (id < 0) return MAP_FAILED;
  real_[segment.seen] = id;
  void* const at = shmat(id, address, 0);
  const int why = errno;
  // What was removed goes with its last attachment; until then Linux attaches it again.
  if ((segment.mode & SHM_DEST) != 0) shmctl(id, IPC_RMID, nullptr);
  errno = why;
  return at;
}

}  // namespace mana::image
