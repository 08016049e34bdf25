/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Call frame information: entries of every kind, made here; and the files of this machine, each row
 * beside what libdw makes of it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dwarf.h>
#include <elf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cfi_row_parts.h"
#include "eh_frame.h"
#include "unit_test.h"

#if defined(__aarch64__)
#define MACHINE EM_AARCH64
#else
#define MACHINE EM_X86_64
#endif

enum {
	BASE = 0x400000,
	CODE = BASE + 0x10000, /* all code is there */
	CODE_SIZE = 0x100000,
	ROOM = 0x8000, /* for a section */
	N = 0x3000,    /* where the second .eh_frame is */
	BUDGET = 1 << 16,
};

/* --- a file ---------------------------------------------------------------------- */

/* Bytes at BASE: .eh_frame, another one, .eh_frame_hdr, and .debug_frame, which has no address. */
struct file {
	uint8_t bytes[4 * ROOM];
	uint8_t *at;
	struct uw_segment segs[2];
	struct uw_section sections[4];
	struct uw_elf elf;
	struct uw_eh_frame *tables;
};

enum { EH, EH_2, HDR, DEBUG };

static void start(struct file *f)
{
	static const char *const names[] = {".eh_frame", ".eh_frame", ".eh_frame_hdr",
					    ".debug_frame"};

	memset(f, 0, sizeof *f);
	f->at = f->bytes;
	f->segs[0] = (struct uw_segment){BASE, sizeof f->bytes, 0, sizeof f->bytes, PF_R};
	f->segs[1] = (struct uw_segment){CODE, CODE_SIZE, 0, 0, PF_R | PF_X};
	for (size_t i = 0; i < 4; i++)
		f->sections[i] = (struct uw_section){names[i], i == DEBUG ? 0 : BASE + i * ROOM,
						     i * ROOM, 0, SHT_PROGBITS};
	f->elf = (struct uw_elf){.bytes = f->bytes,
				 .size = sizeof f->bytes,
				 .machine = MACHINE,
				 .nsegs = 2,
				 .segs = f->segs,
				 .nsections = 4,
				 .sections = f->sections};
}

/* What was written since `from` is the section. */
static void end_section(struct file *f, size_t i)
{
	f->sections[i].size = (uint64_t)(f->at - (f->bytes + i * ROOM));
	f->at = f->bytes + (i + 1) * ROOM;
}

static void open_tables(struct file *f)
{
	if (f->tables)
		uw_eh_frame_free(f->tables);
	assert_int_equal(uw_eh_frame_new(&f->elf, &f->tables), 0);
}

static void stop(struct file *f)
{
	uw_eh_frame_free(f->tables);
}

static void put(struct file *f, const void *p, size_t n)
{
	if (n)
		memcpy(f->at, p, n);
	f->at += n;
}

static void put_n(struct file *f, uint64_t v, size_t n)
{
	put(f, &v, n);
}

static uint64_t here(const struct file *f)
{
	return BASE + (uint64_t)(f->at - f->bytes);
}

static void put_uleb(struct file *f, uint64_t v)
{
	do {
		put_n(f, (v & 0x7f) | (v > 0x7f ? 0x80 : 0), 1);
		v >>= 7;
	} while (v);
}

struct kind { /* of a CIE and its FDEs */
	const char *augmentation;
	const uint8_t *data; /* of the augmentation */
	size_t ndata;
	uint8_t version; /* 0: 1 */
	uint8_t encoding;
	uint8_t ra; /* 0: 16 */
	bool wide, debug;
};

#define DEFAULT(...) ((struct kind){__VA_ARGS__})

static uint8_t *put_length(struct file *f, const struct kind *k)
{
	if (k->wide)
		put_n(f, 0xffffffff, 4);
	put_n(f, 0, k->wide ? 8 : 4);
	return f->at;
}

static void end_entry(struct file *f, const struct kind *k, uint8_t *body)
{
	uint64_t len;

	while ((f->at - body) % 8)
		put_n(f, 0, 1);
	len = (uint64_t)(f->at - body);
	memcpy(body - (k->wide ? 8 : 4), &len, k->wide ? 8 : 4);
}

