/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file: a head, an index with one entry a block, the names of modules, the blocks. A block
 * holds neighbouring symbols of one module (or of the kernel itself) and is all that a look-up
 * reads besides the index. Numbers are in the machine's own order: the file doesn't outlive its
 * boot.
 *
 * A block: the number of symbols n (u32), n offsets from the block's base (u32), n offsets of names
 * within the block (u16), the names, each with its zero byte. All parts of the file are padded to
 * 8 bytes.
 */
#include "kallsyms_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kallsyms_parts.h"

enum {
	BLOCK_FULL = 4096, /* a block ends before it becomes larger, unless it is one symbol */
	MAX_BLOCK = 16384, /* so no symbol is longer either */
	MAX_FILE = 64 << 20,
	MAX_SYMBOLS = BLOCK_FULL / 8,
	PAGE = 4096,
	SYMBOL_SIZE = sizeof(uint32_t) + sizeof(uint16_t),
};

#define MAGIC 0x31736d79736b7770ull /* "pwksyms1" on a little-endian machine */

struct head {
	uint64_t magic;
	uint64_t size; /* of the file */
	struct uw_kallsyms_key key;
	uint32_t nblocks, modules_len;
	uint64_t index_sum; /* of the index and the names of modules */
	uint64_t sum;       /* of all above */
};

struct block {
	uint64_t base; /* address of its first symbol */
	uint64_t sum;
	uint32_t span; /* its last symbol ends at base + span */
	uint32_t off;  /* in the file */
	uint32_t len;
	uint32_t module; /* offset of its name + 1; 0: the kernel itself */
};

/*
 * Each step is a bijection of what was there before and of the word: two texts that differ in one
 * word never have the same sum.
 */
static uint64_t sum_of(const void *p, size_t len, uint64_t h)
{
	const unsigned char *c = p;
	uint64_t w;

	for (h += len; len > 0; c += sizeof w) {
		size_t n = len < sizeof w ? len : sizeof w;

		w = 0;
		memcpy(&w, c, n);
		h = (h ^ w) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 32;
		len -= n;
	}
	return h;
}

static size_t padded(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

/* --- the key --------------------------------------------------------------------- */

/* "name size references users state address [taints]" */
static int module_key(const char *line, size_t len, uint64_t *sum,
		      uint64_t (*instance)(void *ctx, const char *module), void *ctx)
{
	enum { NAME, SIZE, REFERENCES, USERS, STATE, ADDRESS, FIELDS };
	const char *field[FIELDS], *end = line + len;
	size_t flen[FIELDS];
	char name[128];

	for (int i = 0; i < FIELDS; i++) {
		const char *sp = memchr(line, ' ', (size_t)(end - line));

		if (!sp)
			sp = end;
		field[i] = line;
		flen[i] = (size_t)(sp - line);
		if (flen[i] == 0)
			return -EBADMSG;
		line = sp < end ? sp + 1 : end;
	}
	if (flen[NAME] >= sizeof name)
		return -EBADMSG;
	if (flen[STATE] != 4 || memcmp(field[STATE], "Live", 4) != 0)
		return -EAGAIN;
	memcpy(name, field[NAME], flen[NAME]);
	name[flen[NAME]] = '\0';
	*sum = sum_of(field[NAME], flen[NAME], *sum);
	*sum = sum_of(field[SIZE], flen[SIZE], *sum);
	*sum = sum_of(field[ADDRESS], flen[ADDRESS], *sum);
	if (instance) {
		uint64_t id = instance(ctx, name);

		*sum = sum_of(&id, sizeof id, *sum);
	}
	return 0;
}

int uw_kallsyms_key_make(struct uw_kallsyms_key *key, struct uw_text boot_id, struct uw_text kernel,
			 struct uw_text modules,
			 uint64_t (*instance)(void *ctx, const char *module), void *ctx)
{
	const char *p = modules.p, *end = modules.p + modules.len;
	uint64_t sum = 0;

	if (boot_id.len == 0)
		return -ENODATA;
	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		int r;

		if (!nl)
			return -EBADMSG;
		r = module_key(p, (size_t)(nl - p), &sum, instance, ctx);
		if (r < 0)
			return r;
		p = nl + 1;
	}
	*key = (struct uw_kallsyms_key){
		.boot = sum_of(boot_id.p, boot_id.len, 0),
		.kernel = sum_of(kernel.p, kernel.len, 0),
		.modules = sum,
	};
	return 0;
}

