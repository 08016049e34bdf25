/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sound binary whose functions and variables are the input's, and memory behind the variables'
 * pointers that is the input's, too. Whatever is found must be where a variable can be.
 */
#include "fuzz_go.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>

#include "goglobals_parts.h"
#include "sample_go.h"

enum { CODE = 128, SEGMENT = 256, HEAP = 0x10000000, HEAP_BYTES = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct build_func funcs[] = {
	{"runtime.allgadd", CODE},     {"runtime.stkbucket", CODE},
	{"runtime.allocmcache", CODE}, {"runtime.semacquire1", CODE},
	{"runtime.mProf_Free", CODE},  {"runtime.mcommoninit", CODE},
	{"runtime.schedinit", CODE},   {"runtime.procresize", CODE},
	{"runtime.schedtrace", CODE},  {"runtime.ticksPerSecond", CODE},
	{"runtime.gcinit", CODE},      {"runtime.mProf_FlushLocked", CODE},
	{"main.vars", 4 * SEGMENT},
};

enum { NFUNCS = sizeof funcs / sizeof funcs[0], VARS = NFUNCS - 1 };

static void set64(struct built_go *b, uint64_t base, uint64_t addr, uint64_t v)
{
	memcpy(b->bytes + (addr - base), &v, sizeof v);
}

static void check(const struct uw_goglobals *g, uint64_t lo, uint64_t hi)
{
	for (size_t i = 0; i < UW_GLOBAL_COUNT; i++) {
		bool missing = g->var[i].source == UW_GLOBAL_MISSING;

		if (missing != (g->var[i].addr == 0) ||
		    (!missing &&
		     (g->var[i].addr < lo || g->var[i].addr >= hi || g->var[i].addr % 4)))
			abort();
	}
}

static void look(struct built_go *b, uint64_t base, const uint8_t *heap)
{
	struct uw_mem_bytes below = {HEAP, heap, HEAP_BYTES, NULL};
	struct uw_mem under = uw_mem_bytes(&below);
	struct uw_mem_bytes image = {base, b->bytes, b->size, &under};
	struct uw_mem mem = uw_mem_bytes(&image);
	struct uw_elf *elf = fuzz_elf(b->bytes, b->size);
	uint64_t vars = b->entries[VARS];
	struct uw_goglobals g = {0};
	struct uw_go *go = NULL;

	if (elf && uw_go_open(elf, NULL, 0, &go, NULL) == 0) {
		uw_goglobals_by_symbol(elf, go, &g);
		uw_goglobals_by_code(elf, go, &g);
		check(&g, vars, vars + 4 * SEGMENT);
		uw_goglobals_verify(go, &mem, 0, &g);
		uw_goglobals_by_value(go, &mem, 0, &g);
		check(&g, vars, vars + 4 * SEGMENT);
	}
	uw_go_free(go);
	uw_elf_free(elf);
}

/* Layout, machine, the code and variables, the memory; what is missing is zero. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const files[] = {"/src/main.go"};
	const size_t text = (size_t)VARS * CODE + (size_t)4 * SEGMENT;
	static uint8_t heap[HEAP_BYTES];
	const struct uw_golayout *l;
	struct built_go b;
	char version[32];
	uint64_t base;
	size_t n;

	if (size < 2)
		return 0;
	l = &uw_golayouts[data[0] % uw_golayouts_count];
	snprintf(version, sizeof version, "go1.%d.%d", l->minor, l->patch);
	b = build_go(&(struct build_go){
		.layout = l,
		.machine = data[1] & 1 ? EM_AARCH64 : EM_X86_64,
		.version = version,
		.sections = true,
		.funcs = funcs,
		.nfuncs = NFUNCS,
		.files = files,
		.nfiles = 1,
	});
	base = b.moduledata - b.moduledata_at;
	for (uint64_t i = 0; i < UW_GO_SEGMENTS; i++) {
		const uint16_t at[UW_GO_SEGMENTS] = {l->module.noptrdata, l->module.data,
						     l->module.bss, l->module.noptrbss};

		set64(&b, base, b.moduledata + at[i], b.entries[VARS] + i * SEGMENT);
		set64(&b, base, b.moduledata + at[i] + 8, b.entries[VARS] + (i + 1) * SEGMENT);
	}
	data += 2;
	size -= 2;
	n = size < text ? size : text;
	memset(b.bytes + (b.entries[0] - base), 0, text);
	memcpy(b.bytes + (b.entries[0] - base), data, n);
	memset(heap, 0, sizeof heap);
	memcpy(heap, data + n, size - n < sizeof heap ? size - n : sizeof heap);
	look(&b, base, heap);
	built_go_fini(&b);
	return 0;
}
