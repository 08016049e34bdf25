/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A window of the stack hash → a profile. Each unique address is named once; what was lost,
 * truncated or unknown becomes frames and comments.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "array.h"
#include "gostored.h"
#include "idmap.h"
#include "knames.h"
#include "naming.h"
#include "notes.h"
#include "pprof.h"
#include "session.h"
#include "sort.h"
#include "symbolize.h"

enum {
	MAX_LOCATIONS = PROWL_MAX_KERNEL + PROWL_MAX_USER + 64,
	KEEP_WRAPPERS = 1,
	LOOK_MS = 20,
};

struct pcs {
	uint64_t *pc;
	size_t n, cap;
};

struct image_cache { /* of one image */
	/* pc → location, PPROF_NONE: not yet; [KEEP_WRAPPERS]: with wrappers kept */
	struct prowl_idmap loc[2];
	struct prowl_idmap map; /* start of mapping → mapping of the profile */
	struct pcs leaves;      /* of Go */
};

/* What a frame of Go became, by the addresses of its names in the binary: direct-mapped. */
enum { NAMED_BITS = 9 };
struct named {
	const char *name, *file;
	int64_t start_line;
	uint32_t function;
};

enum { RECENT_BITS = 11 };
#define KERNEL UINT32_MAX
struct recent { /* direct-mapped */
	uint64_t pc;
	uint32_t image; /* KERNEL: none */
	uint32_t location;
};

enum { MARK_UNKNOWN, MARK_TRUNCATED, MARK_LOST, MARK_UNSAMPLED, MARKS };

struct build {
	struct prowl_session *s;
	struct pprof_profile *p;
	struct image_cache *images;
	struct prowl_idmap kernel_loc;
	struct uw_repairer *repairer;
	uint64_t named;   /* addresses */
	uint64_t dropped; /* samples that the hash had no room for */
	uint64_t dropped_weight;
	bool native_named; /* those of native code */
	bool has_native;   /* a leaf is not of Go */
	bool given_back;   /* of the hash's memory: it can't be gone through once more */
	uint32_t kernel_map;
	uint8_t *facts; /* per location of the user: enum fact */
	size_t cap_facts;
	uint32_t marks[MARKS]; /* their locations; PPROF_NONE until used */
	double *scale;         /* per image: charged time / sampled time */
	struct pcs kernel_pcs;
	struct named names[1 << NAMED_BITS];
	struct recent recent[1 << RECENT_BITS];
	int error;
};

enum fact { FACT_UNKNOWN = 1, FACT_KEEPS_WRAPPER = 2 };
#define NO_LOCATION (UINT32_MAX - 1) /* an address that shows no frame: wrappers only */

/* llround(3) for what is not negative: not worth a library. */
static int64_t rounded(double v)
{
	return (int64_t)(v + 0.5);
}

/* --- functions and locations ----------------------------------------------------- */

static int named_location(struct build *b, uint32_t mapping, uint64_t address, const char *name,
			  const char *file, uint32_t *ret)
{
	struct pprof_line line = {0};
	const struct uw_frame f = {.name = name, .readable = name, .file = file};
	int r = prowl_name_function(b->p, &f, &line.function);

	return r < 0 ? r : pprof_location(b->p, mapping, address, &line, 1, ret);
}

static uint32_t mark(struct build *b, int which)
{
	static const char *const names[MARKS] = {"[unknown]", "[truncated]", "[lost]",
						 "[not sampled]"};
	int r;

	if (b->marks[which] == PPROF_NONE) {
		r = named_location(b, PPROF_NONE, 0, names[which], "", &b->marks[which]);
		if (r < 0)
			b->error = r;
	}
	return b->marks[which];
}

static int name_native(struct build *b);

static bool is_go(const struct prowl_image *im, uint64_t pc)
{
	return uw_space_go_at(&im->space, pc) != NULL;
}

/*
 * Whether somebody waits for the profile. Go's tables take no time that would matter; those of
 * native files may.
 */
static void look_for_hurry(struct prowl_session *s)
{
	struct pollfd wake = {.fd = s->wake_fd, .events = POLLIN};
	struct timespec t;
	uint64_t now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	now = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
	if (!s->stopped || now - s->looked < LOOK_MS)
		return;
	s->looked = now;
	if (poll(&wake, 1, 0) > 0)
		s->procs.files.care.hurry = true;
}

/* Native addresses are looked up once, if there are windows to come. */
static size_t symbols_at(struct build *b, struct prowl_image *im, uint64_t pc,
			 struct uw_symbol *syms, const struct uw_mapping **ret_map)
{
	struct prowl_session *s = b->s;
	bool cached = !s->stopped && !is_go(im, pc);
	enum uw_kind kind;
	size_t n;

