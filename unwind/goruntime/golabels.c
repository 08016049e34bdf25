/* SPDX-License-Identifier: Apache-2.0 */
#include "golabels.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "hash.h"

enum {
	G_BYTES = 512, /* at most this much of a g or an m is read at once */
	M_BYTES = 512,
	MIN_POINTER = 4096,
	DEAD = 6, /* runtime._Gdead; of g.atomicstatus, without the bit of the garbage collector */
	SCAN_BIT = 0x1000,
	PAGE = 4096,
	GUESS_BITS = 7,

	/* runtime.hmap and runtime.bmap of a map[string]string, the same from go1.16 to go1.23. */
	HMAP_COUNT = 0,
	HMAP_FLAGS = 8,
	HMAP_B = 9,
	HMAP_BUCKETS = 16,
	HMAP_OLD_BUCKETS = 24,
	HMAP_BYTES = 32,
	SAME_SIZE_GROW = 8,
	BUCKET_CELLS = 8,
	BUCKET_KEYS = 8,
	BUCKET_VALUES = 136,
	BUCKET_OVERFLOW = 264,
	BUCKET_BYTES = 272,
	EVACUATED_FIRST = 2, /* tophash[0] of an old bucket that was moved */
	EVACUATED_LAST = 4,
	MIN_TOP_HASH = 5,
	MAX_B = 16,         /* a map that is larger is none of labels */
	MAX_BUCKETS = 64,   /* of it that are looked at */
	MAX_OVERFLOWS = 64, /* of one map: a chain that is longer is a circle */

	STRING_BYTES = 16,
	ELEMENT_BYTES = 2 * STRING_BYTES,

	MAX_READ = 256,     /* labels among which the first are found */
	MAX_SET = 1 << 20,  /* a set that is larger is none */
	MAX_TEXT = 1 << 30, /* nor is a text that is longer */
};

static const char ellipsis[] = "\xe2\x80\xa6";

_Static_assert(UW_GUESSES == 1 << GUESS_BITS, "the hash of a guess fills the table");

struct string { /* a Go string header */
	uint64_t data, len;
};

struct pair {
	struct string key, value;
};

struct reader {
	const struct uw_golayout *l;
	const struct uw_mem *live;
	size_t n, left_out;
	struct pair pairs[MAX_READ];
	/* What this label set will probably need, read together; and what it did need. */
	struct uw_golabels_guess *guess, needed;
	bool guessed;
	uint8_t ahead[UW_GUESS_BYTES];
};

struct goroutine {
	uint64_t g, labels; /* where it lies, and the pointer to its labels */
};

static uint64_t u64_at(const void *bytes, size_t off)
{
	uint64_t v;

	memcpy(&v, (const char *)bytes + off, sizeof v);
	return v;
}

static bool pointer(uint64_t p)
{
	return p >= MIN_POINTER && p % 8 == 0 && p < 1ull << 56;
}

/* --- reading ahead --------------------------------------------------------------- */

/* A goroutine has the same labels for many samples: one read then brings all that they need. */
static void read_ahead(struct reader *rd, uint64_t labels)
{
	struct uw_mem_part parts[UW_GUESS_PARTS];
	const struct uw_golabels_guess *g = rd->guess;
	uint8_t *at = rd->ahead;

	rd->guessed = false;
	rd->needed.labels = labels;
	rd->needed.n = 0;
	if (g->labels != labels || g->n == 0)
		return;
	for (size_t i = 0; i < g->n; i++) {
		parts[i] = (struct uw_mem_part){g->part[i].addr, at, g->part[i].len};
		at += g->part[i].len;
	}
	rd->guessed = uw_read_parts(rd->live, parts, g->n) == 0;
}

static void need_apart(struct reader *rd, uint64_t addr, size_t len)
{
	struct uw_golabels_guess *g = &rd->needed;

	if (g->n < UW_GUESS_PARTS) {
		g->part[g->n].addr = addr;
		g->part[g->n].len = (uint32_t)len;
	}
	g->n++;
}

/* Parts cost more than bytes: what lies on one page is one part. */
static void need(struct reader *rd, uint64_t addr, size_t len)
{
	struct uw_golabels_guess *g = &rd->needed;
	uint64_t end = addr + len;

	for (size_t i = 0; i < g->n && i < UW_GUESS_PARTS; i++) {
		uint64_t start = g->part[i].addr, stop = start + g->part[i].len;

		if (start / PAGE != addr / PAGE || (stop - 1) / PAGE != (end - 1) / PAGE ||
		    start / PAGE != (stop - 1) / PAGE)
			continue;
		g->part[i].addr = start < addr ? start : addr;
		g->part[i].len = (uint32_t)((stop > end ? stop : end) - g->part[i].addr);
		return;
	}
	need_apart(rd, addr, len);
}

