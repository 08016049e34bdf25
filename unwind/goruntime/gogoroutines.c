/* SPDX-License-Identifier: Apache-2.0 */
#include "gogoroutines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gostack.h"
#include "hash.h"

enum {
	BATCH = 256,         /* goroutines that are read together */
	G_BYTES = 512,       /* of one g, at most */
	PIECE = 1024,        /* of a stack at first: most end within */
	MAX_STACK = 4 << 20, /* of one stack, at most */
	TRIES = 6,
	LIST_TRIES = 8,
	SCAN_BIT = 0x1000,
	MAX_GAP = 2048, /* bytes between two neighbours that are read as one */
	KIND_BITS = 10,
	KINDS = 1 << KIND_BITS, /* a cache of entry functions */
};

struct kind {
	uint64_t startpc;
	enum { USER = 1, SYSTEM, FINALIZERS, CLEANUPS } kind;
};

struct uw_goroutines {
	struct uw_space *space;
	struct uw_go *go;
	const struct uw_golayout *l;
	struct uw_gostack *unwinder;
	struct uw_goroutines_stats stats;
	size_t g_len;
	size_t again_len; /* compared to see whether it changed: the first bytes of a g */
	struct kind kinds[KINDS];
	uint64_t words[UW_GOROUTINE_MAX_WORDS];
	uint8_t before[BATCH][G_BYTES]; /* g's as they were at first */
	uint8_t after[BATCH][G_BYTES];  /* and as they were after their stacks; the first bytes */
	uint8_t piece[BATCH][PIECE];
	struct uw_mem_part parts[4 * BATCH]; /* stacks and g's, and what lies between them */
	size_t nparts;
	uint8_t gap[MAX_GAP];
	uint8_t *large; /* a stack that is longer than a piece */
};

/* --- the list -------------------------------------------------------------------- */

int uw_goroutines_list(const struct uw_mem *mem, const struct uw_goglobals *globals, uint64_t **ret,
		       size_t *ret_n)
{
	uint64_t at = uw_goglobal(globals, UW_GLOBAL_ALLGS), slice[2], again[2];

	if (!at)
		return -ENOENT;
	for (int i = 0; i < LIST_TRIES; i++) {
		int r = uw_read(mem, at, slice, sizeof slice);
		uint64_t *gs;

		if (r < 0)
			return r;
		if (slice[1] > UW_GOROUTINES_MAX || (slice[0] & 7))
			return -EBADMSG;
		gs = malloc(slice[1] * sizeof *gs + 1);
		if (!gs)
			return -ENOMEM;
		/* The array moves when it grows: then the old one may be reused for anything. */
		if (uw_read(mem, slice[0], gs, slice[1] * sizeof *gs) == 0 &&
		    uw_read(mem, at, again, sizeof again) == 0 && again[0] == slice[0]) {
			*ret = gs;
			*ret_n = slice[1];
			return 0;
		}
		free(gs);
	}
	return -EAGAIN;
}

/* --- a reader -------------------------------------------------------------------- */

/* Up to all that `same` looks at. */
static size_t again_len(const struct uw_golayout *l)
{
	const uint16_t ends[] = {l->g.stack + 16,
				 l->g.sched + l->gobuf.pc + 8,
				 l->g.sched + l->gobuf.sp + 8,
				 l->g.sched + l->gobuf.lr + 8,
				 l->g.syscallsp + 8,
				 l->g.syscallpc + 8,
				 l->g.atomicstatus + 4,
				 l->g.goid + 8};
	size_t max = l->g.tracking_seq == UW_GO_NONE ? 0 : l->g.tracking_seq + 1u;

	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
		max = ends[i] > max ? ends[i] : max;
	return max;
}

int uw_goroutines_new(struct uw_space *space, struct uw_goroutines **ret)
{
	struct uw_go *go = uw_space_go(space);
	struct uw_goroutines *r;
	int err;

	if (!go)
		return -ENOENT;
	r = calloc(1, sizeof *r);
	if (!r)
		return -ENOMEM;
	r->space = space;
	r->go = go;
	r->l = uw_go_layout(go);
	r->g_len = r->l->g.size;
	r->again_len = again_len(r->l);
	err = r->g_len > G_BYTES || r->l->g.labels + 8u > r->g_len || r->again_len > r->g_len
		      ? -ENOENT
		      : uw_gostack_new(space, &r->unwinder);
	if (err < 0) {
		free(r);
		return err;
	}
	*ret = r;
	return 0;
}

