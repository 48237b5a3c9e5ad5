// SPDX-License-Identifier: BSD-3-Clause
// The numbers of layout_x86_64.inc are those of C++ and of the kernel.  (ARCH_SET_FS is defined twice: the compiler compares.)
#include "trampolines/layout_x86_64.inc"

#include <asm/prctl.h>
#include <asm/unistd.h>
#include <ucontext.h>

#include "kernel-loader/gate.h"
#include "kernel-loader/layout.h"
#include "trampolines/call_lower.h"
#include "trampolines/thread_record.h"

static_assert(offsetof(mana::ThreadRecord, lower_fs) == RECORD_LOWER_FS);
static_assert(offsetof(mana::ThreadRecord, upper_fs) == RECORD_UPPER_FS);
static_assert(offsetof(mana::ThreadRecord, flags) == RECORD_FLAGS);
static_assert(offsetof(mana::BorrowedThread, fs) == BORROWED_FS);
static_assert(offsetof(mana::BorrowedThread, stack) == BORROWED_STACK);
static_assert(offsetof(mana::BorrowedThread, flags) == BORROWED_FLAGS);
static_assert(mana::kSetFsByCall == SET_FS_BY_CALL);
static_assert(__NR_arch_prctl == NR_arch_prctl);
static_assert(offsetof(ucontext_t, uc_mcontext.gregs) + REG_RIP * sizeof(greg_t) + 4 == CONTEXT_RIP_HIGH);
static_assert(mana::loader::kLine == LINE);
static_assert(sizeof mana::loader::mana_signal_handlers[0] == 8);
