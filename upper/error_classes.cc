// SPDX-License-Identifier: BSD-3-Clause
// Names and sentences of error classes; classes, codes and strings that the application adds (MPI 5.0, 9.5).
#include "upper/containers.h"
#include "upper/errors.h"
#include "upper/front_end.h"
#include "upper/guarded.h"
#include "upper/text.h"
#include "mpi_wrappers/upper_api.h"

namespace mana::upper {

namespace {

struct ClassText {
  const char* name;
  const char* text;
};

// By class number, abi::SUCCESS first.
constexpr ClassText kClasses[] = {
    {"MPI_SUCCESS", "no error"},
    {"MPI_ERR_BUFFER", "invalid buffer pointer"},
    {"MPI_ERR_COUNT", "invalid count argument"},
    {"MPI_ERR_TYPE", "invalid datatype"},
    {"MPI_ERR_TAG", "invalid tag"},
    {"MPI_ERR_COMM", "invalid communicator"},
    {"MPI_ERR_RANK", "invalid rank"},
    {"MPI_ERR_REQUEST", "invalid request"},
    {"MPI_ERR_ROOT", "invalid root"},
    {"MPI_ERR_GROUP", "invalid group"},
    {"MPI_ERR_OP", "invalid reduction operator"},
    {"MPI_ERR_TOPOLOGY", "invalid topology"},
    {"MPI_ERR_DIMS", "invalid dimension argument"},
    {"MPI_ERR_ARG", "invalid argument"},
    {"MPI_ERR_UNKNOWN", "unknown error"},
    {"MPI_ERR_TRUNCATE", "message truncated"},
    {"MPI_ERR_OTHER", "known error not in this list"},
    {"MPI_ERR_INTERN", "internal error"},
    {"MPI_ERR_PENDING", "pending request"},
    {"MPI_ERR_IN_STATUS", "error code is in the status"},
    {"MPI_ERR_ACCESS", "permission denied"},
    {"MPI_ERR_AMODE", "invalid access mode"},
    {"MPI_ERR_ASSERT", "invalid assert argument"},
    {"MPI_ERR_BAD_FILE", "invalid file name"},
    {"MPI_ERR_BASE", "invalid base address"},
    {"MPI_ERR_CONVERSION", "error in a data conversion function"},
    {"MPI_ERR_DISP", "invalid displacement"},
    {"MPI_ERR_DUP_DATAREP", "data representation is already defined"},
    {"MPI_ERR_FILE_EXISTS", "file exists"},
    {"MPI_ERR_FILE_IN_USE", "file is in use"},
    {"MPI_ERR_FILE", "invalid file handle"},
    {"MPI_ERR_INFO_KEY", "info key is too long or empty"},
    {"MPI_ERR_INFO_NOKEY", "no such info key"},
    {"MPI_ERR_INFO_VALUE", "info value is too long or null"},
    {"MPI_ERR_INFO", "invalid info object"},
    {"MPI_ERR_IO", "input/output error"},
    {"MPI_ERR_KEYVAL", "invalid keyval"},
    {"MPI_ERR_LOCKTYPE", "invalid lock type"},
    {"MPI_ERR_NAME", "unknown service name"},
    {"MPI_ERR_NO_MEM", "out of memory"},
    {"MPI_ERR_NOT_SAME", "arguments differ between processes"},
    {"MPI_ERR_NO_SPACE", "no space left on device"},
    {"MPI_ERR_NO_SUCH_FILE", "no such file"},
    {"MPI_ERR_PORT", "invalid port name"},
    {"MPI_ERR_QUOTA", "quota exceeded"},
    {"MPI_ERR_READ_ONLY", "file or file system is read only"},
    {"MPI_ERR_RMA_ATTACH", "memory cannot be attached to the window"},
    {"MPI_ERR_RMA_CONFLICT", "conflicting accesses to a window"},
    {"MPI_ERR_RMA_RANGE", "target memory is not part of the window"},
    {"MPI_ERR_RMA_SHARED", "memory cannot be shared"},
    {"MPI_ERR_RMA_SYNC", "wrong synchronization of RMA calls"},
    {"MPI_ERR_SERVICE", "unpublish of an unknown service"},
    {"MPI_ERR_SIZE", "invalid size"},
    {"MPI_ERR_SPAWN", "error in spawning processes"},
    {"MPI_ERR_UNSUPPORTED_DATAREP", "unsupported data representation"},
    {"MPI_ERR_UNSUPPORTED_OPERATION", "unsupported operation"},
    {"MPI_ERR_WIN", "invalid window"},
    {"MPI_ERR_RMA_FLAVOR", "wrong flavor of window"},
    {"MPI_ERR_PROC_ABORTED", "a process has aborted"},
    {"MPI_ERR_VALUE_TOO_LARGE", "value is too large for its type"},
    {"MPI_ERR_SESSION", "invalid session"},
    {"MPI_ERR_ERRHANDLER", "invalid error handler"},
    {"MPI_ERR_ABI", "no such ABI feature"},
};
constexpr int kClassCount = sizeof(kClasses) / sizeof(kClasses[0]);
static_assert(kClassCount == abi::ERR_ABI + 1);

constexpr ClassText kToolClasses[] = {
    {"MPI_T_ERR_CANNOT_INIT", "tool interface cannot be initialized"},
    {"MPI_T_ERR_NOT_ACCESSIBLE", "variable is not accessible"},
    {"MPI_T_ERR_NOT_INITIALIZED", "tool interface is not initialized"},
    {"MPI_T_ERR_NOT_SUPPORTED", "not supported by the tool interface"},
    {"MPI_T_ERR_MEMORY", "tool interface is out of memory"},
    {"MPI_T_ERR_INVALID", "invalid use of the tool interface"},
    {"MPI_T_ERR_INVALID_INDEX", "invalid index"},
    {"MPI_T_ERR_INVALID_ITEM", "invalid item"},
    {"MPI_T_ERR_INVALID_SESSION", "invalid performance session"},
    {"MPI_T_ERR_INVALID_HANDLE", "invalid tool handle"},
    {"MPI_T_ERR_INVALID_NAME", "invalid name"},
    {"MPI_T_ERR_OUT_OF_HANDLES", "out of tool handles"},
    {"MPI_T_ERR_OUT_OF_SESSIONS", "out of performance sessions"},
    {"MPI_T_ERR_CVAR_SET_NOT_NOW", "variable cannot be set now"},
    {"MPI_T_ERR_CVAR_SET_NEVER", "variable can never be set"},
    {"MPI_T_ERR_PVAR_NO_WRITE", "performance variable cannot be written"},
    {"MPI_T_ERR_PVAR_NO_STARTSTOP", "performance variable cannot be started or stopped"},
    {"MPI_T_ERR_PVAR_NO_ATOMIC", "performance variable cannot be read and reset at once"},
};
constexpr int kToolClassCount = sizeof(kToolClasses) / sizeof(kToolClasses[0]);
static_assert(kToolClassCount == abi::T_ERR_PVAR_NO_ATOMIC - abi::T_ERR_CANNOT_INIT + 1);

struct UserCode {
  int error_class;  // itself, for a class
  uint8_t is_class, removed;
  char* text;       // nullptr: none added
};
constinit Vector<UserCode> user_codes{};  // index: code - abi::LASTCODE_FIRST_USER

const ClassText* class_entry(int error_class) {
  if (error_class >= 0 && error_class < kClassCount) return &kClasses[error_class];
  int tool = error_class - abi::T_ERR_CANNOT_INIT;
  return tool >= 0 && tool < kToolClassCount ? &kToolClasses[tool] : nullptr;
}

UserCode* user_code(int code) {
  int64_t index = int64_t{code} - abi::LASTCODE_FIRST_USER;
  if (index < 0 || index >= user_codes.size || user_codes[index].removed) return nullptr;
  return &user_codes[index];
}

bool is_class(int error) {
  const UserCode* user = user_code(error);
  return class_entry(error) || (user && user->is_class);
}

int add(int error_class, bool is_class) {
  int code = abi::LASTCODE_FIRST_USER + static_cast<int>(user_codes.size);
  user_codes.push({is_class ? code : error_class, is_class, 0, nullptr});
  return code;
}

int set_text(int code, const char* text) {
  UserCode* user = user_code(code);
  if (!user) return abi::ERR_ARG;  // predefined texts stay
  deallocate(user->text);
  user->text = text ? duplicate_text(text) : nullptr;
  return abi::SUCCESS;
}

int remove(int code, bool is_class) {
  UserCode* user = user_code(code);
  if (!user || user->is_class != is_class) return abi::ERR_ARG;
  deallocate(user->text);
  *user = {0, is_class, 1, nullptr};
  return abi::SUCCESS;
}

}  // namespace

const char* error_class_text(int error_class) {
  const ClassText* entry = class_entry(error_class);
  return entry ? entry->text : "unknown error class";
}

const char* user_error_text(int code) {
  const UserCode* user = user_code(code);
  return user ? user->text ? user->text : "" : nullptr;
}

const char* error_class_name(int error) {
  const ClassText* entry = class_entry(error);
  return entry ? entry->name : user_code(error) ? "error code of the application" : "unknown error code";
}

int error_class_of(int code) {
  const UserCode* user = user_code(code);
  return user ? user->error_class : class_entry(code) ? code : abi::ERR_UNKNOWN;
}

int last_used_code() { return abi::LASTCODE_FIRST_USER + static_cast<int>(user_codes.size) - 1; }

int Error_class(int errorcode, int* errorclass) {
  if (!user_code(errorcode) && !class_entry(errorcode)) return raise(abi::ERR_ARG, "MPI_Error_class");
  *errorclass = error_class_of(errorcode);
  return abi::SUCCESS;
}

int Error_string(int errorcode, char* string, int* resultlen) {
  const char* user = user_error_text(errorcode);
  Text text;
  if (user) {
    text.add(user);
  } else if (const ClassText* entry = class_entry(errorcode)) {
    text.add(entry->name).add(": ").add(entry->text);
  } else {
    return raise(abi::ERR_ARG, "MPI_Error_string");
  }
  *resultlen = copy_text(string, text.c_str(), static_cast<size_t>(front_end::facts.error_string));
  return abi::SUCCESS;
}

int Add_error_class(int* errorclass) {
  return guarded("MPI_Add_error_class", [&]() -> int { return *errorclass = add(0, true), abi::SUCCESS; });
}

int Add_error_code(int errorclass, int* errorcode) {
  return guarded("MPI_Add_error_code", [&]() -> int {
    if (!is_class(errorclass)) return abi::ERR_ARG;
    *errorcode = add(errorclass, false);
    return abi::SUCCESS;
  });
}

int Add_error_string(int errorcode, const char* string) {
  return guarded("MPI_Add_error_string", [&]() -> int {
    if (!string) return abi::ERR_ARG;
    char text[abi::MAX_ERROR_STRING];
    copy_text(text, string, static_cast<size_t>(front_end::facts.error_string));
    return set_text(errorcode, text);
  });
}

// MPI_Remove_error_* of MPI 4.1, MPIX_Delete_error_* of MPICH 4.0.
int X_Delete_error_class(int errorclass) {
  return guarded("MPI_Remove_error_class", [&]() -> int { return remove(errorclass, true); });
}
int X_Delete_error_code(int errorcode) {
  return guarded("MPI_Remove_error_code", [&]() -> int { return remove(errorcode, false); });
}
int X_Delete_error_string(int errorcode) {
  return guarded("MPI_Remove_error_string", [&]() -> int { return set_text(errorcode, nullptr); });
}

}  // namespace mana::upper
