/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON to a stream, as it comes: the caller opens, names and closes in order, the writer puts the
 * commas. Nothing is kept, so the size of the output doesn't matter. A key NULL stands for an
 * element of an array. Failures are those of the stream: ferror(3).
 *
 * Texts must be UTF-8, as all strings of a profile are. Control characters (C0, DEL, C1) and the
 * line separators that old JavaScript doesn't accept are escaped.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct jsonout {
	FILE *to;
	bool some; /* the open object or array has a member already */
};

void pp_json_open(struct jsonout *j, const char *key, char bracket); /* '{' or '[' */
void pp_json_close(struct jsonout *j, char bracket);                 /* '}' or ']' */
void pp_json_text(struct jsonout *j, const char *key, const char *s);
/* All 64 bits, though many readers keep only 53 of them. */
void pp_json_number(struct jsonout *j, const char *key, int64_t v);
void pp_json_unsigned(struct jsonout *j, const char *key, uint64_t v);
void pp_json_null(struct jsonout *j, const char *key);
void pp_json_bool(struct jsonout *j, const char *key, bool v);
/* "0x401000": readers take numbers for doubles. */
void pp_json_address(struct jsonout *j, const char *key, uint64_t v);
/* The next element begins a line: for people, and for grep. */
void pp_json_line(struct jsonout *j);
