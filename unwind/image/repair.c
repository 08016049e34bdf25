/* SPDX-License-Identifier: Apache-2.0 */
/* Puts back the functions that chains of frame pointers skip (uw_repair). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "golayout.h"
#include "symbolize.h"
#include "hash.h"

enum {
	MAX_CODE = 1 << 16,
	LOAD_CODE = 63, /* bytes before a call in which its argument is loaded */
};

struct repair {
	const struct uw_arch *arch;
	const struct uw_go *go; /* of the module that the callee is in */
	const struct uw_elf *elf;
};

/* The target of the direct call that ends at link-time address `end`; 0: none. */
static uint64_t call_target(const struct repair *r, uint64_t end)
{
	const uint8_t *p = uw_elf_at(r->elf, end - r->arch->call_len, r->arch->call_len);

	return p ? r->arch->call_target(p, end) : 0;
}

static bool any_target(void *ctx, uint64_t target)
{
	(void)ctx;
	(void)target;
	return true;
}

/* Does the code right before `call` load the closure or function at `fn`? */
static bool loads(const struct repair *r, uint64_t call, uint64_t fn)
{
	struct uw_ref_filter all = {.wanted = any_target};
	struct uw_ref refs[LOAD_CODE];
	const uint8_t *p = NULL;
	size_t len, n;

	for (len = LOAD_CODE; len > 0 && !(p = uw_elf_at(r->elf, call - len, len)); len--)
		;
	n = p ? uw_code_refs(r->arch->machine, p, len, call - len, &all, refs, LOAD_CODE) : 0;
	for (size_t i = 0; i < n; i++) {
		const uint8_t *q;
		uint64_t code;

		if (refs[i].kind != UW_REF_LEA || refs[i].width != 8)
			continue;
		if (refs[i].target == fn)
			return true;
		q = uw_elf_at(r->elf, refs[i].target, sizeof code);
		if (q) {
			memcpy(&code, q, sizeof code);
			if (code == fn)
				return true;
		}
	}
	return false;
}

/*
 * The call of `callee` in f as a lookup address (link-time), or 0. Of several the one that passes
 * the closure at `arg`; where that doesn't decide, the first: the function is right then, the line
 * may be that of another call of the same function.
 */
static uint64_t call_site(const struct repair *r, const struct uw_go_func *f, uint64_t callee,
			  uint64_t arg)
{
	uint64_t first = 0, len = f->end - f->entry, call = r->arch->call_len;

	if (len > MAX_CODE)
		len = MAX_CODE;
	for (uint64_t end = f->entry + call; end <= f->entry + len; end++) {
		if (call_target(r, end) != callee)
			continue;
		if (!first)
			first = end - 1;
		if (arg && loads(r, end - call, arg))
			return end - 1;
	}
	return first;
}

/* "runtime.(*mcache).refill.func1" → "runtime.(*mcache).refill"; false when it is no closure. */
static bool encloser(const char *name, char *buf, size_t len)
{
	const char *dot = NULL;

	for (const char *p = name; (p = strstr(p, ".func")); p++) {
		if (p[5] >= '0' && p[5] <= '9') {
			dot = p;
			break;
		}
	}
	if (!dot || (size_t)(dot - name) >= len)
		return false;
	memcpy(buf, name, (size_t)(dot - name));
	buf[dot - name] = '\0';
	return true;
}

/*
 * The skipped function between `callee` and its caller at pc (0: the root), as a lookup address;
 * 0 when nothing was skipped. `inner` is what the callee called, where that is known.
 */
static uint64_t skipped(const struct repair *r, const struct uw_go_func *callee,
			const struct uw_go_func *inner, uint64_t pc)
{
	struct uw_go_func f;
	char name[256];
	uint64_t target;

	if (pc) {
		target = call_target(r, pc + 1);
		if (target == callee->entry)
			return 0;
		if (target)
			return uw_go_func_at(r->go, target, &f) && f.entry == target && !f.wrapper
				       ? call_site(r, &f, callee->entry, inner ? inner->entry : 0)
				       : 0;
	}
	/* An indirect call or the root: a closure that runs on the system stack names its maker. */
	if (callee->special != UW_GO_SYSTEMSTACK || !inner ||
	    !encloser(uw_go_func_name(r->go, inner), name, sizeof name) ||
	    !uw_go_func_named(r->go, name, &f))
		return 0;
	return call_site(r, &f, callee->entry, inner->entry);
}

