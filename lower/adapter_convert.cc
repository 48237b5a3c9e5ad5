// SPDX-License-Identifier: BSD-3-Clause
#include "lower/adapter_convert.h"

#include <initializer_list>

namespace mana::lower {
namespace {

constexpr ConstantPair kErrorClasses[] = {
    {abi::SUCCESS, MPI_SUCCESS},
    {abi::ERR_BUFFER, MPI_ERR_BUFFER},
    {abi::ERR_COUNT, MPI_ERR_COUNT},
    {abi::ERR_TYPE, MPI_ERR_TYPE},
    {abi::ERR_TAG, MPI_ERR_TAG},
    {abi::ERR_COMM, MPI_ERR_COMM},
    {abi::ERR_RANK, MPI_ERR_RANK},
    {abi::ERR_REQUEST, MPI_ERR_REQUEST},
    {abi::ERR_ROOT, MPI_ERR_ROOT},
    {abi::ERR_GROUP, MPI_ERR_GROUP},
    {abi::ERR_OP, MPI_ERR_OP},
    {abi::ERR_TOPOLOGY, MPI_ERR_TOPOLOGY},
    {abi::ERR_DIMS, MPI_ERR_DIMS},
    {abi::ERR_ARG, MPI_ERR_ARG},
    {abi::ERR_UNKNOWN, MPI_ERR_UNKNOWN},
    {abi::ERR_TRUNCATE, MPI_ERR_TRUNCATE},
    {abi::ERR_OTHER, MPI_ERR_OTHER},
    {abi::ERR_INTERN, MPI_ERR_INTERN},
    {abi::ERR_PENDING, MPI_ERR_PENDING},
    {abi::ERR_IN_STATUS, MPI_ERR_IN_STATUS},
    {abi::ERR_ACCESS, MPI_ERR_ACCESS},
    {abi::ERR_AMODE, MPI_ERR_AMODE},
    {abi::ERR_ASSERT, MPI_ERR_ASSERT},
    {abi::ERR_BAD_FILE, MPI_ERR_BAD_FILE},
    {abi::ERR_BASE, MPI_ERR_BASE},
    {abi::ERR_CONVERSION, MPI_ERR_CONVERSION},
    {abi::ERR_DISP, MPI_ERR_DISP},
    {abi::ERR_DUP_DATAREP, MPI_ERR_DUP_DATAREP},
    {abi::ERR_FILE_EXISTS, MPI_ERR_FILE_EXISTS},
    {abi::ERR_FILE_IN_USE, MPI_ERR_FILE_IN_USE},
    {abi::ERR_FILE, MPI_ERR_FILE},
    {abi::ERR_INFO_KEY, MPI_ERR_INFO_KEY},
    {abi::ERR_INFO_NOKEY, MPI_ERR_INFO_NOKEY},
    {abi::ERR_INFO_VALUE, MPI_ERR_INFO_VALUE},
    {abi::ERR_INFO, MPI_ERR_INFO},
    {abi::ERR_IO, MPI_ERR_IO},
    {abi::ERR_KEYVAL, MPI_ERR_KEYVAL},
    {abi::ERR_LOCKTYPE, MPI_ERR_LOCKTYPE},
    {abi::ERR_NAME, MPI_ERR_NAME},
    {abi::ERR_NO_MEM, MPI_ERR_NO_MEM},
    {abi::ERR_NOT_SAME, MPI_ERR_NOT_SAME},
    {abi::ERR_NO_SPACE, MPI_ERR_NO_SPACE},
    {abi::ERR_NO_SUCH_FILE, MPI_ERR_NO_SUCH_FILE},
    {abi::ERR_PORT, MPI_ERR_PORT},
    {abi::ERR_QUOTA, MPI_ERR_QUOTA},
    {abi::ERR_READ_ONLY, MPI_ERR_READ_ONLY},
    {abi::ERR_RMA_ATTACH, MPI_ERR_RMA_ATTACH},
    {abi::ERR_RMA_CONFLICT, MPI_ERR_RMA_CONFLICT},
    {abi::ERR_RMA_RANGE, MPI_ERR_RMA_RANGE},
    {abi::ERR_RMA_SHARED, MPI_ERR_RMA_SHARED},
    {abi::ERR_RMA_SYNC, MPI_ERR_RMA_SYNC},
    {abi::ERR_RMA_FLAVOR, MPI_ERR_RMA_FLAVOR},
    {abi::ERR_SERVICE, MPI_ERR_SERVICE},
    {abi::ERR_SIZE, MPI_ERR_SIZE},
    {abi::ERR_SPAWN, MPI_ERR_SPAWN},
    {abi::ERR_UNSUPPORTED_DATAREP, MPI_ERR_UNSUPPORTED_DATAREP},
    {abi::ERR_UNSUPPORTED_OPERATION, MPI_ERR_UNSUPPORTED_OPERATION},
    {abi::ERR_WIN, MPI_ERR_WIN},
#if MPI_VERSION >= 4
    {abi::ERR_SESSION, MPI_ERR_SESSION},
    {abi::ERR_PROC_ABORTED, MPI_ERR_PROC_ABORTED},
    {abi::ERR_VALUE_TOO_LARGE, MPI_ERR_VALUE_TOO_LARGE},
#endif
    {abi::T_ERR_MEMORY, MPI_T_ERR_MEMORY},
    {abi::T_ERR_NOT_INITIALIZED, MPI_T_ERR_NOT_INITIALIZED},
    {abi::T_ERR_CANNOT_INIT, MPI_T_ERR_CANNOT_INIT},
    {abi::T_ERR_INVALID_INDEX, MPI_T_ERR_INVALID_INDEX},
    {abi::T_ERR_INVALID_ITEM, MPI_T_ERR_INVALID_ITEM},
    {abi::T_ERR_INVALID_HANDLE, MPI_T_ERR_INVALID_HANDLE},
    {abi::T_ERR_OUT_OF_HANDLES, MPI_T_ERR_OUT_OF_HANDLES},
    {abi::T_ERR_OUT_OF_SESSIONS, MPI_T_ERR_OUT_OF_SESSIONS},
    {abi::T_ERR_INVALID_SESSION, MPI_T_ERR_INVALID_SESSION},
    {abi::T_ERR_CVAR_SET_NOT_NOW, MPI_T_ERR_CVAR_SET_NOT_NOW},
    {abi::T_ERR_CVAR_SET_NEVER, MPI_T_ERR_CVAR_SET_NEVER},
    {abi::T_ERR_PVAR_NO_STARTSTOP, MPI_T_ERR_PVAR_NO_STARTSTOP},
    {abi::T_ERR_PVAR_NO_WRITE, MPI_T_ERR_PVAR_NO_WRITE},
    {abi::T_ERR_PVAR_NO_ATOMIC, MPI_T_ERR_PVAR_NO_ATOMIC},
    {abi::T_ERR_INVALID, MPI_T_ERR_INVALID},
    {abi::T_ERR_INVALID_NAME, MPI_T_ERR_INVALID_NAME}};

}  // namespace

int class_of_failure(int native_code) {
  int native_class = MPI_ERR_UNKNOWN;
  if (MPI_Error_class(native_code, &native_class) != MPI_SUCCESS) return abi::ERR_UNKNOWN;
  for (const ConstantPair& pair : kErrorClasses) {
    if (pair.native == native_class) return pair.neutral;
  }
  return abi::ERR_OTHER;  // a class of this library only, such as those of its fault-tolerance
                          // extensions
}

int native_error(int neutral_class) {
  for (const ConstantPair& pair : kErrorClasses) {
    if (pair.neutral == neutral_class) return pair.native;
  }
  return MPI_ERR_OTHER;
}

// Blocks of 1 GiB elements and a rest, as one struct type.  A failure leaves MPI_DATATYPE_NULL,
// which the operation then reports.
void Transfer::make_large(int64_t count) {
  constexpr int64_t kBlock = int64_t{1} << 30;
  const MPI_Datatype element = datatype_;
  datatype_ = MPI_DATATYPE_NULL;
  MPI_Aint low, extent;
  MPI_Datatype block = MPI_DATATYPE_NULL, blocks = MPI_DATATYPE_NULL, rest = MPI_DATATYPE_NULL;
  if (MPI_Type_get_extent(element, &low, &extent) == MPI_SUCCESS &&
      MPI_Type_contiguous(static_cast<int>(kBlock), element, &block) == MPI_SUCCESS &&
      MPI_Type_contiguous(static_cast<int>(count / kBlock), block, &blocks) == MPI_SUCCESS &&
      MPI_Type_contiguous(static_cast<int>(count % kBlock), element, &rest) == MPI_SUCCESS) {
    const int lengths[] = {1, 1};
    const MPI_Aint displacements[] = {0, static_cast<MPI_Aint>(count / kBlock * kBlock) * extent};
    const MPI_Datatype parts[] = {blocks, rest};
    if (MPI_Type_create_struct(2, lengths, displacements, parts, &datatype_) == MPI_SUCCESS) {
      owned_ = MPI_Type_commit(&datatype_) == MPI_SUCCESS;
    }
  }
  for (MPI_Datatype* part : {&block, &blocks, &rest}) {
    if (*part != MPI_DATATYPE_NULL) MPI_Type_free(part);
  }
  count_ = 1;
}

}  // namespace mana::lower
