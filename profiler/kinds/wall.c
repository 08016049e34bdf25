/* SPDX-License-Identifier: Apache-2.0 */
#include "wall.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "array.h"
#include "clock.h"
#include "gogoroutines.h"
#include "comments.h"
#include "pprof.h"
#include "prowl.h"
#include "runtime.h"
#include "stackset.h"
#include "rtstack.h"

enum {
	RATE = 10,
	CPU_RATE = 99,
	FIRST_PART = 256, /* goroutines of the first look, before their cost is known */
	LEAST = 16,
	REST_MS = 20, /* between two readings of the clock */
};

/* What a goroutine does; WALL is the sum of all others. */
enum wait_class {
	WALL,
	RUNNING,
	RUNNABLE,
	SYSCALL,
	IO,
	CHAN,
	SELECT,
	LOCK,
	SLEEP,
	GC,
	OTHER,
	CLASSES,
};

static const char *const classes[CLASSES] = {"wall",  "running", "runnable", "syscall",
					     "io",    "chan",    "select",   "lock",
					     "sleep", "gc",      "other"};

struct stack_time {
	uint64_t ns[CLASSES];
};

struct prowl_wall {
	struct prowl_wall_options o;
	struct prowl_runtime *rt;
	struct uw_goroutines *reader;
	struct prowl_session *cpu; /* NULL: no permission to sample */
	int wake_fd;
	struct prowl_wall_result result;
	uint64_t began, last, next; /* CLOCK_MONOTONIC */
	uint64_t cpu_began;         /* own CPU time */
	double cost;                /* of one goroutine, ns */
	uint64_t random;
	uint64_t *gs;
	size_t ngs;
	uint64_t list[2]; /* pointer and length of allgs, as gs was read */
	struct prowl_stackset stacks;
	struct stack_time *times; /* by stack */
	size_t cap_times;
	uint64_t *chosen;
	double weight;          /* ns of each goroutine of the look under way */
	uint64_t listed, alive; /* read, and of these goroutines of the program; sums */
	double left[CLASSES];   /* fractions of nanoseconds not counted yet */
	uint64_t running_ns, unread_ns[CLASSES];
	int error;
};

/* --- states --- */

static enum wait_class class_of_reason(const char *why)
{
	static const struct {
		const char *begins;
		enum wait_class is;
	} known[] = {
		{"IO wait", IO},      {"chan ", CHAN},
		{"select", SELECT},   {"sync.", LOCK},
		{"semacquire", LOCK}, {"sleep", SLEEP},
		{"GC ", GC},          {"garbage collection", GC},
		{"wait for GC", GC},  {"stopping the world", GC},
		{"synctest", OTHER},
	};

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		if (!strncmp(why, known[i].begins, strlen(known[i].begins)))
			return known[i].is;
	}
	return OTHER;
}

static enum wait_class class_of(const struct uw_golayout *l, const struct uw_goroutine *g)
{
	const char *why = g->reason < l->wait_reasons_count ? l->wait_reasons[g->reason] : NULL;

	switch (g->status) {
	case UW_G_RUNNING:
		return RUNNING;
	case UW_G_RUNNABLE:
	case UW_G_PREEMPTED:
		return RUNNABLE;
	case UW_G_SYSCALL:
		return SYSCALL;
	case UW_G_WAITING:
	case UW_G_LEAKED:
		return why ? class_of_reason(why) : OTHER;
	default:
		return OTHER;
	}
}

/* --- one look --- */

/* NULL: out of memory. */
static struct stack_time *time_of(struct prowl_wall *w, const uint64_t *words, size_t n)
{
	uint32_t at;
	bool is_new;

	if (prowl_array_reserve(&w->times, &w->cap_times, w->stacks.n + 1, sizeof *w->times) < 0 ||
	    prowl_stackset_add(&w->stacks, words, n, &at, &is_new) < 0)
		return NULL;
	if (is_new)
		w->times[at] = (struct stack_time){0};
	return &w->times[at];
}

