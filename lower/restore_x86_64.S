/* SPDX-License-Identifier: BSD-3-Clause
 *
 * long mana_clone(uint64_t flags, void *stack_top, void *parent_tid, void *argument, void (*begin)(void *), void *child_tid)
 * clone.h
 *
 * void mana_return_into_frame(uint64_t context)
 * rt_sigreturn into the signal frame whose ucontext_t is at `context`: all registers, the mask and the alternate stack. */
#define NR_clone        56
#define NR_rt_sigreturn 15

        .text
        .globl  mana_clone
        .hidden mana_clone
        .type   mana_clone, @function
        .p2align 4
mana_clone:
        .cfi_startproc
        movq    %rcx, -8(%rsi)
        movq    %r8, -16(%rsi)
        subq    $16, %rsi
        movq    %r9, %r10
        xorl    %r8d, %r8d
        movl    $NR_clone, %eax
        syscall
        testq   %rax, %rax
        je      1f
        ret
1:      .cfi_undefined %rip
        xorl    %ebp, %ebp
        movq    8(%rsp), %rdi
        call    *(%rsp)
        ud2
        .cfi_endproc
        .size   mana_clone, . - mana_clone

        .globl  mana_return_into_frame
        .hidden mana_return_into_frame
        .type   mana_return_into_frame, @function
        .p2align 4
mana_return_into_frame:
        .cfi_startproc
        .cfi_undefined %rip
        movq    %rdi, %rsp
        movl    $NR_rt_sigreturn, %eax
        syscall
        ud2
        .cfi_endproc
        .size   mana_return_into_frame, . - mana_return_into_frame

        .section .note.GNU-stack, "", @progbits
