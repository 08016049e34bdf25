/* SPDX-License-Identifier: Apache-2.0 */
#include "figures.h"

#include <stdlib.h>
#include <string.h>

#include "gogoroutines.h"
#include "runtime.h"

enum {
	RING = 256, /* pauses that the runtime keeps */
	MAX_THREADS = 1 << 20,
	MAX_PROCS = 1 << 16,
	LOCAL_QUEUE = 256,
	M_BYTES = 1024,
	STATUSES = UW_G_DEADEXTRA + 1,
};

static const char *const names[PROWL_FIGURE_COUNT] = {
	[PROWL_FIGURE_GOROUTINES] = "goroutines",
	[PROWL_FIGURE_RUNNING] = "goroutines_running",
	[PROWL_FIGURE_RUNNABLE] = "goroutines_runnable",
	[PROWL_FIGURE_WAITING] = "goroutines_waiting",
	[PROWL_FIGURE_SYSCALL] = "goroutines_in_syscall",
	[PROWL_FIGURE_OTHER] = "goroutines_other",
	[PROWL_FIGURE_SYSTEM] = "goroutines_of_runtime",
	[PROWL_FIGURE_DEAD] = "goroutines_dead",
	[PROWL_FIGURE_UNREAD] = "goroutines_unread",
	[PROWL_FIGURE_THREADS] = "threads",
	[PROWL_FIGURE_THREADS_IDLE] = "threads_idle",
	[PROWL_FIGURE_THREADS_SPINNING] = "threads_spinning",
	[PROWL_FIGURE_THREADS_IN_C] = "threads_in_c",
	[PROWL_FIGURE_THREADS_LIMIT] = "threads_limit",
	[PROWL_FIGURE_GOMAXPROCS] = "gomaxprocs",
	[PROWL_FIGURE_PROCS_IDLE] = "procs_idle",
	[PROWL_FIGURE_QUEUE] = "run_queue",
	[PROWL_FIGURE_QUEUE_PROCS] = "run_queues_of_procs",
	[PROWL_FIGURE_HEAP_LIVE] = "heap_live_bytes",
	[PROWL_FIGURE_HEAP_MARKED] = "heap_marked_bytes",
	[PROWL_FIGURE_HEAP_GOAL] = "heap_goal_bytes",
	[PROWL_FIGURE_HEAP_IN_USE] = "heap_in_use_bytes",
	[PROWL_FIGURE_HEAP_FREE] = "heap_free_bytes",
	[PROWL_FIGURE_HEAP_RELEASED] = "heap_released_bytes",
	[PROWL_FIGURE_MAPPED] = "mapped_bytes",
	[PROWL_FIGURE_TOTAL_ALLOC] = "total_alloc_bytes",
	[PROWL_FIGURE_TOTAL_FREE] = "total_free_bytes",
	[PROWL_FIGURE_GC_PERCENT] = "gc_percent",
	[PROWL_FIGURE_MEMORY_LIMIT] = "memory_limit_bytes",
	[PROWL_FIGURE_GC_COUNT] = "gc_count",
	[PROWL_FIGURE_GC_FORCED] = "gc_forced_count",
	[PROWL_FIGURE_GC_LAST] = "gc_last_unix_ns",
	[PROWL_FIGURE_GC_PAUSE_TOTAL] = "gc_pause_total_ns",
	[PROWL_FIGURE_MEM_RATE] = "mem_profile_rate_bytes",
	[PROWL_FIGURE_BLOCK_RATE] = "block_profile_rate_ticks",
	[PROWL_FIGURE_MUTEX_RATE] = "mutex_profile_fraction",
};

const char *prowl_figure_name(enum prowl_figure which)
{
	return which < PROWL_FIGURE_COUNT ? names[which] : "";
}

static void set_figure(struct prowl_figures *f, enum prowl_figure which, int64_t v)
{
	f->known[which] = true;
	f->value[which] = v;
}

/* --- fields of variables --- */

#define FIELD(member) offsetof(struct uw_golayout, member)
#define WHOLE         ((size_t)-1) /* the variable itself */

