/* SPDX-License-Identifier: Apache-2.0 */
#include "kinds.h"

#include <stdlib.h>
#include <string.h>

#include "pprof.h"

enum { RUNNING_NS = 100000000 }; /* to sample running goroutines */

/* After the window, until the guardian restores rates even if prowl hangs. */
#define GRACE_NS 60000000000u

static void report(const struct prowl_take *o, enum prowl_take_event event,
		   const struct prowl_taken *taken)
{
	if (o->on)
		o->on(o->ctx, event, taken);
}

/* --- cpu --- */

static enum prowl_code run_cpu(struct prowl_session *s, const struct prowl_take *o,
			       struct pprof_profile **ret, struct prowl_err *err)
{
	enum prowl_code code = prowl_session_run(s, o->ns, NULL, NULL, err);

	return code == PROWL_OK ? prowl_session_build(s, ret, err) : code;
}

static enum prowl_code take_cpu(const struct prowl_kind *k, const struct prowl_who *who,
				const struct prowl_take *o, struct pprof_profile **ret,
				struct prowl_taken *taken, struct prowl_err *err)
{
	struct prowl_options options = o->cpu;
	struct prowl_session *s;
	enum prowl_code code;

	options.pids = &who->pid;
	options.npids = 1;
	options.wake_fd = o->wake_fd;
	code = prowl_session_open(&options, &s, err);
	if (code != PROWL_OK)
		return code;
	prowl_session_target(s, 0, &taken->target);
	taken->cpu = *prowl_session_result(s);
	report(o, PROWL_TAKE_OPENED, taken);
	code = run_cpu(s, o, ret, err);
	taken->cpu = *prowl_session_result(s);
	report(o, PROWL_TAKE_CLOSED, taken);
	prowl_session_free(s);
	return code;
}

/* --- heap, allocs, block, mutex, threadcreate --- */

struct tending {
	const struct prowl_take *o;
	struct prowl_taken *taken;
};

static void on_guardian(void *ctx)
{
	const struct tending *t = ctx;

	report(t->o, PROWL_TAKE_GUARDIAN, t->taken);
}

static bool wants_rates(const struct prowl_take *o)
{
	for (int i = 0; i < PROWL_RATES; i++) {
		if (o->rates.set[i])
			return true;
	}
	return false;
}

static enum prowl_code run_rtprofile(struct prowl_rtprofile *r, const struct prowl_take *o,
				     struct pprof_profile **ret, struct prowl_taken *taken,
				     struct prowl_err *err)
{
	struct tending tending = {o, taken};
	enum prowl_code code = PROWL_OK;

	if (wants_rates(o)) {
		code = prowl_rtprofile_set_rates(r, &o->rates, o->ns + GRACE_NS, err);
		taken->rates = prowl_rtprofile_rates(r);
		if (taken->rates)
			report(o, PROWL_TAKE_RATES, taken);
	}
	if (code == PROWL_OK && o->ns)
		code = prowl_rtprofile_start(r, err);
	if (code == PROWL_OK && o->ns)
		code = prowl_rtprofile_wait(r, o->ns, o->wake_fd, on_guardian, &tending, err);
	if (code == PROWL_OK)
		code = prowl_rtprofile_build(r, ret, err);
	return code;
}

static enum prowl_code take_rtprofile(const struct prowl_kind *k, const struct prowl_who *who,
				      const struct prowl_take *o, struct pprof_profile **ret,
				      struct prowl_taken *taken, struct prowl_err *err)
{
	struct prowl_rtprofile *r;
	enum prowl_code code = prowl_rtprofile_open(k->record, who, &r, err);

	if (code != PROWL_OK)
		return code;
	taken->target = prowl_rtprofile_result(r)->target;
	report(o, PROWL_TAKE_OPENED, taken);
	code = run_rtprofile(r, o, ret, taken, err);
	taken->rtprofile = *prowl_rtprofile_result(r);
	report(o, PROWL_TAKE_CLOSED, taken);
	taken->rates = NULL;
	prowl_rtprofile_free(r);
	return code;
}

/* --- goroutine --- */

