/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"
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
	ID_PID = 1,
	ID_NAME,
	ID_CORE,
	ID_EXE,
	ID_TEXT,
	ID_GROUP,
	ID_JSON,
	ID_STATE,
	ID_MATCH,
	ID_SYSTEM,
	ID_LEAKS,
	ID_SECONDS,
	ID_OUTPUT,
	ID_FORMAT,
	ID_QUIET,
	ID_VERBOSE,
	ID_COLOR,
	RUNNING_MS = 100, /* to sample those that run */
	MAX_RUNTIMES = 64,
};

static const struct opt goroutine_opts[] = {
	{'p', "pid", "PID", "process to read", ID_PID},
	{'n', "name", "NAME", "the process with this name (comm or file name)", ID_NAME},
	{0, "core", "FILE", "core file to read", ID_CORE},
	{0, "exe", "FILE", "program that wrote the core file, where the core names another place",
	 ID_EXE},
	{0, "text", NULL, "print each goroutine as a panic does", ID_TEXT},
	{0, "group", NULL, "print each stack once, with how many goroutines have it", ID_GROUP},
	{0, "json", NULL, "print JSON", ID_JSON},
	{0, "state", "STATES",
	 "only these: running, waiting, select, 'chan receive', ...; by commas", ID_STATE},
	{0, "match", "REGEX", "only with a function in the stack that matches", ID_MATCH},
	{0, "system", NULL, "the runtime's own goroutines and functions too", ID_SYSTEM},
	{0, "leaks", NULL, "those that were made within --seconds and stayed blocked", ID_LEAKS},
	{'d', "seconds", "TIME", "the window of --leaks: 5, 30s, 2m (default 10)", ID_SECONDS},
	{'o', "output", "FILE", "- is stdout (default prowl.NAME.PID.goroutine.TIME.pb.gz)",
	 ID_OUTPUT},
	{'f', "format", "FORMAT",
	 "pprof, text, tree, folded, speedscope, json (default by the file's name)", ID_FORMAT},
	{'q', "quiet", NULL, "only errors", ID_QUIET},
	{'v', "verbose", NULL, "say more", ID_VERBOSE},
	{0, "color", "WHEN", "auto, always or never", ID_COLOR},
	OPT_END,
};

struct goroutine {
	struct target_pids pids;
	const char *name, *core, *exe, *output, *format;
	bool text, group, json, leaks;
	uint64_t duration;
	struct prowl_goroutines_options o;
	const struct output_format *out;
};

/* --- words ----------------------------------------------------------------------- */

static void say_first_line(const struct goroutine *c, const struct prowl_goroutines *h)
{
	const struct prowl_target *t = prowl_goroutines_target(h);
	char window[80] = "";

	if (c->leaks)
		snprintf(window, sizeof window, " three times within %g s",
			 (double)c->duration / 1e9);
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
	struct timespec t = {.tv_sec = (time_t)(ns / 1000000000),
			     .tv_nsec = (long)(ns % 1000000000)};

	while (!stop_asked() && clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
		;
}

static int find_leaks(const struct goroutine *c, struct prowl_goroutines *h)
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
			wait_for(c->duration / 2);
		code = prowl_goroutines_take(h, i ? &c->o : &all, &dumps[i], &err);
	}
	if (code == PROWL_OK && stop_asked()) {
		say_error("stopped before the window was over: what stays blocked is not known");
		code = PROWL_NOTHING;
	} else if (code != PROWL_OK) {
		code = (enum prowl_code)say_failure(&err);
	} else {
		n = show_goroutines_leaks(stdout, h, dumps, c->json, c->o.system);
		say_info(
			"%zu goroutines were made within %g s and stayed blocked at one place for "
			"the second half of it; all in all %llu, then %llu",
			n, (double)c->duration / 1e9,
			(unsigned long long)(dumps[0].counts.goroutines + dumps[0].counts.filtered),
			(unsigned long long)(dumps[2].counts.goroutines +
					     dumps[2].counts.filtered));
	}
	for (int i = 0; i < 3; i++)
		prowl_dump_fini(&dumps[i]);
	return code;
}