static void keep_needed(struct reader *rd)
{
	size_t len = 0;

	if (rd->needed.n > UW_GUESS_PARTS)
		return;
	for (size_t i = 0; i < rd->needed.n; i++)
		len += rd->needed.part[i].len;
	if (len <= UW_GUESS_BYTES)
		*rd->guess = rd->needed;
}

static bool was_ahead(const struct reader *rd, uint64_t addr, void *buf, size_t len)
{
	const struct uw_golabels_guess *g = rd->guess;
	const uint8_t *at = rd->ahead;

	for (size_t i = 0; rd->guessed && i < g->n; i++) {
		uint64_t off = addr - g->part[i].addr;

		if (addr >= g->part[i].addr && off <= g->part[i].len &&
		    len <= g->part[i].len - off) {
			memcpy(buf, at + off, len);
			return true;
		}
		at += g->part[i].len;
	}
	return false;
}

static int get(struct reader *rd, uint64_t addr, void *buf, size_t len)
{
	need(rd, addr, len);
	return was_ahead(rd, addr, buf, len) ? 0 : uw_read(rd->live, addr, buf, len);
}

/* All of it as it was read ahead, or all of it now: the last part was read last. */
static int get_parts(struct reader *rd, const struct uw_mem_part *parts, size_t n)
{
	bool ahead = true;

	for (size_t i = 0; i < n; i++) {
		if (i + 1 < n)
			need(rd, parts[i].addr, parts[i].len);
		else
			need_apart(rd, parts[i].addr, parts[i].len);
		ahead = ahead && was_ahead(rd, parts[i].addr, parts[i].buf, parts[i].len);
	}
	return ahead ? 0 : uw_read_parts(rd->live, parts, n);
}

/* --- whose labels ---------------------------------------------------------------- */

static bool on_stack(const void *stack, uint64_t sp)
{
	return u64_at(stack, 0) < sp && sp <= u64_at(stack, 8);
}

/* One past the last byte of a g that is looked at. */
static size_t g_len(const struct uw_golayout *l)
{
	return l->g.labels + 8u;
}

static size_t m_len(const struct uw_golayout *l)
{
	return l->m.curg + 8u;
}

/* Is it a g? Its own scheduling record names it. */
static bool is_g(const struct uw_golayout *l, const uint8_t *g, uint64_t addr)
{
	return u64_at(g, l->g.sched + l->gobuf.g) == addr;
}

/*
 * The user goroutine of the thread m at sp, by a look at the stacks that the thread can be on.
 * ret->g is 0 when it has none.
 */
static int goroutine_of(const struct reader *rd, uint64_t m, uint64_t sp, uint64_t candidate,
			struct goroutine *ret)
{
	const struct uw_golayout *l = rd->l;
	uint8_t bytes[M_BYTES];
	uint64_t stacks[3][2] = {{0}}, curg_m = m, labels = 0, g0, gsignal, curg;
	struct uw_mem_part parts[5];
	size_t n = 0;
	int r;

	if (!pointer(m))
		return -ENOENT;
	r = uw_read(rd->live, m, bytes, m_len(l));
	if (r < 0)
		return r;
	g0 = u64_at(bytes, l->m.g0);
	gsignal = u64_at(bytes, l->m.gsignal);
	curg = u64_at(bytes, l->m.curg);
	if (candidate && candidate != g0 && candidate != gsignal && candidate != curg)
		return -ENOENT;
	if (!pointer(g0))
		return -ENOENT;
	parts[n++] = (struct uw_mem_part){g0 + l->g.stack, stacks[0], sizeof stacks[0]};
	if (pointer(gsignal))
		parts[n++] = (struct uw_mem_part){gsignal + l->g.stack, stacks[1],
						  sizeof stacks[1]};
	if (pointer(curg)) {
		parts[n++] = (struct uw_mem_part){curg + l->g.stack, stacks[2], sizeof stacks[2]};
		parts[n++] = (struct uw_mem_part){curg + l->g.m, &curg_m, sizeof curg_m};
		parts[n++] = (struct uw_mem_part){curg + l->g.labels, &labels, sizeof labels};
	} else if (curg) {
		return -ENOENT;
	}
	r = uw_read_parts(rd->live, parts, n);
	if (r < 0)
		return r;
	if (curg_m != m ||
	    (!on_stack(stacks[0], sp) && !on_stack(stacks[1], sp) && !on_stack(stacks[2], sp)))
		return -ENOENT;
	*ret = (struct goroutine){curg, labels};
	return 0;
}

