// SPDX-License-Identifier: BSD-3-Clause
// Conversions between the neutral ABI (upper/abi.h) and the MPI library that this lower program is
// compiled against. Used by the adapter and by the generated functions; compiled once per MPI.
// Handles travel as the library's own bits, 0 standing for every null handle.  Everything here is
// stateless and safe in any thread.
#pragma once

#include <mpi.h>

#include <climits>
#include <cstdint>
#include <type_traits>

#include "lower/adapter_constants.h"
#include "upper/abi.h"

namespace mana::lower {

// --- handles

template <class Handle>
inline Handle handle_of(uint64_t bits) {
  if constexpr (std::is_pointer_v<Handle>) {
    return reinterpret_cast<Handle>(bits);
  } else {
    return static_cast<Handle>(static_cast<uint32_t>(bits));
  }
}
template <class Handle>
inline uint64_t bits_of(Handle handle) {
  if constexpr (std::is_pointer_v<Handle>) {
    return reinterpret_cast<uint64_t>(handle);
  } else {
    return static_cast<uint32_t>(handle);
  }
}

// native_KIND(bits) and KIND_bits(handle), e.g. native_comm(), comm_bits().
#define MANA_HANDLE(kind, Type, null)                                                            \
  inline Type native_##kind(uint64_t bits) { return bits ? handle_of<Type>(bits) : Type(null); } \
  inline uint64_t kind##_bits(Type handle) { return handle == Type(null) ? 0 : bits_of(handle); }
MANA_HANDLE(comm, MPI_Comm, MPI_COMM_NULL)
MANA_HANDLE(datatype, MPI_Datatype, MPI_DATATYPE_NULL)
MANA_HANDLE(group, MPI_Group, MPI_GROUP_NULL)
MANA_HANDLE(op, MPI_Op, MPI_OP_NULL)
MANA_HANDLE(request, MPI_Request, MPI_REQUEST_NULL)
MANA_HANDLE(info, MPI_Info, MPI_INFO_NULL)
MANA_HANDLE(errhandler, MPI_Errhandler, MPI_ERRHANDLER_NULL)
MANA_HANDLE(window, MPI_Win, MPI_WIN_NULL)
MANA_HANDLE(file, MPI_File, MPI_FILE_NULL)
MANA_HANDLE(message, MPI_Message, MPI_MESSAGE_NULL)
#if MPI_VERSION >= 4
MANA_HANDLE(session, MPI_Session, MPI_SESSION_NULL)
#endif
#undef MANA_HANDLE

// --- errors

// Neutral error class of a code that an MPI function returned.
int class_of_failure(int native_code);
inline int neutral_error(int native_code) {
  return native_code == MPI_SUCCESS ? 0 : class_of_failure(native_code);
}
// Inverse for classes that the library knows; MPI_ERR_OTHER for the rest.
int native_error(int neutral_class);

// --- ranks, tags, buffers

inline constexpr int kInvalid =
    -0x40000000;  // negative and a constant of no MPI: the library reports it as bad

inline int native_rank(int rank) {
  if (rank >= 0) [[likely]]
    return rank;
  switch (rank) {
    case abi::ANY_SOURCE:
      return MPI_ANY_SOURCE;
    case abi::PROC_NULL:
      return MPI_PROC_NULL;
    case abi::ROOT:
      return MPI_ROOT;
    case abi::UNDEFINED:
      return MPI_UNDEFINED;
    default:
      return kInvalid;
  }
}
inline int neutral_rank(int rank) {
  if (rank >= 0) [[likely]]
    return rank;
  switch (rank) {
    case MPI_ANY_SOURCE:
      return abi::ANY_SOURCE;
    case MPI_PROC_NULL:
      return abi::PROC_NULL;
    case MPI_ROOT:
      return abi::ROOT;
    case MPI_UNDEFINED:
      return abi::UNDEFINED;
    default:
      return rank;
  }
}
inline int native_tag(int tag) {
  if (tag >= 0) [[likely]]
    return tag;
  return tag == abi::ANY_TAG ? MPI_ANY_TAG : kInvalid;
}
inline int neutral_tag(int tag) { return tag == MPI_ANY_TAG ? abi::ANY_TAG : tag; }

inline void* native_buffer(const void* buffer) {
  if (reinterpret_cast<uintptr_t>(buffer) == abi::IN_PLACE) return const_cast<void*>(MPI_IN_PLACE);
  return const_cast<void*>(buffer);  // MPI_BOTTOM is the null pointer in every ABI
}
// Weights of the dist_graph constructors, which have two marks of their own.
inline int* native_weights(const void* weights) {
  const uintptr_t value = reinterpret_cast<uintptr_t>(weights);
  if (value == abi::UNWEIGHTED) return const_cast<int*>(MPI_UNWEIGHTED);
  if (value == abi::WEIGHTS_EMPTY) return const_cast<int*>(MPI_WEIGHTS_EMPTY);
  return static_cast<int*>(const_cast<void*>(weights));
}

// --- statuses
// The private fields are read directly: their place is part of each library's ABI, and
// MPI_Get_elements would have to know the datatype.

#if defined(MPICH_VERSION)
inline uint64_t status_bytes(const MPI_Status& status) {
  return static_cast<uint64_t>(static_cast<uint32_t>(status.count_hi_and_cancelled) >> 1) << 32 |
         static_cast<uint32_t>(status.count_lo);
}
inline int status_cancelled(const MPI_Status& status) { return status.count_hi_and_cancelled & 1; }
inline void set_status_bytes(MPI_Status* status, uint64_t bytes, int cancelled) {
  status->count_lo = static_cast<int>(static_cast<uint32_t>(bytes));
  status->count_hi_and_cancelled = static_cast<int>(bytes >> 32 << 1 | (cancelled != 0));
}
#elif defined(OPEN_MPI)
inline uint64_t status_bytes(const MPI_Status& status) { return status._ucount; }
inline int status_cancelled(const MPI_Status& status) { return status._cancelled != 0; }
inline void set_status_bytes(MPI_Status* status, uint64_t bytes, int cancelled) {
  status->_ucount = bytes;
  status->_cancelled = cancelled;
}
#else
#error "this MPI library's status layout is not known"
#endif

// Everything but `error`: MPI sets that field only where a call completes several operations.
inline void neutral_status(const MPI_Status& status, abi::Status* out) {
  out->source = neutral_rank(status.MPI_SOURCE);
  out->tag = neutral_tag(status.MPI_TAG);
  out->set_bytes(status_bytes(status));
  out->cancelled = status_cancelled(status);
}
inline void native_status(const abi::Status& status, MPI_Status* out) {
  out->MPI_SOURCE = native_rank(status.source);
  out->MPI_TAG = native_tag(status.tag);
  out->MPI_ERROR = native_error(status.error);
  set_status_bytes(out, status.bytes(), status.cancelled);
}

// --- counts

// A (count, datatype) pair for functions that take an int: a count beyond INT_MAX becomes one
// element of a derived type, freed at the end of the scope (an operation that is still pending
// keeps it alive inside the library). Not for reductions: a predefined operator does not take
// derived types.
class Transfer {
 public:
  Transfer(int64_t count, uint64_t datatype) : datatype_(native_datatype(datatype)) {
    if (count <= INT_MAX) [[likely]] {
      count_ = static_cast<int>(count);
    } else {
      make_large(count);
    }
  }
  ~Transfer() {
    if (owned_) [[unlikely]]
      MPI_Type_free(&datatype_);
  }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  int count() const { return count_; }
  MPI_Datatype datatype() const { return datatype_; }

 private:
  void make_large(int64_t count);

  int count_ = 0;
  bool owned_ = false;
  MPI_Datatype datatype_;
};

}  // namespace mana::lower