static uint64_t put_cie(struct file *f, const struct kind *k)
{
	static const uint8_t rules[] = {DW_CFA_def_cfa, 7, 8, DW_CFA_offset + 16, 1};
	uint64_t at = here(f);
	uint8_t *body = put_length(f, k);
	const char *letters = k->augmentation ? k->augmentation : "";

	put_n(f, k->debug ? UINT64_MAX : 0, k->wide && k->debug ? 8 : 4);
	put_n(f, k->version ? k->version : 1, 1);
	put(f, letters, strlen(letters) + 1);
	if (k->version == 4)
		put_n(f, 8, 2); /* size of an address, no segments */
	put_n(f, 1, 1);
	put_n(f, 0x78, 1); /* -8 */
	put_n(f, k->ra ? k->ra : 16, 1);
	if (letters[0] == 'z') {
		put_uleb(f, k->ndata);
		put(f, k->data, k->ndata);
	}
	put(f, rules, sizeof rules);
	end_entry(f, k, body);
	return at;
}

static void put_pointer(struct file *f, uint8_t encoding, uint64_t v)
{
	static const size_t size[] = {8, 0, 2, 4, 8, 0, 0, 0, 0, 0, 2, 4, 8};

	if (encoding == DW_EH_PE_aligned) {
		while (here(f) % 8)
			put_n(f, 0, 1);
		put_n(f, v, 8);
		return;
	}
	if ((encoding & 0x70) == DW_EH_PE_pcrel)
		v -= here(f);
	if ((encoding & 7) == DW_EH_PE_uleb128) {
		put_uleb(f, v);
		if (encoding & 8 && f->at[-1] & 0x40) {
			f->at[-1] |= 0x80; /* else it would be negative */
			put_n(f, 0, 1);
		}
		return;
	}
	put_n(f, v, size[encoding & 15]);
}

static uint64_t put_fde(struct file *f, const struct kind *k, uint64_t cie, uint64_t pc,
			uint64_t len, const void *rules, size_t nrules)
{
	uint64_t at = here(f);
	uint8_t *body = put_length(f, k);

	if (k->debug)
		put_n(f, cie - BASE - DEBUG * ROOM, k->wide ? 8 : 4);
	else
		put_n(f, here(f) - cie, 4);
	put_pointer(f, k->encoding, pc);
	put_pointer(f, k->encoding == DW_EH_PE_aligned ? DW_EH_PE_absptr : k->encoding & 15, len);
	if (k->augmentation && k->augmentation[0] == 'z')
		put_n(f, 0, 1);
	put(f, rules, nrules);
	end_entry(f, k, body);
	return at;
}

static bool found(struct file *f, uint64_t pc)
{
	struct uw_fde fde;

	return uw_eh_frame_find(f->tables, pc, &fde);
}

static const uint8_t sdata4[] = {DW_EH_PE_pcrel | DW_EH_PE_sdata4};
static const struct kind usual = {
	.augmentation = "zR", .data = sdata4, .ndata = 1, .encoding = 0x1b};

/* --- tables ---------------------------------------------------------------------- */

TEST(the_header_finds_it)
{
	struct file f;
	uint64_t cie, fde[2];

	start(&f);
	cie = put_cie(&f, &usual);
	for (uint64_t i = 0; i < 2; i++)
		fde[i] = put_fde(&f, &usual, cie, CODE + 0x100 * i, 0x80 + 0x80 * i, NULL, 0);
	end_section(&f, EH);
	end_section(&f, EH_2);
	put_n(&f, 0x3b031b01, 4);
	put_pointer(&f, 0x1b, BASE);
	put_n(&f, 2, 4);
	for (uint64_t i = 0; i < 2; i++) {
		put_n(&f, CODE + 0x100 * i - (BASE + HDR * ROOM), 4);
		put_n(&f, fde[i] - (BASE + HDR * ROOM), 4);
	}
	end_section(&f, HDR);
	/* Only by the header: .eh_frame has no name. */
	f.sections[EH].name = "";
	for (int again = 0; again < 2; again++) {
		open_tables(&f);
		assert_true(found(&f, CODE));
		assert_true(found(&f, CODE + 0x7f));
		assert_false(found(&f, CODE + 0x80)); /* behind a call that does not return */
		assert_true(found(&f, CODE + 0x100));
		assert_true(found(&f, CODE + 0x1ff));
		assert_false(found(&f, CODE + 0x200));
		assert_false(found(&f, CODE - 1));
		assert_false(found(&f, 0));
		assert_false(found(&f, UINT64_MAX));
		/* And once more without section headers, by where it says that .eh_frame is. */
		f.bytes[HDR * ROOM + 3] = DW_EH_PE_omit;
		f.sections[EH].name = "stripped";
		f.sections[EH_2].name = "stripped";
	}
	stop(&f);
}