static int on_goroutine(void *ctx, const struct uw_goroutine *g)
{
	struct prowl_wall *w = ctx;
	enum wait_class is = class_of(w->rt->layout, g);
	struct stack_time *s;
	uint64_t ns;

	w->result.seen++;
	if (g->system)
		return 0;
	w->alive++;
	w->left[is] += w->weight;
	ns = (uint64_t)w->left[is];
	w->left[is] -= (double)ns;
	if (is == RUNNING) {
		w->running_ns += ns; /* the CPU samples have its stack */
		return 0;
	}
	if (g->nwords == 0) {
		w->result.unread++;
		w->unread_ns[is] += ns;
		w->unread_ns[WALL] += ns;
		return 0;
	}
	s = time_of(w, g->words, g->nwords);
	if (!s)
		return -ENOMEM;
	s->ns[is] += ns;
	s->ns[WALL] += ns;
	return 0;
}

/* xorshift64*, Vigna 2016: the selection must not follow any order of the goroutines. */
static double draw_random(struct prowl_wall *w)
{
	w->random ^= w->random >> 12;
	w->random ^= w->random << 25;
	w->random ^= w->random >> 27;
	return (double)(w->random * 0x2545f4914f6cdd1d >> 11) / (double)(1ull << 53);
}

/* The list is read again only when it has grown. */
static int refresh_list(struct prowl_wall *w)
{
	uint64_t at = uw_goglobal(&w->rt->globals, UW_GLOBAL_ALLGS), now[2];
	uint64_t *gs;
	size_t n;
	int r = at ? uw_read(&w->rt->space.live, at, now, sizeof now) : -ENOENT;

	if (r < 0 || (w->gs && now[0] == w->list[0] && now[1] == w->list[1]))
		return r;
	r = uw_goroutines_list(&w->rt->space.live, &w->rt->globals, &gs, &n);
	if (r < 0)
		return r;
	free(w->gs);
	w->gs = gs;
	w->ngs = n;
	memcpy(w->list, now, sizeof now);
	return 0;
}

/* How many goroutines the budget allows for this look. */
static size_t affordable(const struct prowl_wall *w, uint64_t now)
{
	double used = (double)(w->o.clock(CLOCK_PROCESS_CPUTIME_ID) - w->cpu_began);
	double period = 1e9 / w->o.rate;
	double room = w->o.max_overhead * ((double)(now - w->began) + period) - used;
	double n = w->cost > 0 ? room / w->cost : FIRST_PART;

	if (room <= 0)
		return 0;
	/* At most the budget of two periods, or the minimum: no spikes after idle time. */
	if (w->cost > 0) {
		double most = 2 * w->o.max_overhead * period / w->cost;

		most = most > LEAST ? most : LEAST;
		n = n < most ? n : most;
	}
	return n < LEAST ? 0 : (size_t)n;
}

static int read_part(struct prowl_wall *w, size_t n)
{
	double step = (double)w->ngs / (double)n, at = draw_random(w) * step;
	uint64_t *chosen = realloc(w->chosen, (n + 1) * sizeof *chosen);

	if (!chosen)
		return -ENOMEM;
	w->chosen = chosen;
	for (size_t i = 0; i < n; i++, at += step)
		chosen[i] = w->gs[at < (double)w->ngs ? (size_t)at : w->ngs - 1];
	return uw_goroutines_read(w->reader, chosen, n, true, on_goroutine, w);
}

/* last: ignores the budget, since no later look represents that time. */
static int look_once(struct prowl_wall *w, uint64_t now, bool last)
{
	uint64_t before = w->o.clock(CLOCK_THREAD_CPUTIME_ID), cost;
	size_t n = affordable(w, now);
	int r;

	if (n == 0 && last)
		n = LEAST;
	if (n == 0) {
		w->result.skipped++;
		return 0; /* the next look represents this time, too */
	}
	if (!prowl_runtime_same(w->rt))
		return -ESRCH;
	r = refresh_list(w);
	if (r < 0 || w->ngs == 0)
		return r;
	n = n < w->ngs ? n : w->ngs;
	w->weight = (double)(now - w->last) * (double)w->ngs / (double)n;
	w->last = now;
	w->result.looks++;
	w->result.part += (double)n / (double)w->ngs;
	w->listed += n;
	r = n == w->ngs ? uw_goroutines_read(w->reader, w->gs, n, true, on_goroutine, w)
			: read_part(w, n);
	cost = w->o.clock(CLOCK_THREAD_CPUTIME_ID) - before;
	w->cost = w->cost > 0 ? 0.7 * w->cost + 0.3 * (double)cost / (double)n
			      : (double)cost / (double)n;
	return r;
}

