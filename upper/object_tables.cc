// SPDX-License-Identifier: BSD-3-Clause
#include "upper/object_tables.h"

#include "upper/datatype.h"
#include "upper/errors.h"
#include "upper/group.h"
#include "upper/info.h"
#include "upper/memory.h"
#include "upper/op.h"
#include "upper/text.h"

namespace mana::upper {

// Each kind's destroy function; those of communicators, requests, windows, files, messages and sessions are where they are made.
void destroy_comm(Comm* comm);
void destroy_request(Request* request);
void start_comms();

constinit SlotTable slot_tables[static_cast<uint32_t>(Kind::count)] = {};
constinit Object* predefined_objects[0x400] = {};

namespace {

constinit SpinLock slots_lock;

constexpr uint32_t kRequestSlots = 8u << 20;
constexpr uint32_t kOtherSlots = 1u << 20;

Object* free_link(uint32_t next) { return reinterpret_cast<Object*>(uintptr_t{next} << 1 | 1); }
uint32_t next_of(Object* link) { return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(link) >> 1); }

SlotTable& table_of(Kind kind) { return slot_tables[static_cast<uint32_t>(kind)]; }

bool take_slot(Object* object) {
  SlotTable& table = table_of(object->kind);
  LockGuard guard(slots_lock);
  uint32_t slot = table.first_free;
  if (slot != 0) {
    table.first_free = next_of(table.objects[slot]);
  } else if (table.used < table.limit) {
    slot = table.used;
  } else {
    return false;
  }
  object->slot = slot;
  table.objects[slot] = object;
  if (slot == table.used) table.used = slot + 1;  // readers without the lock see the object first
  return true;
}

void give_slot_back(Object* object) {
  SlotTable& table = table_of(object->kind);
  LockGuard guard(slots_lock);
  table.objects[object->slot] = free_link(table.first_free);
  table.first_free = object->slot;
}

}  // namespace

void start_tables() {
  for (uint32_t kind = 1; kind < static_cast<uint32_t>(Kind::count); ++kind) {
    SlotTable& table = slot_tables[kind];
    table.limit = kind == static_cast<uint32_t>(Kind::request) ? kRequestSlots : kOtherSlots;
    table.objects = static_cast<Object**>(reserve_table(sizeof(Object*) * table.limit));
    table.used = kFirstUserSlot;
  }
  start_errors();
  start_groups();
  start_datatypes();
  start_ops();
  start_infos();
  start_comms();
}

Object* new_object(Kind kind, size_t bytes) {
  auto* object = static_cast<Object*>(allocate_zeroed(bytes));
  object->magic = kObjectMagic;
  object->kind = kind;
  object->references.store(1, std::memory_order_relaxed);
  if (take_slot(object)) return object;
  deallocate(object);
  return nullptr;
}

void delete_object(Object* object) {
  give_slot_back(object);
  object->magic = 0;  // a stale handle of Open MPI's kind points here
  deallocate(object);
}

void register_predefined(Object* object, Kind kind, int constant) {
  object->magic = kObjectMagic;
  object->kind = kind;
  object->slot = static_cast<uint32_t>(constant) & 0xff;
  object->constant = constant;
  object->references.store(1, std::memory_order_relaxed);
  table_of(kind).objects[object->slot] = object;
  predefined_objects[constant] = object;
}

void destroy(Object* object) {
  switch (object->kind) {
    case Kind::communicator: return destroy_comm(static_cast<Comm*>(object));
    case Kind::group: return destroy_group(static_cast<Group*>(object));
    case Kind::datatype: return destroy_datatype(static_cast<Datatype*>(object));
    case Kind::op: return destroy_op(static_cast<Op*>(object));
    case Kind::request: return destroy_request(static_cast<Request*>(object));
    case Kind::info: return destroy_info(static_cast<Info*>(object));
    case Kind::errhandler: return destroy_errhandler(static_cast<Errhandler*>(object));
    default: return delete_object(object);  // windows, files, messages, sessions own nothing else yet
  }
}

}  // namespace mana::upper
