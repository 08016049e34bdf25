/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"
#include "common_opts.h"
#include "goroutines.h"
#include "new_file.h"
#include "output.h"
#include "pprof.h"
#include "privilege.h"
#include "show_goroutines.h"
#include "stop.h"
#include "target.h"
#include "term.h"

enum {
	RUNNING_MS = 100, /* to sample those that run */
	MAX_RUNTIMES = 64,
};

struct goroutine {
	struct common_opts common;
	bool text, group, json, leaks;
	struct prowl_goroutines_options o;
};

static const struct opt goroutine_opts[] = {
	COMMON_PIDS("process to read", struct goroutine, common),
	COMMON_NAME("the process with this name (comm or file name)", struct goroutine, common),
	COMMON_CORE("core file to read", struct goroutine, common),
	OPT_FLAG(0, "text", "print each goroutine as a panic does", struct goroutine, text),
	OPT_FLAG(0, "group", "print each stack once, with how many goroutines have it",
		 struct goroutine, group),
	OPT_JSON("print JSON", struct goroutine, json),
	OPT_TEXT(0, "state", "STATES",
		 "only these: running, waiting, select, 'chan receive', ...; by commas",
		 struct goroutine, o.state),
	OPT_TEXT(0, "match", "REGEX", "only with a function in the stack that matches",
		 struct goroutine, o.match),
	OPT_FLAG(0, "system", "the runtime's own goroutines and functions too", struct goroutine,
		 o.system),
	OPT_FLAG(0, "leaks", "those that were made within --seconds and stayed blocked",
		 struct goroutine, leaks),
	COMMON_SECONDS("the window of --leaks: 5, 30s, 2m (default 10)", struct goroutine, common),
	COMMON_OUTPUT("goroutine", struct goroutine, common),
	COMMON_SAY,
	OPT_END,
};

/* --- words ----------------------------------------------------------------------- */

static void say_first_line(const struct goroutine *c, const struct prowl_goroutines *h)
{
	const struct prowl_target *t = prowl_goroutines_target(h);
	char window[80] = "";

	if (c->leaks)
		snprintf(window, sizeof window, " three times within %g s",
			 (double)c->common.duration_ns / 1e9);
	say_info("reading the goroutines of %s (%s %d, %s)%s", t->comm,
		 t->core ? "core of pid" : "pid", (int)t->pid, t->go_version, window);
	if (t->go_guessed)
		say_warning(PROWL_GO_GUESSED, t->go_version);
}

static void say_result(const struct prowl_dump *d)
{
	const struct prowl_goroutines_counts *c = &d->counts;

	say_info("%llu goroutines, %zu different stacks; running %llu, of which %llu without a "
		 "stack; stacks not read: unstable %llu, unreadable %llu; cut %llu",
		 (unsigned long long)c->goroutines, d->nstacks, (unsigned long long)c->running,
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
			    (unsigned long long)c->labels_cut, UW_LABEL_BYTES, UW_LABELS_MAX);
	say_own_cost();
}

/* --- the run --------------------------------------------------------------------- */

static void wait_for(uint64_t ns)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	stop_sleep_until((uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec + ns);
}

static enum prowl_code find_leaks(const struct goroutine *c, struct prowl_goroutines *h)
{
	/* One that isn't asked for now may be later, and is old then. */
	struct prowl_goroutines_options all = {.list = true, .system = c->o.system};
	struct prowl_dump dumps[3] = {{0}};
	struct prowl_err err = {0};
	enum prowl_code code = PROWL_OK;
	size_t n;

	stop_catch(-1);
	for (int i = 0; i < 3 && code == PROWL_OK; i++) {
		if (i)
			wait_for(c->common.duration_ns / 2);
		code = prowl_goroutines_take(h, i ? &c->o : &all, &dumps[i], &err);
	}
	if (code == PROWL_OK && stop_asked()) {
		say_error("stopped before the window was over: what stays blocked is not known");
		code = PROWL_NOTHING;
	} else if (code != PROWL_OK) {
		code = say_failure(&err);
	} else {
		n = show_goroutines_leaks(stdout, h, dumps, c->json, c->o.system);
		say_info(
			"%zu goroutines were made within %g s and stayed blocked at one place for "
			"the second half of it; all in all %llu, then %llu",
			n, (double)c->common.duration_ns / 1e9,
			(unsigned long long)(dumps[0].counts.goroutines + dumps[0].counts.filtered),
			(unsigned long long)(dumps[2].counts.goroutines +
					     dumps[2].counts.filtered));
	}
	for (int i = 0; i < 3; i++)
		prowl_dump_fini(&dumps[i]);
	return code;
}

