/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A window of the stack hash → a profile. Each unique address is named once; what was lost,
 * truncated or unknown becomes frames and comments.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gostored.h"
#include "idmap.h"
#include "knames.h"
#include "naming.h"
#include "notes.h"
#include "pprof.h"
#include "session.h"
#include "symbolize.h"

enum {
	MAX_LOCATIONS = PROWL_MAX_KERNEL + PROWL_MAX_USER + 64,
	KEEP_WRAPPERS = 1,
};

struct image_cache {               /* of one image */
	struct prowl_idmap loc[2]; /* pc → location; [KEEP_WRAPPERS]: with wrappers kept */
	struct prowl_idmap map;    /* start of mapping → mapping of the profile */
};

struct build {
	struct prowl_session *s;
	struct pprof_profile *p;
	struct image_cache *images;
	struct prowl_idmap kernel_loc;
	struct uw_repairer *repairer;
	uint64_t named;    /* addresses */
	bool native_named; /* those of native code */
	uint32_t kernel_map;
	uint8_t *facts; /* per location: enum fact, 0 until looked at */
	size_t cap_facts;
	uint32_t marks[3]; /* locations of [unknown], [truncated], [lost]; PPROF_NONE until used */
	double *scale;     /* per image: charged time / sampled time */
	uint64_t *kernel_pcs;
	size_t nkernel_pcs, cap_kernel_pcs;
	int error;
};

enum fact { FACT_LOOKED = 1, FACT_UNKNOWN = 2, FACT_KEEPS_WRAPPER = 4 };
enum { MARK_UNKNOWN, MARK_TRUNCATED, MARK_LOST };
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
	static const char *const names[] = {"[unknown]", "[truncated]", "[lost]"};
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
	return pc >= im->space.go_lo && pc < im->space.go_hi;
}

/* In a session of many windows, native addresses are looked up once. */
static size_t symbols_at(struct build *b, struct prowl_image *im, uint64_t pc,
			 struct uw_symbol *syms, const struct uw_mapping **ret_map)
{
	struct prowl_session *s = b->s;
	bool cached = s->windows && !is_go(im, pc);
	enum uw_kind kind;
	size_t n;

	if (cached && prowl_symcache_get(&s->symcache, im->id, pc, syms, &n)) {
		*ret_map = uw_space_at(&im->space, pc);
		return n;
	}
	prowl_trim(&s->trim, &s->procs.files, s->result.walks.lookups + ++b->named);
	n = uw_symbolize(&im->space, pc, syms, UW_MAX_INLINE, &kind, ret_map);
	if (cached && *ret_map) /* what is mapped there later has names */
		prowl_symcache_put(&s->symcache, im->id, pc, syms, n);
	return n;
}

