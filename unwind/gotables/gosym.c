/* SPDX-License-Identifier: Apache-2.0 */
#include "gosym.h"

#include <errno.h>
#include <stdlib.h>

#include "golayout.h"
#include "gosym_parts.h"

/* --- functions at which a walk has a rule of its own ----------------------------- */

enum { ASM_ONLY = 1 }; /* a Go function of that name, in another version or on arm64, is normal */

static const struct special {
	const char *name;
	uint8_t special;
	uint8_t when;
} specials[] = {
	{"runtime.goexit", UW_GO_GOEXIT, 0},
	{"runtime.mstart", UW_GO_MSTART, 0},
	{"runtime.rt0_go", UW_GO_RT0, 0},
	{"runtime.mcall", UW_GO_MCALL, 0},
	{"runtime.morestack", UW_GO_MORESTACK, 0},
	{"runtime.systemstack", UW_GO_SYSTEMSTACK, 0},
	{"runtime.systemstack_switch", UW_GO_SYSTEMSTACK_SWITCH, 0},
	{"runtime.asmcgocall", UW_GO_ASMCGOCALL, 0},
	{"runtime.cgocallback", UW_GO_CGOCALLBACK, 0},
	{"runtime.gogo", UW_GO_GOGO, 0},
	{"gogo", UW_GO_GOGO, 0},
	{"runtime.sigpanic", UW_GO_SIGPANIC, 0},
	{"runtime.sigpanic0", UW_GO_SIGPANIC, 0},
	{"runtime.asyncPreempt", UW_GO_ASYNCPREEMPT, 0},
	{"runtime.debugCallV1", UW_GO_DEBUGCALL, 0},
	{"runtime.debugCallV2", UW_GO_DEBUGCALL, 0},
	{"runtime.sigtramp", UW_GO_SIGTRAMP, 0},
	{"runtime.cgoSigtramp", UW_GO_SIGTRAMP, 0},
	{"runtime.sigreturn", UW_GO_SIGRETURN, 0},
	{"runtime.sigreturn__sigaction", UW_GO_SIGRETURN, 0},
	{"runtime.nanotime1", UW_GO_VDSO_CALLER, 0},
	{"runtime.walltime", UW_GO_VDSO_CALLER, 0},
	{"runtime.walltime1", UW_GO_VDSO_CALLER, 0},
	{"time.now", UW_GO_VDSO_CALLER, ASM_ONLY},
};

static enum uw_go_special special_of(const char *name, uint8_t flags)
{
	if (name[0] == '_')
		return strncmp(name, "_rt0_", 5) == 0 ? UW_GO_RT0 : UW_GO_NORMAL;
	if (name[0] == 'r' ? strncmp(name, "runtime.", 8) != 0 : name[0] != 'g' && name[0] != 't')
		return UW_GO_NORMAL;
	for (size_t i = 0; i < sizeof specials / sizeof specials[0]; i++) {
		if (strcmp(specials[i].name, name) != 0)
			continue;
		if (specials[i].when == ASM_ONLY && !(flags & (UW_GO_SPWRITE | UW_GO_ASM)))
			return UW_GO_NORMAL;
		return specials[i].special;
	}
	return UW_GO_NORMAL;
}

/* Versions without flags: the roots, which the walker ends at. */
static uint8_t flags_of(enum uw_go_special special)
{
	return special == UW_GO_GOEXIT || special == UW_GO_MSTART || special == UW_GO_RT0
		       ? UW_GO_TOPFRAME
		       : 0;
}

/* --- what is known of the binary ------------------------------------------------- */

const char *uw_go_version(const struct uw_go *go)
{
	return go->build.version;
}

int uw_go_minor(const struct uw_go *go)
{
	return go->minor;
}

bool uw_go_guessed(const struct uw_go *go)
{
	return go->guessed;
}

void uw_go_text(const struct uw_go *go, uint64_t *lo, uint64_t *hi)
{
	*lo = go->mod.minpc;
	*hi = go->mod.maxpc;
}

size_t uw_go_nfuncs(const struct uw_go *go)
{
	return go->mod.nfuncs;
}

uint64_t uw_go_moduledata(const struct uw_go *go)
{
	return go->mod.addr;
}

const struct uw_go_range *uw_go_vars(const struct uw_go *go)
{
	return go->mod.vars;
}

const struct uw_golayout *uw_go_layout(const struct uw_go *go)
{
	return go->mod.layout;
}

