/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of an address: which code it is in, whether a call is before it, its frame in Go.
 */
#include <string.h>

#include "walk_parts.h"
#include "hash.h"

enum {
	MAX_CALL = 16,     /* bytes of a call, on any machine */
	NOCTXT_BYTES = 64, /* of runtime.morestack_noctxt, with what fills it up */
};

/* The bytes before addr: as many as the longest call has, fewer at the start of a segment. */
static const uint8_t *code_before(const struct uw_arch *arch, const struct uw_elf *elf,
				  uint64_t addr, size_t *n)
{
	for (*n = arch->max_call; *n >= 2; (*n)--) {
		const uint8_t *p = uw_elf_at(elf, addr - *n, *n);

		if (p)
			return p;
	}
	return NULL;
}

/* The prologue of go1.20 and older between making and filling the frame. */
static bool is_bp_save(const struct uw_arch *arch, const struct uw_elf *elf, uint64_t addr)
{
	const uint8_t *p = uw_elf_at(elf, addr, arch->save_len);

	return p && arch->saves_fp(p);
}

/*
 * uw_go_func_at by the functions met before: an interrupted address is mostly new, its function
 * seldom. Three reads of tables that lie in no cache are saved.
 */
bool walk_func_at(struct uw_walker *w, uint64_t pc, struct uw_go_func *ret)
{
	const struct uw_space *s = w->space;
	struct near_func *n = &w->funcs[uw_hash(pc / FUNC_SPAN, FUNC_BITS)];
	uint64_t at = pc - n->bias;

	if (n->version != s->version || at < n->f.entry || at >= n->f.end) {
		const struct uw_go_module *mod = uw_space_go_at(s, pc);
		struct uw_go_func f;

		if (!mod || !uw_go_func_at(mod->go, pc - mod->bias, &f))
			return false;
		*n = (struct near_func){s->version, mod->bias, f};
	}
	*ret = n->f;
	return true;
}

/* MOV $0, DX; JMP runtime.morestack: recognized by its code, since it has no number nor flag. */
static bool is_noctxt(const struct uw_arch *arch, const struct uw_go *go, const struct uw_elf *elf,
		      const struct uw_go_func *f)
{
	const uint8_t *p = f->end - f->entry <= NOCTXT_BYTES
				   ? uw_elf_at(elf, f->entry, arch->noctxt_len)
				   : NULL;
	uint64_t target = p ? arch->noctxt_target(p, f->entry + arch->noctxt_len) : 0;
	struct uw_go_func to;

	return target && uw_go_func_at(go, target, &to) && to.special == UW_GO_MORESTACK;
}

/* Where it finds K_GO, *f is the function. */
static void look_up(struct uw_walker *w, uint64_t pc, struct pc_info *i, struct uw_go_func *f)
{
	struct uw_space *s = w->space;
	struct uw_mapping *m = uw_space_at(s, pc);
	const struct uw_elf *elf = NULL;
	uint64_t bias = 0;

	*i = (struct pc_info){.pc_lo = (uint32_t)pc,
			      .pc_hi = (uint32_t)(pc >> 32),
			      .version = (uint32_t)s->version,
			      .delta = -1};
	if (!m) {
		i->kind = K_UNMAPPED;
		return;
	}
	if (!uw_space_elf(s, m, &elf, &bias)) {
		i->kind = K_ANON;
		return;
	}
	if (uw_space_go(s) && walk_func_at(w, pc, f)) {
		i->kind = K_GO;
		i->special = is_noctxt(s->arch, uw_space_go_at(s, pc)->go, elf, f)
				     ? WALK_MORESTACK_NOCTXT
				     : (uint8_t)f->special;
		i->flags = f->flags;
		return;
	}
	i->kind = m->vdso ? K_VDSO : K_NATIVE;
}

static struct pc_set *set_of(struct uw_walker *w, uint64_t pc)
{
	return &w->cache[uw_hash(pc, SET_BITS)];
}

static uint64_t pc_of(const struct pc_info *i)
{
	return (uint64_t)i->pc_hi << 32 | i->pc_lo;
}

/* Its entry; or, with *fresh set, one that is to be looked up. */
static struct pc_info *slot_of(struct uw_walker *w, uint64_t pc, bool *fresh)
{
	struct pc_set *s = set_of(w, pc);
	uint32_t version = (uint32_t)w->space->version;
	struct pc_info *i;

	*fresh = false;
	for (i = s->way; i < s->way + SET_WAYS; i++)
		if (i->pc_lo == (uint32_t)pc && i->version == version && pc_of(i) == pc &&
		    i->kind != K_EMPTY)
			return i;
	*fresh = true;
	w->stats.lookups++;
	i = &s->way[s->next];
	s->next = (s->next + 1) % SET_WAYS;
	return i;
}

/* Valid until the next call. */
struct pc_info *walk_info(struct uw_walker *w, uint64_t pc)
{
	struct uw_go_func unused;
	bool fresh;
	struct pc_info *i = slot_of(w, pc, &fresh);

	if (fresh)
		look_up(w, pc, i, &unused);
	return i;
}

/*
 * Can the address + 1 be a return address? Reads code, whose page may not be in memory yet: asked
 * only of callers.
 */
bool walk_is_after_call(struct uw_walker *w, struct pc_info *i)
{
	const struct uw_elf *elf;
	struct uw_mapping *m;
	const uint8_t *code;
	const struct uw_arch *arch = w->space->arch;
	uint8_t made[MAX_CALL]; /* code that is in no file */
	uint64_t bias;
	size_t n;

	if (i->has_call)
		return i->after_call;
	i->has_call = true;
	m = uw_space_at(w->space, pc_of(i));
	if (m && uw_space_elf(w->space, m, &elf, &bias)) {
		code = code_before(arch, elf, pc_of(i) + 1 - bias, &n);
		i->after_call = code && arch->ends_in_call(code, n);
	} else if (i->kind == K_ANON && uw_read(&w->space->live, pc_of(i) + 1 - arch->max_call,
						made, arch->max_call) == 0) {
		i->after_call = arch->ends_in_call(made, arch->max_call);
	}
	return i->after_call;
}

/* The same with what only a leaf, or a walk by pcsp, asks for. */
const struct pc_info *walk_frame_info(struct uw_walker *w, uint64_t pc)
{
	bool fresh;
	struct pc_info *i = slot_of(w, pc, &fresh);
	struct uw_space *s = w->space;
	const struct uw_go_module *mod;
	const struct uw_elf *elf;
	struct uw_mapping *m;
	struct uw_go_func f;
	uint64_t bias;

	if (fresh)
		look_up(w, pc, i, &f);
	if (i->kind != K_GO || i->has_frame || (!fresh && !walk_func_at(w, pc, &f)))
		return i;
	i->has_frame = true;
	mod = uw_space_go_at(s, pc);
	i->delta = uw_go_sp_delta(mod->go, &f, pc - mod->bias);
	if (!uw_go_layout(mod->go)->fp_saved_late)
		return i;
	m = uw_space_at(s, pc);
	i->saves_bp = m && uw_space_elf(s, m, &elf, &bias) && is_bp_save(s->arch, elf, pc - bias);
	return i;
}

const struct uw_go *walk_runtime(const struct walk *k)
{
	const struct uw_space *s = k->w->space;
	const struct uw_go_module *mod = k->n ? uw_space_go_at(s, k->pcs[k->n - 1]) : NULL;

	return mod ? s->mods[mod->runtime].go : s->go;
}

void uw_walker_expect(struct uw_walker *w, uint64_t ip)
{
	__builtin_prefetch(set_of(w, ip));
}