	if (cached && prowl_symcache_get(&s->symcache, im->id, pc, syms, &n)) {
		*ret_map = uw_space_at(&im->space, pc);
		return n;
	}
	if (!is_go(im, pc))
		look_for_hurry(s);
	prowl_trim(&s->trim, &s->procs.files, s->result.walks.lookups + ++b->named);
	n = uw_symbolize(&im->space, pc, syms, UW_MAX_INLINE, &kind, ret_map);
	if (cached && *ret_map) /* what is mapped there later has names */
		prowl_symcache_put(&s->symcache, im->id, pc, syms, n);
	return n;
}

/* prowl_name_function, for Go: many addresses share few names, which stay where they are. */
static int go_function(struct build *b, const struct uw_frame *f, uint32_t *ret)
{
	uint64_t h = ((uint64_t)(uintptr_t)f->name ^ (uint64_t)(uintptr_t)f->file << 20) *
		     0x9e3779b97f4a7c15ull;
	struct named *n = &b->names[h >> (64 - NAMED_BITS)];
	int r;

	if (n->name != f->name || n->file != f->file || n->start_line != f->start_line) {
		r = prowl_name_function(b->p, f, &n->function);
		if (r < 0)
			return r;
		n->name = f->name;
		n->file = f->file;
		n->start_line = f->start_line;
	}
	*ret = n->function;
	return 0;
}

/*
 * What a walk over a stack asks of each of its locations: has it no name, and is a wrapper that
 * calls it shown. Told when it is made; the names lie far apart.
 */
static int set_facts(struct build *b, uint32_t loc, int facts)
{
	size_t old = b->cap_facts;

	if (prowl_array_reserve(&b->facts, &b->cap_facts, loc + 1, 1) < 0)
		return -ENOMEM;
	memset(b->facts + old, 0, b->cap_facts - old);
	b->facts[loc] = (uint8_t)facts;
	return 0;
}

static bool find_location(const struct image_cache *ic, uint64_t pc, bool keep, uint32_t *ret)
{
	return prowl_idmap_get(&ic->loc[keep], pc, ret) && *ret != PPROF_NONE;
}

static int user_location(struct build *b, struct prowl_image *im, uint64_t pc, bool keep,
			 uint32_t *ret)
{
	struct image_cache *ic = &b->images[im->id];
	struct uw_symbol syms[UW_MAX_INLINE];
	struct pprof_line lines[UW_MAX_INLINE];
	const struct uw_mapping *m;
	uint32_t map = PPROF_NONE;
	bool go = is_go(im, pc);
	size_t n, k = 0;
	int r = 0, facts = 0;

	if (find_location(ic, pc, keep, ret))
		return 0;
	if (!go && !b->native_named) {
		r = name_native(b);
		if (r < 0 || find_location(ic, pc, keep, ret))
			return r;
	}
	n = symbols_at(b, im, pc, syms, &m);
	if (m)
		r = prowl_name_mapping(b->p, &ic->map, m, &map);
	for (size_t i = 0; i < n && r == 0; i++) {
		const struct uw_frame *f = &syms[i].frame;

		if (syms[i].wrapper && !keep)
			continue;
		lines[k] = (struct pprof_line){.line = f->line};
		r = go ? go_function(b, f, &lines[k].function)
		       : prowl_name_function(b->p, f, &lines[k].function);
		if (map != PPROF_NONE && !f->line)
			b->p->mappings[map].has_line_numbers = b->p->mappings[map].has_filenames =
				false;
		facts = uw_go_keeps_wrapper(f->readable ? f->readable : f->name)
				? FACT_KEEPS_WRAPPER
				: 0;
		k++;
	}
	if (r < 0)
		return r;
	if (n == 0) {
		facts = FACT_UNKNOWN;
		if (map != PPROF_NONE)
			b->p->mappings[map].has_functions = b->p->mappings[map].has_filenames =
				b->p->mappings[map].has_line_numbers =
					b->p->mappings[map].has_inline_frames = false;
		r = named_location(b, map, pc, "[unknown]", m && m->bin ? m->bin->path : "", ret);
	} else if (k == 0) {
		*ret = NO_LOCATION;
	} else {
		r = pprof_location(b->p, map, pc, lines, k, ret);
	}
	if (r == 0 && *ret != NO_LOCATION)
		r = set_facts(b, *ret, facts);
	return r < 0 ? r : prowl_idmap_put(&ic->loc[keep], pc, *ret);
}

static struct recent *recent_of(struct build *b, uint64_t pc)
{
	return &b->recent[(pc * 0x9e3779b97f4a7c15ull) >> (64 - RECENT_BITS)];
}

