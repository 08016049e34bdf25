/* SPDX-License-Identifier: Apache-2.0 */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "http.h"
#include "pgo.h"
#include "pprof.h"
#include "term.h"

static const struct output_format formats[] = {
	{"pprof", ".pb.gz", .is_pprof = true},
	{"text", ".txt"}, /* the functions, as go tool pprof -top */
	{"tree", ".tree"},
	{"peek", ".peek"},
	{"traces", ".traces"},
	{"folded", ".folded"},
	{"speedscope", ".speedscope.json"},
	{"json", ".json"},
	{"html", ".html", .compares = true},
	{"svg", ".svg", .compares = true},
	{"pgo", ".pgo", .is_pprof = true, .is_pgo = true},
};

enum { NFORMATS = sizeof formats / sizeof *formats };

const char *output_name(size_t index)
{
	return index < NFORMATS ? formats[index].name : NULL;
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);

	return n >= k && !strcmp(s + n - k, end);
}

static void say_unknown(const char *format)
{
	char list[256];
	size_t n = 0;

	for (size_t i = 0; i < NFORMATS && n < sizeof list; i++)
		n += (size_t)snprintf(list + n, sizeof list - n, "%s%s",
				      i == 0             ? ""
				      : i + 1 < NFORMATS ? ", "
							 : " and ",
				      formats[i].name);
	say_error("unknown format '%s'; there are %s", format, list);
}

const struct output_format *output_choose(const char *format, const char *path)
{
	for (size_t i = 0; format && i < NFORMATS; i++) {
		if (!strcmp(formats[i].name, format))
			return &formats[i];
	}
	if (format) {
		say_unknown(format);
		return NULL;
	}
	for (size_t i = 1; path && i < NFORMATS; i++) {
		if (ends_with(path, formats[i].suffix))
			return &formats[i];
	}
	return &formats[0];
}

/* The folder of a path, "." where it names none. False: the path is too long. */
static bool folder_of(const char *path, char *dir, size_t len)
{
	char *slash;

	if ((size_t)snprintf(dir, len, "%s", path) >= len)
		return false;
	slash = strrchr(dir, '/');
	if (slash)
		slash[slash == dir] = '\0';
	else
		strcpy(dir, ".");
	return true;
}

/* Beside the file, with a name that is never too long where the file's own is not. */
static int temporary_name(const char *path, char *tmp, size_t len)
{
	const char *slash = strrchr(path, '/');
	int dir = slash ? (int)(slash - path) + 1 : 0;

	return (size_t)snprintf(tmp, len, "%.*s.prowl.tmp%d", dir, path, (int)getpid()) < len
		       ? 0
		       : -ENAMETOOLONG;
}

/*
 * Where a path leads: a file is put in place by a rename, which would put it in the place of a link
 * to it, /dev/stdout for one.
 */
static const char *resolve(const char *path, char buf[PATH_MAX])
{
	struct stat st;

	if (!strcmp(path, "/dev/stdout"))
		return "-";
	return lstat(path, &st) == 0 && S_ISLNK(st.st_mode) && realpath(path, buf) ? buf : path;
}

bool output_may_write(const struct output_format *f, const char *path)
{
	char dir[PATH_MAX], real[PATH_MAX];
	const char *name;
	struct stat st;

	if (!path)
		path = "prowl"; /* the default, into the working folder */
	path = resolve(path, real);
	if (!strcmp(path, "-")) {
		if (f->is_pprof && isatty(STDOUT_FILENO)) {
			say_error("a binary profile is not written to a terminal; give a file, or "
				  "-f text");
			return false;
		}
		return true;
	}
	/* Said now, not after the window. */
	name = strrchr(path, '/');
	name = name ? name + 1 : path;
	if (!folder_of(path, dir, sizeof dir) || strlen(name) > NAME_MAX) {
		say_error("the name of the output is too long");
		return false;
	}
	if (!*name || (stat(path, &st) == 0 && S_ISDIR(st.st_mode))) {
		say_error("'%s' is not a file to write to: %s", path,
			  *path ? "it names a folder" : "it is empty");
		return false;
	}
	/* A device or pipe is written to as it is, without a temporary file beside it. */
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		if (access(path, W_OK) == 0)
			return true;
		say_error("can't write to %s: %s", path, strerror(errno));
		return false;
	}
	if (access(dir, W_OK) < 0) {
		say_error("can't write to the folder %s: %s", dir, strerror(errno));
		return false;
	}
	return true;
}

