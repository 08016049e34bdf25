/* SPDX-License-Identifier: Apache-2.0 */
#include "build_go.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	PAGE = 4096,
	BASE = 0x400000,   /* vaddr = offset + BASE, in all segments */
	SECT_GAP = 0x2000, /* between two text sections */
	MODULE_ROOM = 1024,
};

struct buf {
	uint8_t *p;
	size_t len, room;
};

static void put(struct buf *b, const void *p, size_t len)
{
	if (b->len + len > b->room) {
		b->room = 2 * (b->len + len);
		b->p = realloc(b->p, b->room);
		if (!b->p)
			abort();
	}
	if (p)
		memcpy(b->p + b->len, p, len);
	else
		memset(b->p + b->len, 0, len);
	b->len += len;
}

static void put8(struct buf *b, uint64_t v)
{
	put(b, &v, 1);
}

static void put32(struct buf *b, uint64_t v)
{
	put(b, &v, 4);
}

static void put64(struct buf *b, uint64_t v)
{
	put(b, &v, 8);
}

static void align(struct buf *b, size_t to)
{
	while (b->len % to)
		put8(b, 0);
}

static void uvarint(struct buf *b, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		put8(b, (v & 0x7f) | 0x80);
	put8(b, v);
}

static uint32_t string(struct buf *b, const char *s)
{
	size_t at = b->len;

	put(b, s, strlen(s) + 1);
	return (uint32_t)at;
}

static void set(uint8_t *p, uint16_t off, uint64_t v, size_t size)
{
	if (off != UW_GO_NONE)
		memcpy(p + off, &v, size);
}

/* --- tables --- */

struct tables {
	const struct build_go *what;
	struct buf out; /* the whole file */
	struct buf names, cutab, files, pctab, funcs, trees;
	uint64_t text, gofunc;
	uint64_t *entries;
	uint64_t sect_end; /* offset where the first text section ends */
};

static uint64_t pointer(const struct tables *t, uint64_t addr)
{
	switch (t->what->pointers) {
	case BUILD_ZERO:
		return 0;
	case BUILD_LOADED:
		return addr + t->what->bias;
	default:
		return addr;
	}
}

static uint32_t pctable(struct tables *t, const struct build_step *s)
{
	uint32_t at = (uint32_t)t->pctab.len, quantum = t->what->machine == EM_AARCH64 ? 4 : 1;
	int32_t v = -1;

	if (!s)
		return 0;
	for (; s->bytes; s++) {
		int64_t d = (int64_t)s->value - v;

		uvarint(&t->pctab, (uint32_t)(d < 0 ? (uint64_t)(-d) * 2 - 1 : (uint64_t)d * 2));
		uvarint(&t->pctab, s->bytes / quantum);
		v = s->value;
	}
	put8(&t->pctab, 0);
	return at;
}

static uint64_t inline_tree(struct tables *t, const struct build_func *f)
{
	const struct uw_golayout *l = t->what->layout;
	uint64_t at;

	align(&t->trees, 8);
	at = t->trees.len;
	for (size_t i = 0; i < f->ntree; i++) {
		const struct build_inlined *x = &f->tree[i];
		uint8_t e[64] = {0};

		set(e, l->inl.parent, (uint64_t)x->parent, 2);
		set(e, l->inl.id, x->id, 1);
		set(e, l->inl.file, (uint64_t)x->file, 4);
		set(e, l->inl.line, (uint64_t)x->line, 4);
		set(e, l->inl.name, string(&t->names, x->name), 4);
		set(e, l->inl.parent_pc, x->parent_pc, 4);
		set(e, l->inl.start_line, (uint64_t)x->start_line, 4);
		put(&t->trees, e, l->inl.size);
	}
	return at;
}

static uint64_t key(const struct tables *t, size_t i)
{
	uint64_t off = t->entries[i] - t->text;

	if (t->what->layout->pc_size == 8)
		return pointer(t, t->entries[i]);
	if (t->what->second_sect && i >= t->what->second_sect)
		off -= SECT_GAP;
	return off;
}