/* The same by way of the addresses that were used last: most frames of most stacks. */
static int recent_location(struct build *b, struct prowl_image *im, uint64_t pc, bool keep,
			   uint32_t *ret)
{
	struct recent *e = recent_of(b, pc);
	int r = 0;

	if (keep)
		return user_location(b, im, pc, keep, ret);
	if (e->pc != pc || e->image != im->id) {
		r = user_location(b, im, pc, false, &e->location);
		e->pc = r < 0 ? 0 : pc;
		e->image = im->id;
	}
	*ret = e->location;
	return r;
}

/* --- the kernel ------------------------------------------------------------------ */

enum part { UP_TO_LEAF, WHOLE };

/*
 * Whose stack it is, and that part of it: what is of the kernel and the user's leaf, or all. NULL
 * for words that make no sense.
 */
static struct prowl_image *read_key(struct build *b, const uint64_t *words, size_t n,
				    enum part part, struct prowl_stackkey *key)
{
	struct prowl_image *im;
	size_t want;

	if (!prowl_stackkey_head(words, n, key) || key->image >= b->s->procs.nimages)
		return NULL;
	im = b->s->procs.images[key->image];
	want = part == WHOLE ? SIZE_MAX : key->nkernel + 1;
	return prowl_stackkey_unpack(words, n, im->base, want, key) ? im : NULL;
}

/* Adds it to the list, and to the map as one without a location, if it is not there. */
static int collect_pc(struct pcs *list, struct prowl_idmap *seen, uint64_t pc)
{
	uint32_t unused;
	int r;

	if (pc == 0 || prowl_idmap_get(seen, pc, &unused))
		return 0;
	r = prowl_array_reserve(&list->pc, &list->cap, list->n + 1, sizeof *list->pc);
	if (r < 0)
		return r;
	list->pc[list->n++] = pc;
	return prowl_idmap_put(seen, pc, PPROF_NONE);
}

static int collect(void *arg, const uint64_t *words, size_t n, uint64_t count, uint64_t weight)
{
	struct build *b = arg;
	struct prowl_stackkey key;
	struct prowl_image *im = read_key(b, words, n, UP_TO_LEAF, &key);
	int r = 0;

	for (size_t i = 0; im && r == 0 && i < key.nkernel; i++)
		r = collect_pc(&b->kernel_pcs, &b->kernel_loc, key.pcs[i]);
	if (im && r == 0 && key.nuser) {
		struct image_cache *ic = &b->images[im->id];
		uint64_t leaf = key.pcs[key.nkernel];

		if (is_go(im, leaf))
			r = collect_pc(&ic->leaves, &ic->loc[0], leaf);
		else
			b->has_native = true;
	}
	return r < 0;
}

/*
 * Where Go was interrupted, in the order of addresses: these are most of the different ones of a
 * window, and so the tables are read from their beginnings to their ends.
 */
static int name_leaves(struct build *b, struct prowl_image *im)
{
	struct pcs *l = &b->images[im->id].leaves;
	uint32_t unused;
	int r = prowl_sort_u64(l->pc, l->n);

	for (size_t i = 0; r == 0 && i < l->n; i++)
		r = user_location(b, im, l->pc[i], false, &unused);
	free(l->pc);
	*l = (struct pcs){0};
	return r;
}

/* Names all kernel addresses of the window at once. */
static int name_kernel(struct build *b)
{
	struct pprof_mapping pm = {.has_functions = true};
	struct pcs *k = &b->kernel_pcs;
	int r;

	if (k->n == 0)
		return 0;
	r = prowl_sort_u64(k->pc, k->n);
	if (r < 0)
		return r;
	r = prowl_knames_learn(&b->s->knames, k->pc, k->n);
	b->s->result.kernel_sampled = true;
	b->s->result.kernel_names = r == 0;
	if (b->s->knames.cache == PROWL_KSYMS_UNWRITABLE)
		b->s->result.ksyms_cache_error = b->s->knames.cache_error;
	pm.start = k->pc[0] & ~0xfffull;
	pm.limit = (k->pc[k->n - 1] | 0xfffull) + 1;
	r = pprof_string(b->p, "[kernel.kallsyms]", &pm.filename);
	return r < 0 ? r : pprof_mapping(b->p, &pm, &b->kernel_map);
}

static int kernel_location_new(struct build *b, uint64_t pc, uint32_t *ret)
{
	const struct prowl_kname *k;
	char file[80] = "";
	int r;

	if (prowl_idmap_get(&b->kernel_loc, pc, ret) && *ret != PPROF_NONE)
		return 0;
	k = prowl_knames_of(&b->s->knames, pc);
	if (k && k->module)
		snprintf(file, sizeof file, "[%s]", k->module);
	r = named_location(b, b->kernel_map, pc, k ? k->name : "[kernel]", file, ret);
	return r < 0 ? r : prowl_idmap_put(&b->kernel_loc, pc, *ret);
}

