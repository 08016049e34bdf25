/* SPDX-License-Identifier: Apache-2.0 */
/*
 * .eh_frame, .eh_frame_hdr and .debug_frame of a file hold what the target chose: whatever they
 * say, look-ups, rows and walks end, within the file and within their budget.
 *
 * Input: which sections there are; sixteen addresses (u16) to ask for, and the stack (64 bytes);
 * the sections' bytes, one after the other.
 */
#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cfi.h"
#include "cfi_row_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { BASE = 0x10000, ASKED = 16, STACK = 64, HEAD = 1 + ASKED * 2 + STACK, MAX_PCS = 32 };

static struct uw_eh_frame *tables;

static bool find(void *ctx, uint64_t pc, struct uw_eh_frame **ret, uint64_t *bias)
{
	*ret = tables;
	*bias = 0;
	return true;
}

static bool stop(void *ctx, uint64_t pc)
{
	return false;
}

static enum uw_cfi_call call(void *ctx, uint64_t ret, uint64_t *target)
{
	*target = ret & ~15ull;
	return (enum uw_cfi_call)(ret % 3);
}

static uint64_t start(void *ctx, uint64_t pc)
{
	return pc & ~15ull;
}

static void ask(const struct uw_elf *elf, uint64_t pc)
{
	uint32_t budget = 1 << 16;
	struct uw_cfi_row row;
	struct uw_fde fde;

	if (!uw_eh_frame_find(tables, pc, &fde))
		return;
	if (pc < fde.start || pc >= fde.end)
		abort();
	if (!uw_cfi_row_make(elf, &fde, pc, &budget, &row))
		return;
	if (row.cfa_slot > UW_SLOTS || row.saved & row.others || budget == 0)
		abort();
}

static void walk(const uint8_t *stack, uint64_t pc)
{
	struct uw_cfi_ops ops = {.find = find, .stop = stop, .call = call, .start = start};
	struct uw_mem_bytes copy = {BASE, stack, STACK, NULL};
	struct uw_mem mem = uw_mem_bytes(&copy);
	struct uw_regs regs = {.ip = pc, .sp = BASE, .bp = BASE + 16};
	uint64_t pcs[MAX_PCS];
	static uint64_t version;
	static struct uw_cfi *c;
	size_t n;

	if (!c && uw_cfi_new(&ops, &c) < 0)
		return;
	uw_cfi_enter(c, uw_arch_host(), ++version);
	uw_cfi_walk(c, &regs, &mem, pcs, MAX_PCS, &n);
	if (n < 1 || n > MAX_PCS || pcs[0] != pc)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	size_t n = len > HEAD ? len - HEAD : 0, third = n / 3;
	uint8_t kinds = len ? bytes[0] : 0;
	struct uw_section sections[3] = {
		{".eh_frame", BASE, 0, n - 2 * third, SHT_PROGBITS},
		{".eh_frame_hdr", BASE + n - 2 * third, n - 2 * third, third, SHT_PROGBITS},
		{".debug_frame", 0, n - third, third, SHT_PROGBITS}};
	struct uw_segment segs[2] = {{BASE, n, 0, n, PF_R}, {0, UINT64_MAX, 0, 0, PF_X}};
	struct uw_elf elf = {.bytes = bytes + HEAD,
			     .size = n,
			     .machine = EM_X86_64,
			     .nsegs = 2,
			     .segs = segs,
			     .nsections = 3,
			     .sections = sections};

	if (n == 0)
		return 0;
	for (size_t i = 0; i < 3; i++) {
		if (kinds >> i & 1)
			sections[i].name = "";
	}
	if (kinds & 8)
		elf.machine = EM_AARCH64;
	if (uw_eh_frame_new(&elf, &tables) < 0)
		return 0;
	for (size_t i = 0; i < ASKED; i++) {
		uint64_t pc = bytes[1 + 2 * i] | (uint64_t)bytes[2 + 2 * i] << 8;

		ask(&elf, pc);
		if (i == 0)
			walk(bytes + 1 + ASKED * 2, pc);
	}
	uw_eh_frame_free(tables);
	return 0;
}