static void add_counts(struct prowl_goroutines_counts *to, const struct prowl_goroutines_counts *c)
{
	to->goroutines += c->goroutines;
	to->filtered += c->filtered;
	to->system += c->system;
	to->dead += c->dead;
	to->running += c->running;
	to->running_sampled += c->running_sampled;
	to->unstable += c->unstable;
	to->bad += c->bad;
	to->cut += c->cut;
	to->retries += c->retries;
	to->labels_unknown += c->labels_unknown;
	to->labels_cut += c->labels_cut;
}

/* The profile of one runtime. */
static enum prowl_code dump_profile(struct prowl_goroutines *h, const struct prowl_take *o,
				    struct pprof_profile **ret, struct prowl_taken *taken,
				    struct prowl_err *err)
{
	struct prowl_goroutines_options options = o->goroutines;
	struct prowl_dump dump;
	enum prowl_code code;

	options.list = false;
	options.running_ns = options.running_ns ? options.running_ns : RUNNING_NS;
	code = prowl_goroutines_take(h, &options, &dump, err);
	if (code != PROWL_OK)
		return code;
	add_counts(&taken->goroutines, &dump.counts);
	*ret = dump.profile;
	dump.profile = NULL;
	prowl_dump_fini(&dump);
	return PROWL_OK;
}

static enum prowl_code merge_all(struct pprof_profile **profiles, size_t n,
				 struct pprof_profile **ret, struct prowl_err *err)
{
	struct pprof_diag diag;

	if (n == 1) {
		*ret = profiles[0];
		profiles[0] = NULL;
		return PROWL_OK;
	}
	if (pprof_merge((const struct pprof_profile *const *)profiles, n, ret, &diag) < 0)
		return prowl_fail(err, PROWL_FAILED,
				  "the profiles of the runtimes can't be merged");
	return PROWL_OK;
}

static enum prowl_code dump_all(struct prowl_goroutines *h, const struct prowl_take *o,
				struct pprof_profile **ret, struct prowl_taken *taken,
				struct prowl_err *err)
{
	size_t n = taken->target.nruntimes;
	struct pprof_profile **profiles = calloc(n, sizeof(*profiles));
	enum prowl_code code = PROWL_OK;

	if (!profiles)
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	for (size_t i = 0; i < n && code == PROWL_OK; i++) {
		if (i > 0)
			code = prowl_goroutines_choose(h, i, err);
		if (code == PROWL_OK)
			code = dump_profile(h, o, &profiles[i], taken, err);
	}
	if (code == PROWL_OK)
		code = merge_all(profiles, n, ret, err);
	for (size_t i = 0; i < n; i++)
		pprof_profile_free(profiles[i]);
	free(profiles);
	return code;
}

static enum prowl_code take_goroutines(const struct prowl_kind *k, const struct prowl_who *who,
				       const struct prowl_take *o, struct pprof_profile **ret,
				       struct prowl_taken *taken, struct prowl_err *err)
{
	struct prowl_goroutines *h;
	enum prowl_code code = prowl_goroutines_open(who, &h, err);

	if (code != PROWL_OK)
		return code;
	taken->target = *prowl_goroutines_target(h);
	report(o, PROWL_TAKE_OPENED, taken);
	code = dump_all(h, o, ret, taken, err);
	report(o, PROWL_TAKE_CLOSED, taken);
	prowl_goroutines_free(h);
	return code;
}

/* --- wall --- */

static enum prowl_code run_wall(struct prowl_wall *w, const struct prowl_take *o,
				struct pprof_profile **ret, struct prowl_err *err)
{
	enum prowl_code code = prowl_wall_run(w, o->ns, err);

	return code == PROWL_OK ? prowl_wall_build(w, ret, err) : code;
}

static enum prowl_code take_wall(const struct prowl_kind *k, const struct prowl_who *who,
				 const struct prowl_take *o, struct pprof_profile **ret,
				 struct prowl_taken *taken, struct prowl_err *err)
{
	struct prowl_wall_options options = o->wall;
	struct prowl_wall *w;
	enum prowl_code code;