static int kernel_location(struct build *b, uint64_t pc, uint32_t *ret)
{
	struct recent *e = recent_of(b, pc);
	int r = 0;

	if (e->pc != pc || e->image != KERNEL) {
		r = kernel_location_new(b, pc, &e->location);
		e->pc = r < 0 ? 0 : pc;
		e->image = KERNEL;
	}
	*ret = e->location;
	return r;
}

/* --- native code ----------------------------------------------------------------- */

static int name_native_of(void *arg, const uint64_t *words, size_t n, uint64_t count,
			  uint64_t weight)
{
	struct build *b = arg;
	struct prowl_stackkey key;
	struct prowl_image *im = read_key(b, words, n, WHOLE, &key);
	uint32_t loc;

	for (size_t i = 0; im && i < key.nuser; i++) {
		uint64_t pc = key.pcs[key.nkernel + i];

		if (pc == 0 || is_go(im, pc))
			continue;
		b->error = user_location(b, im, pc, false, &loc);
		if (b->error < 0)
			return 1;
	}
	return 0;
}

/*
 * All of them in one go, at the latest when the first is met: what their debug sections were
 * unpacked into is freed before the samples take their memory.
 */
static int name_native(struct build *b)
{
	b->native_named = true;
	if (!b->s->stopped || b->given_back)
		return 0; /* few are new (see prowl_session_cut), or too late: one by one */
	uw_binaries_trim(&b->s->procs.files);
	if (prowl_stackhash_each(&b->s->hash, name_native_of, b) != 0)
		return b->error ? b->error : -ENOMEM;
	uw_binaries_forget(&b->s->procs.files);
	return 0;
}

/* --- samples --------------------------------------------------------------------- */

static int thread_labels(struct build *b, uint32_t number, struct pprof_label *labels)
{
	const struct prowl_thread *t = prowl_threads_get(&b->s->threads, number);
	uint32_t key, unit, str;
	int k = 0;

	if (!t || pprof_string(b->p, "thread_id", &key) < 0 || pprof_string(b->p, "id", &unit) < 0)
		return 0;
	labels[k++] = (struct pprof_label){.key = key, .num = t->tid, .unit = unit};
	if (t->name[0] && pprof_string(b->p, "thread_name", &key) == 0 &&
	    pprof_string(b->p, t->name, &str) == 0)
		labels[k++] = (struct pprof_label){.key = key, .str = str};
	return k;
}

static int process_labels(struct build *b, const struct prowl_proc *proc,
			  struct pprof_label *labels)
{
	uint32_t key, unit, str;
	int k = 0;

	if (b->s->procs.n < 2)
		return 0;
	if (pprof_string(b->p, "pid", &key) == 0 && pprof_string(b->p, "id", &unit) == 0)
		labels[k++] = (struct pprof_label){.key = key, .num = proc->pid, .unit = unit};
	if (proc->comm[0] && pprof_string(b->p, "comm", &key) == 0 &&
	    pprof_string(b->p, proc->comm, &str) == 0)
		labels[k++] = (struct pprof_label){.key = key, .str = str};
	return k;
}

static int go_labels(struct build *b, uint32_t set, struct pprof_label *labels)
{
	struct prowl_label go[UW_LABELS_MAX];
	size_t n = b->s->labels ? prowl_labels_get(b->s->labels, set, go, UW_LABELS_MAX) : 0;
	int k = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t key, str;

		if (pprof_string(b->p, go[i].key, &key) == 0 &&
		    pprof_string(b->p, go[i].value, &str) == 0)
			labels[k++] = (struct pprof_label){.key = key, .str = str};
	}
	return k;
}

static int user_part(struct build *b, struct prowl_image *im, const uint64_t *pcs, size_t n,
		     uint32_t *locs, size_t k, bool *unknown)
{
	uint64_t fixed[PROWL_MAX_USER + 64];
	int r, facts = 0;

	n = uw_repair(b->repairer, &im->space, pcs, n, fixed, sizeof fixed / sizeof *fixed);
	for (size_t i = 0; i < n && k < MAX_LOCATIONS - 2; i++) {
		uint32_t loc;

		if (fixed[i] == 0) {
			locs[k++] = mark(b, MARK_UNKNOWN);
			*unknown = true;
			continue;
		}
		r = recent_location(b, im, fixed[i], facts & FACT_KEEPS_WRAPPER, &loc);
		if (r < 0)
			return r;
		if (loc == NO_LOCATION)
			continue;
		locs[k++] = loc;
		facts = b->facts[loc];
		*unknown |= facts & FACT_UNKNOWN;
	}
	return (int)k;
}

