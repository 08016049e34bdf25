/* SPDX-License-Identifier: Apache-2.0 */
/* What the server asks for: targets, status, captures, the end. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "clock.h"
#include "daemon_parts.h"
#include "kinds.h"
#include "procfs.h"
#include "push.h"

/* --- targets --------------------------------------------------------------------------------- */

enum { MOST_KINDS = 24 };

struct listing {
	struct daemon *d;
	unsigned int states;
	void (*each)(void *arg, const struct prowl_backend_target *t);
	void *arg;
};

/* The kinds that can be taken of it, and those that can't. */
struct kinds {
	const char *can[MOST_KINDS + 1];
	struct prowl_target_lack lacks[MOST_KINDS];
	size_t ncan, nlacks;
};

static void lack(struct kinds *k, const char *kind, const char *why)
{
	if (k->nlacks < MOST_KINDS)
		k->lacks[k->nlacks++] = (struct prowl_target_lack){kind, why};
}

static void kinds_of(const struct prowl_host_target *t, struct kinds *k)
{
	bool go = t->go_version && *t->go_version;

	*k = (struct kinds){0};
	for (const struct prowl_kind *p = prowl_kinds; p->name; p++) {
		bool cpu = p->family == PROWL_FAMILY_CPU;

		if ((p->flags & PROWL_KIND_GO) && !go)
			lack(k, p->name, "it is no Go program");
		else if (cpu && t->why && *t->why)
			lack(k, p->name, t->why);
		else if (!cpu && t->looks && *t->looks)
			lack(k, p->name, t->looks);
		else if (k->ncan < MOST_KINDS)
			k->can[k->ncan++] = p->name;
	}
}

static int list_target(void *ctx, const struct prowl_host_target *t)
{
	struct listing *l = ctx;
	struct roster_id id = {t->id.pid, t->id.start};
	struct roster_entry e = {0};
	struct kinds kinds;
	struct prowl_backend_target b = {
		.id = {t->id.pid, t->id.start},
		.state = t->why && *t->why ? PROWL_TARGET_DENIED
			 : t->shed         ? PROWL_TARGET_DEFERRED
					   : PROWL_TARGET_ACTIVE,
		.series = t->series,
		.started = t->wall,
		.comm = t->comm ? t->comm : "",
		.exe = t->exe ? t->exe : "",
		.go = t->go_version ? t->go_version : "",
		.exit = "",
		.cpu_ns = t->cpu_ns,
		.own_cpu_ns = t->look_cpu_ns,
		.last_window = t->last_window,
	};

	if (!(l->states & 1u << b.state))
		return 0;
	roster_get(l->d->roster, id, &e);
	kinds_of(t, &kinds);
	b.container_id = e.container_id;
	b.pod = e.pod;
	b.image = e.image;
	b.kinds = kinds.can;
	b.lacks = kinds.lacks;
	b.nlacks = kinds.nlacks;
	l->each(l->arg, &b);
	return 0;
}

static void list_gone(void *ctx, const struct roster_entry *e)
{
	const struct listing *l = ctx;
	struct prowl_backend_target b = {
		.id = {e->id.pid, e->id.start},
		.state = PROWL_TARGET_GONE,
		.series = e->series,
		.ended = e->gone,
		.comm = e->comm,
		.exe = e->exe,
		.go = e->go,
		.container_id = e->container_id,
		.pod = e->pod,
		.image = e->image,
		.exit = "",
		.kinds = (const char *const[]){NULL},
	};

	if (e->gone)
		l->each(l->arg, &b);
}

static void targets(void *ctx, unsigned int states,
		    void (*each)(void *arg, const struct prowl_backend_target *t), void *arg)
{
	struct daemon *d = ctx;
	struct listing l = {d, states, each, arg};

	prowl_host_targets(d->host, list_target, &l);
	if (states & 1u << PROWL_TARGET_GONE)
		roster_each(d->roster, list_gone, &l);
}

/* --- status ---------------------------------------------------------------------------------- */

const char *daemon_mode_name(enum prowl_host_mode mode)
{
	static const char *const names[] = {
		[PROWL_HOST_STARTING] = "starting",
		[PROWL_HOST_WHOLE_CPUS] = "whole machine",
		[PROWL_HOST_PER_THREAD] = "per thread",
		[PROWL_HOST_NOT_SAMPLING] = "not sampling",
	};

	return names[mode];
}