/*
 * The user goroutine at r. A goroutine that runs on its own stack is known by that alone, and also
 * when it has left its thread meanwhile: only g0 and gsignal have no number.
 */
static int find_goroutine(const struct reader *rd, const struct uw_regs *r, uint64_t *m,
			  struct goroutine *ret)
{
	const struct uw_golayout *l = rd->l;
	uint64_t candidate = uw_regs_g(r), own;
	uint8_t g[G_BYTES];
	int err;

	if (pointer(candidate) && uw_read(rd->live, candidate, g, g_len(l)) == 0) {
		own = u64_at(g, l->g.m);
		if (on_stack(g + l->g.stack, r->sp) && u64_at(g, l->g.goid) != 0 &&
		    is_g(l, g, candidate)) {
			uint32_t status;

			memcpy(&status, g + l->g.atomicstatus, sizeof status);
			if ((status & ~(uint32_t)SCAN_BIT) == DEAD)
				return -ENOENT;
			if (own)
				*m = own;
			*ret = (struct goroutine){candidate, u64_at(g, l->g.labels)};
			return 0;
		}
		err = goroutine_of(rd, own, r->sp, candidate, ret);
		if (err == 0) {
			*m = own;
			return 0;
		}
	}
	return *m ? goroutine_of(rd, *m, r->sp, 0, ret) : -ENOENT;
}

/* --- which labels ---------------------------------------------------------------- */

static int add_pair(struct reader *rd, const void *key, const void *value)
{
	struct pair *p;

	if (rd->n == MAX_READ) {
		rd->left_out++;
		return 0;
	}
	p = &rd->pairs[rd->n];
	memcpy(&p->key, key, sizeof p->key);
	memcpy(&p->value, value, sizeof p->value);
	if (p->key.len > MAX_TEXT || p->value.len > MAX_TEXT)
		return -EBADMSG;
	rd->n++;
	return 0;
}

/* go1.24 and newer: a slice of key and value. */
static int take_slice(struct reader *rd, uint64_t at)
{
	uint8_t elements[MAX_READ * ELEMENT_BYTES];
	uint64_t slice[3];
	int r = get(rd, at, slice, sizeof slice);
	size_t n;

	if (r < 0)
		return r;
	if (slice[1] > MAX_SET || slice[1] > slice[2] || (slice[1] && !pointer(slice[0])))
		return -EBADMSG;
	n = slice[1] < MAX_READ ? slice[1] : MAX_READ;
	rd->left_out = slice[1] - n;
	r = n ? get(rd, slice[0], elements, n * ELEMENT_BYTES) : 0;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_pair(rd, elements + i * ELEMENT_BYTES,
			     elements + i * ELEMENT_BYTES + STRING_BYTES);
	return r;
}

/* One bucket and what overflowed from it; an old one counts only until it has been moved. */
static int take_bucket(struct reader *rd, uint64_t at, bool old, size_t *overflows)
{
	uint8_t b[BUCKET_BYTES];

	for (bool first = true; at; first = false) {
		int r;

		if (!pointer(at) || (!first && (*overflows)++ == MAX_OVERFLOWS))
			return -EBADMSG;
		r = get(rd, at, b, sizeof b);
		if (r < 0)
			return r;
		if (old && first && b[0] >= EVACUATED_FIRST && b[0] <= EVACUATED_LAST)
			return 0;
		for (size_t i = 0; i < BUCKET_CELLS; i++) {
			if (b[i] < MIN_TOP_HASH)
				continue;
			r = add_pair(rd, b + BUCKET_KEYS + i * STRING_BYTES,
				     b + BUCKET_VALUES + i * STRING_BYTES);
			if (r < 0)
				return r;
		}
		at = u64_at(b, BUCKET_OVERFLOW);
	}
	return 0;
}

