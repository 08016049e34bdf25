/* SPDX-License-Identifier: Apache-2.0 */
#include "kallsyms.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kallsyms_parts.h"

enum {
	PAGE = 4096,
	MAX_MODULES = UINT16_MAX,
	NO_MODULE = 0,
};

#define HOLE      UINT32_MAX  /* as a name: nothing is known from this address on */
#define IN_MODULE 0x80000000u /* the name is followed by two bytes: the module's number */

/* Addresses as offsets from a base, because all symbols of a kernel lie within one or two 4 GiB. */
struct region {
	uint64_t base;
	size_t first; /* index of its first symbol */
};

struct uw_kallsyms {
	size_t n;
	uint32_t *addr; /* ascending within a region */
	uint32_t *name; /* offset into names, | IN_MODULE; or HOLE. The last one is a HOLE */
	struct region *regions;
	size_t nregions;
	char *names;
	size_t names_len, names_cap;
	char **modules; /* [0] is unused */
	size_t nmodules;
};

static int grow(void *array, size_t *cap, size_t need, size_t elem)
{
	void *p;
	size_t c = *cap ? *cap : 1024;

	if (need <= *cap)
		return 0;
	while (c < need)
		c += c / 2;
	memcpy(&p, array, sizeof p);
	p = reallocarray(p, c, elem);
	if (!p)
		return -ENOMEM;
	memcpy(array, &p, sizeof p);
	*cap = c;
	return 0;
}

/* The module's number. Symbols of a module come together: the last one seen is nearly always it. */
static int module_number(struct uw_kallsyms *k, const char *name, size_t len, uint16_t *ret)
{
	char **m;

	if (!name) {
		*ret = NO_MODULE;
		return 0;
	}
	for (size_t i = k->nmodules; i-- > 1;) {
		if (strncmp(k->modules[i], name, len) == 0 && k->modules[i][len] == '\0') {
			*ret = (uint16_t)i;
			return 0;
		}
	}
	if (k->nmodules == MAX_MODULES)
		return -E2BIG;
	m = reallocarray(k->modules, (k->nmodules ? k->nmodules : 1) + 1, sizeof *m);
	if (!m)
		return -ENOMEM;
	k->modules = m;
	if (k->nmodules == 0)
		m[k->nmodules++] = NULL;
	m[k->nmodules] = strndup(name, len);
	if (!m[k->nmodules])
		return -ENOMEM;
	*ret = (uint16_t)k->nmodules++;
	return 0;
}

static int add_name(struct uw_kallsyms *k, const struct kallsyms_symbol *s, uint16_t module,
		    uint32_t *ret)
{
	size_t need = k->names_len + s->name_len + 1 + sizeof module;
	char *dst;

	if (need >= IN_MODULE)
		return -E2BIG;
	if (grow(&k->names, &k->names_cap, need, 1) < 0)
		return -ENOMEM;
	dst = k->names + k->names_len;
	memcpy(dst, s->name, s->name_len);
	dst[s->name_len] = '\0';
	*ret = (uint32_t)k->names_len;
	k->names_len += s->name_len + 1;
	if (module != NO_MODULE) {
		memcpy(dst + s->name_len + 1, &module, sizeof module);
		k->names_len += sizeof module;
		*ret |= IN_MODULE;
	}
	return 0;
}

static uint16_t module_of(const struct uw_kallsyms *k, uint32_t name)
{
	uint16_t m = NO_MODULE;
	const char *s;

	if (name == HOLE || !(name & IN_MODULE))
		return NO_MODULE;
	s = k->names + (name & ~IN_MODULE);
	memcpy(&m, s + strlen(s) + 1, sizeof m);
	return m;
}

/* A symbol with nothing known behind it covers the rest of its page and one more. */
static uint64_t cap_of(uint64_t addr)
{
	uint64_t end = (addr | (PAGE - 1)) + PAGE + 1;

	return end > addr ? end : UINT64_MAX;
}

static int push(struct uw_kallsyms *k, uint64_t addr, uint32_t name)
{
	struct region *r = k->nregions ? &k->regions[k->nregions - 1] : NULL;

	if (!r || addr - r->base > UINT32_MAX) {
		r = reallocarray(k->regions, k->nregions + 1, sizeof *r);
		if (!r)
			return -ENOMEM;
		k->regions = r;
		r = &k->regions[k->nregions++];
		*r = (struct region){addr, k->n};
	}
	k->addr[k->n] = (uint32_t)(addr - r->base);
	k->name[k->n++] = name;
	return 0;
}

