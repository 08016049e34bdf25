/* SPDX-License-Identifier: Apache-2.0 */
/*
 * By code: each variable has a function of the runtime that uses it in a way of its own, the same
 * in every version, and mostly a second one that must use it too. Where the two disagree nothing
 * is found.
 */
#include "goglobals_parts.h"

#include <string.h>

#include "arch.h"
#include "coderefs.h"
#include "golayout.h"

enum {
	MAX_REFS = 1024,     /* of one function; procresize, the longest, has some 100 */
	MAX_CODE = 64 << 10, /* bytes of one function */
	MAX_THREADS = 10000, /* what schedinit sets sched.maxmcount to */
	SLICE_WORD = 8,
	SEG_DATA = 1 << UW_GO_DATA | 1 << UW_GO_NOPTRDATA,
	SEG_BSS = 1 << UW_GO_BSS,
	SEG_NOPTRBSS = 1 << UW_GO_NOPTRBSS,
	SEG_ZERO = SEG_BSS | SEG_NOPTRBSS,
};

/* Within how many bytes of code the heads of the bucket lists are used. */
static const uint32_t heads_near[UW_MACHINES] = {[UW_AMD64] = 0x20, [UW_ARM64] = 0x30};

/* The references of one function. */
struct code {
	const uint8_t *bytes;
	size_t len, n;
	struct uw_ref refs[MAX_REFS];
};

struct finder {
	const struct uw_arch *arch;
	const struct uw_elf *elf;
	const struct uw_go *go;
	const struct uw_golayout *l;
	struct uw_goglobals *ret;
	/* The runtime was compiled as usual. Without inlining (-gcflags=-l) some recipes would name
	 * a neighbour of what they look for. */
	bool usual;
	struct code code, witness;
};

static unsigned int segment_of(const struct uw_go *go, uint64_t addr)
{
	const struct uw_go_range *r = uw_go_vars(go);

	for (size_t i = 0; i < UW_GO_SEGMENTS; i++) {
		if (addr >= r[i].lo && addr < r[i].hi)
			return 1u << i;
	}
	return 0;
}

static bool is_variable(void *ctx, uint64_t target)
{
	return segment_of(ctx, target) != 0;
}

/* False when the module has no such function, or one of impossible size. */
static bool read_code(struct finder *f, const char *name, struct code *c)
{
	const struct uw_ref_filter filter = {is_variable, (void *)f->go};
	struct uw_go_func func;

	c->n = 0;
	if (!uw_go_func_named(f->go, name, &func) || func.end - func.entry > MAX_CODE)
		return false;
	c->len = func.end - func.entry;
	c->bytes = uw_elf_at(f->elf, func.entry, c->len);
	if (!c->bytes)
		return false;
	c->n = uw_code_refs(f->elf->machine, c->bytes, c->len, func.entry, &filter, c->refs,
			    MAX_REFS);
	return c->n < MAX_REFS;
}

static bool refers(const struct code *c, uint64_t lo, uint64_t hi)
{
	for (size_t i = 0; i < c->n; i++) {
		if (c->refs[i].target >= lo && c->refs[i].target < hi)
			return true;
	}
	return false;
}

/*
 * What a second function must refer to: some word of the variable. Where a version may have moved
 * that use into another function, either will do.
 */
static const struct witness {
	const char *func;
	uint32_t span;
	const char * or ;
} witnesses[UW_GLOBAL_COUNT] = {
	[UW_GLOBAL_ALLGS] = {"runtime.forEachG", 8},
	[UW_GLOBAL_ALLGLEN] = {"runtime.forEachGRace", 8},
	[UW_GLOBAL_ALLGPTR] = {"runtime.forEachGRace", 8},
	[UW_GLOBAL_MBUCKETS] = {"runtime.mProf_FlushLocked", 8},
	[UW_GLOBAL_MPROF_CYCLE] = {"runtime.mProf_Malloc", 4},
	/* Up to go1.16 the rate is read by the second one, which has it as an argument since. */
	[UW_GLOBAL_BLOCK_PROFILE_RATE] = {"runtime.blockevent", 8, "runtime.blocksampled"},
	[UW_GLOBAL_MUTEX_PROFILE_RATE] = {"runtime.mutexevent", 8},
	[UW_GLOBAL_ALLM] = {"runtime.schedtrace", 8},
	[UW_GLOBAL_SCHED] = {"runtime.schedtrace", 256},
	[UW_GLOBAL_ALLP] = {"runtime.schedtrace", 8},
	[UW_GLOBAL_GOMAXPROCS] = {"runtime.schedtrace", 4},
	[UW_GLOBAL_MEMSTATS] = {"runtime.gcMarkTermination", 16384},
	[UW_GLOBAL_GC_CONTROLLER] = {"runtime.gcMarkTermination", 1024},
};

