// SPDX-License-Identifier: BSD-3-Clause
// Datatypes without a library to compare with: lower types, life, elements, external32, the F90 constructors.
#include <catch2/catch.hpp>
#include <cstring>

#include "test/catch/run.h"
#include "upper/pack.h"
#include "upper/tests/support.h"

using namespace mana;
using namespace mana::upper;

namespace {

Datatype* basic(int constant) { return predefined_type(constant); }

Datatype* make_struct(std::vector<int> lengths, std::vector<int64_t> displacements, std::vector<Datatype*> types) {
  Datatype* made = nullptr;
  REQUIRE(Type_create_struct(static_cast<int64_t>(types.size()), {lengths.data(), 4}, {displacements.data(), 8}, types.data(),
                             &made) == 0);
  return made;
}

bool list_elements(const Datatype* type, int64_t, int64_t count, void* context) {
  for (int64_t i = 0; i < count; ++i) {
    for (int part = 0; part < type->elements; ++part) {
      static_cast<std::vector<int64_t>*>(context)->push_back(type->elements == 1 ? type->size : type->parts[part].bytes);
    }
  }
  return true;
}

}  // namespace

TEST_CASE("a lower type is made once, from the leaves up, and freed with ours") {
  test::lower_types_made.clear();
  test::lower_types_freed.clear();
  Datatype *vector, *outer;
  Type_vector(3, 1, 2, basic(abi::DOUBLE), &vector);
  Type_contiguous(2, vector, &outer);
  CHECK(test::lower_types_made.empty());
  const uint64_t bits = lower(outer);
  CHECK(lower(outer) == bits);
  CHECK(test::lower_types_made == std::vector<int>{abi::COMBINER_VECTOR, abi::COMBINER_CONTIGUOUS});
  CHECK(datatype_of_lower(bits) == outer);
  CHECK(datatype_of_lower(lower(basic(abi::DOUBLE))) == basic(abi::DOUBLE));
  Type_free(&vector);
  CHECK(test::lower_types_freed.empty());  // `outer` is built on it
  Type_free(&outer);
  CHECK(test::lower_types_freed.size() == 2);
  CHECK(datatype_of_lower(bits) == nullptr);
}

TEST_CASE("after a restart lower types are made again") {
  Datatype* type;
  Type_contiguous(5, basic(abi::INT), &type);
  lower(type);
  test::lower_types_made.clear();
  forget_lower_handles();
  CHECK((type->lower == 0 && basic(abi::INT)->lower == 0));
  CHECK(lower(type) != 0);
  CHECK(test::lower_types_made == std::vector<int>{abi::COMBINER_CONTIGUOUS});
  Type_free(&type);
}

TEST_CASE("structures are resized below, where libraries disagree about extents") {
  Datatype* type = make_struct({1, 1}, {0, 8}, {basic(abi::DOUBLE), basic(abi::CHAR)});
  test::lower_types_made.clear();
  lower(type);
  CHECK(test::lower_types_made == std::vector<int>{abi::COMBINER_STRUCT, abi::COMBINER_RESIZED});
  Type_free(&type);
}

TEST_CASE("a type that the lower library lacks gets a stand-in of the same size") {
  CHECK(lower(basic(abi::LOGICAL2)) != 0);  // as bytes: the fake lower half has no other logical of 2 bytes
  CHECK(basic(abi::LOGICAL2)->lower_borrowed == 0);
  CHECK(lower(basic(abi::REAL4)) == abi::REAL4);
}

TEST_CASE("a freed type lives on in those built on it, and get_contents gives a handle") {
  Datatype *inner, *outer, *child;
  Type_contiguous(2, basic(abi::INT), &inner);
  Datatype* remembered = inner;
  Type_vector(2, 1, 3, inner, &outer);
  Type_free(&inner);
  int integers[3];
  REQUIRE(Type_get_contents(outer, 3, 0, 0, 1, integers, nullptr, nullptr, &child) == 0);
  CHECK(child == remembered);
  CHECK(std::vector<int>(integers, integers + 3) == std::vector<int>{2, 1, 3});
  CHECK(Type_free(&outer) == 0);
  int64_t size;
  CHECK((Type_size(child, &size) == 0 && size == 8));
  CHECK(Type_free(&child) == 0);
  Datatype* fixed = basic(abi::INT);
  CHECK(Type_free(&fixed) == abi::ERR_TYPE);
}

