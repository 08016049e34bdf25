/* SPDX-License-Identifier: Apache-2.0 */
/* Names of frames: their parts, and what they are at each granularity. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pprof.h"

/* Whether it is a function of Go's runtime proper: by its package, which for assembly that has none
 * in its name is the folder of its file. */
bool pp_is_runtime(const char *function, const char *file);
bool pp_is_runtime_package(const char *package, size_t len);

/* The folder of a Go source below GOROOT, GOPATH or the modules' cache; NULL where that isn't
 * known.
 */
const char *pp_source_folder(const char *file, size_t *ret_len);

/* Bytes of the package's name in that of a Go function, "net/http" of "net/http.(*conn).serve"; 0
 * where it has none. */
size_t pp_package_length(const char *function);

/*
 * What the frame is called at that granularity, as a new text. `line` is NULL for code without
 * symbols. NULL: out of memory.
 */
char *pp_frame_name(const struct pprof_profile *p, uint32_t location, const struct pprof_line *line,
		    enum pprof_granularity granularity);
