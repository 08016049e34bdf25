/* SPDX-License-Identifier: Apache-2.0 */
/* The making of a window's profiles: what window_*.c share. */
#pragma once

#include "idmap.h"
#include "pprof.h"
#include "stackkey.h"
#include "symbolize.h"
#include "walk.h"
#include "window.h"

enum { WINDOW_MAX_LOCATIONS = PROWL_MAX_KERNEL + PROWL_MAX_USER + 64 };

struct window_pcs {
	uint64_t *pc;
	size_t n, cap;
};

enum window_mark { MARK_UNKNOWN, MARK_TRUNCATED, MARK_LOST, MARK_UNSAMPLED, MARKS };

/* What a walk over a stack asks of a location. */
enum window_fact { FACT_UNKNOWN = 1, FACT_KEEPS_WRAPPER = 2 };
#define NO_LOCATION (UINT32_MAX - 1) /* an address that shows no frame: wrappers only */

struct window_target {           /* a profile that is being made: of all processes, or of one */
	struct pprof_profile *p; /* NULL until something belongs in it */
	pid_t pid;
	struct prowl_idmap kernel_locations;
	uint32_t kernel_map;
	uint32_t marks[MARKS]; /* their locations; PPROF_NONE until used */
	uint8_t *facts;        /* per location of the user: enum window_fact */
	size_t cap_facts;
};

struct window_image {
	/* pc → location, PPROF_NONE: not yet; [1]: with wrappers kept */
	struct prowl_idmap locations[2];
	struct prowl_idmap mappings; /* start of mapping → mapping of the profile */
	struct window_pcs leaves;    /* of Go */
	uint32_t target;             /* whose profile its samples are in */
};

/* What a Go frame became, by the addresses of its names in the binary: direct-mapped. */
enum { NAMED_BITS = 9 };
struct window_named {
	const char *name, *file;
	int64_t start_line;
	uint32_t target, function;
};

enum { RECENT_BITS = 11 };
struct window_recent { /* direct-mapped */
	uint64_t pc;
	uint32_t owner; /* image, or target | KERNEL_OWNER */
	uint32_t location;
};
#define KERNEL_OWNER (UINT32_C(1) << 31)

struct window_maker {
	const struct prowl_window *w;
	enum prowl_group group;
	struct prowl_made made;
	struct window_target *targets;
	size_t ntargets;             /* together: 1; else one more, for what belongs to none */
	uint32_t *places;            /* of each process: its target */
	struct window_image *images; /* as in the window */
	struct uw_repairer *repairer;
	uint64_t dropped_weight;
	bool native_named; /* the addresses of native code */
	bool has_native;   /* a leaf is not Go */
	bool given_back;   /* memory of the hash: it can't be read a second time */
	struct window_pcs kernel_pcs;
	uint64_t looked; /* when the hurry fd was looked at last */
	struct window_named names[1 << NAMED_BITS];
	struct window_recent recent[1 << RECENT_BITS];
	int error;
};

/* --- window_profile.c --- */

/* The target whose profile is of that process; UINT32_MAX: of no single one. Makes the profile. */
int window_target_of(struct window_maker *m, uint32_t process, struct window_target **ret);
static inline struct window_target *window_target_of_image(struct window_maker *m, uint32_t image)
{
	return &m->targets[m->images[image].target];
}

enum window_part { UP_TO_LEAF, WHOLE };
/*
 * The image of a stack, and that part of the stack: its kernel frames and the user's leaf, or all.
 * NULL for words that are no key of this window.
 */
const struct prowl_window_image *window_read_key(const struct window_maker *m,
						 const uint64_t *words, size_t n,
						 enum window_part part, struct prowl_stackkey *key);
/* The error of a pass over the hash that returned r. */
int window_hash_error(const struct window_maker *m, int r);

/* --- window_locations.c --- */

bool window_is_go(const struct prowl_window_image *im, uint64_t pc);
/* A location with only a name. */
int window_named_location(struct window_target *t, uint32_t mapping, uint64_t address,
			  const char *name, const char *file, uint32_t *ret);
/* PPROF_NONE, and m->error, without memory. */
uint32_t window_mark(struct window_maker *m, struct window_target *t, enum window_mark which);
int window_user_location(struct window_maker *m, const struct prowl_window_image *im, uint64_t pc,
			 bool keep_wrappers, uint32_t *ret);
int window_kernel_location(struct window_maker *m, struct window_target *t, uint64_t pc,
			   uint32_t *ret);
/* Adds it to the list, and to the map as one without a location, if it is not there. */
int window_collect_pc(struct window_pcs *list, struct prowl_idmap *seen, uint64_t pc);
/* The slot of the addresses that were used last: most frames of most stacks. */
static inline struct window_recent *window_recent_of(struct window_maker *m, uint64_t pc)
{
	return &m->recent[(pc * 0x9e3779b97f4a7c15ull) >> (64 - RECENT_BITS)];
}
/* All at once: kernel addresses; native addresses; Go leaves in the order of addresses. */
int window_name_kernel(struct window_maker *m);
int window_name_native(struct window_maker *m);
int window_name_leaves(struct window_maker *m, const struct prowl_window_image *im);
/* The program itself becomes the first mapping of its profile. */
int window_first_mapping(struct window_maker *m, struct window_target *t, struct uw_space *space);

/* --- window_samples.c --- */

/* One stack of the hash (prowl_stackhash_fn). */
int window_add_stack(void *maker, const uint64_t *words, size_t n, uint64_t count, uint64_t weight);
int window_process_labels(struct window_maker *m, struct window_target *t, uint32_t process,
			  struct pprof_label *labels);

/* --- weigh.c --- */

/* What no sample represents: time that was not sampled, lost and dropped samples. */
int window_add_unsampled(struct window_maker *m);
int window_add_unsampled_kernel(struct window_maker *m);
int window_add_lost(struct window_maker *m);
static inline int64_t window_rounded(double v)
{
	return (int64_t)(v + 0.5); /* of what is not negative: not worth a library */
}
