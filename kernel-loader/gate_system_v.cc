// SPDX-License-Identifier: BSD-3-Clause
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

#include <cerrno>

#include "kernel-loader/gate_data.h"
#include "kernel-loader/ids.h"
#include "kernel-loader/system_v.h"

namespace mana::loader {
namespace {

constexpr uint64_t kMost = 1024;
constinit SystemVObject objects[kMost] = {};
constinit uint64_t count = 0;  // places that were ever taken
constinit bool too_many = false;

SystemV kind_of(long number) {
  if (number == __NR_semget) return SystemV::semaphores;
  return number == __NR_msgget ? SystemV::queue : SystemV::segment;
}

// False: there is none, or it may not be looked at (`why`).
bool look_at(SystemV kind, int32_t real, ipc_perm& found, int& why) {
  union {
    shmid_ds segment;
    semid_ds set;
    msqid_ds queue;
    ipc_perm owner;  // each begins with it
  } about;
  const auto id = static_cast<uint64_t>(real);
  const long got = kind == SystemV::segment      ? sys::raw(__NR_shmctl, id, IPC_STAT, sys::bits(&about))
                   : kind == SystemV::semaphores ? sys::raw(__NR_semctl, id, 0, IPC_STAT, sys::bits(&about))
                                                 : sys::raw(__NR_msgctl, id, IPC_STAT, sys::bits(&about));
  why = sys::failed(got) ? sys::error_of(got) : 0;
  found = about.owner;
  return why == 0;
}

// One that may not be looked at is taken for what it was.  A segment that was removed while attached has no key any more.
bool still_exists(const SystemVObject& object) {
  ipc_perm now;
  int why;
  if (!look_at(object.kind, object.real, now, why)) return why == EACCES;
  return now.cuid == object.creator && (now.__key == object.key || now.__key == IPC_PRIVATE);
}

SystemVObject* find(SystemV kind, int32_t id, int32_t SystemVObject::* which) {
  for (uint64_t i = 0; i < count; i++) {
    if (objects[i].kind == kind && objects[i].*which == id) return &objects[i];
  }
  return nullptr;
}

SystemVObject* free_place() {
  if (count < kMost) return &objects[count++];
  for (SystemVObject& object : objects) {
    if (object.kind == SystemV::none || !still_exists(object)) return &object;
  }
  return nullptr;
}

// The kernel may give a new object the number by which the application knows another one, made again by a restart.
int32_t unused_id(SystemV kind, int32_t real) {
  int32_t id = real;
  for (int32_t other = INT32_MAX; find(kind, id, &SystemVObject::seen) != nullptr; other--) id = other;
  return id;
}

// The id that the application is told.
int32_t note(SystemV kind, int32_t real, int32_t key) {
  const Hold hold(fork_local().action_lock);
  SystemVObject* known = find(kind, real, &SystemVObject::real);
  SystemVObject* place = known != nullptr ? known : free_place();
  if (place == nullptr) {
    too_many = true;
    return real;
  }
  if (known == nullptr) *place = {};
  const int32_t seen = known != nullptr ? known->seen : unused_id(kind, real);
  ipc_perm owner;
  int why;
  const bool looked = look_at(kind, real, owner, why);
  *place = {kind, seen, real, looked ? owner.__key : key, looked ? owner.cuid : 0};
  return seen;
}

}  // namespace

bool system_v_object_at(uint64_t& place, SystemVObject& object) {
  for (; place < count; place++) {
    object = objects[place];
    if (object.kind == SystemV::none || !still_exists(object)) continue;
    place++;
    return true;
  }
  return false;
}

bool system_v_objects_are_too_many() { return too_many; }

void add_segment(int32_t seen, int32_t real) {
  ipc_perm owner;
  int why;
  if (count == kMost || !look_at(SystemV::segment, real, owner, why)) return;
  objects[count++] = {SystemV::segment, seen, real, owner.__key, owner.cuid};
}

int32_t seen_segment(int32_t real) {
  const SystemVObject* known = find(SystemV::segment, real, &SystemVObject::real);
  return known != nullptr ? known->seen : real;
}

uint64_t real_segment(uint64_t seen) {
  const Hold hold(fork_local().action_lock);
  const SystemVObject* known = find(SystemV::segment, static_cast<int32_t>(seen), &SystemVObject::seen);
  return known != nullptr ? static_cast<uint64_t>(known->real) : seen;
}

long do_get_system_v(CaughtCall& call) {
  const long got = call.pass();
  return sys::failed(got) ? got : note(kind_of(call.number()), static_cast<int32_t>(got), static_cast<int32_t>(call.argument(0)));
}

// SHM_STAT and its kin take the number of a place in the kernel's table.
long do_shmctl(CaughtCall& call) {
  const uint64_t command = call.argument(1);
  const bool by_id = command == IPC_STAT || command == IPC_SET || command == IPC_RMID || command == SHM_LOCK || command == SHM_UNLOCK;
  return sys::raw(call.number(), by_id ? real_segment(call.argument(0)) : call.argument(0), command, call.argument(2));
}

}  // namespace mana::loader