/* One _func with three pcdata tables and four funcdata, of which the last of each is inlining's. */
static void record(struct tables *t, size_t i, size_t records_at)
{
	const struct build_func *f = &t->what->funcs[i];
	const struct uw_golayout *l = t->what->layout;
	uint8_t r[64] = {0};
	uint64_t tree = f->ntree ? t->gofunc + inline_tree(t, f) : 0, k = key(t, i);

	set(r, 0, k, l->pc_size);
	set(r, l->func.name, string(&t->names, f->name), 4);
	set(r, l->func.pcsp, pctable(t, f->sp), 4);
	set(r, l->func.pcfile, pctable(t, f->file), 4);
	set(r, l->func.pcln, pctable(t, f->line), 4);
	set(r, l->func.npcdata, 3, 4);
	set(r, l->func.start_line, (uint64_t)f->start_line, 4);
	set(r, l->func.id, f->id, 1);
	set(r, l->func.flag, f->flag, 1);
	set(r, l->func.nfuncdata, 4, 1);
	put(&t->funcs, r, l->func.nfuncdata + 1);
	put32(&t->funcs, 0);
	put32(&t->funcs, 0);
	put32(&t->funcs, pctable(t, f->inl));
	if (l->pc_size == 8)
		while ((records_at + t->funcs.len) % 8)
			put8(&t->funcs, 0);
	for (size_t k2 = 0; k2 < 4; k2++) {
		if (l->pc_size == 8)
			put64(&t->funcs, k2 == 3 && tree ? pointer(t, tree) : 0);
		else
			put32(&t->funcs, k2 == 3 && tree ? tree - t->gofunc : UINT32_MAX);
	}
	while (t->funcs.len % 4)
		put8(&t->funcs, 0);
}

static void make_functions(struct tables *t, struct buf *functab)
{
	const struct build_go *w = t->what;
	size_t width = w->layout->pc_size, tab = (w->nfuncs + 1) * 2 * width;

	put8(&t->pctab, 0); /* offset 0 means no table */
	for (size_t i = 0; i <= w->nfuncs; i++) {
		uint64_t k = key(t, i), off = tab + t->funcs.len;

		put(functab, &k, width);
		put(functab, &off, width);
		if (i < w->nfuncs)
			record(t, i, tab);
	}
}

static void make_files(struct tables *t)
{
	for (size_t i = 0; i < t->what->nfiles; i++)
		put32(&t->cutab,
		      t->what->files[i] ? string(&t->files, t->what->files[i]) : UINT32_MAX);
}

static void place_functions(struct tables *t)
{
	const struct build_go *w = t->what;
	uint64_t at = t->text;

	t->entries = calloc(w->nfuncs + 1, sizeof *t->entries);
	if (!t->entries)
		abort();
	for (size_t i = 0; i < w->nfuncs; i++) {
		if (w->second_sect && i == w->second_sect) {
			t->sect_end = at - t->text;
			at += SECT_GAP;
		}
		t->entries[i] = at;
		at += w->funcs[i].size;
	}
	t->entries[w->nfuncs] = at;
}

/* --- moduledata and build information --- */

static void slice(struct tables *t, uint8_t *m, uint16_t off, uint64_t addr, uint64_t len)
{
	set(m, off, pointer(t, addr), 8);
	set(m, off + 8, len, 8);
	set(m, off + 16, len, 8);
}

struct places {
	uint64_t header, names, cutab, files, pctab, funcs;
};

static void put_module(struct tables *t, const struct places *p, uint64_t sects, uint64_t nsects,
		       uint64_t functab_len)
{
	const struct uw_golayout *l = t->what->layout;
	uint64_t end = t->entries[t->what->nfuncs];
	uint8_t m[MODULE_ROOM] = {0};

	set(m, 0, pointer(t, p->header), 8);
	slice(t, m, l->module.funcnametab, p->names, t->names.len);
	slice(t, m, l->module.cutab, p->cutab, t->cutab.len / 4);
	slice(t, m, l->module.filetab, p->files, t->files.len);
	slice(t, m, l->module.pctab, p->pctab, t->pctab.len);
	slice(t, m, l->module.pclntable, p->funcs, functab_len + t->funcs.len);
	slice(t, m, l->module.ftab, p->funcs, t->what->nfuncs + 1);
	set(m, l->module.minpc, pointer(t, t->text), 8);
	set(m, l->module.maxpc, pointer(t, end), 8);
	set(m, l->module.text, pointer(t, t->text), 8);
	set(m, l->module.etext, pointer(t, end), 8);
	set(m, l->module.gofunc, pointer(t, t->gofunc), 8);
	if (l->module.textsectmap != UW_GO_NONE)
		slice(t, m, l->module.textsectmap, sects, nsects);
	set(m, l->module.hasmain, 1, 1);
	put(&t->out, m, l->module.size);
}

static uint64_t put_sects(struct tables *t, uint64_t *n)
{
	uint64_t at, end = t->entries[t->what->nfuncs] - t->text;

	align(&t->out, 8);
	at = BASE + t->out.len;
	*n = 1;
	put64(&t->out, 0);
	put64(&t->out, t->what->second_sect ? t->sect_end : end);
	put64(&t->out, pointer(t, t->text));
	if (t->what->second_sect) {
		*n = 2;
		put64(&t->out, t->sect_end);
		put64(&t->out, end - SECT_GAP);
		put64(&t->out, pointer(t, t->text + t->sect_end + SECT_GAP));
	}
	return at;
}

