/* SPDX-License-Identifier: Apache-2.0 */
/* Shows where CPU time goes, as a live table on the terminal, or for scripts. */
#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"
#include "common_opts.h"
#include "figures_watch.h"
#include "grants.h"
#include "output.h"
#include "pprof.h"
#include "pprof_report.h"
#include "privilege.h"
#include "prowl.h"
#include "stop.h"
#include "target.h"
#include "term.h"
#include "top_history.h"
#include "top_model.h"
#include "top_print.h"
#include "top_screen.h"

enum {
	SHOWN_LINES = 20, /* for scripts */
	MAX_LINES = 1000000,
	COLLECT_NICE = -10, /* as in profile: little work, but in time */
};

#define SECOND 1000000000ull

static const uint64_t recent_ns = 5 * SECOND, shortest_interval = SECOND / 10;
static const uint64_t figures_period_ns = 2 * SECOND, too_late_ns = SECOND;
static const double figures_budget = 0.005; /* of one CPU */

struct top {
	struct prowl_options o;
	struct common_opts common;
	uint64_t interval;
	bool cum, once, json;
	size_t lines;

	struct prowl_session *s;
	struct prowl_figures_watch *watch; /* NULL: not one Go program */
	struct top_target *targets;
	size_t ntargets;
	char who[256];
	const char *no_figures;
	struct top_model *model;
	struct top_history *history;
	struct prowl_result last; /* at the last cut */
	uint64_t own_cpu, own_at; /* of prowl itself, at the last look */
	double own_percent;
	struct output_file written; /* path "": nothing was */
};

