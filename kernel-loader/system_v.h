// SPDX-License-Identifier: BSD-3-Clause
// System V objects (shared memory segments, semaphore sets, message queues) that the application has got by shmget, semget, msgget.
// They belong to their host and outlive the process: a checkpoint refuses by name while one exists, but for segments that only this process
// has attached (lower/refusals.cc).  Such a segment has another id after a restart, which the gate translates (gate_system_v.cc).
//
// Not known: objects whose ids the application was told by others, and such as its children have got; except segments that are attached.
#pragma once

#include <cstdint>

namespace mana::loader {

enum class SystemV : uint32_t { none, segment, semaphores, queue };

struct SystemVObject {
  SystemV kind;       // none: this place of the table is free
  int32_t seen;       // id as the application knows it
  int32_t real;       // the kernel's; another one only of a segment that a restart has made again
  int32_t key;        // this and the creator: an id that was removed may have been given again, to somebody else
  uint32_t creator;
};

// While the application is parked.  Those that still exist, one after the other; false: there are no more.
bool system_v_object_at(uint64_t& place, SystemVObject& object);
// More were got than the table has places: not all are known any more.
bool system_v_objects_are_too_many();

// After a restart, before the application runs: the segment that it knows as `seen` is now `real`.
void add_segment(int32_t seen, int32_t real);
int32_t seen_segment(int32_t real);

}  // namespace mana::loader
