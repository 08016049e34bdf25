/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "cmd.h"
#include "new_file.h"
#include "output.h"
#include "privilege.h"
#include "show_goroutines.h"
#include "stop.h"
#include "take.h"
#include "term.h"

enum {
	RUNNING_MS = 100,   /* to sample those that run */
	LEAKS_SECONDS = 10, /* default window */
};

struct goroutine {
	struct take take; /* first: see take_check */
	bool text, group, json, leaks;
};

static const struct opt goroutine_opts[] = {
	COMMON_PIDS("process to read", struct goroutine, take.common),
	COMMON_NAME("the process with this name (comm or file name)", struct goroutine,
		    take.common),
	COMMON_CORE("core file to read", struct goroutine, take.common),
	OPT_FLAG(0, "text", "print each goroutine as a panic does", struct goroutine, text),
	OPT_FLAG(0, "group", "print each stack once, with how many goroutines have it",
		 struct goroutine, group),
	OPT_JSON("print JSON", struct goroutine, json),
	OPT_TEXT(0, "state", "STATES",
		 "only these: running, waiting, select, 'chan receive', ...; by commas",
		 struct goroutine, take.o.goroutines.state),
	OPT_TEXT(0, "match", "REGEX", "only with a function in the stack that matches",
		 struct goroutine, take.o.goroutines.match),
	OPT_FLAG(0, "system", "the runtime's own goroutines and functions too", struct goroutine,
		 take.o.goroutines.system),
	OPT_FLAG(0, "leaks", "those that were made within --seconds and stayed blocked",
		 struct goroutine, leaks),
	COMMON_SECONDS("the window of --leaks: 5, 30s, 2m (default 10)", struct goroutine,
		       take.common),
	COMMON_OUTPUT("goroutine", struct goroutine, take.common),
	COMMON_SAY,
	OPT_END,
};

/* --- leaks --- */

static enum prowl_code find_leaks(const struct goroutine *c, struct prowl_goroutines *h)
{
	/* Without filters: a goroutine may match a filter only later, and is old then. */
	struct prowl_goroutines_options all = {.list = true, .system = c->take.o.goroutines.system};
	struct prowl_dump dumps[3] = {{0}};
	struct prowl_err err = {0};
	enum prowl_code code = PROWL_OK;
	size_t n;

	stop_catch(-1);
	for (int i = 0; i < 3 && code == PROWL_OK; i++) {
		if (i)
			stop_sleep_until(prowl_now() + c->take.common.duration_ns / 2);
		code = prowl_goroutines_take(h, i ? &c->take.o.goroutines : &all, &dumps[i], &err);
	}
	if (code == PROWL_OK && stop_asked()) {
		say_error("stopped before the window was over: what stays blocked is not known");
		code = PROWL_NOTHING;
	} else if (code != PROWL_OK) {
		code = say_failure(&err);
	} else {
		n = show_goroutines_leaks(stdout, h, dumps, c->json, c->take.o.goroutines.system);
		say_info(
			"%zu goroutines were made within %g s and stayed blocked at one place for "
			"the second half of it; all in all %llu, then %llu",
			n, (double)c->take.common.duration_ns / 1e9,
			(unsigned long long)(dumps[0].counts.goroutines + dumps[0].counts.filtered),
			(unsigned long long)(dumps[2].counts.goroutines +
					     dumps[2].counts.filtered));
	}
	for (int i = 0; i < 3; i++)
		prowl_dump_fini(&dumps[i]);
	return code;
}

/* --- lists --- */

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
		show_goroutines_groups(to, x->h, x->d, x->c->take.o.goroutines.system);
	else
		show_goroutines_text(to, x->h, x->d, x->c->take.o.goroutines.system);
}

/* The goroutines of a second runtime are appended to those of the first one. */
static enum prowl_code print(const struct goroutine *c, const struct prowl_goroutines *h,
			     const struct prowl_dump *d)
{
	struct shown x = {.c = c, .h = h, .d = d, .t = prowl_goroutines_target(h)};
	const char *path = c->take.common.output ? c->take.common.output : "-";
	int r;

	r = x.t->which ? new_file_more_words(path, show, &x) : new_file_words(path, show, &x);
	if (r < 0) {
		say_error("%s: %s", new_file_is_stdout(path) ? "standard output" : path,
			  strerror(-r));
		return PROWL_FAILED;
	}
	take_say_goroutines(&d->counts, d->nstacks, "different stacks");
	say_own_cost();
	return PROWL_OK;
}

