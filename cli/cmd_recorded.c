/* SPDX-License-Identifier: Apache-2.0 */
/* heap, allocs, block, mutex, threadcreate: one command in five tables. */
#include <errno.h>
#include <stdint.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "allow_write.h"
#include "cmd.h"
#include "output.h"
#include "pprof.h"
#include "privilege.h"
#include "rtprofile.h"
#include "stop.h"
#include "term.h"

enum {
	ID_PID = 1,
	ID_CORE,
	ID_EXE,
	ID_SECONDS,
	ID_ALLOW_WRITE,
	ID_OUTPUT,
	ID_FORMAT,
	ID_QUIET,
	ID_VERBOSE,
	ID_COLOR,
};

/* After the window, until what was set is put back even if prowl hangs. */
#define GRACE_NS 60000000000u

static const struct opt recorded_opts[] = {
	{'p', "pid", "PID", "process to read", ID_PID},
	{0, "core", "FILE", "core file to read", ID_CORE},
	{0, "exe", "FILE", "program that wrote the core file, where the core names another place",
	 ID_EXE},
	{'d', "seconds", "TIME", "only what is recorded within that time: 5, 30s, 2m", ID_SECONDS},
	OPT_ALLOW_WRITE(ID_ALLOW_WRITE),
	{'o', "output", "FILE", "- is stdout (default prowl.NAME.PID.KIND.TIME.pb.gz)", ID_OUTPUT},
	{'f', "format", "FORMAT",
	 "pprof, text, tree, folded, speedscope, json (default by the file's name)", ID_FORMAT},
	{'q', "quiet", NULL, "only errors", ID_QUIET},
	{'v', "verbose", NULL, "say more", ID_VERBOSE},
	{0, "color", "WHEN", "auto, always or never", ID_COLOR},
	OPT_END,
};

struct recorded {
	enum prowl_rtprofile_kind kind;
	struct prowl_who who;
	const char *output, *format;
	uint64_t duration; /* 0: all there is */
	struct prowl_rates_wish rates;
	const struct output_format *out;
};

/* --- the window ------------------------------------------------------------------ */

static void on_guardian(void *ctx)
{
	say_warning("the process that would put the rates back was killed; another one stands by");
}

/* Until the time is over or a first signal; the second one ends prowl. */
static int wait_for(uint64_t ns, struct prowl_rtprofile *r, struct prowl_err *err)
{
	int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), code;

	if (wake_fd < 0)
		return (int)prowl_fail(err, PROWL_FAILED, "%s (limit on open files, ulimit -n?)",
				       strerror(errno));
	stop_catch(wake_fd);
	code = (int)prowl_rtprofile_wait(r, ns, wake_fd, on_guardian, NULL, err);
	stop_catch(-1);
	close(wake_fd);
	return code;
}

/* --- words ----------------------------------------------------------------------- */

