/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "privilege.h"
#include "setup.h"
#include "term.h"

/*
 * Opens closed standard streams, since a file of prowl would get their number otherwise, and
 * messages would be written into it. The replacement can't be used in the stream's direction.
 */
static void occupy_streams(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			(void)!open("/dev/null",
				    (fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
	}
}

static int dispatch(int argc, char **argv)
{
	const struct cmd *c;

	if (argc < 2) {
		cmd_usage(stderr);
		return PROWL_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		cmd_usage(stdout);
		return 0;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
		return (int)cmd_run(&cmd_version, 1, argv);
	c = cmd_find(argv[1]);
	if (!c) {
		say_error("there is no command '%s'; prowl --help lists them", argv[1]);
		return PROWL_USAGE;
	}
	return (int)cmd_run(c, argc - 1, argv + 1);
}

/* Before anything is opened or read: handles the privilege of prowl's file (setcap). */
static bool settle_privilege(int argc, char **argv)
{
	return prowl_privilege_begin(cmd_may(argc - 1, argv + 1));
}

int main(int argc, char **argv)
{
	const char *known;
	int code;

	occupy_streams();
	if (!settle_privilege(argc, argv)) {
		say_error("the privilege of the program file can't be dropped");
		return PROWL_FAILED;
	}
	/*
	 * Large arrays grow by moving their pages, not by copying: otherwise glibc raises its
	 * threshold to the size of the first one freed, and holes in the heap are never returned.
	 */
	mallopt(M_MMAP_THRESHOLD, 128 * 1024);
	if (!prowl_setup(getenv("PROWL_DEBUG"), &known))
		say_error("PROWL_DEBUG takes some of %s, separated by commas", known);
	code = dispatch(argc, argv);
	if ((fflush(stdout) != 0 || ferror(stdout)) && code == 0) {
		say_error("standard output could not be written");
		return PROWL_FAILED;
	}
	return code;
}
