/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets that listen, by their addresses. */
#include "serve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { DEFAULT_PORT = 7424, BACKLOG = 128 };

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un local;
};

static enum prowl_code cant(struct prowl_err *err, const char *address, int error)
{
	prowl_fail(err, error == EACCES || error == EPERM ? PROWL_PERMISSION : PROWL_FAILED,
		   "can't listen at %s: %s", address, strerror(error));
	if (error == EADDRINUSE)
		prowl_hint(err, "another program listens there; choose another port, or end it");
	return err ? err->code : PROWL_FAILED;
}

/* --- Unix sockets ------------------------------------------------------------------ */

/* Whether nobody listens there. Who may not connect doesn't know. */
static bool is_dead(const struct sockaddr_un *at)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool dead = fd >= 0 && connect(fd, (const struct sockaddr *)at, sizeof *at) != 0 &&
		    errno == ECONNREFUSED;

	if (fd >= 0)
		close(fd);
	return dead;
}

/* A socket that a daemon has left behind is in the way, and nothing else is removed. */
static void remove_dead(const struct sockaddr_un *at)
{
	struct stat st;

	if (lstat(at->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) && is_dead(at))
		unlink(at->sun_path);
}

/*
 * The mode of the file itself, whatever is put into its place meanwhile. The group may connect
 * only where it is the one that was meant: that of the process may be everybody's.
 */
static int set_mode(const char *path, gid_t gid, struct prowl_listener *ret)
{
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC), r = 0;
	char name[40];
	struct stat st;

	if (fd < 0)
		return -errno;
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	if (fstat(fd, &st) != 0)
		r = -errno;
	else if (!S_ISSOCK(st.st_mode))
		r = -EADDRINUSE;
	else if (gid != (gid_t)-1 && fchownat(fd, "", (uid_t)-1, gid, AT_EMPTY_PATH) == 0)
		r = chmod(name, 0660) == 0 ? 0 : -errno;
	if (r == 0)
		ret->file = fd;
	else
		close(fd);
	return r;
}

/* What connects has to have the mode's right from the first moment on. */
static int bind_local(int fd, const struct sockaddr_un *at, gid_t gid, struct prowl_listener *ret)
{
	int r;

	if (fchmod(fd, 0600) != 0 || bind(fd, (const struct sockaddr *)at, sizeof *at) != 0)
		return -errno;
	r = set_mode(at->sun_path, gid, ret);
	if (r < 0)
		return r;
	return listen(fd, BACKLOG) == 0 ? 0 : -errno;
}

static enum prowl_code listen_local(const char *path, gid_t gid, struct prowl_listener *ret,
				    struct prowl_err *err)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd, r;

	if (path[0] != '/' || strlen(path) >= sizeof at.sun_path)
		return prowl_fail(
			err, PROWL_USAGE,
			"unix:%s: a Unix socket has an absolute path of at most %zu bytes", path,
			sizeof at.sun_path - 1);
	memcpy(at.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return cant(err, path, errno);
	*ret = (struct prowl_listener){.fd = fd, .file = -1, .local = true};
	remove_dead(&at);
	r = bind_local(fd, &at, gid, ret);
	if (r < 0) {
		close(fd);
		if (ret->file >= 0)
			close(ret->file);
		cant(err, path, -r);
		if (r == -EADDRINUSE)
			prowl_hint(err, "a daemon runs already: prowl daemon status --socket %s",
				   path);
		return err ? err->code : PROWL_FAILED;
	}
	snprintf(ret->address, sizeof ret->address, "unix:%s", path);
	return PROWL_OK;
}

/* --- TCP --------------------------------------------------------------------------- */

static bool parse_port(const char *text, uint16_t *ret)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);

	if (!*text || *end || text[0] < '0' || text[0] > '9' || port > 65535)
		return false;
	*ret = (uint16_t)port;
	return true;
}

static bool parse_host(const char *host, uint16_t port, union address *ret, socklen_t *ret_len)
{
	*ret = (union address){.any.sa_family = AF_INET};
	if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	if (inet_pton(AF_INET, host, &ret->v4.sin_addr) == 1) {
		ret->v4.sin_family = AF_INET;
		ret->v4.sin_port = htons(port);
		*ret_len = sizeof ret->v4;
		return true;
	}
	*ret = (union address){.any.sa_family = AF_INET6};
	if (inet_pton(AF_INET6, host, &ret->v6.sin6_addr) != 1)
		return false;
	ret->v6.sin6_port = htons(port);
	*ret_len = sizeof ret->v6;
	return true;
}