	options.wake_fd = o->wake_fd;
	code = prowl_wall_open(who->pid, &options, &w, err);
	if (code != PROWL_OK)
		return code;
	taken->wall = *prowl_wall_result(w);
	taken->target = taken->wall.target;
	report(o, PROWL_TAKE_OPENED, taken);
	code = run_wall(w, o, ret, err);
	taken->wall = *prowl_wall_result(w);
	report(o, PROWL_TAKE_CLOSED, taken);
	prowl_wall_free(w);
	return code;
}

/* --- the table --- */

#define WINDOW_NS 30000000000u

#define RTPROFILE(kind_name, which, of_rate)                                                    \
	{                                                                                       \
		.name = (kind_name), .family = PROWL_FAMILY_RTPROFILE,                          \
		.flags = PROWL_KIND_CORE | PROWL_KIND_DELTA | PROWL_KIND_GO, .rate = (of_rate), \
		.record = (which), .take = take_rtprofile                                       \
	}

const struct prowl_kind prowl_kinds[] = {
	{.name = "cpu",
	 .family = PROWL_FAMILY_CPU,
	 .flags = PROWL_KIND_WINDOW | PROWL_KIND_SAMPLES,
	 .window_ns = WINDOW_NS,
	 .rate = PROWL_RATES,
	 .take = take_cpu},
	RTPROFILE("heap", PROWL_HEAP, PROWL_RATE_HEAP),
	RTPROFILE("allocs", PROWL_ALLOCS, PROWL_RATE_HEAP),
	{.name = "goroutine",
	 .family = PROWL_FAMILY_GOROUTINES,
	 .flags = PROWL_KIND_CORE | PROWL_KIND_GO | PROWL_KIND_SAMPLES,
	 .rate = PROWL_RATES,
	 .take = take_goroutines},
	RTPROFILE("block", PROWL_BLOCK, PROWL_RATE_BLOCK),
	RTPROFILE("mutex", PROWL_MUTEX, PROWL_RATE_MUTEX),
	RTPROFILE("threadcreate", PROWL_THREADCREATE, PROWL_RATES),
	{.name = "wall",
	 .family = PROWL_FAMILY_WALL,
	 .flags = PROWL_KIND_WINDOW | PROWL_KIND_GO | PROWL_KIND_SAMPLES,
	 .window_ns = WINDOW_NS,
	 .rate = PROWL_RATES,
	 .take = take_wall},
	{.name = NULL},
};

const struct prowl_kind *prowl_kind_named(const char *name)
{
	for (const struct prowl_kind *k = prowl_kinds; k->name; k++) {
		if (!strcmp(k->name, name))
			return k;
	}
	return NULL;
}

static enum prowl_code check(const struct prowl_kind *k, const struct prowl_who *who,
			     const struct prowl_take *o, struct prowl_err *err)
{
	if (who->core && !(k->flags & PROWL_KIND_CORE))
		return prowl_fail(err, PROWL_USAGE, "a core file has no %s profile", k->name);
	if (who->core && o->ns)
		return prowl_fail(err, PROWL_USAGE, "nothing changes in a core file: no window");
	if (o->ns && !(k->flags & (PROWL_KIND_WINDOW | PROWL_KIND_DELTA)))
		return prowl_fail(err, PROWL_USAGE, "the %s profile has no window", k->name);
	for (int i = 0; i < PROWL_RATES; i++) {
		if (!o->rates.set[i])
			continue;
		if (k->rate != (enum prowl_rate)i)
			return prowl_fail(err, PROWL_USAGE, "%s has no part in the %s profile",
					  prowl_rate_name((enum prowl_rate)i), k->name);
		if (!o->ns)
			return prowl_fail(err, PROWL_USAGE, "%s is set for a window only",
					  prowl_rate_name((enum prowl_rate)i));
	}
	return PROWL_OK;
}

enum prowl_code prowl_kind_take(const struct prowl_kind *k, const struct prowl_who *who,
				const struct prowl_take *o, struct pprof_profile **ret,
				struct prowl_taken *taken, struct prowl_err *err)
{
	struct prowl_take all = *o;
	enum prowl_code code = check(k, who, o, err);

	*taken = (struct prowl_taken){.target = {.pid = who->pid}};
	if (code != PROWL_OK)
		return code;
	all.ns = o->ns ? o->ns : k->window_ns;
	return k->take(k, who, &all, ret, taken, err);
}
