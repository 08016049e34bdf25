/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libunwind does the DWARF work: it turns a function's call frame instructions into rows of
 * register rules (unw_reg_states_iterate) and applies a row to a cursor (unw_apply_reg_state). Rows
 * are kept here, by address, and not by libunwind: its cache holds 128 of them, masks all signals
 * twice a frame, and is keyed by the pc alone, so that a pc that is both a return address and an
 * interrupted one gets the other's row.
 */
#include "cfi.h"

#include <elf.h>
#include <errno.h>
#include <gelf.h>
#include <libunwind.h>
#include <stdlib.h>
#include <string.h>

enum {
	MAX_ROWS = 4096, /* about 200 bytes each */
	MAX_ROW_SIZE = 512,
	/* Words that one walk may read: a few hundred are usual, an endless expression takes more.
	 */
	MAX_READS = 200000,
	MAX_MODULES = 4096,
};

/* Which of libunwind's registers stand where in struct uw_regs. The others are unknown. */
static const struct {
	int unw;
	size_t at;
} reg_table[] = {
#if defined(__x86_64__)
	{UNW_X86_64_RIP, offsetof(struct uw_regs, ip)},
	{UNW_X86_64_RSP, offsetof(struct uw_regs, sp)},
	{UNW_X86_64_RBP, offsetof(struct uw_regs, bp)},
	{UNW_X86_64_RBX, offsetof(struct uw_regs, bx)},
	{UNW_X86_64_R12, offsetof(struct uw_regs, r12)},
	{UNW_X86_64_R13, offsetof(struct uw_regs, r13)},
	{UNW_X86_64_R14, offsetof(struct uw_regs, r14)},
	{UNW_X86_64_R15, offsetof(struct uw_regs, r15)},
#define MACHINE    EM_X86_64
#define MAX_COLUMN 16
#elif defined(__aarch64__)
	/* bx has no counterpart there and holds the link register. */
	{UNW_AARCH64_PC, offsetof(struct uw_regs, ip)},
	{UNW_AARCH64_SP, offsetof(struct uw_regs, sp)},
	{UNW_AARCH64_X29, offsetof(struct uw_regs, bp)},
	{UNW_AARCH64_X30, offsetof(struct uw_regs, bx)},
#define MACHINE    EM_AARCH64
#define MAX_COLUMN 31
#else
	{UNW_REG_IP, offsetof(struct uw_regs, ip)},
	{UNW_REG_SP, offsetof(struct uw_regs, sp)},
#define MACHINE    EM_NONE
#define MAX_COLUMN 0
#endif
};

/* Exported by libunwind for debuggers and profilers, declared by no header of it. */
extern int UNW_OBJ(dwarf_search_unwind_table)(unw_addr_space_t as, unw_word_t ip,
					      unw_dyn_info_t *di, unw_proc_info_t *pi,
					      int need_unwind_info, void *arg);

/* A read-only segment of a mapped file, at its place in the target. */
struct window {
	uint64_t start, end;
	const uint8_t *bytes;
};

/* The binary search table of .eh_frame_hdr of one mapped file. */
struct module {
	const struct uw_elf *elf;
	uint64_t bias;
	uint64_t hdr; /* runtime address; 0: the file has no usable table */
	uint64_t table, entries;
};

struct row {
	uint64_t pc;
	int error;   /* negative libunwind error, or 0 */
	bool signal; /* the caller was interrupted by a signal, it did not call */
	uint16_t size;
	_Alignas(8) uint8_t state[]; /* libunwind's own record of register rules */
};

struct uw_cfi {
	struct uw_cfi_ops ops;
	unw_addr_space_t as;
	struct window *windows; /* ascending, disjoint unless the target's mappings were replaced */
	size_t nwindows;
	struct window last; /* the one that answered last */
	struct module *modules;
	size_t nmodules;
	struct row **rows; /* open addressing, 2 * MAX_ROWS */
	size_t nrows;

	/* State of the walk under way. */
	const struct uw_regs *regs;
	const struct uw_mem *mem;
	uint64_t probe; /* pc whose row is being made, instead of regs->ip; 0: none */
	struct row *made;
	unsigned reads;
	bool mem_failed;
};

