// SPDX-License-Identifier: BSD-3-Clause
// What both front ends say of the kinds of objects, and how entry points report a handle that is
// none.
#pragma once

#include <cstddef>
#include <cstdint>

#include "upper/datatype.h"
#include "upper/object_tables.h"
#include "upper/objects.h"

#define MANA_EXPORT extern "C" __attribute__((visibility("default")))

namespace mana::front_end {

using upper::Comm, upper::Datatype, upper::Group, upper::Op, upper::Request, upper::Info,
    upper::Errhandler, upper::Window, upper::File, upper::Message, upper::Session, upper::Object,
    upper::Kind;

template <class T>
struct Traits;
#define MANA_TRAITS(T, kind_, error_)         \
  template <>                                 \
  struct Traits<T> {                          \
    static constexpr Kind kind = Kind::kind_; \
    static constexpr int error = abi::error_; \
  };
MANA_TRAITS(Comm, communicator, ERR_COMM)
MANA_TRAITS(Datatype, datatype, ERR_TYPE)
MANA_TRAITS(Group, group, ERR_GROUP)
MANA_TRAITS(Op, op, ERR_OP)
MANA_TRAITS(Request, request, ERR_REQUEST)
MANA_TRAITS(Info, info, ERR_INFO)
MANA_TRAITS(Errhandler, errhandler, ERR_ERRHANDLER)
MANA_TRAITS(Window, window, ERR_WIN)
MANA_TRAITS(File, file, ERR_FILE)
MANA_TRAITS(Message, message, ERR_REQUEST)
MANA_TRAITS(Session, session, ERR_SESSION)
#undef MANA_TRAITS

// A function of the application, in its own ABI.
using Function = void (*)();

// Addresses that a handle passed by value can hardly be: uninitialised or an int mistaken for a
// handle.
inline bool plausible_address(const void* address) {
  const uintptr_t bits = reinterpret_cast<uintptr_t>(address);
  return bits >= 0x1000 && (bits & 7) == 0 && bits >> 47 == 0;
}

}  // namespace mana::front_end