static const struct field {
	enum prowl_figure which;
	enum uw_goglobal var;
	size_t at; /* offset of the u16 in the layout that has the offset */
	uint8_t width;
} fields[] = {
	{PROWL_FIGURE_THREADS_IDLE, UW_GLOBAL_SCHED, FIELD(sched.nmidle), 4},
	{PROWL_FIGURE_THREADS_SPINNING, UW_GLOBAL_SCHED, FIELD(sched.nmspinning), 4},
	{PROWL_FIGURE_THREADS_LIMIT, UW_GLOBAL_SCHED, FIELD(sched.maxmcount), 4},
	{PROWL_FIGURE_PROCS_IDLE, UW_GLOBAL_SCHED, FIELD(sched.npidle), 4},
	{PROWL_FIGURE_QUEUE, UW_GLOBAL_SCHED, FIELD(sched.runqsize), 4},
	{PROWL_FIGURE_GOMAXPROCS, UW_GLOBAL_GOMAXPROCS, WHOLE, 4},
	{PROWL_FIGURE_HEAP_LIVE, UW_GLOBAL_MEMSTATS, FIELD(memstats.heap_live), 8},
	{PROWL_FIGURE_HEAP_LIVE, UW_GLOBAL_GC_CONTROLLER, FIELD(gc.heap_live), 8},
	{PROWL_FIGURE_HEAP_MARKED, UW_GLOBAL_GC_CONTROLLER, FIELD(gc.heap_marked), 8},
	{PROWL_FIGURE_HEAP_GOAL, UW_GLOBAL_GC_CONTROLLER, FIELD(gc.heap_goal), 8},
	{PROWL_FIGURE_HEAP_GOAL, UW_GLOBAL_GC_CONTROLLER, FIELD(gc.gc_percent_heap_goal), 8},
	{PROWL_FIGURE_HEAP_IN_USE, UW_GLOBAL_GC_CONTROLLER, FIELD(gc.heap_in_use), 8},
	{PROWL_FIGURE_HEAP_FREE, UW_GLOBAL_GC_CONTROLLER, FIELD(gc.heap_free), 8},
	{PROWL_FIGURE_HEAP_RELEASED, UW_GLOBAL_GC_CONTROLLER, FIELD(gc.heap_released), 8},
	{PROWL_FIGURE_MAPPED, UW_GLOBAL_GC_CONTROLLER, FIELD(gc.mapped_ready), 8},
	{PROWL_FIGURE_TOTAL_ALLOC, UW_GLOBAL_GC_CONTROLLER, FIELD(gc.total_alloc), 8},
	{PROWL_FIGURE_TOTAL_FREE, UW_GLOBAL_GC_CONTROLLER, FIELD(gc.total_free), 8},
	{PROWL_FIGURE_GC_PERCENT, UW_GLOBAL_GC_CONTROLLER, FIELD(gc.gc_percent), 4},
	{PROWL_FIGURE_MEMORY_LIMIT, UW_GLOBAL_GC_CONTROLLER, FIELD(gc.memory_limit), 8},
	{PROWL_FIGURE_GC_COUNT, UW_GLOBAL_MEMSTATS, FIELD(memstats.numgc), 4},
	{PROWL_FIGURE_GC_FORCED, UW_GLOBAL_MEMSTATS, FIELD(memstats.numforcedgc), 4},
	{PROWL_FIGURE_GC_LAST, UW_GLOBAL_MEMSTATS, FIELD(memstats.last_gc_unix), 8},
	{PROWL_FIGURE_GC_PAUSE_TOTAL, UW_GLOBAL_MEMSTATS, FIELD(memstats.pause_total_ns), 8},
	{PROWL_FIGURE_MEM_RATE, UW_GLOBAL_MEM_PROFILE_RATE, WHOLE, 8},
	{PROWL_FIGURE_BLOCK_RATE, UW_GLOBAL_BLOCK_PROFILE_RATE, WHOLE, 8},
	{PROWL_FIGURE_MUTEX_RATE, UW_GLOBAL_MUTEX_PROFILE_RATE, WHOLE, 8},
};

/* The address of a field; 0: the variable was not found, or this version has no such field. */
static uint64_t field_addr(const struct prowl_runtime *rt, enum uw_goglobal var, uint16_t off)
{
	uint64_t addr = uw_goglobal(&rt->globals, var);

	return addr && off != UW_GO_NONE ? addr + off : 0;
}

static void read_field(struct prowl_runtime *rt, const struct field *x, struct prowl_figures *f)
{
	uint16_t off = 0;
	uint64_t addr;
	int64_t wide;
	int32_t half;

	if (x->at != WHOLE)
		memcpy(&off, (const char *)rt->layout + x->at, sizeof off);
	addr = field_addr(rt, x->var, off);
	if (!addr)
		return;
	if (x->width == 8 && uw_read(&rt->space.live, addr, &wide, sizeof wide) == 0)
		set_figure(f, x->which, wide);
	if (x->width == 4 && uw_read(&rt->space.live, addr, &half, sizeof half) == 0)
		set_figure(f, x->which, half);
}

/* --- garbage collector --- */