static inline const uint64_t *reg_slot(const struct uw_regs *regs, int unw)
{
	for (size_t i = 0; i < sizeof reg_table / sizeof *reg_table; i++) {
		if (reg_table[i].unw == unw)
			return (const uint64_t *)((const char *)regs + reg_table[i].at);
	}
	return NULL;
}

/* --- the files' bytes ------------------------------------------------------------ */

static bool find_window(struct uw_cfi *c, uint64_t addr)
{
	size_t lo = 0, hi = c->nwindows;

	if (addr >= c->last.start && addr < c->last.end)
		return true;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->windows[mid].start <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0 || addr >= c->windows[lo - 1].end)
		return false;
	c->last = c->windows[lo - 1];
	return true;
}

/* The file bytes at a runtime address, at least len of them. */
static const uint8_t *file_at(struct uw_cfi *c, uint64_t addr, size_t len)
{
	if (!find_window(c, addr) || c->last.end - addr < len)
		return NULL;
	return c->last.bytes + (addr - c->last.start);
}

static int add_window(struct uw_cfi *c, const struct window *w)
{
	struct window *v = reallocarray(c->windows, c->nwindows + 1, sizeof *v);
	size_t i;

	if (!v)
		return -ENOMEM;
	c->windows = v;
	for (i = c->nwindows; i > 0 && v[i - 1].start > w->start; i--)
		v[i] = v[i - 1];
	v[i] = *w;
	c->nwindows++;
	return 0;
}

/* Writable segments are left out: their bytes in the target are not those of the file. */
static int add_windows(struct uw_cfi *c, const struct uw_elf *elf, uint64_t bias)
{
	for (size_t i = 0; i < elf->nsegs; i++) {
		const struct uw_segment *s = &elf->segs[i];
		struct window w = {.start = s->vaddr + bias, .end = s->vaddr + bias + s->filesz};
		int r;

		if (s->flags & PF_W || s->filesz == 0 || w.end <= w.start)
			continue;
		w.bytes = uw_elf_at(elf, s->vaddr, s->filesz);
		if (!w.bytes)
			continue;
		r = add_window(c, &w);
		if (r < 0)
			return r;
	}
	return 0;
}

/* --- tables ---------------------------------------------------------------------- */

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

/* Bytes of a pointer in encoding enc (DW_EH_PE_*, low nibble); 0: not of a fixed size. */
static size_t encoded_size(uint8_t enc)
{
	static const uint8_t size[16] = {8, 0, 2, 4, 8, 0, 0, 0, 0, 0, 2, 4, 8, 0, 0, 0};

	return enc == 0xff ? 0 : size[enc & 0xf];
}

/*
 * The header (LSB, "Exception Frames"): version, three encodings, the address of .eh_frame, the
 * number of entries, the entries. Only the one table form that linkers write is read: pairs of
 * 32-bit offsets from the header, which is also all that libunwind can search.
 */
static void read_hdr(struct uw_cfi *c, struct module *m)
{
	uint64_t hdr = find_hdr(m->elf) + m->bias, count = 0;
	const uint8_t *p = hdr != m->bias ? file_at(c, hdr, 4) : NULL;
	size_t ptr_size, count_size;

	if (!p || p[0] != 1 || p[3] != 0x3b)
		return;
	ptr_size = encoded_size(p[1]);
	count_size = encoded_size(p[2]);
	p = file_at(c, hdr, 4 + ptr_size + count_size);
	if (!p || ptr_size == 0 || count_size == 0)
		return;
	memcpy(&count, p + 4 + ptr_size, count_size);
	m->table = hdr + 4 + ptr_size + count_size;
	if (!find_window(c, m->table))
		return;
	m->entries = (c->last.end - m->table) / 8;
	if (count < m->entries)
		m->entries = count;
	if (m->entries > 0)
		m->hdr = hdr;
}

static struct module *module_at(struct uw_cfi *c, uint64_t pc)
{
	const struct uw_elf *elf;
	struct module *v;
	uint64_t bias;