static enum prowl_code list_one(const struct goroutine *c, struct prowl_goroutines *h)
{
	struct prowl_err err = {0};
	struct prowl_dump d;
	enum prowl_code code = prowl_goroutines_take(h, &c->take.o.goroutines, &d, &err);

	if (code != PROWL_OK)
		return say_failure(&err);
	code = print(c, h, &d);
	prowl_dump_fini(&d);
	return code;
}

static enum prowl_code choose(const struct goroutine *c, struct prowl_goroutines *h, size_t which)
{
	struct prowl_err err = {0};

	if (which == 0)
		return PROWL_OK;
	if (!c->take.common.who.core)
		prowl_privilege_raise(); /* writing has lowered it */
	return prowl_goroutines_choose(h, which, &err) == PROWL_OK ? PROWL_OK : say_failure(&err);
}

static enum prowl_code list(const struct goroutine *c, struct prowl_goroutines *h)
{
	size_t n = prowl_goroutines_target(h)->nruntimes;
	enum prowl_code code = PROWL_OK;

	for (size_t i = 0; i < n && code == PROWL_OK; i++) {
		code = choose(c, h, i);
		if (code == PROWL_OK)
			code = list_one(c, h);
	}
	return code;
}

/* --- the command --- */

static enum prowl_code check_list(struct goroutine *c)
{
	struct common_opts *common = &c->take.common;
	enum prowl_code code = common_check_target(common, BY_NAME | BY_CORE);

	if (code != PROWL_OK)
		return code;
	if (c->text + c->group + c->json > 1) {
		say_error("--text, --group and --json exclude each other");
		return PROWL_USAGE;
	}
	if (c->leaks &&
	    (common->who.core || c->text || c->group || common->output || common->format)) {
		say_error("--leaks prints groups, or with --json JSON, of a process");
		return PROWL_USAGE;
	}
	if (common->format) {
		say_error("--format is for profiles");
		return PROWL_USAGE;
	}
	if (c->leaks && !common->duration_ns)
		common->duration_ns = LEAKS_SECONDS * 1000000000ull;
	return common_find_named(common, true);
}

static enum prowl_code check(void *options, char **words, size_t n)
{
	struct goroutine *c = options;
	const char *state = c->take.o.goroutines.state;

	if (state && !state[strspn(state, ",")]) {
		say_error("--state wants states or what goroutines wait for, separated by commas");
		return PROWL_USAGE;
	}
	if (c->take.common.duration_ns && !c->leaks) {
		say_error("--seconds is the window of --leaks");
		return PROWL_USAGE;
	}
	c->take.o.goroutines.list = c->text || c->group || c->json || c->leaks;
	return c->take.o.goroutines.list ? check_list(c) : take_check(options, words, n);
}

static enum prowl_code run(void *options, char **words, size_t n)
{
	const struct goroutine *c = options;
	struct prowl_err err = {0};
	struct prowl_goroutines *h;
	char window[80] = "";
	enum prowl_code code;

	if (!c->take.o.goroutines.list)
		return take_run(options, words, n);
	if (!c->take.common.who.core)
		prowl_privilege_raise();
	code = prowl_goroutines_open(&c->take.common.who, &h, &err);
	if (code != PROWL_OK)
		return say_failure(&err);
	if (c->leaks)
		snprintf(window, sizeof window, " three times within %g s",
			 (double)c->take.common.duration_ns / 1e9);
	take_say_reading(prowl_goroutines_target(h), "goroutines", window);
	code = c->leaks ? find_leaks(c, h) : list(c, h);
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
	.defaults = &(const struct goroutine){.take = {.kind = "goroutine",
						       .o.goroutines.running_ns = RUNNING_MS *
										  1000000ull}},
	.check = check,
	.may = PROWL_MAY_SAMPLE | PROWL_MAY_READ | PROWL_MAY_NAME,
	.run = run,
};