static void end_run(const struct prowl_wall *w)
{
	uint64_t one = 1;

	/* Fails only if it was written to before: then the run ends anyway. */
	if (write(w->wake_fd, &one, sizeof one) < 0)
		return;
}

static void look_if_due(struct prowl_wall *w)
{
	uint64_t now = w->o.clock(CLOCK_MONOTONIC);
	int r;

	if (now < w->next || w->error)
		return;
	/* The start-up cost is not part of the budget. */
	if (w->result.looks + w->result.skipped == 0)
		w->cpu_began = w->o.clock(CLOCK_PROCESS_CPUTIME_ID);
	r = look_once(w, now, false);
	w->next += 1000000000u / w->o.rate;
	if (w->next < now)
		w->next = now + 1000000000u / w->o.rate;
	if (r < 0) {
		w->error = r;
		/* Later samples may be of another program. */
		if (w->cpu)
			end_run(w);
	}
}

/* --- running --- */

static void on_progress(void *ctx, const struct prowl_result *r)
{
	look_if_due(ctx);
}

static void run_alone(struct prowl_wall *w, uint64_t duration_ns)
{
	uint64_t end = duration_ns ? w->began + duration_ns : UINT64_MAX;
	struct pollfd wake = {.fd = w->wake_fd, .events = POLLIN};

	while (w->error == 0 && w->o.clock(CLOCK_MONOTONIC) < end && poll(&wake, 1, REST_MS) == 0)
		look_if_due(w);
}

static enum prowl_code cant_read(const struct prowl_wall *w, int error, struct prowl_err *err)
{
	return prowl_fail_target(err, &w->rt->target, "goroutines", error);
}

enum prowl_code prowl_wall_run(struct prowl_wall *w, uint64_t duration_ns, struct prowl_err *err)
{
	struct prowl_err unused = {0};

	w->began = w->last = w->o.clock(CLOCK_MONOTONIC);
	w->next = w->began + 1000000000u / w->o.rate;
	w->cpu_began = w->o.clock(CLOCK_PROCESS_CPUTIME_ID);
	if (w->cpu) /* a target that did not run is no failure */
		prowl_session_run(w->cpu, duration_ns, on_progress, w, &unused);
	else
		run_alone(w, duration_ns);
	if (w->error == 0)
		w->error = look_once(w, w->o.clock(CLOCK_MONOTONIC), true);
	w->result.duration_ns = w->o.clock(CLOCK_MONOTONIC) - w->began;
	w->result.cpu_ns = w->o.clock(CLOCK_PROCESS_CPUTIME_ID) - w->cpu_began;
	if (w->result.looks) {
		w->result.part /= (double)w->result.looks;
		/*
		 * The list includes dead ones: the part that was read gives the share of live ones.
		 */
		w->result.goroutines =
			(uint64_t)((double)w->alive / (double)w->listed * (double)w->ngs + 0.5);
	}
	if (w->error == -ESRCH && w->result.looks)
		return PROWL_OK; /* it has ended: the looks until then count */
	if (w->error == -ESRCH || w->result.looks == 0)
		return prowl_fail(err, PROWL_NOTHING, "nothing captured: %s",
				  w->error ? "the process is gone"
					   : "no look at it was within the budget");
	return w->error < 0 ? cant_read(w, w->error, err) : PROWL_OK;
}

/* --- the profile --- */

/* Goroutines only: scheduler and GC work belongs to no goroutine. */
static bool is_goroutine(const struct pprof_profile *p, size_t sample)
{
	const struct pprof_sample *s = &p->samples[sample];
	const struct pprof_location *l;
	const char *root;

	if (s->nlocations == 0)
		return false;
	l = &p->locations[pprof_sample_stack(p, sample)[s->nlocations - 1]];
	if (l->nlines == 0)
		return false;
	root = p->strings[p->functions[p->lines[l->first_line + l->nlines - 1].function].name];
	return root[0] != '[' &&
	       (strncmp(root, "runtime.", 8) != 0 || !strcmp(root, "runtime.main"));
}

static int copy_sample(struct pprof_copier *c, const struct pprof_profile *from, size_t sample,
		       double scale, struct pprof_profile *to)
{
	int64_t ns = (int64_t)((double)pprof_sample_values(from, sample)[1] * scale + 0.5);
	int64_t values[CLASSES] = {[WALL] = ns, [RUNNING] = ns};
	const uint32_t *stack;
	int r = pprof_copier_stack(c, sample, &stack);

	return r < 0 ? r
		     : pprof_sample_add(to, stack, from->samples[sample].nlocations, values, NULL,
					0);
}