static bool same_key(const struct uw_kallsyms_key *a, const struct uw_kallsyms_key *b)
{
	return a->boot == b->boot && a->kernel == b->kernel && a->modules == b->modules;
}

/* --- writing --------------------------------------------------------------------- */

struct bytes {
	char *p;
	size_t len, cap;
};

struct writer {
	struct bytes index, modules, body;
	/* The block that is being filled. */
	struct block block;
	uint32_t offs[MAX_SYMBOLS];
	uint16_t names[MAX_SYMBOLS];
	struct bytes text;
	size_t n;
	const char *module;
};

static int append(struct bytes *b, const void *p, size_t len)
{
	if (b->len + len > b->cap) {
		size_t cap = (b->len + len) * 2 + 4096;
		char *grown = realloc(b->p, cap);

		if (!grown)
			return -ENOMEM;
		b->p = grown;
		b->cap = cap;
	}
	if (len > 0)
		memcpy(b->p + b->len, p, len);
	b->len += len;
	return 0;
}

static int pad(struct bytes *b)
{
	static const char zeros[8];

	return append(b, zeros, padded(b->len) - b->len);
}

/* Its symbols may come and go while the key stays the same. */
static bool is_fleeting(const char *module)
{
	return module &&
	       (!strcmp(module, "bpf") || !strncmp(module, "__builtin__", strlen("__builtin__")));
}

/* The names of modules, one after the other. The one looked for is nearly always the last. */
static int module_offset(struct writer *w, const char *module, uint32_t *ret)
{
	size_t at = 0;

	*ret = 0;
	if (!module)
		return 0;
	while (at < w->modules.len && strcmp(w->modules.p + at, module) != 0)
		at += strlen(w->modules.p + at) + 1;
	*ret = (uint32_t)at + 1;
	return at < w->modules.len ? 0 : append(&w->modules, module, strlen(module) + 1);
}

static int end_block(struct writer *w, uint64_t end)
{
	uint32_t n = (uint32_t)w->n;
	size_t names_at = sizeof n + w->n * SYMBOL_SIZE;
	size_t start = w->body.len;
	int r;

	if (n == 0)
		return 0;
	for (size_t i = 0; i < w->n; i++)
		w->names[i] = (uint16_t)(w->names[i] + names_at);
	r = module_offset(w, w->module, &w->block.module);
	if (r == 0)
		r = append(&w->body, &n, sizeof n);
	if (r == 0)
		r = append(&w->body, w->offs, w->n * sizeof *w->offs);
	if (r == 0)
		r = append(&w->body, w->names, w->n * sizeof *w->names);
	if (r == 0)
		r = append(&w->body, w->text.p, w->text.len);
	if (r == 0)
		r = pad(&w->body);
	if (r < 0)
		return r;
	w->block.span = (uint32_t)(end - w->block.base);
	w->block.off = (uint32_t)start; /* from the first block, until the index's size is known */
	w->block.len = (uint32_t)(w->body.len - start);
	w->block.sum = sum_of(w->body.p + start, w->block.len, 0);
	w->n = w->text.len = 0;
	if (w->body.len > MAX_FILE / 2)
		return -EFBIG;
	return append(&w->index, &w->block, sizeof w->block);
}