	if (!c->ops.find(c->ops.ctx, pc, &elf, &bias))
		return NULL;
	for (size_t i = 0; i < c->nmodules; i++) {
		if (c->modules[i].elf == elf && c->modules[i].bias == bias)
			return &c->modules[i];
	}
	if (c->nmodules == MAX_MODULES)
		return NULL;
	v = reallocarray(c->modules, c->nmodules + 1, sizeof *v);
	if (!v)
		return NULL;
	c->modules = v;
	v += c->nmodules;
	*v = (struct module){.elf = elf, .bias = bias};
	if (elf->machine != MACHINE || add_windows(c, elf, bias) < 0)
		return NULL;
	c->nmodules++;
	read_hdr(c, v);
	return v;
}

/* The address of the table entry for pc, and what it says of the frame description entry. */
static bool search(struct uw_cfi *c, const struct module *m, uint64_t pc, uint64_t *ret_entry,
		   uint64_t *ret_fde)
{
	const uint8_t *table = file_at(c, m->table, m->entries * 8);
	int64_t offset = (int64_t)(pc - m->hdr);
	size_t lo = 0, hi = m->entries;
	int32_t v;

	if (!table)
		return false;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		memcpy(&v, table + mid * 8, sizeof v);
		if (v <= offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0)
		return false;
	memcpy(&v, table + (lo - 1) * 8 + 4, sizeof v);
	*ret_entry = m->table + (lo - 1) * 8;
	*ret_fde = m->hdr + (uint64_t)(int64_t)v;
	return true;
}

uint64_t uw_cfi_function(struct uw_cfi *c, uint64_t pc)
{
	struct module *m = module_at(c, pc);
	uint64_t entry, fde;
	const uint8_t *p;
	int32_t v;

	if (!m || m->hdr == 0 || !search(c, m, pc, &entry, &fde))
		return 0;
	p = file_at(c, entry, sizeof v);
	if (!p)
		return 0;
	memcpy(&v, p, sizeof v);
	return m->hdr + (uint64_t)(int64_t)v;
}

/* --- what libunwind doesn't check ------------------------------------------------ */

/*
 * Files are foreign, and libunwind trusts some of their bytes: it asserts that each row has a rule
 * for the CFA, uses the return address's column and the source of DW_CFA_register as indices,
 * divides in expressions by what it finds, and DW_CFA_GNU_window_save writes past its record on
 * machines that have no register windows. So each entry is read here first, and refused when it
 * holds anything that compilers don't write.
 */

struct cursor {
	const uint8_t *p, *end;
	bool bad;
};

static void skip_bytes(struct cursor *b, uint64_t n)
{
	if (n > (uint64_t)(b->end - b->p)) {
		b->bad = true;
		b->p = b->end;
	} else {
		b->p += n;
	}
}

static uint64_t take_fixed(struct cursor *b, size_t n)
{
	const uint8_t *p = b->p;
	uint64_t v = 0;

	skip_bytes(b, n);
	if (!b->bad)
		memcpy(&v, p, n);
	return v;
}

/* Also steps over a signed one. */
static uint64_t take_uleb(struct cursor *b)
{
	uint64_t v = 0;

	for (unsigned shift = 0; b->p < b->end; shift += 7) {
		uint8_t byte = *b->p++;

		if (shift < 64)
			v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return v;
	}
	b->bad = true;
	return 0;
}

/* An expression without jumps, calls and divisions. */
static void check_expression(struct cursor *b)
{
	uint64_t len = take_uleb(b);
	struct cursor e = {b->p, b->p, false};

	skip_bytes(b, len);
	e.end = b->p;
	while (!b->bad && !e.bad && e.p < e.end) {
		uint8_t op = *e.p++;

		if (op >= 0x70 && op <= 0x8f) { /* breg */
			take_uleb(&e);
			continue;
		}
		switch (op) {
		case 0x12 ... 0x14: /* dup, drop, over */
		case 0x16 ... 0x17: /* swap, rot */
		case 0x06:          /* deref */
		case 0x19 ... 0x1a: /* abs, and */
		case 0x1c:          /* minus */
		case 0x1e ... 0x22: /* mul, neg, not, or, plus */
		case 0x24 ... 0x27: /* shl, shr, shra, xor */
		case 0x29 ... 0x2e: /* comparisons */
		case 0x30 ... 0x4f: /* lit */
		case 0x96:          /* nop */
			break;
		case 0x08 ... 0x09: /* const1 */
		case 0x15:          /* pick */
		case 0x94:          /* deref_size */
			skip_bytes(&e, 1);
			break;
		case 0x0a ... 0x0b: /* const2 */
			skip_bytes(&e, 2);
			break;
		case 0x0c ... 0x0d: /* const4 */
			skip_bytes(&e, 4);
			break;
		case 0x03:          /* addr */
		case 0x0e ... 0x0f: /* const8 */
			skip_bytes(&e, 8);
			break;
		case 0x10 ... 0x11: /* constu, consts */
		case 0x23:          /* plus_uconst */
			take_uleb(&e);
			break;
		case 0x92: /* bregx */
			take_uleb(&e);
			take_uleb(&e);
			break;
		default:
			e.bad = true;
		}
	}
	if (e.bad)
		b->bad = true;
}

