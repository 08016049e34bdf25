/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_run SECONDS WINDOW_S [NAME...]: runs a host over the processes with these names (Go programs
 * without any) and prints what comes out of it, a line each: what the end-to-end tests read. With 0
 * seconds it ends with its input, whose lines are kinds of profiles to be captured.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "host.h"
#include "pprof.h"
#include "setup.h"

struct names {
	char **name;
	int n;
};

static pthread_mutex_t printing = PTHREAD_MUTEX_INITIALIZER;

static bool wanted(const struct names *names, const struct prowl_host_program *p)
{
	if (names->n == 0)
		return p->go;
	for (int i = 0; i < names->n; i++) {
		if (!strcmp(names->name[i], p->comm))
			return true;
	}
	return false;
}

/* One series for each name. */
static const struct prowl_series *series_of(const char *comm)
{
	static struct prowl_series *known[64];
	static size_t n;
	struct prowl_series_label label = {PROWL_SERIES_SERVICE, comm, true};

	for (size_t i = 0; i < n; i++) {
		if (!strcmp(prowl_series_get(known[i], PROWL_SERIES_SERVICE), comm))
			return known[i];
	}
	if (n == 64 || prowl_series_new(&label, 1, &known[n]) < 0)
		return known[0];
	return known[n++];
}

static void decide(void *ctx, const struct prowl_host_program *p, struct prowl_host_decision *ret)
{
	const char *looks = getenv("LOOKS_MS");
	uint64_t period = looks ? strtoull(looks, NULL, 10) * 1000000u : 0;

	ret->profile = wanted(ctx, p);
	ret->series = ret->profile ? series_of(p->comm) : NULL;
	for (int i = 0; i < PROWL_LOOKS; i++)
		ret->period[i] = period;
}

static bool rules_out(void *ctx, const struct prowl_host_program *p)
{
	return !wanted(ctx, p);
}

static const char *service(const struct prowl_series *s)
{
	return s ? prowl_series_get(s, PROWL_SERIES_SERVICE) : "";
}

static void on_window(void *ctx, struct prowl_host_window *w)
{
	pthread_mutex_lock(&printing);
	printf("window %llu slot=%lld again=%u flags=%u wall=%lld..%lld mono=%llu..%llu samples=%llu "
	       "cpu_ns=%llu lost=%llu truncated=%llu unknown=%llu own_ns=%llu pause_ns=%llu "
	       "others_ns=%llu members=%zu\n",
	       (unsigned long long)w->number, (long long)w->slot, w->again, w->flags,
	       (long long)w->wall_start, (long long)w->wall_end, (unsigned long long)w->mono_start,
	       (unsigned long long)w->mono_end, (unsigned long long)w->samples,
	       (unsigned long long)w->cpu_ns, (unsigned long long)w->lost,
	       (unsigned long long)w->truncated, (unsigned long long)w->unknown,
	       (unsigned long long)w->own_cpu_ns, (unsigned long long)w->pause_ns,
	       (unsigned long long)w->others_cpu_ns, w->nmembers);
	for (size_t i = 0; i < w->nparts; i++)
		printf("part %llu %s samples=%llu cpu_ns=%llu locations=%zu\n",
		       (unsigned long long)w->number, service(w->parts[i].series),
		       (unsigned long long)w->parts[i].samples,
		       (unsigned long long)w->parts[i].cpu_ns, w->parts[i].profile->nlocations);
	for (size_t i = 0; i < w->nmembers && getenv("MEMBERS"); i++)
		printf("member %llu %d start=%llu %s cpu_ns=%llu\n", (unsigned long long)w->number,
		       (int)w->members[i].id.pid, (unsigned long long)w->members[i].id.start,
		       w->members[i].comm, (unsigned long long)w->members[i].cpu_ns);
	for (size_t i = 0; i < w->nothers; i++)
		printf("other %llu %s cpu_ns=%llu\n", (unsigned long long)w->number,
		       w->others[i].comm, (unsigned long long)w->others[i].cpu_ns);
	fflush(stdout);
	pthread_mutex_unlock(&printing);
}

static void on_snapshot(void *ctx, struct prowl_host_snapshot *s)
{
	int64_t sum = 0;

	for (size_t i = 0; i < s->profile->nsamples; i++)
		sum += pprof_sample_values(s->profile, i)[0];
	pthread_mutex_lock(&printing);
	printf("snapshot %d %s %s flow=%d wall=%lld..%lld cost_ns=%llu samples=%zu types=%zu "
	       "first=%s sum=%lld\n",
	       (int)s->id.pid, service(s->series), s->kind, s->flow, (long long)s->wall_start,
	       (long long)s->wall_end, (unsigned long long)s->cost_ns, s->profile->nsamples,
	       s->profile->nsample_types, s->profile->strings[s->profile->sample_types[0].type],
	       (long long)sum);
	fflush(stdout);
	pthread_mutex_unlock(&printing);
}

