/* SPDX-License-Identifier: Apache-2.0 */
#include "stackkey.h"

#include <string.h>

enum { PACKED = 1 };
#define KERNEL_TOP 0xffffffff80000000ull
#define HALF       0x80000000ull

/*
 * 32 bits for an address: 0 is 0, the upper half is the kernel's, the lower half counts from base,
 * by one more so that base itself is not 0.
 */
static bool pack_pc(uint64_t pc, uint64_t base, uint32_t *ret)
{
	if (pc >= KERNEL_TOP || pc == 0) {
		*ret = (uint32_t)pc;
		return true;
	}
	*ret = (uint32_t)(pc - base + 1);
	return pc >= base && pc - base < HALF - 1;
}

static uint64_t unpack_pc(uint32_t v, uint64_t base)
{
	if (v >= HALF)
		return KERNEL_TOP | v;
	return v ? base + v - 1 : 0;
}

size_t prowl_stackkey_pack(const struct prowl_stackkey *k, uint64_t base, uint64_t *words)
{
	size_t n = k->nkernel + k->nuser, i;

	words[1] = (uint64_t)k->labels << 32 | k->thread;
	words[2] = (uint64_t)k->nkernel << 32 | k->nuser;
	words[0] = (uint64_t)k->image << 32 | (uint64_t)k->end << 24;
	for (i = 0; base && i < n; i++) {
		uint64_t *w = &words[PROWL_KEY_HEAD + i / 2];
		uint32_t v;

		if (!pack_pc(k->pcs[i], base, &v))
			break;
		*w = i % 2 ? *w | (uint64_t)v << 32 : v;
	}
	if (base && i == n) {
		words[0] |= PACKED;
		return PROWL_KEY_HEAD + (n + 1) / 2;
	}
	memcpy(words + PROWL_KEY_HEAD, k->pcs, n * sizeof *words);
	return PROWL_KEY_HEAD + n;
}

bool prowl_stackkey_head(const uint64_t *words, size_t n, struct prowl_stackkey *k)
{
	if (n < PROWL_KEY_HEAD)
		return false;
	k->image = (uint32_t)(words[0] >> 32);
	k->end = (uint8_t)(words[0] >> 24);
	k->labels = (uint32_t)(words[1] >> 32);
	k->thread = (uint32_t)words[1];
	k->nkernel = (uint32_t)(words[2] >> 32);
	k->nuser = (uint32_t)words[2];
	return k->nkernel <= PROWL_MAX_KERNEL && k->nuser <= PROWL_MAX_USER;
}

bool prowl_stackkey_unpack(const uint64_t *words, size_t n, uint64_t base, struct prowl_stackkey *k)
{
	size_t pcs = k->nkernel + k->nuser;

	if (!(words[0] & PACKED)) {
		if (n != PROWL_KEY_HEAD + pcs)
			return false;
		memcpy(k->pcs, words + PROWL_KEY_HEAD, pcs * sizeof *words);
		return true;
	}
	if (n != PROWL_KEY_HEAD + (pcs + 1) / 2)
		return false;
	for (size_t i = 0; i < pcs; i++)
		k->pcs[i] = unpack_pc((uint32_t)(words[PROWL_KEY_HEAD + i / 2] >> (i % 2 * 32)),
				      base);
	return true;
}
