// SPDX-License-Identifier: BSD-3-Clause
// How generated lower functions turn the fields of a block (mpi_wrappers/generated_ops.h) into
// native arguments, beyond what lower/adapter_convert.h has.  Compiled once per MPI, in the
// ordinary zone.
#pragma once

#include <mpi.h>

#include <climits>
#include <cstdint>
#include <vector>

#include "lower/adapter_convert.h"
#include "lower/table.h"
#include "mpi_wrappers/generated_ops.h"

namespace mana::lower::generated {

template <class... Counts>
inline bool fit_int(Counts... counts) {
  return ((counts <= INT_MAX && counts >= INT_MIN) && ...);
}

// Counts or displacements for a function that takes ints.  Those of a nonblocking call must outlive
// this object: they are narrowed in place, the array being the request's own.
class Ints {
 public:
  Ints(void* values, int width, int length, bool in_place);
  bool fit() const { return fit_; }
  const int* data() const { return ints_; }

 private:
  std::vector<int> copy_;
  const int* ints_;
  bool fit_ = true;
};

// An array of the library's handles, made in place: it is the caller's private copy, and no handle
// is wider than 64 bits.
template <class Handle>
Handle* native_array(uint64_t* bits, int length) {
  auto* handles = reinterpret_cast<Handle*>(bits);
  for (int i = 0; bits != nullptr && i < length;
       ++i) {  // ascending: a narrower handle never overtakes its source
    const uint64_t value = bits[i];
    Handle handle;
    if constexpr (std::is_same_v<Handle, MPI_Datatype>)
      handle = native_datatype(value);
    else
      handle = native_info(value);
    __builtin_memcpy(&handles[i], &handle, sizeof handle);
  }
  return handles;
}

// A group of the world's ranks, for the time of a call; size -1 is MPI_GROUP_NULL.
class WorldGroup {
 public:
  WorldGroup(const int32_t* world_ranks, int size);
  ~WorldGroup();
  WorldGroup(const WorldGroup&) = delete;
  WorldGroup& operator=(const WorldGroup&) = delete;
  MPI_Group native() const { return group_; }

 private:
  MPI_Group group_ = MPI_GROUP_NULL;
};

// Errors come back as codes; the upper half calls the application's handlers.
inline void comm_returns_errors(MPI_Comm comm) {
  if (comm != MPI_COMM_NULL) MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
}
inline void window_returns_errors(MPI_Win window) {
  if (window != MPI_WIN_NULL) MPI_Win_set_errhandler(window, MPI_ERRORS_RETURN);
}
inline void file_returns_errors(MPI_File file) {
  if (file != MPI_FILE_NULL) MPI_File_set_errhandler(file, MPI_ERRORS_RETURN);
}

// Writes an info's pairs as generated_ops.h says, as many as there is room for, and frees it.
void write_info(MPI_Info info, char* text, int room);
// Constant of abi.h for a predefined datatype that the library told; any other is freed, and 0.
int told_datatype(MPI_Datatype datatype);
// The value behind a predefined window attribute: an address, a size, or a constant in neutral
// terms.
int64_t window_attribute(int neutral_keyval, void* value);
void neutral_errors(int32_t* codes, int count);

// --- the tool interface
template <class Handle>
inline Handle tool_handle(uint64_t bits) {
  return reinterpret_cast<Handle>(bits);
}
template <>
inline MPI_T_pvar_handle tool_handle(uint64_t bits) {
  return bits == abi::T_PVAR_ALL_HANDLES ? MPI_T_PVAR_ALL_HANDLES
                                         : reinterpret_cast<MPI_T_pvar_handle>(bits);
}
template <class Handle>
inline uint64_t tool_bits(Handle handle) {
  return reinterpret_cast<uint64_t>(handle);
}
// Its functions return their error classes as they are, also before MPI_Init.
int neutral_tool_error(int code);

// An object that a variable is bound to, passed by the address of its handle.
class ToolObject {
 public:
  ToolObject(uint64_t bits, int kind);
  void* address() { return present_ ? &handle_ : nullptr; }