/* Functions in any order, another object's entries behind a terminator, a second section. */
TEST(a_table_is_made)
{
	struct file f;
	uint64_t cie;

	start(&f);
	cie = put_cie(&f, &usual);
	for (uint64_t i = 40; i-- > 0;)
		put_fde(&f, &usual, cie, CODE + 0x100 * i, 0x80, NULL, 0);
	put_fde(&f, &usual, cie, 0, 0x80, NULL, 0);        /* left out by the linker */
	put_fde(&f, &usual, cie, CODE + 0x40, 0, NULL, 0); /* nothing */
	put_n(&f, 0, 4);
	cie = put_cie(&f, &usual);
	put_fde(&f, &usual, cie, CODE + 0x5000, 0x80, NULL, 0);
	end_section(&f, EH);
	cie = put_cie(&f, &usual);
	put_fde(&f, &usual, cie, CODE + 0x6000, 0x80, NULL, 0);
	end_section(&f, EH_2);
	open_tables(&f);
	for (uint64_t i = 0; i < 40; i++) {
		assert_true(found(&f, CODE + 0x100 * i));
		assert_true(found(&f, CODE + 0x100 * i + 0x7f));
		assert_false(found(&f, CODE + 0x100 * i + 0x80));
	}
	assert_true(found(&f, CODE + 0x5000));
	assert_true(found(&f, CODE + 0x6000));
	assert_false(found(&f, 0x20));
	assert_false(found(&f, CODE + 0x7000));
	stop(&f);
}

TEST(debug_frame)
{
	for (int i = 0; i < 12; i++) {
		static const uint8_t versions[] = {1, 3, 4};
		struct kind k = {.version = versions[i % 3], .debug = true, .wide = i / 3 % 2};
		struct file f;
		uint64_t cie;

		start(&f);
		f.at = f.bytes + DEBUG * ROOM;
		if (i >= 6) /* squeezed: not what it seems */
			put_n(&f, 1, 8);
		cie = put_cie(&f, &k);
		put_fde(&f, &k, cie, CODE, 0x80, NULL, 0);
		put_cie(&f, &k);
		put_fde(&f, &k, cie, CODE + 0x100, 0x80, NULL, 0);
		end_section(&f, DEBUG);
		open_tables(&f);
		assert_int_equal(found(&f, CODE + 0x10), i < 6);
		assert_int_equal(found(&f, CODE + 0x110), i < 6);
		assert_false(found(&f, CODE + 0x210));
		stop(&f);
	}
}

static bool readable(const struct kind *k)
{
	struct file f;
	struct uw_fde fde;
	bool ok;

	start(&f);
	put_fde(&f, k, put_cie(&f, k), CODE + 0x20, 0x40, NULL, 0);
	end_section(&f, EH);
	open_tables(&f);
	ok = uw_eh_frame_find(f.tables, CODE + 0x20 + 0x3f, &fde);
	if (ok) {
		assert_int_equal(fde.start, CODE + 0x20);
		assert_int_equal(fde.end, CODE + 0x60);
		assert_int_equal(fde.signal, strchr(k->augmentation, 'S') != NULL);
	}
	stop(&f);
	return ok;
}