static double own_cpu(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static uint64_t own_memory(void)
{
	char text[4096];
	uint64_t kib = 0;

	prowl_read_of(0, "status", text, sizeof text);
	prowl_status_field(text, "VmRSS", 10, &kib);
	return kib * 1024;
}

struct state { /* of all parts, for status and figures */
	struct prowl_host_status host;
	struct prowl_store_state store;
	struct prowl_store_usage usage;
};

static void state_of(struct daemon *d, struct state *s)
{
	*s = (struct state){0};
	prowl_host_status(d->host, &s->host);
	if (!d->store)
		return;
	prowl_store_state(d->store, &s->store);
	if (prowl_store_usage(d->store, &s->usage, NULL) != PROWL_OK)
		s->usage = (struct prowl_store_usage){0};
}

enum { MOST_DEGRADED = 4 };

/* Sentences on what doesn't work as it should. */
static size_t degraded(const struct daemon *d, const struct state *s,
		       const char *list[MOST_DEGRADED])
{
	size_t n = 0;

	if (s->host.mode == PROWL_HOST_NOT_SAMPLING)
		list[n++] = s->host.why;
	if (s->store.degraded)
		list[n++] = s->store.reason;
	if (s->host.step)
		list[n++] = "less is looked at, to keep to the budget";
	if (d->load_failed)
		list[n++] = "the configuration could not be read again";
	return n;
}

enum { MOST_SINKS = 16 };

struct sinks {
	size_t n;
	struct prowl_sink_status sink[MOST_SINKS];
	char error[MOST_SINKS][256], name[MOST_SINKS][65], url[MOST_SINKS][256];
};

static uint64_t dropped(const struct prowl_push_status *s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < PROWL_PUSH_REASONS; i++)
		n += s->dropped[i];
	return n;
}

static void add_sink(void *ctx, const struct prowl_push_status *s)
{
	struct sinks *all = ctx;
	size_t i = all->n;

	if (i == MOST_SINKS)
		return;
	snprintf(all->name[i], sizeof all->name[i], "%s", s->sink);
	snprintf(all->url[i], sizeof all->url[i], "%s", s->url);
	snprintf(all->error[i], sizeof all->error[i], "%s", s->last_error);
	all->sink[all->n++] = (struct prowl_sink_status){
		.name = all->name[i],
		.type = prowl_push_type_name(s->type),
		.url = all->url[i],
		.sent = s->sent,
		.dropped = dropped(s),
		.spool_bytes = s->spool_bytes,
		.lag_seconds = (double)s->lag_ns / 1e9,
		.last_success = (int64_t)s->last_success_ns,
		.next_try = (int64_t)s->next_try_ns,
		.last_error = all->error[i],
	};
}

static void status(void *ctx, void (*take)(void *arg, const struct prowl_backend_status *status),
		   void *arg)
{
	struct daemon *d = ctx;
	const char *reasons[MOST_DEGRADED];
	struct prowl_backend_status b;
	struct sinks sinks = {0};
	struct state s;

	state_of(d, &s);
	daemon_push_each(d, add_sink, &sinks);
	pthread_rwlock_rdlock(&d->lock);
	b = (struct prowl_backend_status){
		.version = PROWL_VERSION,
		.host = d->hostname,
		.mode = daemon_mode_name(s.host.mode),
		.mode_why = s.host.why,
		.sampling = s.host.mode == PROWL_HOST_WHOLE_CPUS ||
			    s.host.mode == PROWL_HOST_PER_THREAD,
		.now = daemon_wall(),
		.started = d->started,
		.config = d->config->file,
		.config_hash = "",
		.config_loaded = d->loaded,
		.config_failed = d->load_failed,
		.rate = s.host.rate,
		.shed_level = s.host.step,
		.active = s.host.targets,
		.denied = s.host.denied,
		.deferred = s.host.waiting,
		.self_cpu = own_cpu() / ((double)(daemon_wall() - d->started) / 1e9),
		.self_memory = own_memory(),
		.store = d->store_path,
		.store_bytes = s.usage.bytes,
		.store_max_bytes = s.usage.max_bytes,
		.store_free_bytes = s.usage.free_bytes,
		.store_oldest = s.usage.oldest,
		.store_newest = s.usage.newest,
		.degraded = reasons,
		.ndegraded = degraded(d, &s, reasons),
		.budgets = &(struct prowl_budget_use){"cpu", s.host.sampling + s.host.looking,
						      d->config->budget.cpu},
		.nbudgets = 1,
		.sinks = sinks.sink,
		.nsinks = sinks.n,
	};
	take(arg, &b);
	pthread_rwlock_unlock(&d->lock);
}

