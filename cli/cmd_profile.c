/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"
#include "grants.h"
#include "labels.h"
#include "output.h"
#include "pprof.h"
#include "privilege.h"
#include "prowl.h"
#include "stop.h"
#include "target.h"
#include "term.h"
#include "urgent.h"

enum {
	ID_PID = 1,
	ID_NAME,
	ID_SECONDS,
	ID_RATE,
	ID_OUTPUT,
	ID_FORMAT,
	ID_USER,
	ID_PER_THREAD,
	ID_NO_BPF,
	ID_THREADS,
	ID_TIMELINE,
	ID_LABELS,
	ID_CHILDREN,
	ID_STACK,
	ID_QUIET,
	ID_VERBOSE,
	ID_COLOR,
};

enum { WORTH_WARNING = 2 }; /* samples' worth of time */

static const struct opt profile_opts[] = {
	{'p', "pid", "PID", "process to profile; may be repeated", ID_PID},
	{'n', "name", "NAME", "all processes with this name (comm or file name)", ID_NAME},
	{'d', "seconds", "TIME", "how long: 5, 30s, 2m (default 30; with a command: until it ends)",
	 ID_SECONDS},
	{'F', "rate", "HZ", "samples per second of CPU time (default 99)", ID_RATE},
	{'o', "output", "FILE", "- is stdout (default prowl.NAME.PID.cpu.TIME.pb.gz)", ID_OUTPUT},
	{'f', "format", "FORMAT",
	 "pprof, text, tree, folded, speedscope, json, pgo (default by the file's name)",
	 ID_FORMAT},
	{0, "user", NULL, "leave out the kernel: its time counts where it was called", ID_USER},
	{0, "threads", NULL, "tell threads apart: labels thread_id, thread_name", ID_THREADS},
	{0, "timeline", NULL, "keep each sample's time and thread, for speedscope's time order",
	 ID_TIMELINE},
	{0, "labels", NULL, "Go's pprof labels (runtime/pprof.Do) of the sampled goroutine",
	 ID_LABELS},
	{0, "children", NULL, "follow child processes too (always on with a command)", ID_CHILDREN},
	{0, "per-thread", NULL, "sample thread by thread even where whole CPUs are allowed",
	 ID_PER_THREAD},
	{0, "no-bpf", NULL, "load no BPF program even where it is allowed (see the manual)",
	 ID_NO_BPF},
	{0, "stack-bytes", "N", "copy N bytes of the stack with each sample (default: automatic)",
	 ID_STACK},
	{'q', "quiet", NULL, "only errors", ID_QUIET},
	{'v', "verbose", NULL, "say more", ID_VERBOSE},
	{0, "color", "WHEN", "auto, always or never", ID_COLOR},
	OPT_END,
};

struct profile {
	struct prowl_options o;
	struct target_pids pids;
	uint64_t duration;
	bool has_duration;
	const char *output, *format;
	char *const *command; /* NULL: none */
	pid_t child;
	int release;          /* pipe end: writing lets the child go on, closing ends it */
	sighandler_t sigpipe; /* what the command shall do at SIGPIPE: what we did when we began */
	int exec_failed;      /* pipe end: an errno, or nothing when exec succeeded */
	const struct output_format *out;
};

/* --- targets --------------------------------------------------------------------- */

/*
 * Starts the command, but holds it before exec until sampling has begun. A second pipe, which a
 * successful exec closes, tells whether there was one.
 */
static int launch(struct profile *p)
{
	int hold[2], failed[2];
	pid_t pid;

	if (pipe2(hold, O_CLOEXEC) < 0 || pipe2(failed, O_CLOEXEC) < 0) {
		say_error("pipe: %s", strerror(errno));
		return PROWL_FAILED;
	}
	pid = fork();
	if (pid < 0) {
		say_error("fork: %s", strerror(errno));
		return PROWL_FAILED;
	}
	if (pid == 0) {
		char c;
		int e;

		close(hold[1]);
		signal(SIGPIPE, p->sigpipe);
		if (read(hold[0], &c, 1) != 1)
			_exit(127); /* the parent gave up */
		execvp(p->command[0], p->command);
		e = errno;
		if (write(failed[1], &e, sizeof e) != sizeof e)
			_exit(127);
		_exit(e == ENOENT ? 127 : 126);
	}
	close(hold[0]);
	close(failed[1]);
	p->child = pid;
	p->release = hold[1];
	p->exec_failed = failed[0];
	p->o.children = true;
	return target_add_pid(&p->pids, pid) ? 0 : PROWL_USAGE;
}

