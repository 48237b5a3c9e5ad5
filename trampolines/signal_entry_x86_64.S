/* SPDX-License-Identifier: BSD-3-Clause
 *
 * mana_signal_entry(int signal, siginfo_t *info, ucontext_t *context): the kernel calls it for every signal that
 * the application handles.
 *
 * Upper %fs (the usual case): tail jump to the application's handler.  %rdi, %rsi, %rdx, %rax = 0 and the stack are as the
 * kernel made them; the return address is the application's own restorer.  Nothing of ours stays on the stack.
 *
 * Lower %fs (the signal interrupted a crossing): %fs becomes the upper base of the thread's record, the handler is called, and
 * %fs becomes what it was.  All other registers may be spoilt: rt_sigreturn loads every one of them from the frame.
 * A handler that leaves by siglongjmp leaves with its own (upper) %fs, which is right.  record->depth > 0 throughout, so
 * the checkpoint signal parks nobody here.
 *
 * Which half: %fs:0 holds the base itself (x86-64 psABI, thread control block), so a read tells it without rdfsbase.  It is
 * used only where rdfsbase may not be: %fs is 0 in a program that has not set up TLS yet.
 *
 * After a restart the sender of a signal that is this process or its parent is told by the id that the application knows
 * (kernel-loader/ids.h, tell_sender): first of all, with one store, so that a signal in between finds it done or not done.
 * A process that was launched pays nothing: the switch for it is tested together with the one for rdfsbase.
 *
 * CFI: the caller is the kernel's signal frame through the restorer, whose own unwind data (or the unwinder's knowledge
 * of the two instructions there) describes it; here only the depth of the stack matters.
 */
#include "trampolines/layout_x86_64.inc"
#include "kernel-loader/ids_layout.inc"

        .text
        .globl  mana_signal_entry
        .hidden mana_signal_entry
        .globl  mana_signal_entry_begin, mana_signal_entry_end
        .hidden mana_signal_entry_begin, mana_signal_entry_end
        .type   mana_signal_entry, @function
        .p2align 4
mana_signal_entry:
mana_signal_entry_begin:
        .cfi_startproc
        cmpw    $0, mana_signal_entry_by_call(%rip)     /* and mana_signal_entry_tells_sender behind it */
        jne     .Lspecial
        rdfsbase %r11
.Lwhich_half:
        shrq    $32, %r11
        cmpl    $(LINE >> 32), %r11d
        jae     .Llower
        cmpl    $(LINE >> 32), CONTEXT_RIP_HIGH(%rdx)
        jae     .Linterrupted_below
.Lhandler:
        movl    %edi, %r10d
        leaq    mana_signal_handlers(%rip), %r11
        movq    (%r11, %r10, 8), %r11
        jmp     *%r11

.Lspecial:
        cmpb    $0, mana_signal_entry_tells_sender(%rip)
        je      .Ltold
        movl    SIGINFO_CODE(%rsi), %r10d
        negl    %r10d
        cmpl    $SENDER_CODES_LAST, %r10d
        ja      .Ltold
        movl    $SENDER_CODES, %r11d
        btl     %r10d, %r11d
        jnc     .Ltold
        cmpl    $SENDER_IS_TOLD, SIGINFO_TOLD(%rsi)
        je      .Ltold
        movl    SIGINFO_TOLD + 4(%rsi), %r11d
        leaq    mana_process_ids(%rip), %r10
        cmpl    (%r10), %r11d
        je      1f
        cmpl    8(%r10), %r11d
        jne     .Ltold
        addq    $8, %r10
1:      movl    4(%r10), %r11d
        shlq    $32, %r11
        orq     $SENDER_IS_TOLD, %r11
        movq    %r11, SIGINFO_TOLD(%rsi)
.Ltold:
        cmpb    $0, mana_signal_entry_by_call(%rip)
        jne     1f
        rdfsbase %r11
        jmp     .Lwhich_half
1:      movq    %fs:0, %r11
        jmp     .Lwhich_half
mana_signal_entry_end:

        /* Upper %fs, but the signal came in lower text that is called without a switch.  The frame must not send the thread
         * back there after a restart: mana_interrupted_below gets the chance to change it, or to have the signal wait. */
.Linterrupted_below:
        movq    mana_interrupted_below(%rip), %r11
        testq   %r11, %r11
        je      .Lhandler
        pushq   %rdi
        .cfi_adjust_cfa_offset 8
        pushq   %rsi
        .cfi_adjust_cfa_offset 8
        pushq   %rdx
        .cfi_adjust_cfa_offset 8
        call    *%r11
        popq    %rdx
        .cfi_adjust_cfa_offset -8
        popq    %rsi
        .cfi_adjust_cfa_offset -8
        popq    %rdi
        .cfi_adjust_cfa_offset -8
        testb   %al, %al
        jne     1f
        xorl    %eax, %eax
        jmp     .Lhandler
1:      ret                             /* the signal waits; to the restorer */

.Llower:
        movq    mana_current_record@gottpoff(%rip), %rbx
        movq    %fs:(%rbx), %rbx
        testq   %rbx, %rbx
        je      .Lforeign
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        movl    %edi, %r12d
        movq    %rsi, %r13
        movq    %rdx, %r14
        movq    RECORD_UPPER_FS(%rbx), %rsi
        call    .Lset_fs
        movl    %r12d, %edi
        movl    %edi, %r10d
        leaq    mana_signal_handlers(%rip), %r11
        movq    (%r11, %r10, 8), %r11
        movq    %r13, %rsi
        movq    %r14, %rdx
        xorl    %eax, %eax
        call    *%r11
        movq    RECORD_LOWER_FS(%rbx), %rsi
        call    .Lset_fs
        addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
        ret

        /* A thread of the MPI library, which no handler of the application can run on. */
.Lforeign:
        jmp     mana_signal_in_lower_thread
        .cfi_endproc
        .size   mana_signal_entry, . - mana_signal_entry

        /* %rsi: the new base.  Clobbers %rax, %rcx, %rdi, %r11. */
        .type   .Lset_fs, @function
.Lset_fs:
        .cfi_startproc
        cmpb    $0, mana_signal_entry_by_call(%rip)
        jne     1f
        wrfsbase %rsi
        ret
1:      movl    $ARCH_SET_FS, %edi
        movl    $NR_arch_prctl, %eax
        syscall
        ret
        .cfi_endproc

        .bss
        .p2align 3
        .globl  mana_interrupted_below
        .hidden mana_interrupted_below
        .type   mana_interrupted_below, @object
        .size   mana_interrupted_below, 8
mana_interrupted_below:
        .zero   8
        .globl  mana_signal_entry_by_call
        .hidden mana_signal_entry_by_call
        .type   mana_signal_entry_by_call, @object
        .size   mana_signal_entry_by_call, 1
        .globl  mana_signal_entry_tells_sender
        .hidden mana_signal_entry_tells_sender
        .type   mana_signal_entry_tells_sender, @object
        .size   mana_signal_entry_tells_sender, 1
        .p2align 1
mana_signal_entry_by_call:
        .zero   1
mana_signal_entry_tells_sender:
        .zero   1

        .section .note.GNU-stack, "", @progbits
