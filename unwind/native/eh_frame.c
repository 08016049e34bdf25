/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Formats: DWARF 5, section 6.4; LSB core, "Exception Frames" (.eh_frame, .eh_frame_hdr, their
 * pointer encodings and augmentations).
 */
#include "eh_frame.h"

#include <elf.h>
#include <errno.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

enum {
	/* Of one pass over a section. Chromium has half a million entries in 30 MB. */
	MAX_VISITS = 1 << 21,
	MAX_BYTES = 256 << 20,
	MAX_LETTERS = 16, /* of an augmentation */
};

enum { /* DW_EH_PE_* */
       PE_ULEB = 0x01,
       PE_SLEB = 0x09,
       PE_FORMAT = 0x0f,
       PE_ABS = 0x00,
       PE_PCREL = 0x10,
       PE_ALIGNED = 0x50,
       PE_BASE = 0x70,
       PE_INDIRECT = 0x80,
       PE_OMIT = 0xff,
       HDR_TABLE = 0x3b, /* signed 32 bit, relative to the header */
};

/* A run of bytes with entries in it: a segment, or the section .debug_frame. */
struct part {
	const uint8_t *bytes;
	size_t size;
	uint64_t vaddr;
	bool debug; /* .debug_frame: offsets instead of distances, no encoded pointers */
};

struct place {          /* of a table that was made */
	uint32_t start; /* of the code, from the lowest address of the file */
	uint32_t fde;   /* of the entry: from the lowest address, or an offset in .debug_frame */
};

struct table {
	struct place *v;
	size_t n, cap;
	size_t visits; /* that are left */
	bool made;
};

struct uw_eh_frame {
	const struct uw_elf *elf;
	uint64_t base;          /* the lowest address of the file */
	uint64_t hdr;           /* the address that .eh_frame_hdr counts from; 0: no usable table */
	uint64_t frame;         /* where it says that .eh_frame is; 0: not given */
	const uint8_t *entries; /* pairs of 32-bit offsets from hdr, by the first one */
	size_t nentries;
	struct table eh, debug;
	struct part debug_part;
};

/* --- pointers -------------------------------------------------------------------- */

static uint64_t raw_pointer(struct uw_bytes *b, uint8_t format)
{
	switch (format) {
	case 0x00: /* a word */
	case 0x04:
	case 0x0c:
		return uw_bytes_u64(b);
	case PE_ULEB:
		return uw_bytes_uvarint(b);
	case PE_SLEB:
		return (uint64_t)uw_bytes_svarint(b);
	case 0x02:
		return uw_bytes_u16(b);
	case 0x0a:
		return (uint64_t)(int64_t)(int16_t)uw_bytes_u16(b);
	case 0x03:
		return uw_bytes_u32(b);
	case 0x0b:
		return (uint64_t)(int64_t)(int32_t)uw_bytes_u32(b);
	default:
		b->bad = true;
		return 0;
	}
}

uint64_t uw_eh_pointer(struct uw_bytes *b, uint64_t at, uint8_t encoding)
{
	uint64_t v;

	if (encoding == PE_ALIGNED) {
		uw_bytes_take(b, -at & 7);
		return uw_bytes_u64(b);
	}
	v = raw_pointer(b, encoding & PE_FORMAT);
	switch (encoding & (PE_BASE | PE_INDIRECT)) {
	case PE_ABS:
		return v;
	case PE_PCREL:
		return at + v;
	default:
		b->bad = true;
		return 0;
	}
}

/* Relative to anything, or the address of a pointer: it is not followed. */
static void skip_pointer(struct uw_bytes *b, uint64_t at, uint8_t encoding)
{
	if (encoding == PE_OMIT)
		return;
	encoding &= (uint8_t)~PE_INDIRECT;
	if (encoding == PE_ALIGNED)
		uw_eh_pointer(b, at, encoding);
	else
		raw_pointer(b, encoding & PE_FORMAT);
}

/* --- entries --------------------------------------------------------------------- */

struct entry {
	struct uw_bytes body; /* what follows the id */
	uint64_t id, id_at;   /* offset in the part */
	uint64_t next;
	bool is_cie;
};

static uint64_t offset_of(const struct part *p, const struct uw_bytes *b)
{
	return (uint64_t)(b->at - p->bytes);
}

static uint64_t address_of(const struct part *p, const struct uw_bytes *b)
{
	return p->vaddr + offset_of(p, b);
}

