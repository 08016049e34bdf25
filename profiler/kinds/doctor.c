/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "arch.h"
#include "bpf.h"
#include "grants.h"
#include "inspect.h"
#include "probe.h"
#include "procfs.h"
#include "sampler.h"
#include "whatis.h"

#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#endif

enum {
	RING_KB = 68, /* the smallest ring that is tried first, with its header page */
	UNREADABLE = -99,
	MAX_CHECKS = 40,
};

struct facts {
	unsigned int major, minor;
	struct prowl_standing own;
	int perf_user, perf_kernel, perf_cpu; /* negative errno of each probe, or 0 */
	int paranoid;
};

/* --- reading --- */

static void read_facts(struct facts *f)
{
	struct utsname u;

	*f = (struct facts){0};
	if (uname(&u) == 0)
		sscanf(u.release, "%u.%u", &f->major, &f->minor);
	f->own = prowl_standing();
	f->paranoid = prowl_read_number("/proc/sys/kernel/perf_event_paranoid", UNREADABLE);
	f->perf_user = prowl_probe_perf(0, -1, false);
	f->perf_kernel = prowl_probe_perf(0, -1, true);
	f->perf_cpu = prowl_probe_perf(-1, 0, true);
}

static bool has_cap(const struct facts *f, unsigned int cap)
{
	return prowl_has_cap(f->own.effective, cap);
}

/* --- lines --- */

