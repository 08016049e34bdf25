/* SPDX-License-Identifier: Apache-2.0 */
#include "space.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "golayout.h"
#include "maps.h"
#include "task.h"
#include "hash.h"

#define VDSO "[vdso]"

enum {
	MAX_MAPPINGS = 1 << 16,
	MAX_VDSO = 1 << 20,
	MIN_HELD = 16,
};

void uw_space_init(struct uw_space *s, struct uw_binaries *reg, pid_t pid)
{
	*s = (struct uw_space){.reg = reg,
			       .pid = pid,
			       .living = pid,
			       .arch = uw_arch_host(),
			       .live = uw_mem_process(pid)};
	s->version = ++reg->versions;
}

static struct uw_binary **held_slot(struct uw_binary **held, size_t cap, const struct uw_binary *b)
{
	size_t i = uw_hash((uintptr_t)b, 32) & (cap - 1);

	while (held[i] && held[i] != b)
		i = (i + 1) & (cap - 1);
	return &held[i];
}

static int more_held(struct uw_space *s)
{
	size_t cap = s->held_cap ? 2 * s->held_cap : MIN_HELD;
	struct uw_binary **held = calloc(cap, sizeof(struct uw_binary *));

	if (!held)
		return -ENOMEM;
	for (size_t i = 0; i < s->held_cap; i++) {
		if (s->held[i])
			*held_slot(held, cap, s->held[i]) = s->held[i];
	}
	free(s->held);
	s->held = held;
	s->held_cap = cap;
	return 0;
}

int uw_space_hold(struct uw_space *s, struct uw_binary *b)
{
	struct uw_binary **slot;

	if (2 * (s->nheld + 1) > s->held_cap && more_held(s) < 0) {
		uw_binary_unref(b);
		return -ENOMEM;
	}
	slot = held_slot(s->held, s->held_cap, b);
	if (*slot) {
		uw_binary_unref(b);
		return 0;
	}
	*slot = b;
	s->nheld++;
	return 0;
}

void uw_space_fini(struct uw_space *s)
{
	for (size_t i = 0; i < s->held_cap; i++)
		uw_binary_unref(s->held[i]);
	free(s->held);
	free(s->maps);
	free(s->mods);
	s->held = NULL;
	s->maps = NULL;
	s->mods = NULL;
	s->nheld = s->held_cap = s->n = s->cap = s->nmods = 0;
}

static void forget_go(struct uw_space *s)
{
	s->go = NULL;
	s->go_tried = false;
	s->go_lo = s->go_hi = 0;
	s->nmods = s->chosen = s->first = 0;
	s->cursor = (struct uw_go_cursor){0};
}

static int hold_too(struct uw_space *s, struct uw_binary *b)
{
	return b ? uw_space_hold(s, uw_binary_ref(b)) : 0;
}

static int hold_mapped(struct uw_space *s)
{
	int r = hold_too(s, s->exe);

	for (size_t i = 0; r == 0 && i < s->n; i++) {
		const struct uw_mapping *m = &s->maps[i];

		r = hold_too(s, m->bin);
		if (r == 0)
			r = hold_too(s, m->mapped);
		for (size_t k = 0; r == 0 && k < sizeof m->near / sizeof m->near[0]; k++)
			r = hold_too(s, m->near[k].bin);
	}
	return r;
}

int uw_space_clone(const struct uw_space *from, struct uw_space *to)
{
	int r = -ENOMEM;

	*to = *from;
	to->mods = NULL;
	to->held = NULL;
	to->nheld = to->held_cap = 0;
	forget_go(to);
	to->maps = malloc((from->cap ? from->cap : 1) * sizeof *to->maps);
	if (to->maps && from->n)
		memcpy(to->maps, from->maps, from->n * sizeof *to->maps);
	if (to->maps)
		r = hold_mapped(to);
	if (r < 0) {
		uw_space_fini(to);
		return r;
	}
	to->version = ++from->reg->versions;
	return 0;
}

