/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "pprof.h"

/* Whose code a frame is; judged by the names of the function, its source and its binary. */
enum frame_kind { KIND_GO, KIND_RUNTIME, KIND_KERNEL, KIND_NATIVE, KIND_OTHER };

/* granularity: what the names are of, see pprof_filter. */
enum frame_kind pp_frame_kind(const char *name, const char *file, const char *object,
			      enum pprof_granularity granularity);
