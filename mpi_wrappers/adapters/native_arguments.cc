// SPDX-License-Identifier: BSD-3-Clause
#include "mpi_wrappers/adapters/native_arguments.h"

#include <cstring>

#include "lower/adapter_state.h"
#include "lower/core_functions.h"
#include "upper/objects.h"

namespace mana::lower::generated {

Ints::Ints(void* values, int width, int length, bool in_place)
    : ints_(static_cast<const int*>(values)) {
  if (width != 8 || values == nullptr) return;
  const auto* wide = static_cast<const int64_t*>(values);
  int* narrow = static_cast<int*>(values);
  if (!in_place) {
    copy_.resize(static_cast<std::size_t>(length));
    narrow = copy_.data();
  }
  for (int i = 0; i < length; ++i) fit_ = fit_ && fit_int(wide[i]);
  for (int i = 0; fit_ && i < length;
       ++i) {  // ascending: element i is read before its place is written
    int64_t value;
    std::memcpy(&value, &wide[i], sizeof value);
    const int narrowed = static_cast<int>(value);
    std::memcpy(&narrow[i], &narrowed, sizeof narrowed);
  }
  ints_ = narrow;
}

WorldGroup::WorldGroup(const int32_t* world_ranks, int size) {
  if (size < 0) return;
  if (size == 0) {
    group_ = MPI_GROUP_EMPTY;
    return;
  }
  MPI_Group_incl(adapter_state.world_group, size, world_ranks, &group_);
}

WorldGroup::~WorldGroup() {
  if (group_ != MPI_GROUP_NULL && group_ != MPI_GROUP_EMPTY) MPI_Group_free(&group_);
}

void write_info(MPI_Info info, char* text, int room) {
  char* const end = text + room - 1;  // one byte for the empty key
  int keys = 0;
  if (info != MPI_INFO_NULL) MPI_Info_get_nkeys(info, &keys);
  for (int i = 0; i < keys; ++i) {
    char key[MPI_MAX_INFO_KEY + 1];
    char value[MPI_MAX_INFO_VAL + 1];
    int flag = 0;
    if (MPI_Info_get_nthkey(info, i, key) != MPI_SUCCESS) break;
    if (MPI_Info_get(info, key, MPI_MAX_INFO_VAL, value, &flag) != MPI_SUCCESS || !flag) continue;
    const std::size_t key_bytes = std::strlen(key) + 1, value_bytes = std::strlen(value) + 1;
    if (static_cast<std::size_t>(end - text) < key_bytes + value_bytes) break;
    std::memcpy(text, key, key_bytes);
    std::memcpy(text + key_bytes, value, value_bytes);
    text += key_bytes + value_bytes;
  }
  *text = '\0';
  if (info != MPI_INFO_NULL) MPI_Info_free(&info);
}

int told_datatype(MPI_Datatype datatype) {
  constexpr int kFirst = 0x201, kLast = 0x2ff;
  if (datatype == MPI_DATATYPE_NULL) return 0;
  for (int constant = kFirst; constant <= kLast; ++constant) {
    core::Resolve block{constant, 0};
    if (resolve(&block) == 0 && block.lower != 0 && native_datatype(block.lower) == datatype)
      return constant;
  }
  MPI_Type_free(&datatype);
  return 0;
}

int64_t window_attribute(int neutral_keyval, void* value) {
  switch (neutral_keyval) {
    case abi::WIN_BASE:
      return static_cast<int64_t>(reinterpret_cast<intptr_t>(value));
    case abi::WIN_SIZE:
      return *static_cast<MPI_Aint*>(value);
    case abi::WIN_CREATE_FLAVOR:
      return to_neutral(kWindowFlavors, *static_cast<int*>(value));
    case abi::WIN_MODEL:
      return to_neutral(kWindowModels, *static_cast<int*>(value));
    default:
      return *static_cast<int*>(value);
  }
}

void neutral_errors(int32_t* codes, int count) {
  for (int i = 0; codes != nullptr && i < count; ++i) codes[i] = neutral_error(codes[i]);
}

int neutral_tool_error(int code) {
  if (code == MPI_SUCCESS) return 0;
  constexpr ConstantPair kErrors[] = {{abi::T_ERR_MEMORY, MPI_T_ERR_MEMORY},
                                      {abi::T_ERR_NOT_INITIALIZED, MPI_T_ERR_NOT_INITIALIZED},
                                      {abi::T_ERR_CANNOT_INIT, MPI_T_ERR_CANNOT_INIT},
                                      {abi::T_ERR_INVALID, MPI_T_ERR_INVALID},
                                      {abi::T_ERR_INVALID_INDEX, MPI_T_ERR_INVALID_INDEX},
                                      {abi::T_ERR_INVALID_ITEM, MPI_T_ERR_INVALID_ITEM},
                                      {abi::T_ERR_INVALID_HANDLE, MPI_T_ERR_INVALID_HANDLE},
                                      {abi::T_ERR_INVALID_NAME, MPI_T_ERR_INVALID_NAME},
                                      {abi::T_ERR_OUT_OF_HANDLES, MPI_T_ERR_OUT_OF_HANDLES},
                                      {abi::T_ERR_OUT_OF_SESSIONS, MPI_T_ERR_OUT_OF_SESSIONS},
                                      {abi::T_ERR_INVALID_SESSION, MPI_T_ERR_INVALID_SESSION},
                                      {abi::T_ERR_CVAR_SET_NOT_NOW, MPI_T_ERR_CVAR_SET_NOT_NOW},
                                      {abi::T_ERR_CVAR_SET_NEVER, MPI_T_ERR_CVAR_SET_NEVER},
                                      {abi::T_ERR_PVAR_NO_STARTSTOP, MPI_T_ERR_PVAR_NO_STARTSTOP},
                                      {abi::T_ERR_PVAR_NO_WRITE, MPI_T_ERR_PVAR_NO_WRITE},
                                      {abi::T_ERR_PVAR_NO_ATOMIC, MPI_T_ERR_PVAR_NO_ATOMIC}};
  for (const ConstantPair& pair : kErrors) {
    if (pair.native == code) return pair.neutral;
  }
  return abi::ERR_OTHER;
}

ToolObject::ToolObject(uint64_t bits, int kind) : present_(bits != 0) {
  switch (static_cast<upper::Kind>(kind)) {
    case upper::Kind::communicator:
      handle_.comm = native_comm(bits);
      break;
    case upper::Kind::datatype:
      handle_.datatype = native_datatype(bits);
      break;
    case upper::Kind::op:
      handle_.op = native_op(bits);
      break;
    case upper::Kind::request:
      handle_.request = native_request(bits);
      break;
    case upper::Kind::info:
      handle_.info = native_info(bits);
      break;
    case upper::Kind::window:
      handle_.window = native_window(bits);
      break;
    case upper::Kind::file:
      handle_.file = native_file(bits);
      break;
    default:
      present_ = false;
      break;  // groups and error handlers have no lower counterpart
  }
}

}  // namespace mana::lower::generated
