// SPDX-License-Identifier: BSD-3-Clause
// Two halves within one ordinary program: an "upper" thread is a pthread whose stack, and with it its TLS, lies below the
// line; the thread that it borrows is an ordinary parked pthread above it.
#pragma once

#include <functional>

#include "trampolines/thread_record.h"

namespace mana::test {

inline constexpr unsigned long kLine = 0x2a0000000000;

unsigned long fs_base();
bool fsgsbase_allowed();

// Runs `body` on an upper thread that is attached to a lower one, and waits for it.  `by_call`: %fs is set with arch_prctl.
void run_upper(bool by_call, const std::function<void(ThreadRecord&)>& body);

}  // namespace mana::test
