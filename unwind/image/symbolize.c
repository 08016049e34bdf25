/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static size_t symbolize_go(struct uw_space *s, const struct uw_go_module *mod, uint64_t pc,
			   struct uw_symbol *syms, size_t max)
{
	struct uw_go_frame frames[UW_MAX_INLINE];
	size_t n = uw_go_frames_at(mod->go, pc - mod->bias, &s->cursor, frames,
				   max < UW_MAX_INLINE ? max : UW_MAX_INLINE);

	for (size_t i = 0; i < n; i++)
		syms[i] = (struct uw_symbol){frames[i].frame, frames[i].wrapper};
	return n && syms[n - 1].frame.name[0] ? n : 0;
}

size_t uw_symbolize(struct uw_space *s, uint64_t pc, struct uw_symbol *syms, size_t max,
		    enum uw_kind *ret_kind, const struct uw_mapping **ret_map)
{
	struct uw_frame frames[UW_MAX_INLINE];
	struct uw_mapping *m = uw_space_at(s, pc);
	const struct uw_go_module *mod;
	const struct uw_elf *elf;
	struct uw_elfsym *sym;
	uint64_t bias;
	size_t n;

	*ret_map = m;
	*ret_kind = UW_KIND_UNKNOWN;
	if (!m || !uw_space_elf(s, m, &elf, &bias))
		return 0;
	mod = uw_space_go(s) ? uw_space_go_at(s, pc) : NULL;
	if (mod) {
		*ret_kind = UW_KIND_GO;
		return symbolize_go(s, mod, pc, syms, max);
	}
	*ret_kind = UW_KIND_NATIVE;
	sym = uw_binary_sym(m->bin);
	if (!sym)
		return 0;
	n = uw_elfsym_frames(sym, pc - bias, frames, max < UW_MAX_INLINE ? max : UW_MAX_INLINE);
	for (size_t i = 0; i < n; i++)
		syms[i] = (struct uw_symbol){frames[i], false};
	return n;
}