 private:
  bool present_;
  union {
    MPI_Comm comm;
    MPI_Datatype datatype;
    MPI_Op op;
    MPI_Request request;
    MPI_Info info;
    MPI_Win window;
    MPI_File file;
  } handle_;
};

inline constexpr ConstantPair kToolBinds[] = {
    {abi::T_BIND_NO_OBJECT, MPI_T_BIND_NO_OBJECT},
    {abi::T_BIND_MPI_COMM, MPI_T_BIND_MPI_COMM},
    {abi::T_BIND_MPI_DATATYPE, MPI_T_BIND_MPI_DATATYPE},
    {abi::T_BIND_MPI_ERRHANDLER, MPI_T_BIND_MPI_ERRHANDLER},
    {abi::T_BIND_MPI_FILE, MPI_T_BIND_MPI_FILE},
    {abi::T_BIND_MPI_GROUP, MPI_T_BIND_MPI_GROUP},
    {abi::T_BIND_MPI_OP, MPI_T_BIND_MPI_OP},
    {abi::T_BIND_MPI_REQUEST, MPI_T_BIND_MPI_REQUEST},
    {abi::T_BIND_MPI_WIN, MPI_T_BIND_MPI_WIN},
    {abi::T_BIND_MPI_MESSAGE, MPI_T_BIND_MPI_MESSAGE},
    {abi::T_BIND_MPI_INFO, MPI_T_BIND_MPI_INFO}};
inline constexpr ConstantPair kToolScopes[] = {
    {abi::T_SCOPE_CONSTANT, MPI_T_SCOPE_CONSTANT}, {abi::T_SCOPE_READONLY, MPI_T_SCOPE_READONLY},
    {abi::T_SCOPE_LOCAL, MPI_T_SCOPE_LOCAL},       {abi::T_SCOPE_GROUP, MPI_T_SCOPE_GROUP},
    {abi::T_SCOPE_GROUP_EQ, MPI_T_SCOPE_GROUP_EQ}, {abi::T_SCOPE_ALL, MPI_T_SCOPE_ALL},
    {abi::T_SCOPE_ALL_EQ, MPI_T_SCOPE_ALL_EQ}};
inline constexpr ConstantPair kToolVerbosities[] = {
    {abi::T_VERBOSITY_USER_BASIC, MPI_T_VERBOSITY_USER_BASIC},
    {abi::T_VERBOSITY_USER_DETAIL, MPI_T_VERBOSITY_USER_DETAIL},
    {abi::T_VERBOSITY_USER_ALL, MPI_T_VERBOSITY_USER_ALL},
    {abi::T_VERBOSITY_TUNER_BASIC, MPI_T_VERBOSITY_TUNER_BASIC},
    {abi::T_VERBOSITY_TUNER_DETAIL, MPI_T_VERBOSITY_TUNER_DETAIL},
    {abi::T_VERBOSITY_TUNER_ALL, MPI_T_VERBOSITY_TUNER_ALL},
    {abi::T_VERBOSITY_MPIDEV_BASIC, MPI_T_VERBOSITY_MPIDEV_BASIC},
    {abi::T_VERBOSITY_MPIDEV_DETAIL, MPI_T_VERBOSITY_MPIDEV_DETAIL},
    {abi::T_VERBOSITY_MPIDEV_ALL, MPI_T_VERBOSITY_MPIDEV_ALL}};
inline constexpr ConstantPair kToolClasses[] = {
    {abi::T_PVAR_CLASS_STATE, MPI_T_PVAR_CLASS_STATE},
    {abi::T_PVAR_CLASS_LEVEL, MPI_T_PVAR_CLASS_LEVEL},
    {abi::T_PVAR_CLASS_SIZE, MPI_T_PVAR_CLASS_SIZE},
    {abi::T_PVAR_CLASS_PERCENTAGE, MPI_T_PVAR_CLASS_PERCENTAGE},
    {abi::T_PVAR_CLASS_HIGHWATERMARK, MPI_T_PVAR_CLASS_HIGHWATERMARK},
    {abi::T_PVAR_CLASS_LOWWATERMARK, MPI_T_PVAR_CLASS_LOWWATERMARK},
    {abi::T_PVAR_CLASS_COUNTER, MPI_T_PVAR_CLASS_COUNTER},
    {abi::T_PVAR_CLASS_AGGREGATE, MPI_T_PVAR_CLASS_AGGREGATE},
    {abi::T_PVAR_CLASS_TIMER, MPI_T_PVAR_CLASS_TIMER},
    {abi::T_PVAR_CLASS_GENERIC, MPI_T_PVAR_CLASS_GENERIC}};

}  // namespace mana::lower::generated
