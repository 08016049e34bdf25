/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest use of libpprofenc: reads a profile, of prowl or any other program that writes
 * pprof's format, and prints its ten most expensive functions.
 *
 *     cc read_profile.c $(pkg-config --cflags --libs libpprofenc) -o read_profile
 *     ./read_profile cpu.pb.gz
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <pprof.h>
#include <pprof_report.h>

static int print_top(int fd, const char *name)
{
	const struct pprof_report_options options = {.size = sizeof options, .nodes = 10};
	struct pprof_profile *profile;
	struct pprof_diag diag;
	int r = pprof_read_fd(fd, 0, &profile, &diag);

	if (r < 0) {
		fprintf(stderr, "%s: %s (%s)\n", name, diag.what, strerror(-r));
		return r;
	}
	r = pprof_report_top(profile, &options, stdout);
	if (r == -ENOENT)
		fprintf(stderr, "%s: it counts nothing\n", name);
	pprof_profile_free(profile);
	return r;
}

int main(int argc, char **argv)
{
	int fd, r;

	if (argc != 2) {
		fprintf(stderr, "usage: read_profile FILE\n");
		return 2;
	}
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	r = print_top(fd, argv[1]);
	close(fd);
	return r < 0 ? 1 : 0;
}
