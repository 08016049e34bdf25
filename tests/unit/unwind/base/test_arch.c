/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of each machine: the bytes of its calls, its registers, and that no table is beyond
 * what its readers have room for. */
#include <stddef.h>
#include <stdint.h>

#include <elf.h>

#include "arch.h"
#include "unit_test.h"

static const struct uw_arch *const all[] = {&uw_arch_amd64, &uw_arch_arm64};

TEST(test_find)
{
	assert_int_equal(sizeof all / sizeof *all, UW_MACHINES);
	for (size_t i = 0; i < UW_MACHINES; i++) {
		assert_ptr_equal(uw_arch_of(all[i]->machine), all[i]);
		assert_int_equal(all[i]->id, i);
		assert_non_null(all[i]->name);
		assert_non_null(all[i]->refs);
	}
	assert_null(uw_arch_of(EM_NONE));
	assert_null(uw_arch_of(EM_386));
	if (uw_arch_host())
		assert_int_equal(uw_arch_perf_regs(), uw_arch_host()->perf_regs);
}

/* What readers of the tables take for granted. */
TEST(test_tables)
{
	for (size_t i = 0; i < UW_MACHINES; i++) {
		const struct uw_arch *a = all[i];

		for (size_t k = 0; k < a->ndwarf_slots; k++)
			assert_in_range(a->dwarf_slots[k], 0, UW_ARCH_NO_SLOT);
		assert_int_equal(uw_arch_slot(a, a->ndwarf_slots), UW_ARCH_NO_SLOT);
		assert_int_equal(uw_arch_slot(a, UINT64_MAX), UW_ARCH_NO_SLOT);
		for (size_t k = 0; a->user_regs && k < UW_SLOTS; k++)
			assert_in_range(a->user_regs[k], 0, 33);
		assert_true(!a->perf_regs || __builtin_popcountll(a->perf_regs) == UW_SLOTS);
		assert_in_range(a->max_call, 0, 16);
		if (!a->call_len)
			continue;
		assert_in_range(a->call_len, 1, a->max_call);
		assert_non_null(a->ends_in_call);
		assert_non_null(a->call_target);
		assert_non_null(a->noctxt_target);
		assert_non_null(a->saves_fp);
		for (size_t k = 0; a->crosscall && k < a->crosscall->n; k++)
			assert_in_range(a->crosscall->slot[k], 0, UW_SLOTS - 1);
		if (!a->sigreturn)
			continue;
		assert_in_range(a->sigreturn->len, 1, sizeof a->sigreturn->code);
		assert_in_range(a->sigreturn->nwords, 1, 32);
		for (size_t k = 0; k < UW_SLOTS; k++)
			assert_in_range(a->sigreturn->word[k], 0, a->sigreturn->nwords - 1);
	}
}

static bool ends(const uint8_t *code, size_t n)
{
	return uw_arch_amd64.ends_in_call(code, n);
}

TEST(test_amd64_calls)
{
	static const uint8_t near[] = {0x90, 0x90, 0xe8, 1, 0, 0, 0};
	static const uint8_t indirect[] = {0xff, 0xd0};            /* call *%rax */
	static const uint8_t at_rip[] = {0xff, 0x15, 0, 0, 0, 0};  /* call *disp(%rip) */
	static const uint8_t jump[] = {0xe9, 1, 0, 0, 0};          /* jmp */
	static const uint8_t jump_indirect[] = {0x90, 0xff, 0xe0}; /* jmp *%rax */
	static const uint8_t back[] = {0xe8, 0xfb, 0xff, 0xff, 0xff};

	assert_true(ends(near, sizeof near));
	assert_true(ends(indirect, sizeof indirect));
	assert_true(ends(at_rip, sizeof at_rip));
	assert_false(ends(jump, sizeof jump));
	assert_false(ends(jump_indirect, sizeof jump_indirect));
	assert_false(ends(near, sizeof near - 1));
	assert_false(ends(near, 1));
	assert_int_equal(uw_arch_amd64.call_target(near + 2, 0x1000), 0x1001);
	assert_int_equal(uw_arch_amd64.call_target(back, 0x1005), 0x1000);
	assert_int_equal(uw_arch_amd64.call_target(jump, 0x1000), 0);
}

TEST(test_amd64_code)
{
	static const uint8_t noctxt[] = {0xba, 0, 0, 0, 0, 0xe9, 0xf6, 0xff, 0xff, 0xff};
	static const uint8_t save[] = {0x48, 0x89, 0x6c, 0x24};
	static const uint8_t load[] = {0x48, 0x8b, 0x6c, 0x24};
	static const uint8_t stub[] = {0xf3, 0x0f, 0x1e, 0xfa, 0xf2, 0xff, 0x25, 1, 2, 3, 4};
	static const uint8_t xchg[] = {0x48, 0x87};

	assert_int_equal(uw_arch_amd64.noctxt_target(noctxt, 0x2000), 0x1ff6);
	assert_int_equal(uw_arch_amd64.noctxt_target(stub, 0x2000), 0);
	assert_true(uw_arch_amd64.saves_fp(save));
	assert_false(uw_arch_amd64.saves_fp(load));
	assert_true(uw_arch_amd64.is_stub(stub, sizeof stub));
	assert_true(uw_arch_amd64.is_stub(stub + 4, sizeof stub - 4));
	assert_true(uw_arch_amd64.is_stub(stub + 5, 2));
	assert_false(uw_arch_amd64.is_stub(stub, 6)); /* cut off */
	assert_false(uw_arch_amd64.is_stub(save, sizeof save));
	assert_true(uw_arch_amd64.is_exchange(xchg, sizeof xchg));
	assert_false(uw_arch_amd64.is_exchange(xchg, 1));
}

/* DWARF's numbers of registers, as the psABIs give them. */
TEST(test_dwarf)
{
	assert_int_equal(uw_arch_slot(&uw_arch_amd64, 3), UW_BX);
	assert_int_equal(uw_arch_slot(&uw_arch_amd64, 6), UW_BP);
	assert_int_equal(uw_arch_slot(&uw_arch_amd64, 7), UW_SP);
	assert_int_equal(uw_arch_slot(&uw_arch_amd64, 15), UW_R15);
	assert_int_equal(uw_arch_slot(&uw_arch_amd64, 16), UW_IP);
	assert_int_equal(uw_arch_slot(&uw_arch_amd64, 0), UW_ARCH_NO_SLOT);
	assert_int_equal(uw_arch_slot(&uw_arch_arm64, 29), UW_BP);
	assert_int_equal(uw_arch_slot(&uw_arch_arm64, 30), UW_BX);
	assert_int_equal(uw_arch_slot(&uw_arch_arm64, 31), UW_SP);
	assert_int_equal(uw_arch_slot(&uw_arch_arm64, 0), UW_ARCH_NO_SLOT);
}