static enum prowl_code write_profile(const struct goroutine *c, const struct prowl_goroutines *h,
				     const struct pprof_profile *profile)
{
	const struct prowl_target *t = prowl_goroutines_target(h);
	struct output_file used;
	enum prowl_code code;

	code = output_write_named(profile, c->common.out, c->common.output, t->comm, t->pid,
				  "goroutine", &used);
	if (code != PROWL_OK)
		return code;
	output_say_written(c->common.out, &used);
	return PROWL_OK;
}

struct shown {
	const struct goroutine *c;
	const struct prowl_goroutines *h;
	const struct prowl_dump *d;
	const struct prowl_target *t;
};

static void show(FILE *to, void *ctx)
{
	const struct shown *x = ctx;

	if (x->t->nruntimes > 1 && !x->c->json) {
		fprintf(to, "%s# runtime %zu of %zu, %s: ", x->t->which ? "\n" : "",
			x->t->which + 1, x->t->nruntimes, x->t->go_version);
		text_put(to, prowl_goroutines_file(x->h));
		fputs("\n\n", to);
	}
	if (x->c->json)
		show_goroutines_json(to, x->h, x->d);
	else if (x->c->group)
		show_goroutines_groups(to, x->h, x->d, x->c->o.system);
	else
		show_goroutines_text(to, x->h, x->d, x->c->o.system);
}

/* Of the second and later runtimes of a process the goroutines come behind the earlier ones. */
static enum prowl_code print(const struct goroutine *c, const struct prowl_goroutines *h,
			     const struct prowl_dump *d)
{
	struct shown x = {.c = c, .h = h, .d = d, .t = prowl_goroutines_target(h)};
	const char *path = c->common.output ? c->common.output : "-";
	int r;

	r = x.t->which ? new_file_more_words(path, show, &x) : new_file_words(path, show, &x);
	if (r < 0) {
		say_error("%s: %s", new_file_is_stdout(path) ? "standard output" : path,
			  strerror(-r));
		return PROWL_FAILED;
	}
	say_result(d);
	return PROWL_OK;
}

/* Of the runtime that h reads. Its profile goes to *ret unless the list is what was asked for. */
static enum prowl_code dump_one(const struct goroutine *c, struct prowl_goroutines *h,
				struct pprof_profile **ret)
{
	struct prowl_err err = {0};
	struct prowl_dump d;
	enum prowl_code code = prowl_goroutines_take(h, &c->o, &d, &err);

	if (code != PROWL_OK)
		return say_failure(&err);
	if (c->o.list) {
		code = print(c, h, &d);
	} else {
		*ret = d.profile;
		d.profile = NULL;
		say_result(&d);
	}
	prowl_dump_fini(&d);
	return code;
}

static enum prowl_code choose(const struct goroutine *c, struct prowl_goroutines *h, size_t which)
{
	struct prowl_err err = {0};

	if (which == 0)
		return PROWL_OK;
	if (!c->common.who.core)
		prowl_privilege_raise(); /* writing has laid it down */
	return prowl_goroutines_choose(h, which, &err) == PROWL_OK ? PROWL_OK : say_failure(&err);
}

/* Several runtimes: one profile of all of them. */
static enum prowl_code write_all(const struct goroutine *c, const struct prowl_goroutines *h,
				 const struct pprof_profile *const *profiles, size_t n)
{
	struct pprof_profile *all;
	struct pprof_diag diag;
	enum prowl_code code;

	if (n == 1)
		return write_profile(c, h, profiles[0]);
	if (pprof_merge(profiles, n, &all, &diag) < 0) {
		say_error("the profiles of the runtimes can't be merged");
		return PROWL_FAILED;
	}
	code = write_profile(c, h, all);
	pprof_profile_free(all);
	return code;
}