/* Adds a check and returns it, for its fix; never NULL. */
static struct prowl_check *add_check(struct prowl_doctor *d, enum prowl_check_state state,
				     const char *id, const char *what, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

static struct prowl_check *add_check(struct prowl_doctor *d, enum prowl_check_state state,
				     const char *id, const char *what, const char *fmt, ...)
{
	struct prowl_check *c = &d->checks[d->n < d->cap ? d->n++ : d->cap - 1];
	va_list ap;

	*c = (struct prowl_check){.state = state, .id = id, .what = what};
	va_start(ap, fmt);
	vsnprintf(c->value, sizeof c->value, fmt, ap);
	va_end(ap);
	return c;
}

static void set_fix(struct prowl_check *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void set_fix(struct prowl_check *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->fix, sizeof c->fix, fmt, ap);
	va_end(ap);
}

/*
 * The command that grants the capabilities here: a container that was started without them can't
 * get them from inside. Always all of them: granting them one after the other would lose the
 * earlier ones.
 */
static void set_fix_caps(const struct prowl_doctor *d, const struct facts *f, struct prowl_check *c)
{
	if (f->own.user_namespace)
		set_fix(c,
			"capabilities of a user namespace don't count for perf: on the host, as root,\n"
			"or after: " PROWL_SETCAP);
	else if (d->container && !(prowl_has_cap(f->own.bound, CAP_PERFMON)))
		set_fix(c,
			"docker run%s --cap-add PERFMON --cap-add SYS_PTRACE --cap-add SYSLOG\n"
			"  --cap-add CHECKPOINT_RESTORE --cap-add BPF ...\n"
			"Kubernetes:\n"
			"securityContext:%s\n"
			"  capabilities:\n"
			"    add: [PERFMON, SYS_PTRACE, SYSLOG, CHECKPOINT_RESTORE, BPF]",
			geteuid() ? " --user 0" : "", geteuid() ? "\n  runAsUser: 0" : "");
	else
		set_fix(c, "%s", PROWL_SETCAP);
}

/* --- the machine --- */

static void check_kernel(struct prowl_doctor *d, const struct facts *f)
{
	struct utsname u = {0};
	struct prowl_check *c;

	uname(&u);
	if (f->major < 4 || (f->major == 4 && f->minor < 1)) {
		c = add_check(d, PROWL_CHECK_FAIL, "kernel", "kernel",
			      "%s %s; 4.1 or later is needed", u.sysname, u.release);
		set_fix(c, "boot a newer kernel");
	} else if (f->major < 5 || (f->major == 5 && f->minor < 8)) {
		c = add_check(d, PROWL_CHECK_WARN, "kernel", "kernel",
			      "%s %s; it has no CAP_PERFMON, which came with 5.8", u.sysname,
			      u.release);
		set_fix(c,
			"sudo setcap cap_sys_admin,cap_sys_ptrace,cap_syslog=ep \"$(command -v prowl)\"");
	} else {
		add_check(d, PROWL_CHECK_OK, "kernel", "kernel", "%s %s", u.sysname, u.release);
	}
	if (uw_arch_perf_regs()) {
		add_check(d, PROWL_CHECK_OK, "architecture", "architecture", "%s", u.machine);
	} else {
		c = add_check(d, PROWL_CHECK_FAIL, "architecture", "architecture",
			      "%s; only x86_64 is supported", u.machine);
		set_fix(c, "profile on an x86_64 machine");
	}
}

static void check_container(struct prowl_doctor *d, const struct facts *f)
{
	static const char *const names[] = {"docker", "kubepods", "containerd", "libpod", "lxc"};
	const char *hint = NULL;
	char buf[8192];

	if (prowl_read_text("/proc/self/cgroup", buf, sizeof buf) > 0) {
		for (size_t i = 0; i < sizeof names / sizeof *names; i++)
			hint = strstr(buf, names[i]) ? names[i] : hint;
	}
	if (access("/.dockerenv", F_OK) == 0)
		hint = "/.dockerenv";
	else if (access("/run/.containerenv", F_OK) == 0)
		hint = "/run/.containerenv";
	else if (getenv("KUBERNETES_SERVICE_HOST"))
		hint = "KUBERNETES_SERVICE_HOST";
	d->container = hint != NULL;
	if (hint)
		add_check(d, PROWL_CHECK_OK, "container", "container", "probably (%s)", hint);
	else
		add_check(d, PROWL_CHECK_OK, "container", "container", "no sign of one");
	if (f->own.user_namespace)
		set_fix_caps(
			d, f,
			add_check(
				d, PROWL_CHECK_WARN, "user_namespace", "user namespace",
				"uids are mapped (/proc/self/uid_map): root in here is not root"));
	else
		add_check(d, PROWL_CHECK_OK, "user_namespace", "user namespace", "the first one");
}

static void check_seccomp(struct prowl_doctor *d, const struct facts *f)
{
	static const char *const modes[] = {"none", "strict", "a filter"};
	const char *mode = f->own.seccomp >= 0 && f->own.seccomp <= 2 ? modes[f->own.seccomp]
								      : "unknown";
	struct prowl_check *c;

	if (f->own.seccomp && f->perf_user != 0) {
		c = add_check(d, PROWL_CHECK_WARN, "seccomp", "seccomp",
			      "%s, which may be what refuses perf_event_open", mode);
		set_fix_caps(d, f, c);
		snprintf(c->fix + strlen(c->fix), sizeof c->fix - strlen(c->fix),
			 "\nor let the filter allow perf_event_open: docker run --security-opt "
			 "seccomp=PROFILE.json ...");
	} else {
		add_check(d, PROWL_CHECK_OK, "seccomp", "seccomp", "%s%s", mode,
			  f->own.seccomp ? "; perf_event_open is let through" : "");
	}
}

/* --- privilege --- */

static const char *paranoid_meaning(int paranoid)
{
	if (paranoid < 0)
		return "everybody may sample everything";
	if (paranoid == 0)
		return "everybody may sample whole CPUs, not raw tracepoints";
	if (paranoid == 1)
		return "own processes with kernel frames";
	if (paranoid == 2)
		return "own processes, user frames only";
	return "nothing without CAP_PERFMON";
}

static void check_paranoid(struct prowl_doctor *d, const struct facts *f)
{
	bool above = has_cap(f, CAP_PERFMON) || has_cap(f, CAP_SYS_ADMIN);
	struct prowl_check *c;

	if (f->paranoid == UNREADABLE) {
		c = add_check(
			d, PROWL_CHECK_WARN, "perf_event_paranoid", "kernel.perf_event_paranoid",
			"can't be read: a kernel without perf events, or /proc/sys is hidden");
		set_fix(c, "run prowl outside of the sandbox, on the host");
		return;
	}
	if (above && !f->own.user_namespace) {
		add_check(d, PROWL_CHECK_OK, "perf_event_paranoid", "kernel.perf_event_paranoid",
			  "%d; uid %u stands above it by its capabilities", f->paranoid,
			  (unsigned int)geteuid());
		return;
	}
	c = add_check(d,
		      f->paranoid > 2   ? PROWL_CHECK_FAIL
		      : f->paranoid > 0 ? PROWL_CHECK_WARN
					: PROWL_CHECK_OK,
		      "perf_event_paranoid", "kernel.perf_event_paranoid",
		      "%d; uid %u may sample: %s", f->paranoid, (unsigned int)geteuid(),
		      paranoid_meaning(f->paranoid));
	if (f->paranoid > 2)
		set_fix(c,
			"sudo sysctl kernel.perf_event_paranoid=2   (own processes), or for all:\n" PROWL_SETCAP);
	else if (f->paranoid > 0)
		set_fix_caps(d, f, c);
}

static void check_caps(struct prowl_doctor *d, const struct facts *f)
{
	bool admin = has_cap(f, CAP_SYS_ADMIN);

	for (size_t i = 0; i < prowl_ngrants; i++) {
		const struct prowl_grant *g = &prowl_grants[i];
		bool has = has_cap(f, g->cap);

		if (!g->advised)
			continue;
		if (has || (admin && g->cap == CAP_PERFMON))
			add_check(d, PROWL_CHECK_OK, g->id, g->name, "%s",
				  has ? "yes" : "no, but CAP_SYS_ADMIN includes it");
		else
			set_fix_caps(d, f,
				     add_check(d, PROWL_CHECK_WARN, g->id, g->name,
					       "no; it is for %s", g->use));
	}
	add_check(d, PROWL_CHECK_OK, "cap_sys_admin", "CAP_SYS_ADMIN", "%s",
		  admin ? "yes" : "no; it isn't needed");
}

/* BPF copies memory at the time of a sample (moment.h); prowl profiles without it, too. */
static void check_bpf(struct prowl_doctor *d, const struct facts *f)
{
	struct prowl_bpf *b;
	const char *why;
	int r = prowl_bpf_new(true, &b, &why);

	if (r == 0) {
		add_check(d, PROWL_CHECK_OK, "bpf", "BPF",
			  "works: other stacks and labels are copied at the sample");
		prowl_bpf_free(b);
		return;
	}
	set_fix_caps(
		d, f,
		add_check(
			d, PROWL_CHECK_WARN, "bpf", "BPF",
			"no (%s; %s): other stacks and labels are read after the sample, some too late",
			why, strerror(-r)));
}

static void check_probes(struct prowl_doctor *d, const struct facts *f)
{
	const struct {
		const char *id, *what;
		int error;
		enum prowl_check_state bad;
	} probes[] = {
		{"perf_user", "perf event, own user code", f->perf_user, PROWL_CHECK_FAIL},
		{"perf_kernel", "perf event, with the kernel", f->perf_kernel, PROWL_CHECK_WARN},
		{"perf_cpu", "perf event, a whole CPU", f->perf_cpu, PROWL_CHECK_WARN},
	};

	for (size_t i = 0; i < sizeof probes / sizeof *probes; i++) {
		int r = probes[i].error;
		struct prowl_check *c;

		if (r == 0) {
			add_check(d, PROWL_CHECK_OK, probes[i].id, probes[i].what, "works");
			continue;
		}
		c = add_check(d, probes[i].bad, probes[i].id, probes[i].what, "perf_event_open: %s",
			      strerror(-r));
		if (r == -ENOSYS)
			set_fix(c,
				"no such system call here: run prowl outside of the sandbox, on the "
				"host");
		else
			set_fix_caps(d, f, c);
	}
}

/* --- names and limits --- */

static void check_ptrace(struct prowl_doctor *d, const struct facts *f)
{
	int scope = prowl_read_number("/proc/sys/kernel/yama/ptrace_scope", UNREADABLE);
	struct prowl_check *c;

	if (scope == UNREADABLE)
		add_check(d, PROWL_CHECK_OK, "yama", "Yama",
			  "not there: own processes' memory is readable");
	else if (scope == 0 || (scope < 3 && has_cap(f, CAP_SYS_PTRACE)))
		add_check(d, PROWL_CHECK_OK, "yama", "kernel.yama.ptrace_scope", "%d", scope);
	else if (scope < 3) {
		c = add_check(d, PROWL_CHECK_WARN, "yama", "kernel.yama.ptrace_scope",
			      "%d: memory of processes that prowl didn't start can't be read "
			      "(CPU profiles don't need it)",
			      scope);
		set_fix(c, PROWL_SETCAP "\nor: sudo sysctl kernel.yama.ptrace_scope=0");
	} else {
		c = add_check(d, PROWL_CHECK_WARN, "yama", "kernel.yama.ptrace_scope",
			      "%d: nobody may read the memory of processes until the next boot",
			      scope);
		set_fix(c, "set kernel.yama.ptrace_scope to 1 in /etc/sysctl.d and reboot");
	}
}

static void check_kallsyms(struct prowl_doctor *d, const struct facts *f)
{
	int restrict_ = prowl_read_number("/proc/sys/kernel/kptr_restrict", UNREADABLE);
	char buf[4096];
	ssize_t n = prowl_read_text("/proc/kallsyms", buf, sizeof buf);
	bool shown = false;
	struct prowl_check *c;

	for (char *p = buf; n > 0 && p; p = strchr(p, '\n')) {
		p += *p == '\n';
		shown |= strtoull(p, NULL, 16) != 0;
	}
	if (shown) {
		add_check(d, PROWL_CHECK_OK, "kallsyms", "names of kernel functions",
			  "readable (kernel.kptr_restrict is %d)", restrict_);
		return;
	}
	if (n < 0)
		c = add_check(d, PROWL_CHECK_WARN, "kallsyms", "names of kernel functions",
			      "/proc/kallsyms: %s", strerror((int)-n));
	else
		c = add_check(d, PROWL_CHECK_WARN, "kallsyms", "names of kernel functions",
			      "hidden (kernel.kptr_restrict is %d): kernel frames have no names",
			      restrict_);
	if (restrict_ >= 2)
		set_fix(c, "sudo sysctl kernel.kptr_restrict=1   and run prowl as root or with "
			   "CAP_SYSLOG");
	else
		set_fix_caps(d, f, c);
}

static void limit_text(rlim_t v, char *buf, size_t len)
{
	if (v == RLIM_INFINITY)
		snprintf(buf, len, "unlimited");
	else
		snprintf(buf, len, "%llu", (unsigned long long)v);
}

static void check_limits(struct prowl_doctor *d, const struct facts *f)
{
	int mlock = prowl_read_number("/proc/sys/kernel/perf_event_mlock_kb", UNREADABLE);
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct rlimit lock = {0}, files = {0};
	char a[32], b[32];
	struct prowl_check *c;

	getrlimit(RLIMIT_MEMLOCK, &lock);
	getrlimit(RLIMIT_NOFILE, &files);
	limit_text(lock.rlim_cur, a, sizeof a);
	if (mlock != UNREADABLE && mlock < RING_KB && !has_cap(f, CAP_IPC_LOCK)) {
		c = add_check(
			d, PROWL_CHECK_WARN, "mlock", "memory for rings",
			"kernel.perf_event_mlock_kb is %d, RLIMIT_MEMLOCK %s: rings are small and "
			"may overflow",
			mlock, a);
		set_fix(c, "sudo sysctl kernel.perf_event_mlock_kb=516");
	} else {
		add_check(d, PROWL_CHECK_OK, "mlock", "memory for rings",
			  "kernel.perf_event_mlock_kb is %d, RLIMIT_MEMLOCK %s", mlock, a);
	}
	limit_text(files.rlim_max, b, sizeof b);
	if (f->perf_cpu != 0 && files.rlim_max != RLIM_INFINITY &&
	    files.rlim_max / (rlim_t)(cpus > 0 ? cpus : 1) < 1000) {
		c = add_check(d, PROWL_CHECK_WARN, "nofile", "file descriptors",
			      "RLIMIT_NOFILE is %s, enough for %llu threads on %ld CPUs", b,
			      (unsigned long long)files.rlim_max /
				      (unsigned long long)(cpus > 0 ? cpus : 1),
			      cpus);
		set_fix(c,
			"sudo prlimit --pid $$ --nofile=1048576   (in the shell that runs prowl)");
	} else {
		add_check(d, PROWL_CHECK_OK, "nofile", "file descriptors", "RLIMIT_NOFILE is %s",
			  b);
	}
}

static void check_perf_limits(struct prowl_doctor *d)
{
	int depth = prowl_read_number("/proc/sys/kernel/perf_event_max_stack", UNREADABLE);
	int rate = prowl_read_number("/proc/sys/kernel/perf_event_max_sample_rate", UNREADABLE);
	struct prowl_check *c;

	if (depth != UNREADABLE && depth < 127) {
		c = add_check(d, PROWL_CHECK_WARN, "max_stack", "kernel.perf_event_max_stack",
			      "%d: deeper stacks are cut", depth);
		set_fix(c, "sudo sysctl kernel.perf_event_max_stack=127");
	} else if (depth != UNREADABLE) {
		add_check(d, PROWL_CHECK_OK, "max_stack", "kernel.perf_event_max_stack",
			  "%d frames", depth);
	}
	if (rate != UNREADABLE && rate < 1000) {
		c = add_check(d, PROWL_CHECK_WARN, "max_sample_rate",
			      "kernel.perf_event_max_sample_rate",
			      "%d: the kernel pauses faster sampling", rate);
		set_fix(c, "sudo sysctl kernel.perf_event_max_sample_rate=100000");
	} else if (rate != UNREADABLE) {
		add_check(d, PROWL_CHECK_OK, "max_sample_rate", "kernel.perf_event_max_sample_rate",
			  "%d a second", rate);
	}
}

/* --- one process --- */

static void check_namespaces(struct prowl_doctor *d, pid_t pid)
{
	static const char *const kinds[] = {"pid", "mnt", "user"};
	char other[32] = "";
	bool known = true;

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		ino_t own = prowl_namespace(0, kinds[i]), its = prowl_namespace(pid, kinds[i]);

		known = known && own && its;
		if (own && its && own != its)
			snprintf(other + strlen(other), sizeof other - strlen(other), "%s%s",
				 other[0] ? ", " : "", kinds[i]);
	}
	add_check(d, PROWL_CHECK_OK, "target_namespaces", "its namespaces", "%s%s",
		  other[0] ? "other ones than ours: "
		  : known  ? "the same as ours"
			   : "can't be read",
		  other);
}