static void read_pauses(struct prowl_runtime *rt, struct prowl_figures *f)
{
	uint64_t ring = field_addr(rt, UW_GLOBAL_MEMSTATS, rt->layout->memstats.pause_ns);
	uint64_t at = field_addr(rt, UW_GLOBAL_MEMSTATS, rt->layout->memstats.gc_cpu_fraction);
	uint32_t n = f->known[PROWL_FIGURE_GC_COUNT] ? (uint32_t)f->value[PROWL_FIGURE_GC_COUNT]
						     : 0;
	uint64_t pauses[RING];
	double fraction;

	f->gc_cpu_fraction = -1;
	if (at && uw_read(&rt->space.live, at, &fraction, sizeof fraction) == 0 && fraction >= 0 &&
	    fraction <= 1)
		f->gc_cpu_fraction = fraction;
	if (!ring || uw_read(&rt->space.live, ring, pauses, sizeof pauses) < 0)
		return;
	for (uint32_t i = 0; i < n && i < PROWL_PAUSES; i++)
		f->pauses[f->npauses++] = (int64_t)pauses[(n - 1 - i) % RING];
}

/*
 * From go1.17 on the linker switches heap profiling off in a program without a function that reads
 * the profile.
 */
static void read_heap_profile(struct prowl_runtime *rt, struct prowl_figures *f)
{
	static const char *const readers[] = {"runtime.MemProfile", "runtime.memProfileInternal",
					      "runtime.pprof_memProfileInternal"};
	struct uw_go_func func;

	if (!f->known[PROWL_FIGURE_MEM_RATE])
		return;
	f->heap_profile = f->value[PROWL_FIGURE_MEM_RATE] ? PROWL_HEAP_ON : PROWL_HEAP_LINKED_OUT;
	for (size_t i = 0; i < sizeof readers / sizeof readers[0]; i++) {
		if (f->heap_profile == PROWL_HEAP_LINKED_OUT &&
		    uw_go_func_named(rt->go, readers[i], &func))
			f->heap_profile = PROWL_HEAP_OFF;
	}
}

/* --- threads and processors --- */

static void count_threads(struct prowl_runtime *rt, struct prowl_figures *f)
{
	const struct uw_golayout *l = rt->layout;
	uint64_t head = uw_goglobal(&rt->globals, UW_GLOBAL_ALLM), m = 0;
	int64_t n = 0, in_c = 0;

	if (!head || l->m.alllink + 8 > M_BYTES || l->m.incgo >= M_BYTES ||
	    uw_read_u64(&rt->space.live, head, &m) < 0)
		return;
	for (; m; n++) {
		uint8_t bytes[M_BYTES];
		size_t len = (l->m.alllink > l->m.incgo ? l->m.alllink : l->m.incgo) + 8u;

		if (n == MAX_THREADS || uw_read(&rt->space.live, m, bytes, len) < 0)
			return; /* a circle, or not an m: the number is not known */
		in_c += bytes[l->m.incgo] != 0;
		memcpy(&m, bytes + l->m.alllink, sizeof m);
	}
	set_figure(f, PROWL_FIGURE_THREADS, n);
	set_figure(f, PROWL_FIGURE_THREADS_IN_C, in_c);
}

/* The number of goroutines in the queue of one processor; -1: it is no queue. */
static int64_t queue_of(struct prowl_runtime *rt, uint64_t p)
{
	const struct uw_golayout *l = rt->layout;
	uint32_t ends[2];
	uint64_t next = 0;

	if (uw_read(&rt->space.live, p + l->p.runqhead, ends, sizeof ends) < 0 ||
	    uw_read_u64(&rt->space.live, p + l->p.runnext, &next) < 0 ||
	    ends[1] - ends[0] > LOCAL_QUEUE)
		return -1;
	return (int64_t)(ends[1] - ends[0]) + (next != 0);
}

static void count_queues(struct prowl_runtime *rt, struct prowl_figures *f)
{
	uint64_t allp = uw_goglobal(&rt->globals, UW_GLOBAL_ALLP), slice[2], p = 0;
	int64_t sum = 0;

	if (!allp || rt->layout->p.runqhead == UW_GO_NONE ||
	    uw_read(&rt->space.live, allp, slice, sizeof slice) < 0 || slice[1] > MAX_PROCS)
		return;
	for (uint64_t i = 0; i < slice[1]; i++) {
		int64_t n;

		if (uw_read_u64(&rt->space.live, slice[0] + i * 8, &p) < 0)
			return;
		n = p ? queue_of(rt, p) : 0;
		if (n < 0)
			return;
		sum += n;
	}
	set_figure(f, PROWL_FIGURE_QUEUE_PROCS, sum);
}

