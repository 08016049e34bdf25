/* SPDX-License-Identifier: Apache-2.0 */
#include "take.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "allow_write.h"
#include "label.h"
#include "output.h"
#include "pprof.h"
#include "privilege.h"
#include "stop.h"
#include "term.h"

/* --- words --- */

void take_say_guessed(const struct prowl_target *t)
{
	if (t->go_guessed)
		say_warning(PROWL_GO_GUESSED, t->go_version);
}

void take_say_reading(const struct prowl_target *t, const char *what, const char *window)
{
	say_info("reading the %s of %s (%s %d, %s)%s", what, t->comm,
		 t->core ? "core of pid" : "pid", (int)t->pid, t->go_version, window);
	take_say_guessed(t);
}

static void rtprofile_opened(const struct take *c, const struct prowl_taken *taken)
{
	char what[32], window[80] = "";

	snprintf(what, sizeof what, "%s profile", c->kind);
	if (c->o.ns)
		snprintf(window, sizeof window, " for %g s; Ctrl-C stops early and still writes",
			 (double)c->o.ns / 1e9);
	take_say_reading(&taken->target, what, window);
}

static void rtprofile_done(const struct take *c, const struct prowl_taken *taken, size_t n)
{
	const struct prowl_rtprofile_result *r = &taken->rtprofile;
	bool has_rate = prowl_kind_named(c->kind)->rate != PROWL_RATES;

	say_info("%zu samples of %zu records; read again %u times, records not whole %u, stack "
		 "words without a name %llu",
		 r->samples, r->records, r->retries, r->torn,
		 (unsigned long long)(r->outside + r->unknown));
	if (r->unsettled)
		say_warning("garbage collections ended faster than the records could be read: they "
			    "are of up to three of them");
	if (has_rate && r->rate == 0)
		say_warning("its %s profile rate is 0 now: the records are from before%s", c->kind,
			    r->unscaled ? ", and not scaled, since the rate of then is not known"
					: "");
	if (r->ticks_measured)
		say_detail("the length of a tick is that of this machine's clock, measured");
}

static void goroutine_opened(const struct take *c, const struct prowl_taken *taken)
{
	take_say_reading(&taken->target, "goroutines", "");
}

void take_say_goroutines(const struct prowl_goroutines_counts *c, size_t n, const char *what)
{
	say_info("%llu goroutines, %zu %s; running %llu, of which %llu without a "
		 "stack; stacks not read: unstable %llu, unreadable %llu; cut %llu",
		 (unsigned long long)c->goroutines, n, what, (unsigned long long)c->running,
		 (unsigned long long)(c->running - c->running_sampled),
		 (unsigned long long)c->unstable, (unsigned long long)c->bad,
		 (unsigned long long)c->cut);
	say_detail("left out: %llu of the runtime, %llu filtered, %llu dead; read again %llu times",
		   (unsigned long long)c->system, (unsigned long long)c->filtered,
		   (unsigned long long)c->dead, (unsigned long long)c->retries);
	if (c->labels_unknown)
		say_warning("the labels of %llu goroutines are not known: they could not be read, "
			    "or there are more than %d different sets",
			    (unsigned long long)c->labels_unknown, PROWL_LABELS_MAX_SETS);
	if (c->labels_cut)
		say_warning("%llu goroutines have labels that were cut: " PROWL_LABELS_LIMITS,
			    (unsigned long long)c->labels_cut, PROWL_LABEL_BYTES, PROWL_LABELS_MAX);
}

static void goroutine_done(const struct take *c, const struct prowl_taken *taken, size_t n)
{
	take_say_goroutines(&taken->goroutines, n, "samples, by stack and labels");
}

static void wall_opened(const struct take *c, const struct prowl_taken *taken)
{
	const struct prowl_target *t = &taken->target;

	say_info("looking at the goroutines of %s (pid %d, %s) for %g s, %u times a second; Ctrl-C "
		 "stops early and still writes",
		 t->comm, (int)t->pid, t->go_version, (double)c->o.ns / 1e9,
		 c->o.wall.rate ? c->o.wall.rate : 10);
	take_say_guessed(t);
	if (taken->wall.cpu_failed)
		say_warning("no permission to sample the process: running goroutines have no "
			    "stack; prowl doctor says what is missing");
}

static void wall_done(const struct take *c, const struct prowl_taken *taken, size_t n)
{
	const struct prowl_wall_result *r = &taken->wall;

	say_info(
		"%llu looks at %.2f %% of %llu goroutines on average%s; %llu left out for the budget; "
		"not read as a whole %llu of %llu",
		(unsigned long long)r->looks, 100 * r->part, (unsigned long long)r->goroutines,
		r->part < 1 ? " (estimated)" : "", (unsigned long long)r->skipped,
		(unsigned long long)r->unread, (unsigned long long)r->seen);
	say_info("%.2f s of goroutines' time in %.2f s", (double)r->wall_ns / 1e9,
		 (double)r->duration_ns / 1e9);
	say_info("looking used %.2f %% of a CPU",
		 r->duration_ns ? 100 * (double)r->cpu_ns / (double)r->duration_ns : 0);
}