void uw_goroutines_free(struct uw_goroutines *r)
{
	if (!r)
		return;
	uw_gostack_free(r->unwinder);
	free(r->large);
	free(r);
}

const struct uw_goroutines_stats *uw_goroutines_stats(const struct uw_goroutines *r)
{
	return &r->stats;
}

static uint64_t u64_at(const uint8_t *g, size_t off)
{
	uint64_t v;

	memcpy(&v, g + off, sizeof v);
	return v;
}

static uint32_t status_of(const struct uw_goroutines *r, const uint8_t *g)
{
	uint32_t v;

	memcpy(&v, g + r->l->g.atomicstatus, sizeof v);
	return v;
}

/* --- whose goroutine ------------------------------------------------------------- */

/* As in runtime.isSystemGoroutine. */
static int kind_of_name(const char *name)
{
	static const char *const users[] = {"runtime.main", "runtime.handleAsyncEvent",
					    "runtime.corostart"};

	if (strncmp(name, "runtime.", 8) != 0)
		return USER;
	for (size_t i = 0; i < sizeof users / sizeof users[0]; i++) {
		if (!strcmp(name, users[i]))
			return USER;
	}
	if (!strcmp(name, "runtime.runfinq") || !strcmp(name, "runtime.runFinalizers"))
		return FINALIZERS;
	return strcmp(name, "runtime.runCleanups") ? SYSTEM : CLEANUPS;
}

static int kind_of(struct uw_goroutines *r, uint64_t startpc)
{
	struct kind *k = &r->kinds[uw_hash(startpc, KIND_BITS)];
	const struct uw_go_module *mod;
	struct uw_go_func f;

	if (startpc == 0)
		return USER;
	if (k->startpc != startpc) {
		k->startpc = startpc;
		k->kind = USER;
		mod = uw_space_go_at(r->space, startpc);
		if (mod && uw_go_func_at(mod->go, startpc - mod->bias, &f))
			k->kind = kind_of_name(uw_go_func_name(mod->go, &f));
	}
	return (int)k->kind;
}

/* Has it never run? Then it is where newproc put it, at its first instruction. */
static bool not_begun(const struct uw_goroutines *r, const uint8_t *g,
		      const struct uw_goroutine *to)
{
	return to->status == UW_G_RUNNABLE &&
	       u64_at(g, r->l->g.sched + r->l->gobuf.pc) == to->startpc;
}

static bool waits_for(const struct uw_goroutines *r, const struct uw_goroutine *to,
		      const char *reason)
{
	return to->status == UW_G_WAITING && to->reason < r->l->wait_reasons_count &&
	       !strcmp(r->l->wait_reasons[to->reason], reason);
}

/*
 * The goroutines of finalizers and cleanups are the program's while they run its functions. Those
 * of cleanups (Go 1.25) say themselves whether they do. The one of finalizers shows it by what
 * it waits for: by anything but new work. Go counts it as its own between two finalizers, too; here
 * it is the program's then, for so long.
 */
static bool is_system(struct uw_goroutines *r, const uint8_t *g, const struct uw_goroutine *to)
{
	switch (kind_of(r, to->startpc)) {
	case SYSTEM:
		return true;
	case FINALIZERS:
		return not_begun(r, g, to) || waits_for(r, to, "finalizer wait");
	case CLEANUPS:
		return r->l->g.running_cleanups == UW_GO_NONE || !g[r->l->g.running_cleanups];
	default:
		return false;
	}
}

/* --- one goroutine --------------------------------------------------------------- */

static void take_facts(struct uw_goroutines *r, uint64_t addr, const uint8_t *g,
		       struct uw_goroutine *to)
{
	const struct uw_golayout *l = r->l;
	uint32_t status = status_of(r, g);

