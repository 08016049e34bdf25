/* SPDX-License-Identifier: Apache-2.0 */
#include "show_figures.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { SHOWN_REASONS = 8 };

static const char *const heap_profiles[] = {
	[PROWL_HEAP_UNKNOWN] = "unknown",
	[PROWL_HEAP_ON] = "on",
	[PROWL_HEAP_OFF] = "off",
	[PROWL_HEAP_LINKED_OUT] = "linked-out",
};

static void label(const char *what)
{
	printf("%-14s ", what);
}

/* "12 idle", or "? idle" where it is unknown, with the text before it. */
static void put(const struct prowl_figures *f, const char *before, enum prowl_figure which,
		const char *after)
{
	if (f->known[which])
		printf("%s%" PRId64 "%s", before, f->value[which], after);
	else
		printf("%s?%s", before, after);
}

struct size { /* and the words around it */
	const char *before;
	enum prowl_figure which;
	const char *after;
};

/* Nothing where it is unknown. */
static void put_size(const struct prowl_figures *f, const struct size *s)
{
	if (f->known[s->which])
		printf("%s%.1f MB%s", s->before, (double)f->value[s->which] / 1e6, s->after);
}

static void put_sizes(const struct prowl_figures *f, const char *what, const struct size *s,
		      size_t n)
{
	label(what);
	for (size_t i = 0; i < n; i++)
		put_size(f, &s[i]);
	putchar('\n');
}

static bool any(const struct prowl_figures *f, enum prowl_figure from, enum prowl_figure to)
{
	for (enum prowl_figure i = from; i <= to; i++) {
		if (f->known[i])
			return true;
	}
	return false;
}

/* --- text --- */

/* The reasons that most goroutines wait for. */
static void show_waiting(const struct prowl_figures *f)
{
	bool shown[PROWL_WAIT_REASONS] = {false};

	for (int k = 0; k < SHOWN_REASONS; k++) {
		size_t best = 0;

		for (size_t i = 0; i < PROWL_WAIT_REASONS; i++) {
			if (!shown[i] && (shown[best] || f->waiting[i].n > f->waiting[best].n))
				best = i;
		}
		if (shown[best] || !f->waiting[best].n)
			break;
		shown[best] = true;
		if (k == 0)
			label("  waiting for");
		printf("%s%s (%" PRIu64 ")", k ? ", " : "",
		       f->waiting[best].reason[0] ? f->waiting[best].reason : "no reason given",
		       f->waiting[best].n);
	}
	if (f->value[PROWL_FIGURE_WAITING] && f->known[PROWL_FIGURE_WAITING])
		putchar('\n');
}

static void show_goroutines(const struct prowl_figures *f)
{
	label("goroutines");
	if (!f->known[PROWL_FIGURE_GOROUTINES]) {
		puts("unknown: the runtime's list of them was not found");
		return;
	}
	put(f, "", PROWL_FIGURE_GOROUTINES, ": ");
	put(f, "", PROWL_FIGURE_RUNNING, " running, ");
	put(f, "", PROWL_FIGURE_RUNNABLE, " runnable, ");
	put(f, "", PROWL_FIGURE_WAITING, " waiting, ");
	put(f, "", PROWL_FIGURE_SYSCALL, " in system calls or C code");
	if (f->value[PROWL_FIGURE_OTHER])
		put(f, ", ", PROWL_FIGURE_OTHER, " preempted or changing");
	put(f, "; and ", PROWL_FIGURE_SYSTEM, " of the runtime");
	if (f->value[PROWL_FIGURE_UNREAD])
		put(f, "; ", PROWL_FIGURE_UNREAD, " could not be read");
	putchar('\n');
	show_waiting(f);
}