/* The personality is stepped over, whatever its encoding: it is not read. */
TEST(augmentations)
{
	static const struct {
		uint8_t encoding, bytes;
	} p[] = {{0x00, 8}, {0x1b, 4}, {0x9b, 4}, {0x9c, 8}, {0x2a, 2}, {0x33, 4},
		 {0xbb, 4}, {0x43, 4}, {0x01, 1}, {0x09, 1}, {0xff, 0}};

	for (size_t i = 0; i < sizeof p / sizeof *p; i++) {
		uint8_t data[16] = {p[i].encoding}, *at = data + 1 + p[i].bytes;

		*at++ = 0x1b; /* of the data for exceptions */
		*at++ = 0x1b;
		assert_true(readable(&DEFAULT("zPLR", data, (size_t)(at - data), 1, 0x1b)));
		assert_true(readable(&DEFAULT("zPLRSB", data, (size_t)(at - data), 3, 0x1b)));
	}
	assert_true(readable(&DEFAULT("", NULL, 0, 1, 0)));
	assert_true(readable(&DEFAULT("z", NULL, 0, 1, 0)));
	assert_true(readable(&DEFAULT("zRS", sdata4, 1, 1, 0x1b)));
	assert_true(readable(&DEFAULT("zSR", sdata4, 1, 1, 0x1b)));
	assert_true(readable(&DEFAULT("zR", sdata4, 1, 1, 0x1b, .wide = true)));
	/* Unknown letters: harmless once the encoding is known. */
	assert_true(readable(&DEFAULT("zRX", (const uint8_t *)"\x1b\x99", 2, 1, 0x1b)));
	assert_true(readable(&DEFAULT("zRXLS", (const uint8_t *)"\x1b\x99", 2, 1, 0x1b)));
	assert_false(readable(&DEFAULT("zXR", (const uint8_t *)"\x99\x1b", 2, 1, 0x1b)));
	assert_false(readable(&DEFAULT("eh", NULL, 0, 1, 0)));
	assert_false(readable(&DEFAULT("zRSSSSSSSSSSSSSSSSSSSSSSS", sdata4, 1, 1, 0x1b)));
	assert_false(readable(&DEFAULT("zR", sdata4, 1, 2, 0x1b)));
	assert_false(readable(&DEFAULT("zR", sdata4, 0, 1, 0x1b)));
}

TEST(pointer_encodings)
{
	static const uint8_t good[] = {0x00, 0x01, 0x03, 0x04, 0x09, 0x0b, 0x0c,
				       0x10, 0x13, 0x14, 0x1b, 0x1c, 0x19, 0x50};
	/* Relative to what only the process knows, to nothing, or of no format. */
	static const uint8_t bad[] = {0x3b, 0x2b, 0x4b, 0x9b, 0x6b, 0x05, 0x1f, 0xff};

	for (size_t i = 0; i < sizeof good; i++) {
		/* A LEB128 relative to itself can be longer than was counted. */
		if (good[i] == 0x19)
			continue;
		assert_true(readable(&DEFAULT("zR", &good[i], 1, 1, good[i])));
	}
	for (size_t i = 0; i < sizeof bad; i++)
		assert_false(readable(&DEFAULT("zR", &bad[i], 1, 1, 0x1b)));
	/* Two bytes reach no code from 0; from where they stand they do. */
	assert_false(readable(&DEFAULT("zR", (const uint8_t *)"\x02", 1, 1, 0x02)));
}

/* A pass over entries without end stops; what came before is there. */
TEST(a_pass_is_bounded)
{
	enum { BYTES = 64 << 20, FDE = 24 };
	static struct file f;
	uint8_t *bytes = malloc(BYTES);
	uint64_t cie, n = 0;

	assert_non_null(bytes);
	start(&f);
	cie = put_cie(&f, &DEFAULT(""));
	memcpy(bytes, f.bytes, (size_t)(f.at - f.bytes));
	for (size_t at = (size_t)(f.at - f.bytes); at + FDE <= BYTES; at += FDE, n++) {
		uint32_t head[2] = {FDE - 4, (uint32_t)(BASE + at + 4 - cie)};
		uint64_t range[2] = {0x10000000 + n, 1};

		memcpy(bytes + at, head, sizeof head);
		memcpy(bytes + at + 8, range, sizeof range);
	}
	f.elf.bytes = bytes;
	f.elf.size = BYTES;
	f.segs[0] = (struct uw_segment){BASE, BYTES, 0, BYTES, PF_R};
	f.segs[1] = (struct uw_segment){0x10000000, n, 0, 0, PF_X};
	f.sections[EH].size = BYTES;
	open_tables(&f);
	assert_true(found(&f, 0x10000000));
	assert_true(found(&f, 0x10000000 + 2000000));
	assert_true(n > 2500000);
	assert_false(found(&f, 0x10000000 + n - 1));
	stop(&f);
	/* Zeros without end, each a terminator, the same. */
	memset(bytes, 0, BYTES);
	f.tables = NULL;
	open_tables(&f);
	assert_false(found(&f, 0x10000000));
	stop(&f);
	free(bytes);
}