static bool ready(void *ctx, char *why, size_t len)
{
	struct daemon *d = ctx;
	struct prowl_host_status s;

	prowl_host_status(d->host, &s);
	if (s.mode != PROWL_HOST_STARTING)
		return true;
	snprintf(why, len, "sampling has not begun");
	return false;
}

/* --- captures -------------------------------------------------------------------------------- */

static enum prowl_code capture(void *ctx, const struct prowl_capture_wish *wish,
			       struct pprof_profile **ret, bool *busy, struct prowl_err *err)
{
	struct daemon *d = ctx;
	const struct prowl_kind *k = prowl_kind_named(wish->kind);
	struct prowl_host_capture c = {
		.id = {wish->id.pid, wish->id.start},
		.kind = wish->kind,
		.ns = wish->ns,
		.rate = wish->rate,
		.delta = k && (k->flags & PROWL_KIND_DELTA) && wish->ns,
		.wake_fd = wish->wake_fd,
	};

	return prowl_host_capture(d->host, &c, ret, busy, err);
}

/* Whether the number is still that of the same process. */
static bool is_same(const struct prowl_process_id *id)
{
	char stat[1024], start[32];

	return prowl_read_of(id->pid, "stat", stat, sizeof stat) > 0 &&
	       prowl_stat_field(stat, 22, start, sizeof start) &&
	       strtoull(start, NULL, 10) == id->start;
}

static ssize_t cmdline(void *ctx, const struct prowl_process_id *id, char *buf, size_t len)
{
	struct daemon *d = ctx;
	bool shown;
	ssize_t n;

	pthread_rwlock_rdlock(&d->lock);
	shown = d->config->discovery.cmdline;
	pthread_rwlock_unlock(&d->lock);
	if (!shown)
		return -ENOSYS;
	n = prowl_read_of(id->pid, "cmdline", buf, len);
	/* Afterwards: it may have ended meanwhile, and its number be that of no target of ours. */
	return is_same(id) ? n : -ESRCH;
}

static enum prowl_code reload(void *ctx, struct prowl_err *err)
{
	return daemon_reload(ctx, err);
}

static void stop(void *ctx)
{
	daemon_wish(ctx, DAEMON_STOP);
}

/* --- figures --------------------------------------------------------------------------------- */

struct putting {
	void (*each)(void *arg, const struct prowl_metric *m);
	void *arg;
};

static void put(const struct putting *p, const char *name, enum prowl_metric_type type,
		double value, const char *help)
{
	p->each(p->arg,
		&(struct prowl_metric){.family = name, .help = help, .type = type, .value = value});
}

static void put_labelled(const struct putting *p, const char *name, enum prowl_metric_type type,
			 const char *label, const char *text, double value, const char *help)
{
	p->each(p->arg, &(struct prowl_metric){.family = name,
					       .help = help,
					       .type = type,
					       .labels = {{label, text}},
					       .value = value});
}