static void put_text(struct buf *b, const char *mod)
{
	if (!mod)
		return;
	put(b, "0123456789abcdef", 16);
	put(b, mod, strlen(mod));
	put(b, "fedcba9876543210", 16);
}

static size_t put_blob(struct tables *t, uint64_t strings)
{
	const struct build_go *w = t->what;
	size_t at;

	align(&t->out, 16);
	at = t->out.len;
	put(&t->out, "\xff Go buildinf:", 14);
	put8(&t->out, 8);
	if (w->layout->minor < 18) {
		put8(&t->out, 0);
		put64(&t->out, pointer(t, strings));
		put64(&t->out, pointer(t, strings + 16));
		return at;
	}
	put8(&t->out, 2);
	put(&t->out, NULL, 16);
	uvarint(&t->out, strlen(w->version));
	put(&t->out, w->version, strlen(w->version));
	uvarint(&t->out, w->mod ? strlen(w->mod) + 32 : 0);
	put_text(&t->out, w->mod);
	return at;
}

/* Up to Go 1.17: two string headers, that the blob points to. */
static uint64_t put_strings(struct tables *t, uint64_t texts)
{
	uint64_t at, len = strlen(t->what->version);

	align(&t->out, 8);
	at = BASE + t->out.len;
	put64(&t->out, pointer(t, texts));
	put64(&t->out, len);
	put64(&t->out, pointer(t, texts + len));
	put64(&t->out, t->what->mod ? strlen(t->what->mod) + 32 : 0);
	return at;
}

/* --- the file --- */

static void put_segment(uint8_t *file, size_t i, uint32_t flags, uint64_t from, uint64_t to)
{
	Elf64_Phdr ph = {
		.p_type = PT_LOAD,
		.p_flags = flags,
		.p_offset = from,
		.p_vaddr = BASE + from,
		.p_paddr = BASE + from,
		.p_filesz = to - from,
		.p_memsz = to - from,
		.p_align = PAGE,
	};

	memcpy(file + sizeof(Elf64_Ehdr) + i * sizeof ph, &ph, sizeof ph);
}

struct section {
	const char *name;
	uint64_t from, to;
};

static void put_sections(struct tables *t, Elf64_Ehdr *eh, const struct section *s, size_t n)
{
	struct buf names = {0}, headers = {0};
	Elf64_Shdr sh = {0};

	string(&names, "");
	put(&headers, &sh, sizeof sh);
	for (size_t i = 0; i < n; i++) {
		sh = (Elf64_Shdr){
			.sh_name = string(&names, s[i].name),
			.sh_type = SHT_PROGBITS,
			.sh_addr = BASE + s[i].from,
			.sh_offset = s[i].from,
			.sh_size = s[i].to - s[i].from,
		};
		put(&headers, &sh, sizeof sh);
	}
	sh = (Elf64_Shdr){
		.sh_name = string(&names, ".shstrtab"),
		.sh_type = SHT_STRTAB,
		.sh_offset = t->out.len,
		.sh_size = names.len,
	};
	put(&headers, &sh, sizeof sh);
	put(&t->out, names.p, names.len);
	align(&t->out, 8);
	eh->e_shoff = t->out.len;
	eh->e_shnum = (uint16_t)(n + 2);
	eh->e_shstrndx = (uint16_t)(n + 1);
	eh->e_shentsize = sizeof sh;
	put(&t->out, headers.p, headers.len);
	free(names.p);
	free(headers.p);
}

static uint64_t put_table(struct tables *t, const struct buf *table)
{
	uint64_t at;

	align(&t->out, 8);
	at = BASE + t->out.len;
	put(&t->out, table->p, table->len);
	return at;
}

static struct places put_pclntab(struct tables *t, const struct buf *functab)
{
	const struct uw_golayout *l = t->what->layout;
	struct places p;
	uint8_t *h;

