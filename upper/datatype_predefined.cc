// SPDX-License-Identifier: BSD-3-Clause
// The predefined datatypes: sizes of x86-64 Linux, Fortran's as gfortran has them.
#include "upper/datatype.h"
#include "upper/memory.h"

namespace mana::upper {

namespace {

struct Entry {
  int constant;
  const char* name;
  uint8_t alignment;
  uint8_t part_count;
  Part parts[kMaxParts];
};

constexpr Entry one(int constant, const char* name, Basic basic, uint8_t bytes, uint8_t external = 0) {
  return {constant, name, bytes, 1, {{basic, 0, bytes, external ? external : bytes}}};
}
constexpr Entry complex(int constant, const char* name, uint8_t half) {
  return {constant, name, half, 2, {{Basic::real, 0, half, half}, {Basic::real, half, half, half}}};
}
constexpr Entry pair(int constant, const char* name, Basic first, uint8_t bytes, uint8_t external, uint8_t second_at) {
  return {constant, name, bytes < 4 ? uint8_t{4} : bytes, 2,
          {{first, 0, bytes, external}, {Basic::integer, second_at, 4, 4}}};
}
constexpr Entry two(int constant, const char* name, Basic basic, uint8_t bytes) {
  return {constant, name, bytes, 2, {{basic, 0, bytes, bytes}, {basic, bytes, bytes, bytes}}};
}
constexpr Entry two_complex(int constant, const char* name, uint8_t half) {
  Entry entry{constant, name, half, 4, {}};
  for (int part = 0; part < 4; ++part) entry.parts[part] = {Basic::real, static_cast<uint8_t>(part * half), half, half};
  return entry;
}

constexpr Basic kBytes = Basic::bytes, kInteger = Basic::integer, kUnsigned = Basic::unsigned_integer,
                kReal = Basic::real, kLogical = Basic::logical, kCharacter = Basic::character;

constexpr Entry kTypes[] = {
    one(abi::CHAR, "MPI_CHAR", kCharacter, 1),
    one(abi::SIGNED_CHAR, "MPI_SIGNED_CHAR", kInteger, 1),
    one(abi::UNSIGNED_CHAR, "MPI_UNSIGNED_CHAR", kUnsigned, 1),
    one(abi::BYTE, "MPI_BYTE", kBytes, 1),
    one(abi::PACKED, "MPI_PACKED", kBytes, 1),
    one(abi::WCHAR, "MPI_WCHAR", Basic::wide_character, 4, 2),
    one(abi::SHORT, "MPI_SHORT", kInteger, 2),
    one(abi::UNSIGNED_SHORT, "MPI_UNSIGNED_SHORT", kUnsigned, 2),
    one(abi::INT, "MPI_INT", kInteger, 4),
    one(abi::UNSIGNED, "MPI_UNSIGNED", kUnsigned, 4),
    one(abi::LONG, "MPI_LONG", kInteger, 8, 4),
    one(abi::UNSIGNED_LONG, "MPI_UNSIGNED_LONG", kUnsigned, 8, 4),
    one(abi::LONG_LONG_INT, "MPI_LONG_LONG_INT", kInteger, 8),
    one(abi::UNSIGNED_LONG_LONG, "MPI_UNSIGNED_LONG_LONG", kUnsigned, 8),
    one(abi::FLOAT, "MPI_FLOAT", kReal, 4),
    one(abi::DOUBLE, "MPI_DOUBLE", kReal, 8),
    one(abi::LONG_DOUBLE, "MPI_LONG_DOUBLE", kReal, 16),
    one(abi::INT8_T, "MPI_INT8_T", kInteger, 1),
    one(abi::INT16_T, "MPI_INT16_T", kInteger, 2),
    one(abi::INT32_T, "MPI_INT32_T", kInteger, 4),
    one(abi::INT64_T, "MPI_INT64_T", kInteger, 8),
    one(abi::UINT8_T, "MPI_UINT8_T", kUnsigned, 1),
    one(abi::UINT16_T, "MPI_UINT16_T", kUnsigned, 2),
    one(abi::UINT32_T, "MPI_UINT32_T", kUnsigned, 4),
    one(abi::UINT64_T, "MPI_UINT64_T", kUnsigned, 8),
    one(abi::C_BOOL, "MPI_C_BOOL", kLogical, 1),
    complex(abi::C_FLOAT_COMPLEX, "MPI_C_COMPLEX", 4),
    complex(abi::C_DOUBLE_COMPLEX, "MPI_C_DOUBLE_COMPLEX", 8),
    complex(abi::C_LONG_DOUBLE_COMPLEX, "MPI_C_LONG_DOUBLE_COMPLEX", 16),
    one(abi::AINT, "MPI_AINT", kInteger, 8),
    one(abi::COUNT, "MPI_COUNT", kInteger, 8),
    one(abi::OFFSET, "MPI_OFFSET", kInteger, 8),
    one(abi::CXX_BOOL, "MPI_CXX_BOOL", kLogical, 1),
    complex(abi::CXX_FLOAT_COMPLEX, "MPI_CXX_FLOAT_COMPLEX", 4),
    complex(abi::CXX_DOUBLE_COMPLEX, "MPI_CXX_DOUBLE_COMPLEX", 8),
    complex(abi::CXX_LONG_DOUBLE_COMPLEX, "MPI_CXX_LONG_DOUBLE_COMPLEX", 16),
    one(abi::CHARACTER, "MPI_CHARACTER", kCharacter, 1),
    one(abi::LOGICAL, "MPI_LOGICAL", kLogical, 4),
    one(abi::INTEGER, "MPI_INTEGER", kInteger, 4),
    one(abi::REAL, "MPI_REAL", kReal, 4),
    one(abi::DOUBLE_PRECISION, "MPI_DOUBLE_PRECISION", kReal, 8),
    complex(abi::COMPLEX, "MPI_COMPLEX", 4),
    complex(abi::DOUBLE_COMPLEX, "MPI_DOUBLE_COMPLEX", 8),
    one(abi::LOGICAL1, "MPI_LOGICAL1", kLogical, 1),
    one(abi::LOGICAL2, "MPI_LOGICAL2", kLogical, 2),
    one(abi::LOGICAL4, "MPI_LOGICAL4", kLogical, 4),
    one(abi::LOGICAL8, "MPI_LOGICAL8", kLogical, 8),
    one(abi::LOGICAL16, "MPI_LOGICAL16", kLogical, 16),
    one(abi::INTEGER1, "MPI_INTEGER1", kInteger, 1),
    one(abi::INTEGER2, "MPI_INTEGER2", kInteger, 2),
    one(abi::INTEGER4, "MPI_INTEGER4", kInteger, 4),
    one(abi::INTEGER8, "MPI_INTEGER8", kInteger, 8),
    one(abi::INTEGER16, "MPI_INTEGER16", kInteger, 16),
    one(abi::REAL2, "MPI_REAL2", kReal, 2),
    one(abi::REAL4, "MPI_REAL4", kReal, 4),
    one(abi::REAL8, "MPI_REAL8", kReal, 8),
    one(abi::REAL16, "MPI_REAL16", kReal, 16),
    complex(abi::COMPLEX4, "MPI_COMPLEX4", 2),
    complex(abi::COMPLEX8, "MPI_COMPLEX8", 4),
    complex(abi::COMPLEX16, "MPI_COMPLEX16", 8),
    complex(abi::COMPLEX32, "MPI_COMPLEX32", 16),
    pair(abi::FLOAT_INT, "MPI_FLOAT_INT", kReal, 4, 4, 4),
    pair(abi::DOUBLE_INT, "MPI_DOUBLE_INT", kReal, 8, 8, 8),
    pair(abi::LONG_INT, "MPI_LONG_INT", kInteger, 8, 4, 8),
    pair(abi::SHORT_INT, "MPI_SHORT_INT", kInteger, 2, 2, 4),
    pair(abi::LONG_DOUBLE_INT, "MPI_LONG_DOUBLE_INT", kReal, 16, 16, 16),
    two(abi::TWO_INT, "MPI_2INT", kInteger, 4),
    two(abi::TWO_REAL, "MPI_2REAL", kReal, 4),
    two(abi::TWO_DOUBLE_PRECISION, "MPI_2DOUBLE_PRECISION", kReal, 8),
    two(abi::TWO_INTEGER, "MPI_2INTEGER", kInteger, 4),
    two_complex(abi::TWO_COMPLEX, "MPI_2COMPLEX", 4),
    two_complex(abi::TWO_DOUBLE_COMPLEX, "MPI_2DOUBLE_COMPLEX", 8),
    {abi::LB, "MPI_LB", 1, 0, {}},
    {abi::UB, "MPI_UB", 1, 0, {}},
};
constexpr int kTypeCount = sizeof(kTypes) / sizeof(kTypes[0]);

constinit Datatype types[kTypeCount] = {};

bool is_complex(const Entry& entry) {  // one element although several numbers
  return entry.part_count == 2 && entry.parts[0].basic == Basic::real && entry.parts[1].basic == Basic::real &&
         entry.constant != abi::TWO_REAL && entry.constant != abi::TWO_DOUBLE_PRECISION;
}

void fill(Datatype* type, const Entry& entry) {
  register_predefined(type, Kind::datatype, entry.constant);
  int64_t end = 0;
  for (int part = 0; part < entry.part_count; ++part) {
    type->parts[part] = entry.parts[part];
    type->size += entry.parts[part].bytes;
    end = entry.parts[part].offset + entry.parts[part].bytes;
  }
  type->part_count = entry.part_count;
  type->alignment = entry.alignment;
  type->true_extent = end;
  type->extent = (end + entry.alignment - 1) / entry.alignment * entry.alignment;
  type->elements = entry.part_count <= 1 || is_complex(entry) ? entry.part_count != 0 : 2;  // pairs
  type->committed = 1;
  type->handles = 1;
  type->combiner = abi::COMBINER_NAMED;
  type->name = const_cast<char*>(entry.name);
  type->lower_marked = entry.constant == abi::LB;
  type->upper_marked = entry.constant == abi::UB;
}

}  // namespace

void start_datatypes() {
  for (int index = 0; index < kTypeCount; ++index) fill(&types[index], kTypes[index]);
}

}  // namespace mana::upper