/* --- rows ------------------------------------------------------------------------ */

#if defined(__x86_64__)

static bool row_of(const void *rules, size_t n, uint64_t off, uint32_t budget,
		   struct uw_cfi_row *row)
{
	static struct file f;
	struct uw_fde fde;
	bool ok;

	start(&f);
	put_fde(&f, &usual, put_cie(&f, &usual), CODE, 0x100000, rules, n);
	end_section(&f, EH);
	f.tables = NULL;
	open_tables(&f);
	assert_true(uw_eh_frame_find(f.tables, CODE + off, &fde));
	ok = uw_cfi_row_make(&f.elf, &fde, CODE + off, &budget, row);
	stop(&f);
	return ok;
}

/* clang-format off */
#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})
/* clang-format on */

/* push %rbp; mov %rsp,%rbp ... pop %rbp; ret, with advances of every size */
TEST(rows_of_a_function)
{
	static const uint8_t rules[] = {DW_CFA_advance_loc + 1,
					DW_CFA_def_cfa_offset,
					16,
					DW_CFA_offset + 6,
					2,
					DW_CFA_advance_loc + 3,
					DW_CFA_def_cfa_register,
					6,
					DW_CFA_advance_loc1,
					0xff,
					DW_CFA_offset + 3,
					3,
					DW_CFA_advance_loc2,
					0x00,
					0x80,
					DW_CFA_remember_state,
					DW_CFA_advance_loc4,
					0x00,
					0x00,
					0x01,
					0x00,
					DW_CFA_restore + 3,
					DW_CFA_def_cfa,
					7,
					8,
					DW_CFA_advance_loc + 1,
					DW_CFA_restore_state,
					DW_CFA_GNU_args_size,
					0x90,
					0x01,
					DW_CFA_nop};
	struct uw_cfi_row r;

	for (uint64_t off = 0; off < 0x18200; off++) {
		bool saved_bx = off >= 4 + 0xff && off != 4 + 0xff + 0x8000 + 0x10000;

		if (off > 0x200 && off < 0x8000)
			off = 0x8000;
		if (off > 0x8200 && off < 0x18000)
			off = 0x18000;
		assert_true(row_of(rules, sizeof rules, off, BUDGET, &r));
		assert_int_equal(r.cfa_slot,
				 off >= 4 && (off < 4 + 0xff || saved_bx) ? UW_BP : UW_SP);
		assert_int_equal(r.cfa, off == 0 ? 8 : r.cfa_slot == UW_SP && off > 4 ? 8 : 16);
		assert_int_equal(r.rule[UW_BP], off >= 1 ? UW_RULE_SAVED : UW_RULE_SAME);
		assert_int_equal(r.rule[UW_BX], saved_bx ? UW_RULE_SAVED : UW_RULE_SAME);
		assert_int_equal(r.rule[UW_IP], UW_RULE_SAVED);
		assert_int_equal(r.at[UW_IP], -8);
		assert_int_equal(r.rule[UW_SP], UW_RULE_CFA);
		if (off >= 1)
			assert_int_equal(r.at[UW_BP], -16);
		if (saved_bx)
			assert_int_equal(r.at[UW_BX], -24);
	}
}

TEST(rules_of_every_kind)
{
	struct uw_cfi_row r;

	assert_true(row_of(BYTES(DW_CFA_offset_extended, 12, 3, DW_CFA_offset_extended_sf, 13, 0x7c,
				 DW_CFA_register, 14, 3, DW_CFA_register, 15, 0, DW_CFA_val_offset,
				 3, 1, DW_CFA_same_value, 6, DW_CFA_undefined, 16),
			   0, BUDGET, &r));
	assert_int_equal(r.rule[UW_R12], UW_RULE_SAVED);
	assert_int_equal(r.at[UW_R12], -24);
	assert_int_equal(r.at[UW_R13], 32);
	assert_int_equal(r.rule[UW_R14], UW_RULE_REG);
	assert_int_equal(r.at[UW_R14], UW_BX);
	assert_int_equal(r.rule[UW_R15], UW_RULE_LOST);
	assert_int_equal(r.rule[UW_BX], UW_RULE_CFA);
	assert_int_equal(r.at[UW_BX], -8);
	assert_int_equal(r.rule[UW_IP], UW_RULE_LOST);
	assert_true(row_of(BYTES(DW_CFA_def_cfa_sf, 6, 0x7e, DW_CFA_val_offset_sf, 12, 0x7f,
				 DW_CFA_GNU_negative_offset_extended, 13, 2),
			   0, BUDGET, &r));
	assert_int_equal(r.cfa_slot, UW_BP);
	assert_int_equal(r.cfa, 16);
	assert_int_equal(r.at[UW_R12], 8);
	assert_int_equal(r.at[UW_R13], 16);
	/* set_loc takes a pointer in the encoding of the entry. */
	assert_true(row_of(BYTES(DW_CFA_set_loc, 0, 0, 0x7f, 0, DW_CFA_def_cfa_offset, 16), 8,
			   BUDGET, &r));
	assert_int_equal(r.cfa, 8);
	/* The CFA by a register that is unknown, as in functions that align their stack. */
	assert_false(row_of(BYTES(DW_CFA_def_cfa, 10, 0), 0, BUDGET, &r));
}

