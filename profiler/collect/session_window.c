/* SPDX-License-Identifier: Apache-2.0 */
/* From what a session has counted to the window that profiles are made from. */
#include <errno.h>
#include <stdlib.h>

#include "charge.h"
#include "session_parts.h"

static void describe_images(struct prowl_session *s, struct prowl_window_image *images)
{
	for (size_t i = 0; i < s->procs.nimages; i++) {
		struct prowl_image *im = s->procs.images[i];

		if (im)
			images[i] = (struct prowl_window_image){
				.space = &im->space, .base = im->base, .process = im->proc->place};
	}
}

static struct prowl_share share_of(const struct prowl_session *s, const struct prowl_event_kind *k,
				   const struct prowl_proc *p)
{
	struct prowl_share share;

	if (!k->scale_to_charge)
		return (struct prowl_share){.scale = 1};
	if (!prowl_charge_pooled(p))
		return prowl_charge_share(s, p);
	share = prowl_charge_pool(s);
	share.unsampled = share.kernel = 0; /* of no single one of them */
	return share;
}

static void describe_processes(struct prowl_session *s, const struct prowl_event_kind *kind,
			       struct prowl_window_process *processes)
{
	for (size_t i = 0; i < s->procs.n; i++) {
		struct prowl_proc *p = s->procs.procs[i];
		struct prowl_share share = share_of(s, kind, p);

		p->place = (uint32_t)i;
		processes[i] = (struct prowl_window_process){
			.pid = p->pid,
			.group = p->group,
			.comm = p->comm,
			.space = &p->image->space,
			.scale = share.scale,
			.unsampled = share.unsampled,
			.kernel = share.kernel,
			.sampled = p->sampled - p->at_window_start.sampled,
		};
	}
}

/* With whole CPUs, samples that a full ring dropped are of unknown processes: the scale makes up
 * for them. */
static uint64_t lost_of_targets(const struct prowl_session *s)
{
	return s->result.whole_cpus ? 0 : s->result.lost - s->at_window_start.lost;
}

/* It is an estimate, which may have become smaller since. */
static uint64_t unsampled_kernel(const struct prowl_session *s)
{
	uint64_t now = s->result.kernel_unsampled_ns, then = s->at_window_start.kernel_unsampled_ns;

	return now > then ? now - then : 0;
}

static void describe(struct prowl_session *s, struct prowl_window *w)
{
	const struct prowl_result *r = &s->result, *before = &s->at_window_start;

	s->several |= s->procs.n >= 2;
	s->names.residency = &s->residency;
	s->names.files = &s->procs.files;
	s->names.lookups = s->walks.lookups;
	prowl_timeline_sort(&s->timeline);
	*w = (struct prowl_window){
		.kind = s->o.sampler->kind,
		.period = r->period_ns,
		.wall_start = s->wall_start + (int64_t)before->duration_ns,
		.mono_start = s->from + before->duration_ns,
		.duration_ns = r->duration_ns - before->duration_ns,
		.hash = &s->hash,
		.nimages = s->procs.nimages,
		.nprocesses = s->procs.n,
		.label_processes = s->several,
		.last = s->stopped,
		.native = s->walks.cfi > 0 || s->walks.live > 0,
		.kernel = r->kernel,
		.hurry_fd = s->wake_fd,
		.names = &s->names,
		.labels = s->labels,
		.threads = s->o.threads ? &s->threads : NULL,
		.timeline = &s->timeline,
		.lost = lost_of_targets(s),
		.unsampled = prowl_charge_pool(s).unsampled,
		.kernel_ns = unsampled_kernel(s),
		.samples = r->samples - before->samples,
		.sampled = r->sampled_ns - before->sampled_ns,
	};
}

static void take_made(struct prowl_session *s, const struct prowl_made *made)
{
	struct prowl_result *r = &s->result;

	r->unknown_frames += made->unknown_frames;
	r->timed += made->timed;
	r->untimed = s->timeline.overflow;
	r->unsampled_ns += made->unsampled;
	r->hash_dropped += made->dropped;
	if (made->kernel_sampled) {
		r->kernel_sampled = true;
		r->kernel_names = made->kernel_names;
		if (s->names.kernel.cache == PROWL_KERNEL_SYMBOLS_UNWRITABLE)
			r->ksyms_cache_error = s->names.kernel.cache_error;
	}
	r->hurried = s->procs.files.care.hurry;
	r->left_out = s->procs.files.care.left_out;
}

int prowl_session_profiles(struct prowl_session *s, enum prowl_group group, prowl_window_fn cb,
			   void *ctx)
{
	struct prowl_window_image *images = calloc(s->procs.nimages + 1, sizeof *images);
	struct prowl_window_process *processes = calloc(s->procs.n + 1, sizeof *processes);
	struct prowl_window w;
	struct prowl_made made;
	int r = images && processes ? 0 : -ENOMEM;

	if (r == 0 && prowl_stackhash_flip(&s->hash, 1000, NULL, NULL) < 0)
		r = -EBUSY;
	if (r == 0) {
		describe(s, &w);
		describe_processes(s, w.kind, processes);
		describe_images(s, images);
		w.images = images;
		w.processes = processes;
		r = prowl_window_profiles(&w, group, cb, ctx, &made);
		take_made(s, &made);
	}
	free(images);
	free(processes);
	return r;
}

void prowl_session_members(struct prowl_session *s,
			   void (*cb)(void *ctx, const struct prowl_session_member *m), void *ctx)
{
	for (size_t i = 0; i < s->procs.n; i++) {
		const struct prowl_proc *p = s->procs.procs[i];
		struct prowl_share share = share_of(s, s->o.sampler->kind, p);
		double sampled = (double)(p->sampled - p->at_window_start.sampled) * share.scale;
		struct prowl_session_member m = {.pid = p->pid,
						 .group = p->group,
						 .start = p->start,
						 .comm = p->comm,
						 .samples = p->samples -
							    p->at_window_start.samples};

		m.cpu_ns = (uint64_t)(sampled + 0.5) + share.unsampled + share.kernel;
		if (m.samples || m.cpu_ns)
			cb(ctx, &m);
	}
}

/* Targets stay until they are removed, children until they are gone. */
static bool is_over(void *ctx, const struct prowl_proc *p)
{
	struct prowl_session *s = ctx;

	if (!p->removed && !p->replaced && (p->root || !p->gone))
		return false;
	prowl_charge_forget(s, p);
	return true;
}

static bool has_ended(void *ctx, uint32_t image)
{
	const struct prowl_procs *t = ctx;

	return image >= t->nimages || !t->images[image];
}

/* What belonged only to the window that was cut: nothing names it any more. */
static void forget_ended(struct prowl_session *s)
{
	prowl_procs_release(&s->procs);
	prowl_procs_forget(&s->procs, is_over, s);
	prowl_threads_release(&s->threads);
	if (!prowl_procs_ended(&s->procs))
		return;
	prowl_symbol_cache_forget(&s->names.native, has_ended, &s->procs);
	prowl_procs_reuse(&s->procs);
}

void prowl_session_begin_window(struct prowl_session *s)
{
	prowl_stackhash_clear(&s->hash);
	prowl_timeline_clear(&s->timeline);
	s->at_window_start = s->result;
	prowl_charge_begin_window(s);
	s->populated_to = s->populated_table = 0; /* the other half of the hash is filled now */
	if (!s->stopped)                          /* else the last comments name them */
		forget_ended(s);
}
