// SPDX-License-Identifier: BSD-3-Clause
// Datatypes, made again from what MPI_Type_get_contents would say of them.  Where the library has
// the large-count constructors of MPI 4 they are used throughout; elsewhere a value beyond an int
// is MPI_ERR_COUNT.
#include <mpi.h>

#include <climits>
#include <vector>

#include "lower/adapter_convert.h"
#include "lower/core_functions.h"

namespace mana::lower {
namespace {

#if MPI_VERSION >= 4
using Count = MPI_Count;    // counts, block lengths, displacements in elements
using Address = MPI_Count;  // displacements in bytes
#define MANA_COUNTED(function) function##_c
#else
using Count = int;
using Address = MPI_Aint;
#define MANA_COUNTED(function) function
#endif

// The arrays of one TypeCreate, read in the order in which get_contents lists them.
class Contents {
 public:
  explicit Contents(const core::TypeCreate& from) : from_(from) {}

  // Every combiner has a fixed number of each, or one that its first integers give.
  bool has(int64_t integers, int64_t addresses, int64_t datatypes) const {
    return from_.integer_count >= integers && from_.address_count >= addresses &&
           from_.datatype_count >= datatypes;
  }
  int64_t first() const { return from_.integer_count > 0 ? from_.integers[0] : -1; }

  Count count() { return counted(from_.integers[integer_++]); }
  int integer() { return static_cast<int>(from_.integers[integer_++]); }
  std::vector<Count> counts(int64_t n) {
    std::vector<Count> out;
    for (int64_t i = 0; i < n; ++i) out.push_back(count());
    return out;
  }
  std::vector<int> integers(int64_t n) {
    std::vector<int> out;
    for (int64_t i = 0; i < n; ++i) out.push_back(integer());
    return out;
  }
  Address address() { return from_.addresses[address_++]; }
  std::vector<Address> addresses(int64_t n) {
    std::vector<Address> out;
    for (int64_t i = 0; i < n; ++i) out.push_back(address());
    return out;
  }
  MPI_Datatype datatype() { return native_datatype(from_.datatypes[datatype_++]); }
  std::vector<MPI_Datatype> datatypes(int64_t n) {
    std::vector<MPI_Datatype> out;
    for (int64_t i = 0; i < n; ++i) out.push_back(datatype());
    return out;
  }
  bool too_large() const { return too_large_; }

 private:
  Count counted(int64_t value) {
    const Count count = static_cast<Count>(value);
    too_large_ |= count != value;
    return count;
  }

