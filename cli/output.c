/* SPDX-License-Identifier: Apache-2.0 */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pprof.h"
#include "term.h"

static const struct output_format formats[] = {
	{"pprof", ".pb.gz", true},
	{"text", ".txt", false}, /* the functions, as go tool pprof -top */
	{"tree", ".tree", false},
	{"folded", ".folded", false},
};

enum { NFORMATS = sizeof formats / sizeof *formats };

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);

	return n >= k && !strcmp(s + n - k, end);
}

const struct output_format *output_choose(const char *format, const char *path)
{
	for (size_t i = 0; format && i < NFORMATS; i++) {
		if (!strcmp(formats[i].name, format))
			return &formats[i];
	}
	if (format) {
		say_error("unknown format '%s'; there are pprof, text, tree and folded", format);
		return NULL;
	}
	for (size_t i = 1; path && i < NFORMATS; i++) {
		if (ends_with(path, formats[i].suffix))
			return &formats[i];
	}
	return &formats[0];
}

bool output_may_write(const struct output_format *f, const char *path)
{
	char dir[4096];
	char *slash;

	if (!path)
		return true;
	if (!strcmp(path, "-")) {
		if (f->is_pprof && isatty(STDOUT_FILENO)) {
			say_error("a binary profile is not written to a terminal; give a file, or "
				  "-f text");
			return false;
		}
		return true;
	}
	/* Said now, not after the window. */
	if ((size_t)snprintf(dir, sizeof dir, "%s", path) >= sizeof dir) {
		say_error("the name of the output is too long");
		return false;
	}
	slash = strrchr(dir, '/');
	if (slash)
		slash[slash == dir] = '\0';
	else
		strcpy(dir, ".");
	if (access(dir, W_OK) < 0) {
		say_error("can't write to the folder %s: %s", dir, strerror(errno));
		return false;
	}
	return true;
}

static int write_to(const struct pprof_profile *p, const struct output_format *f, int fd)
{
	const struct pprof_exporter *e;
	FILE *file;
	int r;

	if (f->is_pprof)
		return pprof_write_fd(p, PPROF_LEVEL_DEFAULT, fd);
	e = pprof_exporter_named(!strcmp(f->name, "text") ? "top" : f->name);
	if (!e)
		return -ENOTSUP;
	file = fdopen(dup(fd), "w");
	if (!file)
		return -errno;
	r = e->write(p, NULL, file);
	if (fclose(file) != 0 && r == 0)
		r = -errno;
	return r;
}

static int failed(const char *path, int r)
{
	say_error("writing %s: %s", path, strerror(-r));
	return PROWL_FAILED;
}

static int write_direct(const struct pprof_profile *p, const struct output_format *f,
			const char *path, uint64_t *size)
{
	bool std = !strcmp(path, "-");
	int fd = std ? STDOUT_FILENO : open(path, O_WRONLY | O_CLOEXEC), r;

	*size = 0;
	if (fd < 0)
		return failed(path, -errno);
	r = write_to(p, f, fd);
	if (!std && close(fd) < 0 && r == 0)
		r = -errno;
	return r < 0 ? failed(std ? "standard output" : path, r) : PROWL_OK;
}

int output_write(const struct pprof_profile *p, const struct output_format *f, const char *path,
		 uint64_t *size)
{
	char tmp[4200];
	struct stat st;
	int fd, r;

	if (!strcmp(path, "-") || (stat(path, &st) == 0 && !S_ISREG(st.st_mode)))
		return write_direct(p, f, path, size);
	snprintf(tmp, sizeof tmp, "%s.tmp%d", path, (int)getpid());
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return failed(path, -errno);
	r = write_to(p, f, fd);
	if (r == 0 && fstat(fd, &st) < 0)
		r = -errno;
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && rename(tmp, path) < 0)
		r = -errno;
	if (r < 0) {
		unlink(tmp);
		return failed(path, r);
	}
	*size = (uint64_t)st.st_size;
	return PROWL_OK;
}