static bool witnessed(struct finder *f, enum uw_goglobal which, uint64_t addr)
{
	const struct witness *w = &witnesses[which];

	if (!w->func || !read_code(f, w->func, &f->witness))
		return true;
	if (refers(&f->witness, addr, addr + w->span))
		return true;
	return w->or
	       &&read_code(f, w->or, &f->witness) && refers(&f->witness, addr, addr + w->span);
}

static void found(struct finder *f, enum uw_goglobal which, uint64_t addr)
{
	if (f->ret->var[which].source == UW_GLOBAL_MISSING && witnessed(f, which, addr))
		uw_goglobals_put(f->go, which, addr, UW_GLOBAL_BY_CODE, f->ret);
}

/* --- variables that are the n-th of their kind in a function --------------------- */

struct kind {
	uint8_t kinds; /* bits of uw_ref_kind */
	uint8_t width;
	uint8_t segments; /* bits */
};

static bool is_kind(const struct finder *f, const struct uw_ref *r, const struct kind *k)
{
	return (r->kind & k->kinds) && r->width == k->width &&
	       (segment_of(f->go, r->target) & k->segments);
}

/* The n-th different target of that kind, from 0 on; 0: there is none. */
static uint64_t nth(const struct finder *f, const struct kind *k, unsigned int n)
{
	uint64_t seen[4];
	size_t nseen = 0;

	for (size_t i = 0; i < f->code.n; i++) {
		const struct uw_ref *r = &f->code.refs[i];
		bool again = false;

		if (!is_kind(f, r, k))
			continue;
		for (size_t j = 0; j < nseen; j++)
			again = again || seen[j] == r->target;
		if (again)
			continue;
		if (nseen == n)
			return r->target;
		if (nseen == sizeof seen / sizeof seen[0])
			return 0;
		seen[nseen++] = r->target;
	}
	return 0;
}

static const struct recipe {
	enum uw_goglobal which;
	const char *func;
	struct kind kind[UW_MACHINES];
	uint8_t nth;
	bool only; /* there must be no other one */
} recipes[] = {
	{UW_GLOBAL_MEM_PROFILE_RATE,
	 "runtime.allocmcache",
	 {[UW_AMD64] = {UW_REF_LOAD, 8, SEG_DATA | SEG_NOPTRBSS},
	  [UW_ARM64] = {UW_REF_LOAD, 8, SEG_DATA | SEG_NOPTRBSS}},
	 0,
	 true},
	{UW_GLOBAL_BLOCK_PROFILE_RATE,
	 "runtime.semacquire1",
	 {[UW_AMD64] = {UW_REF_CMP, 8, SEG_NOPTRBSS}, [UW_ARM64] = {UW_REF_LOAD, 8, SEG_NOPTRBSS}},
	 0,
	 false},
	{UW_GLOBAL_MUTEX_PROFILE_RATE,
	 "runtime.semacquire1",
	 {[UW_AMD64] = {UW_REF_CMP, 8, SEG_NOPTRBSS}, [UW_ARM64] = {UW_REF_LOAD, 8, SEG_NOPTRBSS}},
	 1,
	 false},
	{UW_GLOBAL_GOMAXPROCS,
	 "runtime.procresize",
	 {[UW_AMD64] = {UW_REF_LOAD | UW_REF_SIGNED, 4, SEG_ZERO},
	  [UW_ARM64] = {UW_REF_LOAD | UW_REF_SIGNED, 4, SEG_ZERO}},
	 0,
	 false},
	{UW_GLOBAL_MPROF_CYCLE,
	 "runtime.mProf_Free",
	 {[UW_AMD64] = {UW_REF_LOAD, 4, SEG_ZERO}, [UW_ARM64] = {UW_REF_LOAD, 4, SEG_ZERO}},
	 0,
	 false},
	{UW_GLOBAL_ALLM,
	 "runtime.mcommoninit",
	 {[UW_AMD64] = {UW_REF_LOAD, 8, SEG_BSS}, [UW_ARM64] = {UW_REF_LOAD, 8, SEG_BSS}},
	 0,
	 false},
	{UW_GLOBAL_GC_CONTROLLER,
	 "runtime.gcinit",
	 {[UW_AMD64] = {UW_REF_LEA, 8, SEG_NOPTRBSS}, [UW_ARM64] = {UW_REF_LEA, 8, SEG_NOPTRBSS}},
	 0,
	 false},
};

static void by_recipe(struct finder *f, const struct recipe *r)
{
	const struct kind *k = &r->kind[f->arch->id];
	uint64_t addr;

	if (!read_code(f, r->func, &f->code))
		return;
	addr = nth(f, k, r->nth);
	if (addr && !(r->only && nth(f, k, r->nth + 1u)))
		found(f, r->which, addr);
}

/* --- goroutines and processors --------------------------------------------------- */

