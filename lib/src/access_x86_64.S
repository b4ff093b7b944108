/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See access.h. No function here moves the stack pointer or keeps anything in a
 * register that the caller owns, so from any of its instructions an exit
 * returns to the caller.
 */
#define EIO 5

	/* The one instruction that touches the device, and where SIGBUS leads to. */
	.macro DEVICE exit, insn:vararg
.Laccess\@:
	\insn
	.pushsection barbuf_fixup, "a", @progbits
	.long .Laccess\@ - .
	.long \exit - .
	.popsection
	.endm

	.macro FUNC name
	.globl \name
	.type \name, @function
	.p2align 4
\name:
	.cfi_startproc
	endbr64
	.endm

	.macro END name
	.cfi_endproc
	.size \name, . - \name
	.endm

	.macro PRIVATE name
	.hidden \name
	FUNC \name
	.endm

	.section barbuf_fixup, "a", @progbits
	.p2align 2
	.globl barbuf__fixups
	.hidden barbuf__fixups
barbuf__fixups:

	.text
	.type barbuf__failed, @function
barbuf__failed:
	.cfi_startproc
.Lfailed_avx:
	vzeroupper
.Lfailed:
	movl $-EIO, %eax
	ret
	END barbuf__failed

	/* int barbuf_readN(const volatile void *addr: rdi, uintN_t *value: rsi) */
	FUNC barbuf_read8
	DEVICE .Lfailed, movzbl (%rdi), %eax
	movb %al, (%rsi)
	xorl %eax, %eax
	ret
	END barbuf_read8

	FUNC barbuf_read16
	DEVICE .Lfailed, movzwl (%rdi), %eax
	movw %ax, (%rsi)
	xorl %eax, %eax
	ret
	END barbuf_read16

	FUNC barbuf_read32
	DEVICE .Lfailed, movl (%rdi), %eax
	movl %eax, (%rsi)
	xorl %eax, %eax
	ret
	END barbuf_read32

	FUNC barbuf_read64
	DEVICE .Lfailed, movq (%rdi), %rax
	movq %rax, (%rsi)
	xorl %eax, %eax
	ret
	END barbuf_read64

	/* int barbuf_writeN(volatile void *addr: rdi, uintN_t value: rsi) */
	FUNC barbuf_write8
	DEVICE .Lfailed, movb %sil, (%rdi)
	xorl %eax, %eax
	ret
	END barbuf_write8

	FUNC barbuf_write16
	DEVICE .Lfailed, movw %si, (%rdi)
	xorl %eax, %eax
	ret
	END barbuf_write16

	FUNC barbuf_write32
	DEVICE .Lfailed, movl %esi, (%rdi)
	xorl %eax, %eax
	ret
	END barbuf_write32

	FUNC barbuf_write64
	DEVICE .Lfailed, movq %rsi, (%rdi)
	xorl %eax, %eax
	ret
	END barbuf_write64

	/* One step of a copy, by a load and a store of which one is the device's. */
	.macro STEP size
	addq $\size, %rdi
	addq $\size, %rsi
	subq $\size, %rdx
	.endm

	.macro FROM_1
	DEVICE .Lfailed, movzbl (%rsi), %eax
	movb %al, (%rdi)
	STEP 1
	.endm

	.macro FROM_8
	DEVICE .Lfailed, movq (%rsi), %rax
	movq %rax, (%rdi)
	STEP 8
	.endm

	.macro TO_1
	movzbl (%rsi), %eax
	DEVICE .Lfailed, movb %al, (%rdi)
	STEP 1
	.endm

	.macro TO_8
	movq (%rsi), %rax
	DEVICE .Lfailed, movq %rax, (%rdi)
	STEP 8
	.endm

	/* Bytes up to a multiple of 8 at the device, words of 8, and the bytes left. */
	.macro COPY dir, device
