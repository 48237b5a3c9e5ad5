// SPDX-License-Identifier: BSD-3-Clause
// Walking the type map of the tree of types itself, where the copy program has lost what the basic elements are.
#include "upper/datatype.h"

namespace mana::upper {

bool walk_type_map(const Datatype* type, int64_t count, int64_t displacement, VisitRun visit, void* context) {
  if (type->size == 0 || count <= 0) return true;
  if (is_basic(type)) return visit(type, displacement, count, context);
  const Layout& layout = type->layout;
  for (int64_t element = 0; element < count; ++element, displacement += type->extent) {
    for (int64_t index = 0; index < layout.block_count; ++index) {
      Block block = block_at(layout, index);
      if (!walk_type_map(block.type, block.length, displacement + block.displacement, visit, context)) return false;
    }
  }
  return true;
}

namespace {

// Elements in a basic type's first `bytes` bytes, fewer than a whole one: for pair types, each half may count.
int64_t count_parts(const Datatype* type, int64_t bytes) {
  const bool halves = type->elements > 1;
  if (bytes == 0) return 0;
  return halves && bytes == type->parts[0].bytes ? 1 : abi::UNDEFINED;
}

int64_t plus(int64_t whole, int64_t part) { return part == abi::UNDEFINED ? abi::UNDEFINED : whole + part; }

}  // namespace

int64_t count_elements(const Datatype* type, int64_t bytes) {
  if (type->size == 0) return bytes == 0 ? 0 : abi::UNDEFINED;
  const int64_t whole = bytes / type->size * type->elements;
  int64_t rest = bytes % type->size;
  if (rest == 0) return whole;
  if (is_basic(type)) return plus(whole, count_parts(type, rest));
  int64_t partial = 0;
  for (int64_t index = 0; index < type->layout.block_count; ++index) {
    Block block = block_at(type->layout, index);
    if (rest < block.length * block.type->size) return plus(whole + partial, count_elements(block.type, rest));
    rest -= block.length * block.type->size;
    partial += block.length * block.type->elements;
    if (rest == 0) break;
  }
  return whole + partial;
}

int64_t bytes_of_elements(const Datatype* type, int64_t elements) {
  if (type->elements == 0) return 0;
  const int64_t whole = elements / type->elements * type->size;
  int64_t rest = elements % type->elements;
  if (rest == 0) return whole;
  if (is_basic(type)) return whole + type->parts[0].bytes;  // half a pair
  int64_t partial = 0;
  for (int64_t index = 0; index < type->layout.block_count; ++index) {
    Block block = block_at(type->layout, index);
    if (rest < block.length * block.type->elements) return whole + partial + bytes_of_elements(block.type, rest);
    rest -= block.length * block.type->elements;
    partial += block.length * block.type->size;
    if (rest == 0) break;
  }
  return whole + partial;
}

}  // namespace mana::upper