static int add_marked(struct pprof_profile *p, const char *name, const int64_t *values)
{
	struct pprof_line line = {0};
	struct pprof_function f = {0};
	uint32_t loc;
	int r = pprof_string(p, name, &f.name);

	f.system_name = f.name;
	if (r == 0)
		r = pprof_function(p, &f, &line.function);
	if (r == 0)
		r = pprof_location(p, PPROF_NONE, 0, &line, 1, &loc);
	return r < 0 ? r : pprof_sample_add(p, &loc, 1, values, NULL, 0);
}

/*
 * Adds the running time of goroutines to the stacks that were sampled meanwhile: the looks give the
 * amount (also when the machine had no CPU for them), the samples give the places.
 */
static int add_running(struct prowl_wall *w, struct pprof_profile *p)
{
	struct pprof_profile *cpu = NULL;
	struct pprof_copier *c = NULL;
	struct prowl_err unused;
	double total = 0;
	int r = 0;

	if (w->cpu && prowl_session_result(w->cpu)->samples &&
	    prowl_session_build(w->cpu, &cpu, &unused) == PROWL_OK) {
		r = pprof_copier_new(cpu, p, &c);
		for (size_t i = 0; i < cpu->nsamples; i++) {
			if (is_goroutine(cpu, i))
				total += (double)pprof_sample_values(cpu, i)[1];
		}
		w->result.cpu_samples = prowl_session_result(w->cpu)->samples;
	}
	if (cpu && total > 0) {
		double scale = w->running_ns ? (double)w->running_ns / total : 1;

		for (size_t i = 0; i < cpu->nsamples && r == 0; i++) {
			if (is_goroutine(cpu, i))
				r = copy_sample(c, cpu, i, scale, p);
		}
	} else if (w->running_ns) {
		int64_t values[CLASSES] = {
			[WALL] = (int64_t)w->running_ns, [RUNNING] = (int64_t)w->running_ns};

		r = add_marked(p, "[running, stack unknown]", values);
	}
	pprof_copier_free(c);
	pprof_profile_free(cpu);
	return r;
}

static int add_waiting(struct prowl_wall *w, struct pprof_profile *p)
{
	struct prowl_rtstack stored;
	int64_t values[CLASSES];
	uint32_t *locs = malloc(UW_GOROUTINE_MAX_WORDS * sizeof *locs);
	int r = locs ? 0 : -ENOMEM;

	prowl_rtstack_init(&stored, p, &w->rt->space, w->rt->go, false);
	if (r == 0)
		r = prowl_rtstack_first_mapping(&stored);
	for (uint32_t i = 0; i < w->stacks.n && r == 0; i++) {
		size_t nwords;
		const uint64_t *words = prowl_stackset_words(&w->stacks, i, &nwords);
		int n = prowl_rtstack_stack(&stored, words, nwords, false, locs);

		for (int k = 0; k < CLASSES; k++)
			values[k] = (int64_t)w->times[i].ns[k];
		r = n < 0 ? n : pprof_sample_add(p, locs, (size_t)n, values, NULL, 0);
	}
	prowl_rtstack_fini(&stored);
	free(locs);
	for (int k = 0; k < CLASSES; k++)
		values[k] = (int64_t)w->unread_ns[k];
	return r == 0 && values[WALL] ? add_marked(p, "[stack unknown]", values) : r;
}

static void add_comments(const struct prowl_wall *w, struct pprof_profile *p)
{
	const struct prowl_wall_result *r = &w->result;

	prowl_comment(
		p, "prowl " PROWL_VERSION ": wall-clock profile of goroutines, %u looks a second",
		w->o.rate);
	prowl_comments_runtime(p, w->rt);
	prowl_comment(
		p,
		"looks: %llu; left out for the budget: %llu; goroutines on average: %llu, part "
		"looked at: %.4f",
		(unsigned long long)r->looks, (unsigned long long)r->skipped,
		(unsigned long long)r->goroutines, r->part);
	prowl_comment(p, "goroutines looked at: %llu; not read as a whole: %llu",
		      (unsigned long long)r->seen, (unsigned long long)r->unread);
	prowl_comment(p, "own cpu time while looking: %.6f s in %.6f s", (double)r->cpu_ns / 1e9,
		      (double)r->duration_ns / 1e9);
	if (r->cpu_failed)
		prowl_comment(
			p,
			"warning: no permission to sample the process: running goroutines have no "
			"stack");
	else
		prowl_comment(
			p, "running goroutines: time by looks, stacks by %llu samples of the CPU",
			(unsigned long long)r->cpu_samples);
}