static int write_profile(const struct goroutine *c, const struct prowl_goroutines *h,
			 const struct pprof_profile *profile)
{
	const struct prowl_target *t = prowl_goroutines_target(h);
	struct output_file used;
	int code;

	code = output_write_named(profile, c->out, c->output, t->comm, t->pid, "goroutine", &used);
	if (code != PROWL_OK)
		return code;
	output_say_written(c->out, &used);
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
static int print(const struct goroutine *c, const struct prowl_goroutines *h,
		 const struct prowl_dump *d)
{
	struct shown x = {.c = c, .h = h, .d = d, .t = prowl_goroutines_target(h)};
	const char *path = c->output ? c->output : "-";
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
static int dump_one(const struct goroutine *c, struct prowl_goroutines *h,
		    struct pprof_profile **ret)
{
	struct prowl_err err = {0};
	struct prowl_dump d;
	int code = (int)prowl_goroutines_take(h, &c->o, &d, &err);

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

static int choose(const struct goroutine *c, struct prowl_goroutines *h, size_t which)
{
	struct prowl_err err = {0};

	if (which == 0)
		return 0;
	if (!c->core)
		prowl_privilege_raise(); /* writing has laid it down */
	return prowl_goroutines_choose(h, which, &err) == PROWL_OK ? 0 : say_failure(&err);
}

/* Several runtimes: one profile of all of them. */
static int write_all(const struct goroutine *c, const struct prowl_goroutines *h,
		     const struct pprof_profile *const *profiles, size_t n)
{
	struct pprof_profile *all;
	struct pprof_diag diag;
	int code;

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

static int dump(const struct goroutine *c, struct prowl_goroutines *h)
{
	struct pprof_profile *profiles[MAX_RUNTIMES] = {NULL};
	const struct prowl_target *t = prowl_goroutines_target(h);
	size_t n;
	int code = 0;

	n = t->nruntimes < MAX_RUNTIMES ? t->nruntimes : MAX_RUNTIMES;
	if (n < t->nruntimes)
		say_warning("%zu Go runtimes: only the first %d are read", t->nruntimes,
			    MAX_RUNTIMES);
	for (size_t i = 0; i < n && code == 0; i++) {
		code = choose(c, h, i);
		if (code == 0)
			code = dump_one(c, h, &profiles[i]);
	}
	if (code == 0 && !c->o.list)
		code = write_all(c, h, (const struct pprof_profile *const *)profiles, n);
	for (size_t i = 0; i < n; i++)
		pprof_profile_free(profiles[i]);
	return code;
}

/* --- options --------------------------------------------------------------------- */

static int check_target(struct goroutine *c)
{
	int code = c->name ? target_add_name(&c->pids, c->name) : 0;

	if (code != 0)
		return code;
	if (c->pids.n > 1) {
		say_error("there are %zu such processes: give the --pid of one", c->pids.n);
		return PROWL_USAGE;
	}
	if (!c->pids.n == !c->core) {
		say_error(c->core ? "give either --pid or --core, not both"
				  : "whom? give --pid PID, --name NAME or --core FILE");
		return PROWL_USAGE;
	}
	if (c->exe && !c->core) {
		say_error("--exe goes with --core");
		return PROWL_USAGE;
	}
	return 0;
}

static int check(struct goroutine *c)
{
	int code = check_target(c);

	if (code != 0)
		return code;
	if (c->text + c->group + c->json > 1) {
		say_error("--text, --group and --json exclude each other");
		return PROWL_USAGE;
	}
	if (c->o.state && !c->o.state[strspn(c->o.state, ",")]) {
		say_error("--state wants states or what goroutines wait for, separated by commas");
		return PROWL_USAGE;
	}
	if (c->duration && !c->leaks) {
		say_error("--seconds is the window of --leaks");
		return PROWL_USAGE;
	}
	if (c->leaks && (c->core || c->text || c->group || c->output || c->format)) {
		say_error("--leaks prints groups, or with --json JSON, of a process");
		return PROWL_USAGE;
	}
	c->o.list = c->text || c->group || c->json || c->leaks;
	if (c->leaks && !c->duration)
		c->duration = 10 * 1000000000ull;
	if (c->o.list) {
		if (!c->format)
			return 0;
		say_error("--format is for profiles");
		return PROWL_USAGE;
	}
	c->out = output_choose(c->format, c->output);
	if (!c->out || !output_may_write(c->out, c->output))
		return PROWL_USAGE;
	return 0;
}

static bool take_option(void *ctx, int id, const char *arg)
{
	struct goroutine *c = ctx;
	pid_t pid;

	switch (id) {
	case ID_PID:
		return opts_pid(arg, &pid) && target_add_pid(&c->pids, pid);
	case ID_NAME:
		c->name = arg;
		break;
	case ID_CORE:
		c->core = arg;
		break;
	case ID_EXE:
		c->exe = arg;
		break;
	case ID_TEXT:
		c->text = true;
		break;
	case ID_GROUP:
		c->group = true;
		break;
	case ID_JSON:
		c->json = true;
		break;
	case ID_STATE:
		c->o.state = arg;
		break;
	case ID_MATCH:
		c->o.match = arg;
		break;
	case ID_SYSTEM:
		c->o.system = true;
		break;
	case ID_LEAKS:
		c->leaks = true;
		break;
	case ID_SECONDS:
		return opts_duration("seconds", arg, &c->duration);
	case ID_OUTPUT:
		c->output = arg;
		break;
	case ID_FORMAT:
		c->format = arg;
		break;
	case ID_QUIET:
		say_level(SAY_QUIET);
		break;
	case ID_VERBOSE:
		say_level(SAY_VERBOSE);
		break;
	case ID_COLOR:
		if (say_color(arg))
			break;
		say_error("--color wants auto, always or never, not '%s'", arg);
		return false;
	}
	return true;
}

static int parse(struct goroutine *c, int argc, char **argv)
{
	int code = opts_parse(&cmd_goroutine, argc, argv, take_option, c);

	return code ? code : check(c);
}

static int run(int argc, char **argv)
{
	struct goroutine c = {.o = {.running_ns = RUNNING_MS * 1000000ull}};
	struct prowl_err err = {0};
	struct prowl_goroutines *h;
	struct prowl_who who;
	int code;

	signal(SIGPIPE, SIG_IGN); /* a reader that goes away is an error to report */
	code = parse(&c, argc, argv);
	if (code != 0)
		return code < 0 ? 0 : code;
	if (!c.core)
		prowl_privilege_raise();
	who = (struct prowl_who){.pid = c.pids.n ? c.pids.pid[0] : 0, .core = c.core, .exe = c.exe};
	code = (int)prowl_goroutines_open(&who, &h, &err);
	if (code != PROWL_OK)
		return say_failure(&err);
	say_first_line(&c, h);
	code = c.leaks ? find_leaks(&c, h) : dump(&c, h);
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
	.may = PROWL_MAY_SAMPLE | PROWL_MAY_READ | PROWL_MAY_NAME,
	.run = run,
};
