// SPDX-License-Identifier: BSD-3-Clause
// The ABI of the MPICH family (libmpich.so.12, libmpi.so.12): handles are ints, statuses have 20
// bytes.
//
// A handle's bits, as MPICH lays them out: 2 for how it is stored (01 predefined, 10 made at run
// time, 00 null), 4 for the kind, 26 for an index.  Ours of the second form hold the slot of the
// object's table; those below kFirstUserSlot are MPICH's own constants for pair types
// (MPI_FLOAT_INT).
#pragma once

#include <array>
#include <type_traits>

#include "mpi_wrappers/abi_constants_mpich.h"
#include "mpi_wrappers/front_ends/handles.h"

namespace mana::mpich {

using namespace mana::front_end;

struct Status {
  int32_t count_low, count_high_and_cancelled, source, tag, error;
};
static_assert(sizeof(Status) == 20);

// Files are pointers in this ABI too (ROMIO's), null for MPI_FILE_NULL.
template <class T>
using HandleOf = std::conditional_t<std::is_same_v<T, File>, File*, int32_t>;

constexpr uint32_t handle_type(Kind kind) {
  switch (kind) {
    case Kind::communicator:
      return 1;
    case Kind::group:
      return 2;
    case Kind::datatype:
      return 3;
    case Kind::errhandler:
      return 5;
    case Kind::op:
      return 6;
    case Kind::info:
      return 7;
    case Kind::window:
      return 8;
    case Kind::request:
    case Kind::message:
      return 11;
    case Kind::session:
      return 14;
    default:
      return 0;
  }
}
inline constexpr int kIndexBits = 26;
inline constexpr uint32_t kIndexMask = (1u << kIndexBits) - 1;
constexpr uint32_t user_handle(Kind kind, uint32_t slot) {
  return 0x80000000u | handle_type(kind) << kIndexBits | slot;
}

template <class T>
struct Predefined;
#define MANA_PREDEFINED(T, table)                                                    \
  template <>                                                                        \
  struct Predefined<T> {                                                             \
    static constexpr const HandlePair* begin = table;                                \
    static constexpr const HandlePair* end = table + sizeof table / sizeof table[0]; \
    static constexpr int32_t null = static_cast<int32_t>(table[0].application);      \
  };
MANA_PREDEFINED(Comm, kCommunicatorHandles)
MANA_PREDEFINED(Datatype, kDatatypeHandles)
MANA_PREDEFINED(Group, kGroupHandles)
MANA_PREDEFINED(Op, kOpHandles)
MANA_PREDEFINED(Request, kRequestHandles)
MANA_PREDEFINED(Info, kInfoHandles)
MANA_PREDEFINED(Errhandler, kErrhandlerHandles)
MANA_PREDEFINED(Window, kWindowHandles)
MANA_PREDEFINED(Message, kMessageHandles)
MANA_PREDEFINED(Session, kSessionHandles)
#undef MANA_PREDEFINED

// Predefined handles by their low byte, which is unique within a kind: one load and one compare.
template <class T>
constexpr std::array<HandlePair, 256> by_low_byte() {
  std::array<HandlePair, 256> table{};
  for (const HandlePair* pair = Predefined<T>::begin; pair != Predefined<T>::end; ++pair) {
    if (pair->application >> 30 == 1) table[pair->application & 0xff] = *pair;
  }
  return table;
}
template <class T>
inline constexpr std::array<HandlePair, 256> kByLowByte = by_low_byte<T>();

template <class T>
bool take_unusual(uint32_t handle, T** object) {  // null handles and pair types
  for (const HandlePair* pair = Predefined<T>::begin; pair != Predefined<T>::end; ++pair) {
    if (pair->application == handle) {
      *object = static_cast<T*>(upper::predefined(pair->neutral));
      return *object != nullptr || pair == Predefined<T>::begin;
    }
  }
  return false;
}

// The object behind a handle (nullptr for the null handle); false when the application's value is
// no handle of this kind.
template <class T>
inline bool take(HandleOf<T> handle, T** object) {
  if constexpr (std::is_same_v<T, File>) {
    *object = handle;
    return handle == nullptr || (plausible_address(handle) && upper::is_live(handle, Kind::file));
  } else {
    const uint32_t bits = static_cast<uint32_t>(handle);
    if (bits >> kIndexBits == user_handle(Traits<T>::kind, 0) >> kIndexBits &&
        (bits & kIndexMask) >= upper::kFirstUserSlot) {
      *object = static_cast<T*>(upper::object_at(Traits<T>::kind, bits & kIndexMask));
      return *object != nullptr;
    }
    const HandlePair& pair = kByLowByte<T>[bits & 0xff];
    if (pair.application == bits && bits != 0) {
      *object = static_cast<T*>(upper::predefined(pair.neutral));
      return *object != nullptr;
    }
    return take_unusual(bits, object);
  }
}

template <class T>
inline HandleOf<T> null_handle() {
  if constexpr (std::is_same_v<T, File>)
    return nullptr;
  else
    return Predefined<T>::null;
}
template <class T>
inline HandleOf<T> handle_of(const T* object) {
  if constexpr (std::is_same_v<T, File>) {
    return const_cast<T*>(object);
  } else {
    if (object == nullptr) return null_handle<T>();
    if (object->constant == 0) [[likely]]
      return static_cast<int32_t>(user_handle(Traits<T>::kind, object->slot));
    for (const HandlePair* pair = Predefined<T>::begin; pair != Predefined<T>::end; ++pair) {
      if (pair->neutral == object->constant) return static_cast<int32_t>(pair->application);
    }
    return null_handle<T>();
  }
}

// --- statuses and marks
inline bool is_ignored(const Status* status) { return reinterpret_cast<uintptr_t>(status) <= 1; }

inline void write_status(Status* to, const abi::Status& from) {  // all but the error
  to->count_low = static_cast<int32_t>(from.bytes_low);
  to->count_high_and_cancelled = static_cast<int32_t>(from.bytes_high << 1 | (from.cancelled != 0));
  to->source = rank_to_application(from.source);
  to->tag = tag_to_application(from.tag);
}
inline void read_status(const Status& from, abi::Status* to) {
  to->source = rank_to_neutral(from.source);
  to->tag = tag_to_neutral(from.tag);
  to->bytes_low = static_cast<uint32_t>(from.count_low);
  to->bytes_high = static_cast<uint32_t>(from.count_high_and_cancelled) >> 1;
  to->cancelled = from.count_high_and_cancelled & 1;
}

inline const void* to_neutral_buffer(const void* buffer) {
  return reinterpret_cast<intptr_t>(buffer) == -1 ? reinterpret_cast<const void*>(1) : buffer;
}
inline void* to_neutral_buffer(void* buffer) {
  return reinterpret_cast<intptr_t>(buffer) == -1 ? reinterpret_cast<void*>(1) : buffer;
}
// MPI_UNWEIGHTED and MPI_WEIGHTS_EMPTY are the values of exported pointers.
extern "C" __attribute__((visibility("default"))) int* const MPI_UNWEIGHTED;
extern "C" __attribute__((visibility("default"))) int* const MPI_WEIGHTS_EMPTY;
template <class Int>
inline Int* to_neutral_weights(Int* weights) {
  if (weights == MPI_UNWEIGHTED) return reinterpret_cast<Int*>(abi::UNWEIGHTED);
  if (weights == MPI_WEIGHTS_EMPTY) return reinterpret_cast<Int*>(abi::WEIGHTS_EMPTY);
  return weights;
}

// MPI_T_PVAR_ALL_HANDLES is the value of an exported pointer, the neutral one.
inline uint64_t neutral_pvar(uint64_t handle) { return handle; }

}  // namespace mana::mpich

// The ABI that this front end presents.
namespace mana::application {
using namespace mana::mpich;
}
