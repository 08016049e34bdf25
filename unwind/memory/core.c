/* SPDX-License-Identifier: Apache-2.0 */
#include "core.h"

#include <elf.h>
#include <errno.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arch.h"
#include "bytes.h"

enum {
	MAX_SEGMENTS = 1 << 20, /* the kernel's own limit, vm.max_map_count, is 65530 at first */
	MAX_NOTES = 256 << 20,  /* bytes in all; a thread takes some 4 KiB of them */
	MAX_FILES = 1 << 18,    /* mappings of files: a kernel writes 4 MiB of them at most */
	MAX_THREADS = 1 << 17,
	MAX_BACKS = 1 << 16,

	/* struct elf_prstatus and elf_prpsinfo of 64-bit Linux, include/linux/elfcore.h */
	PRSTATUS_CURSIG = 12,
	PRSTATUS_PID = 32,
	PRSTATUS_REGS = 112,
	PRPSINFO_PID = 24,
	PRPSINFO_FNAME = 40,
	FNAME = 15, /* without the last byte, which is 0 from the kernel */
};

struct uw_core_segment { /* a PT_LOAD; sorted by vaddr, disjoint */
	uint64_t vaddr, memsz;
	uint64_t offset, filesz; /* cut to the file's real length */
	uint32_t flags;
};

struct uw_core_backing {
	uint64_t start, end, bias;
	const struct uw_elf *elf;
};

/* --- notes ----------------------------------------------------------------------- */

static uint64_t reg(struct uw_bytes *desc, size_t which)
{
	return uw_bytes_u64_at(desc, PRSTATUS_REGS + 8 * which);
}

static int add_thread(struct uw_core *c, struct uw_bytes desc)
{
	const struct uw_arch *arch = uw_arch_of(c->machine);
	struct uw_core_thread t = {0};
	int signal = uw_bytes_u16_at(&desc, PRSTATUS_CURSIG);

	t.tid = (pid_t)uw_bytes_u32_at(&desc, PRSTATUS_PID);
	if (arch && arch->user_regs) {
		uint64_t slots[UW_SLOTS] = {0};

		for (size_t i = 0; i < UW_SLOTS; i++)
			slots[i] = reg(&desc, arch->user_regs[i]);
		memcpy(&t.regs, slots, sizeof t.regs);
		t.fs_base = reg(&desc, arch->user_tls);
		t.has_regs = true;
	}
	if (desc.bad || t.tid <= 0 || c->nthreads == MAX_THREADS) {
		c->bad_notes++;
		return 0;
	}
	if ((c->nthreads & (c->nthreads - 1)) == 0) {
		size_t cap = c->nthreads ? 2 * c->nthreads : 1;
		struct uw_core_thread *threads = realloc(c->threads, cap * sizeof *threads);

		if (!threads)
			return -ENOMEM;
		c->threads = threads;
	}
	if (!c->nthreads)
		c->signal = signal;
	c->threads[c->nthreads++] = t;
	return 0;
}

static int take_process(struct uw_core *c, struct uw_bytes desc)
{
	struct uw_bytes at = uw_bytes_from(desc, PRPSINFO_FNAME);
	const uint8_t *name = uw_bytes_take(&at, FNAME);

	if (!name) {
		c->bad_notes++;
		return 0;
	}
	c->pid = (pid_t)uw_bytes_u32_at(&desc, PRPSINFO_PID);
	if (c->pid < 0)
		c->pid = 0;
	memcpy(c->comm, name, FNAME);
	return 0;
}

static int take_auxv(struct uw_core *c, struct uw_bytes desc)
{
	while (uw_bytes_left(&desc) >= 16) {
		uint64_t type = uw_bytes_u64(&desc), value = uw_bytes_u64(&desc);

		if (type == AT_NULL)
			break;
		if (type == AT_ENTRY)
			c->entry = value;
		if (type == AT_SYSINFO_EHDR)
			c->vdso = value;
	}
	return 0;
}

static void strip_deleted(struct uw_core_file *f, char *path)
{
	static const char mark[] = " (deleted)";
	size_t len = strlen(path), marked = sizeof mark - 1;

	if (len > marked && !strcmp(path + len - marked, mark)) {
		path[len - marked] = '\0';
		f->deleted = true;
	}
}