static void check_access(struct prowl_doctor *d, const struct facts *f, pid_t pid)
{
	char path[64], buf[4096];
	struct prowl_check *c;
	int maps = prowl_probe_maps(pid), memory = prowl_probe_memory(pid), perf, fd;

	if (maps == 0)
		add_check(d, PROWL_CHECK_OK, "target_maps", "its mappings", "readable");
	else
		set_fix_caps(d, f,
			     add_check(d, PROWL_CHECK_FAIL, "target_maps", "its mappings",
				       "/proc/%d/maps: %s: no frame could be named", (int)pid,
				       strerror(-maps)));
	uw_task_path(pid, "exe", path, sizeof path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0) {
		ssize_t n = readlink(path, buf, 200);

		buf[n > 0 ? n : 0] = '\0';
		close(fd);
		add_check(d, PROWL_CHECK_OK, "target_exe", "its program", "readable: %.200s", buf);
	} else {
		c = add_check(d, PROWL_CHECK_WARN, "target_exe", "its program",
			      "%s: %s: frames have no names", path, strerror(errno));
		set_fix_caps(d, f, c);
	}
	if (memory == 0) {
		add_check(d, PROWL_CHECK_OK, "target_memory", "its memory", "readable");
	} else {
		c = add_check(d, PROWL_CHECK_WARN, "target_memory", "its memory",
			      "process_vm_readv and /proc/PID/mem: %s (CPU profiles don't need it)",
			      strerror(-memory));
		set_fix_caps(d, f, c);
	}
	perf = prowl_probe_perf(pid, -1, false);
	if (perf == 0)
		add_check(d, PROWL_CHECK_OK, "target_perf", "a perf event on it", "works");
	else
		set_fix_caps(d, f,
			     add_check(d, f->perf_cpu == 0 ? PROWL_CHECK_WARN : PROWL_CHECK_FAIL,
				       "target_perf", "a perf event on it", "perf_event_open: %s",
				       strerror(-perf)));
}