/* The entry at an offset; false where there is none, with the length 0 of a terminator too. */
static bool open_entry(const struct part *p, uint64_t off, struct entry *e)
{
	struct uw_bytes b = uw_bytes_from(uw_bytes(p->bytes, p->size), off);
	uint64_t len = uw_bytes_u32(&b);
	bool wide = len == 0xffffffff;
	const uint8_t *body;

	if (wide)
		len = uw_bytes_u64(&b);
	else if (len >= 0xfffffff0)
		return false;
	body = uw_bytes_take(&b, len);
	if (!body || len == 0)
		return false;
	*e = (struct entry){.body = uw_bytes(body, len), .next = offset_of(p, &b)};
	e->id_at = offset_of(p, &e->body);
	/* The pointer of .eh_frame has 32 bits in entries of either length. */
	wide = wide && p->debug;
	e->id = wide ? uw_bytes_u64(&e->body) : uw_bytes_u32(&e->body);
	e->is_cie = e->id == (!p->debug ? 0 : wide ? UINT64_MAX : UINT32_MAX);
	return !e->body.bad;
}

struct cie {
	uint64_t at; /* its offset + 1; 0: none was read */
	struct uw_bytes instructions;
	uint64_t code_align, ra;
	int64_t data_align;
	uint8_t encoding;
	bool sized, signal;
};

/*
 * What follows 'z', letter by letter. An unknown letter may have data, so that the encoding of
 * pointers must come before it.
 */
static bool read_augmentation(const struct part *p, struct uw_bytes *b, const char *letters,
			      struct cie *c)
{
	uint64_t len = uw_bytes_uvarint(b);
	struct uw_bytes a = *b;
	bool lost = false;
	uint8_t encoding;

	c->sized = true;
	uw_bytes_take(b, len);
	a.end = b->at;
	for (size_t i = 0; letters[i]; i++) {
		if (letters[i] == 'S')
			c->signal = true;
		if (letters[i] == 'S' || letters[i] == 'B' || letters[i] == 'G' || lost)
			continue; /* B, G: arm64's signed addresses, tagged stacks */
		switch (letters[i]) {
		case 'R':
			c->encoding = uw_bytes_u8(&a);
			break;
		case 'P':
			encoding = uw_bytes_u8(&a);
			skip_pointer(&a, address_of(p, &a), encoding);
			break;
		case 'L':
			uw_bytes_u8(&a);
			break;
		default:
			if (!memchr(letters, 'R', i))
				return false;
			lost = true;
		}
	}
	return !a.bad;
}

static bool read_cie(const struct part *p, uint64_t off, struct cie *c)
{
	const char *letters, *end;
	struct entry e;
	uint8_t version;

	if (!open_entry(p, off, &e) || !e.is_cie)
		return false;
	*c = (struct cie){.at = off + 1};
	version = uw_bytes_u8(&e.body);
	letters = (const char *)e.body.at;
	end = memchr(letters, 0,
		     uw_bytes_left(&e.body) < MAX_LETTERS ? uw_bytes_left(&e.body) : MAX_LETTERS);
	if (!end || (version != 1 && version != 3 && version != 4))
		return false;
	uw_bytes_take(&e.body, (uint64_t)(end - letters) + 1);
	if (version == 4 && (uw_bytes_u8(&e.body) != 8 || uw_bytes_u8(&e.body) != 0))
		return false; /* the size of addresses; segments */
	c->code_align = uw_bytes_uvarint(&e.body);
	c->data_align = uw_bytes_svarint(&e.body);
	c->ra = version == 1 ? uw_bytes_u8(&e.body) : uw_bytes_uvarint(&e.body);
	if (letters[0] == 'z' ? !read_augmentation(p, &e.body, letters + 1, c) : letters[0] != '\0')
		return false;
	c->instructions = e.body;
	return !e.body.bad;
}

/* *c is the CIE that was read last, and serves as a cache. */
static bool read_fde(const struct part *p, uint64_t off, struct cie *c, struct uw_fde *f)
{
	uint64_t cie, range, len;
	struct entry e;

	if (!open_entry(p, off, &e) || e.is_cie)
		return false;
	cie = p->debug ? e.id : e.id_at - e.id;
	if (c->at != cie + 1 && !read_cie(p, cie, c)) {
		c->at = 0;
		return false;
	}
	f->start = uw_eh_pointer(&e.body, address_of(p, &e.body), c->encoding);
	if (c->encoding == PE_ALIGNED)
		range = uw_bytes_u64(&e.body);
	else
		range = raw_pointer(&e.body, c->encoding & PE_FORMAT);
	len = c->sized ? uw_bytes_uvarint(&e.body) : 0;
	uw_bytes_take(&e.body, len);
	f->end = f->start + range;
	f->common = c->instructions;
	f->own = e.body;
	f->set_loc = address_of(p, &e.body);
	f->code_align = c->code_align;
	f->data_align = c->data_align;
	f->ra = c->ra;
	f->encoding = c->encoding;
	f->signal = c->signal;
	return !e.body.bad && f->end > f->start;
}

