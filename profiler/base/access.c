/* SPDX-License-Identifier: Apache-2.0 */
#include "access.h"

#include <linux/capability.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "grants.h"
#include "procfs.h"

struct text {
	char buf[sizeof((struct prowl_err *)0)->hint];
	size_t n;
};

static void put_line(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put_line(struct text *t, const char *fmt, ...)
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

static void put_causes(struct text *t, const struct prowl_standing *o)
{
	int yama = prowl_read_number("/proc/sys/kernel/yama/ptrace_scope", 0);
	bool ptrace = prowl_has_cap(o->permitted, CAP_SYS_PTRACE);

	if (yama == 3)
		put_line(t,
			 "kernel.yama.ptrace_scope is 3: nobody may read the memory of processes "
			 "until the next boot");
	else if (yama > 0 && !ptrace)
		put_line(
			t,
			"kernel.yama.ptrace_scope is %d: own processes need CAP_SYS_PTRACE, too, or: "
			"sudo sysctl kernel.yama.ptrace_scope=0",
			yama);
	if (prowl_read_number("/sys/fs/selinux/booleans/deny_ptrace", 0) == 1)
		put_line(t, "SELinux forbids it (deny_ptrace): sudo setsebool deny_ptrace 0");
	if (o->seccomp == 2)
		put_line(t, "prowl runs under a seccomp filter, which may be what refuses it");
	if (o->user_namespace)
		put_line(
			t,
			"prowl runs in a user namespace: processes outside of it are out of reach, "
			"run prowl on the host");
}

static void put_grant(struct text *t, const struct prowl_standing *o)
{
	bool ptrace = prowl_has_cap(o->permitted, CAP_SYS_PTRACE);

	if (!prowl_has_cap(o->bound, CAP_SYS_PTRACE))
		put_line(
			t,
			"CAP_SYS_PTRACE can't be had in this container or service: docker run "
			"--cap-add SYS_PTRACE, securityContext: {capabilities: {add: [SYS_PTRACE]}}");
	else if (geteuid() != 0 && !ptrace)
		put_line(
			t,
			"run prowl as the process' own user or as root, or grant:\n  " PROWL_SETCAP);
	else if (!ptrace)
		put_line(t, "this root has no CAP_SYS_PTRACE: start the shell with it");
	else if (t->n == 0)
		put_line(
			t,
			"a security module (AppArmor, SELinux) or a process of higher privilege may be "
			"the reason");
}

void prowl_hint_reading(struct prowl_err *e, pid_t pid)
{
	struct prowl_standing o = prowl_standing();
	struct text t = {.n = 0};

	put_causes(&t, &o);
	put_grant(&t, &o);
	put_line(&t,
		 "prowl doctor --pid %d shows what works; CPU profiles (prowl profile) need the "
		 "mappings only, not the memory",
		 (int)pid);
	prowl_hint(e, "%s", t.buf);
}
