/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Go tables of one binary: pclntab and moduledata, read from the file image.
 *
 * Present in every Go binary, stripped or not; this is how Go programs are named and unwound.
 * Formats: Go 1.16 to 1.27 (src/runtime/symtab.go, src/internal/abi, cmd/link/internal/ld/pcln.go
 * of each release). All addresses are link-time addresses. Immutable once opened; any thread may
 * call the readers. No pointer or offset of the file is trusted: every access is checked, a damaged
 * table gives "unknown", never a wrong read.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "elf.h"
#include "frame.h"
#include "mem.h"

struct uw_go;
struct uw_golayout;

enum uw_go_special { /* functions at which a walk has a rule of its own; identified by name */
		     UW_GO_NORMAL = 0,
		     UW_GO_GOEXIT, /* runtime.goexit: root of a goroutine */
		     UW_GO_MSTART, /* runtime.mstart: root of a thread's g0 stack */
		     UW_GO_RT0,    /* runtime.rt0_go and the _rt0_* entry points */
		     UW_GO_MCALL,
		     UW_GO_MORESTACK,
		     UW_GO_SYSTEMSTACK,
		     UW_GO_SYSTEMSTACK_SWITCH,
		     UW_GO_ASMCGOCALL,
		     UW_GO_CGOCALLBACK, /* runtime.cgocallback */
		     UW_GO_GOGO,
		     UW_GO_SIGPANIC, /* callee is interrupted: the caller's pc is exact */
		     UW_GO_ASYNCPREEMPT,
		     UW_GO_DEBUGCALL,
		     UW_GO_SIGTRAMP,
		     UW_GO_SIGRETURN,
		     UW_GO_VDSO_CALLER, /* runtime.nanotime1, runtime.walltime, time.now: may run
					   the vDSO on g0 */
};

enum {
	UW_GO_TOPFRAME = 1, /* bits of uw_go_func.flags, as abi.FuncFlag of Go 1.18+ */
	UW_GO_SPWRITE = 2,
	UW_GO_ASM = 4,
};

enum uw_go_segment { /* of a module's variables: with or without pointers, with or without values */
		     UW_GO_NOPTRDATA,
		     UW_GO_DATA,
		     UW_GO_BSS,
		     UW_GO_NOPTRBSS,
		     UW_GO_SEGMENTS,
};

struct uw_go_range { /* half open */
	uint64_t lo, hi;
};

struct uw_go_func {          /* a physical function; filled by uw_go_func_at */
	uint64_t entry, end; /* half open */
	uint64_t record;     /* where the _func record lies in the table; private */
	uint32_t index;      /* in the function table: a dense key for caches */
	uint8_t flags;       /* 0 before Go 1.17, which has none; then TOPFRAME is set by name */
	uint8_t func_id;
	bool wrapper; /* compiler-made wrapper (method value, go statement); by the version's func
			 id */
	enum uw_go_special special;
};

/*
 * Reads the tables. `live` and `bias` are for position-independent files whose pointers the linker
 * left to the loader: when the file image doesn't verify, moduledata is read from there; live may
 * be NULL. -ENOENT: not a Go binary; -ENOTSUP: Go, but a version older than 1.16 (uw_go_version
 * tells); -EBADMSG: Go, but its tables don't verify. elf is borrowed and must outlive the object.
 */
int uw_go_open(const struct uw_elf *elf, const struct uw_mem *live, uint64_t bias,
	       struct uw_go **ret, struct uw_diag *diag);
void uw_go_free(struct uw_go *go);

/* "go1.24.4" as the build info says, "" when it has none and only the table's magic is known. */
const char *uw_go_version(const struct uw_go *go);
/* Minor version: 24 for go1.24.4. A version newer than the newest known row gives its true number.
 */
int uw_go_minor(const struct uw_go *go);
/* True when the version is newer than every known row and the newest row was used, checked. */
bool uw_go_guessed(const struct uw_go *go);

/* Go text of this binary: [lo, hi). C code of the same file lies outside. */
void uw_go_text(const struct uw_go *go, uint64_t *lo, uint64_t *hi);
size_t uw_go_nfuncs(const struct uw_go *go);
/* Link-time address of firstmoduledata. */
uint64_t uw_go_moduledata(const struct uw_go *go);
/* Where its variables are, [UW_GO_SEGMENTS], link-time addresses; empty where that is not known. */
const struct uw_go_range *uw_go_vars(const struct uw_go *go);
/* Offsets of the runtime's structures in this version (golayout.h). */
const struct uw_golayout *uw_go_layout(const struct uw_go *go);

/* The function that holds pc; false when pc is not in Go text. About 100 ns (binary search). */
bool uw_go_func_at(const struct uw_go *go, uint64_t pc, struct uw_go_func *ret);
/* The function with that name (not a wrapper), by a linear search: for attach time, not hot paths.
 */
bool uw_go_func_named(const struct uw_go *go, const char *name, struct uw_go_func *ret);
/* Its name (full linker name, generics as in the table); "" when damaged. Borrowed from the file.
 */
const char *uw_go_func_name(const struct uw_go *go, const struct uw_go_func *f);

/* Bytes that the function has pushed at pc (pcsp), undecremented pc; -1 when the table has none. */
int32_t uw_go_sp_delta(const struct uw_go *go, const struct uw_go_func *f, uint64_t pc);

/*
 * The frames at pc, innermost inlined function first, the physical function last. pc must lie
 * inside the instruction meant: the interrupted pc itself, or return address - 1 for callers.
 * Compiler-made wrappers are given too (`wrapper` set): whether they show depends on the frame
 * that they called. Returns the number of frames, >= 1, at most max.
 */
struct uw_go_frame {
	struct uw_frame frame;
	uint64_t pc; /* where in the physical function it is: pc itself, then that of each inlined
			call */
	bool wrapper;
};
size_t uw_go_frames(const struct uw_go *go, const struct uw_go_func *f, uint64_t pc,
		    struct uw_go_frame *frames, size_t max);

/*
 * The same at pc, whose function it finds too: 0 when there is none. The cursor (zero-initialised)
 * remembers where the last search ended, which makes ascending addresses cheap. One thread at a
 * time; it must not outlive go. Where a damaged table has functions that overlap, the last one met
 * is told.
 */
struct uw_go_cursor {
	const struct uw_go *go;
	struct uw_go_func f;
	struct uw_go_place { /* in a table of values by pc */
		uint32_t table, read, value;
		uint64_t covered;
	} files, lines, inlined;
};
size_t uw_go_frames_at(const struct uw_go *go, uint64_t pc, struct uw_go_cursor *c,
		       struct uw_go_frame *frames, size_t max);

/* Build information, as `go version -m` prints it: module text without the markers; "" when none.
 */
const char *uw_go_modinfo(const struct uw_go *go, size_t *len);
