// SPDX-License-Identifier: BSD-3-Clause
// Slot tables: for each kind of object an array from slot number to object.  MPICH's handles hold the slot, Fortran's
// integers are the slot (Open MPI's *_c2f).  Slots below kFirstUserSlot are the predefined objects' (slot = constant & 0xff),
// so a user's slot collides with no predefined Fortran handle of either ABI.  A table grows by touching reserved pages; no lock is
// taken to look up.
//
// Life of an object: `references` counts the application's handle (one) and every use (pending operation, type built on
// it, group or communicator holding it, ...).  free_handle() drops the application's; the object is destroyed with the last.
#pragma once

#include <cstdint>

#include "upper/objects.h"

namespace mana::upper {

inline constexpr uint32_t kFirstUserSlot = 256;

struct SlotTable {
  Object** objects;     // by slot; a free slot holds the next free one: (next << 1) | 1, 1 ends the list
  uint32_t used;        // slots ever given out
  uint32_t first_free;  // 0: none
  uint32_t limit;
};
extern SlotTable slot_tables[static_cast<uint32_t>(Kind::count)];
extern Object* predefined_objects[0x400];  // by constant of abi.h; nullptr for null handles and unknown constants

// Makes the tables and fills in the predefined objects.  Called by the front end's constructor, before any other
// function of this runtime; needs only the gate.
void start_tables();

// Gives a zeroed object a slot, one reference and its header.  nullptr when the table is full or memory is exhausted.
Object* new_object(Kind kind, size_t bytes);
template <class T>
T* new_object(Kind kind) {
  return static_cast<T*>(new_object(kind, sizeof(T)));
}
// Takes the slot back and releases the memory.  Called by the destroy function of each kind.
void delete_object(Object* object);
// For a predefined object in static storage: header, slot and constant.
void register_predefined(Object* object, Kind kind, int constant);

// nullptr for a slot that is free or was never given out: a stale or invented handle.
inline Object* object_at(Kind kind, uint32_t slot) {
  const SlotTable& table = slot_tables[static_cast<uint32_t>(kind)];
  if (slot >= table.used) return nullptr;
  Object* object = table.objects[slot];
  return (reinterpret_cast<uintptr_t>(object) & 1) ? nullptr : object;
}
// nullptr for constants that name a null handle.
inline Object* predefined(int constant) {
  return static_cast<uint32_t>(constant) < 0x400 ? predefined_objects[constant] : nullptr;
}
// Whether an address that the application gave as a handle (Open MPI's ABI) is a live object of this kind.
inline bool is_live(const Object* object, Kind kind) {
  return object->magic == kObjectMagic && object->kind == kind;
}

// Predefined objects are not counted.
inline void retain(Object* object) {
  if (object->constant == 0) object->references.fetch_add(1, std::memory_order_relaxed);
}
void destroy(Object* object);  // dispatches to the kind's destroy function; called with no references left
inline void release(Object* object) {
  if (object->constant == 0 && object->references.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy(object);
}
// The application gives its handle back.
inline void free_handle(Object* object) {
  object->handle_freed = 1;
  release(object);
}

// Calls f(Object*) for each live object of the kind, predefined ones included, in slot order.
template <class F>
void for_each_object(Kind kind, F f) {
  const SlotTable& table = slot_tables[static_cast<uint32_t>(kind)];
  for (uint32_t slot = 0; slot < table.used; ++slot) {
    if (Object* object = table.objects[slot]; object && !(reinterpret_cast<uintptr_t>(object) & 1)) f(object);
  }
}

}  // namespace mana::upper