/* The names lie behind the table, one after the other; `names` is our copy of them. */
static bool fill_files(struct uw_core *c, struct uw_bytes *table, struct uw_bytes names,
		       uint64_t page, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct uw_core_file *f = &c->files[i];
		char *path = (char *)(uintptr_t)uw_bytes_cstr(&names);
		uint64_t pages;

		f->start = uw_bytes_u64(table);
		f->end = uw_bytes_u64(table);
		pages = uw_bytes_u64(table);
		if (!path || table->bad || f->end <= f->start ||
		    __builtin_mul_overflow(pages, page, &f->offset))
			return false;
		strip_deleted(f, path);
		f->path = path;
	}
	return true;
}

static int by_start(const void *a, const void *b)
{
	const struct uw_core_file *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* NT_FILE: count, page size, count times {start, end, offset in pages}, count names. */
static int take_files(struct uw_core *c, struct uw_bytes desc)
{
	uint64_t n = uw_bytes_u64(&desc), page = uw_bytes_u64(&desc);
	struct uw_bytes table = desc;
	size_t len;

	if (c->files)
		return 0;
	if (n > uw_bytes_left(&desc) / 25 || n > MAX_FILES || page == 0) {
		c->bad_notes++;
		return 0;
	}
	uw_bytes_take(&desc, 24 * n);
	len = uw_bytes_left(&desc);
	c->files = calloc(n ? n : 1, sizeof *c->files);
	c->names = malloc(len ? len : 1);
	if (!c->files || !c->names)
		return -ENOMEM;
	if (len)
		memcpy(c->names, desc.at, len);
	if (!fill_files(c, &table, uw_bytes(c->names, len), page, n)) {
		c->bad_notes++;
		return 0;
	}
	c->nfiles = n;
	qsort(c->files, c->nfiles, sizeof *c->files, by_start);
	return 0;
}

static int take_note(struct uw_core *c, uint32_t type, struct uw_bytes desc)
{
	switch (type) {
	case NT_PRSTATUS:
		return add_thread(c, desc);
	case NT_PRPSINFO:
		return take_process(c, desc);
	case NT_AUXV:
		return take_auxv(c, desc);
	case NT_FILE:
		return take_files(c, desc);
	default:
		return 0;
	}
}

/* They end at the first one that doesn't fit. */
static int parse_notes(struct uw_core *c, struct uw_bytes b, uint64_t align)
{
	int r = 0;

	while (r == 0 && uw_bytes_left(&b)) {
		uint32_t namesz = uw_bytes_u32(&b), descsz = uw_bytes_u32(&b);
		uint32_t type = uw_bytes_u32(&b);
		uint64_t names = (12 + (uint64_t)namesz + align - 1) / align * align - 12;
		uint64_t pad = -(uint64_t)descsz & (align - 1);
		const uint8_t *name = uw_bytes_take(&b, names);
		const uint8_t *desc = uw_bytes_take(&b, descsz);

		if (!name || !desc) {
			c->bad_notes++;
			break;
		}
		uw_bytes_take(&b, pad < uw_bytes_left(&b) ? pad : uw_bytes_left(&b));
		if (namesz == 5 && !memcmp(name, "CORE", 5))
			r = take_note(c, type, uw_bytes(desc, descsz));
	}
	return r;
}

static int read_notes(struct uw_core *c, const GElf_Phdr *ph, uint64_t size, uint64_t *budget)
{
	uint64_t room = ph->p_offset < size ? size - ph->p_offset : 0;
	uint64_t len = ph->p_filesz < room ? ph->p_filesz : room;
	uint8_t *buf;
	ssize_t n;
	int r;

	c->missing += ph->p_filesz - len;
	if (len == 0)
		return 0;
	if (len > *budget) {
		c->bad_notes++;
		return 0;
	}
	*budget -= len;
	buf = malloc(len);
	if (!buf)
		return -ENOMEM;
	n = pread(c->fd, buf, len, (off_t)ph->p_offset);
	r = n < 0 ? -errno : parse_notes(c, uw_bytes(buf, (size_t)n), ph->p_align == 8 ? 8 : 4);
	free(buf);
	return r;
}

/* --- headers --------------------------------------------------------------------- */

/* The part of a segment beyond the end of the file is missing; one that wraps around is no segment.
 */
static void add_segment(struct uw_core *c, const GElf_Phdr *ph, uint64_t size)
{
	uint64_t room = ph->p_offset < size ? size - ph->p_offset : 0;
	uint64_t filesz = ph->p_filesz < ph->p_memsz ? ph->p_filesz : ph->p_memsz;
	uint64_t have = filesz < room ? filesz : room;

	if (ph->p_memsz == 0 || ph->p_vaddr + ph->p_memsz < ph->p_vaddr)
		return;
	c->missing += filesz - have;
	c->memory += have;
	c->segs[c->nsegs++] = (struct uw_core_segment){.vaddr = ph->p_vaddr,
						       .memsz = ph->p_memsz,
						       .offset = ph->p_offset,
						       .filesz = have,
						       .flags = ph->p_flags};
}

static int by_address(const void *a, const void *b)
{
	const struct uw_core_segment *x = a, *y = b;

	return x->vaddr < y->vaddr ? -1 : x->vaddr > y->vaddr;
}

static int read_headers(struct uw_core *c, Elf *elf, uint64_t size, struct uw_diag *diag)
{
	uint64_t budget = MAX_NOTES; /* several headers may lead to the same bytes */
	size_t n;

	if (elf_getphdrnum(elf, &n) < 0 || n == 0 || n > MAX_SEGMENTS ||
	    n > size / sizeof(Elf64_Phdr))
		return uw_fail(diag, "program headers", 0, ENOEXEC);
	c->segs = calloc(n, sizeof *c->segs);
	if (!c->segs)
		return uw_fail(diag, "program headers", 0, ENOMEM);
	for (size_t i = 0; i < n; i++) {
		GElf_Phdr ph;
		int r = 0;

		if (!gelf_getphdr(elf, (int)i, &ph))
			return uw_fail(diag, "program header", i, ENOEXEC);
		if (ph.p_type == PT_NOTE)
			r = read_notes(c, &ph, size, &budget);
		else if (ph.p_type == PT_LOAD)
			add_segment(c, &ph, size);
		if (r < 0)
			return uw_fail(diag, "notes", ph.p_offset, -r);
	}
	qsort(c->segs, c->nsegs, sizeof *c->segs, by_address);
	for (size_t i = 1; i < c->nsegs; i++) {
		if (c->segs[i - 1].vaddr + c->segs[i - 1].memsz > c->segs[i].vaddr)
			return uw_fail(diag, "overlapping segments", c->segs[i].vaddr, EBADMSG);
	}
	return 0;
}

static int check_kind(struct uw_core *c, Elf *elf, struct uw_diag *diag)
{
	GElf_Ehdr eh;
	const char *ident;

	if (!elf || elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &eh))
		return uw_fail(diag, "ELF header", 0, ENOEXEC);
	ident = elf_getident(elf, NULL);
	if (ident[EI_CLASS] != ELFCLASS64 || ident[EI_DATA] != ELFDATA2LSB)
		return uw_fail(diag, "ELF class", EI_CLASS, ENOTSUP);
	if (eh.e_type != ET_CORE)
		return uw_fail(diag, "ELF type", 16, EINVAL);
	c->machine = eh.e_machine;
	if (!uw_arch_of(c->machine))
		return uw_fail(diag, "ELF machine", 18, ENOTSUP);
	return 0;
}

