/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kept file of kernel symbols that the input has changed. The checksums are put right again for
 * every other input, so that what is behind them is reached.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kallsyms_file.c" /* for its checksums */

enum { MAX_BYTES = 1 << 16, ADDRESSES = 24 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct uw_kallsyms_key key = {1, 2, 3};

static void put_text(int fd)
{
	for (unsigned int i = 0; i < 900; i++)
		dprintf(fd, "%016llx %c symbol_%u%s\n", 0xffffffff81000000ull + i * 64ull,
			i % 3 ? 't' : 'T', i,
			i < 600   ? ""
			: i < 750 ? "\t[ext4]"
				  : "\t[xfs]");
	if (lseek(fd, 0, SEEK_SET) < 0)
		abort();
}

/* A sound file's bytes, made once. */
static const uint8_t *sound(size_t *len)
{
	static uint8_t bytes[MAX_BYTES];
	static size_t n;

	if (n == 0) {
		int text = memfd_create("text", MFD_CLOEXEC), fd = memfd_create("f", MFD_CLOEXEC);
		struct uw_kallsyms *k;
		ssize_t r;

		put_text(text);
		if (uw_kallsyms_read(text, &k) < 0 || uw_kallsyms_save(k, &key, fd) < 0)
			abort();
		r = pread(fd, bytes, sizeof bytes, 0);
		if (r <= 0 || (size_t)r == sizeof bytes)
			abort();
		n = (size_t)r;
		uw_kallsyms_free(k);
		close(text);
		close(fd);
	}
	*len = n;
	return bytes;
}

/* As the writer makes them, wherever the head leads to. */
static void put_sums_right(uint8_t *b, size_t len)
{
	struct head h;
	struct block blk;
	size_t index = sizeof h, index_len;

	memcpy(&h, b, sizeof h);
	index_len = (size_t)h.nblocks * sizeof blk + h.modules_len;
	if (h.nblocks > len / sizeof blk || h.modules_len > len || index + index_len > len)
		return;
	for (size_t i = 0; i < h.nblocks; i++) {
		memcpy(&blk, b + index + i * sizeof blk, sizeof blk);
		if (blk.off <= len && blk.len <= len - blk.off)
			blk.sum = sum_of(b + blk.off, blk.len, 0);
		memcpy(b + index + i * sizeof blk, &blk, sizeof blk);
	}
	h.index_sum = sum_of(b + index, index_len, 0);
	h.sum = sum_of(&h, offsetof(struct head, sum), 0);
	memcpy(b, &h, sizeof h);
}

static void look(const uint8_t *bytes, size_t len)
{
	int fd = memfd_create("cache", MFD_CLOEXEC);
	uint64_t pcs[ADDRESSES];
	struct uw_kallsyms *k;

	if (fd < 0 || write(fd, bytes, len) != (ssize_t)len)
		abort();
	for (size_t i = 0; i < ADDRESSES; i++)
		pcs[i] = 0xffffffff81000000ull + i * 2500;
	if (uw_kallsyms_load(fd, &key, pcs, ADDRESSES, &k) == 0) {
		for (size_t i = 0; i < ADDRESSES; i++) {
			const char *module = NULL;
			const char *name = uw_kallsyms_name(k, pcs[i], &module, NULL);

			if (name && strlen(name) + (module ? strlen(module) : 0) > len)
				abort();
		}
		uw_kallsyms_free(k);
	}
	close(fd);
}

/* Are the sums put right; then four bytes each: offset (u16), what to do, value. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t bytes[MAX_BYTES];
	size_t len;

	if (size < 2)
		return 0;
	memcpy(bytes, sound(&len), MAX_BYTES);
	for (size_t i = 2; i + 4 <= size; i += 4) {
		uint8_t *p = &bytes[(data[i] | (size_t)data[i + 1] << 8) % len];

		*p = data[i + 2] & 1 ? data[i + 3] : (uint8_t)(*p ^ data[i + 3]);
	}
	if (data[0] & 1)
		put_sums_right(bytes, len);
	look(bytes, data[0] & 2 ? len - len * data[1] / 256 : len);
	return 0;
}
