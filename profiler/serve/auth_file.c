/* SPDX-License-Identifier: Apache-2.0 */
#include "auth_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LEAST = 32 }; /* characters: 192 bits of a random token */

static enum prowl_code cant(struct prowl_err *err, const char *what, const char *path)
{
	return prowl_fail(err, errno == EACCES || errno == EPERM ? PROWL_PERMISSION : PROWL_FAILED,
			  "can't %s the token's file %s: %s", what, path, strerror(errno));
}

static enum prowl_code check(const struct stat *st, const char *path, struct prowl_err *err)
{
	if (!S_ISREG(st->st_mode) || (st->st_uid != 0 && st->st_uid != geteuid()))
		return prowl_fail(err, PROWL_PERMISSION,
				  "the token's file %s is not a file of root or of this user",
				  path);
	if (!(st->st_mode & 027))
		return PROWL_OK;
	prowl_fail(err, PROWL_PERMISSION, "others may read or change the token's file %s", path);
	prowl_hint(err, "they may know it: remove the file, another one is made with mode 0640");
	return PROWL_PERMISSION;
}

static enum prowl_code read_token(int fd, const char *path, char token[AUTH_TOKEN],
				  struct prowl_err *err)
{
	char text[AUTH_TOKEN + 1];
	ssize_t n = read(fd, text, sizeof text - 1);
	size_t len;

	if (n < 0)
		return cant(err, "read", path);
	text[n] = '\0';
	len = strcspn(text, "\r\n");
	if (len < LEAST || len >= AUTH_TOKEN ||
	    strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != len)
		return prowl_fail(err, PROWL_FAILED,
				  "the token in %s is not %d to %d characters of base64url", path,
				  LEAST, AUTH_TOKEN - 1);
	memcpy(token, text, len);
	token[len] = '\0';
	explicit_bzero(text, sizeof text);
	return PROWL_OK;
}

/* Complete under its name, or not there; another daemon's is not replaced. */
static enum prowl_code write_token(const char *path, gid_t gid, const char *token,
				   struct prowl_err *err)
{
	char tmp[4096];
	int fd, n = snprintf(tmp, sizeof tmp, "%s.tmp", path);
	mode_t mode = 0600;
	bool ok;

	if (n < 0 || (size_t)n >= sizeof tmp) {
		errno = ENAMETOOLONG;
		return cant(err, "make", path);
	}
	unlink(tmp);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return cant(err, "make", path);
	/* The group of the process may be everybody's. */
	if (gid != (gid_t)-1 && fchown(fd, (uid_t)-1, gid) == 0)
		mode = 0640;
	ok = dprintf(fd, "%s\n", token) > 0 && fchmod(fd, mode) == 0 && fsync(fd) == 0;
	ok = close(fd) == 0 && ok && link(tmp, path) == 0;
	if (!ok)
		cant(err, "write", path);
	unlink(tmp);
	return ok ? PROWL_OK : err ? err->code : PROWL_FAILED;
}

enum prowl_code auth_token_file(const char *path, gid_t gid, char token[AUTH_TOKEN],
				struct prowl_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	enum prowl_code code;
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return write_token(path, gid, token, err);
	if (fd < 0 || fstat(fd, &st) != 0) {
		code = cant(err, "read", path);
	} else {
		code = check(&st, path, err);
		if (code == PROWL_OK)
			code = read_token(fd, path, token, err);
	}
	if (fd >= 0)
		close(fd);
	return code;
}
