/* SPDX-License-Identifier: Apache-2.0 */
#include "goglobals.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "bytes.h"
#include "goglobals_parts.h"
#include "golayout.h"
#include "log.h"

static const struct variable {
	const char *name;
	uint8_t size; /* at least */
	uint8_t align;
} variables[UW_GLOBAL_COUNT] = {
	[UW_GLOBAL_ALLGS] = {"runtime.allgs", 24, 8},
	[UW_GLOBAL_ALLGLEN] = {"runtime.allglen", 8, 8},
	[UW_GLOBAL_ALLGPTR] = {"runtime.allgptr", 8, 8},
	[UW_GLOBAL_MBUCKETS] = {"runtime.mbuckets", 8, 8},
	[UW_GLOBAL_XBUCKETS] = {"runtime.xbuckets", 8, 8},
	[UW_GLOBAL_BBUCKETS] = {"runtime.bbuckets", 8, 8},
	[UW_GLOBAL_MPROF_CYCLE] = {"runtime.mProfCycle", 4, 4},
	[UW_GLOBAL_MEM_PROFILE_RATE] = {"runtime.MemProfileRate", 8, 8},
	[UW_GLOBAL_BLOCK_PROFILE_RATE] = {"runtime.blockprofilerate", 8, 8},
	[UW_GLOBAL_MUTEX_PROFILE_RATE] = {"runtime.mutexprofilerate", 8, 8},
	[UW_GLOBAL_ALLM] = {"runtime.allm", 8, 8},
	[UW_GLOBAL_SCHED] = {"runtime.sched", 128, 8},
	[UW_GLOBAL_ALLP] = {"runtime.allp", 24, 8},
	[UW_GLOBAL_GOMAXPROCS] = {"runtime.gomaxprocs", 4, 4},
	[UW_GLOBAL_MEMSTATS] = {"runtime.memstats", 128, 8},
	[UW_GLOBAL_GC_CONTROLLER] = {"runtime.gcController", 128, 8},
	[UW_GLOBAL_TICKS] = {"runtime.ticks", 8, 8},
};

const char *uw_goglobal_name(enum uw_goglobal which)
{
	return which < UW_GLOBAL_COUNT ? variables[which].name : "";
}

const char *uw_goglobal_source_name(enum uw_goglobal_source source)
{
	static const char *const names[] = {
		[UW_GLOBAL_MISSING] = "missing",
		[UW_GLOBAL_BY_SYMBOL] = "symbol",
		[UW_GLOBAL_BY_CODE] = "code",
		[UW_GLOBAL_BY_VALUE] = "value",
	};

	return source < sizeof names / sizeof names[0] ? names[source] : "";
}

/* The name of the variable in this version, or NULL where the version has none that is used. */
static const char *name_in(enum uw_goglobal which, const struct uw_golayout *l)
{
	if (which == UW_GLOBAL_MPROF_CYCLE && l->prof_cycle_struct)
		return "runtime.mProf";
	if (which == UW_GLOBAL_GC_CONTROLLER && l->gc.gc_percent == UW_GO_NONE)
		return NULL;
	return variables[which].name;
}

/* Whether all of the variable, at a link-time address, lies in one segment of the module's. */
static bool in_module(enum uw_goglobal which, uint64_t addr, const struct uw_go *go)
{
	const struct uw_go_range *r = uw_go_vars(go);

	if (addr % variables[which].align)
		return false;
	for (size_t i = 0; i < UW_GO_SEGMENTS; i++) {
		if (addr >= r[i].lo && addr < r[i].hi && r[i].hi - addr >= variables[which].size)
			return true;
	}
	return false;
}

bool uw_goglobals_put(const struct uw_go *go, enum uw_goglobal which, uint64_t addr,
		      enum uw_goglobal_source source, struct uw_goglobals *ret)
{
	if (!in_module(which, addr, go))
		return false;
	ret->var[which].addr = addr;
	ret->var[which].source = source;
	return true;
}

/* --- by symbol ------------------------------------------------------------------- */

static struct uw_bytes section_bytes(const struct uw_elf *elf, const char *name)
{
	struct uw_section s;

	if (!uw_elf_section(elf, name, &s) || s.type == SHT_NOBITS || s.offset > elf->size ||
	    s.size > elf->size - s.offset)
		return uw_bytes(NULL, 0);
	return uw_bytes(elf->bytes + s.offset, s.size);
}

/* The variable that a symbol is named after, or COUNT. */
static size_t variable_named(const char *name, const struct uw_golayout *l)
{
	size_t i;

	if (strncmp(name, "runtime.", 8) != 0)
		return UW_GLOBAL_COUNT;
	for (i = 0; i < UW_GLOBAL_COUNT; i++) {
		const char *own = name_in(i, l);

		if (own && strcmp(own + 8, name + 8) == 0)
			break;
	}
	return i;
}

