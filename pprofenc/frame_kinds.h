/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "pprof.h"

/* Whose code a frame is, by the names of its function, source and binary. */
enum frame_kind { KIND_GO, KIND_RUNTIME, KIND_KERNEL, KIND_NATIVE, KIND_OTHER };

/* granularity: the kind of names, see pprof_filter. */
enum frame_kind pp_frame_kind(const char *name, const char *file, const char *object,
			      enum pprof_granularity granularity);