TEST_CASE("elements are counted in the order of the type map") {
  Datatype* inner = make_struct({2, 1}, {0, 16}, {basic(abi::SHORT), basic(abi::DOUBLE_INT)});
  Datatype* type = make_struct({1, 2, 3}, {0, 64, 200}, {basic(abi::INT), inner, basic(abi::CHAR)});
  std::vector<int64_t> sizes;
  walk_type_map(type, 2, 0, list_elements, &sizes);
  int64_t at = 0;
  for (size_t n = 0; n < sizes.size(); ++n) {
    CHECK(count_elements(type, at) == static_cast<int64_t>(n));
    CHECK(bytes_of_elements(type, static_cast<int64_t>(n)) == at);
    for (int64_t within = 1; within < sizes[n]; ++within) CHECK(count_elements(type, at + within) == abi::UNDEFINED);
    at += sizes[n];
  }
  CHECK(at == 2 * type->size);
  Type_free(&inner);
  Type_free(&type);
}

TEST_CASE("external32 is big-endian and comes back") {
  struct { double d; int64_t l; long double x; int32_t i; } in{-1.5, -77, -0.1L, 0x01020304}, out{};
  Datatype* type = make_struct({1, 1, 1, 1}, {0, 8, 16, 32},
                               {basic(abi::DOUBLE), basic(abi::LONG), basic(abi::LONG_DOUBLE), basic(abi::INT)});
  unsigned char stream[64];
  int64_t size, position = 0;
  REQUIRE(Pack_external_size("external32", 1, type, &size) == 0);
  CHECK(size == 8 + 4 + 16 + 4);
  REQUIRE(Pack_external("external32", &in, 1, type, stream, size, &position) == 0);
  CHECK((stream[0] == 0xbf && stream[1] == 0xf8 && stream[11] == 0xb3 && stream[28] == 1 && stream[31] == 4));
  CHECK((stream[12] == 0xbf && stream[13] == 0xfb && stream[14] == 0x99));  // -0.1 in binary128
  position = 0;
  REQUIRE(Unpack_external("external32", stream, size, &position, &out, 1, type) == 0);
  CHECK((out.d == in.d && out.l == in.l && out.x == in.x && out.i == in.i));
  CHECK(Pack_external_size("native", 1, type, &size) == abi::ERR_ARG);
  Type_free(&type);
}

TEST_CASE("F90 types are the same for the same arguments and cannot be freed") {
  Datatype *a, *b, *integer;
  REQUIRE(Type_create_f90_real(15, 100, &a) == 0);
  REQUIRE(Type_create_f90_real(15, 100, &b) == 0);
  CHECK((a == b && a->size == 8));
  CHECK(Type_free(&b) == abi::ERR_TYPE);
  CHECK(lower(a) == lower(basic(abi::REAL8)));
  REQUIRE(Type_create_f90_integer(9, &integer) == 0);
  CHECK(integer->size == 4);
  int64_t integers, addresses, large, types;
  int combiner;
  Type_get_envelope(a, &integers, &addresses, &large, &types, &combiner);
  CHECK((integers == 2 && types == 0 && combiner == abi::COMBINER_F90_REAL));
  CHECK(Type_create_f90_real(99, 1, &a) == abi::ERR_ARG);
  Datatype* matched;
  CHECK((Type_match_size(abi::TYPECLASS_COMPLEX, 16, &matched) == 0 && matched == basic(abi::COMPLEX16)));
}

TEST_CASE("unpack reports what did not fit") {
  std::vector<int> bytes(10), room(8, -1);
  for (int i = 0; i < 10; ++i) bytes[static_cast<size_t>(i)] = i;
  Datatype* every_other;
  Type_vector(4, 1, 2, basic(abi::INT), &every_other);
  CHECK(unpack_stream(room.data(), 1, every_other, bytes.data(), 40) == 16);
  CHECK(room == std::vector<int>{0, -1, 1, -1, 2, -1, 3, -1});
  Type_free(&every_other);
}

int main(int argc, char** argv) {
  mana::upper::test::start();
  return mana::run_test_cases(argc, argv);
}