const char *uw_go_modinfo(const struct uw_go *go, size_t *len)
{
	*len = go->build.mod_len;
	return go->build.mod;
}

/* --- the function table ---------------------------------------------------------- */

/* Keys of the table are addresses or offsets in text; an opened table has nfuncs + 1. */
static uint64_t key_at(const struct uw_gomodule *m, size_t i)
{
	uint64_t v64;
	uint32_t v32;

	if (m->layout->pc_size == 8) {
		memcpy(&v64, m->funcs.at + i * 16, sizeof v64);
		return v64;
	}
	memcpy(&v32, m->funcs.at + i * 8, sizeof v32);
	return v32;
}

static uint64_t record_at(const struct uw_gomodule *m, size_t i)
{
	uint64_t v64;
	uint32_t v32;

	if (m->layout->pc_size == 8) {
		memcpy(&v64, m->funcs.at + i * 16 + 8, sizeof v64);
		return v64;
	}
	memcpy(&v32, m->funcs.at + i * 8 + 4, sizeof v32);
	return v32;
}

static bool key_of(const struct uw_gomodule *m, uint64_t pc, uint64_t *ret)
{
	if (m->layout->pc_size == 8) {
		*ret = pc + m->table_bias;
		return true;
	}
	for (size_t i = 0; i < m->nsects; i++) {
		const struct uw_gosect *s = &m->sects[i];

		if (pc - s->base < s->end - s->off) {
			*ret = pc - s->base + s->off;
			return true;
		}
	}
	*ret = pc - m->text;
	return m->nsects == 0 && *ret <= UINT32_MAX;
}

static uint64_t pc_of(const struct uw_gomodule *m, uint64_t key)
{
	if (m->layout->pc_size == 8)
		return key - m->table_bias;
	for (size_t i = 0; i < m->nsects; i++)
		if (key >= m->sects[i].off && key < m->sects[i].end)
			return m->sects[i].base + (key - m->sects[i].off);
	return m->text + key;
}

/* The i-th function; false when its record is damaged. */
static bool func_at_index(const struct uw_go *go, size_t i, struct uw_go_func *ret)
{
	const struct uw_gomodule *m = &go->mod;
	const struct uw_golayout *l = m->layout;
	uint64_t key = key_at(m, i), next = key_at(m, i + 1);
	struct uw_go_func f = {.index = (uint32_t)i, .record = record_at(m, i)};
	struct uw_bytes b = go_record_of(go, &f);
	const uint8_t *rec = uw_bytes_take(&b, l->func.nfuncdata + 1);
	uint32_t name;

	if (!rec || next < key)
		return false;
	f.entry = pc_of(m, key);
	f.end = f.entry + (next - key);
	f.func_id = rec[l->func.id];
	f.wrapper = f.func_id == go->id_wrapper;
	memcpy(&name, rec + l->func.name, sizeof name);
	if (l->func.flag != UW_GO_NONE)
		f.flags = rec[l->func.flag];
	/*
	 * Since go1.18, which also made offsets of the pcs, every special function has a number or
	 * a flag: the names of all the others need not be read.
	 */
	if (!f.wrapper && (l->pc_size == 8 || f.func_id || f.flags))
		f.special = special_of(go_name_at(go, name), f.flags);
	if (l->func.flag == UW_GO_NONE)
		f.flags = flags_of(f.special);
	*ret = f;
	return true;
}

/*
 * Where to look in the table, by the runtime's own index of it: three places in memory where a
 * binary search of a large program touches ten. Its content is checked like everything else.
 */
static void narrow(const struct uw_gomodule *m, uint64_t pc, uint64_t key, size_t *lo, size_t *hi)
{
	uint64_t at = (pc - m->minpc) / UW_GO_FIND_SPAN * UW_GO_FIND_BYTES;
	struct uw_bytes b = m->find;
	size_t first = (size_t)uw_bytes_u32_at(&b, at) +
		       uw_bytes_u8_at(&b,
				      at + 4 + (pc - m->minpc) % UW_GO_FIND_SPAN / UW_GO_FIND_STEP);
	size_t last = first + UW_GO_FIND_STEP; /* no function is shorter than a byte */

	if (b.bad || first >= m->nfuncs || key_at(m, first) > key)
		return;
	*lo = first;
	/* Short steps first: most functions are longer than the rest of the 256 bytes. */
	for (size_t step = 2; first + step < last && first + step < m->nfuncs; step *= 2) {
		if (key_at(m, first + step) > key) {
			*hi = first + step;
			return;
		}
		*lo = first + step;
	}
}

