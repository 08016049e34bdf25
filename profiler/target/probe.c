/* SPDX-License-Identifier: Apache-2.0 */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mem.h"
#include "task.h"

int prowl_probe_maps(pid_t pid)
{
	char path[64];
	int fd;

	uw_task_path(pid, "maps", path, sizeof path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	close(fd);
	return 0;
}

int prowl_probe_memory(pid_t pid)
{
	struct uw_mem mem = uw_mem_process(pid);
	char byte;
	/* The permission is checked before the address, where nothing is mapped. */
	int r = uw_read(&mem, 1, &byte, 1);

	return r == -EFAULT ? 0 : r;
}

int prowl_probe_perf(pid_t pid, int cpu, bool kernel)
{
	struct perf_event_attr attr = {
		.size = sizeof attr,
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = 10000000,
		.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_TID,
		.disabled = 1,
		.exclude_kernel = !kernel,
		.exclude_callchain_kernel = !kernel,
		.exclude_hv = 1,
	};
	pid_t tid = pid > 0 ? uw_task_living(pid) : pid;
	int fd = (int)syscall(SYS_perf_event_open, &attr, tid, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}
