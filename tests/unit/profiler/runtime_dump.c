/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the variables of a Go runtime are, and what is there, for the end-to-end tests.
 *
 *	runtime_dump PID
 *	runtime_dump CORE [EXE]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime.h"

static void print_var(const struct prowl_runtime *rt, enum uw_goglobal which)
{
	uint64_t word = 0;

	printf("%s %s 0x%llx", uw_goglobal_name(which),
	       uw_goglobal_source_name(rt->globals.var[which].source),
	       (unsigned long long)rt->globals.var[which].addr);
	if (rt->globals.var[which].addr &&
	    uw_read_u64(&rt->space.live, rt->globals.var[which].addr, &word) == 0)
		printf(" %llu", (unsigned long long)word);
	putchar('\n');
}

int main(int argc, char **argv)
{
	struct prowl_who who = {0};
	struct prowl_runtime *rt;
	struct prowl_err err;
	enum prowl_code code;

	if (argc < 2)
		return 2;
	if (argv[1][strspn(argv[1], "0123456789")] == '\0')
		who.pid = atoi(argv[1]);
	else
		who = (struct prowl_who){.core = argv[1], .exe = argc > 2 ? argv[2] : NULL};
	code = prowl_runtime_open(&who, &rt, &err);
	if (code != PROWL_OK) {
		fprintf(stderr, "%s\n%s\n", err.text, err.hint);
		return (int)code;
	}
	printf("process %d %s\n", (int)rt->target.pid, rt->target.comm);
	for (int i = 0; i < UW_GLOBAL_COUNT; i++)
		print_var(rt, (enum uw_goglobal)i);
	prowl_runtime_free(rt);
	return 0;
}
