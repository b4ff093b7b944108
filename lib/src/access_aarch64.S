/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See access.h. No function here moves the stack pointer or keeps anything in a
 * register that the caller owns, so from any of its instructions an exit
 * returns to the caller.
 */
#define EIO 5

	/* The one instruction that touches the device, and where SIGBUS leads to. */
	.macro DEVICE insn:vararg
.Laccess\@:
	\insn
	.pushsection barbuf_fixup, "a", %progbits
	.long .Laccess\@ - .
	.long .Lfailed - .
	.popsection
	.endm

	.macro FUNC name
	.globl \name
	.type \name, %function
	.p2align 4
\name:
	.cfi_startproc
	hint #34		/* bti c */
	.endm

	.macro END name
	.cfi_endproc
	.size \name, . - \name
	.endm

	.section barbuf_fixup, "a", %progbits
	.p2align 2
	.globl barbuf__fixups
	.hidden barbuf__fixups
barbuf__fixups:

	.text
	.type barbuf__failed, %function
	.p2align 4
barbuf__failed:
	.cfi_startproc
.Lfailed:
	mov w0, #-EIO
	ret
	END barbuf__failed

	.macro DONE
	mov w0, #0
	ret
	.endm

	/* int barbuf_readN(const volatile void *addr: x0, uintN_t *value: x1) */
	.macro READ name, load, store, reg
	FUNC \name
	DEVICE \load \reg, [x0]
	\store \reg, [x1]
	DONE
	END \name
	.endm

	READ barbuf_read8, ldrb, strb, w2
	READ barbuf_read16, ldrh, strh, w2
	READ barbuf_read32, ldr, str, w2
	READ barbuf_read64, ldr, str, x2

	/* int barbuf_writeN(volatile void *addr: x0, uintN_t value: x1) */
	.macro WRITE name, store, reg
	FUNC \name
	DEVICE \store \reg, [x0]
	DONE
	END \name
	.endm

	WRITE barbuf_write8, strb, w1
	WRITE barbuf_write16, strh, w1
	WRITE barbuf_write32, str, w1
	WRITE barbuf_write64, str, x1

	/* One step of a copy, by a load and a store of which one is the device's. */
	.macro STEP size
	add x0, x0, #\size
	add x1, x1, #\size
	sub x2, x2, #\size
	.endm

	.macro FROM_1
	DEVICE ldrb w3, [x1]
	strb w3, [x0]
	STEP 1
	.endm

	.macro FROM_8
	DEVICE ldr x3, [x1]
	str x3, [x0]
	STEP 8
	.endm

	.macro TO_1
	ldrb w3, [x1]
	DEVICE strb w3, [x0]
	STEP 1
	.endm

	.macro TO_8
	ldr x3, [x1]
	DEVICE str x3, [x0]
	STEP 8
	.endm

	/* Bytes up to a multiple of 8 at the device, words of 8, and the bytes left. */
	.macro COPY dir, device
.L\dir\()_head:
	cbz x2, .L\dir\()_done
	tst \device, #7
	b.eq .L\dir\()_words
	\dir\()_1
	b .L\dir\()_head
.L\dir\()_words:
	cmp x2, #8
	b.lo .L\dir\()_tail
	\dir\()_8
	b .L\dir\()_words
.L\dir\()_tail:
	cbz x2, .L\dir\()_done
	\dir\()_1
	b .L\dir\()_tail
.L\dir\()_done:
	DONE
	.endm

	/* int barbuf_copy_from(void *dst: x0, const volatile void *src: x1, size_t len: x2) */
	FUNC barbuf_copy_from
	COPY FROM, x1
	END barbuf_copy_from

	/* int barbuf_copy_to(volatile void *dst: x0, const void *src: x1, size_t len: x2) */
	FUNC barbuf_copy_to
	COPY TO, x0
	END barbuf_copy_to

	/* int barbuf__store64b_pairs(volatile void *dst: x0, const void *src: x1) */
	.hidden barbuf__store64b_pairs
	FUNC barbuf__store64b_pairs
	ldp x2, x3, [x1]
	ldp x4, x5, [x1, #16]
	ldp x6, x7, [x1, #32]
	ldp x8, x9, [x1, #48]
	DEVICE stp x2, x3, [x0]
	DEVICE stp x4, x5, [x0, #16]
	DEVICE stp x6, x7, [x0, #32]
	DEVICE stp x8, x9, [x0, #48]
	DONE
	END barbuf__store64b_pairs

	.section barbuf_fixup, "a", %progbits
	.globl barbuf__fixups_end
	.hidden barbuf__fixups_end
barbuf__fixups_end:

	/* Fit for branch target identification; a leaf has no return address to sign. */
	.section .note.gnu.property, "a", %note
	.p2align 3
	.long 4
	.long 16
	.long 5			/* NT_GNU_PROPERTY_TYPE_0 */
	.asciz "GNU"
	.long 0xc0000000	/* GNU_PROPERTY_AARCH64_FEATURE_1_AND */
	.long 4
	.long 3			/* BTI, PAC */
	.long 0

	.section .note.GNU-stack, "", %progbits
