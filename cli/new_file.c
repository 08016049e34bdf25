/* SPDX-License-Identifier: Apache-2.0 */
#include "new_file.h"
#include "privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stop.h"

enum { MAX_TRIES = 1000 };

bool new_file_is_stdout(const char *path)
{
	return !strcmp(path, "-") || !strcmp(path, "/dev/stdout");
}

/* In the file's folder, with a name that is not longer than NAME_MAX. */
static int make_temporary(struct new_file *f, mode_t mode)
{
	const char *slash = strrchr(f->path, '/');
	int dir = slash ? (int)(slash - f->path) + 1 : 0;

	for (int tries = 0; tries < MAX_TRIES; tries++) {
		uint64_t id;

		if (getrandom(&id, sizeof id, 0) != (ssize_t)sizeof id)
			return -errno;
		if ((size_t)snprintf(f->tmp, sizeof f->tmp, "%.*s.prowl.%016" PRIx64, dir, f->path,
				     id) >= sizeof f->tmp)
			return -ENAMETOOLONG;
		f->fd = open(f->tmp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
		if (f->fd >= 0)
			stop_removes(f->tmp);
		if (f->fd >= 0 || errno != EEXIST)
			return f->fd < 0 ? -errno : 0;
	}
	return -EEXIST;
}

int new_file_open(struct new_file *f, const char *path, mode_t mode)
{
	struct stat st;
	bool old;
	int r;

	prowl_privilege_lower();
	*f = (struct new_file){.fd = -1, .mode = mode};
	if ((size_t)snprintf(f->path, sizeof f->path, "%s", path) >= sizeof f->path)
		return -ENAMETOOLONG;
	if (new_file_is_stdout(path)) {
		strcpy(f->path, "-");
		f->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
		return f->fd < 0 ? -errno : 0;
	}
	old = lstat(path, &st) == 0;
	if (old && S_ISLNK(st.st_mode)) {
		f->way = NEW_FILE_LINK;
		f->fd = memfd_create("output", MFD_CLOEXEC);
		return f->fd < 0 ? -errno : 0;
	}
	if (old && !S_ISREG(st.st_mode)) {
		/* O_CREAT, so that fs.protected_fifos applies. */
		f->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, mode);
		return f->fd < 0 ? -errno : 0;
	}
	f->way = NEW_FILE_REPLACE;
	old = old && st.st_uid == geteuid();
	r = make_temporary(f, old ? st.st_mode & 0777 : mode);
	if (r == 0 && old && fchmod(f->fd, st.st_mode & 0777) < 0)
		return new_file_close(f, -errno); /* open() applied the umask */
	return r;
}

int new_file_open_unused(struct new_file *f, const char *path, const char *suffix, mode_t mode)
{
	prowl_privilege_lower();
	*f = (struct new_file){.fd = -1, .way = NEW_FILE_UNUSED, .suffix = suffix};
	if ((size_t)snprintf(f->path, sizeof f->path, "%s", path) >= sizeof f->path)
		return -ENAMETOOLONG;
	return make_temporary(f, mode);
}

static int rename_new(const char *from, const char *to)
{
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	/* Some file systems don't support it; link() doesn't replace anything either. */
	if (link(from, to) < 0)
		return -errno;
	unlink(from);
	return 0;
}

static int take_unused(struct new_file *f)
{
	size_t stem = strlen(f->path) - strlen(f->suffix);
	char name[PATH_MAX];
	int r = rename_new(f->tmp, f->path);

	for (int i = 2; r == -EEXIST && i < MAX_TRIES; i++) {
		if ((size_t)snprintf(name, sizeof name, "%.*s-%d%s", (int)stem, f->path, i,
				     f->suffix) >= sizeof name)
			return -ENAMETOOLONG;
		r = rename_new(f->tmp, name);
		if (r == 0)
			strcpy(f->path, name);
	}
	return r;
}

static int copy(int from, int to)
{
	char buf[65536];
	ssize_t n;

	while ((n = read(from, buf, sizeof buf)) > 0) {
		for (ssize_t done = 0, w; done < n; done += w) {
			w = write(to, buf + done, (size_t)(n - done));
			if (w < 0)
				return -errno;
		}
	}
	return n < 0 ? -errno : 0;
}

/* Only when everything was written: from here on the old content is lost. */
static int write_through(struct new_file *f)
{
	int r, fd = open(f->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, f->mode);

	if (fd < 0)
		return -errno;
	r = lseek(f->fd, 0, SEEK_SET) < 0 ? -errno : copy(f->fd, fd);
	if (close(fd) < 0 && r == 0)
		r = -errno;
	return r;
}

int new_file_words(const char *path, void (*write)(FILE *to, void *ctx), void *ctx)
{
	struct new_file f;
	FILE *to = NULL;
	int r = new_file_open(&f, path, 0666), fd;

	if (r < 0)
		return r;
	fflush(stdout); /* which may be the same file */
	fd = fcntl(f.fd, F_DUPFD_CLOEXEC, 3);
	to = fd < 0 ? NULL : fdopen(fd, "w");
	if (!to) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return new_file_close(&f, r);
	}
	errno = 0;
	write(to, ctx);
	/* ferror() remembers an earlier failure, errno may not. */
	if (fflush(to) != 0 || ferror(to))
		r = errno ? -errno : -EIO;
	if (fclose(to) != 0 && r == 0)
		r = -errno;
	return new_file_close(&f, r);
}

int new_file_more_words(const char *path, void (*write)(FILE *to, void *ctx), void *ctx)
{
	FILE *to;
	int r = 0;

	if (new_file_is_stdout(path))
		return new_file_words(path, write, ctx);
	prowl_privilege_lower();
	to = fopen(path, "ae");
	if (!to)
		return -errno;
	write(to, ctx);
	if (fflush(to) != 0 || ferror(to))
		r = errno ? -errno : -EIO;
	if (fclose(to) != 0 && r == 0)
		r = -errno;
	return r;
}

int new_file_close(struct new_file *f, int r)
{
	if (r == 0 && f->way == NEW_FILE_LINK)
		r = write_through(f);
	/* Some file systems report only now that there was no space. */
	if (close(f->fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && f->way == NEW_FILE_REPLACE && rename(f->tmp, f->path) < 0)
		r = -errno;
	if (r == 0 && f->way == NEW_FILE_UNUSED)
		r = take_unused(f);
	if (r < 0 && f->tmp[0])
		unlink(f->tmp);
	stop_removes(NULL);
	return r;
}