static void shrink(struct uw_kallsyms *k)
{
	uint32_t *a = reallocarray(k->addr, k->n ? k->n : 1, sizeof *a);
	uint32_t *b = reallocarray(k->name, k->n ? k->n : 1, sizeof *b);
	char *c = realloc(k->names, k->names_len ? k->names_len : 1);

	k->addr = a ? a : k->addr;
	k->name = b ? b : k->name;
	k->names = c ? c : k->names;
}

/* --- all symbols ----------------------------------------------------------------- */

struct entry {
	uint64_t addr;
	uint32_t name;
	uint8_t rank;
};

struct all {
	struct kallsyms_sink sink;
	struct uw_kallsyms *k;
	struct entry *entries;
	size_t n, cap;
};

static int all_symbol(struct kallsyms_sink *sink, const struct kallsyms_symbol *s)
{
	struct all *a = (struct all *)sink;
	struct entry e = {.addr = s->addr, .rank = s->rank};
	struct entry *last = a->n ? &a->entries[a->n - 1] : NULL;
	uint16_t module;
	int r;

	if (last && last->addr == e.addr && last->rank >= e.rank)
		return 0;
	r = module_number(a->k, s->module, s->module_len, &module);
	if (r == 0)
		r = add_name(a->k, s, module, &e.name);
	if (r == 0 && last && last->addr == e.addr) {
		*last = e;
		return 0;
	}
	if (r == 0)
		r = grow(&a->entries, &a->cap, a->n + 1, sizeof *a->entries);
	if (r < 0)
		return r;
	/* grow() made room. NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	a->entries[a->n++] = e;
	return 0;
}

static int by_addr(const void *x, const void *y)
{
	const struct entry *a = x, *b = y;

	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	if (a->rank != b->rank)
		return a->rank > b->rank ? -1 : 1;
	return a->name < b->name ? -1 : a->name > b->name;
}

/* The kernel's own symbols, nearly all of the file, come sorted; only those of modules do not. */
static int sort_entries(struct all *a)
{
	size_t sorted = a->n ? 1 : 0, i, j, k = 0;
	struct entry *out;

	while (sorted < a->n && by_addr(&a->entries[sorted - 1], &a->entries[sorted]) < 0)
		sorted++;
	if (sorted == a->n)
		return 0;
	if (sorted < a->n / 2) {
		qsort(a->entries, a->n, sizeof *a->entries, by_addr);
		return 0;
	}
	qsort(a->entries + sorted, a->n - sorted, sizeof *a->entries, by_addr);
	out = malloc(a->n * sizeof *out);
	if (!out)
		return -ENOMEM;
	for (i = 0, j = sorted; i < sorted || j < a->n;) {
		bool left = j == a->n ||
			    (i < sorted && by_addr(&a->entries[i], &a->entries[j]) < 0);

		out[k++] = a->entries[left ? i++ : j++];
	}
	free(a->entries);
	a->entries = out;
	return 0;
}

static int all_finish(struct all *a)
{
	struct uw_kallsyms *k = a->k;
	uint16_t module, next_module = NO_MODULE;
	size_t unique = 0;
	int r;

	r = sort_entries(a);
	if (r < 0)
		return r;
	for (size_t i = 0; i < a->n; i++) {
		if (unique == 0 || a->entries[unique - 1].addr != a->entries[i].addr)
			a->entries[unique++] = a->entries[i];
	}
	/* At most one hole a symbol; there is one a run of symbols of one module. */
	k->addr = malloc(unique * 2 * sizeof *k->addr);
	k->name = malloc(unique * 2 * sizeof *k->name);
	if (!k->addr || !k->name)
		return -ENOMEM;
	module = module_of(k, a->entries[0].name);
	for (size_t i = 0; i < unique && r == 0; i++, module = next_module) {
		const struct entry *e = &a->entries[i];
		bool last = i + 1 == unique;

		r = push(k, e->addr, e->name);
		if (!last)
			next_module = module_of(k, e[1].name);
		if (r == 0 && (last || (module != next_module && cap_of(e->addr) < e[1].addr)))
			r = push(k, cap_of(e->addr), HOLE);
	}
	if (r == 0)
		shrink(k);
	return r;
}

int uw_kallsyms_read(int fd, struct uw_kallsyms **ret)
{
	struct all a = {.sink.symbol = all_symbol};
	int r;

	a.k = calloc(1, sizeof *a.k);
	if (!a.k)
		return -ENOMEM;
	r = kallsyms_stream(fd, &a.sink);
	if (r == 0)
		r = all_finish(&a);
	free(a.entries);
	if (r < 0) {
		uw_kallsyms_free(a.k);
		return r;
	}
	*ret = a.k;
	return 0;
}

/* --- the symbols of some addresses ----------------------------------------------- */

/*
 * Slot i covers the addresses in (pcs[i-1], pcs[i]], the last slot for those above all pcs. Of
 * the symbols there the greatest names pcs[i], and the least bounds what lies below; a slot without
 * any takes from its neighbour when all is read. So each symbol costs one search, in any order.
 */
struct slot {
	struct kallsyms_symbol best; /* greatest address; addr 0: none */
	uint32_t name;               /* of best, once committed */
	uint16_t module;
	bool dirty;
	uint64_t least;
	uint16_t least_module;
	uint8_t least_rank;
};

struct some {
	struct kallsyms_sink sink;
	struct uw_kallsyms *k;
	const uint64_t *pcs;
	size_t n, hint;
	struct slot *slots; /* n + 1 */
	size_t *dirty;      /* slots whose best name is still in the read buffer */
	size_t ndirty;
};

static size_t slot_of(struct some *s, uint64_t addr)
{
	size_t lo = 0, hi = s->n, h = s->hint;

	if ((h == 0 || s->pcs[h - 1] < addr) && (h == s->n || addr <= s->pcs[h]))
		return h;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->pcs[mid] < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	s->hint = lo;
	return lo;
}

static int some_symbol(struct kallsyms_sink *sink, const struct kallsyms_symbol *sym)
{
	struct some *s = (struct some *)sink;
	size_t i = slot_of(s, sym->addr);
	struct slot *slot = &s->slots[i];
	bool better, less;
	uint16_t module;
	int r;

	better = i < s->n && (sym->addr > slot->best.addr ||
			      (sym->addr == slot->best.addr && sym->rank > slot->best.rank));
	less = sym->addr < slot->least ||
	       (sym->addr == slot->least && sym->rank > slot->least_rank);
	if (!better && !less)
		return 0;
	r = module_number(s->k, sym->module, sym->module_len, &module);
	if (r < 0)
		return r;
	if (less) {
		slot->least = sym->addr;
		slot->least_module = module;
		slot->least_rank = sym->rank;
	}
	if (better) {
		slot->best = *sym;
		slot->module = module;
		if (!slot->dirty) {
			slot->dirty = true;
			s->dirty[s->ndirty++] = i;
		}
	}
	return 0;
}

static int some_commit(struct kallsyms_sink *sink)
{
	struct some *s = (struct some *)sink;

	while (s->ndirty > 0) {
		struct slot *slot = &s->slots[s->dirty[--s->ndirty]];
		int r = add_name(s->k, &slot->best, slot->module, &slot->name);

		if (r < 0)
			return r;
		slot->dirty = false;
	}
	return 0;
}

static int some_finish(struct some *s)
{
	struct uw_kallsyms *k = s->k;
	uint64_t next = s->slots[s->n].least;
	uint16_t next_module = s->slots[s->n].least_module;
	uint64_t *ends;
	int r = 0;

	ends = malloc((s->n ? s->n : 1) * sizeof *ends);
	k->addr = malloc((s->n * 2 + 1) * sizeof *k->addr);
	k->name = malloc((s->n * 2 + 1) * sizeof *k->name);
	if (!ends || !k->addr || !k->name) {
		free(ends);
		return -ENOMEM;
	}
	/* Downwards: what bounds the symbol of each slot. */
	for (size_t i = s->n; i-- > 0;) {
		const struct slot *slot = &s->slots[i];

		if (slot->best.addr == 0)
			continue;
		ends[i] = next;
		if ((next == UINT64_MAX || next_module != slot->module) &&
		    cap_of(slot->best.addr) < next)
			ends[i] = cap_of(slot->best.addr);
		next = slot->least;
		next_module = slot->least_module;
	}
	for (size_t i = 0; i < s->n && r == 0; i++) {
		if (s->slots[i].best.addr == 0)
			continue;
		r = push(k, s->slots[i].best.addr, s->slots[i].name);
		if (r == 0)
			r = push(k, ends[i], HOLE);
	}
	free(ends);
	if (r == 0)
		shrink(k);
	return r;
}

int uw_kallsyms_resolve(int fd, const uint64_t *pcs, size_t n, struct uw_kallsyms **ret)
{
	struct some s = {.sink = {some_symbol, some_commit}, .pcs = pcs, .n = n};
	int r;

	s.k = calloc(1, sizeof *s.k);
	s.slots = calloc(n + 1, sizeof *s.slots);
	s.dirty = calloc(n + 1, sizeof *s.dirty);
	r = s.k && s.slots && s.dirty ? 0 : -ENOMEM;
	for (size_t i = 0; r == 0 && i <= n; i++)
		s.slots[i].least = UINT64_MAX;
	if (r == 0)
		r = kallsyms_stream(fd, &s.sink);
	if (r == 0)
		r = some_finish(&s);
	free(s.slots);
	free(s.dirty);
	if (r < 0) {
		uw_kallsyms_free(s.k);
		return r;
	}
	*ret = s.k;
	return 0;
}

/* --- tables made and read by others in this folder ------------------------------- */

int uw_ktable_new(size_t max_symbols, struct uw_kallsyms **ret)
{
	struct uw_kallsyms *k = calloc(1, sizeof *k);

	if (!k)
		return -ENOMEM;
	k->addr = reallocarray(NULL, max_symbols + 1, 2 * sizeof *k->addr);
	k->name = reallocarray(NULL, max_symbols + 1, 2 * sizeof *k->name);
	if (!k->addr || !k->name) {
		uw_kallsyms_free(k);
		return -ENOMEM;
	}
	*ret = k;
	return 0;
}

int uw_ktable_add(struct uw_kallsyms *k, const struct uw_ksym *s, uint64_t end)
{
	struct kallsyms_symbol sym = {.name = s->name, .name_len = (uint32_t)strlen(s->name)};
	uint16_t module;
	uint32_t name;
	int r;

	r = module_number(k, s->module, s->module ? strlen(s->module) : 0, &module);
	if (r == 0)
		r = add_name(k, &sym, module, &name);
	if (r == 0)
		r = push(k, s->addr, name);
	return r < 0 ? r : push(k, end, HOLE);
}

bool uw_ktable_next(const struct uw_kallsyms *k, struct uw_ktable_pos *pos, struct uw_ksym *ret)
{
	size_t i = pos->entry;
	uint16_t m;

	if (i >= k->n)
		return false;
	while (pos->region + 1 < k->nregions && k->regions[pos->region + 1].first <= i)
		pos->region++;
	pos->entry++;
	*ret = (struct uw_ksym){.addr = k->regions[pos->region].base + k->addr[i]};
	if (k->name[i] == HOLE)
		return true;
	ret->name = k->names + (k->name[i] & ~IN_MODULE);
	m = module_of(k, k->name[i]);
	ret->module = m == NO_MODULE ? NULL : k->modules[m];
	return true;
}

void uw_kallsyms_free(struct uw_kallsyms *k)
{
	if (!k)
		return;
	for (size_t i = 1; i < k->nmodules; i++)
		free(k->modules[i]);
	free(k->modules);
	free(k->regions);
	free(k->names);
	free(k->addr);
	free(k->name);
	free(k);
}

const char *uw_kallsyms_name(const struct uw_kallsyms *k, uint64_t pc, const char **module,
			     uint64_t *start)
{
	size_t r = k->nregions, lo, hi;
	uint32_t name;
	uint16_t m;

	while (r > 0 && k->regions[r - 1].base > pc)
		r--;
	if (r == 0)
		return NULL;
	lo = k->regions[r - 1].first;
	hi = r < k->nregions ? k->regions[r].first : k->n;
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (k->regions[r - 1].base + k->addr[mid] <= pc)
			lo = mid;
		else
			hi = mid;
	}
	name = k->name[lo];
	if (name == HOLE)
		return NULL;
	m = module_of(k, name);
	if (module)
		*module = m == NO_MODULE ? NULL : k->modules[m];
	if (start)
		*start = k->regions[r - 1].base + k->addr[lo];
	return k->names + (name & ~IN_MODULE);
}
