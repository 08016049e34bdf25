/* SPDX-License-Identifier: Apache-2.0 */
/* The input is the index of a folder of baselines, which a build may have from anybody's cache. */
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "baseline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/tmp/prowl-fuzz-XXXXXX";
/* A set counts only where it has a profile. */
static const char *const inside[] = {"app", "app/1a2b-cpu-0", "app/1a2b-cpu-0/01.pb.gz",
				     "index.tsv"};

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static void remove_dir(void)
{
	unlink(path_of(inside[3]));
	unlink(path_of(inside[2]));
	rmdir(path_of(inside[1]));
	rmdir(path_of(inside[0]));
	rmdir(dir);
}

static void make_dir(void)
{
	if (!mkdtemp(dir) || atexit(remove_dir) != 0 || mkdir(path_of(inside[0]), 0700) < 0 ||
	    mkdir(path_of(inside[1]), 0700) < 0)
		abort();
	close(open(path_of(inside[2]), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static void write_index(const uint8_t *data, size_t size)
{
	static bool made;
	int fd;

	if (!made)
		make_dir();
	made = true;
	fd = open(path_of(inside[3]), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct baseline b;

	write_index(data, size);
	if (!baseline_open(&b, dir, false))
		return 0;
	for (size_t i = 0; i < b.n; i++) {
		const char *d = b.sets[i].dir;

		/* nothing in an index leads out of the folder */
		if (d[0] == '/' || !strcmp(d, "..") || !strncmp(d, "../", 3) || strstr(d, "/../") ||
		    (strlen(d) >= 3 && !strcmp(d + strlen(d) - 3, "/..")))
			abort();
		baseline_find(&b, &b.sets[i].key, NULL);
		baseline_find(&b, &b.sets[i].key, "abc");
	}
	baseline_close(&b);
	return 0;
}
