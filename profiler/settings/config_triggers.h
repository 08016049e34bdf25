/* SPDX-License-Identifier: Apache-2.0 */
/* triggers: of the configuration: when something is taken of a process by itself, and what. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum prowl_trigger_figure {
	PROWL_TRIGGER_CPU,        /* CPUs in use, over 5 s */
	PROWL_TRIGGER_RSS,        /* bytes */
	PROWL_TRIGGER_MEMORY,     /* bytes, of its cgroup */
	PROWL_TRIGGER_GOROUTINES, /* by the last figures, as the next two */
	PROWL_TRIGGER_THREADS,
	PROWL_TRIGGER_HEAP_LIVE, /* bytes */
	PROWL_TRIGGER_FIGURES,
};

/* "cpu"; NULL: no such figure. */
const char *prowl_trigger_figure_name(size_t figure);

struct prowl_condition { /* the figure is above a bound */
	enum prowl_trigger_figure figure;
	enum prowl_condition_kind {
		PROWL_ABOVE,        /* value */
		PROWL_ABOVE_LIMIT,  /* value as a share of the cgroup's limit */
		PROWL_ABOVE_MEDIAN, /* value times its own median over span */
	} kind;
	double value;
	uint64_t span; /* ns */
};

enum { PROWL_TRIGGER_CONDITIONS = PROWL_TRIGGER_FIGURES, PROWL_TRIGGER_CAPTURES = 8 };

struct prowl_trigger {
	const char *name;
	struct prowl_condition when[PROWL_TRIGGER_CONDITIONS]; /* all must hold */
	size_t nwhen;
	double min;               /* of all figures: below it nothing fires */
	uint64_t for_, cooldown;  /* ns; the latter for each process */
	unsigned int max_per_day; /* for each process */
	struct prowl_trigger_capture {
		const char *kind; /* "heap" */
		uint64_t ns;      /* its length; 0: the default */
	} capture[PROWL_TRIGGER_CAPTURES];
	size_t ncapture;
};

/* Parses "> 90%", "> 2GiB", "> 3x median(1h)"; false: it is none of them. */
bool prowl_condition_parse(const char *text, enum prowl_trigger_figure figure,
			   struct prowl_condition *ret);
