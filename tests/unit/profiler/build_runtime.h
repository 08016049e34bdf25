/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Go runtime in memory that a test fills by itself: goroutines, profile buckets, threads. It is
 * the core file of a sample program, opened as any other; `live` makes a process of it, whose
 * memory may change between two reads.
 *
 * The test is linked with --wrap for uw_goglobals_find, prowl_runtime_open and prowl_runtime_same.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "build_core.h"
#include "runtime.h"
#include "sample_go.h"

enum {
	MADE_BASE = 0x20000000,
	MADE_SIZE = 0x100000,
	MADE_PID = 4242,
	MADE_TID = 4243, /* of its only thread */
};

struct made_runtime {
	const struct uw_golayout *l;
	struct sample_go sample;
	struct built_go go;
	struct build_core what;
	char program[64], core[64]; /* paths */
	int program_fd, core_fd;
	uint8_t *bytes; /* at MADE_BASE */
	uint8_t *data;  /* of the program */
	struct uw_goglobals globals;
	uint64_t ngoroutines, nbuckets, nthreads;
	struct uw_mem_bytes range; /* of a live one */
	struct uw_mem below;
	bool live;
	bool gone; /* a live one executes another program */
};

/* The program is built with go1.MINOR. */
void made_start(struct made_runtime *m, int minor, bool live);
void made_end(struct made_runtime *m);
/* Of the present memory. Borrowed until the next call. */
struct prowl_who made_who(struct made_runtime *m);

void made_poke(struct made_runtime *m, uint64_t off, uint64_t v, size_t size);
/* Keeps a variable of 8 bytes for it, which has the value v. Its offset. */
uint64_t made_variable(struct made_runtime *m, enum uw_goglobal which, uint64_t v);
/* The entry of a function of sample_go.h. */
uint64_t made_entry(const struct made_runtime *m, size_t function);

/* One that is parked in main.main, called by goexit; goid is 100, 101, ... The offset of its g. */
uint64_t made_goroutine(struct made_runtime *m, uint32_t status, uint8_t reason);
/* Where its stack begins, and its sp. */
uint64_t made_stack(uint64_t i);
uint64_t made_sp(uint64_t i);

/*
 * A bucket before all others of its kind (1 heap, 2 block, 3 mutex) whose stack is main.main, from
 * the instruction at `at` on, and goexit. The offset of its record.
 */
uint64_t made_bucket(struct made_runtime *m, uint64_t kind, uint64_t size, uint64_t at);
/* A thread that main.main made. The offset of its m. */
uint64_t made_thread(struct made_runtime *m);
