/* SPDX-License-Identifier: Apache-2.0 */
/* heap, allocs, block, mutex, threadcreate: one command in five tables. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "allow_write.h"
#include "cmd.h"
#include "common_opts.h"
#include "output.h"
#include "pprof.h"
#include "privilege.h"
#include "rtprofile.h"
#include "stop.h"
#include "term.h"

/* After the window, until what was set is put back even if prowl hangs. */
#define GRACE_NS 60000000000u

struct recorded {
	enum prowl_rtprofile_kind kind;
	struct common_opts common; /* duration_ns 0: all there is */
	struct prowl_rates_wish rates;
};

static const struct opt recorded_opts[] = {
	COMMON_PIDS("process to read", struct recorded, common),
	COMMON_NAME("the process with this name (comm or file name)", struct recorded, common),
	COMMON_CORE("core file to read", struct recorded, common),
	COMMON_SECONDS("only what is recorded within that time: 5, 30s, 2m", struct recorded,
		       common),
	OPT_ALLOW_WRITE(struct recorded, rates),
	COMMON_OUTPUT("KIND", struct recorded, common),
	COMMON_SAY,
	OPT_END,
};

/* --- the window ------------------------------------------------------------------ */

static void on_guardian(void *ctx)
{
	say_warning("the process that would put the rates back was killed; another one stands by");
}

/* Until the time is over or a first signal; the second one ends prowl. */
static enum prowl_code wait_for(uint64_t ns, struct prowl_rtprofile *r, struct prowl_err *err)
{
	int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	enum prowl_code code;

	if (wake_fd < 0)
		return prowl_fail(err, PROWL_FAILED, "%s (limit on open files, ulimit -n?)",
				  strerror(errno));
	stop_catch(wake_fd);
	code = prowl_rtprofile_wait(r, ns, wake_fd, on_guardian, NULL, err);
	stop_catch(-1);
	close(wake_fd);
	return code;
}

/* --- words ----------------------------------------------------------------------- */

static void say_first_line(const struct recorded *c, const struct prowl_rtprofile_result *r)
{
	char window[80] = "";

	if (c->common.duration_ns)
		snprintf(window, sizeof window, " for %g s; Ctrl-C stops early and still writes",
			 (double)c->common.duration_ns / 1e9);
	say_info("reading the %s profile of %s (%s %d, %s)%s", prowl_rtprofile_name(c->kind),
		 r->target.comm, c->common.who.core ? "core of pid" : "pid", (int)r->target.pid,
		 r->target.go_version, window);
	if (r->target.go_guessed)
		say_warning(PROWL_GO_GUESSED, r->target.go_version);
}

static void say_result(const struct recorded *c, const struct prowl_rtprofile_result *r)
{

	say_info("%zu samples of %zu records; read again %u times, records not whole %u, stack "
		 "words without a name %llu",
		 r->samples, r->records, r->retries, r->torn,
		 (unsigned long long)(r->outside + r->unknown));
	if (r->unsettled)
		say_warning("garbage collections ended faster than the records could be read: they "
			    "are of up to three of them");
	if (c->kind != PROWL_THREADCREATE && r->rate == 0)
		say_warning("its %s profile rate is 0 now: the records are from before%s",
			    prowl_rtprofile_name(c->kind),
			    r->unscaled ? ", and not scaled, since the rate of then is not known"
					: "");
	if (r->ticks_measured)
		say_detail("the length of a tick is that of this machine's clock, measured");
	say_own_cost();
}

/* --- the run --------------------------------------------------------------------- */

static enum prowl_code write_profile(const struct recorded *c,
				     const struct prowl_rtprofile_result *r,
				     const struct pprof_profile *profile)
{
	struct output_file used;
	enum prowl_code code = output_write_named(profile, c->common.out, c->common.output,
						  r->target.comm, r->target.pid,
						  prowl_rtprofile_name(c->kind), &used);

	if (code != PROWL_OK)
		return code;
	say_result(c, r);
	output_say_written(c->common.out, &used);
	return PROWL_OK;
}

static enum prowl_code collect(const struct recorded *c, struct prowl_rtprofile *r)
{
	struct pprof_profile *profile;
	struct prowl_err err = {0};
	enum prowl_code code = PROWL_OK;