	*to = (struct uw_goroutine){
		.addr = addr,
		.goid = u64_at(g, l->g.goid),
		.gopc = u64_at(g, l->g.gopc),
		.startpc = u64_at(g, l->g.startpc),
		.m = u64_at(g, l->g.m),
		.waitsince = u64_at(g, l->g.waitsince),
		.labels = u64_at(g, l->g.labels),
		.status = (enum uw_gostatus)(status & ~(uint32_t)SCAN_BIT),
		.scan = status & SCAN_BIT,
		.locked = u64_at(g, l->g.lockedm) != 0,
		.stack = UW_GOROUTINE_BAD,
		.words = r->words,
	};
	if (l->g.tracking_seq != UW_GO_NONE)
		to->runs = g[l->g.tracking_seq];
	if (l->g.parent_goid != UW_GO_NONE)
		to->parent = u64_at(g, l->g.parent_goid);
	if (to->status == UW_G_WAITING || to->status == UW_G_LEAKED)
		to->reason = g[l->g.waitreason];
	to->system = is_system(r, g, to);
}

static bool lives(const struct uw_goroutine *g)
{
	return g->status != UW_G_IDLE && g->status != UW_G_DEAD && g->status != UW_G_DEADEXTRA;
}

/* Where the walk begins; false for one that runs. */
static bool start_of(const struct uw_goroutines *r, const uint8_t *g, uint32_t status,
		     struct uw_gostack_start *ret)
{
	const struct uw_golayout *l = r->l;
	uint64_t syscallsp = u64_at(g, l->g.syscallsp);

	status &= ~(uint32_t)SCAN_BIT;
	*ret = (struct uw_gostack_start){0};
	if ((status == UW_G_SYSCALL || status == UW_G_RUNNING) && syscallsp) {
		ret->pc = u64_at(g, l->g.syscallpc);
		ret->sp = syscallsp;
		ret->syscall = true;
		return true;
	}
	if (status == UW_G_RUNNING || status == UW_G_SYSCALL)
		return false;
	ret->pc = u64_at(g, l->g.sched + l->gobuf.pc);
	ret->sp = u64_at(g, l->g.sched + l->gobuf.sp);
	ret->lr = u64_at(g, l->g.sched + l->gobuf.lr);
	return true;
}

/* How often it stopped running, modulo 256; not known before go1.17. */
static uint8_t runs(const struct uw_goroutines *r, const uint8_t *g)
{
	return r->l->g.tracking_seq == UW_GO_NONE ? 0 : g[r->l->g.tracking_seq];
}

/*
 * Is the goroutine at the same place of the same stack in both, and has it not run in between? All
 * that wait do so at one pc, and often at one depth: then only the count shows that what was read
 * of the stack may be of a time when it ran.
 */
static bool same(const struct uw_goroutines *r, const uint8_t *a, const uint8_t *b)
{
	struct uw_gostack_start sa, sb;
	bool ra = start_of(r, a, status_of(r, a), &sa), rb = start_of(r, b, status_of(r, b), &sb);

	return ra && rb && sa.pc == sb.pc && sa.sp == sb.sp && sa.syscall == sb.syscall &&
	       u64_at(a, r->l->g.goid) == u64_at(b, r->l->g.goid) && runs(r, a) == runs(r, b) &&
	       (status_of(r, b) & ~(uint32_t)SCAN_BIT) != UW_G_COPYSTACK &&
	       memcmp(a + r->l->g.stack, b + r->l->g.stack, 16) == 0;
}

/* The bytes of the stack to read from start on: at most max; 0 if it is no stack. */
static size_t extent(const struct uw_goroutines *r, const uint8_t *g, uint64_t sp, size_t max)
{
	uint64_t lo = u64_at(g, r->l->g.stack), hi = u64_at(g, r->l->g.stack + 8);

	if (sp < lo || sp >= hi || (sp & 7))
		return 0;
	return hi - sp < max ? hi - sp : max;
}

static enum uw_gostack_end walk(struct uw_goroutines *r, const uint8_t *g,
				const struct uw_gostack_start *start, const void *bytes, size_t len,
				size_t *n)
{
	struct uw_gostack_bytes stack = {
		.base = start->sp, .bytes = bytes, .len = len, .hi = u64_at(g, r->l->g.stack + 8)};

	return uw_gostack_walk(r->unwinder, start, &stack, r->words, UW_GOROUTINE_MAX_WORDS, n);
}

static void conclude(struct uw_goroutine *to, enum uw_gostack_end end)
{
	switch (end) {
	case UW_GOSTACK_ROOT:
	case UW_GOSTACK_SWITCH:
		to->stack = UW_GOROUTINE_WHOLE;
		break;
	case UW_GOSTACK_LIMIT:
	case UW_GOSTACK_MORE:
		to->stack = UW_GOROUTINE_CUT;
		break;
	case UW_GOSTACK_BAD:
		to->stack = UW_GOROUTINE_BAD;
		to->nwords = 0;
		break;
	}
}

