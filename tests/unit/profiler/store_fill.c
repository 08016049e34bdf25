/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the end-to-end tests: store_fill DIR SERVICE TIME FILE... puts each profile into the store as
 * the CPU window of a minute, the first of TIME, and closes the hours. Prints what that took.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "pprof.h"
#include "store.h"
#include "when.h"

static int give_up(const char *what)
{
	fprintf(stderr, "%s\n", what);
	return 1;
}

static int put_file(struct prowl_store *s, const struct prowl_series *series, const char *path,
		    int64_t at)
{
	struct prowl_store_part part = {.series = series, .kind = "cpu"};
	struct pprof_profile *p = NULL;
	struct prowl_err err = {0};
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -1 : pprof_read_fd(fd, 0, &p, NULL);

	close(fd);
	if (r < 0)
		return give_up(path);
	part.profile = p;
	part.facts.wall_start = at;
	part.facts.wall_end = at + 60000000000;
	part.facts.samples = (uint64_t)pprof_total(p, 0);
	r = prowl_store_put(s, &part, 1, NULL, &err) == PROWL_OK ? 0 : give_up(err.text);
	pprof_profile_free(p);
	return r;
}

int main(int argc, char **argv)
{
	struct prowl_store_options o = {.path = argc > 1 ? argv[1] : ""};
	struct prowl_series_label label = {"service", argc > 2 ? argv[2] : "", true};
	struct prowl_series *series = NULL;
	struct prowl_store_usage u;
	struct prowl_store *s;
	struct prowl_err err = {0};
	uint64_t begin, put;
	int64_t at;

	if (argc < 5 || !prowl_when_parse(argv[3], 0, &at))
		return give_up("store_fill DIR SERVICE TIME FILE...");
	if (prowl_store_open(&o, &s, &err) != PROWL_OK || prowl_series_new(&label, 1, &series) < 0)
		return give_up(err.text);
	begin = prowl_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	for (int i = 4; i < argc; i++, at += 60000000000) {
		if (put_file(s, series, argv[i], at))
			return 1;
	}
	put = prowl_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	if (prowl_store_close_hours(s, &err) != PROWL_OK ||
	    prowl_store_usage(s, &u, &err) != PROWL_OK)
		return give_up(err.text);
	printf("put_ms %.1f\nhours_ms %.1f\nhour_bytes %llu\n", (double)(put - begin) / 1e6,
	       (double)(prowl_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - put) / 1e6,
	       (unsigned long long)u.hour_bytes);
	prowl_store_close(s);
	prowl_series_free(series);
	return 0;
}