/* Lets the command go on, or, with go false, end. 0, or its exit code where it can't be run. */
static int release_child(struct profile *p, bool go)
{
	int e = 0;

	if (p->release < 0)
		return 0;
	if (go && write(p->release, "g", 1) != 1)
		e = EPIPE;
	close(p->release);
	p->release = -1;
	if (go && e == 0 && read(p->exec_failed, &e, sizeof e) <= 0)
		e = 0;
	close(p->exec_failed);
	if (e == 0)
		return 0;
	/* Only after start_command(). NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	say_error("%s: %s", p->command[0], strerror(e));
	return e == ENOENT ? 127 : 126;
}

/* The command's own exit status, as a shell gives it. */
static int child_status(struct profile *p)
{
	int status;

	if (waitpid(p->child, &status, 0) < 0)
		return PROWL_FAILED;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* --- words ----------------------------------------------------------------------- */

static void describe(char *buf, size_t len, const struct prowl_target *t)
{
	snprintf(buf, len, "%s (pid %d, %s%s)", t->comm, (int)t->pid,
		 t->go_version[0] ? t->go_version : "not Go", t->stripped ? ", stripped" : "");
}

static void say_first_line(struct profile *p, struct prowl_session *s)
{
	const char *no_bpf = prowl_session_result(s)->no_bpf;
	char who[400] = "", time[64] = "until it ends";
	struct prowl_target t;

	if (prowl_session_targets(s) == 1 && !p->command) {
		prowl_session_target(s, 0, &t);
		describe(who, sizeof who, &t);
	} else if (p->command) {
		snprintf(who, sizeof who, "%s (pid %d)", p->command[0], (int)p->child);
	} else {
		snprintf(who, sizeof who, "%zu processes", prowl_session_targets(s));
	}
	if (p->duration)
		snprintf(time, sizeof time, "for %g s", (double)p->duration / 1e9);
	say_info(
		"profiling CPU of %s %s at %u Hz with perf cpu-clock%s; Ctrl-C stops early and still "
		"writes",
		who, time, p->o.rate, no_bpf ? "" : ", other stacks by BPF");
	if (no_bpf)
		say_detail(
			"other stacks are read after the sample, not copied at its time: no BPF, %s",
			no_bpf);
}

static void say_warnings(struct prowl_session *s)
{
	const struct prowl_result *r = prowl_session_result(s);

	if (!r->kernel)
		say_warning(
			"no permission for kernel frames (kernel.perf_event_paranoid is %d): user "
			"frames only; kernel time is shown as [kernel, not sampled]. For kernel "
			"frames: " PROWL_SETCAP,
			r->paranoid);
	for (size_t i = 0; i < prowl_session_targets(s); i++) {
		struct prowl_target t;

		prowl_session_target(s, i, &t);
		if (t.go_guessed)
			say_warning(PROWL_GO_GUESSED, t.go_version);
		if (t.go_error)
			say_warning(
				"%s (pid %d) is a Go program whose tables can't be read (%s): its Go "
				"frames stay unknown",
				t.comm, (int)t.pid, strerror(-t.go_error));
	}
}

static void on_progress(void *ctx, const struct prowl_result *r)
{
	const struct profile *p = ctx;

	prowl_urgent_again();
	if (p->duration)
		say_progress("%.0f of %.0f s, %llu samples, %llu lost",
			     (double)r->duration_ns / 1e9, (double)p->duration / 1e9,
			     (unsigned long long)r->samples, (unsigned long long)r->lost);
	else
		say_progress("%.0f s, %llu samples, %llu lost", (double)r->duration_ns / 1e9,
			     (unsigned long long)r->samples, (unsigned long long)r->lost);
}

static double percent(uint64_t part, uint64_t of)
{
	return of ? 100.0 * (double)part / (double)of : 0.0;
}

/* Less than some samples' worth is nothing to warn of; the profile says it all the same. */
static bool much_is_unsampled(const struct prowl_result *r)
{
	return r->unsampled_ns >= WORTH_WARNING * r->period_ns &&
	       percent(r->unsampled_ns, r->cpu_ns) >= 0.1;
}

static void say_result(const struct prowl_result *r, bool labels, unsigned int rate)
{
	uint64_t truncated = r->ends[UW_END_TRUNCATED] + r->ends[UW_END_NO_MEM];

	say_info("%llu samples, %.2f s of CPU in %.2f s; lost %llu (%.1f %%), truncated %.1f %%, "
		 "unknown root %.1f %%, unknown frames %.1f %%",
		 (unsigned long long)r->samples, (double)r->cpu_ns / 1e9,
		 (double)r->duration_ns / 1e9, (unsigned long long)r->lost,
		 percent(r->lost, r->lost + r->samples), percent(truncated, r->samples),
		 percent(r->ends[UW_END_UNKNOWN] + r->no_user, r->samples),
		 percent(r->unknown_frames, r->samples));
	if (labels)
		say_info("labels: %llu samples labelled, %llu without labels, %llu too old (read "
			 "more than 5 ms after they were taken), %llu unknown",
			 (unsigned long long)r->labelled, (unsigned long long)r->unlabelled,
			 (unsigned long long)r->labels_too_old,
			 (unsigned long long)r->labels_unknown);
	if (r->labels_cut)
		say_warning("%llu samples have labels that were cut: " PROWL_LABELS_LIMITS,
			    (unsigned long long)r->labels_cut, UW_LABEL_BYTES, UW_LABELS_MAX);
	if (r->untimed)
		say_warning(
			"times are kept of the first %llu samples; %llu more are counted without "
			"one",
			(unsigned long long)r->timed, (unsigned long long)r->untimed);
	if (much_is_unsampled(r))
		say_warning("%.2f s of CPU (%.1f %%) are not sampled: of threads or processes that "
			    "live too short for %u Hz; shown as [not sampled]",
			    (double)r->unsampled_ns / 1e9, percent(r->unsampled_ns, r->cpu_ns),
			    rate);
	if (r->hash_dropped || r->damaged || r->throttled)
		say_warning(
			"%llu samples found no room in the hash, %llu records were damaged, the "
			"kernel throttled %llu times",
			(unsigned long long)r->hash_dropped, (unsigned long long)r->damaged,
			(unsigned long long)r->throttled);
	if (r->left_out)
		say_warning("symbols or debug information of %u files were left out: too large, or "
			    "too slow to read, for the file of a target",
			    r->left_out);
	if (r->hurried)
		say_warning(
			"a signal ended the naming: some native addresses are [unknown], others "
			"have no lines");
	say_own_cost();
}

/* --- the run --------------------------------------------------------------------- */

/* Equal samples become one, as they do in a file. */
static int join_equal(struct pprof_profile **profile)
{
	struct pprof_profile *joined;
	int r = pprof_merge((const struct pprof_profile *const *)profile, 1, &joined, NULL);

	if (r == 0) {
		pprof_profile_free(*profile);
		*profile = joined;
	}
	return r;
}

/* What the file is called by: those that were asked for, not the children that they had. */
static pid_t name_targets(const struct profile *p, struct prowl_session *s, char *names, size_t len)
{
	size_t n = prowl_session_targets(s) < p->o.npids ? prowl_session_targets(s) : p->o.npids;
	struct prowl_target t = {0};

	names[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		prowl_session_target(s, i, &t);
		target_names(names, len, t.comm);
	}
	return n == 1 ? t.pid : -(pid_t)n;
}

static int finish(struct profile *p, struct prowl_session *s, struct prowl_err *err)
{
	struct pprof_profile *profile;
	struct output_file used;
	char names[48];
	pid_t pid;
	int code = prowl_session_build(s, &profile, err);

	if (code != PROWL_OK)
		return say_failure(err);
	if (prowl_session_result(s)->ksyms_cache_error < 0)
		say_detail("the kernel's symbols could not be kept for the next run: %s",
			   strerror(-prowl_session_result(s)->ksyms_cache_error));
	if (!p->out->is_pprof && join_equal(&profile) < 0) {
		pprof_profile_free(profile);
		say_error("out of memory");
		return PROWL_FAILED;
	}
	pid = name_targets(p, s, names, sizeof names);
	code = output_write_named(profile, p->out, p->output, names, pid, "cpu", &used);
	pprof_profile_free(profile);
	if (code != PROWL_OK)
		return code;
	say_result(prowl_session_result(s), p->o.labels, p->o.rate);
	output_say_written(p->out, &used);
	return PROWL_OK;
}

static int take(struct profile *p)
{
	struct prowl_session *s;
	struct prowl_err err = {0};
	int code;

	p->o.pids = p->pids.pid;
	p->o.npids = p->pids.n;
	prowl_privilege_raise();
	code = prowl_session_open(&p->o, &s, &err);
	if (code != PROWL_OK)
		return say_failure(&err);
	stop_pass_on(p->command ? p->child : 0);
	stop_catch(prowl_session_wake_fd(s));
	code = release_child(p, true);
	if (code != 0) {
		prowl_session_free(s);
		return code;
	}
	say_first_line(p, s);
	say_warnings(s);
	code = prowl_session_run(s, p->duration, on_progress, p, &err);
	prowl_privilege_drop(PROWL_MAY_SAMPLE); /* till then events may be opened anew */
	say_progress_end();
	say_detail("first sample after %.1f ms",
		   (double)prowl_session_result(s)->first_sample_ns / 1e6);
	if (code == PROWL_OK)
		code = finish(p, s, &err);
	else
		say_failure(&err);
	stop_release(); /* from here on a signal ends prowl, which only waits for its command */
	prowl_session_free(s);
	return code;
}

static int profile_run(struct profile *p)
{
	int code;

	prowl_urgent_begin();
	code = take(p);
	prowl_urgent_end();
	return code;
}

static int parse(struct profile *p, int argc, char **argv)
{
	struct opts o;
	const char *arg, *name = NULL;
	uint64_t n;
	int id, first, code = 0;
	bool ok = true;

	opts_init(&o, &cmd_profile, argc, argv);
	while (ok && (id = opts_next(&o, &arg, &first, &code)) >= 0) {
		pid_t pid;

		switch (id) {
		case ID_PID:
			ok = opts_pid(arg, &pid) && target_add_pid(&p->pids, pid);
			break;
		case ID_NAME:
			ok = !name;
			if (!ok)
				say_error("--name can be given only once; for more processes, give "
					  "their --pid");
			name = arg;
			break;
		case ID_SECONDS:
			ok = opts_duration("seconds", arg, &p->duration);
			p->has_duration = true;
			break;
		case ID_RATE:
			ok = opts_number("rate", arg, 1, PROWL_MAX_RATE, &n);
			if (ok)
				p->o.rate = (unsigned int)n;
			break;
		case ID_OUTPUT:
			p->output = arg;
			break;
		case ID_FORMAT:
			p->format = arg;
			break;
		case ID_USER:
			p->o.user_only = true;
			break;
		case ID_PER_THREAD:
			p->o.per_thread = true;
			break;
		case ID_NO_BPF:
			p->o.no_bpf = true;
			break;
		case ID_THREADS:
			p->o.threads = true;
			break;
		case ID_TIMELINE:
			p->o.timeline = true;
			break;
		case ID_LABELS:
			p->o.labels = true;
			break;
		case ID_CHILDREN:
			p->o.children = true;
			break;
		case ID_STACK:
			ok = opts_number("stack-bytes", arg, 64, 60000, &n);
			if (ok)
				p->o.stack_bytes = (uint32_t)n;
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
	if (first < argc)
		p->command = argv + first;
	if ((p->pids.n || name) && p->command) {
		say_error("give either a process or a command, not both ('%s')", p->command[0]);
		return PROWL_USAGE;
	}
	if (!p->pids.n && !name && !p->command) {
		say_error("whom? give --pid PID, --name NAME, or a command after --");
		return PROWL_USAGE;
	}
	if (!p->has_duration && !p->command)
		p->duration = 30000000000u;
	p->out = output_choose(p->format, p->output);
	if (!p->out)
		return PROWL_USAGE;
	if (!output_may_write(p->out, p->output))
		return PROWL_USAGE;
	return name ? target_add_name(&p->pids, name) : 0;
}

static int run(int argc, char **argv)
{
	struct profile p = {.o.rate = PROWL_DEFAULT_RATE, .release = -1};
	int code, status;

	p.sigpipe = signal(
		SIGPIPE,
		SIG_IGN); /* a reader that goes away is an error to report, not to die of */
	code = parse(&p, argc, argv);
	if (code != 0)
		return code < 0 ? 0 : code;
	if (p.command) {
		code = launch(&p);
		if (code != 0)
			return code;
	}
	code = profile_run(&p);
	if (!p.command)
		return code;
	release_child(&p, false);
	status = child_status(&p);
	/* A command that failed by itself is more to say than that it was too short to be sampled.
	 */
	return code && !(code == PROWL_NOTHING && status) ? code : status;
}

const struct cmd cmd_profile = {
	.name = "profile",
	.usage = "[options] --pid PID | --name NAME | -- COMMAND [ARG...]",
	.summary = "CPU profile of running processes or of a command",
	.text = "Examples:\n"
		"  prowl profile --pid 4242 --seconds 10\n"
		"  prowl profile --name etcd -F 999 -o etcd.pb.gz\n"
		"  prowl profile --pid 4242 -d 5s -o - -f folded | flamegraph.pl > flame.svg\n"
		"  prowl profile -- ./server -port 8080\n"
		"\n"
		"Labels are read from the process' memory right after each sample. The profile\n"
		"has a comment on how many samples were labelled, read too late, or unknown.\n",
	.opts = profile_opts,
	.may = PROWL_MAY_SAMPLE | PROWL_MAY_READ | PROWL_MAY_NAME,
	.run = run,
};
