// SPDX-License-Identifier: BSD-3-Clause
// MPI 5.0, 5.1.5-5.1.13 and 7.8: sizes, bounds, envelopes and names of datatypes.  Those that only read need no protection
// against a checkpoint.
#include "upper/datatype.h"
#include "upper/errors.h"
#include "upper/guarded.h"
#include "upper/front_end.h"
#include "upper/memory.h"
#include "upper/text.h"
#include "mpi_wrappers/upper_api.h"

namespace mana::upper {

int Type_size(Datatype* datatype, int64_t* size) {
  if (!datatype) return raise(abi::ERR_TYPE, "MPI_Type_size");
  *size = datatype->size;
  return abi::SUCCESS;
}
int Type_size_x(Datatype* datatype, int64_t* size) { return Type_size(datatype, size); }

int Type_get_extent(Datatype* datatype, int64_t* lb, int64_t* extent) {
  if (!datatype) return raise(abi::ERR_TYPE, "MPI_Type_get_extent");
  *lb = datatype->lower_bound;
  *extent = datatype->extent;
  return abi::SUCCESS;
}
int Type_get_extent_x(Datatype* datatype, int64_t* lb, int64_t* extent) { return Type_get_extent(datatype, lb, extent); }

int Type_get_true_extent(Datatype* datatype, int64_t* true_lb, int64_t* true_extent) {
  if (!datatype) return raise(abi::ERR_TYPE, "MPI_Type_get_true_extent");
  *true_lb = datatype->true_lower_bound;
  *true_extent = datatype->true_extent;
  return abi::SUCCESS;
}
int Type_get_true_extent_x(Datatype* datatype, int64_t* true_lb, int64_t* true_extent) {
  return Type_get_true_extent(datatype, true_lb, true_extent);
}

namespace {

// Which of the arguments MPI_Type_get_contents shows as ints although the type is large: all but counts and displacements.
bool is_plain_int(const Datatype* type, int32_t index) {
  if (type->combiner == abi::COMBINER_SUBARRAY) return index == 0 || index == type->integer_count - 1;
  if (type->combiner != abi::COMBINER_DARRAY) return false;
  const int64_t dimensions = type->integers[2];
  return index < 3 || index >= 3 + dimensions;
}

struct Numbers {
  int64_t integers, addresses, large_counts;
};

Numbers count_arguments(const Datatype* type) {
  if (!type->large) return {type->integer_count, type->address_count, 0};
  Numbers numbers{0, 0, type->address_count};
  for (int32_t index = 0; index < type->integer_count; ++index) {
    ++(is_plain_int(type, index) ? numbers.integers : numbers.large_counts);
  }
  return numbers;
}

int order_of_application(int64_t order) {
  return order == abi::ORDER_C ? front_end::facts.order_c : front_end::facts.order_fortran;
}
int distribution_of_application(int64_t value) {
  const front_end::Facts& facts = front_end::facts;
  switch (value) {
    case abi::DISTRIBUTE_NONE: return facts.distribute_none;
    case abi::DISTRIBUTE_BLOCK: return facts.distribute_block;
    default: return facts.distribute_cyclic;
  }
}

// Constants among the integers read as the application's header has them.
int as_application(const Datatype* type, int32_t index) {
  const int64_t value = type->integers[index];
  const bool darray = type->combiner == abi::COMBINER_DARRAY;
  if (!darray && type->combiner != abi::COMBINER_SUBARRAY) return static_cast<int>(value);
  if (index == type->integer_count - 1) return order_of_application(value);
  if (!darray) return static_cast<int>(value);
  const int64_t dimensions = type->integers[2], row = (index - 3) / dimensions;  // sizes, distributions, arguments, processes
  if (index >= 3 && row == 1) return distribution_of_application(value);
  if (index >= 3 && row == 2 && value == abi::DISTRIBUTE_DFLT_DARG) return front_end::facts.distribute_default;
  return static_cast<int>(value);
}

}  // namespace

int Type_get_envelope(Datatype* datatype, int64_t* num_integers, int64_t* num_addresses, int64_t* num_large_counts,
                      int64_t* num_datatypes, int* combiner) {
  if (!datatype) return raise(abi::ERR_TYPE, "MPI_Type_get_envelope");
  const Numbers numbers = count_arguments(datatype);
  if (!num_large_counts && numbers.large_counts) return raise(abi::ERR_TYPE, "MPI_Type_get_envelope");
  *num_integers = numbers.integers;
  *num_addresses = numbers.addresses;
  if (num_large_counts) *num_large_counts = numbers.large_counts;
  *num_datatypes = datatype->datatype_count;
  *combiner = datatype->combiner;
  return abi::SUCCESS;
}

int Type_get_contents(Datatype* datatype, int64_t max_integers, int64_t max_addresses, int64_t max_large_counts,
                      int64_t max_datatypes, int* array_of_integers, int64_t* array_of_addresses,
                      int64_t* array_of_large_counts, Datatype** array_of_datatypes) {
  return guarded("MPI_Type_get_contents", [&]() -> int {
    if (!datatype || datatype->combiner == abi::COMBINER_NAMED) return abi::ERR_TYPE;
    const Numbers numbers = count_arguments(datatype);
    if (numbers.integers > max_integers || numbers.addresses > max_addresses || numbers.large_counts > max_large_counts ||
        datatype->datatype_count > max_datatypes) {
      return abi::ERR_ARG;
    }
    for (int32_t index = 0; index < datatype->integer_count; ++index) {
      if (!datatype->large || is_plain_int(datatype, index)) {
        *array_of_integers++ = as_application(datatype, index);
      } else {
        *array_of_large_counts++ = datatype->integers[index];
      }
    }
    for (int32_t index = 0; index < datatype->address_count; ++index) {
      (datatype->large ? *array_of_large_counts++ : *array_of_addresses++) = datatype->addresses[index];
    }
    for (int32_t index = 0; index < datatype->datatype_count; ++index) {
      Datatype* child = datatype->datatypes[index];
      if (!is_predefined(child) && !child->shared) {  // another handle, which the application frees
        retain(child);
        ++child->handles;
        child->handle_freed = 0;
      }
      array_of_datatypes[index] = child;
    }
    return abi::SUCCESS;
  });
}

int Type_get_name(Datatype* datatype, char* type_name, int* resultlen) {
  if (!datatype) return raise(abi::ERR_TYPE, "MPI_Type_get_name");
  const char* name = datatype->name ? datatype->name : "";
  *resultlen = copy_text(type_name, name, static_cast<size_t>(front_end::facts.object_name));
  return abi::SUCCESS;
}

int Type_set_name(Datatype* datatype, const char* type_name) {
  return guarded("MPI_Type_set_name", [&]() -> int {
    if (!datatype) return abi::ERR_TYPE;
    if (!type_name) return abi::ERR_ARG;
    if (datatype->name_owned) deallocate(datatype->name);
    datatype->name = duplicate_text(type_name);
    datatype->name_owned = 1;
    return abi::SUCCESS;
  });
}

int Get_address(const void* location, int64_t* address) {
  *address = static_cast<int64_t>(reinterpret_cast<intptr_t>(location));
  return abi::SUCCESS;
}

}  // namespace mana::upper
