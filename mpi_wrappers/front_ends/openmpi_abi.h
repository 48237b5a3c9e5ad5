// SPDX-License-Identifier: BSD-3-Clause
// The ABI of Open MPI (libmpi.so.40): handles are addresses, statuses have 24 bytes.
//
// A predefined handle is the address of an exported object, which a program may have copied into
// its own data (copy relocations), so nothing but its contents can be relied on: the first word is
// its constant of abi.h.  Any other handle is the address of the upper half's object, whose first
// word (magic and kind) is far above every constant.
#pragma once

#include "mpi_wrappers/abi_constants_openmpi.h"
#include "mpi_wrappers/front_ends/handles.h"

namespace mana::openmpi {

using namespace mana::front_end;

struct Status {
  int32_t source, tag, error, cancelled;
  uint64_t bytes;
};
static_assert(sizeof(Status) == 24);

struct Handle;  // what an application's handle points to; never dereferenced as anything but its
                // first word
template <class T>
using HandleOf = Handle*;

inline constexpr uint64_t kLastConstant = 0xfff;
constexpr uint64_t first_word(Kind kind) {
  return static_cast<uint64_t>(kind) << 32 | upper::kObjectMagic;
}

template <class T>
struct NullConstant;
#define MANA_NULL(T, value)                     \
  template <>                                   \
  struct NullConstant<T> {                      \
    static constexpr uint64_t constant = value; \
  };
MANA_NULL(Comm, kCommunicatorNull)
MANA_NULL(Datatype, kDatatypeNull)
MANA_NULL(Group, kGroupNull)
MANA_NULL(Op, kOpNull)
MANA_NULL(Request, kRequestNull)
MANA_NULL(Info, kInfoNull)
MANA_NULL(Errhandler, kErrhandlerNull)
MANA_NULL(Window, kWindowNull)
MANA_NULL(File, kFileNull)
MANA_NULL(Message, kMessageNull)
MANA_NULL(Session, 0)
#undef MANA_NULL

// Address of the exported object for a constant of abi.h, as the program sees it (perhaps its own
// copy).
Handle* predefined_handle(int constant);

// The object behind a handle (nullptr for the null handle); false when the application's value is
// no handle of this kind.
template <class T>
inline bool take(Handle* handle, T** object) {
  if (!plausible_address(handle)) [[unlikely]]
    return false;
  const uint64_t word = *reinterpret_cast<const uint64_t*>(handle);
  if (word == first_word(Traits<T>::kind)) {
    *object = reinterpret_cast<T*>(handle);
    return true;
  }
  if (word > kLastConstant) return false;
  Object* predefined = upper::predefined(static_cast<int>(word));
  *object = static_cast<T*>(predefined);
  return predefined != nullptr ? predefined->kind == Traits<T>::kind
                               : word == NullConstant<T>::constant;
}

template <class T>
inline Handle* null_handle() {
  return predefined_handle(static_cast<int>(NullConstant<T>::constant));
}
template <class T>
inline Handle* handle_of(const T* object) {
  if (object == nullptr) return null_handle<T>();
  if (object->constant == 0) [[likely]]
    return reinterpret_cast<Handle*>(const_cast<T*>(object));
  return predefined_handle(object->constant);
}

// --- statuses and marks
inline bool is_ignored(const Status* status) { return status == nullptr; }

inline void write_status(Status* to, const abi::Status& from) {  // all but the error
  to->source = rank_to_application(from.source);
  to->tag = tag_to_application(from.tag);
  to->cancelled = from.cancelled;
  to->bytes = from.bytes();
}
inline void read_status(const Status& from, abi::Status* to) {
  to->source = rank_to_neutral(from.source);
  to->tag = tag_to_neutral(from.tag);
  to->set_bytes(from.bytes);
  to->cancelled = from.cancelled != 0;
}

// MPI_BOTTOM and MPI_IN_PLACE are those of the neutral ABI.
inline const void* to_neutral_buffer(const void* buffer) { return buffer; }
inline void* to_neutral_buffer(void* buffer) { return buffer; }
template <class Int>
inline Int* to_neutral_weights(Int* weights) {
  if (reinterpret_cast<uintptr_t>(weights) == 2) return reinterpret_cast<Int*>(abi::UNWEIGHTED);
  if (reinterpret_cast<uintptr_t>(weights) == 3) return reinterpret_cast<Int*>(abi::WEIGHTS_EMPTY);
  return weights;
}

// MPI_T_PVAR_ALL_HANDLES is -1 cast to a handle.
inline uint64_t neutral_pvar(uint64_t handle) {
  return handle == UINT64_MAX ? abi::T_PVAR_ALL_HANDLES : handle;
}

}  // namespace mana::openmpi

// The ABI that this front end presents.
namespace mana::application {
using namespace mana::openmpi;
}
