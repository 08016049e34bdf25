/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bpf_program.h"
#include "moment.h"

#ifndef BPF_F_MMAPABLE
#define BPF_F_MMAPABLE (1U << 10)
#endif

enum { FIRST_PID_NS = -4 }; /* 0xeffffffc, PROC_PID_INIT_INO */

struct prowl_bpf {
	int table_fd, scratch_fd, output_fd, prog_fd;
	struct prowl_bpf_table *table; /* mapped, and so readable and writable without privilege */
	bool labels;
};

static int bpf(int cmd, union bpf_attr *attr)
{
	int r = (int)syscall(SYS_bpf, cmd, attr, sizeof *attr);

	return r < 0 ? -errno : r;
}

static int new_map(enum bpf_map_type type, uint32_t value, uint32_t n, uint32_t flags)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof attr);
	attr.map_type = type;
	attr.key_size = 4;
	attr.value_size = value;
	attr.max_entries = n;
	attr.map_flags = flags;
	memcpy(attr.map_name, "prowl", 6);
	return bpf(BPF_MAP_CREATE, &attr);
}

/* Before Linux 5.11 maps count as locked memory, of which there is by default too little. */
static void raise_locked_limit(void)
{
	struct rlimit lim = {RLIM_INFINITY, RLIM_INFINITY};

	if (setrlimit(RLIMIT_MEMLOCK, &lim) == 0 || getrlimit(RLIMIT_MEMLOCK, &lim) < 0)
		return;
	lim.rlim_cur = lim.rlim_max;
	setrlimit(RLIMIT_MEMLOCK, &lim);
}

static int new_maps(struct prowl_bpf *b)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	uint32_t ncpus = cpus > 0 ? (uint32_t)cpus : 1;
	void *p;

	b->table_fd = new_map(BPF_MAP_TYPE_ARRAY, sizeof *b->table, 1, BPF_F_MMAPABLE);
	if (b->table_fd < 0)
		return b->table_fd;
	p = mmap(NULL, sizeof *b->table, PROT_READ | PROT_WRITE, MAP_SHARED, b->table_fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	b->table = p;
	b->scratch_fd = new_map(BPF_MAP_TYPE_ARRAY, PROWL_MOMENT_MAX, ncpus, 0);
	if (b->scratch_fd < 0)
		return b->scratch_fd;
	b->output_fd = new_map(BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, ncpus, 0);
	return b->output_fd < 0 ? b->output_fd : 0;
}

/* In a namespace of its own numbers, which those that the kernel gives a program are not. */
static void find_namespace(struct prowl_bpf_program *p)
{
	struct stat st;

	if (stat("/proc/self/ns/pid", &st) < 0 || (int32_t)(uint32_t)st.st_ino == FIRST_PID_NS)
		return;
	p->ns_dev = st.st_dev;
	p->ns_ino = st.st_ino;
}

static int load_program(struct prowl_bpf *b)
{
	struct prowl_bpf_program p = {.table_fd = b->table_fd,
				      .scratch_fd = b->scratch_fd,
				      .output_fd = b->output_fd,
				      .labels = b->labels};
	struct bpf_insn insns[PROWL_BPF_MAX_INSNS];
	union bpf_attr attr;

	find_namespace(&p);
	memset(&attr, 0, sizeof attr);
	attr.prog_type = BPF_PROG_TYPE_PERF_EVENT;
	attr.insn_cnt = (uint32_t)prowl_bpf_build(&p, insns);
	attr.insns = (uintptr_t)insns;
	attr.license = (uintptr_t) "Dual BSD/GPL";
	memcpy(attr.prog_name, "prowl_moment", 13);
	b->prog_fd = bpf(BPF_PROG_LOAD, &attr);
	return b->prog_fd < 0 ? b->prog_fd : 0;
}

static const char *explain(int error)
{
	switch (error) {
	case -EPERM:
	case -EACCES:
		return "it needs CAP_BPF and CAP_PERFMON";
	case -ENOSYS:
		return "the kernel or a sandbox has no bpf()";
	case -ENOMEM:
		return "there is no memory for its tables";
	default:
		return "it needs Linux 5.5 or newer";
	}
}