void output_default_name(const char *comm, pid_t pid, const char *kind,
			 const struct output_format *f, char *buf, size_t len)
{
	char name[64], who[32], when[32];
	time_t now = time(NULL);
	struct tm tm;

	snprintf(name, sizeof name, "%s", comm[0] ? comm : "process");
	for (char *c = name; *c; c++) {
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", *c))
			*c = '_';
	}
	strftime(when, sizeof when, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
	snprintf(who, sizeof who, pid < 0 ? "%d-processes" : "%d", pid < 0 ? -(int)pid : (int)pid);
	snprintf(buf, len, "prowl.%s.%s.%s.%s%s", name, who, kind, when, f->suffix);
}

static int write_to(const struct pprof_profile *p, const struct output_format *f,
		    const struct pprof_report_options *o, int fd)
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
	errno = 0;
	r = e->write(p, o, file);
	if (r == -EIO && errno) /* the writers only know that it failed */
		r = -errno;
	if (fclose(file) != 0 && r == 0)
		r = -errno;
	return r;
}

static int failed(const char *path, int r)
{
	if (r == -ENODATA) {
		say_error("no function matches --peek");
		return PROWL_FAILED;
	}
	say_error("writing %s: %s", path, strerror(-r));
	return PROWL_FAILED;
}

static int write_direct(const struct pprof_profile *p, const struct output_format *f,
			const struct pprof_report_options *o, const char *path, uint64_t *size)
{
	bool std = !strcmp(path, "-");
	int fd = std ? STDOUT_FILENO : open(path, O_WRONLY | O_CLOEXEC), r;

	*size = 0;
	if (fd < 0)
		return failed(path, -errno);
	r = write_to(p, f, o, fd);
	if (!std && close(fd) < 0 && r == 0)
		r = -errno;
	return r < 0 ? failed(std ? "standard output" : path, r) : PROWL_OK;
}

int output_write(const struct pprof_profile *p, const struct output_format *f, const char *path,
		 uint64_t *size)
{
	return output_write_report(p, f, NULL, path, size);
}

static int write_pgo(const struct pprof_profile *p, const char *path, uint64_t *size)
{
	struct pprof_profile *made;
	int code = pgo_make(p, &made);

	if (code != PROWL_OK)
		return code;
	code = output_write(made, &formats[0], path, size);
	pprof_profile_free(made);
	return code;
}

int output_write_report(const struct pprof_profile *p, const struct output_format *f,
			const struct pprof_report_options *o, const char *path, uint64_t *size)
{
	char tmp[PATH_MAX], real[PATH_MAX];
	struct stat st;
	int fd, r;

	if (f->is_pgo)
		return write_pgo(p, path, size);
	path = resolve(path, real);
	if (!strcmp(path, "-") || (stat(path, &st) == 0 && !S_ISREG(st.st_mode)))
		return write_direct(p, f, o, path, size);
	r = temporary_name(path, tmp, sizeof tmp);
	if (r < 0)
		return failed(path, r);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return failed(path, -errno);
	r = write_to(p, f, o, fd);
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

int output_write_named(const struct pprof_profile *p, const struct output_format *f,
		       const char *path, const char *comm, pid_t pid, const char *kind,
		       struct output_file *used)
{
	if (path)
		snprintf(used->path, sizeof used->path, "%s", path);
	else
		output_default_name(comm, pid, kind, f, used->path, sizeof used->path);
	return output_write(p, f, path ? path : used->path, &used->size);
}

void output_say_written(const struct output_format *f, const struct output_file *used)
{
	if (!strcmp(used->path, "-"))
		return;
	say_info("wrote %s (%.1f kB)", used->path, (double)used->size / 1000.0);
	if (!strcmp(f->name, "speedscope"))
		say_info("open it: drop it on https://www.speedscope.app, or: npx speedscope %s",
			 used->path);
	if (!strcmp(f->name, "html") || !strcmp(f->name, "svg"))
		say_info("open it: xdg-open %s", used->path);
	if (f->is_pgo)
		say_info("use it: go build -pgo=%s; or, in the folder of the main package, as "
			 "default.pgo",
			 used->path);
	else if (f->is_pprof)
		say_info("open it: %s %s   or: prowl report %s",
			 http_built() ? "prowl open" : "go tool pprof -http=:", used->path,
			 used->path);
}