static const struct opt top_opts[] = {
	COMMON_PIDS("process to look at; may be repeated", struct top, common),
	COMMON_NAME("all processes with this name (comm or file name)", struct top, common),
	COMMON_SECONDS("end after that time: 30s, 2m (default: never)", struct top, common),
	OPT_TIME(0, "interval", "time between two tables (default 1s; with --once 5s)", struct top,
		 interval),
	OPT_UINT('F', "rate", "HZ", "samples per second of CPU time (default 99)", struct top,
		 o.rate, 1, PROWL_MAX_RATE),
	OPT_FLAG(0, "cum", "sort by what functions and their callees took", struct top, cum),
	OPT_NUMBER(0, "lines", "with --once or --json: show N functions (default 20)", struct top,
		   lines, 1, MAX_LINES),
	OPT_FLAG(0, "once", "print one table after one interval, as text", struct top, once),
	OPT_JSON("print JSON: a line for each interval; with --once one object", struct top, json),
	OPT_FLAG(0, "user", "leave out the kernel: its time counts where it was called", struct top,
		 o.user_only),
	OPT_FLAG(0, "no-bpf", "load no BPF program even where it is allowed", struct top, o.no_bpf),
	COMMON_SAY,
	OPT_END,
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

/* --- what is known of the targets and of prowl ------------------------------------ */

static enum prowl_code learn_targets(struct top *t)
{
	size_t n = prowl_session_targets(t->s), used = 0;

	t->targets = calloc(n, sizeof *t->targets);
	if (!t->targets) {
		say_error("out of memory");
		return PROWL_FAILED;
	}
	t->ntargets = n;
	for (size_t i = 0; i < n; i++) {
		struct prowl_target target;

		prowl_session_target(t->s, i, &target);
		t->targets[i].pid = (int)target.pid;
		memcpy(t->targets[i].comm, target.comm, sizeof target.comm);
		memcpy(t->targets[i].go_version, target.go_version, sizeof target.go_version);
	}
	if (n == 1) {
		snprintf(t->who, sizeof t->who, "%s (pid %d, %s)", t->targets[0].comm,
			 t->targets[0].pid,
			 t->targets[0].go_version[0] ? t->targets[0].go_version : "not Go");
		return PROWL_OK;
	}
	used = (size_t)snprintf(t->who, sizeof t->who, "%zu processes:", n);
	for (size_t i = 0; i < n && used < sizeof t->who; i++)
		used += (size_t)snprintf(t->who + used, sizeof t->who - used, " %s %d",
					 t->targets[i].comm, t->targets[i].pid);
	return PROWL_OK;
}

static void start_watch(struct top *t)
{
	t->no_figures = "not read yet";
	if (t->ntargets > 1)
		t->no_figures = "shown for one process only";
	else if (!t->targets[0].go_version[0])
		t->no_figures = "none, this is not a Go program";
	else if (prowl_figures_watch_start(t->targets[0].pid, figures_period_ns, figures_budget,
					   &t->watch) < 0)
		t->no_figures = "no memory to read them";
}

static void look_at_ourselves(struct top *t)
{
	struct rusage u;
	uint64_t cpu, now = now_ns();

	if (getrusage(RUSAGE_SELF, &u) < 0)
		return;
	cpu = ((uint64_t)u.ru_utime.tv_sec + (uint64_t)u.ru_stime.tv_sec) * SECOND +
	      ((uint64_t)u.ru_utime.tv_usec + (uint64_t)u.ru_stime.tv_usec) * 1000;
	if (t->own_at && now > t->own_at)
		t->own_percent = 100.0 * (double)(cpu - t->own_cpu) / (double)(now - t->own_at);
	t->own_cpu = cpu;
	t->own_at = now;
}

static uint64_t own_memory(void)
{
	unsigned long long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f)
		return 0;
	if (fscanf(f, "%*u %llu", &pages) != 1)
		pages = 0;
	fclose(f);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* --- windows --------------------------------------------------------------------- */

static uint64_t truncated(const struct prowl_result *r)
{
	return r->truncated + r->unknown_root + r->no_user;
}

static struct top_counts counts_since(const struct prowl_result *r, const struct prowl_result *last)
{
	return (struct top_counts){
		.span_ns = r->duration_ns - last->duration_ns,
		.cpu_ns = r->cpu_ns > last->cpu_ns ? r->cpu_ns - last->cpu_ns : 0,
		.samples = r->samples - last->samples,
		.lost = r->lost + r->hash_dropped - last->lost - last->hash_dropped,
		.truncated = truncated(r) - truncated(last),
		.unknown = r->unknown_frames - last->unknown_frames,
	};
}

/* Ends a window; `keep` false: its samples are dropped. */
static enum prowl_code cut(struct top *t, bool keep)
{
	struct pprof_profile *window;
	struct top_counts counts;
	struct prowl_err err = {0};
	enum prowl_code code = prowl_session_cut(t->s, &window, &err);

	if (code != PROWL_OK)
		return say_failure(&err);
	counts = counts_since(prowl_session_result(t->s), &t->last);
	t->last = *prowl_session_result(t->s);
	look_at_ourselves(t);
	if (!keep) {
		pprof_profile_free(window);
		return PROWL_OK;
	}
	if (top_history_add(t->history, window, &counts) < 0) {
		say_error("out of memory");
		return PROWL_FAILED;
	}
	return PROWL_OK;
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void fill_facts(struct top *t, const struct top_counts *c, struct top_facts *f)
{
	memcpy(f->who, t->who, sizeof f->who);
	f->rate = t->o.rate;
	f->span_ns = c->span_ns;
	f->cpu_percent = percent(c->cpu_ns, c->span_ns);
	f->samples = c->samples;
	f->lost = percent(c->lost, c->lost + c->samples);
	f->truncated = percent(c->truncated, c->samples);
	f->unknown = percent(c->unknown, c->samples);
	f->own_percent = t->own_percent;
	f->own_bytes = own_memory();
	snprintf(f->why_no_figures, sizeof f->why_no_figures, "%s", t->no_figures);
	f->has_figures = t->watch &&
			 prowl_figures_watch_get(t->watch, &f->figures, &f->figures_age_ns);
}

static enum prowl_code refresh(struct top *t)
{
	struct top_view recent = {0}, all = {0};
	struct top_counts c, c_all = {0};

	if (top_history_recent(t->history, &recent.functions, &c) < 0 ||
	    (top_model_wants_all(t->model) &&
	     top_history_all(t->history, &all.functions, &c_all) < 0)) {
		pprof_functions_free(recent.functions);
		say_error("out of memory");
		return PROWL_FAILED;
	}
	fill_facts(t, &c, &recent.facts);
	fill_facts(t, &c_all, &all.facts);
	top_model_update(t->model, &recent, &all);
	return PROWL_OK;
}

static enum prowl_code say_nothing_captured(const struct prowl_result *r)
{
	struct prowl_err err = {0};

	if (r->all_exited)
		prowl_fail(&err, PROWL_NOTHING,
			   "nothing captured: the target exited before its first sample");
	else
		prowl_fail(&err, PROWL_NOTHING,
			   "nothing captured: the target used %.1f ms of CPU in %.1f s",
			   (double)r->cpu_ns / 1e6, (double)r->duration_ns / 1e9);
	return say_failure(&err);
}

/* --- the profile so far ------------------------------------------------------------ */

static enum prowl_code write_profile(struct top *t)
{
	const struct pprof_exporter *format = output_choose("pprof", NULL);
	pid_t pid = t->ntargets == 1 ? (pid_t)t->targets[0].pid : -(pid_t)t->ntargets;
	struct pprof_profile *p;
	char names[48] = "";
	int r = top_history_profile(t->history, &p);
	enum prowl_code code;

	if (r < 0 || p->nsamples == 0) {
		if (r == 0)
			pprof_profile_free(p);
		say_error("%s", r < 0 && r != -ENODATA ? strerror(-r)
						       : "there is no sample to write yet");
		return PROWL_FAILED;
	}
	prowl_session_note(t->s, p);
	if (top_history_cut(t->history))
		pprof_comment(p, "warning: the beginning of the session is not in this profile");
	for (size_t i = 0; i < t->ntargets; i++)
		target_names(names, sizeof names, t->targets[i].comm);
	code = output_may_write(format, NULL)
		       ? output_write_named(p, format, NULL, names, pid, "cpu", &t->written)
		       : PROWL_FAILED;
	prowl_privilege_raise(); /* writing has lowered it */
	if (code == PROWL_OK)
		say_info("wrote %s (%.1f kB, %.0f s)", t->written.path,
			 (double)t->written.size / 1000.0, (double)p->duration_nanos / 1e9);
	pprof_profile_free(p);
	return code;
}

/* --- for scripts ------------------------------------------------------------------- */

static bool asked_to_stop(const struct top *t)
{
	struct pollfd p = {.fd = prowl_session_wake_fd(t->s), .events = POLLIN};

	return poll(&p, 1, 0) > 0;
}

static void print(struct top *t)
{
	if (t->json)
		top_print_json(t->model, t->lines, t->targets, t->ntargets, !t->once, stdout);
	else
		top_print_text(t->model, t->lines, stdout);
	fflush(stdout);
}

/* A table after each interval, or one only. */
static enum prowl_code run_printing(struct top *t)
{
	const struct prowl_result *r = prowl_session_result(t->s);
	uint64_t start = now_ns(),
		 end = t->common.duration_ns ? start + t->common.duration_ns : UINT64_MAX;
	uint64_t next = start;
	enum prowl_code code = PROWL_OK;
	bool over = false;

	stop_catch(prowl_session_wake_fd(t->s));
	while (code == PROWL_OK && !over && !ferror(stdout)) {
		uint64_t now = now_ns();

		next = next + t->interval > now ? next + t->interval : now + t->interval;
		if (next > end)
			next = end;
		prowl_session_collect(t->s, next > now ? next - now : 0,
				      prowl_session_wake_fd(t->s));
		over = t->once || r->all_exited || asked_to_stop(t) || now_ns() >= end;
		code = cut(t, true);
		if (code == PROWL_OK && (r->samples > 0 || !over))
			code = refresh(t);
		if (code == PROWL_OK && (r->samples > 0 || (!over && !t->once)))
			print(t);
	}
	if (code == PROWL_OK && r->samples == 0 && !ferror(stdout))
		return say_nothing_captured(r);
	return code;
}

/* --- on the terminal ---------------------------------------------------------------- */

static void say_in_table(void *ctx, const char *text)
{
	top_model_message(ctx, text);
}

/* Handles keys and signals. False: quit. */
static bool take_events(struct top *t, struct top_screen *screen)
{
	int event;

	while ((event = top_screen_event(screen)) != 0) {
		if (event == TOP_EVENT_QUIT)
			return false;
		if (event == TOP_EVENT_RETURNED) {
			top_screen_repaint(screen, t->model);
		} else if (event != TOP_EVENT_REDRAW) {
			switch (top_model_key(t->model, event)) {
			case TOP_QUIT:
				return false;
			case TOP_WRITE:
				write_profile(t);
				break;
			case TOP_REPAINT:
				top_screen_repaint(screen, t->model);
				break;
			case TOP_UPDATE:
				refresh(t);
				break;
			default:
				break;
			}
		}
	}
	top_screen_draw(screen, t->model);
	return true;
}

/*
 * A window that is cut much too late covers a time in which prowl did not run (it was stopped, or
 * got no CPU): it only has the samples of its beginning, until the rings were full.
 */
static enum prowl_code next_table(struct top *t, uint64_t deadline)
{
	uint64_t late = now_ns() - deadline;
	char text[128];
	enum prowl_code code = cut(t, late < too_late_ns);

	if (late >= too_late_ns) {
		snprintf(text, sizeof text,
			 "prowl did not run for %.1f s: that time is not in the table",
			 (double)late / 1e9);
		top_model_message(t->model, text);
	}
	return code == PROWL_OK ? refresh(t) : code;
}

static void wait_for_event(struct top_screen *screen, uint64_t until)
{
	struct pollfd p = {.fd = top_screen_fd(screen), .events = POLLIN};
	uint64_t now = now_ns(), ms = until > now ? (until - now) / 1000000u + 1 : 0;

	poll(&p, 1, until == UINT64_MAX || ms > 1000000 ? -1 : (int)ms);
}

static enum prowl_code watch_targets(struct top *t, struct top_screen *screen)
{
	const struct prowl_result *r = prowl_session_result(t->s);
	uint64_t end = t->common.duration_ns ? now_ns() + t->common.duration_ns : UINT64_MAX;
	uint64_t deadline = now_ns() + t->interval;
	bool over = false;
	enum prowl_code code = PROWL_OK;

	top_screen_draw(screen, t->model);
	while (code == PROWL_OK) {
		uint64_t now = now_ns(), until = deadline < end ? deadline : end;

		if (over)
			wait_for_event(screen, end);
		else
			prowl_session_collect(t->s, until > now ? until - now : 0,
					      top_screen_fd(screen));
		now = now_ns();
		if (!over && (now >= deadline || r->all_exited)) {
			code = next_table(t, now < deadline ? now : deadline);
			deadline = deadline + t->interval > now ? deadline + t->interval
								: now + t->interval;
			over = r->all_exited;
			if (over)
				top_model_over(t->model, t->ntargets > 1
								 ? "the processes have exited"
								 : "the process has exited");
		}
		if (code == PROWL_OK && (!take_events(t, screen) || now >= end))
			break;
	}
	return code;
}

static enum prowl_code run_screen(struct top *t)
{
	struct top_screen *screen;
	enum prowl_code code = top_screen_open(&screen);

	if (code != PROWL_OK)
		return code;
	say_elsewhere(say_in_table, t->model);
	code = watch_targets(t, screen);
	say_elsewhere(NULL, NULL);
	top_screen_close(screen);
	if (code != PROWL_OK)
		say_error("the table could not be made: out of memory, or a window was not read");
	if (t->written.path[0])
		say_info("wrote %s", t->written.path);
	say_info("%llu samples, %.2f s of CPU in %.2f s; lost %llu",
		 (unsigned long long)prowl_session_result(t->s)->samples,
		 (double)prowl_session_result(t->s)->cpu_ns / 1e9,
		 (double)prowl_session_result(t->s)->duration_ns / 1e9,
		 (unsigned long long)prowl_session_result(t->s)->lost);
	say_own_cost();
	return code;
}

/* --- the run ----------------------------------------------------------------------- */

static void say_warnings(const struct top *t)
{
	const struct prowl_result *r = prowl_session_result(t->s);

	if (!r->kernel)
		say_warning(
			"no permission for kernel frames (kernel.perf_event_paranoid is %d): "
			"kernel time is shown as [kernel, not sampled]. For kernel frames: " PROWL_SETCAP,
			r->paranoid);
}

static enum prowl_code run_opened(struct top *t)
{
	bool scripts = t->once || t->json; /* each table is of one interval */
	enum prowl_code code = learn_targets(t);

	if (code != PROWL_OK)
		return code;
	if (top_model_new(t->cum ? TOP_BY_CUM : TOP_BY_FLAT, &t->model) < 0 ||
	    top_history_new(scripts ? 0 : recent_ns, !scripts, &t->history) < 0) {
		say_error("out of memory");
		return PROWL_FAILED;
	}
	say_warnings(t);
	start_watch(t);
	look_at_ourselves(t);
	setpriority(PRIO_PROCESS, 0, COLLECT_NICE);
	code = refresh(t);
	if (code == PROWL_OK)
		code = scripts ? run_printing(t) : run_screen(t);
	return code;
}

static enum prowl_code run(void *options, char **words, size_t n)
{
	struct top *t = options;
	struct prowl_err err = {0};
	enum prowl_code code;

	t->o.pids = t->common.pids.pid;
	t->o.npids = t->common.pids.n;
	setlocale(LC_CTYPE, ""); /* how wide characters are */
	prowl_privilege_raise();
	code = prowl_session_open(&t->o, &t->s, &err);
	if (code != PROWL_OK)
		return say_failure(&err);
	code = run_opened(t);
	prowl_figures_watch_stop(t->watch);
	top_model_free(t->model);
	top_history_free(t->history);
	free(t->targets);
	stop_release();
	prowl_session_free(t->s);
	return code;
}

static enum prowl_code check(void *options, char **words, size_t n)
{
	struct top *t = options;
	enum prowl_code code = common_check_target(&t->common, BY_NAME);

	if (code != PROWL_OK)
		return code;
	if (t->interval && t->interval < shortest_interval) {
		say_error("--interval wants at least 100ms");
		return PROWL_USAGE;
	}
	if (t->once && t->common.duration_ns) { /* the window of the one table */
		t->interval = t->common.duration_ns;
		t->common.duration_ns = 0;
	}
	if (!t->interval)
		t->interval = t->once ? recent_ns : SECOND;
	if (!t->once && !t->json)
		code = top_screen_check();
	return code == PROWL_OK ? common_find_named(&t->common, false) : code;
}

const struct cmd cmd_top = {
	.name = "top",
	.usage = "[options] --pid PID | --name NAME",
	.summary = "where the CPU time goes now, as a live table",
	.text = "Examples:\n"
		"  prowl top --pid 4242\n"
		"  prowl top --pid 4242 --once --cum\n"
		"  prowl top --name etcd --json --interval 10s | jq .runtime.goroutines\n"
		"\n"
		"The table is of the last 5 seconds, or with the key a since the start. ? lists the\n"
		"keys. Sampling goes on while the table is frozen.\n",
	.opts = top_opts,
	.no_sigpipe = true,
	.size = sizeof(struct top),
	.defaults = &(const struct top){.o.rate = PROWL_DEFAULT_RATE, .lines = SHOWN_LINES},
	.check = check,
	.may = PROWL_MAY_SAMPLE | PROWL_MAY_READ | PROWL_MAY_NAME,
	.run = run,
};
