/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the runtime's variables are, one way beside another:
 *
 *	globals_dump FILE    a line each: name, address by symbol, address by code (0: missing)
 *	globals_dump --pid N the same of a live process, with a third way: by value
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "goglobals_parts.h"
#include "golayout.h"

static int dump_file(const char *path)
{
	struct uw_goglobals sym = {0}, code = {0};
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct uw_elf *elf;
	struct uw_go *go;

	if (fd < 0 || uw_elf_open(fd, &elf, NULL) < 0 || uw_go_open(elf, NULL, 0, &go, NULL) < 0) {
		fprintf(stderr, "globals_dump: %s: not a Go program\n", path);
		return 1;
	}
	uw_goglobals_by_symbol(elf, go, &sym);
	uw_goglobals_by_code(elf, go, &code);
	for (enum uw_goglobal i = 0; i < UW_GLOBAL_COUNT; i++)
		printf("%s %" PRIx64 " %" PRIx64 "\n", uw_goglobal_name(i), uw_goglobal(&sym, i),
		       uw_goglobal(&code, i));
	uw_go_free(go);
	uw_elf_free(elf);
	return 0;
}

static int dump_process(pid_t pid)
{
	struct uw_goglobals sym, code, value;
	struct uw_binaries reg = {0};
	struct uw_space space;
	int r;

	uw_space_init(&space, &reg, pid);
	r = uw_space_load(&space);
	if (r == 0)
		r = uw_goglobals_find_by(&space, UW_WAY_SYMBOL, &sym);
	if (r == 0) {
		uw_goglobals_find_by(&space, UW_WAY_CODE, &code);
		uw_goglobals_find_by(&space, UW_WAY_VALUE, &value);
		for (enum uw_goglobal i = 0; i < UW_GLOBAL_COUNT; i++)
			printf("%s %" PRIx64 " %" PRIx64 " %" PRIx64 "\n", uw_goglobal_name(i),
			       uw_goglobal(&sym, i), uw_goglobal(&code, i), uw_goglobal(&value, i));
	} else {
		fprintf(stderr, "globals_dump: process %d: %s\n", (int)pid, strerror(-r));
	}
	uw_space_fini(&space);
	uw_binaries_fini(&reg);
	return r != 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--pid"))
		return dump_process(atoi(argv[2]));
	if (argc == 2)
		return dump_file(argv[1]);
	fprintf(stderr, "usage: globals_dump FILE | --pid PID\n");
	return 2;
}