struct counted { /* a stack of the hash, named */
	const uint32_t *locations;
	size_t nlocations;
	struct pprof_label *labels; /* with room for one more */
	size_t nlabels;
	uint64_t count;
	double ns; /* what all of them stand for */
};

/* How much the first n of them stand for: so the parts add up to the whole. */
static int64_t first_ns(const struct counted *c, uint64_t n)
{
	return rounded(c->ns * (double)n / (double)c->count);
}

/* Those whose time is known, one by one; returns their number. */
static int64_t add_timed(struct build *b, uint64_t hash, const struct counted *c)
{
	struct prowl_session *s = b->s;
	const struct prowl_moment *m;
	size_t n = prowl_timeline_of(&s->timeline, hash, &m);
	struct pprof_label *time = &c->labels[c->nlabels];
	int r;

	if (n > c->count)
		n = c->count;
	*time = (struct pprof_label){0};
	r = pprof_string(b->p, PPROF_LABEL_TIME, &time->key);
	if (r == 0)
		r = pprof_string(b->p, "nanoseconds", &time->unit);
	for (size_t i = 0; r == 0 && i < n; i++) {
		int64_t values[] = {1, first_ns(c, i + 1) - first_ns(c, i)};

		time->num = s->wall_start + (int64_t)(m[i].time - s->from);
		r = pprof_sample_append(b->p, c->locations, c->nlocations, values, c->labels,
					c->nlabels + 1);
	}
	s->result.timed += n;
	return r < 0 ? r : (int64_t)n;
}

static int add_counted(struct build *b, const uint64_t *words, size_t n, const struct counted *c)
{
	int64_t timed = 0, values[2];

	if (b->s->timeline.n)
		timed = add_timed(b, prowl_stackhash_hash(words, n), c);
	if (timed < 0 || (uint64_t)timed == c->count)
		return timed < 0 ? (int)timed : 0;
	values[0] = (int64_t)c->count - timed;
	values[1] = first_ns(c, c->count) - first_ns(c, (uint64_t)timed);
	/* Equal ones (keys that tell more than a stack does) become one when it is written. */
	return pprof_sample_append(b->p, c->locations, c->nlocations, values, c->labels,
				   c->nlabels);
}

static int add_stack(void *arg, const uint64_t *words, size_t n, uint64_t count, uint64_t weight)
{
	struct build *b = arg;
	struct prowl_stackkey key;
	struct prowl_image *im = read_key(b, words, n, WHOLE, &key);
	uint32_t locs[MAX_LOCATIONS];
	struct pprof_label labels[5 + UW_LABELS_MAX];
	enum uw_end end;
	bool unknown = false;
	int k = 0, nl;

	if (!im)
		return 0;
	end = (enum uw_end)key.end;
	for (size_t i = 0; i < key.nkernel; i++) {
		b->error = kernel_location(b, key.pcs[i], &locs[k]);
		if (b->error < 0)
			return 1;
		k++;
		if (!b->s->result.kernel_names && i == 0)
			break; /* without names one [kernel] says as much as twenty */
	}
	k = user_part(b, im, key.pcs + key.nkernel, key.nuser, locs, (size_t)k, &unknown);
	if (k < 0) {
		b->error = k;
		return 1;
	}
	if (end == UW_END_TRUNCATED || end == UW_END_NO_MEM)
		locs[k++] = mark(b, MARK_TRUNCATED);
	else if (end == UW_END_UNKNOWN || end == UW_END_NO_REGS)
		locs[k++] = mark(b, MARK_UNKNOWN);
	/* Only wrappers, which aren't shown: it is somebody's time all the same. */
	if (k == 0) {
		locs[k++] = mark(b, MARK_UNKNOWN);
		unknown = true;
	}
	if (unknown)
		b->s->result.unknown_frames += count;
	nl = process_labels(b, im->proc, labels);
	if (b->s->o.threads)
		nl += thread_labels(b, key.thread, labels + nl);
	nl += go_labels(b, key.labels, labels + nl);
	b->error = add_counted(b, words, n,
			       &(struct counted){.locations = locs,
						 .nlocations = (size_t)k,
						 .labels = labels,
						 .nlabels = (size_t)nl,
						 .count = count,
						 .ns = (double)weight * b->scale[im->id]});
	return b->error < 0;
}

/* --- what the kernel charged ----------------------------------------------------- */

