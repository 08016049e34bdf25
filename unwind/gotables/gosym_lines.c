/* SPDX-License-Identifier: Apache-2.0 */
/* Lines and inlined frames of Go code. */
#include "golayout.h"
#include "gosym_parts.h"

static const char *file_name(const struct uw_go *go, const struct uw_go_func *f, int32_t fileno)
{
	struct uw_bytes rec = go_record_of(go, f), cu, name;
	uint64_t at;
	uint32_t off;

	if (fileno < 0)
		return NULL;
	at = uw_bytes_u32_at(&rec, go->mod.layout->func.cu) + (uint64_t)fileno;
	cu = uw_bytes_from(go->mod.cutab, at * 4);
	off = uw_bytes_u32(&cu);
	if (rec.bad || cu.bad || off == UINT32_MAX)
		return NULL;
	name = uw_bytes_from(go->mod.files, off);
	return uw_bytes_cstr(&name);
}

static void locate(const struct uw_go *go, const struct uw_go_func *f, uint64_t pc,
		   struct uw_go_cursor *c, struct uw_frame *ret)
{
	const struct uw_golayout *l = go->mod.layout;
	int32_t line = go_field_value(go, f, l->func.pcln, pc, &c->lines);

	ret->file = file_name(go, f, go_field_value(go, f, l->func.pcfile, pc, &c->files));
	ret->line = line > 0 ? line : 0;
}

/* Offset in pctab of the table that gives the index in the inline tree; 0 when there is none. */
static uint32_t inline_table(const struct uw_go *go, const struct uw_go_func *f)
{
	const struct uw_golayout *l = go->mod.layout;
	struct uw_bytes b = go_record_of(go, f);
	uint32_t n = uw_bytes_u32_at(&b, l->func.npcdata);

	if (n <= UW_GO_PCDATA_INLTREE)
		return 0;
	return uw_bytes_u32_at(&b, l->func.nfuncdata + 1 + 4 * UW_GO_PCDATA_INLTREE);
}

/* Link-time address of the inline tree; 0 when the function has none. */
static uint64_t inline_tree(const struct uw_go *go, const struct uw_go_func *f)
{
	const struct uw_gomodule *m = &go->mod;
	const struct uw_golayout *l = m->layout;
	struct uw_bytes b = go_record_of(go, f);
	uint32_t npcdata = uw_bytes_u32_at(&b, l->func.npcdata);
	uint64_t at = l->func.nfuncdata + 1 + 4 * (uint64_t)npcdata, v;

	if (uw_bytes_u8_at(&b, l->func.nfuncdata) <= UW_GO_FUNCDATA_INLTREE)
		return 0;
	if (l->pc_size == 4) {
		v = uw_bytes_u32_at(&b, at + 4 * UW_GO_FUNCDATA_INLTREE);
		return b.bad || v == UINT32_MAX ? 0 : m->gofunc + v;
	}
	/* Pointers, aligned by their address. */
	at += -(m->funcs_addr + f->record + at) & 7;
	v = uw_bytes_u64_at(&b, at + 8 * UW_GO_FUNCDATA_INLTREE);
	return b.bad || !v ? 0 : v - m->table_bias;
}

static struct uw_bytes inline_entry(const struct uw_go *go, uint64_t tree, int32_t ix)
{
	uint16_t size = go->mod.layout->inl.size;

	return uw_bytes(ix < 0 ? NULL : uw_elf_at(go->elf, tree + (uint64_t)ix * size, size), size);
}

static void name_inlined(const struct uw_go *go, struct uw_bytes *entry, struct uw_go_frame *ret)
{
	const struct uw_golayout *l = go->mod.layout;

	ret->frame.name = ret->frame.readable = go_name_at(go, uw_bytes_u32_at(entry, l->inl.name));
	ret->wrapper = uw_bytes_u8_at(entry, l->inl.id) == go->id_wrapper;
	if (l->inl.start_line != UW_GO_NONE)
		ret->frame.start_line = (int32_t)uw_bytes_u32_at(entry, l->inl.start_line);
}

