/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that is known of a machine: one const object a file (arch_amd64.c, arch_arm64.c). It is about
 * bytes and registers only, never about files, address spaces or versions of Go.
 *
 * To add a machine:
 *  1. arch_NAME.c with its struct uw_arch, a row in uw_arch_of (arch.c) and in enum uw_machine.
 * Give the registers a place in struct uw_regs (regs.h).
 *  2. The fields of the first two groups are enough for files, core files without registers,
 *     goroutines at rest and the runtime's variables. A suite as tests/run arm64 shows it.
 *  3. The fields of the third group, then perf_regs, are for samples of live processes. perf_regs
 *     must give the registers in the order of struct uw_regs; where the kernel's order is another
 *     one, profiler/samplers/perf_record.c has to sort them.
 *  4. Columns by enum uw_machine: the recipes in goruntime/goglobals_code.c.
 *
 * Not here, because only amd64 has it and nothing would share it: the BPF program that reads the
 * kernel's struct pt_regs (profiler/samplers/bpf_program.c), the address from which on the kernel's
 * text lies (profiler/stacks/stackkey.c, which is free of libraries), the fences of
 * profiler/stacks/stackhash.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coderefs.h"
#include "regs.h"

enum uw_machine { UW_AMD64, UW_ARM64, UW_MACHINES };

/* Where handlers of signals return to in a libc that doesn't describe it, and what is on top of the
 * stack then: a struct ucontext of the kernel, with the registers as words. */
struct uw_sigreturn {
	uint8_t code[16];
	uint8_t len;
	uint16_t regs; /* bytes from SP to the words */
	uint8_t nwords;
	uint8_t word[UW_SLOTS];
};

/* What runtime/cgo.crosscall2 keeps of C's registers, right above the arguments of its call. */
struct uw_crosscall {
	uint8_t at; /* bytes from its SP at that call */
	uint8_t n;
	uint8_t slot[UW_SLOTS];
};

enum { UW_ARCH_NO_SLOT = UW_SLOTS };

struct uw_arch {
	/* --- files --- */
	enum uw_machine id;
	uint16_t machine; /* e_machine of ELF */
	const char *name; /* Go's: "amd64" */
	uint8_t quantum;  /* bytes: deltas of pcs in Go's tables count these */
	/* The kernel's words of each register, in struct elf_prstatus; NULL: not known yet. */
	const uint8_t *user_regs;
	uint8_t user_tls; /* the same of the thread's own storage */

	/* --- Go --- */
	bool link_register; /* a call leaves its return address in a register, not on the stack */
	/* runtime.cputicks: nanoseconds, or a counter of the processor, read by `ticks`; that is
	 * NULL on another machine. */
	bool ticks_are_ns;
	uint64_t (*ticks)(void);
	/* The references of code[0..len), which lies at addr (coderefs.h). */
	void (*refs)(const uint8_t *code, size_t len, uint64_t addr, struct uw_ref_out *out);
	/* An exchange of a register and memory is next: a store whose address was taken before.
	 * NULL: coderefs knows its stores by themselves. */
	bool (*is_exchange)(const uint8_t *code, size_t n);

	/* --- stacks of running threads --- */
	uint64_t perf_regs; /* sample_regs_user for struct uw_regs; 0: live profiles are to come */
	uint8_t max_call;   /* bytes of the longest call */
	uint8_t call_len;   /* of a direct one; 0: none of what follows is known */
	/* Do the n bytes at code end with a call? n <= max_call. */
	bool (*ends_in_call)(const uint8_t *code, size_t n);
	/* Target of the direct call in the call_len bytes that end at `end`; 0: no direct call. */
	uint64_t (*call_target)(const uint8_t *code, uint64_t end);
	/* Target of the jump in runtime.morestack_noctxt, whose noctxt_len bytes end at `end`; 0:
	 * it is another function. */
	uint8_t noctxt_len;
	uint64_t (*noctxt_target)(const uint8_t *code, uint64_t end);
	/* The prologue of go1.20 and older, after making the frame: stores the frame pointer. */
	uint8_t save_len;
	bool (*saves_fp)(const uint8_t *code);
	bool follows_fp; /* stacks are followed by frame pointers: what chains skip is put back */
	const struct uw_crosscall *crosscall;

	/* --- C --- */
	const uint8_t *dwarf_slots; /* by DWARF's number of a register */
	size_t ndwarf_slots;
	bool signs_returns; /* DW_CFA_AARCH64_negate_ra_state, which is something else elsewhere */
	/* Is code[0..n) a stub of the procedure linkage table that has not touched the stack? NULL:
	 * not known. */
	bool (*is_stub)(const uint8_t *code, size_t n);
	const struct uw_sigreturn *sigreturn; /* NULL: not known */
};

extern const struct uw_arch uw_arch_amd64, uw_arch_arm64;

/* By e_machine of ELF; NULL: not supported. */
const struct uw_arch *uw_arch_of(uint16_t machine);

/* Of the processes of this machine; NULL: not supported. */
static inline const struct uw_arch *uw_arch_host(void)
{
#if defined(__x86_64__)
	return &uw_arch_amd64;
#elif defined(__aarch64__)
	return &uw_arch_arm64;
#else
	return NULL;
#endif
}

/* sample_regs_user here; 0: samples of live processes can't be walked. */
static inline uint64_t uw_arch_perf_regs(void)
{
	const struct uw_arch *a = uw_arch_host();

	return a ? a->perf_regs : 0;
}

static inline uint8_t uw_arch_slot(const struct uw_arch *a, uint64_t column)
{
	return column < a->ndwarf_slots ? a->dwarf_slots[column] : UW_ARCH_NO_SLOT;
}
