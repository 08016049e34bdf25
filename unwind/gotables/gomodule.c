/* SPDX-License-Identifier: Apache-2.0 */
#include "gomodule.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>

#include "arch.h"

enum {
	HEADER_MAX = 72,   /* the longest pcHeader */
	MODULE_MAX = 1024, /* the longest moduledata, with room to grow */
	CHUNK = 64 << 10,  /* bytes of live memory that are looked at together */
	MAX_LIVE = 64 << 20,
	MAX_SECTS = 4096,
	MAX_COPY = 1 << 30,
	TEXTSECT = 24, /* sizeof runtime.textsect */
};

/* What the header says, checked. */
struct header {
	uint64_t addr;
	uint32_t magic;
	uint64_t nfunc, funcname, cu, filetab, pctab, pcln;
};

struct search {
	const struct uw_elf *elf;
	const struct uw_golayout *layout; /* NULL: to be found */
	const struct uw_mem *live;
	uint64_t bias;
	struct uw_diag *diag;
	struct uw_gomodule *ret;
	bool seen; /* a plausible header */
};

static uint8_t quantum_of(const struct uw_elf *elf)
{
	const struct uw_arch *arch = uw_arch_of(elf->machine);

	return arch ? arch->quantum : 1;
}

/* The eight bytes that every header starts with: magic, two zeros, pc quantum, pointer size. */
static uint64_t first_word(const struct uw_elf *elf, uint32_t magic)
{
	return magic | (uint64_t)quantum_of(elf) << 48 | 8ull << 56;
}

static bool read_header(const struct search *s, uint64_t addr, struct header *ret)
{
	size_t room = uw_elf_room(s->elf, addr);
	struct uw_bytes b = uw_bytes(uw_elf_at(s->elf, addr, room), room);
	const struct uw_golayout *l = uw_golayout_magic(uw_bytes_u32_at(&b, 0));
	struct header h = {.addr = addr};

	if (!l || uw_bytes_u64_at(&b, 0) != first_word(s->elf, l->magic))
		return false;
	h.magic = l->magic;
	h.nfunc = uw_bytes_u64_at(&b, l->header.nfunc);
	h.funcname = uw_bytes_u64_at(&b, l->header.funcname);
	h.cu = uw_bytes_u64_at(&b, l->header.cu);
	h.filetab = uw_bytes_u64_at(&b, l->header.filetab);
	h.pctab = uw_bytes_u64_at(&b, l->header.pctab);
	h.pcln = uw_bytes_u64_at(&b, l->header.pcln);
	if (b.bad || h.nfunc == 0 || h.nfunc > room / (2 * l->pc_size))
		return false;
	if (h.funcname >= room || h.cu >= room || h.filetab >= room || h.pctab >= room ||
	    h.pcln >= room)
		return false;
	*ret = h;
	return true;
}

/* --- moduledata ------------------------------------------------------------------ */

/* One candidate: its bytes, where they were read, and how its pointers become link-time addresses.
 */
struct candidate {
	const struct search *s;
	const struct header *h;
	struct uw_bytes raw;
	uint64_t addr;
	uint64_t rebase;
	bool from_live;
};

static uint64_t pointer(struct candidate *c, uint16_t off)
{
	uint64_t v = uw_bytes_u64_at(&c->raw, off);

	return v ? v - c->rebase : 0;
}

/* Six 64-bit words that must all be right: no accident can pass. */
static bool slices_match(struct candidate *c, const struct uw_golayout *l)
{
	const struct header *h = c->h;

	return pointer(c, 0) == h->addr &&
	       pointer(c, l->module.funcnametab) == h->addr + h->funcname &&
	       pointer(c, l->module.cutab) == h->addr + h->cu &&
	       pointer(c, l->module.filetab) == h->addr + h->filetab &&
	       pointer(c, l->module.pctab) == h->addr + h->pctab &&
	       pointer(c, l->module.pclntable) == h->addr + h->pcln && !c->raw.bad;
}

