/* SPDX-License-Identifier: Apache-2.0 */
/* Of gosym.c and gosym_lines.c. */
#pragma once

#include "bytes.h"
#include "gobuild.h"
#include "gomodule.h"
#include "gosym.h"

struct uw_go {
	const struct uw_elf *elf;
	struct uw_gobuild build;
	struct uw_gomodule mod;
	int minor;
	bool guessed;
	uint8_t id_wrapper;
};

/* The _func of a function, from its first byte on. */
static inline struct uw_bytes go_record_of(const struct uw_go *go, const struct uw_go_func *f)
{
	return uw_bytes_from(go->mod.funcs, f->record);
}

static inline const char *go_name_at(const struct uw_go *go, uint32_t off)
{
	struct uw_bytes b = uw_bytes_from(go->mod.names, off);
	const char *s = uw_bytes_cstr(&b);

	return s ? s : "";
}

/* The value at pc of the table that a field of _func names; -1: none. */
int32_t go_field_value(const struct uw_go *go, const struct uw_go_func *f, uint16_t field,
		       uint64_t pc, struct uw_go_place *last);
/* The same of the table at off in pctab. */
int32_t go_pcvalue(const struct uw_go *go, uint32_t off, const struct uw_go_func *f, uint64_t pc,
		   struct uw_go_place *last);
