/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"
#include "grants.h"
#include "common_opts.h"
#include "label.h"
#include "output.h"
#include "pprof.h"
#include "pprof_report.h"
#include "privilege.h"
#include "prowl.h"
#include "stop.h"
#include "take.h"
#include "term.h"
#include "urgent.h"

enum { WORTH_WARNING = 2 }; /* samples' worth of time */

struct profile {
	struct prowl_options o;
	struct common_opts common;
	char *const *command; /* NULL: none */
	pid_t child;
	int release;     /* pipe end: writing releases the child, closing ends it */
	int exec_failed; /* pipe end: an errno, or nothing when exec succeeded */
};

static const struct opt profile_opts[] = {
	COMMON_PIDS("process to profile; may be repeated", struct profile, common),
	COMMON_NAME("all processes with this name (comm or file name)", struct profile, common),
	COMMON_SECONDS("how long: 5, 30s, 2m (default 30; with a command: until it ends)",
		       struct profile, common),
	OPT_UINT('F', "rate", "HZ", "samples per second of CPU time (default 99)", struct profile,
		 o.rate, 1, PROWL_MAX_RATE),
	COMMON_OUTPUT("cpu", struct profile, common),
	OPT_FLAG(0, "user", "leave out the kernel: its time counts where it was called",
		 struct profile, o.user_only),
	OPT_FLAG(0, "threads", "distinguish threads: labels thread_id, thread_name", struct profile,
		 o.threads),
	OPT_FLAG(0, "timeline", "keep each sample's time and thread, for speedscope's time order",
		 struct profile, o.timeline),
	OPT_FLAG(0, "labels", "Go's pprof labels (runtime/pprof.Do) of the sampled goroutine",
		 struct profile, o.labels),
	OPT_FLAG(0, "children", "follow child processes too (always on with a command)",
		 struct profile, o.children),
	OPT_FLAG(0, "per-thread", "sample thread by thread even where whole CPUs are allowed",
		 struct profile, o.per_thread),
	OPT_FLAG(0, "no-bpf", "load no BPF program even where it is allowed (see the manual)",
		 struct profile, o.no_bpf),
	OPT_UINT(0, "stack-bytes", "N",
		 "copy N bytes of the stack with each sample (default: automatic)", struct profile,
		 o.stack_bytes, 64, 60000),
	COMMON_SAY,
	OPT_END,
};

/* --- targets --------------------------------------------------------------------- */

/*
 * Starts the command, but holds it before exec until sampling has begun. A successful exec closes a
 * second pipe, a failed one writes to it.
 */
static enum prowl_code launch(struct profile *p)
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
		stop_let_pipe();
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
	return target_add_pid(&p->common.pids, pid) ? PROWL_OK : PROWL_USAGE;
}

/* Releases the command or, with go false, ends it. 0, or its exit code where it can't be run. */
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
	if (p->common.duration_ns)
		snprintf(time, sizeof time, "for %g s", (double)p->common.duration_ns / 1e9);
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
		take_say_guessed(&t);
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
	if (p->common.duration_ns)
		say_progress("%.0f of %.0f s, %llu samples, %llu lost",
			     (double)r->duration_ns / 1e9, (double)p->common.duration_ns / 1e9,
			     (unsigned long long)r->samples, (unsigned long long)r->lost);
	else
		say_progress("%.0f s, %llu samples, %llu lost", (double)r->duration_ns / 1e9,
			     (unsigned long long)r->samples, (unsigned long long)r->lost);
}

static double percent(uint64_t part, uint64_t of)
{
	return of ? 100.0 * (double)part / (double)of : 0.0;
}

/* Not for less than some samples' worth; the profile has it in any case. */
static bool much_is_unsampled(const struct prowl_result *r)
{
	return r->unsampled_ns >= WORTH_WARNING * r->period_ns &&
	       percent(r->unsampled_ns, r->cpu_ns) >= 0.1;
}

