// SPDX-License-Identifier: BSD-3-Clause
// What the upper runtime asks of a front end (upper/front_end.h): facts of this ABI, its error
// codes, and calls of the application's functions with this ABI's handles.
#include "mpi_wrappers/front_ends/application.h"
#include "upper/topology.h"

namespace mana::upper::front_end {

using namespace mana::application;

const Facts facts = {
#if defined(MANA_ABI_MPICH)
    .name = "mpich",
    .library_version = "MANA front end for the MPICH ABI",
#else
    .name = "openmpi",
    .library_version = "MANA front end for the Open MPI ABI",
#endif
    .version = kVersion,
    .subversion = kSubversion,
    .object_name = kMaxObjectName,
    .error_string = kMaxErrorString,
    .processor_name = kMaxProcessorName,
    .library_version_string = kMaxLibraryVersionString,
    .info_key = kMaxInfoKey,
    .info_value = kMaxInfoVal,
    .order_c = order_to_application(abi::ORDER_C),
    .order_fortran = order_to_application(abi::ORDER_FORTRAN),
    .distribute_none = distribution_to_application(abi::DISTRIBUTE_NONE),
    .distribute_block = distribution_to_application(abi::DISTRIBUTE_BLOCK),
    .distribute_cyclic = distribution_to_application(abi::DISTRIBUTE_CYCLIC),
    .distribute_default = distribution_argument_to_application(abi::DISTRIBUTE_DFLT_DARG),
#if defined(MANA_ABI_MPICH)
    .standard_bounds = 0,
    .port_name = kMaxPortName,
    .pair_elements = 2,
#else
    .standard_bounds = 1,
    .port_name = kMaxPortName,
    .pair_elements = 1,
#endif
};

namespace {

// Codes that the application added lie as far above this ABI's MPI_ERR_LASTCODE as above the
// neutral one.
constexpr int kUserCodes = kLastCode - abi::ERR_LASTCODE;
constexpr int kNeutralErrors = 64, kFirstToolError = 1000, kToolErrors = 32,
              kApplicationErrors = 128;

struct ErrorTables {
  int16_t application[kNeutralErrors] = {};
  int16_t application_tool[kToolErrors] = {};
  int16_t neutral[kApplicationErrors] = {};
};
constexpr ErrorTables make_error_tables() {
  ErrorTables tables;
  for (int16_t& code : tables.application) code = kErrorOther;
  for (int16_t& code : tables.application_tool) code = kErrorOther;
  for (int16_t& code : tables.neutral) code = abi::ERR_UNKNOWN;
  for (const ErrorPair& pair : kErrors) {
    if (pair.neutral >= kFirstToolError)
      tables.application_tool[pair.neutral - kFirstToolError] = pair.application;
    else
      tables.application[pair.neutral] = pair.application;
    tables.neutral[pair.application] = pair.neutral;
  }
  return tables;
}
constexpr ErrorTables kErrorTables = make_error_tables();

// Calls f with the object's handle in the application's ABI.
template <class F>
int with_handle(Object* object, F f) {
  switch (object->kind) {
    case Kind::communicator:
      return f(handle_of(static_cast<Comm*>(object)));
    case Kind::datatype:
      return f(handle_of(static_cast<Datatype*>(object)));
    case Kind::window:
      return f(handle_of(static_cast<Window*>(object)));
    case Kind::file:
      return f(handle_of(static_cast<File*>(object)));
    case Kind::session:
      return f(handle_of(static_cast<Session*>(object)));
    default:
      return abi::ERR_INTERN;
  }
}

}  // namespace

int application_error(int neutral) {
  if (neutral >= 0 && neutral < kNeutralErrors) return kErrorTables.application[neutral];
  if (neutral >= kFirstToolError && neutral < kFirstToolError + kToolErrors) {
    return kErrorTables.application_tool[neutral - kFirstToolError];
  }
  if (neutral == abi::ERR_LASTCODE) return kLastCode;
  return neutral > abi::ERR_LASTCODE ? neutral + kUserCodes : kErrorOther;
}

int neutral_error(int application) {
  if (application >= 0 && application < kApplicationErrors) {
    if (application < kLastCode) return kErrorTables.neutral[application];
  }
  if (application == kLastCode) return abi::ERR_LASTCODE;
  return application > kLastCode ? application - kUserCodes : abi::ERR_UNKNOWN;
}

int call_copy(void (*function)(), Object* object, int keyval, void* extra, void* value, void** copy,
              int* flag) {
  return with_handle(object, [=](auto handle) {
    auto* user =
        reinterpret_cast<int (*)(decltype(handle), int, void*, void*, void*, int*)>(function);
    return neutral_error(user(handle, keyval, extra, value, copy, flag));
  });
}

int call_delete(void (*function)(), Object* object, int keyval, void* value, void* extra) {
  return with_handle(object, [=](auto handle) {
    auto* user = reinterpret_cast<int (*)(decltype(handle), int, void*, void*)>(function);
    return neutral_error(user(handle, keyval, value, extra));
  });
}

void call_errhandler(void (*function)(), Object* object, int neutral_code) {
  int code = application_error(neutral_code);
  if (object == nullptr) object = predefined(abi::COMM_WORLD);
  with_handle(object, [&](auto handle) {
    reinterpret_cast<void (*)(decltype(handle)*, int*, ...)>(function)(&handle, &code);
    return 0;
  });
}

void call_op(void (*function)(), bool large, void* in, void* inout, int64_t length,
             Datatype* type) {
  HandleOf<Datatype> handle = handle_of(type);
  if (large) {
    reinterpret_cast<void (*)(void*, void*, int64_t*, HandleOf<Datatype>*)>(function)(
        in, inout, &length, &handle);
  } else {
    int count = static_cast<int>(length);
    reinterpret_cast<void (*)(void*, void*, int*, HandleOf<Datatype>*)>(function)(in, inout, &count,
                                                                                  &handle);
  }
}

int call_grequest_query(void (*function)(), void* extra, abi::Status* status) {
  Status application{};
  write_status(&application, *status);
  application.error = 0;
  const int code = reinterpret_cast<int (*)(void*, Status*)>(function)(extra, &application);
  read_status(application, status);
  status->error = neutral_error(application.error);
  return neutral_error(code);
}

int call_grequest_free(void (*function)(), void* extra) {
  return neutral_error(reinterpret_cast<int (*)(void*)>(function)(extra));
}

int call_grequest_cancel(void (*function)(), void* extra, int complete) {
  return neutral_error(reinterpret_cast<int (*)(void*, int)>(function)(extra, complete));
}

int application_attribute(int keyval, int neutral_value) {
  switch (keyval) {
    case abi::HOST:
    case abi::IO:
      return rank_to_application(neutral_value);
    case abi::LASTUSEDCODE:
      return application_error(neutral_value);
    case abi::WIN_CREATE_FLAVOR:
      return window_flavor_to_application(neutral_value);
    case abi::WIN_MODEL:
      return window_model_to_application(neutral_value);
    default:
      return neutral_value;
  }
}

}  // namespace mana::upper::front_end

namespace mana::application {

Degrees degrees(const Comm* comm) {
  Degrees result;
  if (comm != nullptr) upper::neighbour_counts(comm, &result.sources, &result.destinations);
  return result;
}

}  // namespace mana::application
