/* SPDX-License-Identifier: Apache-2.0 */
/* The figures of a Go runtime, for prowl info. */
#pragma once

#include <stdbool.h>

#include "figures.h"
#include "jsonout.h"

/* In lines; all: each variable of the runtime too, with its address. */
void show_figures(const struct prowl_figures *f, bool all);
/* As the member "runtime" of the open object: every known figure under its name. */
void json_figures(struct jsonout *j, const struct prowl_figures *f);
