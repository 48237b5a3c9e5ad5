// SPDX-License-Identifier: BSD-3-Clause
// The application's copy and delete functions run without the lock and may themselves set and delete attributes, so every step
// looks its attribute up again.
#include "upper/attribute.h"

#include "upper/containers.h"
#include "upper/datatype.h"
#include "upper/errors.h"
#include "upper/front_end.h"
#include "upper/object_tables.h"
#include "upper/runtime.h"

namespace mana::upper {

namespace {

struct Keyval {
  Kind kind;
  int32_t references;  // attributes with it, and one until it is freed; 0: the place is free
  void (*copy)();
  void (*remove)();
  void* extra;
  uint8_t freed;
};
constinit Vector<Keyval> keyvals{};  // index: keyval - kFirstKeyval

// MPI_*_NULL_COPY_FN and MPI_*_DUP_FN (abi.h) need no call.
bool is_dup_function(void (*copy)()) { return reinterpret_cast<uintptr_t>(copy) == abi::COMM_DUP_FN; }

Keyval* keyval_at(int keyval) {
  int64_t index = int64_t{keyval} - kFirstKeyval;
  return index >= 0 && index < keyvals.size && keyvals[index].references > 0 ? &keyvals[index] : nullptr;
}

Keyval* usable_keyval(Kind kind, int keyval) {
  Keyval* found = keyval_at(keyval);
  return found && found->kind == kind && !found->freed ? found : nullptr;
}

Attribute*& list_of(Object* object) {
  switch (object->kind) {
    case Kind::datatype: return static_cast<Datatype*>(object)->attributes;
    case Kind::window: return static_cast<Window*>(object)->attributes;
    default: return static_cast<Comm*>(object)->attributes;
  }
}

Attribute* find(Object* object, int keyval) {
  for (Attribute* attribute = list_of(object); attribute; attribute = attribute->next) {
    if (attribute->keyval == keyval) return attribute;
  }
  return nullptr;
}

void attach(Object* object, int keyval, void* value, int32_t flavour) {
  auto* attribute = make_zeroed<Attribute>();
  *attribute = {keyval, flavour, value, list_of(object)};
  list_of(object) = attribute;
  ++keyval_at(keyval)->references;
}

void detach(Object* object, int keyval) {
  for (Attribute** place = &list_of(object); *place; place = &(*place)->next) {
    if ((*place)->keyval != keyval) continue;
    Attribute* attribute = *place;
    *place = attribute->next;
    deallocate(attribute);
    --keyval_at(keyval)->references;
    return;
  }
}

// Copies of what a callback needs, taken within a Call.
struct Pending {
  Attribute attribute;
  Keyval keyval;
};

bool take(Object* object, int keyval, Pending* pending) {
  Call call(Call::polling);
  Attribute* attribute = find(object, keyval);
  if (attribute) *pending = {*attribute, *keyval_at(keyval)};
  return attribute != nullptr;
}

int run_delete(Object* object, const Pending& pending) {
  if (!pending.keyval.remove) return abi::SUCCESS;
  return front_end::call_delete(pending.keyval.remove, object, pending.attribute.keyval, pending.attribute.value,
                                pending.keyval.extra);
}

int copy_one(Object* from, Object* to, const Pending& pending) {
  const int keyval = pending.attribute.keyval;
  void* copy = pending.attribute.value;
  int flag = is_dup_function(pending.keyval.copy);
  if (pending.keyval.copy && !flag) {
    copy = nullptr;
    int error = front_end::call_copy(pending.keyval.copy, from, keyval, pending.keyval.extra, pending.attribute.value,
                                     &copy, &flag);
    if (error) return error;
  }
  Call call(Call::polling);
  if (flag && keyval_at(keyval)) attach(to, keyval, copy, pending.attribute.flavour);
  return abi::SUCCESS;
}

}  // namespace

Attribute* find_attribute(Object* object, int keyval) { return find(object, keyval); }
bool is_keyval_of(Kind kind, int keyval) { return usable_keyval(kind, keyval) != nullptr; }

int create_keyval(Kind kind, void (*copy)(), void (*remove)(), void* extra, int* keyval) {
  Call call(Call::polling);
  int64_t index = 0;
  while (index < keyvals.size && keyvals[index].references > 0) ++index;
  if (index == keyvals.size) keyvals.push({});
  keyvals[index] = {kind, 1, copy, remove, extra, 0};
  *keyval = kFirstKeyval + static_cast<int>(index);
  return abi::SUCCESS;
}

int free_keyval(Kind kind, int* keyval) {
  Call call(Call::polling);
  Keyval* found = usable_keyval(kind, *keyval);
  if (!found) return abi::ERR_KEYVAL;
  found->freed = 1;  // lives on while attributes have it
  --found->references;
  *keyval = abi::KEYVAL_INVALID;
  return abi::SUCCESS;
}

int set_attribute(Object* object, int keyval, void* value, Flavour flavour) {
  Pending old;
  if (take(object, keyval, &old)) {
    if (int error = run_delete(object, old)) return error;
  }
  Call call(Call::polling);
  if (!usable_keyval(object->kind, keyval)) return abi::ERR_KEYVAL;
  detach(object, keyval);
  attach(object, keyval, value, static_cast<int32_t>(flavour));
  return abi::SUCCESS;
}

int delete_attribute(Object* object, int keyval) {
  Pending old;
  if (!take(object, keyval, &old)) return abi::ERR_KEYVAL;
  if (int error = run_delete(object, old)) return error;
  Call call(Call::polling);
  detach(object, keyval);
  return abi::SUCCESS;
}

int copy_attributes(Object* from, Object* to) {
  Vector<Pending> all{};
  {
    Call call(Call::polling);
    for (Attribute* attribute = list_of(from); attribute; attribute = attribute->next) {
      all.push({*attribute, *keyval_at(attribute->keyval)});
    }
  }
  int error = abi::SUCCESS;
  for (int64_t index = all.size - 1; index >= 0 && !error; --index) error = copy_one(from, to, all[index]);
  if (all.items) {
    Call call(Call::polling);
    all.free();
  }
  if (error) delete_attributes(to);
  return error;
}

int delete_attributes(Object* object) {
  for (;;) {
    int keyval;
    {
      Call call(Call::polling);
      Attribute* last = list_of(object);
      if (!last) return abi::SUCCESS;
      keyval = last->keyval;
    }
    if (int error = delete_attribute(object, keyval)) return error;
  }
}

}  // namespace mana::upper
