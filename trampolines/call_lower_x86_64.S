/* SPDX-License-Identifier: BSD-3-Clause
 *
 * void mana_call_lower(void (*function)(void *), void *argument, const BorrowedThread *thread)
 *
 * The way down of the gate's handler, whose thread need not have borrowed one of the lower half: calls a function of the
 * lower half with the TLS and on the stack of `thread`, which nobody else uses meanwhile.
 * in:       %rdi function, %rsi its argument, %rdx thread; %fs is the upper half's; all signals blocked.
 * out:      %fs and %rsp are what they were.
 * clobbers: what any C function may.
 * %fs:      belongs to the lower half exactly between the two writes.  %fs:0 is the base itself (psABI).
 * stack:    thread->stack for the function, which is 16-byte aligned; CFI through %rbp.
 */
#include "trampolines/layout_x86_64.inc"

        .text
        .globl  mana_call_lower
        .hidden mana_call_lower
        .type   mana_call_lower, @function
        .p2align 4
mana_call_lower:
        .cfi_startproc
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
        pushq   %rbx
        .cfi_offset %rbx, -24
        pushq   %r12
        .cfi_offset %r12, -32
        pushq   %r13
        .cfi_offset %r13, -40
        pushq   %r14
        .cfi_offset %r14, -48
        movq    %rdi, %r12
        movq    %rsi, %r13
        movq    %rdx, %r14
        movq    %fs:0, %rbx
        movq    BORROWED_FS(%r14), %rsi
        set_fs  BORROWED_FLAGS(%r14)
        movq    BORROWED_STACK(%r14), %rsp
        movq    %r13, %rdi
        call    *%r12
        leaq    -32(%rbp), %rsp
        movq    %rbx, %rsi
        set_fs  BORROWED_FLAGS(%r14)
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbx
        popq    %rbp
        .cfi_def_cfa %rsp, 8
        ret
        .cfi_endproc
        .size   mana_call_lower, . - mana_call_lower

        .section .note.GNU-stack, "", @progbits
