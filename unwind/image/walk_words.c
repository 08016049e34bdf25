/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "walk_parts.h"

static bool from_bytes(uint64_t base, const void *bytes, uint64_t size, uint64_t addr, void *buf,
		       size_t len)
{
	if (addr < base || addr - base > size || size - (addr - base) < len)
		return false;
	memcpy(buf, (const char *)bytes + (addr - base), len);
	return true;
}

bool walk_exact(struct walk *k, uint64_t addr, void *buf, size_t len)
{
	const struct uw_sample *s = k->s;

	if (from_bytes(s->regs->sp, s->stack, s->stack_len, addr, buf, len))
		return true;
	for (size_t i = 0; i < s->npieces; i++) {
		const struct uw_piece *p = &s->pieces[i];

		if (from_bytes(p->addr, p->bytes, p->len, addr, buf, len)) {
			k->pieced = true;
			return true;
		}
	}
	return false;
}

/*
 * Stacks are read upwards: from addr to the end of its page, and several pages at once where the
 * window before it ended there.
 */
static bool fill_window(struct uw_walker *w, uint64_t addr, size_t len)
{
	const struct uw_mem *live = &w->space->live;
	size_t rest = WALK_PAGE - addr % WALK_PAGE;
	size_t more = rest + WALK_WINDOW - WALK_PAGE;
	bool on = w->window.len > 0 && addr <= w->window.addr + w->window.len &&
		  addr + len > w->window.addr + w->window.len;

	w->window.addr = addr;
	w->window.len = 0;
	if (on && uw_read(live, addr, w->window.bytes, more) == 0)
		w->window.len = more;
	else if (rest >= len && uw_read(live, addr, w->window.bytes, rest) == 0)
		w->window.len = rest;
	else if (uw_read(live, addr, w->window.bytes, len) == 0)
		w->window.len = len;
	return w->window.len > 0;
}

void walk_note_live(struct walk *k)
{
	if (k->lived)
		return;
	k->lived = true;
	k->sure = k->n;
}

bool walk_read(struct walk *k, uint64_t addr, void *buf, size_t len)
{
	struct uw_walker *w = k->w;

	if (walk_exact(k, addr, buf, len))
		return true;
	walk_note_beyond(k, addr, len);
	if (len == 0 || len > WALK_PAGE)
		return false;
	walk_note_live(k);
	if (from_bytes(w->window.addr, w->window.bytes, w->window.len, addr, buf, len) ||
	    (fill_window(w, addr, len) &&
	     from_bytes(w->window.addr, w->window.bytes, w->window.len, addr, buf, len)))
		return true;
	k->missing = addr;
	return false;
}

bool walk_exact_word(struct walk *k, uint64_t addr, uint64_t *ret)
{
	return addr % 8 == 0 && walk_exact(k, addr, ret, 8);
}

bool walk_word(struct walk *k, uint64_t addr, uint64_t *ret)
{
	return addr % 8 == 0 && walk_read(k, addr, ret, 8);
}

static int read_walk(void *ctx, uint64_t addr, void *buf, size_t len)
{
	return walk_read(ctx, addr, buf, len) ? 0 : -1;
}

struct uw_mem walk_mem(struct walk *k)
{
	return (struct uw_mem){.read = read_walk, .ctx = k};
}

void walk_forget(struct walk *k)
{
	k->w->window.len = 0;
}

void walk_back_to(struct walk *k, size_t n, bool lived)
{
	k->n = n;
	k->lived = lived;
	k->exact = k->callback = k->morestack = false;
}
