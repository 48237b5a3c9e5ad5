/* SPDX-License-Identifier: BSD-3-Clause
 *
 * int mana_cross(int (*function)(void*), void *arguments, ThreadRecord *record)
 *
 * in:       %rdi function of the lower half, %rsi its argument block, %rdx the calling thread's record;
 *           %fs is the calling thread's own (upper) base.
 * out:      %eax the function's result; %fs is record->upper_fs.
 * clobbers: what any C function may; callee-saved registers, MXCSR and the x87 control word are the callee's business
 *           as in any call.
 * %fs:      belongs to the lower half exactly between the two writes.  No instruction between them uses it here.
 * stack:    the caller's, 16-byte aligned at the inner call.  CFI describes every instruction, so gdb, perf and libunwind
 *           walk from the lower half into the application.
 *
 * The checkpoint signal never parks a thread in here (record->depth > 0), so no return address of the lower half is ever
 * in an image.  The record is read again after the call only for upper_fs, which is constant.
 */
#include "trampolines/layout_x86_64.inc"

        .text
        .globl  mana_cross
        .hidden mana_cross
        .type   mana_cross, @function
        .p2align 4
mana_cross:
        .cfi_startproc
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbx, 0
        movq    %rdx, %rbx
        testb   $SET_FS_BY_CALL, RECORD_FLAGS(%rdx)
        jne     .Lby_call
        movq    %rdi, %rax
        movq    %rsi, %rdi
        movq    RECORD_LOWER_FS(%rdx), %rcx
        wrfsbase %rcx
        call    *%rax
        movq    RECORD_UPPER_FS(%rbx), %rcx
        wrfsbase %rcx
        .cfi_remember_state
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbx
        ret

        /* A kernel older than 5.9, "nofsgsbase", or a CPU without the instructions. */
.Lby_call:
        .cfi_restore_state
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r12, 0
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r13, 0
        movq    %rdi, %r12
        movq    %rsi, %r13
        movq    RECORD_LOWER_FS(%rbx), %rsi
        movl    $ARCH_SET_FS, %edi
        movl    $NR_arch_prctl, %eax
        syscall
        movq    %r13, %rdi
        call    *%r12
        movl    %eax, %r12d
        movq    RECORD_UPPER_FS(%rbx), %rsi
        movl    $ARCH_SET_FS, %edi
        movl    $NR_arch_prctl, %eax
        syscall
        movl    %r12d, %eax
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
        .size   mana_cross, . - mana_cross

        .section .note.GNU-stack, "", @progbits
