/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "coderefs.h"
#include "unit_test.h"

enum { CODE = 0x401000, VARS = 0x500000, VARS_END = 0x501000, MAX = 16 };

static bool is_var(void *ctx, uint64_t target)
{
	return target >= VARS && target < VARS_END;
}

static struct uw_ref refs[MAX];

static size_t decode(uint16_t machine, const void *code, size_t len)
{
	const struct uw_ref_filter filter = {is_var, NULL};
	uint8_t *exact = malloc(len); /* so that a sanitizer sees a byte too many */
	size_t n;

	assert_non_null(exact);
	memcpy(exact, code, len);
	memset(refs, 0, sizeof refs);
	n = uw_code_refs(machine, exact, len, CODE, &filter, refs, MAX);
	free(exact);
	return n;
}

/* One instruction of amd64: before, then the displacement to target, then after. */
static size_t one(const char *before, size_t nbefore, uint64_t target, const char *after,
		  size_t nafter)
{
	int32_t disp = (int32_t)(target - (CODE + nbefore + 4 + nafter));
	uint8_t code[16];

	memcpy(code, before, nbefore);
	memcpy(code + nbefore, &disp, 4);
	memcpy(code + nbefore + 4, after, nafter);
	return decode(EM_X86_64, code, nbefore + 4 + nafter);
}

static void assert_ref(size_t i, uint8_t kind, uint8_t width, uint64_t target)
{
	assert_int_equal(refs[i].kind, kind);
	assert_int_equal(refs[i].width, width);
	assert_int_equal(refs[i].target, target);
}

TEST(amd64_instructions)
{
	assert_int_equal(one("\x48\x8b\x05", 3, VARS, "", 0), 1);
	assert_ref(0, UW_REF_LOAD, 8, VARS);
	assert_int_equal(refs[0].at, 1);
	assert_int_equal(refs[0].next, 7);
	assert_int_equal(one("\x8b\x15", 2, VARS + 4, "", 0), 1);
	assert_ref(0, UW_REF_LOAD, 4, VARS + 4);
	assert_int_equal(one("\x48\x63\x0d", 3, VARS, "", 0), 1);
	assert_ref(0, UW_REF_SIGNED, 4, VARS);
	assert_int_equal(one("\x48\x89\x0d", 3, VARS, "", 0), 1);
	assert_ref(0, UW_REF_STORE, 8, VARS);
	assert_int_equal(one("\x4c\x8d\x05", 3, VARS, "", 0), 1);
	assert_ref(0, UW_REF_LEA, 8, VARS);
	assert_int_equal(one("\x48\x83\x3d", 3, VARS, "\x7f", 1), 1);
	assert_ref(0, UW_REF_CMP, 8, VARS);
	assert_true(refs[0].has_imm);
	assert_int_equal(refs[0].imm, 0x7f);
	assert_int_equal(one("\x83\x3d", 2, VARS, "\xff", 1), 1);
	assert_ref(0, UW_REF_CMP, 4, VARS);
	assert_int_equal(refs[0].imm, -1);
	assert_int_equal(one("\xc7\x05", 2, VARS, "\x10\x27\x00\x00", 4), 1);
	assert_ref(0, UW_REF_STORE, 4, VARS);
	assert_int_equal(refs[0].imm, 10000);
}

TEST(amd64_what_is_none)
{
	assert_int_equal(one("\x48\x8b\x05", 3, VARS_END, "", 0), 0); /* not wanted */
	assert_int_equal(one("\x48\x8b\x45", 3, VARS, "", 0), 0);     /* relative to BP */
	assert_int_equal(one("\x48\x83\x05", 3, VARS, "\x01", 1), 0); /* ADD */
	assert_int_equal(one("\xc7\x0d", 2, VARS, "\x10\x27\x00\x00", 4), 0);
	/* Cut off within its number. */
	assert_int_equal(one("\x48\x83\x3d", 3, VARS, "", 0), 0);
	assert_int_equal(one("\xc7\x05", 2, VARS, "\x10\x27", 2), 0);
	assert_int_equal(decode(EM_X86_64, "\x8b\x05\x00\x00\x00", 5), 0);
	assert_int_equal(decode(EM_386, "\x8b\x05\xfa\xef\x0f\x00", 6), 0);
}

