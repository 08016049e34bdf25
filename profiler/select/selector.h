/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which series: service="etcd",pod=~"a.*",build!="x",unit!~"y": all must hold; in braces or not. ""
 * is all. Expressions are Perl's, match the whole value and can't take long. A series without the
 * label has the value "". A selector doesn't change; any number of threads may use it.
 */
#pragma once

#include <stdbool.h>

#include "err.h"
#include "series.h"

struct prowl_selector;

/* PROWL_USAGE, with the place that is wrong. The caller frees the result. */
enum prowl_code prowl_selector_new(const char *text, struct prowl_selector **ret,
				   struct prowl_err *err);
/* The same for one name, without parsing it: service=NAME. */
enum prowl_code prowl_selector_service(const char *service, struct prowl_selector **ret,
				       struct prowl_err *err);
void prowl_selector_free(struct prowl_selector *s);
/* NULL matches all. */
bool prowl_selector_matches(const struct prowl_selector *s, const struct prowl_series *series);
