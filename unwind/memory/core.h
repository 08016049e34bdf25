/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A core file, as the kernel and gcore write it: the memory of a process that is gone, its threads
 * with their registers, and which files were mapped.
 *
 * Memory that the core leaves out is not known: a read of it fails, it never gives zeros. Memory
 * that was left out because it is in a mapped file can be read from there (uw_core_back). Nothing
 * in the file is trusted; one that ends too early gives what it has. Read with pread, so that a
 * file that shrinks meanwhile does no harm.
 *
 * Immutable but for uw_core_back, after which any thread may read.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "diag.h"
#include "elf.h"
#include "mem.h"
#include "regs.h"

struct uw_core_thread {
	pid_t tid;
	bool has_regs; /* of machines of which they are known (arch.h) */
	struct uw_regs regs;
	uint64_t fs_base; /* thread-local storage */
};

struct uw_core_file { /* one file-backed mapping, from NT_FILE; sorted by start */
	uint64_t start, end;
	uint64_t offset;  /* bytes into the file */
	const char *path; /* as the process saw it, without the mark of a deleted file */
	bool deleted;
};

struct uw_core {
	uint16_t machine; /* EM_X86_64, EM_AARCH64 */
	pid_t pid;        /* 0: the core doesn't say */
	char comm[16];    /* "" likewise; gcore gives one character more than the kernel: cut */
	int signal;       /* that ended the process; 0 for gcore's */
	size_t nthreads;
	struct uw_core_thread *threads; /* the one that the signal hit comes first */
	size_t nfiles;
	struct uw_core_file *files;
	uint64_t entry;   /* the program's entry point in memory (AT_ENTRY), 0: not known */
	uint64_t vdso;    /* where the vDSO is mapped (AT_SYSINFO_EHDR), 0: nowhere */
	uint64_t memory;  /* bytes of memory that the file has */
	uint64_t missing; /* bytes that its headers promise but the file, cut short, has not */
	size_t bad_notes; /* notes that were damaged and left out */
	struct uw_core_segment *segs; /* private, as all that follows */
	size_t nsegs;
	struct uw_core_backing *backs;
	size_t nbacks;
	char *names;
	int fd;
};

/*
 * Opens the file behind fd and takes fd over, also on failure. -ENOEXEC: not an ELF file or damaged
 * at its start; -EINVAL: ELF, but no core file; -ENOTSUP: of another architecture; -EBADMSG:
 * its segments contradict each other; -ENOMEM; else the errno of reading.
 */
int uw_core_open(int fd, struct uw_core **ret, struct uw_diag *diag);
void uw_core_free(struct uw_core *c);

/* The reader of its memory; borrows c. */
struct uw_mem uw_core_mem(struct uw_core *c);

/* The bytes from addr on, up to len, that the core itself holds in one segment; 0: none. */
size_t uw_core_room(const struct uw_core *c, uint64_t addr, size_t len);
/* PF_R | PF_W | PF_X of the mapping at addr; 0: nothing is mapped, or it may not be touched. */
uint32_t uw_core_flags(const struct uw_core *c, uint64_t addr);
/* The i-th of the mappings, ascending by address; false: there are no more. */
bool uw_core_mapping(const struct uw_core *c, size_t i, uint64_t *start, uint64_t *end);
/* The thread with that id, or NULL. */
const struct uw_core_thread *uw_core_thread(const struct uw_core *c, pid_t tid);
/* The file that was mapped at addr, or NULL. */
const struct uw_core_file *uw_core_file_at(const struct uw_core *c, uint64_t addr);

/*
 * From now on the part of [start, end) that the core left out is read from the segments of elf that
 * are not writable, loaded with this bias. elf is borrowed. The caller proves that it is the file
 * that was mapped.
 */
int uw_core_back(struct uw_core *c, uint64_t start, uint64_t end, const struct uw_elf *elf,
		 uint64_t bias);
