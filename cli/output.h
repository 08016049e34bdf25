/* SPDX-License-Identifier: Apache-2.0 */
/* Where a profile goes and in which form. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

struct pprof_exporter;
struct pprof_profile;
struct pprof_report_options;

/* The name of each format, NULL beyond the last one. */
const char *output_name(size_t index);
/* Whether it is what `go build -pgo` reads. */
bool output_is_pgo(const struct pprof_exporter *f);
/* By the given format, else by the name's end, else pprof. NULL after saying what is wrong. */
const struct pprof_exporter *output_choose(const char *format, const char *path);
/* False after saying why: binary data is not written to a terminal, a folder must exist. */
bool output_may_write(const struct pprof_exporter *f, const char *path);
/* prowl.COMM.PID.KIND.TIME with the format's suffix, into the working folder. Of N processes pid is
 * -N, and "N-processes" stands for it: see target_names(). */
void output_default_name(const char *comm, pid_t pid, const char *kind,
			 const struct pprof_exporter *f, char *buf, size_t len);
/*
 * Writes the profile; "-" is stdout. A regular file appears whole or not at all (temporary name,
 * rename). Returns an exit code, having said what failed; *size is the number of bytes.
 */
enum prowl_code output_write(const struct pprof_profile *p, const struct pprof_exporter *f,
			     const char *path, uint64_t *size);
/* The same with options for reports as text. */
enum prowl_code output_write_report(const struct pprof_profile *p, const struct pprof_exporter *f,
				    const struct pprof_report_options *o, const char *path,
				    uint64_t *size);

/* output_write to path, or, when that is NULL, under the default name. *used is what was written.
 */
struct output_file {
	char path[4096];
	uint64_t size;
};
enum prowl_code output_write_named(const struct pprof_profile *p, const struct pprof_exporter *f,
				   const char *path, const char *comm, pid_t pid, const char *kind,
				   struct output_file *used);
/* The last lines: where it is, and what opens it. Nothing of standard output. */
void output_say_written(const struct pprof_exporter *f, const struct output_file *used);