int prowl_bpf_new(bool labels, struct prowl_bpf **ret, const char **why)
{
	struct prowl_bpf *b = malloc(sizeof *b);
	int r;

	*why = explain(-ENOMEM);
	if (!b)
		return -ENOMEM;
	*b = (struct prowl_bpf){-1, -1, -1, -1, NULL, labels};
	raise_locked_limit();
	r = new_maps(b);
	if (r == 0)
		r = load_program(b);
	if (r < 0) {
		*why = explain(r);
		prowl_bpf_free(b);
		return r;
	}
	*ret = b;
	return 0;
}

void prowl_bpf_free(struct prowl_bpf *b)
{
	if (!b)
		return;
	if (b->table)
		munmap(b->table, sizeof *b->table);
	for (const int *fd = (int[]){b->table_fd, b->scratch_fd, b->output_fd, b->prog_fd, -2};
	     *fd != -2; fd++) {
		if (*fd >= 0)
			close(*fd);
	}
	free(b);
}

int prowl_bpf_fd(const struct prowl_bpf *b)
{
	return b->prog_fd;
}

int prowl_bpf_output(struct prowl_bpf *b, int cpu, int fd)
{
	uint32_t key = (uint32_t)cpu;
	union bpf_attr attr;

	memset(&attr, 0, sizeof attr);
	attr.map_fd = (uint32_t)b->output_fd;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)&fd;
	return bpf(BPF_MAP_UPDATE_ELEM, &attr);
}

/* --- targets --------------------------------------------------------------------- */

/* The entry of `wanted` (0: a free one) among those where pid belongs. */
static struct prowl_bpf_target *find(struct prowl_bpf *b, pid_t pid, uint32_t wanted)
{
	struct prowl_bpf_target *set = b->table->targets[(uint32_t)pid % PROWL_BPF_SETS];

	for (size_t i = 0; i < PROWL_BPF_WAYS; i++) {
		if (set[i].pid == wanted)
			return &set[i];
	}
	return NULL;
}

/* The program reads words of eight bytes at these offsets of what it has copied. */
static bool fits(const struct uw_golayout *l)
{
	return l->g.labels <= PROWL_BPF_MAX_G - 8 && l->g.syscallsp <= PROWL_BPF_MAX_G - 8 &&
	       l->m.curg <= PROWL_BPF_MAX_M - 8 && l->m.gsignal <= PROWL_BPF_MAX_M - 8 &&
	       l->m.ncgo <= PROWL_BPF_MAX_M - 8;
}

static uint16_t later(uint16_t a, uint16_t b)
{
	return a > b ? a : b;
}

int prowl_bpf_add(struct prowl_bpf *b, pid_t pid, const struct uw_golayout *l,
		  const struct prowl_bpf_code *code)
{
	struct prowl_bpf_target *t;

	if (!fits(l))
		return -ENOTSUP;
	prowl_bpf_remove(b, pid);
	t = find(b, pid, 0);
	if (!t)
		return -ENOSPC;
	t->g_len = (uint16_t)(later(l->g.labels, l->g.syscallsp) + 8);
	t->m_len = (uint16_t)(later(l->m.curg, l->m.ncgo) + 8);
	t->m_curg = l->m.curg;
	t->m_gsignal = l->m.gsignal;
	t->m_ncgo = l->m.ncgo;
	t->g_labels = l->g.labels;
	t->g_syscallsp = l->g.syscallsp;
	t->g_goid = l->g.goid;
	t->no_callbacks = code->no_callbacks;
	t->text_lo = code->text_lo;
	t->text_hi = code->text_hi;
	t->switch_pc = code->switch_pc;
	t->labels = l->labels_slice ? PROWL_BPF_LABEL_SLICE : PROWL_BPF_LABEL_MAP;
	__atomic_store_n(&t->pid, (uint32_t)pid, __ATOMIC_RELEASE);
	return 0;
}

void prowl_bpf_remove(struct prowl_bpf *b, pid_t pid)
{
	struct prowl_bpf_target *t = find(b, pid, (uint32_t)pid);

	if (t)
		__atomic_store_n(&t->pid, 0, __ATOMIC_RELEASE);
}

uint64_t prowl_bpf_written(const struct prowl_bpf *b)
{
	return __atomic_load_n(&b->table->written, __ATOMIC_RELAXED);
}

uint64_t prowl_bpf_lost(const struct prowl_bpf *b)
{
	return __atomic_load_n(&b->table->lost, __ATOMIC_RELAXED);
}
