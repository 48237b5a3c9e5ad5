// SPDX-License-Identifier: BSD-3-Clause
// A task without libc's knowledge of it (restore_x86_64.S).
#pragma once

#include <cstdint>

// On `stack_top` (16-byte aligned) it calls begin(argument), which does not return.  Its %fs is the caller's until it changes it.
// `parent_tid` and `child_tid` as clone(2) says, if the flags do.  Returns its id or -errno.
extern "C" __attribute__((visibility("hidden"))) long mana_clone(uint64_t flags, void* stack_top, void* parent_tid, void* argument,
                                                                 void (*begin)(void*), void* child_tid);
