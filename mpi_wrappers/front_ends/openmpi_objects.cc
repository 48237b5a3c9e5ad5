// SPDX-License-Identifier: BSD-3-Clause
// The objects that predefined handles of Open MPI's ABI point to, its predefined attribute
// functions, and its Fortran handles. A program that is not position independent has its own copy
// of these objects, made by the loader from their contents here: sizes must be the original's,
// contents must not change afterwards, and addresses come from the symbol table.
#include "mpi_wrappers/front_ends/application.h"

using namespace mana;
using namespace mana::application;

namespace {

template <int kSize>
struct alignas(32) PredefinedObject {
  uint64_t constant;
  char rest[kSize - sizeof(uint64_t)];
};

}  // namespace

#define MANA_DEFINE(name, constant, size, fortran) \
  MANA_EXPORT PredefinedObject<size> name;         \
  PredefinedObject<size> name = {constant, {}};
MANA_PREDEFINED_OBJECTS(MANA_DEFINE)
#undef MANA_DEFINE

namespace mana::openmpi {
namespace {

struct Row {
  void* address;
  int16_t constant, fortran;
};
#define MANA_ROW(name, constant, size, fortran) {&name, constant, fortran},
const Row kRows[] = {MANA_PREDEFINED_OBJECTS(MANA_ROW)};
#undef MANA_ROW
constexpr int kRowCount = sizeof kRows / sizeof kRows[0];
constexpr int kConstants = 0x400;

struct RowOfConstant {
  uint8_t row[kConstants] = {};  // 1 + index; 0: no such constant
};
constexpr RowOfConstant make_row_of_constant() {
  RowOfConstant result;
  uint8_t index = 0;
#define MANA_ENTER(name, constant, size, fortran) \
  ++index;                                        \
  if (result.row[constant] == 0) result.row[constant] = index;
  MANA_PREDEFINED_OBJECTS(MANA_ENTER)
#undef MANA_ENTER
  return result;
}
constexpr RowOfConstant kRowOfConstant = make_row_of_constant();

const Row* row_of(int constant) {
  const int index = static_cast<unsigned>(constant) < kConstants ? kRowOfConstant.row[constant] : 0;
  return index == 0 ? nullptr : &kRows[index - 1];
}

template <class T>
int to_fortran(Handle* handle) {
  T* object;
  if (!take(handle, &object)) return -1;
  if (object != nullptr && object->constant == 0) return static_cast<int>(object->slot);
  const Row* row = row_of(object ? object->constant : static_cast<int>(NullConstant<T>::constant));
  return row != nullptr ? row->fortran : -1;
}
// Open MPI returns the null handle for an integer that is no handle.
template <class T>
Handle* from_fortran(int index) {
  if (index >= static_cast<int>(upper::kFirstUserSlot)) {
    Object* object = upper::object_at(Traits<T>::kind, static_cast<uint32_t>(index));
    return object != nullptr ? reinterpret_cast<Handle*>(object) : null_handle<T>();
  }
  for (const Row& row : kRows) {
    if (row.fortran != index || index < 0) continue;
    const Object* object = upper::predefined(row.constant);
    if (object != nullptr ? object->kind == Traits<T>::kind
                          : row.constant == int{NullConstant<T>::constant}) {
      return static_cast<Handle*>(row.address);
    }
  }
  return null_handle<T>();
}

}  // namespace

Handle* predefined_handle(int constant) {
  const Row* row = row_of(constant);
  return row != nullptr ? static_cast<Handle*>(row->address) : nullptr;
}

}  // namespace mana::openmpi