static void say_first_line(const struct recorded *c, const struct prowl_rtprofile_result *r)
{
	char window[80] = "";

	if (c->duration)
		snprintf(window, sizeof window, " for %g s; Ctrl-C stops early and still writes",
			 (double)c->duration / 1e9);
	say_info("reading the %s profile of %s (%s %d, %s)%s", prowl_rtprofile_name(c->kind),
		 r->target.comm, c->who.core ? "core of pid" : "pid", (int)r->target.pid,
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

static int write_profile(const struct recorded *c, const struct prowl_rtprofile_result *r,
			 const struct pprof_profile *profile)
{
	struct output_file used;
	int code = output_write_named(profile, c->out, c->output, r->target.comm, r->target.pid,
				      prowl_rtprofile_name(c->kind), &used);

	if (code != PROWL_OK)
		return code;
	say_result(c, r);
	output_say_written(c->out, &used);
	return PROWL_OK;
}

static int collect(const struct recorded *c, struct prowl_rtprofile *r)
{
	struct pprof_profile *profile;
	struct prowl_err err = {0};
	int code = PROWL_OK;

	say_first_line(c, prowl_rtprofile_result(r));
	if (allow_write_wanted(&c->rates))
		code = prowl_rtprofile_set_rates(r, &c->rates, c->duration + GRACE_NS, &err);
	if (code == PROWL_OK && prowl_rtprofile_rates(r))
		allow_write_say_set(prowl_rtprofile_rates(r));
	if (code == PROWL_OK && c->duration)
		code = prowl_rtprofile_start(r, &err);
	if (code == PROWL_OK && c->duration)
		code = wait_for(c->duration, r, &err);
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
	if (allow_write_wanted(&c->rates) && !c->duration) {
		say_error("--allow-write is for a window: give --seconds, too");
		return false;
	}
	return true;
}

static int check(struct recorded *c)
{
	if (!c->who.pid == !c->who.core) {
		say_error(c->who.pid ? "give either --pid or --core, not both"
				     : "whom? give --pid PID or --core FILE");
		return PROWL_USAGE;
	}
	if (c->who.exe && !c->who.core) {
		say_error("--exe goes with --core");
		return PROWL_USAGE;
	}
	if (c->who.core && c->duration) {
		say_error("nothing changes in a core file: --seconds goes with --pid");
		return PROWL_USAGE;
	}
	if (!check_rates(c))
		return PROWL_USAGE;
	c->out = output_choose(c->format, c->output);
	if (!c->out || !output_may_write(c->out, c->output))
		return PROWL_USAGE;
	return 0;
}

static int parse(struct recorded *c, const struct cmd *cmd, int argc, char **argv)
{
	struct opts o;
	const char *arg;
	int id, first, code = 0;
	bool ok = true;

	opts_init(&o, cmd, argc, argv);
	while (ok && (id = opts_next(&o, &arg, &first, &code)) >= 0) {
		switch (id) {
		case ID_PID:
			ok = opts_pid(arg, &c->who.pid);
			break;
		case ID_CORE:
			c->who.core = arg;
			break;
		case ID_EXE:
			c->who.exe = arg;
			break;
		case ID_SECONDS:
			ok = opts_duration("seconds", arg, &c->duration);
			break;
		case ID_ALLOW_WRITE:
			ok = allow_write_parse("allow-write", arg, 1, &c->rates);
			break;
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
			ok = say_color(arg);
			if (!ok)
				say_error("--color wants auto, always or never, not '%s'", arg);
			break;
		}
	}
	opts_fini(&o);
	if (!ok)
		return PROWL_USAGE;
	if (id == OPTS_EXIT)
		return code ? code : -1;
	if (first < argc) {
		say_error("what is '%s'? prowl %s takes options only", argv[first], cmd->name);
		return PROWL_USAGE;
	}
	return check(c);
}

static int run(enum prowl_rtprofile_kind kind, int argc, char **argv)
{
	struct recorded c = {.kind = kind};
	struct prowl_err err = {0};
	struct prowl_rtprofile *r;
	int code;

	signal(SIGPIPE, SIG_IGN); /* a reader that goes away is an error to report */
	code = parse(&c, cmd_find(prowl_rtprofile_name(kind)), argc, argv);
	if (code != 0)
		return code < 0 ? 0 : code;
	if (!c.who.core)
		prowl_privilege_raise();
	code = prowl_rtprofile_open(kind, &c.who, &r, &err);
	if (code != PROWL_OK)
		return say_failure(&err);
	code = collect(&c, r);
	prowl_rtprofile_free(r);
	return code;
}

#define USAGE "[options] --pid PID | --core FILE"
#define RECORDED(ident, kind, title, details)                  \
	static int run_##ident(int argc, char **argv)          \
	{                                                      \
		return run(kind, argc, argv);                  \
	}                                                      \
	const struct cmd cmd_##ident = {.name = #ident,        \
					.usage = USAGE,        \
					.summary = (title),    \
					.text = (details),     \
					.opts = recorded_opts, \
					.may = PROWL_MAY_READ, \
					.run = run_##ident}

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
