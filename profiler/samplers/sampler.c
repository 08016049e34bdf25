/* SPDX-License-Identifier: Apache-2.0 */
#include "sampler.h"

#include "perf_sampler.h"

enum { PROBE_RATE = 99 };

enum prowl_code prowl_sampler_probe(pid_t pid, struct prowl_sampler_facts *ret,
				    struct prowl_err *err)
{
	struct prowl_sampler_options o = {
		.pids = &pid, .npids = 1, .period_ns = 1000000000u / PROBE_RATE};
	struct prowl_sampler *s;
	enum prowl_code code = prowl_perf.open(&o, &s, err);

	if (code != PROWL_OK)
		return code;
	*ret = s->facts;
	prowl_sampler_close(s);
	return PROWL_OK;
}