/* Call frame instructions. *cfa: a rule for the CFA was given; each row must have one. */
static void check_instructions(struct cursor *b, size_t loc_size, bool *cfa)
{
	while (!b->bad && b->p < b->end) {
		uint8_t op = *b->p++;

		switch (op) {
		case 0x40 ... 0x7f: /* advance_loc */
		case 0x01:          /* set_loc */
		case 0x02 ... 0x04: /* advance_loc1, 2, 4 */
			if (!*cfa)
				b->bad = true;
			if (op < 0x40)
				skip_bytes(b, op == 0x01 ? loc_size : 1u << (op - 0x02));
			break;
		case 0x00:          /* nop */
		case 0x0a ... 0x0b: /* remember_state, restore_state */
		case 0xc0 ... 0xff: /* restore */
			break;
		case 0x80 ... 0xbf: /* offset */
		case 0x06 ... 0x08: /* restore_extended, undefined, same_value */
		case 0x0d ... 0x0e: /* def_cfa_register, def_cfa_offset */
		case 0x13:          /* def_cfa_offset_sf */
		case 0x2e:          /* GNU_args_size */
			take_uleb(b);
			break;
		case 0x05: /* offset_extended */
		case 0x11: /* offset_extended_sf */
		case 0x2f: /* GNU_negative_offset_extended */
			take_uleb(b);
			take_uleb(b);
			break;
		case 0x0c: /* def_cfa */
		case 0x12: /* def_cfa_sf */
			take_uleb(b);
			take_uleb(b);
			*cfa = true;
			break;
		case 0x09: /* register */
			take_uleb(b);
			if (take_uleb(b) > MAX_COLUMN)
				b->bad = true;
			break;
		case 0x0f: /* def_cfa_expression */
			check_expression(b);
			*cfa = true;
			break;
		case 0x10: /* expression */
		case 0x16: /* val_expression */
			take_uleb(b);
			check_expression(b);
			break;
		case 0x2d: /* GNU_window_save; on aarch64 it means negate_ra_state */
			if (MACHINE != EM_AARCH64)
				b->bad = true;
			break;
		default:
			b->bad = true;
		}
	}
}

/* The bytes after the length of the CIE or FDE at addr. */
static bool open_entry(struct uw_cfi *c, uint64_t addr, struct cursor *ret)
{
	const uint8_t *p = file_at(c, addr, 4);
	uint32_t len;

	if (!p)
		return false;
	memcpy(&len, p, sizeof len);
	if (len < 4 || len >= 0xfffffff0u) /* 64-bit entries: no tool writes them here */
		return false;
	p = file_at(c, addr + 4, len);
	if (!p)
		return false;
	*ret = (struct cursor){p, p + len, false};
	return true;
}

struct cie {
	struct cursor instructions;
	size_t loc_size;
	bool sized, signal;
};

