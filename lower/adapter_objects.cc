// SPDX-License-Identifier: BSD-3-Clause
// Predefined handles and infos.
#include <mpi.h>

#include "lower/adapter_convert.h"
#include "lower/core_functions.h"

namespace mana::lower {
namespace {

struct Predefined {
  int32_t constant;
  uint64_t bits;
  bool is_null;  // a null handle, which travels as 0; anything else with 0 is a type that this
                 // library does not have
};

const Predefined* find_predefined(int32_t constant) {
  // clang-format off
  static const Predefined table[] = {
#define MANA_TYPE(name) {abi::name, datatype_bits(MPI_##name), false}
#define MANA_OPERATOR(name) {abi::name, op_bits(MPI_##name), false}
      {abi::COMM_NULL, 0, true},
      {abi::COMM_WORLD, comm_bits(MPI_COMM_WORLD), false},
      {abi::COMM_SELF, comm_bits(MPI_COMM_SELF), false},
      {abi::GROUP_NULL, 0, true},
      {abi::GROUP_EMPTY, group_bits(MPI_GROUP_EMPTY), false},
      {abi::WIN_NULL, 0, true},
      {abi::FILE_NULL, 0, true},
      {abi::SESSION_NULL, 0, true},
      {abi::MESSAGE_NULL, 0, true},
      {abi::MESSAGE_NO_PROC, message_bits(MPI_MESSAGE_NO_PROC), false},
      {abi::REQUEST_NULL, 0, true},
      {abi::INFO_NULL, 0, true},
      {abi::INFO_ENV, info_bits(MPI_INFO_ENV), false},
      {abi::ERRHANDLER_NULL, 0, true},
      {abi::ERRORS_ARE_FATAL, errhandler_bits(MPI_ERRORS_ARE_FATAL), false},
      {abi::ERRORS_RETURN, errhandler_bits(MPI_ERRORS_RETURN), false},
#if MPI_VERSION >= 4
      {abi::ERRORS_ABORT, errhandler_bits(MPI_ERRORS_ABORT), false},
#endif
      {abi::OP_NULL, 0, true},
      MANA_OPERATOR(SUM), MANA_OPERATOR(MIN), MANA_OPERATOR(MAX), MANA_OPERATOR(PROD),
      MANA_OPERATOR(BAND), MANA_OPERATOR(BOR), MANA_OPERATOR(BXOR), MANA_OPERATOR(LAND),
      MANA_OPERATOR(LOR), MANA_OPERATOR(LXOR), MANA_OPERATOR(MINLOC), MANA_OPERATOR(MAXLOC),
      MANA_OPERATOR(REPLACE), MANA_OPERATOR(NO_OP),
      {abi::DATATYPE_NULL, 0, true},
      MANA_TYPE(AINT), MANA_TYPE(COUNT), MANA_TYPE(OFFSET), MANA_TYPE(PACKED),
      MANA_TYPE(SHORT), MANA_TYPE(INT), MANA_TYPE(LONG), MANA_TYPE(LONG_LONG),
      MANA_TYPE(UNSIGNED_SHORT), MANA_TYPE(UNSIGNED), MANA_TYPE(UNSIGNED_LONG),
      MANA_TYPE(UNSIGNED_LONG_LONG),
      MANA_TYPE(FLOAT), MANA_TYPE(C_FLOAT_COMPLEX), MANA_TYPE(CXX_FLOAT_COMPLEX), MANA_TYPE(DOUBLE),
      MANA_TYPE(C_DOUBLE_COMPLEX), MANA_TYPE(CXX_DOUBLE_COMPLEX), MANA_TYPE(LONG_DOUBLE),
      MANA_TYPE(C_LONG_DOUBLE_COMPLEX), MANA_TYPE(CXX_LONG_DOUBLE_COMPLEX),
      MANA_TYPE(C_BOOL), MANA_TYPE(CXX_BOOL), MANA_TYPE(WCHAR),
      MANA_TYPE(INT8_T), MANA_TYPE(UINT8_T), MANA_TYPE(CHAR), MANA_TYPE(SIGNED_CHAR),
      MANA_TYPE(UNSIGNED_CHAR), MANA_TYPE(BYTE), MANA_TYPE(INT16_T), MANA_TYPE(UINT16_T),
      MANA_TYPE(INT32_T), MANA_TYPE(UINT32_T), MANA_TYPE(INT64_T), MANA_TYPE(UINT64_T),
      MANA_TYPE(LOGICAL), MANA_TYPE(INTEGER), MANA_TYPE(REAL), MANA_TYPE(COMPLEX),
      MANA_TYPE(DOUBLE_PRECISION), MANA_TYPE(DOUBLE_COMPLEX), MANA_TYPE(CHARACTER),
      MANA_TYPE(INTEGER1), MANA_TYPE(INTEGER2), MANA_TYPE(INTEGER4), MANA_TYPE(INTEGER8),
      MANA_TYPE(REAL4), MANA_TYPE(REAL8), MANA_TYPE(REAL16),
      MANA_TYPE(COMPLEX8), MANA_TYPE(COMPLEX16), MANA_TYPE(COMPLEX32),
      // types that depend on the compilers which the library was configured with
#ifdef MPI_INTEGER16
      MANA_TYPE(INTEGER16),
#endif
#ifdef MPI_LOGICAL1
      MANA_TYPE(LOGICAL1),
#endif
#ifdef MPI_LOGICAL2
      MANA_TYPE(LOGICAL2),
#endif
#ifdef MPI_LOGICAL4
      MANA_TYPE(LOGICAL4),
#endif
#ifdef MPI_LOGICAL8
      MANA_TYPE(LOGICAL8),
#endif
      MANA_TYPE(FLOAT_INT), MANA_TYPE(DOUBLE_INT), MANA_TYPE(LONG_INT), MANA_TYPE(SHORT_INT),
      MANA_TYPE(LONG_DOUBLE_INT),
      {abi::TWO_INT, datatype_bits(MPI_2INT), false},
      {abi::TWO_REAL, datatype_bits(MPI_2REAL), false},
      {abi::TWO_DOUBLE_PRECISION, datatype_bits(MPI_2DOUBLE_PRECISION), false},
      {abi::TWO_INTEGER, datatype_bits(MPI_2INTEGER), false},
#undef MANA_TYPE
#undef MANA_OPERATOR
  };
  // clang-format on
  for (const Predefined& entry : table) {
    if (entry.constant == constant) return &entry;
  }
  return nullptr;
}

}  // namespace

int resolve(void* arguments) {
  auto* a = static_cast<core::Resolve*>(arguments);
  const Predefined* entry = find_predefined(a->constant);
  a->lower = entry != nullptr ? entry->bits : 0;
  return a->lower != 0 || (entry != nullptr && entry->is_null) ? 0 : abi::ERR_ARG;
}

int info_create(void* arguments) {
  auto* a = static_cast<core::InfoCreate*>(arguments);
  MPI_Info info;
  int code = MPI_Info_create(&info);
  if (code != MPI_SUCCESS) return class_of_failure(code);
  for (int i = 0; i < a->count && code == MPI_SUCCESS; ++i)
    code = MPI_Info_set(info, a->keys[i], a->values[i]);
  if (code != MPI_SUCCESS) {
    MPI_Info_free(&info);
    return class_of_failure(code);
  }
  a->info = info_bits(info);
  return 0;
}

int info_free(void* arguments) {
  MPI_Info info = native_info(static_cast<core::InfoFree*>(arguments)->info);
  return neutral_error(MPI_Info_free(&info));
}

}  // namespace mana::lower
