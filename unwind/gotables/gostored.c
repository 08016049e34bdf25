/* SPDX-License-Identifier: Apache-2.0 */
#include "gostored.h"

#include <string.h>

bool uw_go_keeps_wrapper(const char *callee)
{
	return !strcmp(callee, "runtime.gopanic") || !strcmp(callee, "runtime.sigpanic") ||
	       !strcmp(callee, "runtime.panicwrap");
}

bool uw_gostored_place(const struct uw_go *go, uint64_t bias, uint64_t word, bool keep_wrapper,
		       struct uw_gostored *ret)
{
	struct uw_go_frame frames[UW_MAX_INLINE];
	struct uw_go_func f;
	uint64_t pc = word - bias;
	size_t n;

	if (!uw_go_func_at(go, pc, &f))
		return false;
	if (pc > f.entry) /* it never is the entry, but Go looks there if it is */
		pc--;
	ret->pc = pc + bias;
	ret->nframes = ret->nfollow = 0;
	ret->root = f.special == UW_GO_GOEXIT;
	if (ret->root)
		return true;
	n = uw_go_frames(go, &f, pc, frames, UW_MAX_INLINE);
	for (size_t i = 0; i < n; i++) {
		bool shown = !frames[i].wrapper || keep_wrapper;

		keep_wrapper = uw_go_keeps_wrapper(frames[i].frame.name);
		if (!shown)
			continue;
		ret->frames[ret->nframes++] = frames[i];
		if (i > 0)
			ret->follow[ret->nfollow++] = frames[i].pc + 1 + bias;
	}
	return true;
}

size_t uw_gostored_passed(const uint64_t *follow, size_t nfollow, const uint64_t *words, size_t n)
{
	size_t i = 0;

	while (i < nfollow && i < n && words[i] == follow[i])
		i++;
	return i;
}

bool uw_gostored_in_runtime(const struct uw_go *go, uint64_t bias, uint64_t word)
{
	struct uw_go_frame frames[2]; /* the innermost, and the physical function */
	const char *name;
	struct uw_go_func f;

	if (!uw_go_func_at(go, word - bias, &f))
		return false;
	uw_go_frames(go, &f, word - bias, frames, 2);
	name = frames[0].frame.name;
	return !strncmp(name, "runtime.", 8) || !strncmp(name, "internal/runtime/", 17);
}
