/* SPDX-License-Identifier: BSD-3-Clause
 *
 * int mana::lower::park_here(void *)
 *
 * Called by upper code, with the upper %fs and no switch, when it has seen control.stop at a place where it may be parked.
 * It sends the checkpoint signal to its own thread.  The handler does not leave the thread in here: it makes the frame
 * look as if park_here had returned 0, and parks it then, so no address of this text is ever in an image.
 *
 * in:       nothing (the argument is not read).     out: %eax = 0.
 * clobbers: what any C function may; touches no stack, so that the return address is at (%rsp) throughout: the handler
 *           relies on it.
 * %fs:      upper, not used.
 * caller:   may come back without having been parked, when another signal comes at the same moment; if control.stop is
 *           still set then, the agent asks again.
 */
#define NR_getpid            39
#define NR_gettid            186
#define NR_rt_tgsigqueueinfo 297
#define CHECKPOINT_SIGNAL    60
#define SI_QUEUE             -1
#define MAGIC                0x4b524150414e414d

        .text
        .globl  _ZN4mana5lower9park_hereEPv
        .globl  mana_park_here_begin, mana_park_here_end
        .hidden mana_park_here_begin, mana_park_here_end
        .type   _ZN4mana5lower9park_hereEPv, @function
        .p2align 4
_ZN4mana5lower9park_hereEPv:
mana_park_here_begin:
        .cfi_startproc
        movl    $NR_getpid, %eax
        syscall
        movl    %eax, %edi
        movl    $NR_gettid, %eax
        syscall
        movl    %eax, %esi
        movl    $CHECKPOINT_SIGNAL, %edx
        leaq    to_myself(%rip), %r10
        movl    $NR_rt_tgsigqueueinfo, %eax
        syscall
        xorl    %eax, %eax
        ret
        .cfi_endproc
mana_park_here_end:
        .size   _ZN4mana5lower9park_hereEPv, . - _ZN4mana5lower9park_hereEPv

/* void mana_on_stack(void (*function)(void *), void *argument, void *stack_top)
 *
 * Calls function(argument) on another stack.  The caller's frame stays reachable through %rbp, for unwinders. */
        .globl  mana_on_stack
        .hidden mana_on_stack
        .type   mana_on_stack, @function
        .p2align 4
mana_on_stack:
        .cfi_startproc
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
        movq    %rdx, %rsp
        movq    %rdi, %rax
        movq    %rsi, %rdi
        call    *%rax
        movq    %rbp, %rsp
        popq    %rbp
        .cfi_def_cfa %rsp, 8
        .cfi_restore %rbp
        ret
        .cfi_endproc
        .size   mana_on_stack, . - mana_on_stack

/* ThreadRecord *mana_record_below(): mana_current_record (trampolines/callback.h) of the calling thread; %fs is a lower one. */
        .globl  mana_record_below
        .hidden mana_record_below
        .type   mana_record_below, @function
mana_record_below:
        .cfi_startproc
        movq    mana_current_record@gottpoff(%rip), %rax
        movq    %fs:(%rax), %rax
        ret
        .cfi_endproc
        .size   mana_record_below, . - mana_record_below

        .section .rodata
        .p2align 4
to_myself:                      /* siginfo_t */
        .long   CHECKPOINT_SIGNAL, 0, SI_QUEUE, 0
        .long   0, 0            /* si_pid, si_uid: not looked at */
        .quad   MAGIC           /* si_value */
        .zero   96
        .section .note.GNU-stack, "", @progbits
