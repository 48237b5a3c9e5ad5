// SPDX-License-Identifier: BSD-3-Clause
// Types chosen by size or precision (MPI 5.0, 19.1.5): MPI_Type_match_size and the F90 constructors, whose types belong to
// the runtime: the same arguments give the same type, and it cannot be freed.
#include "upper/containers.h"
#include "upper/datatype.h"
#include "upper/errors.h"
#include "upper/guarded.h"
#include "mpi_wrappers/upper_api.h"

namespace mana::upper {

Datatype* make_equivalent(const Envelope& envelope, Datatype* equivalent);

namespace {

constinit Vector<Datatype*> f90_types{};

struct Model {  // what gfortran's kinds hold
  int digits, range, constant;
};
constexpr Model kReals[] = {{6, 37, abi::REAL4}, {15, 307, abi::REAL8}, {33, 4931, abi::REAL16}};
constexpr Model kComplexes[] = {{6, 37, abi::COMPLEX8}, {15, 307, abi::COMPLEX16}, {33, 4931, abi::COMPLEX32}};
constexpr Model kIntegers[] = {{0, 2, abi::INTEGER1}, {0, 4, abi::INTEGER2}, {0, 9, abi::INTEGER4},
                               {0, 18, abi::INTEGER8}, {0, 38, abi::INTEGER16}};

template <int kCount>
Datatype* smallest(const Model (&models)[kCount], int digits, int range) {
  for (const Model& model : models) {
    if (digits <= model.digits && range <= model.range) return predefined_type(model.constant);
  }
  return nullptr;
}

Datatype* find(int combiner, int64_t first, int64_t second) {
  for (Datatype* type : f90_types) {
    if (type->combiner == combiner && type->integers[0] == first &&
        (type->integer_count < 2 || type->integers[1] == second)) {
      return type;
    }
  }
  return nullptr;
}

int get(int combiner, int integer_count, int64_t first, int64_t second, Datatype* equivalent, Datatype** newtype) {
  if (!equivalent) return abi::ERR_ARG;
  Datatype* type = find(combiner, first, second);
  if (!type) {
    const int64_t integers[] = {first, second};
    type = make_equivalent({combiner, integer_count, 0, 0, integers, nullptr, nullptr}, equivalent);
    if (!type) return abi::ERR_NO_MEM;
    type->shared = type->committed = 1;
    type->handles = 1;
    f90_types.push(type);
  }
  *newtype = type;
  return abi::SUCCESS;
}

// MPI_UNDEFINED for one of the two means: not given.
int given(int value) { return value == abi::UNDEFINED ? 0 : value; }
bool both_undefined(int p, int r) { return p == abi::UNDEFINED && r == abi::UNDEFINED; }

}  // namespace

int Type_create_f90_real(int p, int r, Datatype** newtype) {
  return guarded("MPI_Type_create_f90_real", [&]() -> int {
    Datatype* equivalent = both_undefined(p, r) ? nullptr : smallest(kReals, given(p), given(r));
    return get(abi::COMBINER_F90_REAL, 2, p, r, equivalent, newtype);
  });
}

int Type_create_f90_complex(int p, int r, Datatype** newtype) {
  return guarded("MPI_Type_create_f90_complex", [&]() -> int {
    Datatype* equivalent = both_undefined(p, r) ? nullptr : smallest(kComplexes, given(p), given(r));
    return get(abi::COMBINER_F90_COMPLEX, 2, p, r, equivalent, newtype);
  });
}

int Type_create_f90_integer(int r, Datatype** newtype) {
  return guarded("MPI_Type_create_f90_integer", [&]() -> int {
    return get(abi::COMBINER_F90_INTEGER, 1, r, 0, smallest(kIntegers, 0, r), newtype);
  });
}

int Type_match_size(int typeclass, int size, Datatype** datatype) {
  constexpr int kReal[] = {abi::REAL4, abi::REAL8, abi::REAL16};
  constexpr int kInteger[] = {abi::INTEGER1, abi::INTEGER2, abi::INTEGER4, abi::INTEGER8, abi::INTEGER16};
  constexpr int kComplex[] = {abi::COMPLEX8, abi::COMPLEX16, abi::COMPLEX32};
  const int* candidates = typeclass == abi::TYPECLASS_REAL ? kReal : typeclass == abi::TYPECLASS_COMPLEX ? kComplex : kInteger;
  const int count = typeclass == abi::TYPECLASS_INTEGER ? 5 : 3;
  const bool known = typeclass == abi::TYPECLASS_REAL || typeclass == abi::TYPECLASS_COMPLEX ||
                     typeclass == abi::TYPECLASS_INTEGER;
  for (int index = 0; known && index < count; ++index) {
    Datatype* type = predefined_type(candidates[index]);
    if (type->size == size) {
      *datatype = type;
      return abi::SUCCESS;
    }
  }
  return raise(abi::ERR_ARG, "MPI_Type_match_size");
}

}  // namespace mana::upper
