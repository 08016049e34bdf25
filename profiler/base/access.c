/* SPDX-License-Identifier: Apache-2.0 */
#include "access.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct text {
	char buf[sizeof((struct prowl_err *)0)->hint];
	size_t n;
};

static void put(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (t->n > 0 && t->n < sizeof t->buf - 1)
		t->buf[t->n++] = '\n';
	va_start(ap, fmt);
	n = vsnprintf(t->buf + t->n, sizeof t->buf - t->n, fmt, ap);
	va_end(ap);
	t->n += n > 0 && (size_t)n < sizeof t->buf - t->n ? (size_t)n : 0;
}

static bool read_text(const char *path, char *buf, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, len - 1);

	if (fd >= 0)
		close(fd);
	buf[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static int number(const char *path, int none)
{
	char buf[64];

	return read_text(path, buf, sizeof buf) ? atoi(buf) : none;
}

struct own { /* of this process */
	unsigned long long permitted, bound;
	int seccomp;
	bool mapped; /* in a user namespace whose uids are not the machine's */
};

static struct own read_own(void)
{
	unsigned long long first, below, count;
	struct own o = {0};
	char buf[4096];
	const char *at;

	if (read_text("/proc/self/status", buf, sizeof buf)) {
		at = strstr(buf, "\nCapPrm:");
		if (at)
			sscanf(at, "\nCapPrm: %llx", &o.permitted);
		at = strstr(buf, "\nCapBnd:");
		if (at)
			sscanf(at, "\nCapBnd: %llx", &o.bound);
		at = strstr(buf, "\nSeccomp:");
		if (at)
			sscanf(at, "\nSeccomp: %d", &o.seccomp);
	}
	if (read_text("/proc/self/uid_map", buf, sizeof buf) &&
	    sscanf(buf, "%llu %llu %llu", &first, &below, &count) == 3)
		o.mapped = first != 0 || below != 0 || count < 0xffffffffu;
	return o;
}

static void put_causes(struct text *t, const struct own *o)
{
	int yama = number("/proc/sys/kernel/yama/ptrace_scope", 0);
	bool ptrace = o->permitted >> CAP_SYS_PTRACE & 1;

	if (yama == 3)
		put(t, "kernel.yama.ptrace_scope is 3: nobody may read the memory of processes "
		       "until the next boot");
	else if (yama > 0 && !ptrace)
		put(t,
		    "kernel.yama.ptrace_scope is %d: own processes need CAP_SYS_PTRACE, too, or: "
		    "sudo sysctl kernel.yama.ptrace_scope=0",
		    yama);
	if (number("/sys/fs/selinux/booleans/deny_ptrace", 0) == 1)
		put(t, "SELinux forbids it (deny_ptrace): sudo setsebool deny_ptrace 0");
	if (o->seccomp == 2)
		put(t, "prowl runs under a seccomp filter, which may be what refuses it");
	if (o->mapped)
		put(t, "prowl runs in a user namespace: processes outside of it are out of reach, "
		       "run prowl on the host");
}

static void put_grant(struct text *t, const struct own *o)
{
	bool ptrace = o->permitted >> CAP_SYS_PTRACE & 1;

	if (!(o->bound >> CAP_SYS_PTRACE & 1))
		put(t,
		    "CAP_SYS_PTRACE can't be had in this container or service: docker run "
		    "--cap-add SYS_PTRACE, securityContext: {capabilities: {add: [SYS_PTRACE]}}");
	else if (geteuid() != 0 && !ptrace)
		put(t, "run prowl as the process' own user or as root, or grant:\n  " PROWL_SETCAP);
	else if (!ptrace)
		put(t, "this root has no CAP_SYS_PTRACE: start the shell with it");
	else if (t->n == 0)
		put(t,
		    "a security module (AppArmor, SELinux) or a process of higher privilege may be "
		    "the reason");
}

void prowl_hint_reading(struct prowl_err *e, pid_t pid)
{
	struct own o = read_own();
	struct text t = {.n = 0};

	put_causes(&t, &o);
	put_grant(&t, &o);
	put(&t,
	    "prowl doctor --pid %d tells what works; CPU profiles (prowl profile) need the "
	    "mappings only, not the memory",
	    (int)pid);
	prowl_hint(e, "%s", t.buf);
}
