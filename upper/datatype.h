// SPDX-License-Identifier: BSD-3-Clause
// Datatypes live above: envelope and contents as given, bounds, and a program to copy them.  The lower half's type is made from the
// envelope when a crossing first needs it (lower()), and made again after a restart.
#pragma once

#include <cstdint>

#include "upper/object_tables.h"
#include "upper/objects.h"

namespace mana::upper {

// What a number within a basic element is; decides its conversion to external32 and what MPI_Type_match_size finds.
enum class Basic : uint8_t { none, bytes, integer, unsigned_integer, real, logical, character, wide_character };

// A basic element is one number, or several: complex and pair types.
struct Part {
  Basic basic;
  uint8_t offset, bytes;
  uint8_t external_bytes;  // in external32 (MPI 5.0, 14.5.2)
};
inline constexpr int kMaxParts = 4;

// One line of a copy program: `count` pieces, the first at `displacement`, each `stride` after the one before.  A piece is `bytes`
// contiguous bytes, or one run of `body` (bytes: its size).
struct Program;
struct Step {
  int64_t displacement, count, stride, bytes;
  const Program* body;
};
struct Program {
  Program* next;  // list of the programs that a datatype owns
  int64_t step_count;
  Step steps[];
};

// How the type map is walked: `block_count` blocks; block i holds `length` (or lengths[i]) elements of `type` (or types[i]), the
// first at i * stride (or displacements[i] * scale).
struct Layout {
  int64_t block_count;
  const int64_t* lengths;
  const int64_t* displacements;
  Datatype* const* types;
  Datatype* type;               // nullptr, and no types: a basic element
  int64_t length, stride, scale;
};
struct Block {
  int64_t displacement, length;
  Datatype* type;
};

struct Datatype : Object {
  int64_t size;                 // bytes of data in one
  int64_t lower_bound, extent;
  int64_t true_lower_bound, true_extent;
  int64_t elements;             // basic elements in one
  int32_t alignment;
  uint8_t committed;
  uint8_t lower_marked, upper_marked;  // the bound was set by MPI_LB/MPI_UB or resizing
  uint8_t bounds_vary;          // libraries disagree about the extent: the lower type is resized to ours
  uint8_t large;                // made by a large-count constructor
  uint8_t shared;               // F90 types: belong to the runtime, cannot be freed
  uint8_t lower_borrowed;       // `lower` is another type's
  uint8_t dense;                // set with the program: n of them are one piece of n * size bytes
  uint8_t name_owned;
  uint8_t part_count;           // basic elements only
  Part parts[kMaxParts];
  int32_t handles;              // how often the application holds the handle (get_contents gives it out again)
  int32_t combiner;
  int32_t integer_count, address_count, datatype_count;
  int64_t* integers;            // as given: contents of the envelope
  int64_t* addresses;
  Datatype** datatypes;         // each retained
  Layout layout;
  Datatype* equivalent;         // subarray, darray, F90: the type that it is laid out as (retained)
  Program* program;             // nullptr until compiled; further ones that it refers to are chained to it
  Attribute* attributes;
  char* name;                   // nullptr: none
};

// The lower half's bits of a type, made (and committed there) when first needed.  0: the lower half could not make it.
uint64_t make_lower(Datatype* type);
inline uint64_t lower(Datatype* type) { return type->lower ? type->lower : make_lower(type); }
// Which type these bits were made for; nullptr: unknown.  For operators that the lower library calls back.
Datatype* datatype_of_lower(uint64_t bits);
// After a restart: no type, operator or info has a lower counterpart any more.
void forget_lower_handles();

inline Datatype* predefined_type(int constant) { return static_cast<Datatype*>(predefined(constant)); }
inline bool is_predefined(const Datatype* type) { return type->constant != 0; }

// The copy program, compiled when first needed.
const Program* program_of(Datatype* type);

// Calls visit(basic, displacement, count, context) for runs of `count` adjacent basic elements, in type-map order, until it
// returns false.  Returns false when stopped.
using VisitRun = bool (*)(const Datatype* basic, int64_t displacement, int64_t count, void* context);
bool walk_type_map(const Datatype* type, int64_t count, int64_t displacement, VisitRun visit, void* context);

// MPI_Get_elements: basic elements in the first `bytes` bytes of a stream of this type; abi::UNDEFINED if they end within one.
int64_t count_elements(const Datatype* type, int64_t bytes);
// The other way round, for MPI_Status_set_elements.
int64_t bytes_of_elements(const Datatype* type, int64_t elements);

inline Block block_at(const Layout& layout, int64_t index) {
  return {layout.displacements ? layout.displacements[index] * layout.scale : index * layout.stride,
          layout.lengths ? layout.lengths[index] : layout.length,
          layout.types ? layout.types[index] : layout.type};
}
inline bool is_basic(const Datatype* type) { return !type->layout.type && !type->layout.types; }

// Makes a type from an envelope (copied; the datatypes are retained).  No checks: overflow and nonsense are the caller's.
// One reference, no handle; nullptr when the table is full.
struct Envelope {
  int32_t combiner;
  int64_t integer_count, address_count, datatype_count;
  const int64_t* integers;
  const int64_t* addresses;
  Datatype* const* datatypes;
};
Datatype* make_type(const Envelope& envelope);
Datatype* make_contiguous(int64_t count, Datatype* type);
Datatype* make_hvector(int64_t count, int64_t length, int64_t stride, Datatype* type);
Datatype* make_hindexed(int64_t count, const int64_t* lengths, const int64_t* displacements, Datatype* type);
Datatype* make_resized(Datatype* type, int64_t lower_bound, int64_t extent);
void compute_bounds(Datatype* type);  // from the layout

void destroy_datatype(Datatype* type);
void start_datatypes();  // registers the predefined ones

}  // namespace mana::upper