TEST(refused_rules)
{
	struct uw_cfi_row r;

	assert_false(row_of(BYTES(DW_CFA_restore_state), 0, BUDGET, &r));
	assert_false(
		row_of(BYTES(DW_CFA_remember_state, DW_CFA_remember_state, DW_CFA_remember_state,
			     DW_CFA_remember_state, DW_CFA_remember_state, DW_CFA_remember_state,
			     DW_CFA_remember_state, DW_CFA_remember_state, DW_CFA_remember_state),
		       0, BUDGET, &r));
	assert_false(row_of(BYTES(DW_CFA_GNU_window_save), 0, BUDGET, &r));
	assert_false(row_of(BYTES(0x3f), 0, BUDGET, &r));
	assert_false(row_of(BYTES(DW_CFA_same_value, 16), 0, BUDGET, &r));
	assert_false(row_of(BYTES(DW_CFA_def_cfa_expression, 200), 0, BUDGET, &r));
	assert_false(
		row_of(BYTES(DW_CFA_def_cfa_expression, 1, DW_OP_nop, DW_CFA_def_cfa_offset, 8), 0,
		       BUDGET, &r));
	assert_false(row_of(BYTES(DW_CFA_def_cfa_offset, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
				  0xff, 0xff, 0xff, 0xff),
			    0, BUDGET, &r));
	/* More than the budget, however little an instruction does. */
	assert_true(row_of(BYTES(0, 0, 0, 0, 0, 0, 0, 0), 0, 32, &r));
	assert_false(row_of(BYTES(0, 0, 0, 0, 0, 0, 0, 0), 0, 8, &r));
}

static int eval(const void *ops, size_t n, uint64_t *ret)
{
	uint64_t stack[] = {0x1122334455667788, 42};
	struct uw_mem_bytes bytes = {0x1000, stack, sizeof stack, NULL};
	struct uw_mem mem = uw_mem_bytes(&bytes);
	struct uw_cfi_frame f = {.r = {[UW_SP] = 0x1000, [UW_BP] = 7, [UW_IP] = 0x401236},
				 .known = 1 << UW_SP | 1 << UW_BP | 1 << UW_IP};
	uint32_t budget = 40;
	uint8_t image[64] = {(uint8_t)n};
	struct uw_elf elf = {.bytes = image, .size = n + 1, .machine = EM_X86_64};

	memcpy(image + 1, ops, n);
	return uw_cfi_eval(&elf, 0, 0x100000, &f, NULL, &mem, &budget, ret);
}