bool uw_go_func_at(const struct uw_go *go, uint64_t pc, struct uw_go_func *ret)
{
	const struct uw_gomodule *m = &go->mod;
	size_t lo = 0, hi = m->nfuncs;
	uint64_t key;

	if (pc < m->minpc || pc >= m->maxpc || !key_of(m, pc, &key))
		return false;
	narrow(m, pc, key, &lo, &hi);
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (key_at(m, mid) <= key)
			lo = mid;
		else
			hi = mid;
	}
	if (key < key_at(m, lo) || key >= key_at(m, lo + 1))
		return false;
	return func_at_index(go, lo, ret);
}

/*
 * The first function of that name from index *i on, which is set to its index. Reads two words a
 * function; packages lie in dependency order, so those of the runtime come early.
 */
static bool find_named(const struct uw_go *go, const char *name, size_t *i, struct uw_go_func *ret)
{
	const struct uw_gomodule *m = &go->mod;
	size_t len = strlen(name) + 1;

	for (; *i < m->nfuncs; ++*i) {
		struct uw_bytes b = uw_bytes_from(m->funcs, record_at(m, *i));
		uint32_t off = uw_bytes_u32_at(&b, m->layout->func.name);
		struct uw_bytes n = uw_bytes_from(m->names, off);
		const uint8_t *s = uw_bytes_take(&n, len);

		if (s && memcmp(s, name, len) == 0 && func_at_index(go, *i, ret))
			return true;
	}
	return false;
}

bool uw_go_func_named(const struct uw_go *go, const char *name, struct uw_go_func *ret)
{
	struct uw_go_func f;

	for (size_t i = 0; find_named(go, name, &i, &f); i++) {
		if (!f.wrapper) {
			*ret = f;
			return true;
		}
	}
	return false;
}

const char *uw_go_func_name(const struct uw_go *go, const struct uw_go_func *f)
{
	struct uw_bytes b = go_record_of(go, f);
	uint32_t off = uw_bytes_u32_at(&b, go->mod.layout->func.name);

	return b.bad ? "" : go_name_at(go, off);
}

/* --- tables of values by pc ------------------------------------------------------ */

/* A varint of at most 32 bits, as runtime.readvarint; false at the end of the table. */
static inline bool varint(const uint8_t **p, const uint8_t *end, uint32_t *ret)
{
	uint32_t v = 0;

	for (unsigned shift = 0; *p < end && shift < 35; shift += 7) {
		uint8_t byte = *(*p)++;

		v |= (uint32_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret = v;
			return true;
		}
	}
	return false;
}

/*
 * The value at pc of the table at off, -1 for none: pairs of (change of the value, length in pc
 * quanta), which cover the function from its entry on (runtime/symtab.go pcvalue and step). With
 * `last`, it goes on from where an earlier search in the same table (of this or of another
 * function: equal tables are one) ended, if that was not beyond.
 */
int32_t go_pcvalue(const struct uw_go *go, uint32_t off, const struct uw_go_func *f, uint64_t pc,
		   struct uw_go_place *last)
{
	struct uw_bytes b = uw_bytes_from(go->mod.pctab, off);
	const uint8_t *p = b.at, *first = p;
	uint64_t left = pc - f->entry; /* bytes of text still to cover */
	uint32_t v = (uint32_t)-1;

	if (off == 0 || b.bad || pc < f->entry || pc >= f->end)
		return -1;
	if (last && last->table == off && last->covered <= left) {
		p += last->read;
		v = last->value;
		left -= last->covered;
	}
	for (;;) {
		const uint8_t *pair = p;
		uint32_t dv, dpc, before = v;
		bool begin = p == first;
		uint64_t covers;

		if (b.end - p >= 2 && !((p[0] | p[1]) & 0x80)) { /* a byte each, as nearly all */
			dv = *p++;
			dpc = *p++;
		} else if (!varint(&p, b.end, &dv) || !varint(&p, b.end, &dpc)) {
			return -1;
		}
		if (dv == 0 && !begin)
			return -1;
		v += dv & 1 ? ~(dv >> 1) : dv >> 1;
		covers = (uint64_t)dpc * go->mod.quantum;
		if (left < covers) {
			if (last)
				*last = (struct uw_go_place){.table = off,
							     .read = (uint32_t)(pair - first),
							     .value = before,
							     .covered = pc - f->entry - left};
			return (int32_t)v;
		}
		left -= covers;
	}
}