/*
 * Samples of the targets that the kernel dropped. With whole CPUs those of a full ring are of
 * unknown processes: they are in a comment only, and the scale makes up for them.
 */
static uint64_t lost_of_targets(const struct prowl_session *s)
{
	return s->result.whole_cpus ? 0 : s->result.lost - s->begun.lost;
}

/* Of all targets, in this window. */
static uint64_t window_samples(const struct prowl_session *s)
{
	return s->result.samples - s->begun.samples;
}

static int add_unsampled(struct build *b, uint64_t ns, struct pprof_label *labels, size_t nlabels)
{
	int64_t values[] = {0, (int64_t)ns};

	if (ns == 0)
		return 0;
	b->s->result.unsampled_ns += ns;
	return pprof_sample_append(b->p, &(uint32_t){mark(b, MARK_UNSAMPLED)}, 1, values, labels,
				   nlabels);
}

/* Sets the scale of each image, and tells the time that no sample stands for. */
static int weigh(struct build *b)
{
	struct prowl_session *s = b->s;
	struct prowl_share pool = prowl_charge_pool(s);
	int r = add_unsampled(b, pool.unsampled, NULL, 0);

	for (size_t i = 0; r == 0 && i < s->procs.n; i++) {
		struct pprof_label labels[2];
		int n;

		if (prowl_charge_pooled(s->procs.procs[i]))
			continue;
		n = process_labels(b, s->procs.procs[i], labels);
		r = add_unsampled(b, prowl_charge_share(s, s->procs.procs[i]).unsampled, labels,
				  (size_t)n);
	}
	for (size_t i = 0; i < s->procs.nimages; i++) {
		const struct prowl_proc *p = s->procs.images[i]->proc;

		b->scale[i] = prowl_charge_pooled(p) ? pool.scale : prowl_charge_share(s, p).scale;
	}
	return r;
}

/* Kernel time that could not be sampled is one frame of its own, estimated from tick accounting. */
static int add_unsampled_kernel(struct build *b)
{
	const struct prowl_session *s = b->s;
	uint64_t ns = s->result.kernel_unsampled_ns - s->begun.kernel_unsampled_ns;
	int64_t values[2];
	uint32_t loc;
	int r;

	/* An estimate, which may have become smaller since. */
	if (s->result.kernel || s->result.kernel_unsampled_ns <= s->begun.kernel_unsampled_ns)
		return 0;
	r = named_location(b, PPROF_NONE, 0, "[kernel, not sampled]", "", &loc);
	if (r < 0)
		return r;
	values[0] = rounded((double)ns / (double)s->result.period_ns);
	values[1] = (int64_t)ns;
	return pprof_sample_append(b->p, &loc, 1, values, NULL, 0);
}

/* What the hash had no room for is among the samples that were counted. */
static int add_lost(struct build *b)
{
	const struct prowl_session *s = b->s;
	uint64_t lost = lost_of_targets(s), counted = window_samples(s);
	uint64_t sampled = s->result.sampled_ns - s->begun.sampled_ns;
	double weight = counted ? (double)sampled / (double)counted : (double)s->result.period_ns;
	int64_t values[2] = {(int64_t)(lost + b->dropped)};
	double ns = (double)lost * weight + (double)b->dropped_weight, scaled = 0;

	if (values[0] == 0)
		return 0;
	for (size_t i = 0; i < s->procs.nimages; i++) {
		const struct prowl_proc *p = s->procs.images[i]->proc;

		if (p->image == s->procs.images[i])
			scaled += b->scale[i] * (double)(p->sampled - p->begun.sampled);
	}
	values[1] = rounded(sampled ? ns * scaled / (double)sampled : ns);
	return pprof_sample_append(b->p, &(uint32_t){mark(b, MARK_LOST)}, 1, values, NULL, 0);
}

/* --- comments -------------------------------------------------------------------- */

/* Of the Go program, or else of the program that was started. */
static void note_build(struct pprof_profile *p, struct uw_space *space)
{
	const struct uw_go *go = uw_space_go(space);
	struct uw_binary *bin = go ? space->go_bin : space->exe;

	prowl_notes_build(p, go, bin ? uw_binary_elf(bin) : NULL);
}

