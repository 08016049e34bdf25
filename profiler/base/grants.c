/* SPDX-License-Identifier: Apache-2.0 */
#include "grants.h"

#include <linux/capability.h>
#include <stdio.h>

#include "privilege.h"
#include "procfs.h"

#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#endif
#ifndef CAP_BPF
#define CAP_BPF 39
#endif
#ifndef CAP_CHECKPOINT_RESTORE
#define CAP_CHECKPOINT_RESTORE 40
#endif

const struct prowl_grant prowl_grants[] = {
	{CAP_PERFMON, "cap_perfmon", "CAP_PERFMON",
	 "kernel frames, whole CPUs, processes of others", PROWL_MAY_SAMPLE, true},
	{CAP_SYS_PTRACE, "cap_sys_ptrace", "CAP_SYS_PTRACE",
	 "names and memory of processes of others", PROWL_MAY_READ, true},
	{CAP_SYSLOG, "cap_syslog", "CAP_SYSLOG", "names of kernel functions", PROWL_MAY_NAME, true},
	{CAP_CHECKPOINT_RESTORE, "cap_checkpoint_restore", "CAP_CHECKPOINT_RESTORE",
	 "programs whose file was deleted", PROWL_MAY_READ, true},
	{CAP_BPF, "cap_bpf", "CAP_BPF", "memory as it was at the sample", PROWL_MAY_SAMPLE, true},
};
const size_t prowl_ngrants = sizeof prowl_grants / sizeof prowl_grants[0];

struct prowl_standing prowl_standing(void)
{
	unsigned long long first, below, count;
	struct prowl_standing s = {0};
	uint64_t seccomp = 0;
	char buf[8192];

	if (prowl_read_text("/proc/self/status", buf, sizeof buf) > 0) {
		prowl_status_field(buf, "CapEff", 16, &s.effective);
		prowl_status_field(buf, "CapPrm", 16, &s.permitted);
		prowl_status_field(buf, "CapBnd", 16, &s.bound);
		if (prowl_status_field(buf, "Seccomp", 10, &seccomp))
			s.seccomp = (int)seccomp;
	}
	if (prowl_read_text("/proc/self/uid_map", buf, sizeof buf) > 0 &&
	    sscanf(buf, "%llu %llu %llu", &first, &below, &count) == 3)
		s.user_namespace = first != 0 || below != 0 || count < 0xffffffffu;
	return s;
}
