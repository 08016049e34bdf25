/* SPDX-License-Identifier: Apache-2.0 */
#include "core_space.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	COMPARED = 64 << 10, /* of one mapping, at most */
	MAX_FILES = 4096,    /* different ones */
	PAGE = 4096,
};

#define NO_DEVICE UINT64_MAX /* of files that could not be opened */

/* One mapped file, however often it is mapped. */
struct file {
	const char *path;
	struct uw_binary *bin;
	const struct uw_elf *elf; /* NULL: not usable */
	uint64_t dev, ino;
	uint64_t bias;
	bool has_bias;
	bool maybe_data; /* the core doesn't say whether it was mapped for code */
};

struct load {
	struct uw_space *s;
	struct uw_core *core;
	const char *exe;
	struct uw_core_load *ret;
	struct file *files;
	size_t n;
};

/* --- is it the same file? -------------------------------------------------------- */

/* Whether a page of [offset, offset+len) belongs to a segment that is written to at run time. */
static bool is_written(const struct uw_elf *elf, uint64_t offset, uint64_t len)
{
	for (size_t i = 0; i < elf->nsegs; i++) {
		const struct uw_segment *s = &elf->segs[i];
		uint64_t first = s->offset & ~(uint64_t)(PAGE - 1);

		if ((s->flags & PF_W) && first < offset + len && offset < s->offset + s->filesz)
			return true;
	}
	return false;
}

/* 1: the same; 0: nothing to compare; -ESTALE: not the same. */
static int compare(const struct uw_core *core, const struct uw_mem *mem,
		   const struct uw_core_file *f, const struct uw_elf *elf)
{
	uint8_t page[PAGE];
	int same = 0;

	for (uint64_t at = 0; at < f->end - f->start && at < COMPARED; at += PAGE) {
		uint64_t offset = f->offset + at, room;

		if (uw_core_room(core, f->start + at, PAGE) < PAGE)
			return same;
		if (offset < f->offset || offset >= elf->size)
			return same ? same : -ESTALE;
		room = elf->size - offset < PAGE ? elf->size - offset : PAGE;
		if (is_written(elf, offset, room))
			return same;
		if (uw_read(mem, f->start + at, page, PAGE) < 0)
			return same;
		if (memcmp(page, elf->bytes + offset, room) != 0)
			return -ESTALE;
		same = 1;
	}
	return same;
}

/* All mappings of one file. */
static int prove(const struct load *l, const struct file *file, const struct uw_elf *elf)
{
	struct uw_mem mem = uw_core_mem(l->core);
	int proved = 0;

	if (elf->machine != l->core->machine)
		return -ESTALE;
	for (size_t i = 0; i < l->core->nfiles; i++) {
		const struct uw_core_file *f = &l->core->files[i];
		int r;

		if (strcmp(f->path, file->path) != 0 || (uw_core_flags(l->core, f->start) & PF_W))
			continue;
		r = compare(l->core, &mem, f, elf);
		if (r < 0)
			return r;
		proved |= r;
	}
	return proved;
}

/* --- the files ------------------------------------------------------------------- */

static bool is_program(const struct load *l, const char *path)
{
	return l->ret->program && !strcmp(l->ret->program->path, path);
}

/* A file of which only the name is known; it explains addresses, but has no names for them. */
static int add_nameless(struct load *l, struct file *f)
{
	f->elf = NULL;
	f->dev = NO_DEVICE;
	f->ino = l->n; /* from 1 on */
	f->bin = uw_binary_get(l->s->reg, f->dev, f->ino, f->path, NULL, -1);
	return f->bin ? uw_space_hold(l->s, f->bin) : -ENOMEM;
}

static void count(size_t *n, const char **first, const char *path)
{
	if ((*n)++ == 0)
		*first = path;
}

static int unusable(struct load *l, struct file *f, int error)
{
	if (is_program(l, f->path))
		return error;
	/* A mapping that was perhaps never executed may as well be data. */
	if (f->maybe_data)
		return 0;
	if (error == -ESTALE || error == -ENOEXEC)
		count(&l->ret->changed, &l->ret->first_changed, f->path);
	else
		count(&l->ret->missing, &l->ret->first_missing, f->path);
	return add_nameless(l, f);
}

static int check_file(struct load *l, struct file *f)
{
	const struct uw_elf *elf = uw_binary_elf(f->bin);
	int r = elf ? prove(l, f, elf) : -ENOEXEC;

	if (r < 0)
		return unusable(l, f, r);
	f->elf = elf;
	if (is_program(l, f->path)) {
		l->s->exe = f->bin;
		l->ret->proved = r > 0;
	}
	return 0;
}

static int open_file(struct load *l, struct file *f)
{
	bool program = is_program(l, f->path);
	const char *path = program && l->exe ? l->exe : f->path;
	struct stat st;
	int fd;

	if (program)
		snprintf(l->ret->exe, sizeof l->ret->exe, "%s", path);
	fd = uw_open_regular(path, &st);
	if (fd < 0)
		return unusable(l, f, fd);
	f->dev = st.st_dev;
	f->ino = st.st_ino;
	f->bin = uw_binary_get(l->s->reg, f->dev, f->ino, f->path, path, fd);
	return f->bin && uw_space_hold(l->s, f->bin) == 0 ? check_file(l, f) : -ENOMEM;
}