enum prowl_code prowl_wall_build(struct prowl_wall *w, struct pprof_profile **ret,
				 struct prowl_err *err)
{
	struct pprof_profile *p;
	int r = pprof_profile_new(&p);

	if (r < 0)
		return cant_read(w, r, err);
	for (int k = 0; k < CLASSES && r == 0; k++)
		r = pprof_sample_type(p, classes[k], "nanoseconds");
	if (r == 0)
		r = pprof_period(p, "wall", "nanoseconds", 1000000000 / w->o.rate);
	if (r == 0)
		r = pprof_string(p, "wall", &p->default_sample_type);
	p->time_nanos = (int64_t)(prowl_clock_ns(CLOCK_REALTIME) - w->result.duration_ns);
	p->duration_nanos = (int64_t)w->result.duration_ns;
	if (r == 0)
		r = add_waiting(w, p);
	if (r == 0)
		r = add_running(w, p);
	for (size_t i = 0; i < p->nsamples; i++)
		w->result.wall_ns += (uint64_t)pprof_sample_values(p, i)[WALL];
	if (r < 0) {
		pprof_profile_free(p);
		return cant_read(w, r, err);
	}
	add_comments(w, p);
	*ret = p;
	return PROWL_OK;
}

/* --- opening --- */

static void open_cpu(struct prowl_wall *w)
{
	struct prowl_options o = {.pids = &w->rt->target.pid,
				  .npids = 1,
				  .rate = CPU_RATE,
				  .user_only = true,
				  .tick_ms = 1000 / w->o.rate / 2 + 1,
				  .wake_fd = w->wake_fd};
	struct prowl_err unused;

	if (prowl_session_open(&o, &w->cpu, &unused) == PROWL_OK)
		return;
	w->cpu = NULL;
	w->result.cpu_failed = true;
}

enum prowl_code prowl_wall_open(pid_t pid, const struct prowl_wall_options *o,
				struct prowl_wall **ret, struct prowl_err *err)
{
	struct prowl_wall *w = calloc(1, sizeof *w);
	enum prowl_code code;
	int r;

	if (!w)
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	w->o = *o;
	w->o.clock = o->clock ? o->clock : prowl_clock_ns;
	w->o.rate = o->rate ? o->rate : RATE;
	w->o.max_overhead = o->max_overhead > 0 ? o->max_overhead : 0.01;
	w->random = w->o.clock(CLOCK_MONOTONIC) | 1;
	w->wake_fd = o->wake_fd > 0 ? fcntl(o->wake_fd, F_DUPFD_CLOEXEC, 0)
				    : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	code = prowl_runtime_open(&(struct prowl_who){.pid = pid}, &w->rt, err);
	if (code == PROWL_OK) {
		r = w->wake_fd < 0 ? -errno : uw_goroutines_new(&w->rt->space, &w->reader);
		if (r == 0)
			r = refresh_list(w);
		if (r < 0)
			code = cant_read(w, r, err);
	}
	if (code != PROWL_OK) {
		prowl_wall_free(w);
		return code;
	}
	w->result.target = w->rt->target;
	open_cpu(w);
	*ret = w;
	return PROWL_OK;
}

void prowl_wall_free(struct prowl_wall *w)
{
	if (!w)
		return;
	prowl_session_free(w->cpu);
	uw_goroutines_free(w->reader);
	prowl_runtime_free(w->rt);
	prowl_stackset_fini(&w->stacks);
	free(w->times);
	free(w->gs);
	free(w->chosen);
	if (w->wake_fd >= 0)
		close(w->wake_fd);
	free(w);
}

int prowl_wall_wake_fd(const struct prowl_wall *w)
{
	return w->wake_fd;
}

const struct prowl_wall_result *prowl_wall_result(const struct prowl_wall *w)
{
	return &w->result;
}