static bool read_cie(struct uw_cfi *c, uint64_t addr, struct cie *cie)
{
	const char *augmentation;
	struct cursor b, a;
	uint64_t column;
	uint8_t version;

	*cie = (struct cie){.loc_size = 8};
	if (!open_entry(c, addr, &b) || take_fixed(&b, 4) != 0)
		return false;
	version = (uint8_t)take_fixed(&b, 1);
	augmentation = (const char *)b.p;
	if ((version != 1 && version != 3) || !memchr(b.p, 0, (size_t)(b.end - b.p)))
		return false;
	skip_bytes(&b, strlen(augmentation) + 1);
	take_uleb(&b); /* code alignment */
	take_uleb(&b); /* data alignment */
	column = version == 1 ? take_fixed(&b, 1) : take_uleb(&b);
	if (column > MAX_COLUMN)
		return false;
	if (augmentation[0] == 'z') {
		uint64_t len = take_uleb(&b);

		cie->sized = true;
		a = b;
		skip_bytes(&b, len);
		a.end = b.p;
		for (const char *s = augmentation + 1; *s; s++) {
			uint8_t enc;

			switch (*s) {
			case 'R':
				cie->loc_size = encoded_size((uint8_t)take_fixed(&a, 1));
				break;
			case 'P':
				enc = (uint8_t)take_fixed(&a, 1);
				if (encoded_size(enc) == 0)
					return false;
				skip_bytes(&a, encoded_size(enc));
				break;
			case 'L':
				skip_bytes(&a, 1);
				break;
			case 'S':
				cie->signal = true;
				break;
			case 'B': /* aarch64: return addresses are signed with key B */
				break;
			default:
				return false;
			}
		}
		if (a.bad)
			return false;
	} else if (augmentation[0] != '\0') {
		return false;
	}
	cie->instructions = b;
	return !b.bad && cie->loc_size != 0;
}

static bool check_fde(struct uw_cfi *c, uint64_t addr, bool *signal)
{
	struct cursor b;
	struct cie cie;
	uint64_t back;
	bool cfa = false;

	if (!open_entry(c, addr, &b))
		return false;
	back = take_fixed(&b, 4);
	if (back == 0 || !read_cie(c, addr + 4 - back, &cie))
		return false;
	skip_bytes(&b, cie.loc_size * 2);
	if (cie.sized)
		skip_bytes(&b, take_uleb(&b));
	check_instructions(&cie.instructions, cie.loc_size, &cfa);
	check_instructions(&b, cie.loc_size, &cfa);
	*signal = cie.signal;
	return !cie.instructions.bad && !b.bad && cfa;
}

/* --- libunwind's questions ------------------------------------------------------- */

static int find_proc_info(unw_addr_space_t as, unw_word_t ip, unw_proc_info_t *pi, int need_info,
			  void *arg)
{
	struct uw_cfi *c = arg;
	struct module *m = module_at(c, ip);
	unw_dyn_info_t di = {
		.start_ip = ip,
		.end_ip = ip + 1,
		.format = UNW_INFO_FORMAT_REMOTE_TABLE,
	};
	uint64_t entry, fde;

	/* Any other error than UNW_ENOINFO: on that one unw_step would guess. */
	if (!m || m->hdr == 0 || !search(c, m, ip, &entry, &fde) ||
	    !check_fde(c, fde, &c->made->signal))
		return -UNW_EBADFRAME;
	/* A table of the one entry that was found. */
	di.u.rti.segbase = m->hdr;
	di.u.rti.table_data = entry;
	di.u.rti.table_len = 8 / sizeof(unw_word_t);
	return UNW_OBJ(dwarf_search_unwind_table)(as, ip, &di, pi, need_info, arg);
}

static void put_unwind_info(unw_addr_space_t as, unw_proc_info_t *pi, void *arg)
{
}

static int get_dyn_info_list_addr(unw_addr_space_t as, unw_word_t *addr, void *arg)
{
	return -UNW_ENOINFO;
}

static int access_mem(unw_addr_space_t as, unw_word_t addr, unw_word_t *val, int write, void *arg)
{
	struct uw_cfi *c = arg;

	if (write || ++c->reads > MAX_READS)
		return -UNW_EINVAL;
	if (find_window(c, addr)) {
		size_t n = c->last.end - addr;

		/* It reads bytes by the word that holds them: the last of a file may be cut. */
		*val = 0;
		memcpy(val, c->last.bytes + (addr - c->last.start),
		       n < sizeof *val ? n : sizeof *val);
		return 0;
	}
	if (c->mem && uw_read(c->mem, addr, val, sizeof *val) == 0)
		return 0;
	c->mem_failed = true;
	return -UNW_EINVAL;
}

static int access_reg(unw_addr_space_t as, unw_regnum_t reg, unw_word_t *val, int write, void *arg)
{
	struct uw_cfi *c = arg;
	const uint64_t *slot = reg_slot(c->regs, reg);

	if (write || !slot)
		return -UNW_EBADREG;
	*val = reg == UNW_REG_IP && c->probe ? c->probe : *slot;
	return 0;
}

