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
#include "new_file.h"
#include "opts.h"
#include "pgo_output.h"
#include "pprof.h"
#include "pprof_report.h"
#include "term.h"

const char *output_name(size_t index)
{
	const struct pprof_exporter *e = pprof_exporter_at(index);

	return e ? e->name : NULL;
}

bool output_is_pgo(const struct pprof_exporter *f)
{
	return !strcmp(f->name, "pgo");
}

static void say_unknown(const char *format)
{
	static const struct opt all = {.word = output_name};
	char list[256];

	say_error("unknown format '%s'; there are %s", format,
		  opts_choices(&all, " and ", list, sizeof list));
}

const struct pprof_exporter *output_choose(const char *format, const char *path)
{
	const struct pprof_exporter *e = format ? pprof_exporter_named(format)
					 : path ? pprof_exporter_for_file(path)
						: NULL;

	if (format && !e)
		say_unknown(format);
	return e || format ? e : pprof_exporter_at(0);
}

/* The folder of a path; "." where it has none. False: the path is too long. */
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

static bool may_make(const char *dir)
{
	if (access(dir, W_OK) == 0)
		return true;
	say_error("can't write to the folder %s: %s", dir, strerror(errno));
	return false;
}

bool output_may_write(const struct pprof_exporter *f, const char *path)
{
	char dir[PATH_MAX];
	const char *name;
	struct stat st;

	if (!path)
		return may_make("."); /* the default name is a new one there */
	if (new_file_is_stdout(path)) {
		if ((f->flags & PPROF_EXPORT_BINARY) && isatty(STDOUT_FILENO)) {
			say_error("a binary profile is not written to a terminal; give a file, or "
				  "-f text");
			return false;
		}
		return true;
	}
	/* Refused now, not after the window. */
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
	/* A device or pipe is written to directly, without a temporary file. */
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		if (access(path, W_OK) == 0)
			return true;
		say_error("can't write to %s: %s", path, strerror(errno));
		return false;
	}
	/* A link may lead anywhere; open() decides. */
	return (lstat(path, &st) == 0 && S_ISLNK(st.st_mode)) || may_make(dir);
}

void output_default_name(const char *comm, pid_t pid, const char *kind,
			 const struct pprof_exporter *f, char *buf, size_t len)
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

static int write_to(const struct pprof_profile *p, const struct pprof_exporter *f,
		    const struct pprof_report_options *o, int fd)
{
	FILE *file;
	int r;

	if (f->flags & PPROF_EXPORT_BINARY)
		return pprof_write_fd(p, PPROF_LEVEL_DEFAULT, fd);
	file = fdopen(dup(fd), "w");
	if (!file)
		return -errno;
	errno = 0;
	r = f->write(p, o, file);
	if (r == -EIO && errno) /* the writers return no more than that */
		r = -errno;
	if (fclose(file) != 0 && r == 0)
		r = -errno;
	return r;
}

static enum prowl_code failed(const char *path, int r)
{
	if (r == -ENODATA) {
		say_error("no function matches --peek");
		return PROWL_FAILED;
	}
	say_error("can't write %s: %s", new_file_is_stdout(path) ? "standard output" : path,
		  strerror(-r));
	return PROWL_FAILED;
}

enum prowl_code output_write(const struct pprof_profile *p, const struct pprof_exporter *f,
			     const char *path, uint64_t *size)
{
	return output_write_report(p, f, NULL, path, size);
}

/*
 * Labels are data of the program (a user's name, the address of a request), unlike names of
 * functions, and unlike the labels that prowl adds to distinguish threads and processes.
 */
static bool has_data(const struct pprof_profile *p)
{
	static const char *const own[] = {"pid", "comm", "thread_id", "thread_name"};

	for (size_t i = 0; i < p->nlabels; i++) {
		const char *key = p->strings[p->labels[i].key];
		bool ours = false;

		for (size_t k = 0; k < sizeof own / sizeof *own; k++)
			ours |= !strcmp(key, own[k]);
		/* Sizes of heap records and the like are numbers. */
		if (!ours && p->labels[i].str)
			return true;
	}
	return false;
}

static enum prowl_code write_new(const struct pprof_profile *p, const struct pprof_exporter *f,
				 const struct pprof_report_options *o, struct new_file *file,
				 uint64_t *size)
{
	struct pprof_profile *made = NULL;
	struct stat st;
	enum prowl_code code = output_is_pgo(f) ? pgo_make(p, &made) : PROWL_OK;
	int r;

	*size = 0;
	if (code != PROWL_OK) {
		new_file_close(file, -ECANCELED);
		return code;
	}
	r = made ? write_to(made, f, o, file->fd) : write_to(p, f, o, file->fd);
	pprof_profile_free(made);
	if (r == 0 && fstat(file->fd, &st) == 0 && S_ISREG(st.st_mode))
		*size = (uint64_t)st.st_size;
	r = new_file_close(file, r);
	return r < 0 ? failed(file->path, r) : PROWL_OK;
}

enum prowl_code output_write_report(const struct pprof_profile *p, const struct pprof_exporter *f,
				    const struct pprof_report_options *o, const char *path,
				    uint64_t *size)
{
	struct new_file file;
	int r = new_file_open(&file, path, has_data(p) ? 0600 : 0666);

	return r < 0 ? failed(path, r) : write_new(p, f, o, &file, size);
}

enum prowl_code output_write_named(const struct pprof_profile *p, const struct pprof_exporter *f,
				   const char *path, const char *comm, pid_t pid, const char *kind,
				   struct output_file *used)
{
	/* What root has read of processes is not for everybody who can read the folder. */
	mode_t mode = has_data(p) || geteuid() == 0 ? 0600 : 0666;
	char name[PATH_MAX];
	struct new_file file;
	int r;

	if (path) {
		r = new_file_open(&file, path, mode);
	} else {
		output_default_name(comm, pid, kind, f, name, sizeof name);
		r = new_file_open_unused(&file, name, f->suffix, mode);
		path = name;
	}
	if (r < 0)
		return failed(path, r);
	r = write_new(p, f, NULL, &file, &used->size);
	snprintf(used->path, sizeof used->path, "%s", file.path);
	return r;
}

void output_say_written(const struct pprof_exporter *f, const struct output_file *used)
{
	if (!strcmp(used->path, "-"))
		return;
	say_info("wrote %s (%.1f kB)", used->path, (double)used->size / 1000.0);
	if (!strcmp(f->name, "speedscope"))
		say_info("open it: drop it on https://www.speedscope.app, or: npx speedscope %s",
			 used->path);
	if (!strcmp(f->name, "html") || !strcmp(f->name, "svg"))
		say_info("open it: xdg-open %s", used->path);
	if (output_is_pgo(f))
		say_info("use it: go build -pgo=%s; or, in the folder of the main package, as "
			 "default.pgo",
			 used->path);
	else if (f->flags & PPROF_EXPORT_BINARY)
		say_info("open it: %s %s   or: prowl report %s",
			 http_built() ? "prowl open" : "go tool pprof -http=:", used->path,
			 used->path);
}
