/* SPDX-License-Identifier: Apache-2.0 */
/* Values as people read them: scaled to a unit, with two decimals, as pprof does. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct unit { /* of a family: all time units, all sizes */
	const char *name;
	double factor; /* in the family's smallest */
};

/* How values of a profile's unit are printed. */
struct scale {
	const char *suffix; /* "" for bare numbers */
	double from, to;    /* a value times `from`, by `to`; two roundings, as in pprof */
};

/* The longest number, of petabytes as bytes, takes 39; a unit that no longer fits is cut. */
enum { UNITS_TEXT = 64 };

/* The scale in which `value` of `unit` ("nanoseconds", "bytes", "count", ...) is at least 1. */
struct scale pp_units_fit(int64_t value, const char *unit);

/* One scale for values from `least` (not 0) to `most`. */
struct scale pp_units_common(int64_t least, int64_t most, const char *unit);

/*
 * The scale of `wanted`, which may be "auto": then as pp_units_fit. If `wanted` is of another kind
 * than `unit`, it becomes seconds or bytes; an unknown unit takes the wanted name.
 */
struct scale pp_units_in(int64_t value, const char *unit, const char *wanted);

double pp_units_scaled(int64_t value, struct scale scale);

/* The factor from `from` to `to`; 0 where they are not units of one kind. */
double pp_units_ratio(const char *from, const char *to);

/* Nanoseconds in one `unit`, 0 when it isn't one of time. */
double pp_units_nanoseconds(const char *unit);
/* Bytes in one `unit`, 0 when it isn't one of sizes. */
double pp_units_bytes(const char *unit);

const char *pp_units_format(char text[UNITS_TEXT], int64_t value, struct scale scale);
/* value of total in per cent, in 6 characters. */
const char *pp_units_percent(char text[UNITS_TEXT], int64_t value, int64_t total);

/* |a|, also of INT64_MIN. */
static inline uint64_t magnitude(int64_t a)
{
	return a < 0 ? -(uint64_t)a : (uint64_t)a;
}