// --- MPI_X_c2f, MPI_X_f2c
#define MANA_FORTRAN(X, T)                                                                    \
  MANA_EXPORT int PMPI_##X##_c2f(Handle* handle) { return openmpi::to_fortran<T>(handle); }   \
  MANA_EXPORT __attribute__((weak, alias("PMPI_" #X "_c2f"))) int MPI_##X##_c2f(Handle*);     \
  MANA_EXPORT Handle* PMPI_##X##_f2c(int handle) { return openmpi::from_fortran<T>(handle); } \
  MANA_EXPORT __attribute__((weak, alias("PMPI_" #X "_f2c"))) Handle* MPI_##X##_f2c(int);
MANA_FORTRAN(Comm, Comm)
MANA_FORTRAN(Errhandler, Errhandler)
MANA_FORTRAN(File, File)
MANA_FORTRAN(Group, Group)
MANA_FORTRAN(Info, Info)
MANA_FORTRAN(Message, Message)
MANA_FORTRAN(Op, Op)
MANA_FORTRAN(Request, Request)
MANA_FORTRAN(Type, Datatype)
MANA_FORTRAN(Win, Window)
#undef MANA_FORTRAN

// A Fortran status is the C one as integers.
MANA_EXPORT int PMPI_Status_c2f(const Status* status, int* fortran) {
  __builtin_memcpy(fortran, status, sizeof *status);
  return 0;
}
MANA_EXPORT __attribute__((weak, alias("PMPI_Status_c2f"))) int MPI_Status_c2f(const Status*, int*);
MANA_EXPORT int PMPI_Status_f2c(const int* fortran, Status* status) {
  __builtin_memcpy(status, fortran, sizeof *status);
  return 0;
}
MANA_EXPORT __attribute__((weak, alias("PMPI_Status_f2c"))) int MPI_Status_f2c(const int*, Status*);

// Set by the Fortran library when it is loaded; a C program that has none compares with null.
MANA_EXPORT int* MPI_F_STATUS_IGNORE;
int* MPI_F_STATUS_IGNORE = nullptr;
MANA_EXPORT int* MPI_F_STATUSES_IGNORE;
int* MPI_F_STATUSES_IGNORE = nullptr;

// --- predefined attribute functions.  The header names OMPI_C_MPI_X; Fortran's library also wants
// MPI_X and PMPI_X.
#define MANA_ATTRIBUTE_FUNCTION(name, result, body, ...)                   \
  MANA_EXPORT result OMPI_C_##name(__VA_ARGS__) body MANA_EXPORT           \
      __attribute__((alias("OMPI_C_" #name))) result P##name(__VA_ARGS__); \
  MANA_EXPORT __attribute__((weak, alias("OMPI_C_" #name))) result name(__VA_ARGS__);
#define MANA_ATTRIBUTE_FUNCTIONS(prefix)                                                          \
  MANA_ATTRIBUTE_FUNCTION(                                                                        \
      prefix##DUP_FN, int,                                                                        \
      {                                                                                           \
        *static_cast<void**>(copy) = value;                                                       \
        *flag = 1;                                                                                \
        return 0;                                                                                 \
      },                                                                                          \
      [[maybe_unused]] Handle* handle, [[maybe_unused]] int keyval, [[maybe_unused]] void* extra, \
      void* value, void* copy, int* flag)                                                         \
  MANA_ATTRIBUTE_FUNCTION(                                                                        \
      prefix##NULL_COPY_FN, int,                                                                  \
      {                                                                                           \
        *flag = 0;                                                                                \
        return 0;                                                                                 \
      },                                                                                          \
      Handle*, int, void*, void*, void*, int* flag)                                               \
  MANA_ATTRIBUTE_FUNCTION(                                                                        \
      prefix##NULL_DELETE_FN, int, { return 0; }, Handle*, int, void*, void*)
MANA_ATTRIBUTE_FUNCTIONS(MPI_)
MANA_ATTRIBUTE_FUNCTIONS(MPI_COMM_)
MANA_ATTRIBUTE_FUNCTIONS(MPI_TYPE_)
MANA_ATTRIBUTE_FUNCTIONS(MPI_WIN_)

// Stands for "no conversion" in MPI_Register_datarep; nobody calls it.
MANA_EXPORT int PMPI_CONVERSION_FN_NULL(void*, Handle*, int, void*, int64_t, void*) {
  return kErrorOther;
}
MANA_EXPORT __attribute__((weak, alias("PMPI_CONVERSION_FN_NULL"))) int MPI_CONVERSION_FN_NULL(
    void*, Handle*, int, void*, int64_t, void*);

namespace mana::application {

// The tool interface takes objects by the address of their handle, without saying of which kind.
Object* any_object(const void* address_of_handle) {
  if (address_of_handle == nullptr) return nullptr;
  auto* handle = *static_cast<Handle* const*>(address_of_handle);
  if (!plausible_address(handle)) return nullptr;
  const uint64_t word = *reinterpret_cast<const uint64_t*>(handle);
  if (word <= kLastConstant) return upper::predefined(static_cast<int>(word));
  auto* object = reinterpret_cast<Object*>(handle);
  return object->magic == upper::kObjectMagic ? object : nullptr;
}

}  // namespace mana::application