/* Index of the first mapping that ends after addr. */
static size_t lower(const struct uw_space *s, uint64_t addr)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->maps[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct uw_mapping *uw_space_at(struct uw_space *s, uint64_t pc)
{
	size_t i = lower(s, pc);

	return i < s->n && s->maps[i].start <= pc ? &s->maps[i] : NULL;
}

/* Opens path if it is still the file that was mapped. */
static int open_same(const char *path, uint64_t dev, uint64_t ino)
{
	struct stat st;
	int fd = uw_open_regular(path, &st);

	if (fd < 0)
		return -1;
	if (ino == 0 || (st.st_ino == ino && (dev == 0 || st.st_dev == dev)))
		return fd;
	close(fd);
	return -1;
}

/*
 * Overlay file systems (containers) show one device and inode in maps and another one by stat, so
 * the last try takes the name as it is when the inode at least can't be compared.
 */
static int open_mapped(const struct uw_space *s, const struct uw_map_event *e, char *host,
		       size_t host_len)
{
	int fd;

	snprintf(host, host_len, "/proc/%d/root%s", (int)s->living, e->path);
	fd = open_same(host, e->dev, e->ino);
	if (fd >= 0)
		return fd;
	snprintf(host, host_len, "/proc/%d/map_files/%llx-%llx", (int)s->living,
		 (unsigned long long)e->start, (unsigned long long)e->end);
	fd = open_same(host, 0, 0);
	if (fd >= 0)
		return fd;
	snprintf(host, host_len, "/proc/%d/exe", (int)s->living);
	fd = open_same(host, e->dev, e->ino);
	if (fd >= 0)
		return fd;
	/* The target may be gone already. Mostly its root was ours, and device and inode of the
	 * file decide. */
	if (e->dev) {
		snprintf(host, host_len, "%s", e->path);
		fd = open_same(host, e->dev, e->ino);
		if (fd >= 0)
			return fd;
	}
	snprintf(host, host_len, "/proc/%d/root%s", (int)s->living, e->path);
	fd = open_same(host, 0, e->ino);
	if (fd >= 0)
		return fd;
	host[0] = '\0';
	return -1;
}

static int file_of(const void *buf, size_t len)
{
	int fd = memfd_create("vdso", MFD_CLOEXEC);

	if (fd >= 0 && write(fd, buf, len) != (ssize_t)len) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/*
 * The vDSO is no file: its bytes are copied from the target into an anonymous one. All processes of
 * one kind have the same one, and so has one that is gone and can't be read any more.
 */
static struct uw_binary *vdso_of(struct uw_space *s, const struct uw_map_event *e)
{
	size_t len = e->end - e->start;
	struct uw_binary *b;
	char *buf = NULL;
	bool read;

	if (len <= MAX_VDSO)
		buf = malloc(len);
	read = buf && uw_read(&s->live, e->start, buf, len) == 0;
	for (b = s->reg->first; b; b = b->next) {
		const struct uw_elf *elf = strcmp(b->path, VDSO) ? NULL : uw_binary_elf(b);

		if (elf && elf->size == len && (!read || memcmp(elf->bytes, buf, len) == 0))
			break;
	}
	if (b)
		uw_binary_ref(b);
	else
		b = uw_binary_get(s->reg, 0, 0, VDSO, NULL, read ? file_of(buf, len) : -1);
	free(buf);
	return b;
}

/* A new reference; NULL: no file, or no memory. */
static struct uw_binary *reference_to(struct uw_space *s, const struct uw_map_event *e)
{
	struct uw_binary *b = uw_binary_find(s->reg, e->dev, e->ino);
	char host[4200];
	int fd;

	if (b && (!b->no_fd || b->parsed))
		return uw_binary_ref(b);
	if (!strcmp(e->path, VDSO))
		return vdso_of(s, e);
	if (e->ino == 0 || e->path[0] != '/')
		return NULL;
	fd = open_mapped(s, e, host, sizeof host);
	return uw_binary_get(s->reg, e->dev, e->ino, e->path, host[0] ? host : NULL, fd);
}

static struct uw_binary *binary_of(struct uw_space *s, const struct uw_map_event *e)
{
	struct uw_binary *b = reference_to(s, e);

	return b && uw_space_hold(s, b) == 0 ? b : NULL;
}

static bool same_file(const struct uw_mapping *m, const struct uw_map_event *e)
{
	uint64_t off = m->offset + (e->start - m->start);
	bool vdso = !strcmp(e->path, VDSO);

	const struct uw_binary *bin = m->copied ? m->mapped : m->bin;

	if (m->vdso || vdso)
		return m->vdso && vdso && off == e->offset;
	if (!bin)
		return e->ino == 0;
	return bin->dev == e->dev && bin->ino == e->ino && e->ino != 0 &&
	       (m->copied || off == e->offset);
}

bool uw_space_conflicts(const struct uw_space *s, const struct uw_map_event *e)
{
	for (size_t i = lower(s, e->start); i < s->n && s->maps[i].start < e->end; i++) {
		if (!same_file(&s->maps[i], e))
			return true;
	}
	return false;
}

static int reserve(struct uw_space *s, size_t n)
{
	if (n > s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 32;
		struct uw_mapping *maps;

		if (n > MAX_MAPPINGS)
			return -E2BIG;
		while (cap < n)
			cap *= 2;
		maps = realloc(s->maps, cap * sizeof *maps);
		if (!maps)
			return -ENOMEM;
		s->maps = maps;
		s->cap = cap;
	}
	return 0;
}

static void insert_at(struct uw_space *s, size_t i, const struct uw_mapping *m)
{
	memmove(&s->maps[i + 1], &s->maps[i], (s->n - i) * sizeof *s->maps);
	s->maps[i] = *m;
	s->n++;
}

/* Cuts [start, end) out of what is there. At most one mapping is split in two. */
static void cut(struct uw_space *s, uint64_t start, uint64_t end)
{
	size_t i = lower(s, start);

	while (i < s->n && s->maps[i].start < end) {
		struct uw_mapping *m = &s->maps[i];
		struct uw_mapping tail = *m;

		if (m->start < start && m->end > end) {
			m->end = start;
			tail.offset += end - tail.start;
			tail.start = end;
			insert_at(s, i + 1, &tail);
			return;
		}
		if (m->start < start) {
			m->end = start;
			i++;
		} else if (m->end > end) {
			m->offset += end - m->start;
			m->start = end;
			return;
		} else {
			memmove(m, m + 1, (s->n - i - 1) * sizeof *m);
			s->n--;
		}
	}
}

bool uw_space_is_anonymous(uint64_t ino, const char *path)
{
	return ino == 0 ? path[0] != '[' || !strncmp(path, "[anon", 5)
			: !strncmp(path, "/memfd:", 7) || !strncmp(path, "/anon_hugepage", 14) ||
				  !strncmp(path, "/dev/zero", 9) || !strncmp(path, "/dev/shm/", 9);
}

static struct uw_near near_of(const struct uw_mapping *m)
{
	if (!m)
		return (struct uw_near){0};
	return m->bin && m->bin->ino && !uw_space_is_anonymous(m->bin->ino, m->bin->path)
		       ? (struct uw_near){m->bin, m->start, m->offset}
		       : m->near[0];
}

int uw_space_add(struct uw_space *s, const struct uw_map_event *e)
{
	struct uw_mapping m = {.start = e->start, .end = e->end, .offset = e->offset};
	struct uw_mapping *old;
	int r;

	if (e->end <= e->start)
		return -EINVAL;
	old = uw_space_at(s, e->start);
	if (old && old->start <= e->start && old->end >= e->end && same_file(old, e))
		return 0;
	m.run = e->start;
	if (uw_space_is_anonymous(e->ino,
				  e->path)) /* it may be a copy of what it takes the place of */
		m.near[0] = near_of(old);
	r = reserve(s, s->n + 2);
	if (r < 0)
		return r;
	m.vdso = !strcmp(e->path, VDSO);
	m.bin = binary_of(s, e);
	if (!m.bin && (m.vdso || (e->ino && e->path[0] == '/')))
		return -ENOMEM;
	cut(s, e->start, e->end);
	insert_at(s, lower(s, e->start), &m);
	s->version = ++s->reg->versions;
	/* Go is looked for again: it may be new, or replaced. The tables stay with the file. */
	forget_go(s);
	s->go_again = 0;
	s->fresh = true;
	return 0;
}

struct loading {
	struct uw_space *s;
	struct uw_map_event file; /* the last mapping of a file, whatever it is for */
	char path[4096];
	struct uw_near near;   /* the same; made when it is first wanted */
	uint64_t run, run_end; /* of the anonymous memory that was seen last */
	uint64_t waiting;      /* executable anonymous memory; 0: none */
};

static struct uw_near near_file(struct loading *l)
{
	if (!l->near.bin && l->file.ino)
		l->near = (struct uw_near){binary_of(l->s, &l->file), l->file.start,
					   l->file.offset};
	return l->near;
}

/* Anonymous memory knows the mappings of files on both of its sides. */
static void tell_neighbours(struct loading *l, const struct uw_map_event *e, bool executable)
{
	struct uw_mapping *m;

	if (uw_space_is_anonymous(e->ino, e->path)) {
		if (e->start - l->run_end > UW_MAX_RUN_GAP)
			l->run = e->start;
		l->run_end = e->end;
		m = executable ? uw_space_at(l->s, e->start) : NULL;
		if (m && !m->bias_tried) {
			m->run = l->run;
			if (!m->near[0].bin)
				m->near[0] = near_file(l);
			l->waiting = e->start;
		}
	} else if (e->ino && strlen(e->path) < sizeof l->path) {
		l->file = *e;
		l->file.path = strcpy(l->path, e->path);
		l->near = (struct uw_near){0};
		m = l->waiting ? uw_space_at(l->s, l->waiting) : NULL;
		if (m && !m->near[1].bin)
			m->near[1] = near_file(l);
		l->waiting = 0;
	}
}

static int add_line(void *ctx, const struct uw_map *map)
{
	struct loading *l = ctx;
	struct uw_map_event e = {.start = map->start,
				 .end = map->end,
				 .offset = map->offset,
				 .dev = makedev(map->major, map->minor),
				 .ino = map->inode,
				 .path = map->path};
	bool executable = map->prot & PROT_EXEC && strcmp(e.path, "[vsyscall]") != 0;
	int r = executable ? uw_space_add(l->s, &e) : 0;

	if (r == 0)
		tell_neighbours(l, &e, executable);
	return r;
}

/*
 * The program itself. Where a file system shows one device here and another one in its mappings
 * (overlays of older kernels), it is known by its name.
 */
static struct uw_binary *find_exe(const struct uw_space *s)
{
	static const char mark[] = " (deleted)";
	const size_t mark_len = sizeof mark - 1;
	struct uw_binary *exe = NULL;
	char name[64], path[4200];
	struct stat st;
	ssize_t n;

	snprintf(name, sizeof name, "/proc/%d/exe", (int)s->living);
	if (stat(name, &st) == 0)
		exe = uw_binary_find(s->reg, st.st_dev, st.st_ino);
	n = exe ? 0 : readlink(name, path, sizeof path - 1);
	if (n <= 0)
		return exe;
	path[n] = '\0';
	if ((size_t)n > mark_len && !strcmp(path + n - mark_len, mark))
		path[(size_t)n - mark_len] = '\0';
	for (size_t i = 0; !exe && i < s->n; i++) {
		if (s->maps[i].bin && !strcmp(s->maps[i].bin->path, path))
			exe = s->maps[i].bin;
	}
	return exe;
}

int uw_space_load(struct uw_space *s)
{
	struct loading l = {.s = s};
	bool fresh = s->fresh;
	char name[64];
	int fd, r;

	s->living = uw_task_living(s->pid);
	s->live = uw_mem_task(s->pid, s->living);
	snprintf(name, sizeof name, "/proc/%d/maps", (int)s->living);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	r = uw_maps_read(fd, add_line, &l);
	close(fd);
	s->fresh = fresh;
	if (r < 0)
		return r;
	s->exe = find_exe(s);
	return 0;
}

bool uw_space_elf(struct uw_space *s, struct uw_mapping *m, const struct uw_elf **elf,
		  uint64_t *bias)
{
	const struct uw_elf *e = m->bin ? uw_binary_elf(m->bin) : NULL;

	if (!m->bias_tried) {
		m->bias_tried = true;
		m->has_bias = e ? uw_elf_bias(e, m->start, m->offset, &m->bias)
				: uw_space_prove(s, m);
	}
	if (!m->has_bias)
		return false;
	*elf = uw_binary_elf(m->bin);
	*bias = m->bias;
	return true;
}

int uw_space_check_go(const struct uw_space *s, const struct uw_mem *mem)
{
	const struct uw_go *go = s->go;
	uint64_t lo, hi, at, minpc = 0, maxpc = 0, entries = 0;
	const struct uw_golayout *l;

	if (!go)
		return -ENOENT;
	l = uw_go_layout(go);
	at = uw_go_moduledata(go) + s->go_bias;
	uw_go_text(go, &lo, &hi);
	if (uw_read_u64(mem, at + l->module.minpc, &minpc) < 0 ||
	    uw_read_u64(mem, at + l->module.maxpc, &maxpc) < 0 ||
	    uw_read_u64(mem, at + l->module.ftab + 8, &entries) < 0)
		return -ENODATA;
	if (minpc != lo + s->go_bias || maxpc != hi + s->go_bias || entries != uw_go_nfuncs(go) + 1)
		return -ESTALE;
	return 0;
}