int uw_core_open(int fd, struct uw_core **ret, struct uw_diag *diag)
{
	struct uw_core *c = calloc(1, sizeof *c);
	struct stat st;
	Elf *elf = NULL;
	int r;

	if (!c) {
		close(fd);
		return uw_fail(diag, "file", 0, ENOMEM);
	}
	c->fd = fd;
	if (fstat(fd, &st) < 0) {
		r = uw_fail(diag, "file size", 0, errno);
	} else {
		elf_version(EV_CURRENT);
		elf = elf_begin(fd, ELF_C_READ, NULL);
		r = check_kind(c, elf, diag);
	}
	if (r == 0)
		r = read_headers(c, elf, (uint64_t)st.st_size, diag);
	elf_end(elf);
	if (r < 0) {
		uw_core_free(c);
		return r;
	}
	if (!c->pid && c->nthreads)
		c->pid = c->threads[0].tid;
	*ret = c;
	return 0;
}

void uw_core_free(struct uw_core *c)
{
	if (!c)
		return;
	close(c->fd);
	free(c->threads);
	free(c->files);
	free(c->names);
	free(c->segs);
	free(c->backs);
	free(c);
}

/* --- memory ---------------------------------------------------------------------- */

static const struct uw_core_segment *segment_at(const struct uw_core *c, uint64_t addr)
{
	size_t lo = 0, hi = c->nsegs;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->segs[mid].vaddr <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0 || addr - c->segs[lo - 1].vaddr >= c->segs[lo - 1].memsz)
		return NULL;
	return &c->segs[lo - 1];
}

uint32_t uw_core_flags(const struct uw_core *c, uint64_t addr)
{
	const struct uw_core_segment *s = segment_at(c, addr);

	return s ? s->flags & (PF_R | PF_W | PF_X) : 0;
}