void prowl_session_note(struct prowl_session *s, struct pprof_profile *p)
{
	const struct prowl_result *r = &s->result;
	const struct prowl_perf_facts *f = prowl_perf_facts(s->perf);

	prowl_note(p, "prowl " PROWL_VERSION ": cpu profile by perf cpu-clock, %u Hz, %s, %s",
		   s->o.rate, f->whole_cpus ? "whole CPUs" : "per thread",
		   r->kernel ? "kernel and user" : "user only");
	for (size_t i = 0; i < prowl_session_targets(s); i++) {
		struct prowl_target t;

		prowl_session_target(s, i, &t);
		prowl_note(p, "target: %s, pid %d, %s%s%s%s", t.comm, (int)t.pid,
			   t.go_version[0] ? t.go_version : "not Go",
			   t.stripped ? ", stripped" : "", t.pie ? ", PIE" : "",
			   t.cgo ? ", cgo" : "");
		if (t.go_guessed)
			prowl_note(p, "warning: " PROWL_GO_GUESSED, t.go_version);
		if (t.go_error)
			prowl_note(p, "warning: the Go tables of %s could not be read", t.comm);
		note_build(p, &s->procs.procs[i]->image->space);
	}
	prowl_notes_machine(p);
	prowl_note(p, "samples: %llu; lost: %llu; dropped: %llu; damaged: %llu; throttled: %llu",
		   (unsigned long long)r->samples, (unsigned long long)r->lost,
		   (unsigned long long)r->hash_dropped, (unsigned long long)r->damaged,
		   (unsigned long long)r->throttled);
	prowl_note(
		p,
		"stacks: %llu; complete: %llu; truncated: %llu; unknown root: %llu; with unknown "
		"frames: %llu",
		(unsigned long long)r->user_stacks,
		(unsigned long long)(r->ends[UW_END_ROOT] + r->ends[UW_END_SWITCH]),
		(unsigned long long)(r->ends[UW_END_TRUNCATED] + r->ends[UW_END_NO_MEM]),
		(unsigned long long)r->ends[UW_END_UNKNOWN], (unsigned long long)r->unknown_frames);
	prowl_note(
		p,
		"walks: leaf's caller put back: %llu; through C frames: %llu; completed from what was "
		"copied at the sample, exact: %llu; from live memory, verified: %llu of %llu; given up: "
		"%llu; cut where the chain left the stack: %llu; places in C without unwind tables where frames "
		"may be missing: %llu",
		(unsigned long long)r->walks.repaired, (unsigned long long)r->walks.cfi,
		(unsigned long long)r->walks.exact, (unsigned long long)r->walks.live,
		(unsigned long long)r->walks.live_wanted, (unsigned long long)r->walks.given_up,
		(unsigned long long)r->walks.derailed, (unsigned long long)r->walks.gaps);
	if (r->no_bpf)
		prowl_note(p, "other stacks: read after the sample, no BPF (%s)", r->no_bpf);
	else
		prowl_note(
			p,
			"other stacks: copied at the sample by BPF, for the %llu samples that need "
			"it; lost: %llu; without their sample: %llu",
			(unsigned long long)r->copied, (unsigned long long)r->copies_lost,
			(unsigned long long)r->copies_stray);
	prowl_note(
		p,
		"cpu charged by the kernel: %.6f s; sampled: %.6f s; weights are scaled to the charge",
		(double)r->cpu_ns / 1e9, (double)r->sampled_ns / 1e9);
	if (s->labels)
		prowl_note(p,
			   "labels: %llu samples labelled, %llu without labels, %llu too old, %llu "
			   "unknown; %llu copied at the sample",
			   (unsigned long long)r->labelled, (unsigned long long)r->unlabelled,
			   (unsigned long long)r->labels_too_old,
			   (unsigned long long)r->labels_unknown,
			   (unsigned long long)r->labels_exact);
	if (r->labels_cut)
		prowl_note(p,
			   "warning: %llu samples have labels that were cut: " PROWL_LABELS_LIMITS,
			   (unsigned long long)r->labels_cut, UW_LABEL_BYTES, UW_LABELS_MAX);
	if (s->timeline.moments)
		prowl_note(p, "timeline: %llu samples with their time, %llu without",
			   (unsigned long long)r->timed, (unsigned long long)r->untimed);
	if (r->unsampled_ns)
		prowl_note(p,
			   "warning: no sample stands for %.6f s of it, shown as [not sampled]: "
			   "threads or processes too short-lived for the rate",
			   (double)r->unsampled_ns / 1e9);
	if (!r->kernel)
		prowl_note(
			p,
			"warning: no permission to sample the kernel; its %.6f s are estimated from tick "
			"accounting and shown as [kernel, not sampled]",
			(double)r->kernel_unsampled_ns / 1e9);
	if (r->left_out)
		prowl_note(p,
			   "warning: symbols or debug information of %u files were left out: too "
			   "large, or too slow to read, for the file of a target",
			   r->left_out);
	if (r->hurried)
		prowl_note(p, "warning: a signal ended the naming: some native addresses are "
			      "[unknown], others have no lines");
	if (r->kernel && r->kernel_sampled && !r->kernel_names)
		prowl_note(
			p,
			"warning: kernel symbols are hidden (kernel.kptr_restrict or no CAP_SYSLOG)");
}