static void put_host(const struct putting *p, const struct prowl_host_status *s)
{
	static const char targets_help[] = "Processes that are profiled, or should be.";

	put_labelled(p, "prowl_sampling_mode", PROWL_GAUGE, "mode", daemon_mode_name(s->mode), 1,
		     "How the machine is sampled.");
	put_labelled(p, "prowl_targets", PROWL_GAUGE, "state", "active", (double)s->targets,
		     targets_help);
	put_labelled(p, "prowl_targets", PROWL_GAUGE, "state", "denied", (double)s->denied,
		     targets_help);
	put_labelled(p, "prowl_targets", PROWL_GAUGE, "state", "deferred",
		     (double)(s->waiting + s->shed), targets_help);
	put(p, "prowl_series", PROWL_GAUGE, (double)s->series, "Series since the start.");
	put(p, "prowl_samples_total", PROWL_COUNTER, (double)s->samples, "Samples of targets.");
	put(p, "prowl_cpu_seconds_total", PROWL_COUNTER, (double)s->cpu_ns / 1e9,
	    "CPU time of targets, as sampled.");
	put(p, "prowl_other_samples_total", PROWL_COUNTER, (double)s->others_samples,
	    "Samples of other processes.");
	put(p, "prowl_samples_lost_total", PROWL_COUNTER, (double)s->lost,
	    "Records of any process that found no room in a ring.");
	put(p, "prowl_windows_total", PROWL_COUNTER, (double)s->windows, "Windows that ended.");
	put(p, "prowl_windows_undelivered_total", PROWL_COUNTER, (double)s->undelivered,
	    "Windows that were lost since the store was too slow.");
	put(p, "prowl_discovery_execs_total", PROWL_COUNTER, (double)s->execs,
	    "Programs that were seen to start.");
	put(p, "prowl_discovery_unseen_total", PROWL_COUNTER, (double)s->unseen,
	    "Processes that were gone before their program could be read.");
	put(p, "prowl_snapshots_total", PROWL_COUNTER, (double)s->looks,
	    "Runtime profiles and figures that were read.");
	put(p, "prowl_snapshots_failed_total", PROWL_COUNTER, (double)s->looks_failed,
	    "Those that could not be read.");
	put(p, "prowl_shed_level", PROWL_GAUGE, s->step, "Step of shedding; 0: nothing is.");
}

static void put_store(const struct putting *p, const struct daemon *d, const struct state *s)
{
	if (!d->store)
		return;
	put(p, "prowl_store_bytes", PROWL_GAUGE, (double)s->usage.bytes, "Bytes of all files.");
	put(p, "prowl_store_files", PROWL_GAUGE, (double)s->usage.files, "Files with profiles.");
	put(p, "prowl_store_free_bytes", PROWL_GAUGE, (double)s->usage.free_bytes,
	    "Room on its file system.");
	put(p, "prowl_store_oldest_timestamp_seconds", PROWL_GAUGE, (double)s->usage.oldest / 1e9,
	    "Begin of the oldest window.");
	put(p, "prowl_store_windows_dropped_total", PROWL_COUNTER, (double)s->store.dropped,
	    "Windows that could not be written.");
	put(p, "prowl_store_deleted_bytes_total", PROWL_COUNTER, (double)s->store.deleted_bytes,
	    "Bytes that retention deleted.");
	put(p, "prowl_store_corrupt_total", PROWL_COUNTER, (double)s->store.bad_files,
	    "Files that were found damaged.");
	put(p, "prowl_store_write_seconds_total", PROWL_COUNTER, (double)s->store.put_ns / 1e9,
	    "Time that writing took, with what waits for the disk.");
}

/* One figure of all sinks, as metrics want them. */
struct sink_figure {
	const struct putting *p;
	const char *name, *help;
	enum prowl_metric_type type;
	double (*value)(const struct prowl_push_status *s);
};

static double sent(const struct prowl_push_status *s)
{
	return (double)s->sent;
}

static double all_dropped(const struct prowl_push_status *s)
{
	return (double)dropped(s);
}

static double spooled(const struct prowl_push_status *s)
{
	return (double)s->spool_bytes;
}

static double lag(const struct prowl_push_status *s)
{
	return (double)s->lag_ns / 1e9;
}

static void put_sink(void *ctx, const struct prowl_push_status *s)
{
	const struct sink_figure *f = ctx;

	put_labelled(f->p, f->name, f->type, "sink", s->sink, f->value(s), f->help);
}

static void put_push(const struct putting *p, struct daemon *d)
{
	struct sink_figure figures[] = {
		{p, "prowl_push_profiles_total", "Profiles that a sink took.", PROWL_COUNTER, sent},
		{p, "prowl_push_dropped_total", "Profiles that it will never get.", PROWL_COUNTER,
		 all_dropped},
		{p, "prowl_push_spool_bytes", "Bytes that wait for it.", PROWL_GAUGE, spooled},
		{p, "prowl_push_lag_seconds", "Age of the oldest profile that waits.", PROWL_GAUGE,
		 lag},
	};

	for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
		daemon_push_each(d, put_sink, &figures[i]);
}

