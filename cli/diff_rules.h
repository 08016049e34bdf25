/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of a build gate, from a YAML file:
 *
 *	tolerance: 5%             # an increase that is none, of every function
 *	functions:
 *	  - name: example.org/app/parse.*    # * is any text, ? any character
 *	    tolerance: 20%
 *	accept:
 *	  - name: example.org/app/render.Table
 *	    reason: draws borders since 1.4
 *
 * All of it may be left out; the first name that fits counts, accept before functions.
 */
#pragma once

#include <stddef.h>

struct diff_rules;

/* NULL after an error message with the line. */
struct diff_rules *diff_rules_load(const char *path);
void diff_rules_free(struct diff_rules *r);

/* Negative: not in the file. */
double diff_rules_tolerance(const struct diff_rules *r);
/*
 * Of one function: infinite when it is accepted, negative when no rule matches. ctx is the rules;
 * may be NULL.
 */
double diff_rules_tolerance_of(void *ctx, const char *name);

/* "5%", "0.05", "5" (per cent) → 0.05; negative: not a share. */
double diff_parse_percent(const char *s);
