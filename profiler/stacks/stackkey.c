/* SPDX-License-Identifier: Apache-2.0 */
#include "stackkey.h"

#include <string.h>

/* word 0: image 32 bits, end 8, two flags, nkernel 9, nuser 10 */
enum { NUSER_BITS = 10, NKERNEL_BITS = 9, PACKED = 1 << 19, HAS_IDS = 1 << 20, END_SHIFT = 24 };
#define LOW(n) ((1u << (n)) - 1)
_Static_assert(PROWL_MAX_USER <= LOW(NUSER_BITS) && PROWL_MAX_KERNEL <= LOW(NKERNEL_BITS),
	       "the numbers of addresses fit their bits");

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

/* Two addresses a word; false when one of them doesn't fit. */
static bool pack_all(const struct prowl_stackkey *k, size_t n, uint64_t base, uint64_t *words)
{
	uint32_t lo, hi;
	size_t i;

	for (i = 0; i + 1 < n; i += 2) {
		if (!pack_pc(k->pcs[i], base, &lo) || !pack_pc(k->pcs[i + 1], base, &hi))
			return false;
		*words++ = (uint64_t)hi << 32 | lo;
	}
	if (i < n && !pack_pc(k->pcs[i], base, &lo))
		return false;
	if (i < n)
		*words = lo;
	return true;
}

size_t prowl_stackkey_pack(const struct prowl_stackkey *k, uint64_t base, uint64_t *words)
{
	size_t n = k->nkernel + k->nuser, head = 1;

	words[0] = (uint64_t)k->image << 32 | (uint32_t)k->end << END_SHIFT |
		   k->nkernel << NUSER_BITS | k->nuser;
	if (k->labels || k->thread) {
		words[0] |= HAS_IDS;
		words[head++] = (uint64_t)k->labels << 32 | k->thread;
	}
	if (base && pack_all(k, n, base, words + head)) {
		words[0] |= PACKED;
		return head + (n + 1) / 2;
	}
	memcpy(words + head, k->pcs, n * sizeof *words);
	return head + n;
}

bool prowl_stackkey_head(const uint64_t *words, size_t n, struct prowl_stackkey *k)
{
	uint64_t first = n > 0 ? *(const volatile uint64_t *)words : 0;

	if (n < 1 || (n < 2 && (first & HAS_IDS)))
		return false;
	k->image = (uint32_t)(first >> 32);
	k->end = (uint8_t)(first >> END_SHIFT);
	k->nkernel = (uint32_t)first >> NUSER_BITS & LOW(NKERNEL_BITS);
	k->nuser = (uint32_t)first & LOW(NUSER_BITS);
	k->labels = first & HAS_IDS ? (uint32_t)(words[1] >> 32) : 0;
	k->thread = first & HAS_IDS ? (uint32_t)words[1] : 0;
	return k->nkernel <= PROWL_MAX_KERNEL && k->nuser <= PROWL_MAX_USER;
}

bool prowl_stackkey_unpack(const uint64_t *words, size_t n, uint64_t base, size_t want,
			   struct prowl_stackkey *k)
{
	/* Once: in shared memory it might change. */
	uint64_t first = *(const volatile uint64_t *)words;
	size_t pcs = k->nkernel + k->nuser, head = first & HAS_IDS ? 2 : 1;
	const uint64_t *w = words + head;

	if (n != head + (first & PACKED ? (pcs + 1) / 2 : pcs))
		return false;
	if (want > pcs)
		want = pcs;
	if (!(first & PACKED)) {
		memcpy(k->pcs, w, want * sizeof *words);
		return true;
	}
	for (size_t i = 0; i < want; i++)
		k->pcs[i] = unpack_pc((uint32_t)(w[i / 2] >> (i % 2 * 32)), base);
	return true;
}
