/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of figures.h share. */
#pragma once

#include "figures.h"

void prowl_figure_set(struct prowl_figures *f, enum prowl_figure which, int64_t v);
/* Those of goroutines; none is known where the list can't be read. */
void prowl_figures_count_goroutines(struct prowl_runtime *rt, struct prowl_figures *f);