/* --- goroutines by state --- */

/*
 * There may be hundreds of thousands: the few bytes needed of each are read many at a time, and
 * each entry function is looked up once. Where the list can't be read, none of these figures is
 * known.
 */
struct counter {
	struct prowl_runtime *rt;
	struct prowl_figures *f;
	int64_t by_status[STATUSES];
	int64_t system, unread;
	uint64_t reasons[PROWL_WAIT_REASONS];
};

static int count_goroutine(void *ctx, const struct uw_goroutine *g)
{
	struct counter *c = ctx;

	if (g->stack == UW_GOROUTINE_BAD || (unsigned int)g->status >= STATUSES) {
		c->unread++;
	} else if (g->system) {
		c->system++;
	} else {
		c->by_status[g->status]++;
		if (g->status == UW_G_WAITING && g->reason < PROWL_WAIT_REASONS)
			c->reasons[g->reason]++;
	}
	return 0;
}

static void set_goroutines(const struct counter *c)
{
	const int64_t *n = c->by_status;
	int64_t other = n[UW_G_COPYSTACK] + n[UW_G_PREEMPTED] + n[UW_G_LEAKED];

	set_figure(c->f, PROWL_FIGURE_GOROUTINES,
		   n[UW_G_RUNNING] + n[UW_G_RUNNABLE] + n[UW_G_WAITING] + n[UW_G_SYSCALL] + other);
	set_figure(c->f, PROWL_FIGURE_RUNNING, n[UW_G_RUNNING]);
	set_figure(c->f, PROWL_FIGURE_RUNNABLE, n[UW_G_RUNNABLE]);
	set_figure(c->f, PROWL_FIGURE_WAITING, n[UW_G_WAITING]);
	set_figure(c->f, PROWL_FIGURE_SYSCALL, n[UW_G_SYSCALL]);
	set_figure(c->f, PROWL_FIGURE_OTHER, other);
	set_figure(c->f, PROWL_FIGURE_SYSTEM, c->system);
	set_figure(c->f, PROWL_FIGURE_DEAD, n[UW_G_DEAD]);
	set_figure(c->f, PROWL_FIGURE_UNREAD, c->unread);
	for (size_t i = 0; i < PROWL_WAIT_REASONS; i++) {
		if (i < c->rt->layout->wait_reasons_count)
			c->f->waiting[i].reason = c->rt->layout->wait_reasons[i];
		else if (c->reasons[i])
			c->f->waiting[i].reason = "unknown";
		c->f->waiting[i].n = c->reasons[i];
	}
}

static void count_goroutines(struct prowl_runtime *rt, struct prowl_figures *f)
{
	struct counter c = {.rt = rt, .f = f};
	struct uw_goroutines *reader;
	uint64_t *gs;
	size_t n;

	if (uw_goroutines_new(&rt->space, &reader) < 0)
		return;
	if (uw_goroutines_list(&rt->space.live, &rt->globals, &gs, &n) == 0) {
		if (uw_goroutines_read(reader, gs, n, false, count_goroutine, &c) == 0) {
			c.by_status[UW_G_DEAD] = (int64_t)uw_goroutines_stats(reader)->dead;
			set_goroutines(&c);
		}
		free(gs);
	}
	uw_goroutines_free(reader);
}

/* --- all of it --- */

static void report_variables(const struct prowl_runtime *rt, struct prowl_figures *f)
{
	_Static_assert((int)UW_GLOBAL_COUNT <= (int)PROWL_VARIABLES, "there is room for all");
	f->nvariables = UW_GLOBAL_COUNT;
	for (size_t i = 0; i < UW_GLOBAL_COUNT; i++) {
		f->variables[i].name = uw_goglobal_name(i);
		f->variables[i].how = uw_goglobal_source_name(rt->globals.var[i].source);
		f->variables[i].addr = rt->globals.var[i].addr;
	}
}

void prowl_figures_read(struct prowl_runtime *rt, struct prowl_figures *f)
{
	*f = (struct prowl_figures){0};
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		read_field(rt, &fields[i], f);
	read_pauses(rt, f);
	read_heap_profile(rt, f);
	count_threads(rt, f);
	count_queues(rt, f);
	count_goroutines(rt, f);
	report_variables(rt, f);
}

enum prowl_code prowl_figures_of(const struct prowl_who *who, struct prowl_figures *ret,
				 struct prowl_err *err)
{
	struct prowl_runtime *rt;
	enum prowl_code code = prowl_runtime_open(who, &rt, err);

	if (code != PROWL_OK)
		return code;
	prowl_figures_read(rt, ret);
	prowl_runtime_free(rt);
	return PROWL_OK;
}