static void say_result(const struct prowl_result *r, bool labels, unsigned int rate)
{

	say_info("%llu samples, %.2f s of CPU in %.2f s; lost %llu (%.1f %%), truncated %.1f %%, "
		 "unknown root %.1f %%, unknown frames %.1f %%",
		 (unsigned long long)r->samples, (double)r->cpu_ns / 1e9,
		 (double)r->duration_ns / 1e9, (unsigned long long)r->lost,
		 percent(r->lost, r->lost + r->samples), percent(r->truncated, r->samples),
		 percent(r->unknown_root + r->no_user, r->samples),
		 percent(r->unknown_frames, r->samples));
	if (labels)
		say_info("labels: %llu samples labelled, %llu without labels, %llu too old (read "
			 "more than 5 ms after they were taken), %llu unknown",
			 (unsigned long long)r->labelled, (unsigned long long)r->unlabelled,
			 (unsigned long long)r->labels_too_old,
			 (unsigned long long)r->labels_unknown);
	if (r->labels_cut)
		say_warning("%llu samples have labels that were cut: " PROWL_LABELS_LIMITS,
			    (unsigned long long)r->labels_cut, PROWL_LABEL_BYTES, PROWL_LABELS_MAX);
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

/* The names for the file: those of the given processes, without their children. */
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

static enum prowl_code finish(struct profile *p, struct prowl_session *s, struct prowl_err *err)
{
	struct pprof_profile *profile;
	struct output_file used;
	char names[48];
	pid_t pid;
	enum prowl_code code = prowl_session_build(s, &profile, err);

	if (code != PROWL_OK)
		return say_failure(err);
	if (prowl_session_result(s)->ksyms_cache_error < 0)
		say_detail("the kernel's symbols could not be kept for the next run: %s",
			   strerror(-prowl_session_result(s)->ksyms_cache_error));
	if (!(p->common.out->flags & PPROF_EXPORT_BINARY) && join_equal(&profile) < 0) {
		pprof_profile_free(profile);
		say_error("out of memory");
		return PROWL_FAILED;
	}
	pid = name_targets(p, s, names, sizeof names);
	code = output_write_named(profile, p->common.out, p->common.output, names, pid, "cpu",
				  &used);
	pprof_profile_free(profile);
	if (code != PROWL_OK)
		return code;
	say_result(prowl_session_result(s), p->o.labels, p->o.rate);
	output_say_written(p->common.out, &used);
	return PROWL_OK;
}

static enum prowl_code take(struct profile *p)
{
	struct prowl_session *s;
	struct prowl_err err = {0};
	enum prowl_code code;
	int status;

	p->o.pids = p->common.pids.pid;
	p->o.npids = p->common.pids.n;
	prowl_privilege_raise();
	code = prowl_session_open(&p->o, &s, &err);
	if (code != PROWL_OK)
		return say_failure(&err);
	stop_pass_on(p->command ? p->child : 0);
	stop_catch(prowl_session_wake_fd(s));
	status = release_child(p, true);
	if (status != 0) {
		prowl_session_free(s);
		return (enum prowl_code)status;
	}
	say_first_line(p, s);
	say_warnings(s);
	code = prowl_session_run(s, p->common.duration_ns, on_progress, p, &err);
	prowl_privilege_drop(PROWL_MAY_SAMPLE); /* until now events may be opened again */
	say_progress_end();
	say_detail("first sample after %.1f ms",
		   (double)prowl_session_result(s)->first_sample_ns / 1e6);
	if (code == PROWL_OK)
		code = finish(p, s, &err);
	else
		say_failure(&err);
	stop_release(); /* from here on prowl only waits for its command, and a signal ends it */
	prowl_session_free(s);
	return code;
}

static enum prowl_code profile_run(struct profile *p)
{
	enum prowl_code code;

	prowl_urgent_begin();
	code = take(p);
	prowl_urgent_end();
	return code;
}

static enum prowl_code check(void *options, char **words, size_t n)
{
	struct profile *p = options;
	enum prowl_code code = PROWL_OK;

	if (n)
		p->command = words;
	if ((p->common.pids.n || p->common.name) && p->command) {
		say_error("give either a process or a command, not both ('%s')", p->command[0]);
		return PROWL_USAGE;
	}
	if (!p->command) {
		code = common_check_target(&p->common, BY_NAME | BY_COMMAND);
		if (!p->common.duration_ns)
			p->common.duration_ns = 30000000000u;
	}
	if (code == PROWL_OK)
		code = common_check_output(&p->common);
	return code == PROWL_OK ? common_find_named(&p->common, false) : code;
}

static enum prowl_code run(void *options, char **words, size_t n)
{
	struct profile *p = options;
	enum prowl_code code;
	int status;

	if (p->command) {
		code = launch(p);
		if (code != PROWL_OK)
			return code;
	}
	code = profile_run(p);
	if (!p->command)
		return code;
	release_child(p, false);
	status = child_status(p);
	/* The command's own failure is more useful than "too short to be sampled". */
	return code && !(code == PROWL_NOTHING && status) ? code : (enum prowl_code)status;
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
	.operands = OPERANDS_COMMAND,
	.no_sigpipe = true,
	.size = sizeof(struct profile),
	.defaults = &(const struct profile){.o.rate = PROWL_DEFAULT_RATE, .release = -1},
	.check = check,
	.may = PROWL_MAY_SAMPLE | PROWL_MAY_READ | PROWL_MAY_NAME,
	.run = run,
};