static void show_threads(const struct prowl_figures *f)
{
	label("threads");
	put(f, "", PROWL_FIGURE_THREADS, ": ");
	put(f, "", PROWL_FIGURE_THREADS_IDLE, " idle, ");
	put(f, "", PROWL_FIGURE_THREADS_SPINNING, " looking for work, ");
	put(f, "", PROWL_FIGURE_THREADS_IN_C, " in C code");
	putchar('\n');
	label("processors");
	put(f, "GOMAXPROCS ", PROWL_FIGURE_GOMAXPROCS, ", ");
	put(f, "", PROWL_FIGURE_PROCS_IDLE, " idle; goroutines in the run queue: ");
	put(f, "", PROWL_FIGURE_QUEUE, ", in those of processors: ");
	put(f, "", PROWL_FIGURE_QUEUE_PROCS, "\n");
}

static void show_heap(const struct prowl_figures *f)
{
	static const struct size heap[] = {
		{"", PROWL_FIGURE_HEAP_LIVE, " live"},
		{", ", PROWL_FIGURE_HEAP_MARKED, " marked by the last GC"},
		{", next GC at ", PROWL_FIGURE_HEAP_GOAL, ""},
	};
	static const struct size memory[] = {
		{"", PROWL_FIGURE_HEAP_IN_USE, " in use"},
		{", ", PROWL_FIGURE_HEAP_FREE, " free"},
		{", ", PROWL_FIGURE_HEAP_RELEASED, " returned to the system"},
		{"; since the start ", PROWL_FIGURE_TOTAL_ALLOC, " allocated"},
		{", ", PROWL_FIGURE_TOTAL_FREE, " freed"},
	};

	if (!any(f, PROWL_FIGURE_HEAP_LIVE, PROWL_FIGURE_TOTAL_FREE))
		return;
	put_sizes(f, "heap", heap, sizeof heap / sizeof *heap);
	if (any(f, PROWL_FIGURE_HEAP_IN_USE, PROWL_FIGURE_TOTAL_FREE))
		put_sizes(f, "  memory", memory, sizeof memory / sizeof *memory);
}

static void show_last_gc(int64_t ns)
{
	time_t t = (time_t)(ns / 1000000000);
	struct timespec now;
	char text[64];
	struct tm tm;

	if (ns == 0 || !gmtime_r(&t, &tm) || !strftime(text, sizeof text, "%FT%TZ", &tm))
		return;
	printf(", the last one at %s", text);
	if (clock_gettime(CLOCK_REALTIME, &now) == 0)
		printf(" (%.1f s ago)",
		       (double)now.tv_sec - (double)t +
			       ((double)now.tv_nsec - (double)(ns % 1000000000)) / 1e9);
}

static void show_pauses(const struct prowl_figures *f)
{
	if (!f->npauses)
		return;
	label("  pauses");
	for (size_t i = 0; i < f->npauses; i++)
		printf("%s%.3f", i ? ", " : "", (double)f->pauses[i] / 1e6);
	fputs(" ms, newest first", stdout);
	if (f->known[PROWL_FIGURE_GC_PAUSE_TOTAL])
		printf("; %.3f ms in all", (double)f->value[PROWL_FIGURE_GC_PAUSE_TOTAL] / 1e6);
	putchar('\n');
}

static void show_gc(const struct prowl_figures *f)
{
	label("GC");
	if (f->known[PROWL_FIGURE_GC_PERCENT] && f->value[PROWL_FIGURE_GC_PERCENT] < 0)
		fputs("GOGC off", stdout);
	else
		put(f, "GOGC ", PROWL_FIGURE_GC_PERCENT, "");
	if (f->known[PROWL_FIGURE_MEMORY_LIMIT] && f->value[PROWL_FIGURE_MEMORY_LIMIT] == INT64_MAX)
		fputs(", no memory limit", stdout);
	else
		put_size(f, &(struct size){", memory limit ", PROWL_FIGURE_MEMORY_LIMIT, ""});
	put(f, "; ", PROWL_FIGURE_GC_COUNT, " collections, ");
	put(f, "", PROWL_FIGURE_GC_FORCED, " of them forced");
	if (f->known[PROWL_FIGURE_GC_LAST])
		show_last_gc(f->value[PROWL_FIGURE_GC_LAST]);
	if (f->gc_cpu_fraction >= 0)
		printf("; %.2f %% of the CPU time", f->gc_cpu_fraction * 100);
	putchar('\n');
	show_pauses(f);
}