/* "127.0.0.1:7424", "[::1]:7424", with or without the port. */
static bool parse_address(const char *text, union address *ret, socklen_t *ret_len)
{
	bool bracket = text[0] == '[';
	const char *from = text + bracket;
	size_t n = strcspn(from, bracket ? "]" : ":/");
	const char *rest = from + n + bracket;
	uint16_t port = DEFAULT_PORT;
	char host[64];

	if (n >= sizeof host || (bracket && from[n] != ']'))
		return false;
	memcpy(host, from, n);
	host[n] = '\0';
	if (*rest == ':') {
		char digits[8];
		size_t len = strcspn(++rest, "/");

		if (len >= sizeof digits)
			return false;
		memcpy(digits, rest, len);
		digits[len] = '\0';
		if (!parse_port(digits, &port))
			return false;
		rest += len;
	}
	return (strcmp(rest, "") == 0 || strcmp(rest, "/") == 0) &&
	       !(bracket && !strchr(host, ':')) && parse_host(host, port, ret, ret_len);
}

/* What a socket listens at, in words; false: it is none that listens. */
static bool describe(int fd, struct prowl_listener *ret)
{
	union address at = {0};
	socklen_t len = sizeof at, size = sizeof(int);
	char host[INET6_ADDRSTRLEN] = "";
	int listens = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || !listens ||
	    getsockname(fd, &at.any, &len) != 0)
		return false;
	*ret = (struct prowl_listener){.fd = fd, .file = -1};
	if (at.any.sa_family == AF_UNIX) {
		ret->local = true;
		snprintf(ret->address, sizeof ret->address, "unix:%.100s", at.local.sun_path);
	} else if (at.any.sa_family == AF_INET) {
		inet_ntop(AF_INET, &at.v4.sin_addr, host, sizeof host);
		ret->port = ntohs(at.v4.sin_port);
		ret->beyond = (ntohl(at.v4.sin_addr.s_addr) >> 24) != 127;
		snprintf(ret->address, sizeof ret->address, "http://%s:%u", host, ret->port);
	} else if (at.any.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &at.v6.sin6_addr, host, sizeof host);
		ret->port = ntohs(at.v6.sin6_port);
		ret->beyond = !IN6_IS_ADDR_LOOPBACK(&at.v6.sin6_addr);
		snprintf(ret->address, sizeof ret->address, "http://[%s]:%u", host, ret->port);
	} else {
		return false;
	}
	return true;
}

static enum prowl_code listen_tcp(const char *address, struct prowl_listener *ret,
				  struct prowl_err *err)
{
	union address at;
	socklen_t len;
	int fd, one = 1;

	if (!parse_address(address + strlen("http://"), &at, &len))
		return prowl_fail(err, PROWL_USAGE,
				  "%s: an address to listen at is http://ADDRESS:PORT, with an IP "
				  "address or localhost",
				  address);
	fd = socket(at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return cant(err, address, errno);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	/* "[::]" is not 0.0.0.0 as well. */
	if (at.any.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
	if (bind(fd, &at.any, len) != 0 || listen(fd, BACKLOG) != 0 || !describe(fd, ret)) {
		int error = errno;

		close(fd);
		return cant(err, address, error);
	}
	return PROWL_OK;
}

static enum prowl_code take_over(const char *text, struct prowl_listener *ret,
				 struct prowl_err *err)
{
	char *end;
	unsigned long fd = strtoul(text, &end, 10);

	if (!*text || *end || text[0] < '0' || text[0] > '9' || fd > 1u << 20 ||
	    !describe((int)fd, ret))
		return prowl_fail(err, PROWL_USAGE, "fd:%s is no socket that listens", text);
	return PROWL_OK;
}

enum prowl_code prowl_serve_listen(const char *address, gid_t gid, struct prowl_listener *ret,
				   struct prowl_err *err)
{
	if (strncmp(address, "unix:", 5) == 0)
		return listen_local(address + 5, gid, ret, err);
	if (strncmp(address, "http://", 7) == 0)
		return listen_tcp(address, ret, err);
	if (strncmp(address, "fd:", 3) == 0)
		return take_over(address + 3, ret, err);
	return prowl_fail(err, PROWL_USAGE,
			  "can't listen at '%s': there are unix:PATH and http://ADDRESS:PORT",
			  address);
}

void prowl_serve_unlink(struct prowl_listener *l)
{
	const char *path = l->address + strlen("unix:");
	struct stat own, there;

	if (l->file < 0)
		return;
	if (fstat(l->file, &own) == 0 && lstat(path, &there) == 0 && own.st_dev == there.st_dev &&
	    own.st_ino == there.st_ino)
		unlink(path);
	close(l->file);
	l->file = -1;
}