.L\dir\()_head:
	testq %rdx, %rdx
	jz .L\dir\()_done
	testb $7, \device
	jz .L\dir\()_words
	\dir\()_1
	jmp .L\dir\()_head
.L\dir\()_words:
	cmpq $8, %rdx
	jb .L\dir\()_tail
	\dir\()_8
	jmp .L\dir\()_words
.L\dir\()_tail:
	testq %rdx, %rdx
	jz .L\dir\()_done
	\dir\()_1
	jmp .L\dir\()_tail
.L\dir\()_done:
	xorl %eax, %eax
	ret
	.endm

	/* int barbuf_copy_from(void *dst: rdi, const volatile void *src: rsi, size_t len: rdx) */
	FUNC barbuf_copy_from
	COPY FROM, %sil
	END barbuf_copy_from

	/* int barbuf_copy_to(volatile void *dst: rdi, const void *src: rsi, size_t len: rdx) */
	FUNC barbuf_copy_to
	COPY TO, %dil
	END barbuf_copy_to

	/* int barbuf__store64b_KIND(volatile void *dst: rdi, const void *src: rsi) */
	PRIVATE barbuf__store64b_8x8
	movq (%rsi), %rax
	movq 8(%rsi), %rcx
	movq 16(%rsi), %rdx
	movq 24(%rsi), %r8
	movq 32(%rsi), %r9
	movq 40(%rsi), %r10
	movq 48(%rsi), %r11
	movq 56(%rsi), %rsi
	DEVICE .Lfailed, movq %rax, (%rdi)
	DEVICE .Lfailed, movq %rcx, 8(%rdi)
	DEVICE .Lfailed, movq %rdx, 16(%rdi)
	DEVICE .Lfailed, movq %r8, 24(%rdi)
	DEVICE .Lfailed, movq %r9, 32(%rdi)
	DEVICE .Lfailed, movq %r10, 40(%rdi)
	DEVICE .Lfailed, movq %r11, 48(%rdi)
	DEVICE .Lfailed, movq %rsi, 56(%rdi)
	xorl %eax, %eax
	ret
	END barbuf__store64b_8x8

	PRIVATE barbuf__store64b_avx2
	vmovdqu (%rsi), %ymm0
	vmovdqu 32(%rsi), %ymm1
	DEVICE .Lfailed_avx, vmovdqa %ymm0, (%rdi)
	DEVICE .Lfailed_avx, vmovdqa %ymm1, 32(%rdi)
	vzeroupper
	xorl %eax, %eax
	ret
	END barbuf__store64b_avx2

	PRIVATE barbuf__store64b_avx512
	vmovdqu64 (%rsi), %zmm0
	DEVICE .Lfailed_avx, vmovdqa64 %zmm0, (%rdi)
	vzeroupper
	xorl %eax, %eax
	ret
	END barbuf__store64b_avx512

	/*
	 * One instruction that reads memory and writes to the device. Memory is
	 * read first, so that a fault on that side is not taken for the device's.
	 */
	PRIVATE barbuf__store64b_movdir64b
	movb (%rsi), %al
	movb 63(%rsi), %al
	DEVICE .Lfailed, movdir64b (%rsi), %rdi
	xorl %eax, %eax
	ret
	END barbuf__store64b_movdir64b

	.section barbuf_fixup, "a", @progbits
	.globl barbuf__fixups_end
	.hidden barbuf__fixups_end
barbuf__fixups_end:

	/* Fit for indirect branch tracking and shadow stacks, the latter also by way of an exit. */
	.section .note.gnu.property, "a", @note
	.p2align 3
	.long 4
	.long 16
	.long 5			/* NT_GNU_PROPERTY_TYPE_0 */
	.asciz "GNU"
	.long 0xc0000002	/* GNU_PROPERTY_X86_FEATURE_1_AND */
	.long 4
	.long 3			/* IBT, SHSTK */
	.long 0

	.section .note.GNU-stack, "", @progbits