void uw_goglobals_by_symbol(const struct uw_elf *elf, const struct uw_go *go,
			    struct uw_goglobals *ret)
{
	struct uw_bytes syms = section_bytes(elf, ".symtab"),
			strings = section_bytes(elf, ".strtab");
	const struct uw_golayout *l = uw_go_layout(go);
	const uint8_t *p;

	while ((p = uw_bytes_take(&syms, sizeof(Elf64_Sym)))) {
		struct uw_bytes name;
		const char *text;
		Elf64_Sym sym;
		size_t which;

		memcpy(&sym, p, sizeof sym);
		if (ELF64_ST_TYPE(sym.st_info) != STT_OBJECT || sym.st_shndx == SHN_UNDEF)
			continue;
		name = uw_bytes_from(strings, sym.st_name);
		text = uw_bytes_cstr(&name);
		if (!text)
			continue;
		which = variable_named(text, l);
		if (which < UW_GLOBAL_COUNT && sym.st_size >= variables[which].size)
			uw_goglobals_put(go, which, sym.st_value, UW_GLOBAL_BY_SYMBOL, ret);
	}
}

/* --- all ways -------------------------------------------------------------------- */

/* From link-time addresses to those of the target. */
static void relocate(struct uw_goglobals *ret, const struct uw_go_range *vars, uint64_t bias)
{
	for (size_t i = 0; i < UW_GLOBAL_COUNT; i++) {
		if (ret->var[i].source != UW_GLOBAL_MISSING)
			ret->var[i].addr += bias;
	}
	for (size_t i = 0; i < UW_GO_SEGMENTS; i++) {
		if (vars[i].lo == vars[i].hi)
			continue;
		if (ret->data_hi == 0 || vars[i].lo + bias < ret->data_lo)
			ret->data_lo = vars[i].lo + bias;
		if (vars[i].hi + bias > ret->data_hi)
			ret->data_hi = vars[i].hi + bias;
	}
}

static bool lacks(const struct uw_goglobals *g, size_t from, size_t to)
{
	for (size_t i = from; i <= to; i++) {
		if (g->var[i].source == UW_GLOBAL_MISSING)
			return true;
	}
	return false;
}

static void report(const struct uw_elf *elf, const struct uw_golayout *l,
		   const struct uw_goglobals *unproved, const struct uw_goglobals *g)
{
	struct uw_section symtab;
	bool stripped = !uw_elf_section(elf, ".symtab", &symtab);

	for (size_t i = 0; i < UW_GLOBAL_COUNT; i++) {
		const char *name = name_in(i, l), *why = "";

		if (!name)
			continue; /* this version has no such variable */
		if (g->var[i].source == UW_GLOBAL_MISSING)
			why = unproved->var[i].source != UW_GLOBAL_MISSING
				      ? ": thrown out, it doesn't hold what it must"
			      : stripped ? ": no symbols, and no use in code that is clear"
					 : ": no symbol of that name and size";
		uw_log(UW_LOG_GLOBALS, "%s: %s, %#" PRIx64 "%s", name,
		       uw_goglobal_source_name(g->var[i].source), g->var[i].addr, why);
	}
}

int uw_goglobals_find_by(struct uw_space *space, unsigned int ways, struct uw_goglobals *ret)
{
	const struct uw_go *go = uw_space_go(space);
	const struct uw_elf *elf = go ? uw_binary_elf(space->go_bin) : NULL;
	struct uw_goglobals unproved;

	*ret = (struct uw_goglobals){0};
	if (!elf)
		return -ENOENT;
	if (ways & UW_WAY_SYMBOL)
		uw_goglobals_by_symbol(elf, go, ret);
	if ((ways & UW_WAY_CODE) && lacks(ret, 0, UW_GLOBAL_COUNT - 1))
		uw_goglobals_by_code(elf, go, ret);
	relocate(ret, uw_go_vars(go), space->go_bias);
	unproved = *ret;
	if (ways & UW_WAY_CODE)
		uw_goglobals_verify(go, &space->live, space->go_bias, ret);
	if ((ways & UW_WAY_VALUE) && (lacks(ret, UW_GLOBAL_ALLGS, UW_GLOBAL_ALLGS) ||
				      lacks(ret, UW_GLOBAL_MBUCKETS, UW_GLOBAL_BBUCKETS)))
		uw_goglobals_by_value(go, &space->live, space->go_bias, ret);
	if (uw_log_on(UW_LOG_GLOBALS))
		report(elf, uw_go_layout(go), &unproved, ret);
	return 0;
}

int uw_goglobals_find(struct uw_space *space, bool by_value, struct uw_goglobals *ret)
{
	return uw_goglobals_find_by(
		space, UW_WAY_SYMBOL | UW_WAY_CODE | (by_value ? UW_WAY_VALUE : 0), ret);
}
