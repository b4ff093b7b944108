/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where thread_hold.c sends threads. They come with the function's arguments in their
 * registers, and the return address of its caller on the stack.
 */
#ifndef THREAD_HOLD_THUNK_H
#define THREAD_HOLD_THUNK_H

#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/unwind_hints.h>

/* Jumped to by a return, so without ENDBR. */
void thread_hold_entry(void);
void thread_hold_exit(void);

__visible void thread_hold_at_entry(unsigned long *resume);
__visible unsigned long thread_hold_before(void);
__visible void thread_hold_at_exit(void);

#define SAVE_ARGUMENTS							\
	"	pushq	%rdi\n"						\
	"	pushq	%rsi\n"						\
	"	pushq	%rdx\n"						\
	"	pushq	%rcx\n"						\
	"	pushq	%r8\n"						\
	"	pushq	%r9\n"						\
	"	pushq	%r10\n"						\
	"	pushq	%rax\n"
#define RESTORE_ARGUMENTS						\
	"	popq	%rax\n"						\
	"	popq	%r10\n"						\
	"	popq	%r9\n"						\
	"	popq	%r8\n"						\
	"	popq	%rcx\n"						\
	"	popq	%rdx\n"						\
	"	popq	%rsi\n"						\
	"	popq	%rdi\n"

asm(".pushsection .text, \"ax\", @progbits\n"
	/*
	 * Pushes a return address, which thread_hold_at_entry() makes that of the function's
	 * rest: it is what ends the thunk, and to an unwinder the function has called us.
	 */
	".type thread_hold_entry, @function\n"
	"thread_hold_entry:\n"
	ANNOTATE_NOENDBR "\n"
	"	pushq	%rax\n"
	UNWIND_HINT_FUNC
	"	pushq	%rbp\n"
	"	movq	%rsp, %rbp\n"
	SAVE_ARGUMENTS
	"	leaq	8(%rbp), %rdi\n"
	"	call	thread_hold_at_entry\n"
	RESTORE_ARGUMENTS
	"	popq	%rbp\n"
	ASM_RET
	".size thread_hold_entry, . - thread_hold_entry\n"

	/* Calls the function, whose arguments are all in registers. */
	".type thread_hold_exit, @function\n"
	"thread_hold_exit:\n"
	ANNOTATE_NOENDBR "\n"
	"	pushq	%rbp\n"
	"	movq	%rsp, %rbp\n"
	SAVE_ARGUMENTS
	"	call	thread_hold_before\n"
	"	movq	%rax, %r11\n"
	RESTORE_ARGUMENTS
	"	call	thread_hold_go\n"
	"	pushq	%rax\n"
	"	pushq	%rdx\n"
	"	call	thread_hold_at_exit\n"
	"	popq	%rdx\n"
	"	popq	%rax\n"
	"	popq	%rbp\n"
	ASM_RET
	".size thread_hold_exit, . - thread_hold_exit\n"

	/* No indirect jump: the target has no ENDBR. */
	".type thread_hold_go, @function\n"
	"thread_hold_go:\n"
	"	pushq	%r11\n"
	UNWIND_HINT_FUNC
	ASM_RET
	".size thread_hold_go, . - thread_hold_go\n"
	".popsection\n"
);

#endif
