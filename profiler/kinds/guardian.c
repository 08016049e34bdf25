/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian.h"
#include "clock.h"
#include "privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * After fork, the child calls only async-signal-safe functions, as if the parent had threads that
 * hold locks.
 */
enum { SOCK, MEM, FIRST_FREE }; /* the descriptors of the guardian */

enum guarded_state guarded_restore(int mem, const struct guarded *w)
{
	uint64_t now;

	/* read and write of an image that is gone return 0. */
	if (pread(mem, &now, sizeof now, (off_t)w->addr) != sizeof now)
		return GUARDED_GONE;
	if (now == w->before)
		return GUARDED_RESTORED;
	if (now != w->set)
		return GUARDED_FOREIGN;
	for (int tries = 0; tries < 3; tries++) {
		ssize_t n = pwrite(mem, &w->before, sizeof w->before, (off_t)w->addr);

		if (n == sizeof w->before)
			return GUARDED_RESTORED;
		if (n == 0)
			return GUARDED_GONE;
	}
	return GUARDED_STUCK;
}

static void close_from(unsigned int first)
{
	struct rlimit lim;

#ifdef SYS_close_range
	if (syscall(SYS_close_range, first, ~0u, 0) == 0)
		return;
#endif
	if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
		lim.rlim_cur = 1024;
	for (rlim_t fd = first; fd < lim.rlim_cur; fd++)
		close((int)fd);
}

/* Moves the two descriptors to the numbers that the guardian uses, and closes all others. */
static bool keep_only(int sock, int mem)
{
	/* First to higher numbers, so that neither overwrites the other. */
	int high_sock = fcntl(sock, F_DUPFD, FIRST_FREE),
	    high_mem = fcntl(mem, F_DUPFD, FIRST_FREE);

	if (high_sock < 0 || high_mem < 0 || dup2(high_sock, SOCK) < 0 || dup2(high_mem, MEM) < 0)
		return false;
	close_from(FIRST_FREE);
	return true;
}

/* Returns when the other end of the socket is closed, or the time is up. */
static void wait_for_end(uint64_t max_ns)
{
	uint64_t end = max_ns ? prowl_now() + max_ns : 0;

	for (;;) {
		struct pollfd p = {.fd = SOCK, .events = POLLIN};
		uint64_t now = end ? prowl_now() : 0;
		uint64_t left = end > now ? (end - now) / 1000000 + 1 : 0;
		int r;

		if (end && end <= now)
			return;
		r = poll(&p, 1, !end ? -1 : left > 3600000 ? 3600000 : (int)left);
		if (r > 0 || (r < 0 && errno != EINTR))
			return;
	}
}

static _Noreturn void guardian_main(int sock, int mem, const struct guarded *words, size_t n,
				    uint64_t max_ns)
{
	uint8_t states[GUARDIAN_MAX] = {0};

	prowl_privilege_drop(~0u); /* it needs nothing but the descriptor */
	setsid();
	prctl(PR_SET_NAME, "prowl-guardian");
	if (chdir("/") < 0 || !keep_only(sock, mem) || send(SOCK, "r", 1, 0) != 1)
		_exit(1);
	wait_for_end(max_ns);
	for (size_t i = 0; i < n; i++)
		states[i] = (uint8_t)guarded_restore(MEM, &words[i]);
	/* The reader may be gone; signals are blocked, SIGPIPE too. */
	send(SOCK, states, n, 0);
	_exit(0);
}

static int wait_ready(struct guardian *g)
{
	ssize_t n;
	char c;

	do
		n = recv(g->sock, &c, 1, 0);
	while (n < 0 && errno == EINTR);
	return n == 1 ? 0 : -ECHILD;
}

int guardian_start(struct guardian *g, int mem, const struct guarded *words, size_t n,
		   uint64_t max_ns)
{
	sigset_t all, old;
	int pair[2], r;
	pid_t pid;

	*g = (struct guardian){.sock = -1};
	if (n > GUARDIAN_MAX)
		return -E2BIG;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	/* Blocked before the fork, so that no handler of the parent ever runs in it. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	pid = fork();
	if (pid == 0)
		guardian_main(pair[1], mem, words, n, max_ns);
	r = pid < 0 ? -errno : 0;
	sigprocmask(SIG_SETMASK, &old, NULL);
	close(pair[1]);
	if (r < 0) {
		close(pair[0]);
		return r;
	}
	*g = (struct guardian){.pid = pid, .sock = pair[0]};
	r = wait_ready(g);
	if (r < 0)
		guardian_end(g, NULL, 0);
	return r;
}

void guardian_end(struct guardian *g, enum guarded_state *states, size_t n)
{
	uint8_t buf[GUARDIAN_MAX];
	size_t have = 0;
	ssize_t r;

	for (size_t i = 0; i < n; i++)
		states[i] = GUARDED_UNKNOWN;
	if (!g->pid)
		return;
	shutdown(g->sock, SHUT_WR);
	while (have < sizeof buf) {
		r = recv(g->sock, buf + have, sizeof buf - have, 0);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			break;
		have += (size_t)r;
	}
	for (size_t i = 0; have == n && i < n; i++)
		states[i] = (enum guarded_state)buf[i];
	close(g->sock);
	while (waitpid(g->pid, NULL, 0) < 0 && errno == EINTR)
		;
	*g = (struct guardian){.sock = -1};
}

bool guardian_was_killed(struct guardian *g)
{
	char c;

	/* A report that it sent because its time was up stays there for guardian_end. */
	if (!g->pid || recv(g->sock, &c, 1, MSG_PEEK | MSG_DONTWAIT) != 0)
		return false;
	close(g->sock);
	while (waitpid(g->pid, NULL, 0) < 0 && errno == EINTR)
		;
	*g = (struct guardian){.sock = -1};
	return true;
}
