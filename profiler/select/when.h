/* SPDX-License-Identifier: Apache-2.0 */
/* Times as people write them, in Unix nanoseconds. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * RFC 3339 ("2026-11-30T08:05:00Z", "…+02:00", "2026-11-30", "2026-11-30T08:05Z"; without a zone it
 * is UTC), a Unix time in s, ms or ns, "now", "-2h", "now-1d12h". False: it is none of them.
 */
bool prowl_when_parse(const char *text, int64_t now, int64_t *ret);

/* "2026-11-30T08:05:00Z" with as many digits of the second as it needs; returns text. */
enum { PROWL_WHEN = 40 };
const char *prowl_when_text(char text[PROWL_WHEN], int64_t time);