static void check_go(struct prowl_doctor *d, const struct facts *f, pid_t pid)
{
	struct prowl_err why = {0};
	struct prowl_info *info;
	struct prowl_check *c;

	if (prowl_inspect_pid(pid, &info, &why) != PROWL_OK) {
		c = add_check(d, PROWL_CHECK_WARN, "target_go", "its Go version", "%.250s",
			      why.text);
		if (why.code == PROWL_UNSUPPORTED)
			set_fix(c,
				"nothing to grant: CPU profiles name its functions from symbol tables "
				"only");
		else
			set_fix_caps(d, f, c);
		return;
	}
	if (info->layout_guessed) {
		c = add_check(d, PROWL_CHECK_WARN, "target_go", "its Go version",
			      "%s: newer than prowl knows; the layout of %s passed its checks",
			      info->program.go_version, info->layout);
		set_fix(c, "install a newer prowl");
	} else {
		add_check(d, PROWL_CHECK_OK, "target_go", "its Go version", "%s (layout %s)",
			  info->program.go_version, info->layout);
	}
	prowl_info_free(info);
}

static void check_process(struct prowl_doctor *d, const struct facts *f, pid_t pid)
{
	check_access(d, f, pid);
	check_namespaces(d, uw_task_living(pid));
	check_go(d, f, pid);
}

