// SPDX-License-Identifier: BSD-3-Clause
// Building a type from an envelope: the layout that its arguments describe, and the bounds that follow from it.
#include "upper/datatype.h"
#include "upper/front_end.h"
#include "upper/lower_calls.h"
#include "upper/memory.h"
#include "upper/text.h"

namespace mana::upper {

void free_programs(Datatype* type);
void forget_lower(Datatype* type);

namespace {

template <class T>
T* copy_array(const T* from, int64_t count) {
  if (count == 0) return nullptr;
  T* copy = allocate_array<T>(count);
  copy_bytes(copy, from, sizeof(T) * static_cast<size_t>(count));
  return copy;
}

// The arguments as MPI_Type_get_contents lists them (MPI 5.0, 5.1.13).
void set_layout(Datatype* type) {
  const int64_t* integers = type->integers;
  Layout& layout = type->layout;
  layout = {};
  layout.block_count = 1;
  layout.scale = 1;
  layout.length = 1;
  layout.type = type->datatype_count ? type->datatypes[0] : type->equivalent;
  switch (type->combiner) {
    case abi::COMBINER_CONTIGUOUS:
      layout.length = integers[0];
      break;
    case abi::COMBINER_VECTOR:
    case abi::COMBINER_HVECTOR:
      layout.block_count = integers[0];
      layout.length = integers[1];
      layout.stride = type->combiner == abi::COMBINER_VECTOR ? integers[2] * layout.type->extent : type->addresses[0];
      break;
    case abi::COMBINER_INDEXED:
    case abi::COMBINER_HINDEXED:
    case abi::COMBINER_STRUCT:
      layout.block_count = integers[0];
      layout.lengths = integers + 1;
      layout.displacements = type->combiner == abi::COMBINER_INDEXED ? integers + 1 + integers[0] : type->addresses;
      if (type->combiner == abi::COMBINER_INDEXED && layout.type) layout.scale = layout.type->extent;
      if (type->combiner == abi::COMBINER_STRUCT) layout.types = type->datatypes;
      break;
    case abi::COMBINER_INDEXED_BLOCK:
    case abi::COMBINER_HINDEXED_BLOCK:
      layout.block_count = integers[0];
      layout.length = integers[1];
      layout.displacements = type->combiner == abi::COMBINER_INDEXED_BLOCK ? integers + 2 : type->addresses;
      if (type->combiner == abi::COMBINER_INDEXED_BLOCK) layout.scale = layout.type->extent;
      break;
    case abi::COMBINER_SUBARRAY:
    case abi::COMBINER_DARRAY:
      layout.type = type->equivalent;
      break;
    default:  // dup, resized, F90: one of the other type
      break;
  }
}

struct Range {
  int64_t low = INT64_MAX, high = INT64_MIN;
  void include(int64_t from, int64_t to) {
    low = from < low ? from : low;
    high = to > high ? to : high;
  }
  bool empty() const { return low > high; }
};

struct Bounds {
  Range all, data;                 // bounds of every element; of what holds data
  Range marked_low, marked_high;   // bounds that were set on purpose
  int32_t alignment = 1;

