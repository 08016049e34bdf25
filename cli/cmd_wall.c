/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "common_opts.h"
#include "output.h"
#include "pprof.h"
#include "privilege.h"
#include "stop.h"
#include "target.h"
#include "term.h"
#include "wall.h"

enum { MAX_RATE = 1000 };

struct wall {
	struct common_opts common;
	struct prowl_wall_options o;
};

static bool take_percent(const struct opt *o, void *field, const char *arg)
{
	char *end;
	double v = strtod(arg, &end);

	if (end != arg && *end == '%')
		end++;
	if (end == arg || *end || !(v > 0) || v > 100) {
		say_error("--%s wants a part of one CPU in percent, up to 100, not '%s'", o->name,
			  arg);
		return false;
	}
	*(double *)field = v / 100;
	return true;
}

static const struct opt wall_opts[] = {
	COMMON_PIDS("process to look at", struct wall, common),
	COMMON_NAME("the process with this name (comm or file name)", struct wall, common),
	COMMON_SECONDS("how long: 5, 30s, 2m (default 30)", struct wall, common),
	OPT_UINT('F', "rate", "HZ", "looks a second (default 10)", struct wall, o.rate, 1,
		 MAX_RATE),
	{.name = "max-overhead",
	 .arg = "PERCENT",
	 .take = take_percent,
	 .at = OPT_FIELD(struct wall, o.max_overhead, double),
	 .help = "own CPU time, of one CPU (default 1)"},
	COMMON_OUTPUT("wall", struct wall, common),
	COMMON_SAY,
	OPT_END,
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

static enum prowl_code write_profile(const struct wall *c, const struct prowl_wall *w,
				     const struct pprof_profile *profile)
{
	const struct prowl_wall_result *r = prowl_wall_result(w);
	struct output_file used;
	enum prowl_code code = output_write_named(profile, c->common.out, c->common.output,
						  r->target.comm, r->target.pid, "wall", &used);

	if (code != PROWL_OK)
		return code;
	say_result(r);
	output_say_written(c->common.out, &used);
	return PROWL_OK;
}

static enum prowl_code collect(const struct wall *c, struct prowl_wall *w)
{
	const struct prowl_wall_result *r = prowl_wall_result(w);
	struct pprof_profile *profile;
	struct prowl_err err = {0};
	enum prowl_code code;

	say_info("looking at the goroutines of %s (pid %d, %s) for %g s, %u times a second; Ctrl-C "
		 "stops early and still writes",
		 r->target.comm, (int)r->target.pid, r->target.go_version,
		 (double)c->common.duration_ns / 1e9, c->o.rate ? c->o.rate : 10);
	if (r->target.go_guessed)
		say_warning(PROWL_GO_GUESSED, r->target.go_version);
	if (r->cpu_failed)
		say_warning("no permission to sample the process: running goroutines have no "
			    "stack; prowl doctor tells what is missing");
	stop_catch(prowl_wall_wake_fd(w));
	code = prowl_wall_run(w, c->common.duration_ns, &err);
	if (code == PROWL_OK)
		code = prowl_wall_build(w, &profile, &err);
	if (code != PROWL_OK)
		return say_failure(&err);
	code = write_profile(c, w, profile);
	pprof_profile_free(profile);
	return code;
}

static enum prowl_code check(void *options, char **words, size_t n)
{
	struct wall *c = options;
	enum prowl_code code = common_check_target(&c->common, BY_NAME);

	if (code == PROWL_OK)
		code = common_check_output(&c->common);
	if (code == PROWL_OK)
		code = common_find_named(&c->common, true);
	return code;
}

static enum prowl_code run(void *options, char **words, size_t n)
{
	struct wall *c = options;
	struct prowl_err err = {0};
	struct prowl_wall *w;
	enum prowl_code code;

	prowl_privilege_raise();
	code = prowl_wall_open(c->common.who.pid, &c->o, &w, &err);
	if (code != PROWL_OK)
		return say_failure(&err);
	code = collect(c, w);
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
	.no_sigpipe = true,
	.size = sizeof(struct wall),
	.defaults = &(const struct wall){.common.duration_ns = 30000000000u},
	.check = check,
	.may = PROWL_MAY_SAMPLE | PROWL_MAY_READ | PROWL_MAY_NAME,
	.run = run,
};