/* Is it a g at all: its own scheduling record names it. Not yet in those that never ran. */
static bool is_g(const struct uw_goroutines *r, const uint8_t *g, uint64_t addr)
{
	return u64_at(g, r->l->g.sched + r->l->gobuf.g) == addr;
}

/* One alone, with as much of its stack as it takes. */
static int read_alone(struct uw_goroutines *r, uint64_t addr, bool stacks, struct uw_goroutine *to,
		      bool *alive)
{
	size_t max = PIECE;
	bool bad = false;

	if (!r->large)
		r->large = malloc(MAX_STACK);
	if (!r->large)
		return -ENOMEM;
	*alive = true;
	for (int i = 0; i < TRIES;) {
		uint8_t *g = r->before[0], *again = r->after[0];
		struct uw_mem_part parts[2] = {{0}, {addr, again, r->again_len}};
		struct uw_gostack_start start;
		enum uw_gostack_end end;
		size_t len;

		if (uw_read(&r->space->live, addr, g, r->g_len) < 0) {
			bad = true;
			break;
		}
		take_facts(r, addr, g, to);
		*alive = lives(to);
		if (!*alive)
			return 0;
		if (!is_g(r, g, addr)) {
			bad = true;
			break;
		}
		if (!stacks) {
			to->stack = UW_GOROUTINE_WHOLE;
			return 0;
		}
		if (!start_of(r, g, status_of(r, g), &start)) {
			to->stack = UW_GOROUTINE_RUNNING;
			return 0;
		}
		len = extent(r, g, start.sp, max);
		parts[0] = (struct uw_mem_part){start.sp, r->large, len};
		i++;
		if (uw_read_parts(&r->space->live, parts, 2) < 0 || !same(r, g, again)) {
			r->stats.retries++;
			bad = false;
			continue;
		}
		end = len ? walk(r, g, &start, r->large, len, &to->nwords) : UW_GOSTACK_BAD;
		if (end == UW_GOSTACK_MORE && len == max && max < MAX_STACK) {
			max = max * 16 < MAX_STACK ? max * 16 : MAX_STACK;
			i--;
			continue;
		}
		conclude(to, end);
		if (end != UW_GOSTACK_BAD)
			return 0;
		bad = true; /* once more: it may be one that looked the same twice */
	}
	to->stack = bad ? UW_GOROUTINE_BAD : UW_GOROUTINE_UNSTABLE;
	to->nwords = 0;
	return 0;
}

static int deliver(struct uw_goroutines *r, struct uw_goroutine *g, uw_goroutine_cb cb, void *ctx)
{
	if (g->stack == UW_GOROUTINE_CUT)
		r->stats.cut++;
	else if (g->stack == UW_GOROUTINE_UNSTABLE)
		r->stats.unstable++;
	else if (g->stack == UW_GOROUTINE_BAD)
		r->stats.bad++;
	return cb(ctx, g);
}

static int one(struct uw_goroutines *r, uint64_t addr, bool stacks, uw_goroutine_cb cb, void *ctx)
{
	struct uw_goroutine to = {.addr = addr};
	bool alive;
	int e = read_alone(r, addr, stacks, &to, &alive);

	if (e < 0)
		return e;
	if (alive)
		return deliver(r, &to, cb, ctx);
	r->stats.dead++;
	return 0;
}

/* --- many ------------------------------------------------------------------------ */

struct item {
	size_t at; /* in the batch */
	struct uw_gostack_start start;
	size_t len;
};

/* First look: those whose stack is to be read get into items, others are delivered. */
static int look(struct uw_goroutines *r, const uint64_t *gs, size_t n, bool stacks,
		struct item *items, size_t *nitems, uw_goroutine_cb cb, void *ctx)
{
	for (size_t i = 0; i < n; i++) {
		const uint8_t *g = r->before[i];
		struct item *it = &items[*nitems];
		struct uw_goroutine to;
		int e = 0;

		take_facts(r, gs[i], g, &to);
		if (!lives(&to)) {
			r->stats.dead++;
			continue;
		}
		if (!is_g(r, g, gs[i])) {
			e = deliver(r, &to, cb, ctx);
		} else if (!stacks) {
			to.stack = UW_GOROUTINE_WHOLE;
			e = cb(ctx, &to);
		} else if (!start_of(r, g, status_of(r, g), &it->start)) {
			to.stack = UW_GOROUTINE_RUNNING;
			e = deliver(r, &to, cb, ctx);
		} else {
			it->at = i;
			it->len = extent(r, g, it->start.sp, PIECE);
			++*nitems;
		}
		if (e)
			return e;
	}
	return 0;
}

