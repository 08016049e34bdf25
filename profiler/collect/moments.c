/* SPDX-License-Identifier: Apache-2.0 */
#include "moments.h"

#include <stdlib.h>
#include <string.h>

#include "gosym.h"
#include "moment.h"

void prowl_moments_open(struct prowl_moments *m, bool off, bool labels)
{
	const char *never = secure_getenv("PROWL_NO_BPF");

	*m = (struct prowl_moments){.why_not = "it is switched off"};
	if (off || (never && *never))
		return;
	if (prowl_bpf_new(labels, &m->bpf, &m->why_not) == 0)
		m->why_not = NULL;
}

void prowl_moments_close(struct prowl_moments *m)
{
	prowl_bpf_free(m->bpf);
	m->bpf = NULL;
}

/* Built without cgo: from go1.18 on the binary says so. */
static bool without_cgo(const struct uw_go *go)
{
	static const char setting[] = "\nbuild\tCGO_ENABLED=0";
	const char *text;
	size_t len;

	text = uw_go_modinfo(go, &len);
	return text && memmem(text, len, setting, sizeof setting - 1);
}

static struct prowl_bpf_code code_of(const struct uw_space *s, const struct uw_go *go)
{
	struct prowl_bpf_code c = {
		.text_lo = s->go_lo, .text_hi = s->go_hi, .no_callbacks = without_cgo(go)};
	struct uw_go_func f;

	if (c.no_callbacks && uw_go_func_named(go, "runtime.systemstack_switch", &f))
		c.switch_pc = f.entry + s->go_bias;
	return c;
}

void prowl_moments_follow(struct prowl_moments *m, struct prowl_proc *p)
{
	struct uw_go *go = m->bpf ? uw_space_go(&p->image->space) : NULL;
	const struct uw_golayout *l = go ? uw_go_layout(go) : NULL;

	if (!m->bpf || l == p->moments)
		return;
	p->moments = l;
	if (l) {
		struct prowl_bpf_code code = code_of(&p->image->space, go);

		prowl_bpf_add(m->bpf, p->pid, l, &code);
	} else {
		prowl_bpf_remove(m->bpf, p->pid);
	}
}

void prowl_moments_gone(struct prowl_moments *m, struct prowl_proc *p)
{
	if (m->bpf && p->moments)
		prowl_bpf_remove(m->bpf, p->pid);
	p->moments = NULL;
}

void prowl_moments_of(struct prowl_moments *m, struct prowl_proc *p, const struct prowl_event *ev,
		      struct uw_sample *us)
{
	const struct prowl_moment *mo = ev->sample.moment;

	prowl_moments_follow(m, p);
	if (!mo || !p->moments)
		return;
	m->samples++;
	us->pieces = mo->pieces;
	us->npieces = mo->n;
	if (us->regs)
		prowl_moment_m(mo, p->moments, us->regs->sp, ev->tid, &us->g);
}

uint64_t prowl_moments_lost_samples(struct prowl_moments *m, uint64_t lost)
{
	uint64_t moments = m->bpf ? prowl_bpf_lost(m->bpf) - m->lost : 0;

	if (moments > lost)
		moments = lost;
	m->lost += moments;
	return lost - moments;
}