	align(&t->out, 32);
	p.header = BASE + t->out.len;
	put(&t->out, NULL, l->header.pcln + 8);
	p.names = put_table(t, &t->names);
	p.cutab = put_table(t, &t->cutab);
	p.files = put_table(t, &t->files);
	p.pctab = put_table(t, &t->pctab);
	p.funcs = put_table(t, functab);
	put(&t->out, t->funcs.p, t->funcs.len);
	h = t->out.p + (p.header - BASE);
	set(h, 0, l->magic, 4);
	set(h, 6, t->what->machine == EM_AARCH64 ? 4 : 1, 1);
	set(h, 7, 8, 1);
	set(h, l->header.nfunc, t->what->nfuncs, 8);
	set(h, l->header.funcname, p.names - p.header, 8);
	set(h, l->header.cu, p.cutab - p.header, 8);
	set(h, l->header.filetab, p.files - p.header, 8);
	set(h, l->header.pctab, p.pctab - p.header, 8);
	set(h, l->header.pcln, p.funcs - p.header, 8);
	return p;
}

static void free_tables(struct tables *t)
{
	free(t->names.p);
	free(t->cutab.p);
	free(t->files.p);
	free(t->pctab.p);
	free(t->funcs.p);
	free(t->trees.p);
}

struct built_go build_go(const struct build_go *what)
{
	struct tables t = {.what = what, .text = BASE + PAGE};
	struct buf functab = {0};
	uint64_t rodata, data, texts, sects, nsects = 0, strings = 0;
	struct places p;
	struct built_go ret = {0};
	Elf64_Ehdr eh = {
		.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = what->pointers == BUILD_LINKED ? ET_EXEC : ET_DYN,
		.e_machine = what->machine ? what->machine : EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof eh,
		.e_ehsize = sizeof eh,
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 3,
	};

	place_functions(&t);
	put(&t.out, NULL, PAGE + (t.entries[what->nfuncs] - t.text));
	align(&t.out, PAGE);
	rodata = t.out.len;
	put8(&t.out, 0x55);
	align(&t.out, 8);
	t.gofunc = BASE + t.out.len;
	make_functions(&t, &functab);
	make_files(&t);
	put(&t.out, t.trees.p, t.trees.len);
	texts = BASE + t.out.len;
	if (what->version)
		put(&t.out, what->version, strlen(what->version));
	put_text(&t.out, what->mod);
	p = put_pclntab(&t, &functab);
	ret.tables_end = t.out.len;
	align(&t.out, PAGE);
	data = t.out.len;
	if (what->version && what->layout->minor < 18)
		strings = put_strings(&t, texts);
	if (what->version)
		ret.blob_at = put_blob(&t, strings);
	sects = put_sects(&t, &nsects);
	align(&t.out, 32);
	ret.moduledata_at = t.out.len;
	put_module(&t, &p, sects, nsects, functab.len);
	ret.size = t.out.len;
	put_segment(t.out.p, 0, PF_R | PF_X, 0, rodata);
	put_segment(t.out.p, 1, PF_R, rodata, ret.tables_end);
	put_segment(t.out.p, 2, PF_R | PF_W, data, ret.size);
	if (what->sections)
		put_sections(&t, &eh,
			     (struct section[]){
				     {".text", PAGE, rodata},
				     {what->pclntab_section ? what->pclntab_section : ".gopclntab",
				      p.header - BASE, ret.tables_end},
				     {".noptrdata", ret.moduledata_at, ret.size},
				     {".go.buildinfo", ret.blob_at ? ret.blob_at : data,
				      ret.moduledata_at},
			     },
			     what->version ? 4 : 3);
	memcpy(t.out.p, &eh, sizeof eh);
	ret.bytes = t.out.p;
	ret.size = t.out.len;
	ret.text = t.text;
	ret.header = p.header;
	ret.header_at = p.header - BASE;
	ret.moduledata = BASE + ret.moduledata_at;
	ret.entries = t.entries;
	free(functab.p);
	free_tables(&t);
	return ret;
}

void built_go_fini(struct built_go *b)
{
	free(b->bytes);
	free(b->entries);
}

int built_go_fd(const struct built_go *b)
{
	int fd = memfd_create("built", MFD_CLOEXEC);

	if (fd < 0 || write(fd, b->bytes, b->size) != (ssize_t)b->size)
		abort();
	return fd;
}

struct uw_elf *built_go_elf(const struct built_go *b)
{
	struct uw_elf *elf;

	return uw_elf_open(built_go_fd(b), &elf, NULL) == 0 ? elf : NULL;
}

static int read_loaded(void *ctx, uint64_t addr, void *buf, size_t len)
{
	struct loaded_go *l = ctx;
	uint64_t at = addr - l->bias - BASE;

	l->reads++;
	if (at > l->file->size || len > l->file->size - at)
		return -EFAULT;
	memcpy(buf, l->file->bytes + at, len);
	return 0;
}

struct uw_mem loaded_go_mem(struct loaded_go *loaded)
{
	return (struct uw_mem){.read = read_loaded, .ctx = loaded};
}
