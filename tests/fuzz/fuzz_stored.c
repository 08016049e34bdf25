/* SPDX-License-Identifier: Apache-2.0 */
/* Words of a stack as a runtime stored it, of a sound binary of any layout. */
#include "fuzz_go.h"
#include "fuzz_sample.h"
#include "gostored.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void place(const struct uw_go *go, uint64_t word, bool keep, const uint64_t *rest, size_t n)
{
	struct uw_gostored p;

	uw_gostored_in_runtime(go, 0, word);
	if (!uw_gostored_place(go, 0, word, keep, &p))
		return;
	if (p.nframes > UW_MAX_INLINE || p.nfollow > UW_MAX_INLINE || (p.root && p.nframes))
		abort();
	for (size_t i = 0; i < p.nframes; i++) {
		if (strlen(p.frames[i].frame.name) == 0)
			abort();
		uw_go_keeps_wrapper(p.frames[i].frame.name);
	}
	if (uw_gostored_passed(p.follow, p.nfollow, rest, n) > n)
		abort();
}

/* The layout and a flag; then two bytes a word: how far it is from the beginning of the text. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t words[64], lo, hi;
	const struct uw_go *go;
	size_t n = 0;

	if (size < 2)
		return 0;
	go = fuzz_sample_go(data[0]);
	uw_go_text(go, &lo, &hi);
	for (size_t i = 2; i + 2 <= size && n < 64; i += 2)
		words[n++] = lo - 16 + (data[i] | (uint64_t)data[i + 1] << 8) % (hi - lo + 64);
	for (size_t i = 0; i < n; i++)
		place(go, words[i], data[1] & 1, words + i + 1, n - i - 1);
	return 0;
}
