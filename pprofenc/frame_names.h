/* SPDX-License-Identifier: Apache-2.0 */
/* Names of frames: their parts, and the names of each granularity. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pprof.h"

/*
 * Whether it is a function of Go's runtime itself: by its package, or, for assembly without one in
 * its name, by the folder of its file.
 */
bool pp_is_runtime(const char *function, const char *file);
bool pp_is_runtime_package(const char *package, size_t len);

/* The folder of a Go source below GOROOT, GOPATH or the module cache; NULL where it is unknown. */
const char *pp_source_folder(const char *file, size_t *ret_len);

/*
 * Length of the package in the name of a Go function, "net/http" of "net/http.(*conn).serve"; 0
 * where there is none.
 */
size_t pp_package_length(const char *function);

/*
 * The frame's name at that granularity, to be freed. `line` is NULL for code without symbols. NULL:
 * out of memory.
 */
char *pp_frame_name(const struct pprof_profile *p, uint32_t location, const struct pprof_line *line,
		    enum pprof_granularity granularity);