/*
 * Adds a range to read. If it lies shortly behind the last one, a live process is also read between
 * them: one range costs the kernel less than two, even with some more bytes.
 */
static void add_part(struct uw_goroutines *r, uint64_t addr, void *buf, size_t len)
{
	const struct uw_mem_part *last = r->nparts ? &r->parts[r->nparts - 1] : NULL;
	uint64_t end = last ? last->addr + last->len : 0, gap = addr - end;

	if (len == 0)
		return;
	if (last && gap > 0 && gap <= MAX_GAP && r->space->live.read_parts)
		r->parts[r->nparts++] = (struct uw_mem_part){end, r->gap, (size_t)gap};
	r->parts[r->nparts++] = (struct uw_mem_part){addr, buf, len};
}

static bool read_gs(struct uw_goroutines *r, const uint64_t *gs, size_t n)
{
	r->nparts = 0;
	for (size_t i = 0; i < n; i++)
		add_part(r, gs[i], r->before[i], r->g_len);
	return uw_read_parts(&r->space->live, r->parts, r->nparts) == 0;
}

/* Reads all stacks, then the g's again, which show what changed in between. */
static bool read_stacks(struct uw_goroutines *r, const uint64_t *gs, const struct item *items,
			size_t n)
{
	r->nparts = 0;
	for (size_t i = 0; i < n; i++)
		add_part(r, items[i].start.sp, r->piece[items[i].at], items[i].len);
	for (size_t i = 0; i < n; i++)
		add_part(r, gs[items[i].at], r->after[items[i].at], r->again_len);
	return uw_read_parts(&r->space->live, r->parts, r->nparts) == 0;
}

/* Walks one that was read in a batch. False: it must be read alone. */
static bool walk_item(struct uw_goroutines *r, const uint64_t *gs, const struct item *it,
		      struct uw_goroutine *to)
{
	const uint8_t *g = r->before[it->at];
	enum uw_gostack_end end;

	if (it->len == 0 || !same(r, g, r->after[it->at]))
		return false;
	take_facts(r, gs[it->at], g, to);
	end = walk(r, g, &it->start, r->piece[it->at], it->len, &to->nwords);
	conclude(to, end);
	return end == UW_GOSTACK_ROOT || end == UW_GOSTACK_SWITCH;
}

static int batch(struct uw_goroutines *r, const uint64_t *gs, size_t n, bool stacks,
		 uw_goroutine_cb cb, void *ctx)
{
	struct item items[BATCH];
	uint64_t alone[BATCH];
	size_t nitems = 0, nalone = 0;
	int e;

	if (!read_gs(r, gs, n)) {
		for (size_t i = 0; i < n; i++) {
			e = one(r, gs[i], stacks, cb, ctx);
			if (e)
				return e;
		}
		return 0;
	}
	e = look(r, gs, n, stacks, items, &nitems, cb, ctx);
	if (e)
		return e;
	if (nitems && !read_stacks(r, gs, items, nitems)) {
		for (size_t i = 0; i < nitems; i++)
			items[i].len = 0; /* each alone */
	}
	for (size_t i = 0; i < nitems; i++) {
		struct uw_goroutine to;

		if (!walk_item(r, gs, &items[i], &to)) {
			alone[nalone++] = gs[items[i].at];
			continue;
		}
		e = cb(ctx, &to);
		if (e)
			return e;
	}
	for (size_t i = 0; i < nalone; i++) {
		e = one(r, alone[i], stacks, cb, ctx);
		if (e)
			return e;
	}
	return 0;
}

int uw_goroutines_read(struct uw_goroutines *r, const uint64_t *gs, size_t n, bool stacks,
		       uw_goroutine_cb cb, void *ctx)
{
	for (size_t i = 0; i < n; i += BATCH) {
		int e = batch(r, gs + i, n - i < BATCH ? n - i : BATCH, stacks, cb, ctx);

		if (e)
			return e;
	}
	r->stats.seen += n;
	return 0;
}
