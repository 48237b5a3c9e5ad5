// SPDX-License-Identifier: BSD-3-Clause
// The lower half's types.  Made on first use, from the leaves up, and remembered in Object::lower; a restart zeroes that.
#include "upper/containers.h"
#include "upper/datatype.h"
#include "upper/lower_calls.h"

namespace mana::upper {

namespace {

constinit SpinLock lower_lock;
constinit HashMap by_lower{};  // lower bits -> Datatype*

void remember(Datatype* type, uint64_t bits) {
  by_lower.insert(bits, reinterpret_cast<uint64_t>(type));
  __atomic_store_n(&type->lower, bits, __ATOMIC_RELEASE);
}

uint64_t resolve(const Datatype* type) {
  core::Resolve block{type->constant, 0};
  return cross::resolve(block) == 0 ? block.lower : 0;
}

uint64_t create(const core::TypeCreate& arguments) {
  core::TypeCreate block = arguments;
  block.datatype = 0;
  return cross::type_create(block) == 0 ? block.datatype : 0;
}

uint64_t resized(uint64_t bits, const Datatype* type) {
  const int64_t addresses[] = {type->lower_bound, type->extent};
  uint64_t result = create({abi::COMBINER_RESIZED, 0, 2, 1, nullptr, addresses, &bits, 0});
  core::TypeFree block{bits};
  cross::type_free(block);
  return result;
}

bool same_number(const Datatype* a, const Datatype* b) {
  return a->part_count == 1 && b->part_count == 1 && a->size == b->size && a->parts[0].basic == b->parts[0].basic;
}

// A predefined type that this lower library lacks (MPICH has no REAL2, for instance): another of the same kind and size, so that
// reductions work, else plain bytes, which move right but cannot be reduced.
uint64_t make_predefined(Datatype* type) {
  if (uint64_t bits = resolve(type)) return bits;
  for (int constant = abi::DATATYPE_NULL + 1; constant < 0x300; ++constant) {
    Datatype* other = predefined_type(constant);
    if (!other || other == type || !same_number(type, other)) continue;
    if (uint64_t bits = resolve(other)) return type->lower_borrowed = 1, bits;
  }
  uint64_t byte = resolve(predefined_type(abi::BYTE));
  if (!byte) return 0;
  const int64_t count = type->true_extent;
  uint64_t bytes = create({abi::COMBINER_CONTIGUOUS, 1, 0, 1, &count, nullptr, &byte, 0});
  return bytes ? resized(bytes, type) : 0;
}

uint64_t make_locked(Datatype* type);

uint64_t make_derived(Datatype* type) {
  if (type->equivalent) {
    uint64_t bits = make_locked(type->equivalent);
    const bool array = type->combiner == abi::COMBINER_SUBARRAY || type->combiner == abi::COMBINER_DARRAY;
    if (!array) return type->lower_borrowed = 1, bits;  // F90: just that predefined type
    const int64_t addresses[] = {type->lower_bound, type->extent};
    return bits ? create({abi::COMBINER_RESIZED, 0, 2, 1, nullptr, addresses, &bits, 0}) : 0;
  }
  Scratch<uint64_t> children(type->datatype_count);
  for (int32_t index = 0; index < type->datatype_count; ++index) {
    children[index] = make_locked(type->datatypes[index]);
    if (!children[index]) return 0;
  }
  uint64_t bits = create({type->combiner, type->integer_count, type->address_count, type->datatype_count,
                          type->integers, type->addresses, children.get(), 0});
  return bits && type->bounds_vary ? resized(bits, type) : bits;
}

uint64_t make_locked(Datatype* type) {
  if (type->lower) return type->lower;
  type->lower_borrowed = 0;
  uint64_t bits = is_predefined(type) ? make_predefined(type) : make_derived(type);
  if (bits) remember(type, bits);
  return bits;
}

void forget(Object* object) { object->lower = 0; }

}  // namespace

uint64_t make_lower(Datatype* type) {
  LockGuard guard(lower_lock);
  return make_locked(type);
}

Datatype* datatype_of_lower(uint64_t bits) {
  LockGuard guard(lower_lock);
  return reinterpret_cast<Datatype*>(by_lower.find(bits));
}

void forget_lower(Datatype* type) {
  if (!type->lower) return;
  LockGuard guard(lower_lock);
  if (by_lower.find(type->lower) == reinterpret_cast<uint64_t>(type)) by_lower.erase(type->lower);
  if (type->lower_borrowed) return;
  core::TypeFree block{type->lower};
  cross::type_free(block);
  type->lower = 0;
}

void forget_lower_handles() {
  for_each_object(Kind::datatype, forget);
  for_each_object(Kind::op, forget);
  for_each_object(Kind::info, forget);
  by_lower.clear();
}

}  // namespace mana::upper
