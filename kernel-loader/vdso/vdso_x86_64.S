/* SPDX-License-Identifier: BSD-3-Clause
 * The upper half's vdso (README, "The synthetic vdso").  Loaded into the arena, saved in the image,
 * met again by newer lower halves: what they need to know of it stands in the table at its page 1
 * (vdso.h, VdsoTable), nothing else.
 *
 * The __vdso_* functions
 * in, out, clobbers: as the kernel's functions of the same names, which they call.
 * %fs:  the application's, not used.
 *
 * blocking_call
 * in:   %rax system call number, %rdi.. its arguments, %rsp -> BlockingCall (vdso.h); entered by the
 *       gate's sigreturn.
 * out:  to BlockingCall.return_rip with %rsp = return_rsp, %rax the result, arguments and flags as
 *       they were; %rcx and %r11 as after any system call.
 * %fs:  the application's, not used.
 * This syscall instruction is let through by the filter, so the thread waits here as it would
 * natively: the application's handlers interrupt it, the kernel restarts it, a checkpoint parks it.
 *
 * unmap_own_stack
 * in:   %rax = __NR_munmap, %rdi, %rsi, %r9 = where to go on.  Uses no stack: it is going away.
 *
 * exit_without_stack
 * A thread that has taken its stack away can do nothing but end, and cannot be caught: a signal needs a stack.
 */
#include "kernel-loader/vdso/layout.inc"

        .text
text_start:
        /* By a call, not a jump, and with room for a mask: a signal that interrupts the kernel's function waits until it
         * has returned (postpone in lower/park.cc), so that no frame of a handler leads back there after a restart.  The dead return address is
         * wiped: whoever looks for one on a stack finds one of a call that has not returned. */
        .macro call_kernel slot
        subq $FORWARD_ROOM, %rsp
        .cfi_adjust_cfa_offset FORWARD_ROOM
        call *vdso_table + TABLE_FUNCTIONS + 8 * \slot (%rip)
        movq $0, -8(%rsp)
        addq $FORWARD_ROOM, %rsp
        .cfi_adjust_cfa_offset -FORWARD_ROOM
        ret
        .endm

        .macro forward name, slot
        .globl \name
        .type \name, @function
        .p2align 4
\name:
        .cfi_startproc
        call_kernel \slot
        .cfi_endproc
        .size \name, . - \name
        .endm

        /* Clocks of a process or a thread are negative and have an id in them, which the gate translates after a restart. */
        .macro forward_clock name, slot, otherwise
        .p2align 4
        .globl \name
        .type \name, @function
\name:
        .cfi_startproc
        testl %edi, %edi
        js \otherwise
        call_kernel \slot
        .cfi_endproc
        .size \name, . - \name
        .endm

forward_begin:
        forward_clock __vdso_clock_gettime, 0, call_clock_gettime
        forward __vdso_gettimeofday, 1
        forward __vdso_time, 2
        forward_clock __vdso_clock_getres, 3, call_clock_getres
        forward __vdso_getcpu, 4
forward_end:

        /* Where a call returns to that signals wait for: gives the thread the mask that lies in the room, with what is pending. */
        .p2align 4
        .type after_kernel_call, @function
        .cfi_startproc
        .cfi_def_cfa_offset FORWARD_ROOM + 8
        nop                             /* unwinders look at the instruction before a return address */
after_kernel_call:
        movq $0, -8(%rsp)
        movq %rax, 8(%rsp)
        movl $2, %edi                   /* SIG_SETMASK */
        movq %rsp, %rsi
        xorl %edx, %edx
        movl $8, %r10d
        movl $14, %eax                  /* rt_sigprocmask: caught */
        syscall
        movq 8(%rsp), %rax
        addq $FORWARD_ROOM, %rsp
        .cfi_adjust_cfa_offset -FORWARD_ROOM
        ret
        .cfi_endproc
        .size after_kernel_call, . - after_kernel_call

        /* Where this kernel offers no function: the system call. */
        .macro plain label, number
        .p2align 4
\label:
        .cfi_startproc
        movl $\number, %eax
        syscall
        ret
        .cfi_endproc
        .endm

        plain call_clock_gettime, 228
        plain call_gettimeofday, 96
        plain call_time, 201
        plain call_clock_getres, 229
        plain call_getcpu, 309

        .p2align 4
        .type blocking_call, @function
blocking_call:
        .cfi_startproc
        .cfi_signal_frame
        /* CFA (the caller's %rsp) = *(%rsp + CALL_RETURN_RSP);
         * return address at %rsp + CALL_RETURN_RIP. */
        .cfi_escape 0x0f, 0x04, 0x77, 0xf8, 0x00, 0x06
        .cfi_escape 0x10, 0x10, 0x03, 0x77, 0xf0, 0x00
        syscall
blocking_call_done:
        movq %r11, CALL_FLAGS(%rsp)     /* a system call keeps the flags, the test does not */
        cmpq $FINISH_ALWAYS, CALL_FINISH(%rsp)
        je 1f
        testq %rax, %rax
        js blocking_call_return
        cmpq $FINISH_NEVER, CALL_FINISH(%rsp)
        je blocking_call_return
1:      movq %rax, CALL_RESULT(%rsp)
        movl $FINISH_CALL, %eax
        syscall                         /* caught; goes on at return_rip by itself */
blocking_call_finish:
        ud2
blocking_call_return:
        movq CALL_ARGUMENTS + 0(%rsp), %rdi
        movq CALL_ARGUMENTS + 8(%rsp), %rsi
        movq CALL_ARGUMENTS + 16(%rsp), %rdx
        movq CALL_ARGUMENTS + 24(%rsp), %r10
        movq CALL_ARGUMENTS + 32(%rsp), %r8
        movq CALL_ARGUMENTS + 40(%rsp), %r9
        movq CALL_RETURN_RIP(%rsp), %rcx
        .cfi_register 16, 2             /* the return address is in %rcx */
        leaq CALL_FLAGS(%rsp), %rsp
        .cfi_escape 0x0f, 0x03, 0x77, 0x18, 0x06
        popfq
        .cfi_escape 0x0f, 0x03, 0x77, 0x10, 0x06
        movq CALL_RETURN_RSP - CALL_FLAGS - 8(%rsp), %rsp
        .cfi_def_cfa %rsp, 0
        jmpq *%rcx
        .cfi_endproc
        .size blocking_call, . - blocking_call

        .p2align 4
unmap_own_stack:
        syscall
unmap_own_stack_done:
        jmpq *%r9

        .p2align 4
exit_without_stack:
        xorl %edi, %edi
        movl $60, %eax
        syscall                         /* let through by the filter */
exit_done:
        ud2

        .macro offset_of label          /* from the start of the vdso */
        .quad \label - text_start + TEXT_OFFSET
        .endm

        .data
        .hidden vdso_table
        .globl vdso_table
vdso_table:
        .quad TABLE_MAGIC
        .long 3                         /* version */
        .long 5                         /* functions */
        .quad 0, 0, 0, 0, 0             /* filled at each start and restart */
        offset_of call_clock_gettime
        offset_of call_gettimeofday
        offset_of call_time
        offset_of call_clock_getres
        offset_of call_getcpu
        offset_of blocking_call
        offset_of blocking_call_done
        offset_of blocking_call_finish
        offset_of blocking_call_return
        offset_of unmap_own_stack
        offset_of unmap_own_stack_done
        offset_of exit_without_stack
        offset_of exit_done
        offset_of forward_begin
        offset_of forward_end
        offset_of after_kernel_call
        .quad 0, 0

        .section .note.GNU-stack, "", @progbits