static bool in_memory(const struct uw_elf *elf, uint64_t vaddr)
{
	for (size_t i = 0; i < elf->nsegs; i++)
		if (vaddr - elf->segs[i].vaddr < elf->segs[i].memsz)
			return true;
	return false;
}

/* Reads words that the loader may have relocated, from where the candidate was found. */
static bool read_words(const struct candidate *c, uint64_t vaddr, void *buf, size_t len)
{
	const uint8_t *p;

	if (c->from_live)
		return uw_read(c->s->live, vaddr + c->rebase, buf, len) == 0;
	p = uw_elf_at(c->s->elf, vaddr, len);
	if (p)
		memcpy(buf, p, len);
	return p != NULL;
}

static bool read_sects(struct candidate *c, const struct uw_golayout *l, struct uw_gomodule *m)
{
	uint64_t addr = pointer(c, l->module.textsectmap);
	uint64_t n = uw_bytes_u64_at(&c->raw, l->module.textsectmap + 8);
	uint64_t cap = uw_bytes_u64_at(&c->raw, l->module.textsectmap + 16);
	struct uw_gosect *sects;

	if (c->raw.bad || n == 0 || n > MAX_SECTS || cap < n)
		return false;
	/* The loader gives a plugin the program's map: it has a name that both have. */
	if (n == 1 && !in_memory(c->s->elf, addr))
		return true;
	_Static_assert(sizeof *sects == TEXTSECT, "same fields in the same order");
	sects = calloc(n, sizeof *sects);
	if (!sects || !read_words(c, addr, sects, n * sizeof *sects)) {
		free(sects);
		return false;
	}
	for (uint64_t i = 0; i < n; i++)
		sects[i].base -= c->rebase;
	if (sects[0].base - sects[0].off != m->text) {
		free(sects);
		return false;
	}
	if (n == 1) { /* the usual case needs no map */
		free(sects);
		return true;
	}
	m->sects = sects;
	m->nsects = n;
	return true;
}

/* A table of the module: as long as moduledata says, but not past the end of the bytes. */
static struct uw_bytes table(struct candidate *c, const struct uw_gomodule *m, uint16_t slice,
			     size_t width)
{
	uint64_t addr = pointer(c, slice), len = uw_bytes_u64_at(&c->raw, slice + 8);
	size_t room = uw_elf_room(c->s->elf, addr);
	const uint8_t *p = uw_elf_at(c->s->elf, addr, room);

	len = len > room / width ? room : len * width;
	if (m->copy)
		p = m->copy + (addr - m->header);
	return uw_bytes(p, len);
}

/* A pointer alone, right behind the slice ftab in all versions; its length follows from the text.
 */
static struct uw_bytes find_table(struct candidate *c, const struct uw_golayout *l,
				  const struct uw_gomodule *m)
{
	uint64_t addr = pointer(c, l->module.ftab + 24), size = m->maxpc - m->minpc;
	size_t len = (size / UW_GO_FIND_SPAN + 1) * UW_GO_FIND_BYTES;
	size_t room = m->minpc < m->maxpc ? uw_elf_room(c->s->elf, addr) : 0;

	return uw_bytes(uw_elf_at(c->s->elf, addr, room), len < room ? len : room);
}

static uint64_t table_end(struct candidate *c, uint16_t slice, size_t width)
{
	uint64_t addr = pointer(c, slice), len = uw_bytes_u64_at(&c->raw, slice + 8);
	size_t room = uw_elf_room(c->s->elf, addr);

	return addr + (len > room / width ? room : len * width);
}

/*
 * Up to Go 1.17 the tables themselves hold addresses. Where the loader fills those in, the tables
 * are read from memory, once.
 */