TEST(expressions)
{
	static const struct {
		uint8_t n, ops[12];
		uint64_t want;
	} good[] = {
		/* GNU ld's for the stubs of a linkage table */
		{11,
		 {DW_OP_breg7, 8, DW_OP_breg16, 0, DW_OP_lit15, DW_OP_and, DW_OP_lit11, DW_OP_ge,
		  DW_OP_lit3, DW_OP_shl, DW_OP_plus},
		 0x1008},
		{3, {DW_OP_breg7, 8, DW_OP_deref}, 42},
		{4, {DW_OP_breg7, 0, DW_OP_deref_size, 2}, 0x7788},
		{9, {DW_OP_addr, 1, 2, 3, 0, 0, 0, 0, 0}, 0x130201},
		{3, {DW_OP_const1s, 0xff, DW_OP_neg}, 1},
		{4, {DW_OP_const2u, 0, 1, DW_OP_not}, ~256ull},
		{5, {DW_OP_const4s, 0xff, 0xff, 0xff, 0xff}, UINT64_MAX},
		{4, {DW_OP_const1s, 0xf0, DW_OP_lit2, DW_OP_shra}, (uint64_t)-4},
		{4, {DW_OP_lit1, DW_OP_lit2, DW_OP_lit3, DW_OP_rot}, 2},
		{4, {DW_OP_lit1, DW_OP_lit2, DW_OP_pick, 1}, 1},
		{4, {DW_OP_lit5, DW_OP_lit2, DW_OP_swap, DW_OP_minus}, (uint64_t)-3},
		{3, {DW_OP_bregx, 6, 0x7f}, 6},
		{3, {DW_OP_lit1, DW_OP_plus_uconst, 9}, 10},
		{4, {DW_OP_lit1, DW_OP_const1u, 64, DW_OP_shl}, 0},
	};
	/* Jumps, calls, divisions; too few, too many; a register, a word that is not there. */
	static const struct {
		uint8_t n, ops[8];
		int want;
	} bad[] = {
		{3, {DW_OP_skip, 0xfd, 0xff}, -EINVAL},
		{3, {DW_OP_lit1, DW_OP_lit0, DW_OP_div}, -EINVAL},
		{3, {DW_OP_call2, 0, 0}, -EINVAL},
		{2, {DW_OP_lit1, DW_OP_plus}, -EINVAL},
		{1, {DW_OP_drop}, -EINVAL},
		{0, {0}, -EINVAL},
		{2, {DW_OP_pick, 0}, -EINVAL},
		{2, {DW_OP_breg0, 0}, -EINVAL},
		{2, {DW_OP_breg3, 0}, -EINVAL},
		{2, {DW_OP_lit0, DW_OP_deref}, -EFAULT},
		{4, {DW_OP_breg7, 0, DW_OP_deref_size, 9}, -EINVAL},
		{3, {DW_OP_const8u, 1, 2}, -EINVAL},
	};
	uint8_t many[40];
	uint64_t v;

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		v = 0;
		assert_int_equal(eval(good[i].ops, good[i].n, &v), 0);
		assert_int_equal(v, good[i].want);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(eval(bad[i].ops, bad[i].n, &v), bad[i].want);
	memset(many, DW_OP_lit0, sizeof many);
	assert_int_equal(eval(many, 32, &v), 0);
	assert_int_equal(eval(many, 33, &v), -EINVAL);
	memset(many, DW_OP_nop, sizeof many);
	many[0] = DW_OP_lit0;
	assert_int_equal(eval(many, 39, &v), 0);
	assert_int_equal(eval(many, 40, &v), -EINVAL); /* the budget */
}

/* --- beside libdw ---------------------------------------------------------------- */

static const uint8_t columns[UW_SLOTS] = {3, 6, 7, 16, 12, 13, 14, 15};

static void same_cfa(const struct uw_cfi_row *row, Dwarf_Frame *frame)
{
	Dwarf_Op *ops;
	size_t n;

	assert_int_equal(dwarf_frame_cfa(frame, &ops, &n), 0);
	if (row->cfa_slot == UW_SLOTS) {
		assert_true(n > 1);
		return;
	}
	assert_int_equal(n, 1);
	if (ops[0].atom == DW_OP_bregx) {
		assert_int_equal(ops[0].number, columns[row->cfa_slot]);
		assert_int_equal(ops[0].number2, row->cfa);
	} else {
		assert_int_equal(ops[0].atom, DW_OP_breg0 + columns[row->cfa_slot]);
		assert_int_equal((int64_t)ops[0].number, row->cfa);
	}
}