/* --- the verdict --- */

static void judge(struct prowl_doctor *d)
{
	pid_t pid = d->pid ? d->pid : getpid();
	struct prowl_sampler_facts f;
	struct prowl_err why = {0};
	char whom[48] = "own processes";
	int maps = prowl_probe_maps(pid);

	if (d->pid)
		snprintf(whom, sizeof whom, "process %d", (int)d->pid);
	if (maps < 0) {
		snprintf(d->verdict, sizeof d->verdict,
			 "nothing works for %s: its mappings can't be read (%s)", whom,
			 strerror(-maps));
		return;
	}
	/* What `profile` opens first, and falls back to: the proof. */
	if (prowl_sampler_probe(pid, &f, &why) != PROWL_OK) {
		snprintf(d->verdict, sizeof d->verdict, "nothing works for %s: %s", whom, why.text);
		return;
	}
	d->whole_cpus = f.whole_cpus;
	d->works = f.kernel ? PROWL_WORKS_KERNEL : PROWL_WORKS_USER;
	if (!d->pid && d->whole_cpus)
		snprintf(whom, sizeof whom, "every process whose mappings may be read");
	snprintf(d->verdict, sizeof d->verdict, "CPU profiles work for %s: %s, %s", whom,
		 d->works == PROWL_WORKS_KERNEL ? "kernel and user frames" : "user frames only",
		 d->whole_cpus ? "sampled by whole CPUs" : "sampled thread by thread");
}