static int user_location(struct build *b, struct prowl_image *im, uint64_t pc, bool keep,
			 uint32_t *ret)
{
	struct image_cache *ic = &b->images[im->id];
	struct uw_symbol syms[UW_MAX_INLINE];
	struct pprof_line lines[UW_MAX_INLINE];
	const struct uw_mapping *m;
	uint32_t map = PPROF_NONE;
	size_t n, k = 0;
	int r = 0;

	if (prowl_idmap_get(&ic->loc[keep], pc, ret))
		return 0;
	if (!b->native_named && !is_go(im, pc)) {
		r = name_native(b);
		if (r < 0 || prowl_idmap_get(&ic->loc[keep], pc, ret))
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
		r = prowl_name_function(b->p, f, &lines[k].function);
		if (map != PPROF_NONE && !f->line)
			b->p->mappings[map].has_line_numbers = b->p->mappings[map].has_filenames =
				false;
		k++;
	}
	if (r < 0)
		return r;
	if (n == 0) {
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
	return r < 0 ? r : prowl_idmap_put(&ic->loc[keep], pc, *ret);
}

/* --- the kernel ------------------------------------------------------------------ */

static int cmp_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Whose stack it is, and the stack; NULL for words that make no sense. */
static struct prowl_image *read_key(struct build *b, const uint64_t *words, size_t n,
				    struct prowl_stackkey *key)
{
	struct prowl_image *im;

	if (!prowl_stackkey_head(words, n, key) || key->image >= b->s->procs.nimages)
		return NULL;
	im = b->s->procs.images[key->image];
	return prowl_stackkey_unpack(words, n, im->base, key) ? im : NULL;
}

static int collect_kernel(void *arg, const uint64_t *words, size_t n, uint64_t count,
			  uint64_t weight)
{
	struct build *b = arg;
	struct prowl_stackkey key;

	if (!prowl_stackkey_head(words, n, &key) || key.nkernel == 0 ||
	    !read_key(b, words, n, &key))
		return 0;
	for (size_t i = 0; i < key.nkernel; i++) {
		uint64_t pc = key.pcs[i];
		uint32_t seen;

		if (pc == 0 || prowl_idmap_get(&b->kernel_loc, pc, &seen))
			continue;
		if (b->nkernel_pcs == b->cap_kernel_pcs) {
			size_t cap = b->cap_kernel_pcs ? b->cap_kernel_pcs * 2 : 256;
			uint64_t *p = realloc(b->kernel_pcs, cap * sizeof *p);

			if (!p)
				return 1;
			b->kernel_pcs = p;
			b->cap_kernel_pcs = cap;
		}
		b->kernel_pcs[b->nkernel_pcs++] = pc;
		if (prowl_idmap_put(&b->kernel_loc, pc, PPROF_NONE) < 0)
			return 1;
	}
	return 0;
}

/* Names all kernel addresses of the window at once. */
static int name_kernel(struct build *b)
{
	struct pprof_mapping pm = {.has_functions = true};
	int r;

	r = prowl_stackhash_each(&b->s->hash, collect_kernel, b);
	if (r != 0)
		return -ENOMEM;
	if (b->nkernel_pcs == 0)
		return 0;
	qsort(b->kernel_pcs, b->nkernel_pcs, sizeof *b->kernel_pcs, cmp_u64);
	r = prowl_knames_learn(&b->s->knames, b->kernel_pcs, b->nkernel_pcs);
	b->s->result.kernel_sampled = true;
	b->s->result.kernel_names = r == 0;
	if (b->s->knames.cache == PROWL_KSYMS_UNWRITABLE)
		b->s->result.ksyms_cache_error = b->s->knames.cache_error;
	pm.start = b->kernel_pcs[0] & ~0xfffull;
	pm.limit = (b->kernel_pcs[b->nkernel_pcs - 1] | 0xfffull) + 1;
	r = pprof_string(b->p, "[kernel.kallsyms]", &pm.filename);
	return r < 0 ? r : pprof_mapping(b->p, &pm, &b->kernel_map);
}

static int kernel_location(struct build *b, uint64_t pc, uint32_t *ret)
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

/* --- native code ----------------------------------------------------------------- */

static int name_native_of(void *arg, const uint64_t *words, size_t n, uint64_t count,
			  uint64_t weight)
{
	struct build *b = arg;
	struct prowl_stackkey key;
	struct prowl_image *im = read_key(b, words, n, &key);
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
	if (b->s->windows)
		return 0; /* few are new: see prowl_session_cut */
	uw_binaries_trim(&b->s->procs.files);
	if (prowl_stackhash_each(&b->s->hash, name_native_of, b) != 0)
		return b->error ? b->error : -ENOMEM;
	uw_binaries_forget(&b->s->procs.files);
	return 0;
}

/* --- samples --------------------------------------------------------------------- */

static int thread_labels(struct build *b, pid_t pid, uint32_t tid, struct pprof_label *labels)
{
	char path[64], name[64];
	uint32_t key, unit, str;
	int k = 0;

	if (pprof_string(b->p, "thread_id", &key) < 0 || pprof_string(b->p, "id", &unit) < 0)
		return 0;
	labels[k++] = (struct pprof_label){.key = key, .num = tid, .unit = unit};
	snprintf(path, sizeof path, "/proc/%d/task/%u/comm", (int)pid, tid);
	prowl_read_comm(path, name, sizeof name);
	if (name[0] && pprof_string(b->p, "thread_name", &key) == 0 &&
	    pprof_string(b->p, name, &str) == 0)
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

/*
 * What a walk over a stack asks of each of its locations: has it no name, and is a wrapper that
 * calls it shown. Told once; the names lie far apart.
 */
static int facts_of(struct build *b, uint32_t loc)
{
	const struct pprof_profile *p = b->p;
	const struct pprof_location *l = &p->locations[loc];
	const struct pprof_line *line = &p->lines[l->first_line];
	int facts = FACT_LOOKED;

	if (loc >= b->cap_facts) {
		size_t cap = (p->nlocations + 1) * 3 / 2;
		uint8_t *bigger = realloc(b->facts, cap);

		if (!bigger)
			return -ENOMEM;
		memset(bigger + b->cap_facts, 0, cap - b->cap_facts);
		b->facts = bigger;
		b->cap_facts = cap;
	}
	if (b->facts[loc])
		return b->facts[loc];
	if (l->nlines == 0 || !strcmp(p->strings[p->functions[line->function].name], "[unknown]"))
		facts |= FACT_UNKNOWN;
	if (l->nlines &&
	    uw_go_keeps_wrapper(p->strings[p->functions[line[l->nlines - 1].function].name]))
		facts |= FACT_KEEPS_WRAPPER;
	b->facts[loc] = (uint8_t)facts;
	return facts;
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
		r = user_location(b, im, fixed[i], facts & FACT_KEEPS_WRAPPER, &loc);
		if (r < 0)
			return r;
		if (loc == NO_LOCATION)
			continue;
		locs[k++] = loc;
		facts = facts_of(b, loc);
		if (facts < 0)
			return facts;
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
	return pprof_sample_add(b->p, c->locations, c->nlocations, values, c->labels, c->nlabels);
}

static int add_stack(void *arg, const uint64_t *words, size_t n, uint64_t count, uint64_t weight)
{
	struct build *b = arg;
	struct prowl_stackkey key;
	struct prowl_image *im = read_key(b, words, n, &key);
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
		nl += thread_labels(b, im->proc->pid, key.thread, labels + nl);
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

static uint64_t user_share(const struct prowl_proc *p, uint64_t cpu)
{
	uint64_t u = p->utime_last - p->utime_first - p->begun.utime;
	uint64_t k = p->stime_last - p->stime_first - p->begun.stime;

	return u + k ? (uint64_t)((double)cpu * (double)u / (double)(u + k)) : cpu;
}

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

/*
 * The samples of a process, with its part of the lost ones, stand for the CPU time that the kernel
 * charged to it: threads too short-lived for a first period, timers that came late, and the noise
 * of sampling itself then change no total.
 */
static double scale_of(const struct prowl_session *s, const struct prowl_proc *p)
{
	bool clocked = p->samples_at_clock > p->begun.samples;
	double n = (double)((clocked ? p->samples_at_clock : p->samples) - p->begun.samples);
	uint64_t cpu = p->cpu_last - p->cpu_first - p->begun.cpu;

	if (!s->result.kernel)
		cpu = user_share(p, cpu);
	if (n < 1 || cpu == 0)
		return 1.0;
	n *= 1.0 + (double)lost_of_targets(s) / (double)window_samples(s);
	return (double)cpu / (n * (double)s->result.period_ns);
}

/* Kernel time that could not be sampled is one frame of its own, estimated from tick accounting. */
static int add_unsampled_kernel(struct build *b)
{
	const struct prowl_session *s = b->s;
	uint64_t ns = s->result.kernel_unsampled_ns - s->begun.kernel_unsampled_ns;
	int64_t values[2];
	uint32_t loc;
	int r;

	if (s->result.kernel || ns == 0)
		return 0;
	r = named_location(b, PPROF_NONE, 0, "[kernel, not sampled]", "", &loc);
	if (r < 0)
		return r;
	values[0] = rounded((double)ns / (double)s->result.period_ns);
	values[1] = (int64_t)ns;
	return values[0] ? pprof_sample_add(b->p, &loc, 1, values, NULL, 0) : 0;
}

static int add_lost(struct build *b)
{
	struct prowl_stackhash_stats st;
	const struct prowl_procs *t = &b->s->procs;
	double weight = 0;
	int64_t values[2];
	uint64_t lost = lost_of_targets(b->s);
	uint32_t loc;

	if (prowl_stackhash_stats(&b->s->hash, &st) == 0) {
		b->s->result.hash_dropped += st.dropped_count;
		lost += st.dropped_count;
	}
	if (lost == 0)
		return 0;
	for (size_t i = 0; i < t->n; i++) {
		const struct prowl_proc *p = t->procs[i];

		weight += scale_of(b->s, p) * (double)(p->samples - p->begun.samples);
	}
	weight = window_samples(b->s) ? weight / (double)window_samples(b->s) : 1.0;
	loc = mark(b, MARK_LOST);
	values[0] = (int64_t)lost;
	values[1] = rounded((double)lost * (double)b->s->result.period_ns * weight);
	return pprof_sample_add(b->p, &loc, 1, values, NULL, 0);
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
			prowl_note(
				p,
				"warning: %s is newer than every version known; the newest known "
				"layout was used and its checks passed",
				t.go_version);
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
		"walks: leaf's caller put back: %llu; through C frames: %llu; completed from live memory, "
		"verified: %llu of %llu; cut where the chain left the stack: %llu",
		(unsigned long long)r->walks.repaired, (unsigned long long)r->walks.cfi,
		(unsigned long long)r->walks.live, (unsigned long long)r->walks.live_wanted,
		(unsigned long long)r->walks.derailed);
	prowl_note(
		p,
		"cpu charged by the kernel: %.6f s; sampled: %.6f s; weights are scaled to the charge",
		(double)r->cpu_ns / 1e9, (double)r->sampled_ns / 1e9);
	if (s->labels)
		prowl_note(p,
			   "labels: %llu samples labelled, %llu without labels, %llu too old, %llu "
			   "unknown",
			   (unsigned long long)r->labelled, (unsigned long long)r->unlabelled,
			   (unsigned long long)r->labels_too_old,
			   (unsigned long long)r->labels_unknown);
	if (s->timeline.moments)
		prowl_note(p, "timeline: %llu samples with their time, %llu without",
			   (unsigned long long)r->timed, (unsigned long long)r->untimed);
	if (!r->kernel)
		prowl_note(
			p,
			"warning: no permission to sample the kernel; its %.6f s are estimated from tick "
			"accounting and shown as [kernel, not sampled]",
			(double)r->kernel_unsampled_ns / 1e9);
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

static int fill(struct build *b)
{
	struct prowl_session *s = b->s;
	int r = pprof_sample_type(b->p, "samples", "count");

	if (r == 0)
		r = pprof_sample_type(b->p, "cpu", "nanoseconds");
	if (r == 0)
		r = pprof_period(b->p, "cpu", "nanoseconds", (int64_t)s->result.period_ns);
	b->p->time_nanos = s->wall_start + (int64_t)s->begun.duration_ns;
	b->p->duration_nanos = (int64_t)(s->result.duration_ns - s->begun.duration_ns);
	for (size_t i = 0; i < s->procs.nimages; i++)
		b->scale[i] = scale_of(s, s->procs.images[i]->proc);
	if (r == 0)
		r = first_mapping(b);
	if (r == 0)
		r = name_kernel(b);
	if (r == 0 && s->result.walks.cfi > 0)
		r = name_native(b);
	prowl_timeline_sort(&s->timeline);
	s->result.untimed = s->timeline.beyond;
	if (r == 0 && prowl_stackhash_each(&s->hash, add_stack, b) != 0)
		r = b->error ? b->error : -ENOMEM;
	if (r == 0)
		r = add_unsampled_kernel(b);
	if (r == 0)
		r = add_lost(b);
	return r;
}

static void build_fini(struct build *b)
{
	for (size_t i = 0; b->images && i < b->s->procs.nimages; i++) {
		prowl_idmap_fini(&b->images[i].loc[0]);
		prowl_idmap_fini(&b->images[i].loc[1]);
		prowl_idmap_fini(&b->images[i].map);
	}
	prowl_idmap_fini(&b->kernel_loc);
	uw_repairer_free(b->repairer);
	free(b->images);
	free(b->scale);
	free(b->kernel_pcs);
	free(b->facts);
}

int prowl_session_name(struct prowl_session *s, struct pprof_profile **ret)
{
	struct build b = {.s = s, .kernel_map = PPROF_NONE};
	int r;

	b.marks[0] = b.marks[1] = b.marks[2] = PPROF_NONE;
	b.images = calloc(s->procs.nimages, sizeof *b.images);
	b.scale = calloc(s->procs.nimages, sizeof *b.scale);
	r = b.images && b.scale ? uw_repairer_new(&b.repairer) : -ENOMEM;
	if (r == 0)
		r = pprof_profile_new(&b.p);
	if (r == 0 && prowl_stackhash_flip(&s->hash, 1000, NULL, NULL) < 0)
		r = -EBUSY;
	if (r == 0)
		r = fill(&b);
	build_fini(&b);
	if (r < 0)
		pprof_profile_free(b.p);
	else
		*ret = b.p;
	return r;
}

enum prowl_code prowl_session_build(struct prowl_session *s, struct pprof_profile **ret,
				    struct prowl_err *err)
{
	int r = prowl_session_name(s, ret);

	/* The window is over: the profile, which is encoded next, has all that the hash had. */
	madvise(s->hash_mem, s->hash_len, MADV_DONTNEED);
	uw_binaries_trim(&s->procs.files);
	if (r < 0)
		return prowl_fail(err, PROWL_FAILED, "building the profile: %s", strerror(-r));
	prowl_session_note(s, *ret);
	return PROWL_OK;
}
