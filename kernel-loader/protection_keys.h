// SPDX-License-Identifier: BSD-3-Clause
// The rights to memory with protection keys (pkeys(7)): the register PKRU.  The kernel gives it a value of its own for every signal handler,
// without rights to such memory, and gives the thread its own value back, from the frame, when the handler returns.
#pragma once

#include <ucontext.h>

#include <cstdint>

namespace mana::loader {

// In a handler, until it returns: it may read and write what the interrupted thread may.  Only where pkey_alloc has succeeded.
void allow_all_protection_keys();

// What pkey_alloc does to PKRU, done to the value that the thread gets back.
void set_key_rights(ucontext_t& context, uint32_t key, uint32_t rights);

}  // namespace mana::loader