  void include(const Block& block) {
    const Datatype* child = block.type;
    // An empty type map has no entry that could bound anything.
    if (block.length <= 0 || (child->elements == 0 && !child->lower_marked && !child->upper_marked)) return;
    const int64_t last = block.displacement + (block.length - 1) * child->extent;
    for (int64_t at : {block.displacement, last}) {
      const int64_t low = at + child->lower_bound, high = low + child->extent;
      all.include(low, high);
      if (child->lower_marked) marked_low.include(low, low);
      if (child->upper_marked) marked_high.include(high, high);
      if (child->size > 0) {
        data.include(at + child->true_lower_bound, at + child->true_lower_bound + child->true_extent);
      }
    }
    if (child->alignment > alignment) alignment = child->alignment;
  }
  int64_t low(bool standard) const {
    return standard && !marked_low.empty() ? marked_low.low : all.empty() ? 0 : all.low;
  }
  int64_t high(bool standard) const {
    return standard && !marked_high.empty() ? marked_high.high : all.empty() ? 0 : all.high;
  }
  // Open MPI rounds up whenever a block was added, so what came before can leave room that the whole would not need.
  void round_up() {
    const int64_t beyond = (high(true) - low(true)) % alignment;
    if (marked_high.empty() && beyond > 0) all.high += alignment - beyond;
  }
};

Bounds bounds_of(Datatype* type, bool standard) {
  const Layout& layout = type->layout;
  Bounds bounds;
  const bool regular = !layout.lengths && !layout.displacements && !layout.types;
  for (int64_t index = 0; index < layout.block_count; ++index) {
    if (regular && index == 1) index = layout.block_count - 1;  // those between lie between
    Block block = block_at(layout, index);
    bounds.include(block);
    if (regular) continue;
    if (standard) bounds.round_up();
    type->size += block.length * block.type->size;
    type->elements += block.length * block.type->elements;
  }
  if (regular) {
    type->size = layout.block_count * layout.length * layout.type->size;
    type->elements = layout.block_count * layout.length * layout.type->elements;
  }
  return bounds;
}

bool is_wrapper(int32_t combiner) {
  return combiner == abi::COMBINER_DUP || combiner == abi::COMBINER_F90_REAL ||
         combiner == abi::COMBINER_F90_COMPLEX || combiner == abi::COMBINER_F90_INTEGER;
}

// MPICH takes a structure of equal types for an indexed type, which it does not round up.
bool is_mixed_structure(const Datatype* type) {
  if (type->combiner != abi::COMBINER_STRUCT) return false;
  for (int32_t index = 1; index < type->datatype_count; ++index) {
    if (type->datatypes[index] != type->datatypes[0]) return true;
  }
  return false;
}

}  // namespace

void compute_bounds(Datatype* type) {
  const bool standard = front_end::facts.standard_bounds != 0;
  type->size = type->elements = 0;
  Bounds bounds = bounds_of(type, standard);
  type->alignment = bounds.alignment;
  type->true_lower_bound = bounds.data.empty() ? 0 : bounds.data.low;
  type->true_extent = bounds.data.empty() ? 0 : bounds.data.high - bounds.data.low;
  type->lower_marked = !bounds.marked_low.empty();
  type->upper_marked = !bounds.marked_high.empty();
  type->lower_bound = bounds.low(standard);
  type->extent = bounds.high(standard) - type->lower_bound;
  if (is_wrapper(type->combiner)) return;
  const int64_t beyond = type->extent % type->alignment;
  type->bounds_vary = !type->layout.type || type->layout.displacements || beyond != 0;
  if (beyond > 0 && (standard ? !type->upper_marked : is_mixed_structure(type))) type->extent += type->alignment - beyond;
}

namespace {

void set_bounds(Datatype* type, int64_t lower_bound, int64_t extent) {
  type->lower_bound = lower_bound;
  type->extent = extent;
  type->lower_marked = type->upper_marked = 1;
  type->bounds_vary = 0;
}

Datatype* make(const Envelope& envelope, Datatype* equivalent) {
  auto* type = new_object<Datatype>(Kind::datatype);
  if (!type) return nullptr;
  type->combiner = envelope.combiner;
  type->integer_count = static_cast<int32_t>(envelope.integer_count);
  type->address_count = static_cast<int32_t>(envelope.address_count);
  type->datatype_count = static_cast<int32_t>(envelope.datatype_count);
  type->integers = copy_array(envelope.integers, envelope.integer_count);
  type->addresses = copy_array(envelope.addresses, envelope.address_count);
  type->datatypes = copy_array(envelope.datatypes, envelope.datatype_count);
  type->equivalent = equivalent;
  for (int32_t index = 0; index < type->datatype_count; ++index) retain(type->datatypes[index]);
  if (equivalent) retain(equivalent);
  set_layout(type);
  compute_bounds(type);
  if (type->combiner == abi::COMBINER_RESIZED) set_bounds(type, type->addresses[0], type->addresses[1]);
  return type;
}

}  // namespace

Datatype* make_type(const Envelope& envelope) { return make(envelope, nullptr); }

Datatype* make_equivalent(const Envelope& envelope, Datatype* equivalent) {
  return equivalent ? make(envelope, equivalent) : nullptr;
}

Datatype* make_array(const Envelope& envelope, Datatype* equivalent, int64_t extent) {
  Datatype* type = make_equivalent(envelope, equivalent);
  if (type) set_bounds(type, 0, extent);
  return type;
}

Datatype* make_contiguous(int64_t count, Datatype* type) {
  return make_type({abi::COMBINER_CONTIGUOUS, 1, 0, 1, &count, nullptr, &type});
}
Datatype* make_hvector(int64_t count, int64_t length, int64_t stride, Datatype* type) {
  const int64_t integers[] = {count, length};
  return make_type({abi::COMBINER_HVECTOR, 2, 1, 1, integers, &stride, &type});
}
Datatype* make_resized(Datatype* type, int64_t lower_bound, int64_t extent) {
  const int64_t addresses[] = {lower_bound, extent};
  return make_type({abi::COMBINER_RESIZED, 0, 2, 1, nullptr, addresses, &type});
}
Datatype* make_hindexed(int64_t count, const int64_t* lengths, const int64_t* displacements, Datatype* type) {
  int64_t* integers = allocate_array<int64_t>(count + 1);
  integers[0] = count;
  copy_bytes(integers + 1, lengths, sizeof(int64_t) * static_cast<size_t>(count));
  Datatype* result = make_type({abi::COMBINER_HINDEXED, count + 1, count, 1, integers, displacements, &type});
  deallocate(integers);
  return result;
}

void destroy_datatype(Datatype* type) {
  forget_lower(type);
  free_programs(type);
  for (int32_t index = 0; index < type->datatype_count; ++index) release(type->datatypes[index]);
  if (type->equivalent) release(type->equivalent);
  deallocate(type->integers);
  deallocate(type->addresses);
  deallocate(type->datatypes);
  if (type->name_owned) deallocate(type->name);
  delete_object(type);
}

}  // namespace mana::upper