static bool copy_tables(struct candidate *c, const struct uw_golayout *l, struct uw_gomodule *m)
{
	uint64_t end = 0,
		 ends[] = {
			 table_end(c, l->module.funcnametab, 1), table_end(c, l->module.cutab, 4),
			 table_end(c, l->module.filetab, 1),     table_end(c, l->module.pctab, 1),
			 table_end(c, l->module.pclntable, 1),
		 };

	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
		end = ends[i] > end ? ends[i] : end;
	if (end - m->header > MAX_COPY)
		return false;
	m->copy = malloc(end - m->header);
	m->table_bias = c->rebase;
	return m->copy && uw_read(c->s->live, m->header + c->rebase, m->copy, end - m->header) == 0;
}

static uint64_t functab_pc(const struct uw_gomodule *m, size_t i)
{
	struct uw_bytes b = m->funcs;
	uint32_t off;

	if (m->layout->pc_size == 8)
		return uw_bytes_u64_at(&b, i * 16) - m->table_bias;
	off = uw_bytes_u32_at(&b, i * 8);
	for (size_t k = 0; k < m->nsects; k++)
		if (off >= m->sects[k].off &&
		    (off < m->sects[k].end || (k + 1 == m->nsects && off == m->sects[k].end)))
			return m->sects[k].base + (off - m->sects[k].off);
	return m->text + off;
}

/* The same invariants that the runtime checks at start, runtime/symtab.go moduledataverify1. */
static bool bounds_match(const struct uw_gomodule *m)
{
	return m->minpc < m->maxpc && m->text <= m->etext && functab_pc(m, 0) == m->minpc &&
	       functab_pc(m, m->nfuncs) == m->maxpc;
}

/* Only the finder of variables uses these: nonsense is made empty, and does no harm.
 */
static void read_vars(struct candidate *c, const struct uw_golayout *l, struct uw_gomodule *m)
{
	const uint16_t at[UW_GO_SEGMENTS] = {
		[UW_GO_NOPTRDATA] = l->module.noptrdata,
		[UW_GO_DATA] = l->module.data,
		[UW_GO_BSS] = l->module.bss,
		[UW_GO_NOPTRBSS] = l->module.noptrbss,
	};

	for (size_t i = 0; i < UW_GO_SEGMENTS; i++) {
		uint64_t lo = pointer(c, at[i]), hi = pointer(c, at[i] + 8);

		if (lo < hi && in_memory(c->s->elf, lo) && in_memory(c->s->elf, hi - 1))
			m->vars[i] = (struct uw_go_range){lo, hi};
	}
}

static bool fill(struct candidate *c, const struct uw_golayout *l, struct uw_gomodule *m)
{
	m->layout = l;
	m->addr = c->addr;
	m->header = c->h->addr;
	m->quantum = quantum_of(c->s->elf);
	m->nfuncs = c->h->nfunc;
	m->minpc = pointer(c, l->module.minpc);
	m->maxpc = pointer(c, l->module.maxpc);
	m->text = pointer(c, l->module.text);
	m->etext = pointer(c, l->module.etext);
	read_vars(c, l, m);
	m->funcs_addr = c->h->addr + c->h->pcln;
	if (pointer(c, l->module.ftab) != m->funcs_addr ||
	    uw_bytes_u64_at(&c->raw, l->module.ftab + 8) != m->nfuncs + 1)
		return false;
	if (uw_bytes_u8_at(&c->raw, l->module.hasmain) > 1 ||
	    uw_bytes_u8_at(&c->raw, l->module.bad) > 1 || c->raw.bad)
		return false;
	if (!in_memory(c->s->elf, m->text))
		return false;
	if (l->module.gofunc != UW_GO_NONE) {
		m->gofunc = pointer(c, l->module.gofunc);
		if (!in_memory(c->s->elf, m->gofunc) || !read_sects(c, l, m))
			return false;
	}
	if (l->pc_size == 8 && c->from_live && !copy_tables(c, l, m))
		return false;
	m->names = table(c, m, l->module.funcnametab, 1);
	m->cutab = table(c, m, l->module.cutab, 4);
	m->files = table(c, m, l->module.filetab, 1);
	m->pctab = table(c, m, l->module.pctab, 1);
	m->funcs = table(c, m, l->module.pclntable, 1);
	m->find = find_table(c, l, m);
	return (m->nfuncs + 1) * 2 * l->pc_size <= uw_bytes_left(&m->funcs) && bounds_match(m);
}