static uint32_t adrp(unsigned int rd, uint64_t page)
{
	int64_t pages = (int64_t)((page & ~0xfffull) - CODE) >> 12;

	return 0x90000000u | (uint32_t)(pages & 3) << 29 | (uint32_t)(pages >> 2 & 0x7ffff) << 5 |
	       rd;
}

static uint32_t add(unsigned int rd, unsigned int rn, unsigned int imm)
{
	return 0x91000000u | imm << 10 | rn << 5 | rd;
}

static uint32_t ldr(unsigned int rt, unsigned int rn, unsigned int off)
{
	return 0xf9400000u | off / 8 << 10 | rn << 5 | rt;
}

static uint32_t str32(unsigned int rt, unsigned int rn, unsigned int off)
{
	return 0xb9000000u | off / 4 << 10 | rn << 5 | rt;
}

static size_t arm64(const uint32_t *code, size_t n)
{
	return decode(EM_AARCH64, code, n * sizeof *code);
}

TEST(arm64_loads_and_stores)
{
	/* The two ways in which Go loads a variable. */
	const uint32_t assembler[] = {adrp(27, VARS), add(27, 27, 0x10), ldr(0, 27, 0)};
	const uint32_t linker[] = {adrp(0, VARS), ldr(0, 0, 0x18)};
	const uint32_t imm[] = {0x52800000u | 10000 << 5 | 3, adrp(27, VARS), str32(3, 27, 0x38)};
	const uint32_t ldar[] = {adrp(1, VARS), add(1, 1, 8), 0x88dffc00u | 1 << 5 | 2};
	const uint32_t stlr[] = {adrp(1, VARS), add(1, 1, 8), 0xc89ffc00u | 1 << 5 | 2};
	const uint32_t ldp[] = {adrp(5, VARS), add(27, 5, 0x20),
				0xa9400000u | 1 << 15 | 7 << 10 | 27 << 5 | 6};

	assert_int_equal(arm64(assembler, 3), 1);
	assert_ref(0, UW_REF_LOAD, 8, VARS + 0x10);
	assert_int_equal(arm64(linker, 2), 1);
	assert_ref(0, UW_REF_LOAD, 8, VARS + 0x18);
	assert_int_equal(arm64(imm, 3), 1);
	assert_ref(0, UW_REF_STORE, 4, VARS + 0x38);
	assert_true(refs[0].has_imm);
	assert_int_equal(refs[0].imm, 10000);
	assert_int_equal(arm64(ldar, 3), 2);
	assert_ref(0, UW_REF_LEA, 8, VARS + 8);
	assert_ref(1, UW_REF_LOAD, 4, VARS + 8);
	assert_int_equal(arm64(stlr, 3), 2);
	assert_ref(1, UW_REF_STORE, 8, VARS + 8);
	assert_int_equal(arm64(ldp, 3), 2);
	assert_ref(0, UW_REF_LOAD, 8, VARS + 0x28);
	assert_ref(1, UW_REF_LOAD, 8, VARS + 0x30);
}

TEST(arm64_forgets_what_is_overwritten)
{
	const uint32_t loaded[] = {adrp(0, VARS), ldr(0, 0, 8), ldr(1, 0, 8)};
	const uint32_t moved[] = {adrp(0, VARS), 0xaa0203e0u /* MOV x0, x2 */, ldr(1, 0, 8)};
	const uint32_t called[] = {adrp(0, VARS), 0x94000000u /* BL */, ldr(1, 0, 8)};

	assert_int_equal(arm64(loaded, 3), 1);
	assert_int_equal(arm64(moved, 3), 0);
	assert_int_equal(arm64(called, 3), 1);
}

TEST(no_more_than_asked)
{
	const struct uw_ref_filter filter = {is_var, NULL};
	uint8_t code[10 * 7];

	for (size_t i = 0; i < 10; i++) {
		int32_t disp = (int32_t)(VARS - (CODE + i * 7 + 7));

		memcpy(code + i * 7, "\x48\x8b\x05", 3);
		memcpy(code + i * 7 + 3, &disp, 4);
	}
	assert_int_equal(uw_code_refs(EM_X86_64, code, sizeof code, CODE, &filter, refs, 4), 4);
	assert_int_equal(uw_code_refs(EM_X86_64, code, sizeof code, CODE, &filter, refs, MAX), 10);
}