/* Whether the three words of a slice at addr are all used. */
static bool is_slice(const struct code *c, uint64_t addr)
{
	for (uint64_t at = addr; at < addr + 3 * SLICE_WORD; at += SLICE_WORD) {
		if (!refers(c, at, at + 1))
			return false;
	}
	return true;
}

static bool is_bss(const struct finder *f, const struct uw_ref *r)
{
	return segment_of(f->go, r->target) == SEG_BSS;
}

/* The only slice in bss that the function uses all of; 0: none, or several. */
static uint64_t only_slice(const struct finder *f)
{
	uint64_t addr = 0;

	for (size_t i = 0; i < f->code.n; i++) {
		const struct uw_ref *r = &f->code.refs[i];

		if (r->target == addr || !is_bss(f, r) || !is_slice(&f->code, r->target))
			continue;
		if (addr)
			return 0;
		addr = r->target;
	}
	return addr;
}

/* The only target in bss outside of the slice. */
static uint64_t beside_slice(const struct finder *f, uint64_t slice)
{
	uint64_t addr = 0;

	for (size_t i = 0; i < f->code.n; i++) {
		const struct uw_ref *r = &f->code.refs[i];

		if (!is_bss(f, r) || r->target == addr || r->target - slice < 3 * SLICE_WORD)
			continue;
		if (addr)
			return 0;
		addr = r->target;
	}
	return addr;
}

/* Whether its address is taken only to store there at once. */
static bool stored_atomically(const struct finder *f, size_t i)
{
	const struct code *c = &f->code;
	const struct uw_ref *r = &c->refs[i];

	if (r->kind != UW_REF_LEA)
		return false;
	if (!f->arch->is_exchange)
		return i + 1 < c->n && r[1].kind == UW_REF_STORE && r[1].target == r->target;
	return r->next < c->len && f->arch->is_exchange(c->bytes + r->next, c->len - r->next);
}

static uint64_t stored_length(const struct finder *f)
{
	uint64_t addr = 0;

	for (size_t i = 0; i < f->code.n; i++) {
		const struct uw_ref *r = &f->code.refs[i];

		if (segment_of(f->go, r->target) != SEG_NOPTRBSS || !stored_atomically(f, i))
			continue;
		if (addr && addr != r->target)
			return 0;
		addr = r->target;
	}
	return addr;
}

static void find_goroutines(struct finder *f)
{
	uint64_t allgs, ptr, len;

	if (!read_code(f, "runtime.allgadd", &f->code))
		return;
	allgs = only_slice(f);
	if (!allgs)
		return;
	ptr = beside_slice(f, allgs);
	len = stored_length(f);
	found(f, UW_GLOBAL_ALLGS, allgs);
	if (ptr && len) {
		found(f, UW_GLOBAL_ALLGPTR, ptr);
		found(f, UW_GLOBAL_ALLGLEN, len);
		f->usual = f->ret->var[UW_GLOBAL_ALLGPTR].addr == ptr &&
			   f->ret->var[UW_GLOBAL_ALLGLEN].addr == len;
	}
}

/* procresize also grows masks, which are slices, too; schedtrace looks at allp only. */
static void find_processors(struct finder *f)
{
	uint64_t addr = 0;

	if (!read_code(f, "runtime.procresize", &f->code) ||
	    !read_code(f, "runtime.schedtrace", &f->witness))
		return;
	for (size_t i = 0; i < f->code.n; i++) {
		const struct uw_ref *r = &f->code.refs[i];

		if (r->target == addr || !is_bss(f, r) || !is_slice(&f->code, r->target) ||
		    !refers(&f->witness, r->target, r->target + 1) ||
		    !refers(&f->witness, r->target + SLICE_WORD, r->target + SLICE_WORD + 1))
			continue;
		if (addr)
			return;
		addr = r->target;
	}
	if (addr)
		found(f, UW_GLOBAL_ALLP, addr);
}

static void find_sched(struct finder *f)
{
	if (!read_code(f, "runtime.schedinit", &f->code))
		return;
	for (size_t i = 0; i < f->code.n; i++) {
		const struct uw_ref *r = &f->code.refs[i];

		if (r->kind == UW_REF_STORE && r->width == 4 && r->has_imm &&
		    r->imm == MAX_THREADS && is_bss(f, r)) {
			found(f, UW_GLOBAL_SCHED, r->target - f->l->sched.maxmcount);
			return;
		}
	}
}

/* --- the lists of buckets -------------------------------------------------------- */

static bool may_be_head(const struct finder *f, const struct uw_ref *r, uint8_t kind)
{
	return r->kind == kind && r->width == 8 && (segment_of(f->go, r->target) & SEG_ZERO);
}