/* --- tables ---------------------------------------------------------------------- */

/* The segment at an address as far as the file has it. */
static bool part_at(const struct uw_elf *elf, uint64_t vaddr, struct part *p)
{
	for (size_t i = 0; i < elf->nsegs; i++) {
		const struct uw_segment *s = &elf->segs[i];

		if (vaddr - s->vaddr >= s->filesz)
			continue;
		*p = (struct part){elf->bytes + s->offset, s->filesz, s->vaddr, false};
		return true;
	}
	return false;
}

static bool is_code(const struct uw_elf *elf, uint64_t vaddr)
{
	for (size_t i = 0; i < elf->nsegs; i++) {
		if (elf->segs[i].flags & PF_X && vaddr - elf->segs[i].vaddr < elf->segs[i].memsz)
			return true;
	}
	return false;
}

static bool add_place(struct table *t, uint64_t start, uint64_t fde)
{
	if (start > UINT32_MAX || fde > UINT32_MAX)
		return true;
	if (t->n == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 256;
		struct place *v = reallocarray(t->v, cap, sizeof *v);

		if (!v)
			return false;
		t->v = v;
		t->cap = cap;
	}
	t->v[t->n++] = (struct place){(uint32_t)start, (uint32_t)fde};
	return true;
}

/*
 * One pass over the entries between two offsets. Where a linker left functions out, their entries
 * begin at address 0, where no code is.
 */
static void pass(struct uw_eh_frame *f, struct table *t, const struct part *p, uint64_t from,
		 uint64_t to)
{
	uint64_t bias = p->debug ? 0 : p->vaddr - f->base;
	struct cie cie = {0};
	struct uw_fde fde;
	struct entry e;

	if (to - from > MAX_BYTES)
		to = from + MAX_BYTES;
	while (from < to && t->visits) {
		t->visits--;
		if (!open_entry(p, from, &e)) {
			from += 4; /* a terminator, or padding: another object's may follow */
			continue;
		}
		if (!e.is_cie && read_fde(p, from, &cie, &fde) && is_code(f->elf, fde.start) &&
		    !add_place(t, fde.start - f->base, from + bias))
			return;
		from = e.next;
	}
}

static int by_start(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static void finish(struct table *t)
{
	bool sorted = true;
	struct place *v;

	for (size_t i = 1; i < t->n && sorted; i++)
		sorted = t->v[i - 1].start <= t->v[i].start;
	if (!sorted)
		qsort(t->v, t->n, sizeof *t->v, by_start);
	v = t->n ? reallocarray(t->v, t->n, sizeof *v) : NULL;
	if (v)
		t->v = v;
}

/* All sections of the name; without section headers the place that the header names. */
static void make_eh(struct uw_eh_frame *f)
{
	struct part p;
	bool any = false;

	f->eh = (struct table){.made = true, .visits = MAX_VISITS};
	for (size_t i = 0; i < f->elf->nsections; i++) {
		const struct uw_section *s = &f->elf->sections[i];
		uint64_t off;

		if (strcmp(s->name, ".eh_frame") != 0 || s->type == SHT_NOBITS ||
		    !part_at(f->elf, s->vaddr, &p))
			continue;
		off = s->vaddr - p.vaddr;
		pass(f, &f->eh, &p, off, s->size < p.size - off ? off + s->size : p.size);
		any = true;
	}
	if (!any && f->frame && part_at(f->elf, f->frame, &p))
		pass(f, &f->eh, &p, f->frame - p.vaddr, p.size);
	finish(&f->eh);
}

/* A compressed section begins with its kind, 1 or 2; no entry is as short. */
static bool is_compressed(const struct part *p)
{
	struct uw_bytes b = uw_bytes(p->bytes, p->size);

	return uw_bytes_u32(&b) < 8;
}

static void make_debug(struct uw_eh_frame *f)
{
	f->debug = (struct table){.made = true, .visits = MAX_VISITS};
	for (size_t i = 0; i < f->elf->nsections; i++) {
		const struct uw_section *s = &f->elf->sections[i];

		if (strcmp(s->name, ".debug_frame") != 0 || s->type == SHT_NOBITS || s->size == 0)
			continue;
		f->debug_part = (struct part){f->elf->bytes + s->offset, s->size, 0, true};
		if (is_compressed(&f->debug_part))
			break;
		pass(f, &f->debug, &f->debug_part, 0, s->size);
		break;
	}
	finish(&f->debug);
}

static bool search_made(const struct table *t, uint64_t start, uint64_t *fde)
{
	size_t lo = 0, hi = t->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (t->v[mid].start <= start)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo > 0)
		*fde = t->v[lo - 1].fde;
	return lo > 0;
}