/* Go 1.20 and later: each entry has the pc of the call in its parent, which is looked up anew. */
static size_t expand_by_pc(const struct uw_go *go, const struct uw_go_func *f, uint64_t *pc,
			   struct uw_go_cursor *c, struct uw_go_frame *frames, size_t max)
{
	uint32_t table = inline_table(go, f);
	uint64_t tree = inline_tree(go, f);
	size_t n = 0;

	for (; tree && n < max; n++) {
		struct uw_bytes e = inline_entry(go, tree,
						 go_pcvalue(go, table, f, *pc, &c->inlined));

		if (e.bad)
			break;
		frames[n] = (struct uw_go_frame){.frame.func = f->entry, .pc = *pc};
		name_inlined(go, &e, &frames[n]);
		locate(go, f, *pc, c, &frames[n].frame);
		*pc = f->entry + uw_bytes_u32_at(&e, go->mod.layout->inl.parent_pc);
	}
	return n;
}

/*
 * Up to Go 1.19: each entry names its parent and where it was called. *last is the place in the
 * frame that comes next.
 */
static size_t expand_by_parent(const struct uw_go *go, const struct uw_go_func *f, uint64_t *pc,
			       struct uw_go_cursor *c, struct uw_frame *last,
			       struct uw_go_frame *frames, size_t max)
{
	const struct uw_golayout *l = go->mod.layout;
	uint64_t tree = inline_tree(go, f);
	int32_t ix = tree ? go_pcvalue(go, inline_table(go, f), f, *pc, &c->inlined) : -1;
	size_t n = 0;

	for (; ix >= 0 && n < max; n++) {
		struct uw_bytes e = inline_entry(go, tree, ix);

		if (e.bad)
			break;
		frames[n] = (struct uw_go_frame){.frame = *last, .pc = *pc};
		name_inlined(go, &e, &frames[n]);
		last->file = file_name(go, f, (int32_t)uw_bytes_u32_at(&e, l->inl.file));
		last->line = (int32_t)uw_bytes_u32_at(&e, l->inl.line);
		ix = (int16_t)uw_bytes_u16_at(&e, l->inl.parent);
		*pc = f->entry + uw_bytes_u32_at(&e, l->inl.parent_pc);
	}
	return n;
}

static int32_t start_line(const struct uw_go *go, const struct uw_go_func *f)
{
	const struct uw_golayout *l = go->mod.layout;
	struct uw_bytes b = go_record_of(go, f);
	int32_t line;

	if (l->func.start_line != UW_GO_NONE)
		line = (int32_t)uw_bytes_u32_at(&b, l->func.start_line);
	else /* the line of its first instruction is that of its declaration */
		line = go_field_value(go, f, l->func.pcln, f->entry, NULL);
	return line > 0 ? line : 0;
}

static size_t frames_of(const struct uw_go *go, const struct uw_go_func *f, uint64_t pc,
			struct uw_go_cursor *c, struct uw_go_frame *frames, size_t max)
{
	struct uw_frame last = {.func = f->entry};
	size_t n;

	if (max == 0)
		return 0;
	if (go->mod.layout->inl.parent == UW_GO_NONE) {
		n = expand_by_pc(go, f, &pc, c, frames, max - 1);
		locate(go, f, pc, c, &last);
	} else {
		locate(go, f, pc, c, &last);
		n = expand_by_parent(go, f, &pc, c, &last, frames, max - 1);
	}
	last.name = last.readable = uw_go_func_name(go, f);
	last.start_line = start_line(go, f);
	frames[n] = (struct uw_go_frame){.frame = last, .pc = pc, .wrapper = f->wrapper};
	return n + 1;
}

size_t uw_go_frames(const struct uw_go *go, const struct uw_go_func *f, uint64_t pc,
		    struct uw_go_frame *frames, size_t max)
{
	struct uw_go_cursor c = {0};

	return frames_of(go, f, pc, &c, frames, max);
}

size_t uw_go_frames_at(const struct uw_go *go, uint64_t pc, struct uw_go_cursor *c,
		       struct uw_go_frame *frames, size_t max)
{
	if (c->go != go)
		*c = (struct uw_go_cursor){.go = go};
	if (pc < c->f.entry || pc >= c->f.end) {
		struct uw_go_func f;

		if (!uw_go_func_at(go, pc, &f))
			return 0;
		c->f = f;
	}
	return frames_of(go, &c->f, pc, c, frames, max);
}