static int access_fpreg(unw_addr_space_t as, unw_regnum_t reg, unw_fpreg_t *val, int write,
			void *arg)
{
	return -UNW_EBADREG;
}

static int resume(unw_addr_space_t as, unw_cursor_t *cursor, void *arg)
{
	return -UNW_EINVAL;
}

static int get_proc_name(unw_addr_space_t as, unw_word_t addr, char *buf, size_t len,
			 unw_word_t *offset, void *arg)
{
	return -UNW_ENOINFO;
}

/* --- rows ------------------------------------------------------------------------ */

static struct row **row_slot(struct uw_cfi *c, uint64_t pc)
{
	size_t mask = 2 * MAX_ROWS - 1, i = (pc * 0x9e3779b97f4a7c15u >> 40) & mask;

	while (c->rows[i] && c->rows[i]->pc != pc)
		i = (i + 1) & mask;
	return &c->rows[i];
}

static int keep_row(void *token, void *state, size_t size, unw_word_t start, unw_word_t end)
{
	struct uw_cfi *c = token;

	if (c->probe < start || c->probe >= end)
		return 0;
	if (size > MAX_ROW_SIZE)
		return -UNW_EINVAL;
	memcpy(c->made->state, state, size);
	c->made->size = (uint16_t)size;
	return -UNW_ESTOPUNWIND;
}

/* The row of the instruction at pc, made when it isn't known; its absence is kept as well. */
static const struct row *row_at(struct uw_cfi *c, uint64_t pc)
{
	struct row **slot = row_slot(c, pc), *row;
	union {
		struct row row;
		char room[sizeof(struct row) + MAX_ROW_SIZE];
	} made = {.row = {.pc = pc}};
	unw_cursor_t cursor;
	int r;

	if (*slot)
		return *slot;
	c->probe = pc;
	c->made = &made.row;
	r = unw_init_remote(&cursor, c->as, c);
	if (r == 0)
		r = unw_reg_states_iterate(&cursor, keep_row, c);
	c->probe = 0;
	c->made = NULL;
	if (made.row.size == 0)
		made.row.error = r < 0 ? r : -UNW_ENOINFO;
	row = malloc(sizeof *row + made.row.size);
	if (!row)
		return NULL;
	memcpy(row, &made, sizeof *row + made.row.size);
	if (c->nrows == MAX_ROWS) {
		for (size_t i = 0; i < 2 * MAX_ROWS; i++) {
			free(c->rows[i]);
			c->rows[i] = NULL;
		}
		c->nrows = 0;
		slot = row_slot(c, pc);
	}
	c->nrows++;
	*slot = row;
	return row;
}

/* --- the walk -------------------------------------------------------------------- */

static void take_regs(unw_cursor_t *cursor, struct uw_regs *regs)
{
	for (size_t i = 0; i < sizeof reg_table / sizeof *reg_table; i++) {
		unw_word_t v;

		if (unw_get_reg(cursor, reg_table[i].unw, &v) == 0)
			memcpy((char *)regs + reg_table[i].at, &v, sizeof v);
	}
}

/*
 * At the first instruction of a stub of the procedure linkage table nothing but the return address
 * is on the stack. GNU ld describes these stubs in .eh_frame, lld doesn't.
 */
static bool leave_stub(struct uw_cfi *c, struct uw_regs *regs)
{
#if defined(__x86_64__)
	static const uint8_t endbr[] = {0xf3, 0x0f, 0x1e, 0xfa};
	const struct module *m = module_at(c, regs->ip);
	const uint8_t *p = file_at(c, regs->ip, 12);
	bool stub = false;
	uint64_t ret = 0;

	if (!m || !p)
		return false;
	for (size_t i = 0; i < m->elf->nsections && !stub; i++) {
		const struct uw_section *s = &m->elf->sections[i];

		stub = s->name && strncmp(s->name, ".plt", 4) == 0 &&
		       regs->ip - m->bias - s->vaddr < s->size;
	}
	if (memcmp(p, endbr, sizeof endbr) == 0)
		p += sizeof endbr;
	if (p[0] == 0xf2) /* bnd */
		p++;
	if (!stub || p[0] != 0xff || p[1] != 0x25 || !c->mem ||
	    uw_read_u64(c->mem, regs->sp, &ret) < 0)
		return false;
	regs->ip = ret;
	regs->sp += 8;
	return true;
#else
	return false;
#endif
}