/* --- all of it ------------------------------------------------------------------- */

static int first_mapping(struct build *b)
{
	struct prowl_image *im = b->s->procs.procs[0]->image;

	for (size_t i = 0; i < im->space.n; i++) {
		uint32_t unused;

		if (im->space.maps[i].bin && im->space.maps[i].bin == im->space.exe)
			return prowl_name_mapping(b->p, &b->images[im->id].map, &im->space.maps[i],
						  &unused);
	}
	return 0;
}

/* The profile takes their place. */
static void give_back(void *arg, void *at, size_t len)
{
	struct build *b = arg;
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = ((uintptr_t)at + page - 1) & ~(page - 1);
	uintptr_t to = ((uintptr_t)at + len) & ~(page - 1);

	b->given_back = true;
	if (from < to)
		madvise((void *)from, to - from, MADV_DONTNEED);
}

/* What went wrong where the hash was gone through with one of the functions above. */
static int hash_error(const struct build *b, int r)
{
	if (r == 0)
		return 0;
	if (r < 0)
		return -EIO;
	return b->error ? b->error : -ENOMEM;
}

static int fill(struct build *b)
{
	struct prowl_session *s = b->s;
	struct prowl_stackhash_stats st;
	int r = pprof_sample_type(b->p, "samples", "count");

	if (r == 0)
		r = pprof_sample_type(b->p, "cpu", "nanoseconds");
	if (r == 0)
		r = pprof_period(b->p, "cpu", "nanoseconds", (int64_t)s->result.period_ns);
	b->p->time_nanos = s->wall_start + (int64_t)s->begun.duration_ns;
	b->p->duration_nanos = (int64_t)(s->result.duration_ns - s->begun.duration_ns);
	if (r == 0)
		r = first_mapping(b);
	if (r == 0)
		r = weigh(b);
	if (r == 0)
		r = hash_error(b, prowl_stackhash_each(&s->hash, collect, b));
	if (r == 0)
		r = name_kernel(b);
	if (r == 0 && (b->has_native || s->result.walks.cfi > 0 || s->result.walks.live > 0))
		r = name_native(b);
	for (size_t i = 0; r == 0 && i < s->procs.nimages; i++)
		r = name_leaves(b, s->procs.images[i]);
	prowl_timeline_sort(&s->timeline);
	s->result.untimed = s->timeline.beyond;
	if (prowl_stackhash_stats(&s->hash, &st) == 0) {
		b->dropped = st.dropped_count;
		b->dropped_weight = st.dropped_weight;
	}
	s->result.hash_dropped += b->dropped;
	if (r == 0)
		r = hash_error(b, prowl_stackhash_take(&s->hash, add_stack, b, give_back));
	if (r == 0)
		r = add_unsampled_kernel(b);
	if (r == 0)
		r = add_lost(b);
	return r;
}

static void build_free(struct build *b)
{
	for (size_t i = 0; b->images && i < b->s->procs.nimages; i++) {
		prowl_idmap_fini(&b->images[i].loc[0]);
		prowl_idmap_fini(&b->images[i].loc[1]);
		prowl_idmap_fini(&b->images[i].map);
		free(b->images[i].leaves.pc);
	}
	prowl_idmap_fini(&b->kernel_loc);
	uw_repairer_free(b->repairer);
	free(b->images);
	free(b->scale);
	free(b->kernel_pcs.pc);
	free(b->facts);
	free(b);
}

int prowl_session_name(struct prowl_session *s, struct pprof_profile **ret)
{
	struct build *b = calloc(1, sizeof *b);
	int r;

	if (!b)
		return -ENOMEM;
	b->s = s;
	b->kernel_map = PPROF_NONE;
	for (int i = 0; i < MARKS; i++)
		b->marks[i] = PPROF_NONE;
	b->images = calloc(s->procs.nimages, sizeof *b->images);
	b->scale = calloc(s->procs.nimages, sizeof *b->scale);
	r = b->images && b->scale ? uw_repairer_new(&b->repairer) : -ENOMEM;
	if (r == 0)
		r = pprof_profile_new(&b->p);
	if (r == 0 && prowl_stackhash_flip(&s->hash, 1000, NULL, NULL) < 0)
		r = -EBUSY;
	if (r == 0)
		r = fill(b);
	s->result.hurried = s->procs.files.care.hurry;
	s->result.left_out = s->procs.files.care.left_out;
	if (r < 0)
		pprof_profile_free(b->p);
	else
		*ret = b->p;
	build_free(b);
	return r;
}
