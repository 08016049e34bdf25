/* SPDX-License-Identifier: Apache-2.0 */
/* Why events can't be opened, in words. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "grants.h"
#include "perf_parts.h"

static int own_seccomp(void)
{
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");
	int mode = 0;

	while (f && fgets(line, sizeof line, f)) {
		if (sscanf(line, "Seccomp: %d", &mode) == 1)
			break;
	}
	if (f)
		fclose(f);
	return mode;
}

enum prowl_code perf_explain(const struct perf_sampler *p, int r, struct prowl_err *err)
{
	int paranoid = p->base.facts.paranoid;
	pid_t pid = p->o.npids ? p->o.pids[0] : 0;

	switch (-r) {
	case ESRCH:
		return prowl_fail(err, PROWL_NOTHING, "process %d does not exist any more",
				  (int)pid);
	case ENFILE:
		return prowl_fail(err, PROWL_FAILED,
				  "the whole machine has no file descriptor left (fs.file-max)");
	case ENOMEM:
		return prowl_fail(err, PROWL_FAILED,
				  "out of memory for the kernel's ring buffers or for addresses to "
				  "see them (limit on virtual memory, ulimit -v?)");
	case EMFILE: {
		struct rlimit lim = {0};

		getrlimit(RLIMIT_NOFILE, &lim);
		if (!p->by_thread)
			return prowl_fail(
				err, PROWL_FAILED,
				"too few file descriptors: each of the %u CPUs needs one, "
				"and the limit is %llu (ulimit -n)",
				(unsigned)p->ncpus, (unsigned long long)lim.rlim_cur);
		prowl_fail(err, PROWL_FAILED,
			   "too many threads: without CAP_PERFMON each thread needs one file "
			   "descriptor per CPU (%u CPUs), and the limit is %llu",
			   (unsigned)p->ncpus, (unsigned long long)lim.rlim_cur);
		prowl_hint(err, "raise it (ulimit -Hn, as root), or grant CAP_PERFMON:\n"
				"  " PROWL_SETCAP);
		return PROWL_FAILED;
	}
	case ENOSYS:
		prowl_fail(err, PROWL_PERMISSION,
			   "the kernel or a sandbox has no perf_event_open "
			   "(ENOSYS)");
		prowl_hint(err, "run prowl outside of the sandbox, on the host");
		return PROWL_PERMISSION;
	case EPERM:
	case EACCES:
		if (own_seccomp() == 2 && r == -EPERM) {
			prowl_fail(
				err, PROWL_PERMISSION,
				"perf_event_open is refused (EPERM) and this process runs under a "
				"seccomp filter (Seccomp: 2)");
			prowl_hint(err,
				   "Docker: --cap-add PERFMON --cap-add SYS_PTRACE, or a seccomp "
				   "profile that allows perf_event_open\n"
				   "Kubernetes: securityContext: {capabilities: {add: [PERFMON, "
				   "SYS_PTRACE]}}");
			return PROWL_PERMISSION;
		}
		prowl_fail(err, PROWL_PERMISSION,
			   "not allowed to sample process %d (perf_event_open: %s; "
			   "kernel.perf_event_paranoid is %d, uid %d)",
			   (int)pid, strerror(-r), paranoid, (int)geteuid());
		if (paranoid > 2)
			prowl_hint(
				err,
				"kernel.perf_event_paranoid above 2 needs CAP_PERFMON even for own "
				"processes; smallest fix, either of:\n"
				"  " PROWL_SETCAP "\n"
				"  sudo sysctl kernel.perf_event_paranoid=2");
		else
			prowl_hint(
				err,
				"own processes can be sampled without privilege, those of others "
				"need CAP_PERFMON and CAP_SYS_PTRACE:\n"
				"  " PROWL_SETCAP "\n"
				"%sprowl heap, goroutine and wall need no perf events",
				geteuid() ? "or run prowl as the process' own user, or as root; "
					  : "");
		return PROWL_PERMISSION;
	default:
		return prowl_fail(err, PROWL_FAILED, "perf_event_open: %s", strerror(-r));
	}
}