struct figures {
	const struct putting *p;
	struct daemon *d;
	size_t n;
	struct figures_row {
		char service[PROWL_SERIES_VALUE + 1];
		double goroutines, heap, gc;
	} rows[200];
};

/* Sums over the processes of a service; a share is the largest. */
static int add_figures(void *ctx, const struct prowl_host_target *t)
{
	struct figures *f = ctx;
	const char *service = prowl_series_get(t->series, PROWL_SERIES_SERVICE);
	struct roster_entry e;
	size_t i = 0;

	if (!roster_get(f->d->roster, (struct roster_id){t->id.pid, t->id.start}, &e) ||
	    !e.figures.wall)
		return 0;
	while (i < f->n && strcmp(f->rows[i].service, service) != 0)
		i++;
	if (i == sizeof f->rows / sizeof *f->rows)
		return 0;
	if (i == f->n)
		snprintf(f->rows[f->n++].service, sizeof f->rows[i].service, "%s", service);
	f->rows[i].goroutines += e.figures.goroutines > 0 ? (double)e.figures.goroutines : 0;
	f->rows[i].heap += e.figures.heap_live > 0 ? (double)e.figures.heap_live : 0;
	if (e.figures.gc_cpu > f->rows[i].gc)
		f->rows[i].gc = e.figures.gc_cpu;
	return 0;
}

static void put_figures(struct daemon *d, const struct putting *p)
{
	struct figures *f = calloc(1, sizeof *f);

	if (!f)
		return;
	f->p = p;
	f->d = d;
	prowl_host_targets(d->host, add_figures, f);
	for (size_t i = 0; i < f->n; i++)
		put_labelled(p, "prowl_target_goroutines", PROWL_GAUGE, "target",
			     f->rows[i].service, f->rows[i].goroutines, "Goroutines of a service.");
	for (size_t i = 0; i < f->n; i++)
		put_labelled(p, "prowl_target_heap_live_bytes", PROWL_GAUGE, "target",
			     f->rows[i].service, f->rows[i].heap, "Live heap of a service.");
	for (size_t i = 0; i < f->n; i++)
		put_labelled(p, "prowl_target_gc_cpu_ratio", PROWL_GAUGE, "target",
			     f->rows[i].service, f->rows[i].gc,
			     "Share of the garbage collector in its CPU time since the start.");
	free(f);
}

static void metrics(void *ctx, void (*each)(void *arg, const struct prowl_metric *m), void *arg)
{
	struct daemon *d = ctx;
	struct putting p = {each, arg};
	struct state s;

	state_of(d, &s);
	put_labelled(&p, "prowl_build_info", PROWL_GAUGE, "version", PROWL_VERSION, 1,
		     "The version of prowl.");
	put(&p, "prowl_start_time_seconds", PROWL_GAUGE, (double)d->started / 1e9,
	    "When the daemon began.");
	put(&p, "process_cpu_seconds_total", PROWL_COUNTER, own_cpu(), "CPU time of the daemon.");
	put(&p, "process_resident_memory_bytes", PROWL_GAUGE, (double)own_memory(),
	    "Resident memory of the daemon.");
	put_host(&p, &s.host);
	put_store(&p, d, &s);
	put_push(&p, d);
	put(&p, "prowl_trigger_fired_total", PROWL_COUNTER, (double)d->fired,
	    "Triggers that fired.");
	put(&p, "prowl_config_last_reload_successful", PROWL_GAUGE, !d->load_failed,
	    "Whether the configuration in force is the newest.");
	put_figures(d, &p);
}

void daemon_backend(struct daemon *d, struct prowl_backend *ret)
{
	*ret = (struct prowl_backend){
		.ctx = d,
		.targets = targets,
		.status = status,
		.ready = ready,
		.capture = capture,
		.cmdline = cmdline,
		.reload = reload,
		.stop = stop,
		.metrics = metrics,
	};
}
