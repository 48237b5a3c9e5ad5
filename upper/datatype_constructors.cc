// SPDX-License-Identifier: BSD-3-Clause
// MPI 5.0, 5.1.2 and 5.1.7-5.1.10: constructors, commit, free, dup.
#include "upper/attribute.h"
#include "upper/containers.h"
#include "upper/datatype.h"
#include "upper/errors.h"
#include "upper/guarded.h"
#include "upper/text.h"
#include "mpi_wrappers/upper_api.h"

namespace mana::upper {

namespace {

// The result becomes the application's.
int deliver(Datatype* type, bool large, Datatype** newtype) {
  if (!type) return abi::ERR_NO_MEM;
  type->handles = 1;
  type->large = large;
  *newtype = type;
  return abi::SUCCESS;
}

bool is_large(int64_t value) { return value > INT32_MAX || value < INT32_MIN; }

// The checks that all constructors share.
int check(Datatype* oldtype, int64_t count, int64_t length = 0) {
  if (!oldtype) return abi::ERR_TYPE;
  if (count < 0 || length < 0) return length < 0 ? abi::ERR_ARG : abi::ERR_COUNT;
  return abi::SUCCESS;
}

// Integers and addresses of an envelope under construction.
struct Arguments {
  Vector<int64_t> integers{}, addresses{};
  ~Arguments() {
    integers.free();
    addresses.free();
  }
  static void append(Vector<int64_t>& to, const Counts& values, int64_t count) {
    to.reserve(to.size + count);
    for (int64_t index = 0; index < count; ++index) to.push(values[static_cast<size_t>(index)]);
  }
  Envelope envelope(int32_t combiner, Datatype* const* types, int64_t type_count) const {
    return {combiner, integers.size, addresses.size, type_count, integers.items, addresses.items, types};
  }
};

bool any_negative(const Counts& values, int64_t count) {
  for (int64_t index = 0; index < count; ++index) {
    if (values[static_cast<size_t>(index)] < 0) return true;
  }
  return false;
}

// Shared by indexed and hindexed.
int indexed(int32_t combiner, int64_t count, const Counts& lengths, const Counts& displacements, Datatype* oldtype,
            Datatype** newtype) {
  if (int error = check(oldtype, count)) return error;
  if (count > 0 && (!lengths || !displacements)) return abi::ERR_ARG;
  if (any_negative(lengths, count)) return abi::ERR_ARG;
  Arguments arguments;
  arguments.integers.push(count);
  Arguments::append(arguments.integers, lengths, count);
  Arguments::append(combiner == abi::COMBINER_INDEXED ? arguments.integers : arguments.addresses, displacements, count);
  return deliver(make_type(arguments.envelope(combiner, &oldtype, 1)), lengths.width == 8, newtype);
}

int indexed_block(int32_t combiner, int64_t count, int64_t length, const Counts& displacements, Datatype* oldtype,
                  Datatype** newtype) {
  if (int error = check(oldtype, count, length)) return error;
  if (count > 0 && !displacements) return abi::ERR_ARG;
  Arguments arguments;
  arguments.integers.push(count);
  arguments.integers.push(length);
  const bool in_elements = combiner == abi::COMBINER_INDEXED_BLOCK;
  Arguments::append(in_elements ? arguments.integers : arguments.addresses, displacements, count);
  const bool large = is_large(count) || is_large(length) || (in_elements && displacements.width == 8);
  return deliver(make_type(arguments.envelope(combiner, &oldtype, 1)), large, newtype);
}

}  // namespace

int Type_contiguous(int64_t count, Datatype* oldtype, Datatype** newtype) {
  return guarded("MPI_Type_contiguous", [&]() -> int {
    if (int error = check(oldtype, count)) return error;
    return deliver(make_contiguous(count, oldtype), is_large(count), newtype);
  });
}

int Type_vector(int64_t count, int64_t blocklength, int64_t stride, Datatype* oldtype, Datatype** newtype) {
  return guarded("MPI_Type_vector", [&]() -> int {
    if (int error = check(oldtype, count, blocklength)) return error;
    const int64_t integers[] = {count, blocklength, stride};
    Datatype* type = make_type({abi::COMBINER_VECTOR, 3, 0, 1, integers, nullptr, &oldtype});
    return deliver(type, is_large(count) || is_large(blocklength) || is_large(stride), newtype);
  });
}

int Type_create_hvector(int64_t count, int64_t blocklength, int64_t stride, Datatype* oldtype, Datatype** newtype) {
  return guarded("MPI_Type_create_hvector", [&]() -> int {
    if (int error = check(oldtype, count, blocklength)) return error;
    Datatype* type = make_hvector(count, blocklength, stride, oldtype);
    return deliver(type, is_large(count) || is_large(blocklength), newtype);
  });
}

int Type_indexed(int64_t count, Counts array_of_blocklengths, Counts array_of_displacements, Datatype* oldtype,
                 Datatype** newtype) {
  return guarded("MPI_Type_indexed", [&]() -> int {
    return indexed(abi::COMBINER_INDEXED, count, array_of_blocklengths, array_of_displacements, oldtype, newtype);
  });
}

int Type_create_hindexed(int64_t count, Counts array_of_blocklengths, Counts array_of_displacements, Datatype* oldtype,
                         Datatype** newtype) {
  return guarded("MPI_Type_create_hindexed", [&]() -> int {
    return indexed(abi::COMBINER_HINDEXED, count, array_of_blocklengths, array_of_displacements, oldtype, newtype);
  });
}

int Type_create_indexed_block(int64_t count, int64_t blocklength, Counts array_of_displacements, Datatype* oldtype,
                              Datatype** newtype) {
  return guarded("MPI_Type_create_indexed_block", [&]() -> int {
    return indexed_block(abi::COMBINER_INDEXED_BLOCK, count, blocklength, array_of_displacements, oldtype, newtype);
  });
}

int Type_create_hindexed_block(int64_t count, int64_t blocklength, Counts array_of_displacements, Datatype* oldtype,
                               Datatype** newtype) {
  return guarded("MPI_Type_create_hindexed_block", [&]() -> int {
    return indexed_block(abi::COMBINER_HINDEXED_BLOCK, count, blocklength, array_of_displacements, oldtype, newtype);
  });
}

int Type_create_struct(int64_t count, Counts array_of_blocklengths, Counts array_of_displacements,
                       Datatype** array_of_types, Datatype** newtype) {
  return guarded("MPI_Type_create_struct", [&]() -> int {
    if (count < 0) return abi::ERR_COUNT;
    if (count > 0 && (!array_of_blocklengths || !array_of_displacements || !array_of_types)) return abi::ERR_ARG;
    if (any_negative(array_of_blocklengths, count)) return abi::ERR_ARG;
    for (int64_t index = 0; index < count; ++index) {
      if (!array_of_types[index]) return abi::ERR_TYPE;
    }
    Arguments arguments;
    arguments.integers.push(count);
    Arguments::append(arguments.integers, array_of_blocklengths, count);
    Arguments::append(arguments.addresses, array_of_displacements, count);
    Datatype* type = make_type(arguments.envelope(abi::COMBINER_STRUCT, array_of_types, count));
    return deliver(type, array_of_blocklengths.width == 8, newtype);
  });
}

int Type_create_resized(Datatype* oldtype, int64_t lb, int64_t extent, Datatype** newtype) {
  return guarded("MPI_Type_create_resized", [&]() -> int {
    if (int error = check(oldtype, 0)) return error;
    return deliver(make_resized(oldtype, lb, extent), false, newtype);
  });
}

int Type_commit(Datatype** datatype) {
  if (!*datatype) return raise(abi::ERR_TYPE, "MPI_Type_commit");
  (*datatype)->committed = 1;
  return abi::SUCCESS;
}

int Type_free(Datatype** datatype) {
  Datatype* type = *datatype;
  if (!type || is_predefined(type) || type->shared || type->handles == 0) return raise(abi::ERR_TYPE, "MPI_Type_free");
  if (type->handles == 1) {
    if (int error = delete_attributes(type)) return raise(error, "MPI_Type_free");
  }
  return guarded("MPI_Type_free", [&]() -> int {
    type->handle_freed = --type->handles == 0;
    release(type);
    *datatype = nullptr;
    return abi::SUCCESS;
  });
}

int Type_dup(Datatype* oldtype, Datatype** newtype) {
  Datatype* type = nullptr;
  int error = guarded("MPI_Type_dup", [&]() -> int {
    if (int error = check(oldtype, 0)) return error;
    if (int error = deliver(make_type({abi::COMBINER_DUP, 0, 0, 1, nullptr, nullptr, &oldtype}), false, &type)) return error;
    type->committed = oldtype->committed;
    return abi::SUCCESS;
  });
  if (error) return error;
  if (int error = copy_attributes(oldtype, type)) {
    guarded("MPI_Type_dup", [&]() -> int { return release(type), abi::SUCCESS; });
    return raise(error, "MPI_Type_dup");
  }
  *newtype = type;
  return abi::SUCCESS;
}

}  // namespace mana::upper