static enum prowl_code dump(const struct goroutine *c, struct prowl_goroutines *h)
{
	struct pprof_profile *profiles[MAX_RUNTIMES] = {NULL};
	const struct prowl_target *t = prowl_goroutines_target(h);
	size_t n;
	enum prowl_code code = PROWL_OK;

	n = t->nruntimes < MAX_RUNTIMES ? t->nruntimes : MAX_RUNTIMES;
	if (n < t->nruntimes)
		say_warning("%zu Go runtimes: only the first %d are read", t->nruntimes,
			    MAX_RUNTIMES);
	for (size_t i = 0; i < n && code == PROWL_OK; i++) {
		code = choose(c, h, i);
		if (code == PROWL_OK)
			code = dump_one(c, h, &profiles[i]);
	}
	if (code == PROWL_OK && !c->o.list)
		code = write_all(c, h, (const struct pprof_profile *const *)profiles, n);
	for (size_t i = 0; i < n; i++)
		pprof_profile_free(profiles[i]);
	return code;
}

/* --- options --------------------------------------------------------------------- */

static enum prowl_code check(void *options, char **words, size_t n)
{
	struct goroutine *c = options;
	enum prowl_code code = common_check_target(&c->common, BY_NAME | BY_CORE);

	if (code != PROWL_OK)
		return code;
	if (c->text + c->group + c->json > 1) {
		say_error("--text, --group and --json exclude each other");
		return PROWL_USAGE;
	}
	if (c->o.state && !c->o.state[strspn(c->o.state, ",")]) {
		say_error("--state wants states or what goroutines wait for, separated by commas");
		return PROWL_USAGE;
	}
	if (c->common.duration_ns && !c->leaks) {
		say_error("--seconds is the window of --leaks");
		return PROWL_USAGE;
	}
	if (c->leaks &&
	    (c->common.who.core || c->text || c->group || c->common.output || c->common.format)) {
		say_error("--leaks prints groups, or with --json JSON, of a process");
		return PROWL_USAGE;
	}
	c->o.list = c->text || c->group || c->json || c->leaks;
	if (c->leaks && !c->common.duration_ns)
		c->common.duration_ns = 10 * 1000000000ull;
	if (c->o.list) {
		if (!c->common.format)
			return common_find_named(&c->common, true);
		say_error("--format is for profiles");
		return PROWL_USAGE;
	}
	code = common_check_output(&c->common);
	return code == PROWL_OK ? common_find_named(&c->common, true) : code;
}

static enum prowl_code run(void *options, char **words, size_t n)
{
	struct goroutine *c = options;
	struct prowl_err err = {0};
	struct prowl_goroutines *h;
	enum prowl_code code;

	if (!c->common.who.core)
		prowl_privilege_raise();
	code = prowl_goroutines_open(&c->common.who, &h, &err);
	if (code != PROWL_OK)
		return say_failure(&err);
	say_first_line(c, h);
	code = c->leaks ? find_leaks(c, h) : dump(c, h);
	prowl_goroutines_free(h);
	return code;
}

const struct cmd cmd_goroutine = {
	.name = "goroutine",
	.usage = "[options] --pid PID | --name NAME | --core FILE",
	.summary = "all goroutines with their stacks, states and labels",
	.text = "Examples:\n"
		"  prowl goroutine --pid 4242\n"
		"  prowl goroutine --pid 4242 --text | less\n"
		"  prowl goroutine --pid 4242 --group --state 'chan receive,select'\n"
		"  prowl goroutine --pid 4242 --leaks --seconds 60\n"
		"  prowl goroutine --core core.4242 --text\n"
		"\n"
		"Nothing is stopped: each goroutine is right by itself, but they are not all of one\n"
		"instant. What could not be read as a whole is counted and has no stack.\n",
	.opts = goroutine_opts,
	.no_sigpipe = true,
	.size = sizeof(struct goroutine),
	.defaults = &(const struct goroutine){.o.running_ns = RUNNING_MS * 1000000ull},
	.check = check,
	.may = PROWL_MAY_SAMPLE | PROWL_MAY_READ | PROWL_MAY_NAME,
	.run = run,
};