static struct file *file_of(struct load *l, const char *path)
{
	for (size_t i = 0; i < l->n; i++) {
		if (!strcmp(l->files[i].path, path))
			return &l->files[i];
	}
	return NULL;
}

/* --- the mappings ---------------------------------------------------------------- */

/* gcore has no segment for a mapping that it left out whole; then the file's own headers decide. */
static bool is_executable(const struct uw_core *core, const struct uw_core_file *f,
			  const struct uw_elf *elf)
{
	uint32_t flags = uw_core_flags(core, f->start);

	if (flags || !elf)
		return flags & PF_X;
	for (size_t i = 0; i < elf->nsegs; i++) {
		const struct uw_segment *s = &elf->segs[i];

		if ((s->flags & PF_X) && (s->offset & ~(uint64_t)(PAGE - 1)) == f->offset)
			return true;
	}
	return false;
}

static int add_mapping(struct load *l, const struct uw_core_file *f, struct file *file)
{
	struct uw_map_event e = {.start = f->start,
				 .end = f->end,
				 .offset = f->offset,
				 .dev = file->dev,
				 .ino = file->ino,
				 .path = f->path};

	if (file->elf && !file->has_bias)
		file->has_bias = uw_elf_bias(file->elf, f->start, f->offset, &file->bias);
	return uw_space_add(l->s, &e);
}

/* Data files, which the program maps for itself, are not opened: *ret is NULL. */
static int file_for(struct load *l, const struct uw_core_file *f, struct file **ret)
{
	uint32_t flags = uw_core_flags(l->core, f->start);
	bool program = is_program(l, f->path);

	*ret = file_of(l, f->path);
	if (*ret || f->path[0] != '/' || (flags && !(flags & PF_X) && !program))
		return 0;
	if (l->n == MAX_FILES)
		return flags || program ? -E2BIG : 0;
	*ret = &l->files[l->n++];
	**ret = (struct file){.path = f->path, .maybe_data = !flags && !program};
	return open_file(l, *ret);
}

static int add_mappings(struct load *l)
{
	for (size_t i = 0; i < l->core->nfiles; i++) {
		const struct uw_core_file *f = &l->core->files[i];
		struct file *file;
		int r = file_for(l, f, &file);

		if (r == 0 && file && file->bin && is_executable(l->core, f, file->elf))
			r = add_mapping(l, f, file);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Executable memory that is no file: the vDSO, and code that was made at run time. */
static int add_anonymous(struct load *l, uint64_t start, uint64_t end)
{
	bool vdso = l->core->vdso && start == l->core->vdso;
	struct uw_map_event e = {.start = start, .end = end, .path = vdso ? "[vdso]" : ""};

	if (start >> 63) /* [vsyscall] */
		return 0;
	return uw_space_add(l->s, &e);
}

/* Whether the mapping is where the loader put that part of the file, not one more of it elsewhere.
 */
static bool is_in_place(const struct uw_core_file *f, const struct file *file)
{
	uint64_t vaddr = f->start - file->bias;

	for (size_t i = 0; i < file->elf->nsegs; i++) {
		const struct uw_segment *s = &file->elf->segs[i];
		uint64_t slack = s->vaddr & (PAGE - 1), first = s->vaddr - slack;

		if (vaddr - first < s->filesz + slack &&
		    f->offset == s->offset - slack + (vaddr - first))
			return true;
	}
	return false;
}

/* Pages that the core left out are served from the files. */
static int back(struct load *l)
{
	for (size_t i = 0; i < l->core->nfiles; i++) {
		const struct uw_core_file *f = &l->core->files[i];
		const struct file *file = file_of(l, f->path);
		int r;

		if (!file || !file->has_bias || !is_in_place(f, file))
			continue;
		r = uw_core_back(l->core, f->start, f->end, file->elf, file->bias);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_anonymous_all(struct load *l)
{
	uint64_t start, end;
	int r = 0;

	for (size_t i = 0; r == 0 && uw_core_mapping(l->core, i, &start, &end); i++) {
		if ((uw_core_flags(l->core, start) & PF_X) && !uw_core_file_at(l->core, start))
			r = add_anonymous(l, start, end);
	}
	return r;
}

int uw_space_load_core(struct uw_space *s, struct uw_core *core, const char *exe,
		       struct uw_core_load *ret)
{
	struct load l = {.s = s, .core = core, .exe = exe, .ret = ret};
	int r;

	*ret = (struct uw_core_load){0};
	s->live = uw_core_mem(core);
	s->arch = uw_arch_of(core->machine);
	s->pid = 0; /* its number may be another process's by now */
	ret->program = core->entry ? uw_core_file_at(core, core->entry) : NULL;
	if (!ret->program)
		return -ENODATA;
	l.files = calloc(MAX_FILES, sizeof *l.files);
	if (!l.files)
		return -ENOMEM;
	r = add_mappings(&l);
	if (r == 0)
		r = back(&l);
	if (r == 0)
		r = add_anonymous_all(&l);
	free(l.files);
	return r;
}