  const core::TypeCreate& from_;
  int integer_ = 0, address_ = 0, datatype_ = 0;
  bool too_large_ = false;
};

// Each maker reads its combiner's contents and returns a native code.

int make_indexed(int combiner, Contents& in, MPI_Datatype* out) {
  const int64_t n = in.first();
  const Count count = in.count();
  switch (combiner) {
    case abi::COMBINER_INDEXED: {
      if (!in.has(2 * n + 1, 0, 1)) return MPI_ERR_ARG;
      const auto lengths = in.counts(n), displacements = in.counts(n);
      if (in.too_large()) return MPI_ERR_COUNT;
      return MANA_COUNTED(MPI_Type_indexed)(count, lengths.data(), displacements.data(),
                                            in.datatype(), out);
    }
    case abi::COMBINER_HINDEXED: {
      if (!in.has(n + 1, n, 1)) return MPI_ERR_ARG;
      const auto lengths = in.counts(n);
      const auto displacements = in.addresses(n);
      if (in.too_large()) return MPI_ERR_COUNT;
      return MANA_COUNTED(MPI_Type_create_hindexed)(count, lengths.data(), displacements.data(),
                                                    in.datatype(), out);
    }
    case abi::COMBINER_INDEXED_BLOCK: {
      if (!in.has(n + 2, 0, 1)) return MPI_ERR_ARG;
      const Count length = in.count();
      const auto displacements = in.counts(n);
      if (in.too_large()) return MPI_ERR_COUNT;
      return MANA_COUNTED(MPI_Type_create_indexed_block)(count, length, displacements.data(),
                                                         in.datatype(), out);
    }
    case abi::COMBINER_HINDEXED_BLOCK: {
      if (!in.has(2, n, 1)) return MPI_ERR_ARG;
      const Count length = in.count();
      const auto displacements = in.addresses(n);
      if (in.too_large()) return MPI_ERR_COUNT;
      return MANA_COUNTED(MPI_Type_create_hindexed_block)(count, length, displacements.data(),
                                                          in.datatype(), out);
    }
    default: {  // COMBINER_STRUCT
      if (!in.has(n + 1, n, n)) return MPI_ERR_ARG;
      const auto lengths = in.counts(n);
      const auto displacements = in.addresses(n);
      const auto types = in.datatypes(n);
      if (in.too_large()) return MPI_ERR_COUNT;
      return MANA_COUNTED(MPI_Type_create_struct)(count, lengths.data(), displacements.data(),
                                                  types.data(), out);
    }
  }
}

int make_subarray(Contents& in, MPI_Datatype* out) {
  const int64_t n = in.first();
  if (!in.has(3 * n + 2, 0, 1)) return MPI_ERR_ARG;
  const int dimensions = in.integer();
  const auto sizes = in.counts(n), subsizes = in.counts(n), starts = in.counts(n);
  const int order = to_native(kOrders, in.integer());
  if (in.too_large()) return MPI_ERR_COUNT;
  return MANA_COUNTED(MPI_Type_create_subarray)(dimensions, sizes.data(), subsizes.data(),
                                                starts.data(), order, in.datatype(), out);
}

int make_darray(Contents& in, MPI_Datatype* out) {
  if (!in.has(3, 0, 1)) return MPI_ERR_ARG;
  const int size = in.integer(), rank = in.integer(), n = in.integer();
  if (n < 1 || !in.has(4 * int64_t{n} + 4, 0, 1)) return MPI_ERR_ARG;
  const auto sizes = in.counts(n);
  auto distributions = in.integers(n), arguments = in.integers(n);
  const auto processes = in.integers(n);
  for (int& distribution : distributions) distribution = to_native(kDistributions, distribution);
  for (int& argument : arguments) argument = to_native(kDistributionArguments, argument);
  const int order = to_native(kOrders, in.integer());
  if (in.too_large()) return MPI_ERR_COUNT;
  return MANA_COUNTED(MPI_Type_create_darray)(size, rank, n, sizes.data(), distributions.data(),
                                              arguments.data(), processes.data(), order,
                                              in.datatype(), out);
}

int make_vector(int combiner, Contents& in, MPI_Datatype* out) {
  const bool in_bytes = combiner == abi::COMBINER_HVECTOR;
  if (!(in_bytes ? in.has(2, 1, 1) : in.has(3, 0, 1))) return MPI_ERR_ARG;
  const Count count = in.count(), length = in.count();
  if (in_bytes) {
    const Address stride = in.address();
    if (in.too_large()) return MPI_ERR_COUNT;
    return MANA_COUNTED(MPI_Type_create_hvector)(count, length, stride, in.datatype(), out);
  }
  const Count stride = in.count();
  if (in.too_large()) return MPI_ERR_COUNT;
  return MANA_COUNTED(MPI_Type_vector)(count, length, stride, in.datatype(), out);
}

// Types of Fortran's SELECTED_*_KIND.  Predefined: committed, and never freed.
int make_f90(int combiner, Contents& in, MPI_Datatype* out) {
  if (!in.has(combiner == abi::COMBINER_F90_INTEGER ? 1 : 2, 0, 0)) return MPI_ERR_ARG;
  const int first = in.integer();
  if (combiner == abi::COMBINER_F90_INTEGER) return MPI_Type_create_f90_integer(first, out);
  const int range = in.integer();
  return combiner == abi::COMBINER_F90_REAL ? MPI_Type_create_f90_real(first, range, out)
                                            : MPI_Type_create_f90_complex(first, range, out);
}

int make_type(const core::TypeCreate& what, MPI_Datatype* out) {
  Contents in(what);
  switch (what.combiner) {
    case abi::COMBINER_DUP:
      return in.has(0, 0, 1) ? MPI_Type_dup(in.datatype(), out) : MPI_ERR_ARG;
    case abi::COMBINER_CONTIGUOUS: {
      if (!in.has(1, 0, 1)) return MPI_ERR_ARG;
      const Count count = in.count();
      return in.too_large() ? MPI_ERR_COUNT
                            : MANA_COUNTED(MPI_Type_contiguous)(count, in.datatype(), out);
    }
    case abi::COMBINER_VECTOR:
    case abi::COMBINER_HVECTOR:
      return make_vector(what.combiner, in, out);
    case abi::COMBINER_INDEXED:
    case abi::COMBINER_HINDEXED:
    case abi::COMBINER_INDEXED_BLOCK:
    case abi::COMBINER_HINDEXED_BLOCK:
    case abi::COMBINER_STRUCT:
      return in.first() < 0 ? MPI_ERR_COUNT : make_indexed(what.combiner, in, out);
    case abi::COMBINER_SUBARRAY:
      return in.first() < 1 ? MPI_ERR_ARG : make_subarray(in, out);
    case abi::COMBINER_DARRAY:
      return make_darray(in, out);
    case abi::COMBINER_F90_REAL:
    case abi::COMBINER_F90_COMPLEX:
    case abi::COMBINER_F90_INTEGER:
      return make_f90(what.combiner, in, out);
    case abi::COMBINER_RESIZED: {
      if (!in.has(0, 2, 1)) return MPI_ERR_ARG;
      const Address low = in.address(), extent = in.address();
      return MANA_COUNTED(MPI_Type_create_resized)(in.datatype(), low, extent, out);
    }
    default:
      return MPI_ERR_UNSUPPORTED_OPERATION;
  }
}
#undef MANA_COUNTED

// A type of the library's own cannot be freed; Fortran's parametrised types are such although they
// were asked for.
bool is_predefined(MPI_Datatype datatype) {
  int integers, addresses, datatypes, combiner;
  if (MPI_Type_get_envelope(datatype, &integers, &addresses, &datatypes, &combiner) != MPI_SUCCESS)
    return false;
  return combiner == MPI_COMBINER_NAMED || combiner == MPI_COMBINER_F90_REAL ||
         combiner == MPI_COMBINER_F90_COMPLEX || combiner == MPI_COMBINER_F90_INTEGER;
}

}  // namespace

int type_create(void* arguments) {
  auto* a = static_cast<core::TypeCreate*>(arguments);
  MPI_Datatype datatype = MPI_DATATYPE_NULL;
  int code = make_type(*a, &datatype);
  if (code == MPI_SUCCESS && !is_predefined(datatype)) code = MPI_Type_commit(&datatype);
  if (code != MPI_SUCCESS) return class_of_failure(code);
  a->datatype = datatype_bits(datatype);
  return 0;
}

int type_free(void* arguments) {
  MPI_Datatype datatype = native_datatype(static_cast<core::TypeFree*>(arguments)->datatype);
  return is_predefined(datatype) ? 0 : neutral_error(MPI_Type_free(&datatype));
}

}  // namespace mana::lower