static void show_rate(const struct prowl_figures *f, const char *what, enum prowl_figure which,
		      const char *before, const char *unit)
{
	if (!f->known[which])
		printf("%s unknown", what);
	else if (f->value[which] == 0)
		printf("%s off", what);
	else
		printf("%s %s %" PRId64 "%s", what, before, f->value[which], unit);
}

static void show_rates(const struct prowl_figures *f)
{
	label("profiles");
	show_rate(f, "heap", PROWL_FIGURE_MEM_RATE, "every", " bytes");
	if (f->heap_profile == PROWL_HEAP_LINKED_OUT)
		fputs(" (nothing in the program reads it, so the linker left it out)", stdout);
	show_rate(f, ", block", PROWL_FIGURE_BLOCK_RATE, "every", " CPU ticks");
	show_rate(f, ", mutex", PROWL_FIGURE_MUTEX_RATE, "one event in", "");
	putchar('\n');
}

static void show_variables(const struct prowl_figures *f, bool all)
{
	static const char *const ways[] = {"symbol", "code", "value"};
	bool lacks = false;

	label("variables");
	for (size_t w = 0; w < sizeof ways / sizeof ways[0]; w++) {
		size_t n = 0;

		for (size_t i = 0; i < f->nvariables; i++)
			n += !strcmp(f->variables[i].how, ways[w]);
		if (n)
			printf("%zu found by %s; ", n, ways[w]);
	}
	for (size_t i = 0; i < f->nvariables; i++) {
		if (f->variables[i].addr)
			continue;
		printf("%s%s", lacks ? ", " : "not found: ", f->variables[i].name);
		lacks = true;
	}
	puts(lacks ? "" : "none is missing");
	for (size_t i = 0; all && i < f->nvariables; i++) {
		label("");
		printf("%s 0x%" PRIx64 " %s\n", f->variables[i].name, f->variables[i].addr,
		       f->variables[i].how);
	}
}

void show_figures(const struct prowl_figures *f, bool all)
{
	show_goroutines(f);
	show_threads(f);
	show_heap(f);
	show_gc(f);
	show_rates(f);
	show_variables(f, all);
}

/* --- JSON --- */

void json_figures(struct jsonout *j, const struct prowl_figures *f)
{
	pp_json_open(j, "runtime", '{');
	for (enum prowl_figure i = 0; i < PROWL_FIGURE_COUNT; i++) {
		if (f->known[i])
			pp_json_number(j, prowl_figure_name(i), f->value[i]);
	}
	pp_json_open(j, "goroutines_waiting_for", '{');
	for (size_t i = 0; i < PROWL_WAIT_REASONS; i++) {
		if (f->waiting[i].n)
			pp_json_unsigned(j, f->waiting[i].reason, f->waiting[i].n);
	}
	pp_json_close(j, '}');
	if (f->gc_cpu_fraction >= 0)
		pp_json_real(j, "gc_cpu_fraction", f->gc_cpu_fraction);
	pp_json_open(j, "gc_last_pauses_ns", '[');
	for (size_t i = 0; i < f->npauses; i++)
		pp_json_number(j, NULL, f->pauses[i]);
	pp_json_close(j, ']');
	pp_json_text(j, "heap_profile", heap_profiles[f->heap_profile]);
	pp_json_open(j, "variables", '{');
	for (size_t i = 0; i < f->nvariables; i++) {
		pp_json_open(j, f->variables[i].name, '{');
		pp_json_text(j, "found_by", f->variables[i].how);
		if (f->variables[i].addr)
			pp_json_address(j, "address", f->variables[i].addr);
		pp_json_close(j, '}');
	}
	pp_json_close(j, '}');
	pp_json_close(j, '}');
}