/* Tries the row of the version, or, when that is not known, the rows with this magic. */
static bool accept(struct candidate *c)
{
	for (size_t i = uw_golayouts_count; i-- > 0;) {
		const struct uw_golayout *l = &uw_golayouts[i];
		struct uw_gomodule m = {0};

		if (l->magic != c->h->magic || (c->s->layout && c->s->layout != l))
			continue;
		if (!slices_match(c, l))
			return false;
		if (fill(c, l, &m)) {
			*c->s->ret = m;
			return true;
		}
		uw_gomodule_fini(&m);
	}
	return false;
}

/* --- where to look --------------------------------------------------------------- */

static bool search_bytes(const struct search *s, const struct header *h, uint64_t vaddr,
			 const uint8_t *p, size_t size, size_t usable, uint64_t bias, bool live)
{
	uint64_t want = h->addr + bias;

	for (size_t at = -vaddr & 7; at + 8 <= usable; at += 8) {
		struct candidate c;
		uint64_t word;

		memcpy(&word, p + at, sizeof word);
		if (word != want)
			continue;
		c = (struct candidate){
			.s = s,
			.h = h,
			.raw = uw_bytes(p + at, size - at),
			.addr = vaddr + at,
			.rebase = bias,
			.from_live = live,
		};
		if (accept(&c))
			return true;
	}
	return false;
}

static bool search_file(const struct search *s, const struct header *h)
{
	static const char *const hints[] = {".go.module", ".noptrdata"};
	struct uw_section sec;

	for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
		const uint8_t *p;

		if (!uw_elf_section(s->elf, hints[i], &sec))
			continue;
		p = uw_elf_at(s->elf, sec.vaddr, sec.size);
		if (p && search_bytes(s, h, sec.vaddr, p, sec.size, sec.size, 0, false))
			return true;
	}
	for (size_t i = 0; i < s->elf->nsegs; i++) {
		const struct uw_segment *g = &s->elf->segs[i];
		const uint8_t *p = g->flags & PF_W ? uw_elf_at(s->elf, g->vaddr, g->filesz) : NULL;

		if (p && search_bytes(s, h, g->vaddr, p, g->filesz, g->filesz, 0, false))
			return true;
	}
	return false;
}

/* The file-backed part of one writable segment, chunk after chunk; each starts before the end of
 * the last, so that a moduledata on the border is seen whole. */
static bool search_live_range(const struct search *s, const struct header *h, uint64_t vaddr,
			      uint64_t size, uint8_t *buf)
{
	for (uint64_t at = 0; at < size && at < MAX_LIVE; at += CHUNK) {
		size_t len = size - at < CHUNK + MODULE_MAX ? size - at : CHUNK + MODULE_MAX;

		if (uw_read(s->live, vaddr + at + s->bias, buf, len) < 0)
			continue;
		if (search_bytes(s, h, vaddr + at, buf, len, len < CHUNK ? len : CHUNK, s->bias,
				 true))
			return true;
	}
	return false;
}

static bool search_live(const struct search *s, const struct header *h)
{
	struct uw_section sec;
	uint8_t *buf;
	bool found = false;

	if (!s->live)
		return false;
	buf = malloc(CHUNK + MODULE_MAX);
	if (!buf)
		return false;
	if (uw_elf_section(s->elf, ".go.module", &sec) ||
	    uw_elf_section(s->elf, ".noptrdata", &sec))
		found = search_live_range(s, h, sec.vaddr, sec.size, buf);
	for (size_t i = 0; !found && i < s->elf->nsegs; i++) {
		const struct uw_segment *g = &s->elf->segs[i];

		if (g->flags & PF_W)
			found = search_live_range(s, h, g->vaddr, g->filesz, buf);
	}
	free(buf);
	return found;
}

