/* SPDX-License-Identifier: Apache-2.0 */
#include "sample_go.h"

static const char *const files[] = {"/src/main.go", "/src/lib.go", NULL, "/src/asm.s"};

static const struct build_step main_sp[] = {{8, 0}, {48, 24}, {8, 0}, {0, 0}};
static const struct build_step main_file[] = {{16, 0}, {16, 1}, {32, 0}, {0, 0}};
static const struct build_step main_line[] = {{8, 10}, {8, 12},   {8, 70},
					      {8, 71}, {32, 300}, {0, 0}};
/* main.main calls lib.outer (tree[0]) at 12, which calls lib.inner (tree[1]) at 24. */
static const struct build_step main_inl[] = {{16, -1}, {8, 0}, {8, 1}, {32, -1}, {0, 0}};
static const struct build_step asm_sp[] = {{64, 8}, {0, 0}};
static const struct build_step asm_file[] = {{64, 3}, {0, 0}};
static const struct build_step asm_line[] = {{64, 5}, {0, 0}};
static const struct build_step short_line[] = {{16, 9}, {0, 0}};
static const struct build_step no_file[] = {{64, 2}, {0, 0}};

void sample_go_init(struct sample_go *s, const struct uw_golayout *layout, const char *version)
{
	*s = (struct sample_go){
		.tree =
			{
				{"lib.outer", -1, 0, 0, 12, 12, 69},
				{"lib.inner", 0, layout->id_wrapper, 1, 70, 20, 7},
			},
		.funcs =
			{
				{"main.main", 64, 0, 0, 10, main_sp, main_file, main_line, main_inl,
				 s->tree, 2},
				{"runtime.systemstack", 64, layout->id_wrapper, 0, 1, asm_sp,
				 asm_file, asm_line, NULL, NULL, 0},
				{"runtime.systemstack", 64, layout->id_systemstack, 6, 5, asm_sp,
				 asm_file, asm_line, NULL, NULL, 0},
				{"runtime.goexit", 64, 0, 5, 5, asm_sp, asm_file, asm_line, NULL,
				 NULL, 0},
				{"lib.padded", 64, 0, 0, 9, NULL, no_file, short_line, NULL, NULL,
				 0},
			},
		.go =
			{
				.layout = layout,
				.version = version,
				.mod = "path\tmain\nmod\tmain\t(devel)\t\n",
				.sections = true,
				.funcs = s->funcs,
				.nfuncs = SAMPLE_NFUNCS,
				.files = files,
				.nfiles = sizeof files / sizeof files[0],
			},
	};
}
