/* SPDX-License-Identifier: Apache-2.0 */
#include "moment.h"

#include <errno.h>
#include <string.h>

/* --- decoding -------------------------------------------------------------------- */

static void note_kind(struct prowl_moment *mo, uint32_t kind, const struct uw_piece *piece)
{
	if (kind == PROWL_MOMENT_M)
		mo->m = piece;
	else if (kind == PROWL_MOMENT_CURG)
		mo->curg = piece;
	else if (kind == PROWL_MOMENT_G0)
		mo->g0 = piece;
}

static void add_piece(struct prowl_moment *mo, const struct prowl_moment_piece *h,
		      const void *bytes)
{
	struct uw_piece *piece;

	if (h->len == 0) {
		mo->holes++;
		return;
	}
	if (mo->n == PROWL_MOMENT_PIECES)
		return;
	piece = &mo->pieces[mo->n++];
	*piece = (struct uw_piece){.addr = h->addr, .bytes = bytes, .len = h->len};
	note_kind(mo, h->kind, piece);
}

int prowl_moment_decode(const void *bytes, size_t len, struct prowl_moment *ret)
{
	const uint8_t *p = bytes;
	struct prowl_moment_head head;
	struct prowl_moment_piece h;
	size_t padded;

	if (len < sizeof head)
		return -EBADMSG;
	memcpy(&head, p, sizeof head);
	if (head.len < sizeof head || head.len > len)
		return -EBADMSG;
	ret->user = head.user == 1;
	ret->ip = head.ip;
	ret->sp = head.sp;
	ret->n = ret->holes = 0;
	ret->m = ret->curg = ret->g0 = NULL;
	for (size_t at = sizeof head; at < head.len; at += sizeof h + padded) {
		if (head.len - at < sizeof h)
			return -EBADMSG;
		memcpy(&h, p + at, sizeof h);
		if (h.len > head.len - at - sizeof h || h.addr + h.len < h.addr)
			return -EBADMSG;
		padded = (h.len + 7u) & ~(size_t)7;
		if (padded > head.len - at - sizeof h)
			return -EBADMSG;
		add_piece(ret, &h, p + at + sizeof h);
	}
	return 0;
}

bool prowl_moment_fits(const struct prowl_moment *mo, bool in_kernel, const struct uw_regs *regs)
{
	if (mo->user == in_kernel)
		return false;
	return !mo->user || (regs && regs->ip == mo->ip && regs->sp == mo->sp);
}

/* --- what it says ---------------------------------------------------------------- */

static bool word(const struct uw_piece *piece, uint64_t off, uint64_t *ret)
{
	if (!piece || off > piece->len || piece->len - off < 8)
		return false;
	memcpy(ret, (const char *)piece->bytes + off, 8);
	return true;
}

static bool on_stack(const struct uw_piece *g, const struct uw_golayout *l, uint64_t sp)
{
	uint64_t lo, hi;

	return word(g, l->g.stack, &lo) && word(g, l->g.stack + 8u, &hi) && lo < sp && sp <= hi;
}

/* The kernel's thread number in m, as the target's own namespace sees it. */
static bool is_thread(const struct uw_piece *m, const struct uw_golayout *l, pid_t tid)
{
	uint64_t procid;

	return word(m, l->m.procid, &procid) && procid == (uint64_t)tid;
}

uint64_t prowl_moment_m(const struct prowl_moment *mo, const struct uw_golayout *l, uint64_t sp,
			pid_t tid, uint64_t *ret_g)
{
	*ret_g = 0;
	if (!mo->m)
		return 0;
	if (on_stack(mo->curg, l, sp)) {
		*ret_g = mo->curg->addr;
		return mo->m->addr;
	}
	if (!mo->g0 || (!on_stack(mo->g0, l, sp) && !is_thread(mo->m, l, tid)))
		return 0;
	*ret_g = mo->g0->addr;
	return mo->m->addr;
}

static int read_pieces(void *ctx, uint64_t addr, void *buf, size_t len)
{
	const struct prowl_moment_reader *r = ctx;

	for (size_t i = 0; i < r->moment->n; i++) {
		const struct uw_piece *p = &r->moment->pieces[i];

		if (addr >= p->addr && addr - p->addr <= p->len &&
		    len <= p->len - (addr - p->addr)) {
			memcpy(buf, (const char *)p->bytes + (addr - p->addr), len);
			return 0;
		}
	}
	return -EFAULT;
}

struct uw_mem prowl_moment_mem(struct prowl_moment_reader *r)
{
	return (struct uw_mem){.read = read_pieces, .ctx = r};
}