static bool same_module(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

/* s reaches to `end`, which is where the next block starts or where nothing is known. */
static int put_symbol(struct writer *w, const struct uw_ksym *s, uint64_t end)
{
	size_t len = strlen(s->name) + 1;
	size_t size = sizeof(uint32_t) + w->n * SYMBOL_SIZE + w->text.len;
	int r;

	if (len > MAX_BLOCK / 2)
		return 0; /* no symbol of any kernel; one that isn't there is looked up elsewhere */
	if (end - s->addr > UINT32_MAX)
		end = s->addr + UINT32_MAX;
	if (w->n > 0 &&
	    (!same_module(s->module, w->module) || s->addr != w->block.base + w->block.span ||
	     end - w->block.base > UINT32_MAX || w->n == MAX_SYMBOLS ||
	     size + SYMBOL_SIZE + len > BLOCK_FULL)) {
		r = end_block(w, w->block.base + w->block.span);
		if (r < 0)
			return r;
	}
	if (w->n == 0) {
		w->block.base = s->addr;
		w->module = s->module;
	}
	w->offs[w->n] = (uint32_t)(s->addr - w->block.base);
	w->names[w->n++] = (uint16_t)w->text.len;
	w->block.span = (uint32_t)(end - w->block.base);
	return append(&w->text, s->name, len);
}

static int fill(struct writer *w, const struct uw_kallsyms *k)
{
	struct uw_ktable_pos pos = {0};
	struct uw_ksym s, next;
	bool more = uw_ktable_next(k, &pos, &s);
	int r = 0;

	while (more && r == 0) {
		uint64_t end, page = (s.addr | (PAGE - 1)) + 1;

		more = uw_ktable_next(k, &pos, &next);
		end = more ? next.addr : page;
		/*
		 * What follows the last symbol of a module may be put there later, but only on
		 * another page.
		 */
		if (more && (!next.name || !same_module(s.module, next.module)) && page < end)
			end = page;
		if (s.name && !is_fleeting(s.module) && end > s.addr)
			r = put_symbol(w, &s, end);
		s = next;
	}
	return r < 0 ? r : end_block(w, w->block.base + w->block.span);
}

static int write_all(int fd, const void *p, size_t len)
{
	const char *c = p;

	while (len > 0) {
		ssize_t n = write(fd, c, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		c += n;
		len -= (size_t)n;
	}
	return 0;
}

int uw_kallsyms_save(const struct uw_kallsyms *k, const struct uw_kallsyms_key *key, int fd)
{
	struct head h = {.magic = MAGIC, .key = *key};
	struct writer *w = calloc(1, sizeof *w);
	size_t first;
	int r;

	if (!w)
		return -ENOMEM;
	r = fill(w, k);
	if (r == 0)
		r = pad(&w->modules);
	if (r < 0)
		goto out;
	first = sizeof h + w->index.len + w->modules.len;
	h.nblocks = (uint32_t)(w->index.len / sizeof(struct block));
	h.modules_len = (uint32_t)w->modules.len;
	h.size = first + w->body.len;
	for (size_t i = 0; i < h.nblocks; i++) {
		struct block b;

		memcpy(&b, w->index.p + i * sizeof b, sizeof b);
		b.off += (uint32_t)first;
		memcpy(w->index.p + i * sizeof b, &b, sizeof b);
	}
	r = append(&w->index, w->modules.p, w->modules.len);
	if (r < 0)
		goto out;
	h.index_sum = sum_of(w->index.p, w->index.len, 0);
	h.sum = sum_of(&h, offsetof(struct head, sum), 0);
	r = write_all(fd, &h, sizeof h);
	if (r == 0)
		r = write_all(fd, w->index.p, w->index.len);
	if (r == 0)
		r = write_all(fd, w->body.p, w->body.len);
out:
	free(w->index.p);
	free(w->modules.p);
	free(w->body.p);
	free(w->text.p);
	free(w);
	return r;
}

/* --- reading --------------------------------------------------------------------- */

struct reader {
	int fd;
	uint64_t size;
	struct block *blocks; /* followed by the names of modules */
	size_t nblocks;
	const char *modules; /* the last byte is zero */
	size_t modules_len;
	const struct block *loaded; /* whose bytes are in buf */
	uint32_t n;                 /* its symbols */
	union {
		uint32_t words[MAX_BLOCK / sizeof(uint32_t)];
		char bytes[MAX_BLOCK];
	} buf;
};

static int read_at(int fd, void *p, size_t len, uint64_t at)
{
	char *c = p;

	while (len > 0) {
		ssize_t n = pread(fd, c, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EBADMSG; /* it has become shorter */
		c += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static bool blocks_are_sound(const struct reader *rd)
{
	uint64_t end = 0;

	for (size_t i = 0; i < rd->nblocks; i++) {
		const struct block *b = &rd->blocks[i];

		if (b->base < end || b->base + b->span < b->base || b->span == 0)
			return false;
		if (b->len > MAX_BLOCK || b->off > rd->size || b->len > rd->size - b->off)
			return false;
		if (b->module > rd->modules_len)
			return false;
		end = b->base + b->span;
	}
	return true;
}

static int open_file(struct reader *rd, const struct uw_kallsyms_key *key)
{
	struct stat st;
	struct head h;
	size_t len;
	int r;

	if (fstat(rd->fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof h || st.st_size > MAX_FILE)
		return -EBADMSG;
	r = read_at(rd->fd, &h, sizeof h, 0);
	if (r < 0)
		return r;
	if (h.magic != MAGIC || h.sum != sum_of(&h, offsetof(struct head, sum), 0))
		return -EBADMSG;
	if (!same_key(&h.key, key))
		return -ESTALE;
	rd->size = (uint64_t)st.st_size;
	if (h.size != rd->size || h.nblocks > (rd->size - sizeof h) / sizeof(struct block) ||
	    h.modules_len > rd->size - sizeof h - h.nblocks * sizeof(struct block))
		return -EBADMSG;
	rd->nblocks = h.nblocks;
	rd->modules_len = h.modules_len;
	len = rd->nblocks * sizeof(struct block) + rd->modules_len;
	rd->blocks = malloc(len ? len : 1);
	if (!rd->blocks)
		return -ENOMEM;
	r = read_at(rd->fd, rd->blocks, len, sizeof h);
	if (r < 0)
		return r;
	rd->modules = (const char *)(rd->blocks + rd->nblocks);
	if (h.index_sum != sum_of(rd->blocks, len, 0) ||
	    (rd->modules_len > 0 && rd->modules[rd->modules_len - 1] != '\0') ||
	    !blocks_are_sound(rd))
		return -EBADMSG;
	return 0;
}

/* The block that covers pc, or NULL. */
static const struct block *block_of(const struct reader *rd, uint64_t pc)
{
	size_t lo = 0, hi = rd->nblocks;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (rd->blocks[mid].base <= pc)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0 || pc - rd->blocks[lo - 1].base >= rd->blocks[lo - 1].span)
		return NULL;
	return &rd->blocks[lo - 1];
}

static int load_block(struct reader *rd, const struct block *b)
{
	int r;

	if (rd->loaded == b)
		return 0;
	rd->loaded = NULL;
	r = read_at(rd->fd, rd->buf.bytes, b->len, b->off);
	if (r < 0)
		return r;
	if (b->len < sizeof rd->n || sum_of(rd->buf.bytes, b->len, 0) != b->sum)
		return -EBADMSG;
	rd->n = rd->buf.words[0];
	if (rd->n == 0 || rd->n > (b->len - sizeof rd->n) / SYMBOL_SIZE)
		return -EBADMSG;
	rd->loaded = b;
	return 0;
}

/* The symbol of the loaded block that covers pc. */
static int find(const struct reader *rd, uint64_t pc, struct uw_ksym *s, uint64_t *end)
{
	const struct block *b = rd->loaded;
	const uint32_t *offs = rd->buf.words + 1;
	uint32_t want = (uint32_t)(pc - b->base), stop;
	size_t lo = 0, hi = rd->n;
	uint16_t name;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (offs[mid] <= want)
			lo = mid;
		else
			hi = mid;
	}
	stop = lo + 1 < rd->n ? offs[lo + 1] : b->span;
	memcpy(&name, rd->buf.bytes + sizeof rd->n + rd->n * sizeof *offs + lo * sizeof name,
	       sizeof name);
	if (offs[lo] > want || stop <= want || stop > b->span || name >= b->len ||
	    !memchr(rd->buf.bytes + name, '\0', b->len - name))
		return -EBADMSG;
	*s = (struct uw_ksym){
		.addr = b->base + offs[lo],
		.name = rd->buf.bytes + name,
		.module = b->module ? rd->modules + b->module - 1 : NULL,
	};
	*end = b->base + stop;
	return 0;
}

static int load_symbols(struct reader *rd, const uint64_t *pcs, size_t n, struct uw_kallsyms *k)
{
	uint64_t known = 0; /* below this the table has what there is */
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		const struct block *b;
		struct uw_ksym s;

		if (pcs[i] < known)
			continue;
		b = block_of(rd, pcs[i]);
		if (!b)
			continue;
		r = load_block(rd, b);
		if (r == 0)
			r = find(rd, pcs[i], &s, &known);
		if (r == 0)
			r = uw_ktable_add(k, &s, known);
	}
	return r;
}

int uw_kallsyms_load(int fd, const struct uw_kallsyms_key *key, const uint64_t *pcs, size_t n,
		     struct uw_kallsyms **ret)
{
	struct uw_kallsyms *k = NULL;
	struct reader *rd = malloc(sizeof *rd);
	int r;

	if (!rd)
		return -ENOMEM;
	rd->fd = fd;
	rd->blocks = NULL;
	rd->loaded = NULL;
	r = open_file(rd, key);
	if (r == 0)
		r = uw_ktable_new(n, &k);
	if (r == 0)
		r = load_symbols(rd, pcs, n, k);
	free(rd->blocks);
	free(rd);
	if (r < 0) {
		uw_kallsyms_free(k);
		return r;
	}
	*ret = k;
	return 0;
}