static void same_rule(const struct uw_cfi_row *row, size_t slot, Dwarf_Frame *frame)
{
	Dwarf_Op mem[3], *ops;
	size_t n;

	assert_int_equal(dwarf_frame_register(frame, columns[slot], mem, &ops, &n), 0);
	/* What the ABI says of a register that has no rule, libdw doesn't know here. */
	if (slot == UW_SP && n == 0 && row->rule[slot] == UW_RULE_CFA && row->at[slot] == 0)
		return;
	switch (row->rule[slot]) {
	case UW_RULE_SAME:
		assert_int_equal(n, 0);
		break;
	case UW_RULE_LOST:
		assert_true(n == 0 && ops == mem);
		break;
	case UW_RULE_SAVED:
	case UW_RULE_CFA:
		assert_true(n >= 1 && ops[0].atom == DW_OP_call_frame_cfa);
		assert_int_equal(ops[n - 1].atom == DW_OP_stack_value,
				 row->rule[slot] == UW_RULE_CFA);
		n -= row->rule[slot] == UW_RULE_CFA;
		assert_int_equal(n > 1 ? (int64_t)ops[1].number : 0, row->at[slot]);
		break;
	case UW_RULE_REG:
		assert_int_equal(n, 1);
		if (ops[0].atom == DW_OP_regx)
			assert_int_equal(ops[0].number, columns[row->at[slot]]);
		else
			assert_int_equal(ops[0].atom, DW_OP_reg0 + columns[row->at[slot]]);
		break;
	default: /* an expression, with the CFA put before it */
		assert_true(n >= 2);
	}
}

struct counts {
	size_t both, none, differ, refused;
};

static void compare_at(struct uw_eh_frame *tables, const struct uw_elf *elf, Dwarf_CFI *cfi,
		       uint64_t pc, struct counts *c)
{
	struct uw_cfi_row row;
	Dwarf_Frame *frame = NULL;
	Dwarf_Addr lo, hi;
	struct uw_fde fde;
	uint32_t budget = BUDGET;
	bool theirs = dwarf_cfi_addrframe(cfi, pc, &frame) == 0, signal;

	if (uw_eh_frame_find(tables, pc, &fde) != theirs) {
		c->differ++;
	} else if (!theirs) {
		c->none++;
	} else if (!uw_cfi_row_make(elf, &fde, pc, &budget, &row)) {
		c->refused++;
	} else {
		dwarf_frame_info(frame, &lo, &hi, &signal);
		assert_int_equal(signal, row.signal);
		same_cfa(&row, frame);
		for (size_t i = 0; i < UW_SLOTS; i++)
			same_rule(&row, i, frame);
		c->both++;
	}
	free(frame);
}

/* Addresses all over the code of a file; with and without the file's own search table. */
static void compare_file(const char *path, bool made)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct uw_elf *elf, changed;
	struct uw_eh_frame *tables;
	struct counts c = {0};
	Dwarf_CFI *cfi;
	uint64_t x = 1;

	if (fd < 0 || uw_elf_open(fd, &elf, NULL) < 0)
		return;
	cfi = dwarf_getcfi_elf(elf->handle);
	changed = *elf;
	if (made) {
		changed.handle = NULL; /* no program header, and no section of that name */
		for (size_t i = 0; i < elf->nsections; i++) {
			if (strcmp(elf->sections[i].name, ".eh_frame_hdr") == 0)
				elf->sections[i].name = "";
		}
	}
	assert_int_equal(uw_eh_frame_new(&changed, &tables), 0);
	for (size_t i = 0; cfi && i < elf->nsegs; i++) {
		for (int k = 0; elf->segs[i].flags & PF_X && k < 20000; k++) {
			x = x * 6364136223846793005u + 1442695040888963407u;
			compare_at(tables, elf, cfi,
				   elf->segs[i].vaddr + (x >> 20) % elf->segs[i].filesz, &c);
		}
	}
	print_message("# %s%s: %zu rows equal, %zu without, %zu refused\n", path,
		      made ? " by a table made" : "", c.both, c.none, c.refused);
	assert_int_equal(c.differ, 0);
	assert_true(!cfi || c.both > 1000);
	/* What is refused needs a register that no sample has. */
	assert_true(c.refused * 500 <= c.both);
	dwarf_cfi_end(cfi);
	uw_eh_frame_free(tables);
	uw_elf_free(elf);
}

TEST(rows_beside_libdw)
{
	static const char *const files[] = {"/proc/self/exe",
					    "/lib/x86_64-linux-gnu/libc.so.6",
					    "/lib/x86_64-linux-gnu/libm.so.6",
					    "/lib64/ld-linux-x86-64.so.2",
					    "/lib/x86_64-linux-gnu/libdw.so.1",
					    "/usr/lib/x86_64-linux-gnu/libstdc++.so.6"};

	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		compare_file(files[i], false);
		compare_file(files[i], true);
	}
}

#endif