static int take_buckets(struct reader *rd, uint64_t at, size_t n, bool old, size_t *overflows)
{
	for (size_t i = 0; i < n; i++) {
		int r = take_bucket(rd, at + i * BUCKET_BYTES, old, overflows);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Before go1.24: a variable of type map[string]string. */
static int take_map(struct reader *rd, uint64_t at)
{
	uint8_t h[HMAP_BYTES];
	uint64_t map = 0, count, buckets, old;
	size_t n, overflows = 0;
	int r = get(rd, at, &map, sizeof map);

	if (r < 0 || map == 0)
		return r;
	if (!pointer(map))
		return -EBADMSG;
	r = get(rd, map, h, sizeof h);
	if (r < 0)
		return r;
	count = u64_at(h, HMAP_COUNT);
	buckets = u64_at(h, HMAP_BUCKETS);
	old = u64_at(h, HMAP_OLD_BUCKETS);
	if (count == 0)
		return 0;
	if (count > MAX_SET || h[HMAP_B] > MAX_B || !pointer(buckets))
		return -EBADMSG;
	n = (size_t)1 << h[HMAP_B];
	if (n > MAX_BUCKETS) { /* so many that some are enough */
		r = take_buckets(rd, buckets, MAX_BUCKETS, false, &overflows);
		rd->left_out = count > rd->n ? count - rd->n : 0;
		return r;
	}
	r = take_buckets(rd, buckets, n, false, &overflows);
	if (r == 0 && old) {
		if (!pointer(old))
			return -EBADMSG;
		if (!(h[HMAP_FLAGS] & SAME_SIZE_GROW))
			n = n > 1 ? n / 2 : 1;
		r = take_buckets(rd, old, n, true, &overflows);
	}
	if (r == 0 && rd->n + rd->left_out != count)
		return -EBADMSG;
	return r;
}

/* --- the first of them ----------------------------------------------------------- */

static int compare(const char *a, size_t la, const char *b, size_t lb)
{
	int c = memcmp(a, b, la < lb ? la : lb);

	return c ? c : (la > lb) - (la < lb);
}

static size_t shown_len(const struct string *s)
{
	return s->len < UW_LABEL_BYTES ? s->len : UW_LABEL_BYTES;
}

/*
 * Keeps those whose keys sort first. A map has its labels in any order: equal sets of two
 * goroutines must not lose different ones of them.
 */
static int keep_first(struct reader *rd)
{
	char text[MAX_READ * UW_LABEL_BYTES], *keys[MAX_READ];
	struct uw_mem_part parts[MAX_READ];
	struct pair kept[UW_LABELS_MAX];
	uint16_t order[MAX_READ];
	size_t n = 0;
	int r;

	for (size_t i = 0; i < rd->n; i++) {
		size_t len = shown_len(&rd->pairs[i].key);

		keys[i] = text + i * UW_LABEL_BYTES;
		if (len)
			parts[n++] = (struct uw_mem_part){rd->pairs[i].key.data, keys[i], len};
	}
	r = uw_read_parts(rd->live, parts, n);
	if (r < 0)
		return r;
	for (size_t i = 0; i < rd->n; i++) {
		size_t len = shown_len(&rd->pairs[i].key), j = i;

		for (; j > 0 && compare(keys[order[j - 1]], shown_len(&rd->pairs[order[j - 1]].key),
					keys[i], len) > 0;
		     j--)
			order[j] = order[j - 1];
		order[j] = (uint16_t)i;
	}
	for (size_t i = 0; i < UW_LABELS_MAX; i++)
		kept[i] = rd->pairs[order[i]];
	memcpy(rd->pairs, kept, sizeof kept);
	rd->left_out += rd->n - UW_LABELS_MAX;
	rd->n = UW_LABELS_MAX;
	return 0;
}

/* --- their text ------------------------------------------------------------------ */

static void sort(struct uw_golabels *s)
{
	for (size_t i = 1; i < s->n; i++) {
		for (size_t j = i; j > 0 && compare(s->label[j - 1].key, s->label[j - 1].key_len,
						    s->label[j].key, s->label[j].key_len) > 0;
		     j--) {
			typeof(s->label[0]) t = s->label[j];

			s->label[j] = s->label[j - 1];
			s->label[j - 1] = t;
		}
	}
}

/* Where a string's bytes go; adds the read. Empty strings have no address. */
static char *place(const struct string *s, char **text, struct uw_mem_part *parts, size_t *n)
{
	size_t len = shown_len(s);
	char *at = *text;

	if (len)
		parts[(*n)++] = (struct uw_mem_part){s->data, at, len};
	at[len] = '\0';
	*text += len + 1;
	return at;
}

/* Makes one C string of what was read; returns its length. */
static uint16_t finish(char *text, const struct string *s, bool *cut)
{
	size_t len = shown_len(s);

	for (char *nul = text; (nul = memchr(nul, '\0', len - (size_t)(nul - text))); *nul = '\xff')
		*cut = true;
	if (s->len <= UW_LABEL_BYTES)
		return (uint16_t)len;
	*cut = true;
	len -= sizeof ellipsis - 1;
	while (len > UW_LABEL_BYTES - 8 && (text[len] & 0xc0) == 0x80) /* within a character */
		len--;
	memcpy(text + len, ellipsis, sizeof ellipsis);
	return (uint16_t)(len + sizeof ellipsis - 1);
}

/* All strings, and last the pointer that led to them, once more. */
static int take_text(struct reader *rd, uint64_t labels_at, uint64_t labels,
		     struct uw_golabels *ret)
{
	struct uw_mem_part parts[UW_LABELS_MAX * 2 + 1];
	char *keys[UW_LABELS_MAX], *values[UW_LABELS_MAX], *text = ret->text;
	uint64_t now = 0;
	size_t n = 0;
	int r;

	for (size_t i = 0; i < rd->n; i++) {
		keys[i] = place(&rd->pairs[i].key, &text, parts, &n);
		values[i] = place(&rd->pairs[i].value, &text, parts, &n);
	}
	parts[n++] = (struct uw_mem_part){labels_at, &now, sizeof now};
	r = get_parts(rd, parts, n);
	if (r < 0)
		return r;
	if (now != labels)
		return -EAGAIN;
	ret->cut = false;
	for (size_t i = 0; i < rd->n; i++) {
		ret->label[i].key = keys[i];
		ret->label[i].key_len = finish(keys[i], &rd->pairs[i].key, &ret->cut);
		ret->label[i].value = values[i];
		ret->label[i].value_len = finish(values[i], &rd->pairs[i].value, &ret->cut);
	}
	ret->n = rd->n;
	ret->left_out = rd->left_out;
	sort(ret);
	return 0;
}

static int labels_of(struct reader *rd, const struct goroutine *g, struct uw_golabels *ret)
{
	uint64_t at = g->g + rd->l->g.labels, now;
	int r;

	rd->n = rd->left_out = 0;
	ret->left_out = 0;
	ret->cut = false;
	if (g->labels == 0)
		return 0;
	if (!pointer(g->labels))
		return -EBADMSG;
	rd->guess = &ret->guesses[uw_hash(g->labels >> 3, GUESS_BITS)];
	read_ahead(rd, g->labels);
	r = rd->l->labels_slice ? take_slice(rd, g->labels) : take_map(rd, g->labels);
	if (r == 0 && rd->n > UW_LABELS_MAX)
		r = keep_first(rd);
	if (r == 0) {
		r = take_text(rd, at, g->labels, ret);
		if (r == 0)
			keep_needed(rd);
		return r;
	}
	/* Memory that was reused meanwhile may look like anything. */
	return uw_read_u64(rd->live, at, &now) == 0 && now != g->labels ? -EAGAIN : r;
}

int uw_golabels_read(const struct uw_golayout *layout, const struct uw_mem *live,
		     const struct uw_regs *r, uint64_t *m, struct uw_golabels *ret)
{
	struct reader rd;
	struct goroutine g;
	int err;

	rd.l = layout;
	rd.live = live;
	ret->n = 0;
	if (g_len(layout) > G_BYTES || m_len(layout) > M_BYTES)
		return -ENOENT;
	err = find_goroutine(&rd, r, m, &g);
	if (err < 0 || g.g == 0)
		return err;
	err = labels_of(&rd, &g, ret);
	if (err == -EAGAIN) {
		err = uw_read_u64(live, g.g + layout->g.labels, &g.labels);
		if (err == 0)
			err = labels_of(&rd, &g, ret);
	}
	return err < 0 ? err : (int)ret->n;
}

int uw_golabels_of(const struct uw_golayout *layout, const struct uw_mem *live, uint64_t g,
		   uint64_t labels, struct uw_golabels *ret)
{
	struct goroutine of = {g, labels};
	struct reader rd;
	int err;

	rd.l = layout;
	rd.live = live;
	ret->n = 0;
	err = labels_of(&rd, &of, ret);
	return err < 0 ? err : (int)ret->n;
}