static void on_figures(void *ctx, const struct prowl_host_figures *f)
{
	pthread_mutex_lock(&printing);
	printf("figures %d %s goroutines=%lld\n", (int)f->id.pid, service(f->series),
	       (long long)f->figures->value[PROWL_FIGURE_GOROUTINES]);
	fflush(stdout);
	pthread_mutex_unlock(&printing);
}

static void on_target(void *ctx, const struct prowl_host_target *t)
{
	static const char *const changes[] = {"appeared", "changed", "gone", "denied"};

	if (!getenv("TARGETS"))
		return;
	pthread_mutex_lock(&printing);
	printf("target %s %d %s %s %s %s\n", changes[t->change], (int)t->id.pid, t->comm, t->exe,
	       t->go_version, t->why);
	fflush(stdout);
	pthread_mutex_unlock(&printing);
}

static void on_event(void *ctx, const struct prowl_host_event *e)
{
	pthread_mutex_lock(&printing);
	printf("event %u %s\n", (unsigned int)e->kind, e->text);
	fflush(stdout);
	pthread_mutex_unlock(&printing);
}

/* --- on demand ------------------------------------------------------------------- */

static int first_target(void *ctx, const struct prowl_host_target *t)
{
	*(struct prowl_host_id *)ctx = t->id;
	return 1;
}

/* Of the first target, or of the one that is given. */
static void capture(struct prowl_host *h, const char *kind)
{
	struct prowl_host_capture c = {.kind = kind, .ns = 500000000, .rate = 499};
	struct pprof_profile *p;
	struct prowl_err err;
	bool busy;

	prowl_host_targets(h, first_target, &c.id);
	if (prowl_host_capture(h, &c, &p, &busy, &err) != PROWL_OK) {
		printf("capture %s failed busy=%d %s\n", kind, busy, err.text);
		return;
	}
	printf("capture %s %d samples=%zu\n", kind, (int)c.id.pid, p->nsamples);
	pprof_profile_free(p);
	c.id.start++; /* one that never was */
	if (prowl_host_capture(h, &c, &p, &busy, &err) == PROWL_OK)
		printf("capture of another one\n");
}

struct control {
	struct prowl_host *h;
	int seconds, wake;
};

/* Each line of the input is a kind of profile to be captured. */
static void *control(void *arg)
{
	struct control *c = arg;
	uint64_t one = 1;
	char line[64];

	if (c->seconds)
		sleep((unsigned int)c->seconds);
	while (!c->seconds && fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\n")] = '\0';
		capture(c->h, line);
		fflush(stdout);
	}
	return write(c->wake, &one, sizeof one) == sizeof one ? arg : NULL;
}

int main(int argc, char **argv)
{
	struct prowl_host_ops ops = {.decide = decide,
				     .rules_out = rules_out,
				     .window = on_window,
				     .snapshot = on_snapshot,
				     .figures = on_figures,
				     .target = on_target,
				     .event = on_event};
	struct prowl_host_options o = {
		.window_ns = (uint64_t)(atof(argc > 2 ? argv[2] : "1") * 1e9),
		.per_thread = getenv("PER_THREAD") != NULL,
		.budget = {.looking = getenv("LOOKS_MS") ? 0.2 : 0, .sampling = 0.5},
		.rate = getenv("RATE") ? (unsigned int)atoi(getenv("RATE")) : 0};
	struct names names = {argv + 3, argc > 3 ? argc - 3 : 0};
	struct prowl_host_status st;
	struct prowl_host *h;
	struct prowl_err err;
	pthread_t stopper;
	const char *known;
	struct control c = {.wake = eventfd(0, EFD_CLOEXEC),
			    .seconds = argc > 1 ? atoi(argv[1]) : 0};

	prowl_setup(NULL, &known);
	if (prowl_host_open(&o, &ops, &names, &h, &err) != PROWL_OK) {
		fprintf(stderr, "host_run: %s\n", err.text);
		return 1;
	}
	c.h = h;
	pthread_create(&stopper, NULL, control, &c);
	if (prowl_host_run(h, c.wake, &err) != PROWL_OK) {
		fprintf(stderr, "host_run: %s\n", err.text);
		return 1;
	}
	prowl_host_status(h, &st);
	printf("status windows=%llu execs=%llu forks=%llu exits=%llu opened=%llu unseen=%llu "
	       "processes=%zu targets=%zu programs=%zu series=%zu looks=%llu failed=%llu lost=%llu "
	       "pause_most_ns=%llu\n",
	       (unsigned long long)st.windows, (unsigned long long)st.execs,
	       (unsigned long long)st.forks, (unsigned long long)st.exits,
	       (unsigned long long)st.opened, (unsigned long long)st.unseen, st.processes,
	       st.targets, st.programs, st.series, (unsigned long long)st.looks,
	       (unsigned long long)st.looks_failed, (unsigned long long)st.lost,
	       (unsigned long long)st.pause_most_ns);
	pthread_join(stopper, NULL);
	prowl_host_free(h);
	return 0;
}