	say_first_line(c, prowl_rtprofile_result(r));
	if (allow_write_wanted(&c->rates))
		code = prowl_rtprofile_set_rates(r, &c->rates, c->common.duration_ns + GRACE_NS,
						 &err);
	if (code == PROWL_OK && prowl_rtprofile_rates(r))
		allow_write_say_set(prowl_rtprofile_rates(r));
	if (code == PROWL_OK && c->common.duration_ns)
		code = prowl_rtprofile_start(r, &err);
	if (code == PROWL_OK && c->common.duration_ns)
		code = wait_for(c->common.duration_ns, r, &err);
	if (code == PROWL_OK)
		code = prowl_rtprofile_build(r, &profile, &err);
	if (prowl_rtprofile_rates(r))
		allow_write_say_end(prowl_rtprofile_rates(r));
	if (code != PROWL_OK)
		return say_failure(&err);
	code = write_profile(c, prowl_rtprofile_result(r), profile);
	pprof_profile_free(profile);
	return code;
}

/* Only the rate that the command's own profile hangs on, and only for a window. */
static bool check_rates(const struct recorded *c)
{
	static const enum prowl_rate of[] = {[PROWL_HEAP] = PROWL_RATE_HEAP,
					     [PROWL_ALLOCS] = PROWL_RATE_HEAP,
					     [PROWL_BLOCK] = PROWL_RATE_BLOCK,
					     [PROWL_MUTEX] = PROWL_RATE_MUTEX,
					     [PROWL_THREADCREATE] = PROWL_RATES};

	for (int i = 0; i < PROWL_RATES; i++) {
		if (c->rates.set[i] && of[c->kind] != (enum prowl_rate)i) {
			say_error("--allow-write: %s has no part in the %s profile",
				  prowl_rate_name((enum prowl_rate)i),
				  prowl_rtprofile_name(c->kind));
			return false;
		}
	}
	if (allow_write_wanted(&c->rates) && !c->common.duration_ns) {
		say_error("--allow-write is for a window: give --seconds, too");
		return false;
	}
	return true;
}

static enum prowl_code check(void *options, char **words, size_t n)
{
	struct recorded *c = options;
	enum prowl_code code = common_check_target(&c->common, BY_NAME | BY_CORE);

	if (code != PROWL_OK)
		return code;
	if (c->common.who.core && c->common.duration_ns) {
		say_error("nothing changes in a core file: --seconds goes with --pid");
		return PROWL_USAGE;
	}
	if (!check_rates(c))
		return PROWL_USAGE;
	code = common_check_output(&c->common);
	return code == PROWL_OK ? common_find_named(&c->common, true) : code;
}

static enum prowl_code run(void *options, char **words, size_t n)
{
	const struct recorded *c = options;
	struct prowl_err err = {0};
	struct prowl_rtprofile *r;
	enum prowl_code code;

	if (!c->common.who.core)
		prowl_privilege_raise();
	code = prowl_rtprofile_open(c->kind, &c->common.who, &r, &err);
	if (code != PROWL_OK)
		return say_failure(&err);
	code = collect(c, r);
	prowl_rtprofile_free(r);
	return code;
}

/* clang-format off */
#define RECORDED(ident, which, title, details) \
	const struct cmd cmd_##ident = { \
		.name = #ident, \
		.usage = "[options] --pid PID | --name NAME | --core FILE", \
		.summary = (title), \
		.text = (details), \
		.opts = recorded_opts, \
		.may = PROWL_MAY_READ, \
		.no_sigpipe = true, \
		.size = sizeof(struct recorded), \
		.defaults = &(const struct recorded){.kind = (which)}, \
		.check = check, \
		.run = run, \
	}
/* clang-format on */

RECORDED(heap, PROWL_HEAP, "memory in use, and what was allocated, as a Go program records it",
	 "Examples:\n"
	 "  prowl heap --pid 4242\n"
	 "  prowl heap --pid 4242 --seconds 60 -o growth.pb.gz\n"
	 "  prowl heap --core core.4242 -f text -o -\n"
	 "\n"
	 "The same records as at /debug/pprof/heap, without an endpoint in the program.\n");
RECORDED(allocs, PROWL_ALLOCS, "all allocations since the start of a Go program",
	 "Examples:\n"
	 "  prowl allocs --pid 4242\n"
	 "  prowl allocs --pid 4242 --seconds 30 -f text -o -\n"
	 "\n"
	 "The same records as prowl heap, shown by what was allocated.\n");
RECORDED(block, PROWL_BLOCK, "where goroutines of a Go program waited",
	 "Examples:\n"
	 "  prowl block --pid 4242 --seconds 30\n"
	 "\n"
	 "The program has to record it: runtime.SetBlockProfileRate.\n");
RECORDED(mutex, PROWL_MUTEX, "which locks of a Go program were contended",
	 "Examples:\n"
	 "  prowl mutex --pid 4242 --seconds 30\n"
	 "\n"
	 "The program has to record it: runtime.SetMutexProfileFraction.\n");
RECORDED(threadcreate, PROWL_THREADCREATE, "what made the threads of a Go program",
	 "Examples:\n"
	 "  prowl threadcreate --pid 4242 -f text -o -\n");
