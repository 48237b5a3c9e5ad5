/* SPDX-License-Identifier: BSD-3-Clause
 *
 * void mana_call_upper(void (*function)(), const uint64_t arguments[5], const ThreadRecord *record)
 *
 * The way back up during a crossing: calls a function of the upper half with up to five integer or pointer arguments.
 * in:       %rdi function, %rsi its arguments, %rdx record of the calling thread; %fs is record->lower_fs.
 * out:      %fs is record->lower_fs again, also when the callback went down and up in between.
 * clobbers: what any C function may.
 * %fs:      belongs to the upper half exactly between the two writes.
 * stack:    the caller's, 16-byte aligned at the inner call; CFI throughout.
 */
#include "trampolines/layout_x86_64.inc"

        .text
        .globl  mana_call_upper
        .hidden mana_call_upper
        .type   mana_call_upper, @function
        .p2align 4
mana_call_upper:
        .cfi_startproc
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbx, 0
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r12, 0
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r13, 0
        movq    %rdi, %r12
        movq    %rsi, %r13
        movq    %rdx, %rbx
        movq    RECORD_UPPER_FS(%rbx), %rsi
        set_fs  RECORD_FLAGS(%rbx)
        movq    0(%r13), %rdi
        movq    8(%r13), %rsi
        movq    16(%r13), %rdx
        movq    24(%r13), %rcx
        movq    32(%r13), %r8
        call    *%r12
        movq    RECORD_LOWER_FS(%rbx), %rsi
        set_fs  RECORD_FLAGS(%rbx)
        popq    %r13
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r13
        popq    %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r12
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbx
        ret
        .cfi_endproc
        .size   mana_call_upper, . - mana_call_upper

        .section .note.GNU-stack, "", @progbits
