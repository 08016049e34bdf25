/* SPDX-License-Identifier: Apache-2.0 */
#include "locations.h"

#include <stdbool.h>

int prowl_name_function(struct pprof_profile *p, const struct uw_frame *frame, uint32_t *ret)
{
	struct pprof_function f = {.start_line = frame->start_line};
	int r = pprof_string(p, frame->name, &f.system_name);

	f.name = f.system_name;
	if (r == 0 && frame->readable && frame->readable != frame->name)
		r = pprof_string(p, frame->readable, &f.name);
	if (r == 0)
		r = pprof_string(p, frame->file, &f.filename);
	return r < 0 ? r : pprof_function(p, &f, ret);
}

int prowl_name_mapping(struct pprof_profile *p, struct prowl_idmap *seen,
		       const struct uw_mapping *m, uint32_t *ret)
{
	struct pprof_mapping pm = {.start = m->start, .limit = m->end, .offset = m->offset};
	const struct uw_elf *elf = m->bin ? uw_binary_elf(m->bin) : NULL;
	int r;

	if (prowl_idmap_get(seen, m->start, ret))
		return 0;
	pm.has_functions = pm.has_filenames = pm.has_line_numbers = pm.has_inline_frames = true;
	r = pprof_string(p, m->bin ? m->bin->path : "[anon]", &pm.filename);
	if (r == 0)
		r = pprof_string(p, elf ? elf->build_id : "", &pm.build_id);
	if (r == 0)
		r = pprof_mapping(p, &pm, ret);
	return r < 0 ? r : prowl_idmap_put(seen, m->start, *ret);
}