enum uw_cfi_end uw_cfi_walk(struct uw_cfi *c, struct uw_regs *regs, const struct uw_mem *mem,
			    uint64_t *pcs, size_t max, size_t *ret_n)
{
	struct uw_regs start = *regs;
	unw_word_t ip = regs->ip, sp = regs->sp;
	enum uw_cfi_end end = UW_CFI_LIMIT;
	uint64_t pc = regs->ip; /* inside of the instruction meant */
	bool interrupted = false;
	unw_cursor_t cursor;
	size_t n = 0;

	*ret_n = 0;
	c->regs = &start;
	c->mem = mem;
	c->reads = 0;
	if (unw_init_remote(&cursor, c->as, c) < 0)
		return UW_CFI_BAD;
	while (n < max) {
		const struct row *row;
		unw_word_t next_sp;
		int r;

		pcs[n++] = interrupted ? ip + 1 : ip;
		c->mem_failed = false;
		row = row_at(c, pc);
		if (!row) {
			end = UW_CFI_BAD;
			break;
		}
		if (row->error && n == 1 && leave_stub(c, &start)) {
			unw_init_remote(&cursor, c->as, c);
			r = 1;
		} else if (row->error) {
			end = UW_CFI_NO_TABLE;
			break;
		} else {
			r = unw_apply_reg_state(&cursor, (void *)row->state);
		}
		if (r < 0) {
			end = c->mem_failed ? UW_CFI_NO_MEM : UW_CFI_BAD;
			break;
		}
		if (r == 0 || unw_get_reg(&cursor, UNW_REG_IP, &ip) < 0 || ip == 0) {
			end = UW_CFI_ROOT;
			break;
		}
		/* A stack only shrinks towards its callers; signals may switch to another one. */
		unw_get_reg(&cursor, UNW_REG_SP, &next_sp);
		if (next_sp < sp && !row->signal) {
			end = UW_CFI_BAD;
			break;
		}
		sp = next_sp;
		interrupted = row->signal;
		pc = interrupted ? ip : ip - 1;
		if (c->ops.stop(c->ops.ctx, pc)) {
			end = UW_CFI_STOPPED;
			break;
		}
	}
	take_regs(&cursor, regs);
	regs->ip = ip;
	regs->sp = sp;
	*ret_n = n;
	return end;
}

int uw_cfi_new(const struct uw_cfi_ops *ops, struct uw_cfi **ret)
{
	unw_accessors_t accessors = {
		.find_proc_info = find_proc_info,
		.put_unwind_info = put_unwind_info,
		.get_dyn_info_list_addr = get_dyn_info_list_addr,
		.access_mem = access_mem,
		.access_reg = access_reg,
		.access_fpreg = access_fpreg,
		.resume = resume,
		.get_proc_name = get_proc_name,
	};
	struct uw_cfi *c;

	if (MACHINE == EM_NONE)
		return -ENOTSUP;
	c = calloc(1, sizeof *c);
	if (!c)
		return -ENOMEM;
	c->ops = *ops;
	c->rows = calloc(2 * MAX_ROWS, sizeof(struct row *));
	c->as = unw_create_addr_space(&accessors, 0);
	if (!c->rows || !c->as) {
		uw_cfi_free(c);
		return -ENOMEM;
	}
	unw_set_caching_policy(c->as, UNW_CACHE_NONE);
	*ret = c;
	return 0;
}

void uw_cfi_flush(struct uw_cfi *c)
{
	for (size_t i = 0; i < 2 * MAX_ROWS; i++) {
		free(c->rows[i]);
		c->rows[i] = NULL;
	}
	c->nrows = 0;
	free(c->windows);
	free(c->modules);
	c->windows = NULL;
	c->modules = NULL;
	c->nwindows = c->nmodules = 0;
	c->last = (struct window){0};
}

void uw_cfi_free(struct uw_cfi *c)
{
	if (!c)
		return;
	if (c->rows)
		uw_cfi_flush(c);
	free(c->rows);
	if (c->as)
		unw_destroy_addr_space(c->as);
	free(c);
}
