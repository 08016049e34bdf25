/* SPDX-License-Identifier: Apache-2.0 */
#include "notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"

/* A path, or a name without a file, which systemd writes with an @. */
static bool address_of(const char *path, struct sockaddr_un *sa, socklen_t *len)
{
	size_t n = strlen(path);

	*sa = (struct sockaddr_un){.sun_family = AF_UNIX};
	if ((path[0] != '/' && path[0] != '@') || n >= sizeof sa->sun_path)
		return false;
	memcpy(sa->sun_path, path, n);
	if (path[0] == '@')
		sa->sun_path[0] = '\0';
	*len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	return true;
}

int notify_send(const char *lines)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa;
	socklen_t len;
	ssize_t n;
	int fd, e;

	if (!path || !*path)
		return 0;
	if (!address_of(path, &sa, &len))
		return -EINVAL;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	n = sendto(fd, lines, strlen(lines), MSG_NOSIGNAL, (const struct sockaddr *)&sa, len);
	e = n < 0 ? -errno : 0;
	close(fd);
	return e;
}

int notify_reloading(void)
{
	char text[80];

	snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%llu",
		 (unsigned long long)(prowl_now() / 1000));
	return notify_send(text);
}

uint64_t notify_watchdog(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	unsigned long long v = usec ? strtoull(usec, NULL, 10) : 0;

	if (!getenv("NOTIFY_SOCKET") || (pid && strtol(pid, NULL, 10) != getpid()))
		return 0;
	return v * 1000;
}
