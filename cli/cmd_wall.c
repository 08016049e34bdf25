/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "output.h"
#include "pprof.h"
#include "privilege.h"
#include "stop.h"
#include "target.h"
#include "term.h"
#include "wall.h"

enum {
	ID_PID = 1,
	ID_NAME,
	ID_SECONDS,
	ID_RATE,
	ID_OVERHEAD,
	ID_OUTPUT,
	ID_FORMAT,
	ID_QUIET,
	ID_VERBOSE,
	ID_COLOR,
	MAX_RATE = 1000,
};

static const struct opt wall_opts[] = {
	{'p', "pid", "PID", "process to look at", ID_PID},
	{'n', "name", "NAME", "the process with this name (comm or file name)", ID_NAME},
	{'d', "seconds", "TIME", "how long: 5, 30s, 2m (default 30)", ID_SECONDS},
	{'F', "rate", "HZ", "looks a second (default 10)", ID_RATE},
	{0, "max-overhead", "PERCENT", "own CPU time, of one CPU (default 1)", ID_OVERHEAD},
	{'o', "output", "FILE", "- is stdout (default prowl.NAME.PID.wall.TIME.pb.gz)", ID_OUTPUT},
	{'f', "format", "FORMAT",
	 "pprof, text, tree, folded, speedscope, json (default by the file's name)", ID_FORMAT},
	{'q', "quiet", NULL, "only errors", ID_QUIET},
	{'v', "verbose", NULL, "say more", ID_VERBOSE},
	{0, "color", "WHEN", "auto, always or never", ID_COLOR},
	OPT_END,
};

struct wall {
	struct target_pids pids;
	const char *name, *output, *format;
	uint64_t duration;
	struct prowl_wall_options o;
	const struct output_format *out;
};

static void say_result(const struct prowl_wall_result *r)
{
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
	say_own_cost();
}

static int write_profile(const struct wall *c, const struct prowl_wall *w,
			 const struct pprof_profile *profile)
{
	const struct prowl_wall_result *r = prowl_wall_result(w);
	struct output_file used;
	int code = output_write_named(profile, c->out, c->output, r->target.comm, r->target.pid,
				      "wall", &used);

	if (code != PROWL_OK)
		return code;
	say_result(r);
	output_say_written(c->out, &used);
	return PROWL_OK;
}

static int collect(const struct wall *c, struct prowl_wall *w)
{
	const struct prowl_wall_result *r = prowl_wall_result(w);
	struct pprof_profile *profile;
	struct prowl_err err = {0};
	int code;

	say_info("looking at the goroutines of %s (pid %d, %s) for %g s, %u times a second; Ctrl-C "
		 "stops early and still writes",
		 r->target.comm, (int)r->target.pid, r->target.go_version,
		 (double)c->duration / 1e9, c->o.rate ? c->o.rate : 10);
	if (r->target.go_guessed)
		say_warning(PROWL_GO_GUESSED, r->target.go_version);
	if (r->cpu_failed)
		say_warning("no permission to sample the process: running goroutines have no "
			    "stack; prowl doctor tells what is missing");
	stop_catch(prowl_wall_wake_fd(w));
	code = (int)prowl_wall_run(w, c->duration, &err);
	if (code == PROWL_OK)
		code = (int)prowl_wall_build(w, &profile, &err);
	if (code != PROWL_OK)
		return say_failure(&err);
	code = write_profile(c, w, profile);
	pprof_profile_free(profile);
	return code;
}

static bool parse_percent(const char *s, double *ret)
{
	char *end;
	double v = strtod(s, &end);

	if (end != s && *end == '%')
		end++;
	if (end == s || *end || !(v > 0) || v > 100) {
		say_error("--max-overhead wants a part of one CPU in percent, up to 100, not '%s'",
			  s);
		return false;
	}
	*ret = v / 100;
	return true;
}

static bool take_option(void *ctx, int id, const char *arg)
{
	struct wall *c = ctx;
	uint64_t number;
	pid_t pid;

	switch (id) {
	case ID_PID:
		return opts_pid(arg, &pid) && target_add_pid(&c->pids, pid);
	case ID_NAME:
		c->name = arg;
		break;
	case ID_SECONDS:
		return opts_duration("seconds", arg, &c->duration);
	case ID_RATE:
		if (!opts_number("rate", arg, 1, MAX_RATE, &number))
			return false;
		c->o.rate = (unsigned int)number;
		break;
	case ID_OVERHEAD:
		return parse_percent(arg, &c->o.max_overhead);
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

static int check(struct wall *c)
{
	int code = c->name ? target_add_name(&c->pids, c->name) : 0;

	if (code != 0)
		return code;
	if (c->pids.n != 1) {
		if (c->pids.n)
			say_error("there are %zu such processes: give the --pid of one", c->pids.n);
		else
			say_error("whom? give --pid PID or --name NAME");
		return PROWL_USAGE;
	}
	c->out = output_choose(c->format, c->output);
	return c->out && output_may_write(c->out, c->output) ? 0 : PROWL_USAGE;
}

static int parse(struct wall *c, int argc, char **argv)
{
	int code = opts_parse(&cmd_wall, argc, argv, take_option, c);

	return code ? code : check(c);
}

static int run(int argc, char **argv)
{
	struct wall c = {.duration = 30 * 1000000000ull};
	struct prowl_err err = {0};
	struct prowl_wall *w;
	int code;

	signal(SIGPIPE, SIG_IGN); /* a reader that goes away is an error to report */
	code = parse(&c, argc, argv);
	if (code != 0)
		return code < 0 ? 0 : code;
	prowl_privilege_raise();
	code = (int)prowl_wall_open(c.pids.pid[0], &c.o, &w, &err);
	if (code != PROWL_OK)
		return say_failure(&err);
	code = collect(&c, w);
	stop_release();
	prowl_wall_free(w);
	return code;
}

const struct cmd cmd_wall = {
	.name = "wall",
	.usage = "[options] --pid PID | --name NAME",
	.summary = "where goroutines spend their time, waiting and running",
	.text = "Examples:\n"
		"  prowl wall --pid 4242 --seconds 30\n"
		"  prowl report -t lock prowl.*.wall.*.pb.gz\n"
		"\n"
		"The values are nanoseconds of goroutines' time: wall, and by state running,\n"
		"runnable, syscall, io, chan, select, lock, sleep, gc, other.\n",
	.opts = wall_opts,
	.may = PROWL_MAY_SAMPLE | PROWL_MAY_READ | PROWL_MAY_NAME,
	.run = run,
};