static const struct {
	void (*opened)(const struct take *c, const struct prowl_taken *taken);
	void (*done)(const struct take *c, const struct prowl_taken *taken, size_t nsamples);
} families[] = {
	[PROWL_FAMILY_RTPROFILE] = {rtprofile_opened, rtprofile_done},
	[PROWL_FAMILY_GOROUTINES] = {goroutine_opened, goroutine_done},
	[PROWL_FAMILY_WALL] = {wall_opened, wall_done},
};

static void on_event(void *ctx, enum prowl_take_event event, const struct prowl_taken *taken)
{
	const struct take *c = ctx;

	switch (event) {
	case PROWL_TAKE_OPENED:
		families[prowl_kind_named(c->kind)->family].opened(c, taken);
		break;
	case PROWL_TAKE_RATES:
		allow_write_say_set(taken->rates);
		break;
	case PROWL_TAKE_GUARDIAN:
		say_warning("the process that would put the rates back was killed; another one "
			    "stands by");
		break;
	case PROWL_TAKE_CLOSED:
		if (taken->rates)
			allow_write_say_end(taken->rates);
		break;
	}
}

/* --- the run --- */

/* Only the rate that the kind itself depends on, and only for a window. */
static enum prowl_code check_rates(const struct take *c, const struct prowl_kind *k)
{
	for (int i = 0; i < PROWL_RATES; i++) {
		if (c->o.rates.set[i] && k->rate != (enum prowl_rate)i) {
			say_error("--allow-write: %s has no part in the %s profile",
				  prowl_rate_name((enum prowl_rate)i), k->name);
			return PROWL_USAGE;
		}
	}
	if (allow_write_wanted(&c->o.rates) && !c->common.duration_ns) {
		say_error("--allow-write is for a window: give --seconds, too");
		return PROWL_USAGE;
	}
	return PROWL_OK;
}

enum prowl_code take_check(void *options, char **words, size_t n)
{
	struct take *c = options;
	const struct prowl_kind *k = prowl_kind_named(c->kind);
	unsigned int ways = BY_NAME | (k->flags & PROWL_KIND_CORE ? BY_CORE : 0);
	enum prowl_code code = common_check_target(&c->common, ways);

	if (code != PROWL_OK)
		return code;
	if (c->common.who.core && c->common.duration_ns) {
		say_error("nothing changes in a core file: --seconds goes with --pid");
		return PROWL_USAGE;
	}
	code = check_rates(c, k);
	if (code == PROWL_OK)
		code = common_check_output(&c->common);
	c->o.ns = c->common.duration_ns ? c->common.duration_ns : k->window_ns;
	return code == PROWL_OK ? common_find_named(&c->common, true) : code;
}

static enum prowl_code write_profile(const struct take *c, const struct prowl_taken *taken,
				     const struct pprof_profile *p)
{
	const struct prowl_kind *k = prowl_kind_named(c->kind);
	struct output_file used;
	enum prowl_code code = output_write_named(p, c->common.out, c->common.output,
						  taken->target.comm, taken->target.pid, k->name,
						  &used);

	if (code != PROWL_OK)
		return code;
	families[k->family].done(c, taken, p->nsamples);
	say_own_cost();
	output_say_written(c->common.out, &used);
	return PROWL_OK;
}

/* A signal ends the window; without one it ends prowl. */
static enum prowl_code take(struct take *c, struct pprof_profile **ret, struct prowl_taken *taken,
			    struct prowl_err *err)
{
	int wake_fd = c->o.ns ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : 0;
	enum prowl_code code;

	if (wake_fd < 0)
		return prowl_fail(err, PROWL_FAILED, "%s (limit on open files, ulimit -n?)",
				  strerror(errno));
	c->o.wake_fd = wake_fd;
	c->o.on = on_event;
	c->o.ctx = c;
	if (c->o.ns)
		stop_catch(wake_fd);
	code = prowl_kind_take(prowl_kind_named(c->kind), &c->common.who, &c->o, ret, taken, err);
	if (c->o.ns) {
		stop_catch(-1); /* another one ends prowl while it writes */
		close(wake_fd);
	}
	return code;
}

enum prowl_code take_run(void *options, char **words, size_t n)
{
	struct take *c = options;
	struct pprof_profile *profile = NULL;
	struct prowl_taken taken;
	struct prowl_err err = {0};
	enum prowl_code code;

	if (!c->common.who.core)
		prowl_privilege_raise();
	if (take(c, &profile, &taken, &err) != PROWL_OK)
		return say_failure(&err);
	code = write_profile(c, &taken, profile);
	pprof_profile_free(profile);
	return code;
}
