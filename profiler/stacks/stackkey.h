/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What distinguishes one stack from another, and its form as words of the stack hash.
 *
 *	[0] image << 32 | end << 24 | flags and the numbers of kernel and user addresses
 *	[1] labels << 32 | number of the thread; only where one of them is not 0
 *	... the addresses, leaf first, kernel before user
 *
 * Packed, two addresses share a word: those of the kernel and its modules lie in the top 2 GB of
 * the address space (amd64), those of Go in less than 2 GB from the image's `base`. A stack that
 * has others (C libraries, a JIT) takes a word for each. Half the words are half the memory that a
 * window touches.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PROWL_KEY_HEAD = 2, /* at most */
	PROWL_MAX_KERNEL = 256,
	PROWL_MAX_USER = 640,
	PROWL_KEY_WORDS = PROWL_KEY_HEAD + PROWL_MAX_KERNEL + PROWL_MAX_USER,
};

struct prowl_stackkey {
	uint32_t image, labels, thread;
	uint8_t end; /* enum uw_end */
	uint32_t nkernel, nuser;
	uint64_t pcs[PROWL_MAX_KERNEL + PROWL_MAX_USER]; /* kernel, then user; 0: not known */
};

/* Writes k as words; returns their number. base: the same for one image always; 0: don't pack. */
size_t prowl_stackkey_pack(const struct prowl_stackkey *k, uint64_t base, uint64_t *words);
/* Reads the head: its image has the base to give to unpack. False for words that are no key. */
bool prowl_stackkey_head(const uint64_t *words, size_t n, struct prowl_stackkey *k);
/* The first `want` addresses, or all if they are fewer, after the head. */
bool prowl_stackkey_unpack(const uint64_t *words, size_t n, uint64_t base, size_t want,
			   struct prowl_stackkey *k);
