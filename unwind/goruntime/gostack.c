/* SPDX-License-Identifier: Apache-2.0 */
#include "gostack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"

enum {
	CACHE_BITS = 13,
};

struct pc_info { /* an entry of a direct-mapped cache; pc 0: empty */
	uint64_t pc;
	int32_t delta; /* pcsp; -1: none */
	uint8_t special, flags;
	bool known; /* in Go text */
};

struct uw_gostack {
	struct uw_space *space;
	bool link_register;
	struct pc_info cache[1 << CACHE_BITS];
};

int uw_gostack_new(struct uw_space *space, struct uw_gostack **ret)
{
	struct uw_go *go = uw_space_go(space);
	const struct uw_elf *elf = go && space->go_bin ? uw_binary_elf(space->go_bin) : NULL;
	const struct uw_arch *arch;
	struct uw_gostack *s;

	if (!go)
		return -ENOENT;
	s = calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;
	s->space = space;
	arch = elf ? uw_arch_of(elf->machine) : NULL;
	s->link_register = arch && arch->link_register;
	*ret = s;
	return 0;
}

void uw_gostack_free(struct uw_gostack *s)
{
	free(s);
}

static const struct pc_info *info(struct uw_gostack *s, uint64_t pc)
{
	struct pc_info *i = &s->cache[uw_hash(pc, CACHE_BITS)];
	const struct uw_go_module *mod;
	struct uw_go_func f;

	if (i->pc == pc && pc)
		return i;
	*i = (struct pc_info){.pc = pc, .delta = -1};
	mod = uw_space_go_at(s->space, pc);
	if (mod && uw_go_func_at(mod->go, pc - mod->bias, &f)) {
		i->known = true;
		i->special = (uint8_t)f.special;
		i->flags = f.flags;
		i->delta = uw_go_sp_delta(mod->go, &f, pc - mod->bias);
	}
	return i;
}

struct walk {
	struct uw_gostack *s;
	const struct uw_gostack_bytes *stack;
	uint64_t pc, sp, lr;
	bool exact; /* the frame was interrupted, not calling */
};

/* UW_GOSTACK_ROOT means that the word was read. */
static enum uw_gostack_end word(const struct walk *k, uint64_t addr, uint64_t *ret)
{
	const struct uw_gostack_bytes *b = k->stack;

	if ((addr & 7) || addr < b->base || addr >= b->hi || b->hi - addr < 8)
		return UW_GOSTACK_BAD;
	if (addr - b->base > b->len || b->len - (addr - b->base) < 8)
		return UW_GOSTACK_MORE;
	memcpy(ret, (const char *)b->bytes + (addr - b->base), 8);
	return UW_GOSTACK_ROOT;
}

/*
 * Goes to the caller. With a link register (arm64) the return address lies at the bottom of a
 * frame, or, where there is no frame (yet), in that register, which only the innermost frame can be
 * asked for.
 */
static enum uw_gostack_end step(struct walk *k, const struct pc_info *i)
{
	uint64_t at = k->s->link_register ? k->sp : k->sp + (uint64_t)i->delta;
	enum uw_gostack_end end = UW_GOSTACK_ROOT;
	uint64_t ret = k->lr;

	if (!k->s->link_register || i->delta > 0 || ret == 0)
		end = k->s->link_register && i->delta == 0 ? UW_GOSTACK_BAD : word(k, at, &ret);
	if (end != UW_GOSTACK_ROOT)
		return end;
	k->lr = 0;
	k->pc = ret;
	k->sp += (uint64_t)i->delta + (k->s->link_register ? 0 : 8);
	k->exact = i->special == UW_GO_SIGPANIC || i->special == UW_GO_ASYNCPREEMPT ||
		   i->special == UW_GO_DEBUGCALL;
	return UW_GOSTACK_ROOT;
}

static bool is_root(const struct pc_info *i)
{
	return (i->flags & UW_GO_TOPFRAME) || i->special == UW_GO_GOEXIT ||
	       i->special == UW_GO_MSTART || i->special == UW_GO_RT0;
}

enum uw_gostack_end uw_gostack_walk(struct uw_gostack *s, const struct uw_gostack_start *start,
				    const struct uw_gostack_bytes *stack, uint64_t *words,
				    size_t max, size_t *ret_n)
{
	struct walk k = {.s = s, .stack = stack, .pc = start->pc, .sp = start->sp, .lr = start->lr};

	for (*ret_n = 0;;) {
		const struct pc_info *i = info(s, k.pc);
		enum uw_gostack_end end;

		if (!i->known)
			return UW_GOSTACK_BAD;
		if (*ret_n == max)
			return UW_GOSTACK_LIMIT;
		words[(*ret_n)++] = k.pc + k.exact;
		if (is_root(i))
			return UW_GOSTACK_ROOT;
		if ((i->flags & UW_GO_SPWRITE) && i->special != UW_GO_CGOCALLBACK &&
		    !(start->syscall && *ret_n == 1))
			return UW_GOSTACK_SWITCH;
		if (i->delta < 0)
			return UW_GOSTACK_BAD;
		end = step(&k, i);
		if (end != UW_GOSTACK_ROOT)
			return end;
	}
}