int32_t go_field_value(const struct uw_go *go, const struct uw_go_func *f, uint16_t field,
		       uint64_t pc, struct uw_go_place *last)
{
	struct uw_bytes b = go_record_of(go, f);

	return go_pcvalue(go, uw_bytes_u32_at(&b, field), f, pc, last);
}

int32_t uw_go_sp_delta(const struct uw_go *go, const struct uw_go_func *f, uint64_t pc)
{
	return go_field_value(go, f, go->mod.layout->func.pcsp, pc, NULL);
}

/* --- opening --------------------------------------------------------------------- */

/*
 * The number that the binary itself gives to runtime.systemstack, -1 when it has none. The wrapper
 * that shares the name is identified by its flags, because its number is not known yet.
 */
static int id_of_systemstack(const struct uw_go *go)
{
	bool has_flags = go->mod.layout->func.flag != UW_GO_NONE;
	struct uw_go_func f;

	for (size_t i = 0; find_named(go, "runtime.systemstack", &i, &f); i++)
		if (has_flags ? f.flags != 0 : !f.wrapper)
			return f.func_id;
	return -1;
}

/*
 * The rows of newer versions are unknown, but their function ids have so far grown in the middle of
 * an alphabetical list that ends with systemstack, systemstack_switch, wrapper (internal/abi
 * funcs). So the number of the one that is found by name gives the number of the other.
 */
static void adjust_ids(struct uw_go *go)
{
	const struct uw_golayout *l = go->mod.layout;
	int id = id_of_systemstack(go);

	if (id > 0)
		go->id_wrapper = (uint8_t)(id + (l->id_wrapper - l->id_systemstack));
}

/* What the row says must agree with a function that every Go binary has. */
static bool ids_match(const struct uw_go *go)
{
	return id_of_systemstack(go) == go->mod.layout->id_systemstack;
}

static int open_known(struct uw_go *go, int minor, int patch, const struct uw_mem *live,
		      uint64_t bias, struct uw_diag *diag)
{
	const struct uw_golayout *l = uw_golayout_for(minor, patch);
	int r;

	if (!l)
		return uw_fail(diag, "go1.15 or older", 0, ENOTSUP);
	r = uw_gomodule_open(go->elf, l, live, bias, &go->mod, diag);
	if (r < 0)
		return r;
	go->minor = minor;
	go->guessed = uw_golayout_guessed(minor);
	go->id_wrapper = l->id_wrapper;
	if (go->guessed)
		adjust_ids(go);
	return 0;
}

/* No version: the rows that share the magic and fit the tables, newest first. */
static int open_unknown(struct uw_go *go, const struct uw_mem *live, uint64_t bias,
			struct uw_diag *diag)
{
	int r = uw_gomodule_open(go->elf, NULL, live, bias, &go->mod, diag);
	const struct uw_golayout *l;

	if (r < 0)
		return r;
	for (l = go->mod.layout; l >= uw_golayouts && l->magic == go->mod.layout->magic; l--) {
		struct uw_gomodule m;

		go->id_wrapper = l->id_wrapper;
		go->minor = l->minor;
		if (l == go->mod.layout) {
			if (ids_match(go))
				return 0;
			continue;
		}
		if (uw_gomodule_open(go->elf, l, live, bias, &m, NULL) < 0)
			continue;
		uw_gomodule_fini(&go->mod);
		go->mod = m;
		if (ids_match(go))
			return 0;
	}
	return uw_fail(diag, "function ids", go->mod.header, EBADMSG);
}

int uw_go_open(const struct uw_elf *elf, const struct uw_mem *live, uint64_t bias,
	       struct uw_go **ret, struct uw_diag *diag)
{
	struct uw_go *go = calloc(1, sizeof *go);
	bool has_build;
	int minor, patch, r;

	if (!go)
		return uw_fail(diag, "Go tables", 0, ENOMEM);
	go->elf = elf;
	go->build.mod = "";
	has_build = uw_gobuild_read(elf, live, bias, &go->build);
	if (has_build && uw_gobuild_version(go->build.version, &minor, &patch))
		r = open_known(go, minor, patch, live, bias, diag);
	else
		r = open_unknown(go, live, bias, diag);
	if (r == -ENOENT && has_build)
		r = uw_fail(diag, "pclntab", 0, EBADMSG);
	if (r < 0) {
		uw_go_free(go);
		return r;
	}
	*ret = go;
	return 0;
}

void uw_go_free(struct uw_go *go)
{
	if (!go)
		return;
	uw_gomodule_fini(&go->mod);
	free(go);
}
