/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every profile that prowl can take: a table, and one way to take any of them. Commands, endpoints,
 * schedules and triggers are loops over it.
 *
 * prowl_kind_take opens the target, waits for the window, builds the profile and closes the target.
 * It blocks meanwhile; wake_fd ends the window early. Any thread may call it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "goroutines.h"
#include "prowl.h"
#include "rates.h"
#include "rtprofile.h"
#include "wall.h"
#include "who.h"

struct pprof_profile;

enum prowl_kind_family { /* kinds that have options and figures in common */
			 PROWL_FAMILY_CPU,
			 PROWL_FAMILY_RTPROFILE,
			 PROWL_FAMILY_GOROUTINES,
			 PROWL_FAMILY_WALL,
};

enum prowl_kind_flags {
	PROWL_KIND_CORE = 1,     /* also of a core file */
	PROWL_KIND_WINDOW = 2,   /* needs a window */
	PROWL_KIND_DELTA = 4,    /* may have one: what changed within it */
	PROWL_KIND_GO = 8,       /* of Go programs only */
	PROWL_KIND_SAMPLES = 16, /* opens a perf event */
};

enum prowl_take_event {
	PROWL_TAKE_OPENED,   /* taken->target is known */
	PROWL_TAKE_RATES,    /* rates were set: taken->rates */
	PROWL_TAKE_GUARDIAN, /* the guardian of the rates was killed; another one was started */
	PROWL_TAKE_CLOSED,   /* the window is over, rates are restored: taken->rates */
};

struct prowl_taken { /* what is known, complete after the take */
	struct prowl_target target;
	const struct prowl_rates_report *rates; /* during the take; NULL: none were set */
	union {                                 /* by family */
		struct prowl_result cpu;
		struct prowl_rtprofile_result rtprofile;
		struct prowl_goroutines_counts goroutines;
		struct prowl_wall_result wall;
	};
};

struct prowl_take {  /* zero-initialised: all defaults */
	uint64_t ns; /* the window; 0: the kind's default */
	int wake_fd; /* an eventfd that ends the window when it is written to; 0: none */
	struct prowl_options cpu; /* pids are those of who */
	struct prowl_wall_options wall;
	struct prowl_goroutines_options goroutines;
	struct prowl_rates_wish rates; /* set in the target for the window: see rates.h */
	void (*on)(void *ctx, enum prowl_take_event event, const struct prowl_taken *taken);
	void *ctx;
};

struct prowl_kind {
	const char *name; /* as in /debug/pprof/NAME, except "cpu" and "wall" */
	enum prowl_kind_family family;
	unsigned int flags;
	uint64_t window_ns;   /* default; 0: none */
	enum prowl_rate rate; /* the rate of the runtime that it depends on; PROWL_RATES: none */
	enum prowl_rtprofile_kind record; /* of PROWL_FAMILY_RTPROFILE */
	enum prowl_code (*take)(const struct prowl_kind *k, const struct prowl_who *who,
				const struct prowl_take *o, struct pprof_profile **ret,
				struct prowl_taken *taken, struct prowl_err *err);
};

extern const struct prowl_kind prowl_kinds[]; /* ends with one without a name */
/* NULL: there is none of that name. */
const struct prowl_kind *prowl_kind_named(const char *name);

/*
 * Takes one. PROWL_USAGE: an option that the kind does not have; PROWL_NOTHING: nothing was
 * captured; others as in the header of the kind. taken is filled in any case; the caller frees the
 * profile with pprof_profile_free.
 */
enum prowl_code prowl_kind_take(const struct prowl_kind *k, const struct prowl_who *who,
				const struct prowl_take *o, struct pprof_profile **ret,
				struct prowl_taken *taken, struct prowl_err *err);