/* A cache of pairs of neighbours, direct-mapped: stacks share most of their pairs. */
struct repair_slot {
	uint64_t callee, caller, inner; /* lookup addresses; callee 0 is empty */
	uint64_t insert;
	uint64_t version;
};

enum { REPAIR_BITS = 12 };

struct uw_repairer {
	struct repair_slot slots[1 << REPAIR_BITS];
};

int uw_repairer_new(struct uw_repairer **ret)
{
	*ret = calloc(1, sizeof **ret);
	return *ret ? 0 : -ENOMEM;
}

void uw_repairer_free(struct uw_repairer *r)
{
	free(r);
}

static bool in_module(const struct uw_go_module *mod, uint64_t pc)
{
	return pc >= mod->lo && pc < mod->hi;
}

static const struct uw_arch *arch_of(const struct uw_go_module *mod)
{
	const struct uw_elf *elf = uw_binary_elf(mod->bin);

	return elf ? uw_arch_of(elf->machine) : NULL;
}

static bool skips(const struct uw_go_module *mod)
{
	const struct uw_arch *arch = arch_of(mod);

	return arch && arch->follows_fp && uw_go_layout(mod->go)->fp_skips_frameless;
}

/* The lookup address that belongs between callee and caller (0: the root), or 0. */
static uint64_t between(struct uw_space *s, uint64_t inner_pc, uint64_t callee_pc,
			uint64_t caller_pc)
{
	const struct uw_go_module *mod = uw_space_go_at(s, callee_pc);
	struct repair r;
	struct uw_go_func callee, inner;
	uint64_t found;
	bool has_inner;

	if (!mod || !skips(mod) || !uw_go_func_at(mod->go, callee_pc - mod->bias, &callee))
		return 0;
	if (caller_pc ? !in_module(mod, caller_pc) : callee.special != UW_GO_SYSTEMSTACK)
		return 0;
	r.arch = arch_of(mod);
	r.go = mod->go;
	r.elf = uw_binary_elf(mod->bin);
	has_inner = in_module(mod, inner_pc) &&
		    uw_go_func_at(mod->go, inner_pc - mod->bias, &inner);
	found = skipped(&r, &callee, has_inner ? &inner : NULL,
			caller_pc ? caller_pc - mod->bias : 0);
	return found ? found + mod->bias : 0;
}

static uint64_t between_cached(struct uw_repairer *c, struct uw_space *s, uint64_t inner,
			       uint64_t callee, uint64_t caller)
{
	uint64_t h = (callee * 31 + caller) * 31 + inner;
	struct repair_slot *slot = &c->slots[uw_hash(h, REPAIR_BITS)];

	if (slot->callee != callee || slot->caller != caller || slot->inner != inner ||
	    slot->version != s->version)
		*slot = (struct repair_slot){.callee = callee,
					     .caller = caller,
					     .inner = inner,
					     .version = s->version,
					     .insert = between(s, inner, callee, caller)};
	return slot->insert;
}

size_t uw_repair(struct uw_repairer *c, struct uw_space *s, const uint64_t *pcs, size_t n,
		 uint64_t *out, size_t max)
{
	bool any = false;
	size_t k = 0;

	uw_space_go(s);
	for (size_t i = 0; i < s->nmods; i++)
		any |= skips(&s->mods[i]);
	if (!any) {
		k = n < max ? n : max;
		memcpy(out, pcs, k * sizeof *out);
		return k;
	}
	for (size_t i = 0; i < n && k < max; i++) {
		uint64_t insert;

		out[k++] = pcs[i];
		insert = between_cached(c, s, i > 0 ? pcs[i - 1] : 0, pcs[i],
					i + 1 < n ? pcs[i + 1] : 0);
		if (insert && k < max)
			out[k++] = insert;
	}
	return k;
}
