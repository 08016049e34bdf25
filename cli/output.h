/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a profile: format, file, name. */
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
/* Whether it is the format for `go build -pgo`. */
bool output_is_pgo(const struct pprof_exporter *f);
/* By the given format, else by the end of the name, else pprof. NULL after an error message. */
const struct pprof_exporter *output_choose(const char *format, const char *path);
/*
 * Whether it can be written: the folder must exist, a terminal gets no binary data. False after an
 * error message.
 */
bool output_may_write(const struct pprof_exporter *f, const char *path);
/*
 * prowl.COMM.PID.KIND.TIME with the format's suffix, in the working folder. For N processes pid is
 * -N, and written as "N-processes": see target_names().
 */
void output_default_name(const char *comm, pid_t pid, const char *kind,
			 const struct pprof_exporter *f, char *buf, size_t len);
/*
 * Writes the profile; "-" is stdout. A regular file appears whole or not at all (temporary name,
 * rename). Returns an exit code, after an error message; *size is the number of bytes.
 */
enum prowl_code output_write(const struct pprof_profile *p, const struct pprof_exporter *f,
			     const char *path, uint64_t *size);
/* The same with options for reports as text. */
enum prowl_code output_write_report(const struct pprof_profile *p, const struct pprof_exporter *f,
				    const struct pprof_report_options *o, const char *path,
				    uint64_t *size);

/* output_write to path or, when that is NULL, under the default name. *used describes the file. */
struct output_file {
	char path[4096];
	uint64_t size;
};
enum prowl_code output_write_named(const struct pprof_profile *p, const struct pprof_exporter *f,
				   const char *path, const char *comm, pid_t pid, const char *kind,
				   struct output_file *used);
/* Prints the last lines: where the file is, and what opens it. Nothing for standard output. */
void output_say_written(const struct pprof_exporter *f, const struct output_file *used);