/* From go1.19 on: the addresses of the three heads, one of which is then used. */
static bool heads_by_address(const struct finder *f, uint64_t *heads)
{
	uint32_t near = heads_near[f->arch->id];
	const struct uw_ref *r = f->code.refs;
	bool got = false;

	for (size_t i = 0; i + 2 < f->code.n; i++) {
		if (!may_be_head(f, r + i, UW_REF_LEA) || !may_be_head(f, r + i + 1, UW_REF_LEA) ||
		    !may_be_head(f, r + i + 2, UW_REF_LEA) || r[i + 2].at - r[i].at > near ||
		    r[i].target == r[i + 1].target || r[i].target == r[i + 2].target ||
		    r[i + 1].target == r[i + 2].target)
			continue;
		if (got)
			return false;
		got = true;
		for (size_t k = 0; k < 3; k++)
			heads[k] = r[i + k].target;
	}
	return got;
}

/* Up to go1.18: each head is loaded and then stored. */
static bool heads_by_use(const struct finder *f, uint64_t *heads)
{
	const struct uw_ref *before = NULL;
	size_t n = 0;

	for (size_t i = 0; i < f->code.n; i++) {
		const struct uw_ref *r = &f->code.refs[i];

		if (before && may_be_head(f, r, UW_REF_STORE) && before->target == r->target) {
			if (n == 3)
				return false;
			heads[n++] = r->target;
		}
		if (may_be_head(f, r, UW_REF_LOAD))
			before = r;
		else if (may_be_head(f, r, UW_REF_STORE))
			before = NULL;
	}
	return n == 3 && heads[0] != heads[1] && heads[0] != heads[2] && heads[1] != heads[2];
}

static size_t times_referred(const struct code *c, uint64_t target)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		n += c->refs[i].target == target;
	return n;
}

/* The one counter whose address stkbucket takes, for the memory that its buckets cost. */
static void find_memstats(struct finder *f, const uint64_t *heads)
{
	uint64_t addr = 0;

	for (size_t i = 0; i < f->code.n; i++) {
		const struct uw_ref *r = &f->code.refs[i];

		if (r->kind != UW_REF_LEA || segment_of(f->go, r->target) != SEG_NOPTRBSS ||
		    times_referred(&f->code, r->target) != 1 || r->target == heads[0] ||
		    r->target == heads[1] || r->target == heads[2])
			continue;
		if (addr)
			return;
		addr = r->target;
	}
	if (addr)
		found(f, UW_GLOBAL_MEMSTATS, addr - f->l->memstats.buckhash_sys);
}

static void find_buckets(struct finder *f)
{
	uint64_t heads[3]; /* in the order of stkbucket: memory, mutex, block */

	if (!read_code(f, "runtime.stkbucket", &f->code) ||
	    (!heads_by_address(f, heads) && !heads_by_use(f, heads)))
		return;
	found(f, UW_GLOBAL_MBUCKETS, heads[0]);
	/* The heads are found together or not at all. Only the first has a second function that
	 * confirms it; the order of the others is the compiler's. */
	if (f->usual && f->ret->var[UW_GLOBAL_MBUCKETS].addr == heads[0]) {
		found(f, UW_GLOBAL_XBUCKETS, heads[1]);
		found(f, UW_GLOBAL_BBUCKETS, heads[2]);
	}
	find_memstats(f, heads);
}

/* --- ticks ----------------------------------------------------------------------- */

/* Its lock comes first, and is taken in the same function. */
static void find_ticks(struct finder *f)
{
	const struct kind kind = {UW_REF_LOAD, 8, SEG_NOPTRBSS};
	uint64_t addr;

	/* Its name up to go1.21, and since. */
	if (!read_code(f, "runtime.tickspersecond", &f->code) &&
	    !read_code(f, "runtime.ticksPerSecond", &f->code))
		return;
	addr = nth(f, &kind, 0);
	if (!addr)
		return;
	addr -= f->l->ticks.val;
	for (size_t i = 0; i < f->code.n; i++) {
		if (f->code.refs[i].kind == UW_REF_LEA && f->code.refs[i].target == addr) {
			found(f, UW_GLOBAL_TICKS, addr);
			return;
		}
	}
}

void uw_goglobals_by_code(const struct uw_elf *elf, const struct uw_go *go,
			  struct uw_goglobals *ret)
{
	struct finder f = {.arch = uw_arch_of(elf->machine),
			   .elf = elf,
			   .go = go,
			   .l = uw_go_layout(go),
			   .ret = ret};

	if (!f.arch)
		return;
	find_goroutines(&f);
	find_processors(&f);
	find_sched(&f);
	find_buckets(&f);
	find_ticks(&f);
	for (size_t i = 0; i < sizeof recipes / sizeof recipes[0]; i++) {
		if (recipes[i].which != UW_GLOBAL_GC_CONTROLLER || f.l->gc.gc_percent != UW_GO_NONE)
			by_recipe(&f, &recipes[i]);
	}
}
