/* SPDX-License-Identifier: Apache-2.0 */
/* prowl_runtime_open_core */
#include <stdlib.h>
#include <string.h>

#include "runtime.h"

static enum prowl_code open_core(struct prowl_runtime *rt, const char *core, const char *exe,
				 struct prowl_err *err)
{
	enum prowl_code code = prowl_corefile_open(core, exe, &rt->space, &rt->corefile, err);

	if (code != PROWL_OK)
		return code;
	rt->pid = rt->corefile.core->pid;
	memcpy(rt->comm, rt->corefile.core->comm, sizeof rt->corefile.core->comm);
	return prowl_runtime_choose(rt, 0, err);
}

enum prowl_code prowl_runtime_open_core(const char *core, const char *exe,
					struct prowl_runtime **ret, struct prowl_err *err)
{
	struct prowl_runtime *rt = calloc(1, sizeof *rt);
	enum prowl_code code;

	if (!rt)
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	rt->core = true;
	rt->image = -1;
	uw_space_init(&rt->space, &rt->files, 0);
	code = open_core(rt, core, exe, err);
	if (code != PROWL_OK) {
		prowl_runtime_free(rt);
		return code;
	}
	*ret = rt;
	return PROWL_OK;
}