bool uw_core_mapping(const struct uw_core *c, size_t i, uint64_t *start, uint64_t *end)
{
	if (i >= c->nsegs)
		return false;
	*start = c->segs[i].vaddr;
	*end = c->segs[i].vaddr + c->segs[i].memsz;
	return true;
}

size_t uw_core_room(const struct uw_core *c, uint64_t addr, size_t len)
{
	const struct uw_core_segment *s = segment_at(c, addr);
	uint64_t at = s ? addr - s->vaddr : 0;

	if (!s || at >= s->filesz)
		return 0;
	return len < s->filesz - at ? len : (size_t)(s->filesz - at);
}

const struct uw_core_thread *uw_core_thread(const struct uw_core *c, pid_t tid)
{
	for (size_t i = 0; i < c->nthreads; i++) {
		if (c->threads[i].tid == tid)
			return &c->threads[i];
	}
	return NULL;
}

const struct uw_core_file *uw_core_file_at(const struct uw_core *c, uint64_t addr)
{
	size_t lo = 0, hi = c->nfiles;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->files[mid].start <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo > 0 && addr < c->files[lo - 1].end ? &c->files[lo - 1] : NULL;
}

int uw_core_back(struct uw_core *c, uint64_t start, uint64_t end, const struct uw_elf *elf,
		 uint64_t bias)
{
	struct uw_core_backing *backs;

	if (end <= start)
		return -EINVAL;
	if (c->nbacks == MAX_BACKS)
		return -E2BIG;
	if ((c->nbacks & (c->nbacks - 1)) == 0) {
		backs = realloc(c->backs, (c->nbacks ? 2 * c->nbacks : 1) * sizeof *backs);
		if (!backs)
			return -ENOMEM;
		c->backs = backs;
	}
	c->backs[c->nbacks++] = (struct uw_core_backing){
		.start = start, .end = end, .bias = bias, .elf = elf};
	return 0;
}

/* Bytes of a segment of the file that was not writable, up to len; 0: none are known. */
static size_t read_file(const struct uw_core_backing *b, uint64_t addr, void *buf, size_t len)
{
	uint64_t vaddr = addr - b->bias;
	const uint8_t *p;

	if (len > b->end - addr)
		len = (size_t)(b->end - addr);
	for (size_t i = 0; i < b->elf->nsegs; i++) {
		const struct uw_segment *s = &b->elf->segs[i];

		if (vaddr - s->vaddr >= s->filesz || (s->flags & PF_W))
			continue;
		if (len > s->filesz - (vaddr - s->vaddr))
			len = (size_t)(s->filesz - (vaddr - s->vaddr));
		p = uw_elf_at(b->elf, vaddr, len);
		if (p)
			memcpy(buf, p, len);
		return p ? len : 0;
	}
	return 0;
}

static size_t read_backing(const struct uw_core *c, uint64_t addr, void *buf, size_t len)
{
	/* Writable memory may have been written: the file does not have its content. */
	if (uw_core_flags(c, addr) & PF_W)
		return 0;
	for (size_t i = 0; i < c->nbacks; i++) {
		const struct uw_core_backing *b = &c->backs[i];
		size_t n;

		if (addr < b->start || addr >= b->end)
			continue;
		n = read_file(b, addr, buf, len);
		if (n)
			return n;
	}
	return 0;
}

static int read_segment(const struct uw_core *c, uint64_t addr, uint8_t *buf, size_t len)
{
	const struct uw_core_segment *s = segment_at(c, addr);
	uint64_t at = s->offset + (addr - s->vaddr);

	while (len > 0) {
		ssize_t n = pread(c->fd, buf, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EFAULT;
		buf += n;
		at += (size_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* A read may cross neighbouring mappings, so it goes piece by piece. */
static int read_core(void *ctx, uint64_t addr, void *buf, size_t len)
{
	const struct uw_core *c = ctx;
	uint8_t *to = buf;

	while (len > 0) {
		size_t n = uw_core_room(c, addr, len);
		int r = n ? read_segment(c, addr, to, n) : 0;

		if (r < 0)
			return r;
		if (!n)
			n = read_backing(c, addr, to, len);
		if (!n)
			return -EFAULT;
		addr += n;
		to += n;
		len -= n;
	}
	return 0;
}

struct uw_mem uw_core_mem(struct uw_core *c)
{
	return (struct uw_mem){.read = read_core, .ctx = c};
}