/* 1: found and verified; 0: go on looking; negative errno: no use. */
static int try_header(struct search *s, uint64_t addr)
{
	const uint8_t *p = uw_elf_at(s->elf, addr, 8);
	struct header h;

	if (p && memcmp(p, &(uint64_t){first_word(s->elf, UW_GO_MAGIC_12)}, 8) == 0)
		return uw_fail(s->diag, "pclntab of go1.15 or older", addr, ENOTSUP);
	if (!read_header(s, addr, &h))
		return 0;
	s->seen = true;
	return search_file(s, &h) || search_live(s, &h);
}

static int scan_headers(struct search *s, uint64_t vaddr, uint64_t size)
{
	const uint8_t *p = uw_elf_at(s->elf, vaddr, size);
	uint64_t tail = first_word(s->elf, 0);

	for (uint64_t at = -vaddr & 7; p && at + HEADER_MAX <= size; at += 8) {
		uint64_t word;
		int r;

		memcpy(&word, p + at, sizeof word);
		/* 0xfffffff0, f1, fa, fb: one comparison that most words fail */
		if ((word & ~0xfull) != (tail | 0xfffffff0))
			continue;
		/* A lone magic of an old Go, met by scanning, proves nothing. */
		if ((uint32_t)word == UW_GO_MAGIC_12)
			continue;
		r = try_header(s, vaddr + at);
		if (r)
			return r;
	}
	return 0;
}

static int search_hints(struct search *s)
{
	static const char *const own[] = {".gopclntab", ".data.rel.ro.gopclntab"};
	struct uw_section sec;
	int r;

	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
		if (!uw_elf_section(s->elf, own[i], &sec))
			continue;
		r = try_header(s, sec.vaddr);
		if (r)
			return r;
	}
	/* Up to 1.25 a C linker merges it into this section of a position-independent file. */
	if (uw_elf_section(s->elf, ".data.rel.ro", &sec))
		return scan_headers(s, sec.vaddr, sec.size);
	return 0;
}

/* Without any of these it's not worth to read a whole file of, say, a browser. */
bool uw_gomodule_maybe(const struct uw_elf *elf)
{
	static const char *const names[] = {
		".go.buildinfo",    ".gopclntab", ".data.rel.ro.gopclntab",
		".note.go.buildid", ".noptrdata", ".noptrbss"};
	struct uw_section sec;

	if (elf->nsections == 0)
		return true;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (uw_elf_section(elf, names[i], &sec))
			return true;
	return false;
}

int uw_gomodule_open(const struct uw_elf *elf, const struct uw_golayout *layout,
		     const struct uw_mem *live, uint64_t bias, struct uw_gomodule *ret,
		     struct uw_diag *diag)
{
	struct search s = {
		.elf = elf,
		.layout = layout,
		.live = live,
		.bias = bias,
		.diag = diag,
		.ret = ret,
	};
	int r;

	if (!uw_gomodule_maybe(elf))
		return uw_fail(diag, "pclntab", 0, ENOENT);
	r = search_hints(&s);
	for (size_t i = 0; r == 0 && i < elf->nsegs; i++)
		r = scan_headers(&s, elf->segs[i].vaddr, elf->segs[i].filesz);
	if (r == 0)
		return s.seen ? uw_fail(diag, "moduledata", 0, EBADMSG)
			      : uw_fail(diag, "pclntab", 0, ENOENT);
	return r < 0 ? r : 0;
}

void uw_gomodule_fini(struct uw_gomodule *m)
{
	free(m->sects);
	free(m->copy);
	m->sects = NULL;
	m->copy = NULL;
}