static int32_t entry_word(const struct uw_eh_frame *f, size_t i, size_t word)
{
	int32_t v;

	memcpy(&v, f->entries + i * 8 + word * 4, sizeof v);
	return v;
}

static bool search_hdr(const struct uw_eh_frame *f, uint64_t pc, uint64_t *fde)
{
	int64_t offset = (int64_t)(pc - f->hdr);
	size_t lo = 0, hi = f->nentries;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (entry_word(f, mid, 0) <= offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo > 0)
		*fde = f->hdr + (uint64_t)(int64_t)entry_word(f, lo - 1, 1);
	return lo > 0;
}

/* --- .eh_frame_hdr --------------------------------------------------------------- */

static uint64_t find_hdr(const struct uw_elf *elf)
{
	struct uw_section sec;
	size_t n = 0;

	if (elf_getphdrnum(elf->handle, &n) != 0)
		n = 0;
	for (size_t i = 0; i < n && i < INT32_MAX; i++) {
		GElf_Phdr ph;

		if (gelf_getphdr(elf->handle, (int)i, &ph) && ph.p_type == PT_GNU_EH_FRAME)
			return ph.p_vaddr;
	}
	return uw_elf_section(elf, ".eh_frame_hdr", &sec) ? sec.vaddr : 0;
}

/*
 * Version, three encodings, the address of .eh_frame, the number of entries, the entries. Only the
 * one form of table that linkers write is used.
 */
static void read_hdr(struct uw_eh_frame *f)
{
	uint64_t hdr = find_hdr(f->elf), count;
	struct uw_bytes b;
	struct part p;
	uint8_t encodings[3];

	if (!hdr || !part_at(f->elf, hdr, &p))
		return;
	b = uw_bytes_from(uw_bytes(p.bytes, p.size), hdr - p.vaddr);
	if (uw_bytes_u8(&b) != 1)
		return;
	for (size_t i = 0; i < 3; i++)
		encodings[i] = uw_bytes_u8(&b);
	if (encodings[0] == PE_OMIT)
		return;
	f->frame = uw_eh_pointer(&b, address_of(&p, &b), encodings[0]);
	if (b.bad)
		f->frame = 0;
	if (b.bad || encodings[1] == PE_OMIT || encodings[2] != HDR_TABLE)
		return;
	count = uw_eh_pointer(&b, address_of(&p, &b), encodings[1]);
	if (b.bad)
		return;
	f->entries = b.at;
	f->nentries = uw_bytes_left(&b) / 8;
	if (count < f->nentries)
		f->nentries = count;
	if (f->nentries > 0)
		f->hdr = hdr;
}

/* --- the interface --------------------------------------------------------------- */

static bool covers(const struct uw_fde *fde, uint64_t pc)
{
	return pc >= fde->start && pc < fde->end;
}

/* The last one that begins at or before pc. */
static bool find_eh(struct uw_eh_frame *f, uint64_t pc, struct uw_fde *ret)
{
	struct cie cie = {0};
	struct part p;
	uint64_t at;
	bool found;

	if (f->hdr) {
		found = search_hdr(f, pc, &at);
	} else {
		if (!f->eh.made)
			make_eh(f);
		found = pc >= f->base && search_made(&f->eh, pc - f->base, &at);
		at += found ? f->base : 0;
	}
	return found && part_at(f->elf, at, &p) && read_fde(&p, at - p.vaddr, &cie, ret);
}

static bool find_debug(struct uw_eh_frame *f, uint64_t pc, struct uw_fde *ret)
{
	struct cie cie = {0};
	uint64_t at;

	if (!f->debug.made)
		make_debug(f);
	return pc >= f->base && search_made(&f->debug, pc - f->base, &at) &&
	       read_fde(&f->debug_part, at, &cie, ret) && covers(ret, pc);
}

bool uw_eh_frame_find(struct uw_eh_frame *f, uint64_t pc, struct uw_fde *ret)
{
	return (find_eh(f, pc, ret) && covers(ret, pc)) || find_debug(f, pc, ret);
}

const struct uw_elf *uw_eh_frame_elf(const struct uw_eh_frame *f)
{
	return f->elf;
}

int uw_eh_frame_new(const struct uw_elf *elf, struct uw_eh_frame **ret)
{
	struct uw_eh_frame *f = calloc(1, sizeof *f);

	if (!f)
		return -ENOMEM;
	f->elf = elf;
	f->base = UINT64_MAX;
	for (size_t i = 0; i < elf->nsegs; i++) {
		if (elf->segs[i].vaddr < f->base)
			f->base = elf->segs[i].vaddr;
	}
	read_hdr(f);
	*ret = f;
	return 0;
}

void uw_eh_frame_free(struct uw_eh_frame *f)
{
	if (!f)
		return;
	free(f->eh.v);
	free(f->debug.v);
	free(f);
}