static struct prowl_doctor *doctor_new(pid_t pid)
{
	struct prowl_doctor *d = calloc(1, sizeof *d);

	if (!d)
		return NULL;
	d->pid = pid;
	d->cap = MAX_CHECKS;
	d->checks = calloc(d->cap, sizeof *d->checks);
	if (d->checks)
		return d;
	free(d);
	return NULL;
}

static void check_machine(struct prowl_doctor *d, const struct facts *f)
{
	check_kernel(d, f);
	check_container(d, f);
	check_seccomp(d, f);
	check_probes(d, f);
	check_bpf(d, f);
	check_paranoid(d, f);
	check_caps(d, f);
	check_ptrace(d, f);
	check_kallsyms(d, f);
	check_limits(d, f);
	check_perf_limits(d);
}

enum prowl_code prowl_doctor_new(pid_t pid, struct prowl_doctor **ret, struct prowl_err *err)
{
	struct prowl_err why = {0};
	struct uw_task task = {.kind = UW_TASK_PROCESS};
	struct prowl_doctor *d;
	struct facts f;

	if (pid && prowl_whatis(pid, &task, &why) != PROWL_OK && task.kind != UW_TASK_ZOMBIE &&
	    task.kind != UW_TASK_KERNEL) {
		if (err)
			*err = why;
		return why.code;
	}
	d = doctor_new(pid);
	if (!d)
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	read_facts(&f);
	check_machine(d, &f);
	if (why.code != PROWL_OK) {
		add_check(d, PROWL_CHECK_FAIL, "target_state", "its state", "%.250s", why.text);
		snprintf(d->verdict, sizeof d->verdict, "nothing works: %s", why.text);
	} else {
		if (pid)
			check_process(d, &f, pid);
		judge(d);
	}
	*ret = d;
	return PROWL_OK;
}

void prowl_doctor_free(struct prowl_doctor *d)
{
	if (!d)
		return;
	free(d->checks);
	free(d);
}
