/* SPDX-License-Identifier: Apache-2.0 */
/* Words that people write: patterns, and names that are nearly right. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * Whether the whole name fits: '*' is any text, '?' a character, all else itself: brackets are part
 * of names, as in "Map[...]". Time is at most the product of both lengths.
 */
bool prowl_glob(const char *pattern, const char *name);

/* How much two words differ (Levenshtein), for "did you mean"; 99: not comparable. */
size_t prowl_word_distance(const char *a, const char *b);
