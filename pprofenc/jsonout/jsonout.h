/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON to a stream, as it comes: the caller opens, names and closes in order, the writer puts
 * commas, blanks and line breaks. Nothing is kept, so the size of the output doesn't matter. A key
 * NULL is for an element of an array. Failures are those of the stream: ferror(3).
 *
 * Control characters (C0, DEL, C1) and the line separators that old JavaScript doesn't accept are
 * escaped; each byte that is not UTF-8 becomes U+FFFD.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* The schema of everything that prowl writes as JSON. */
enum { JSONOUT_SCHEMA_VERSION = 1 };

enum jsonout_style {
	JSONOUT_COMPACT, /* no blanks; line breaks only by pp_json_line */
	JSONOUT_LINE,    /* a blank behind colons, no line break: one of many objects of a stream */
	JSONOUT_INDENTED, /* a line for each member, two blanks a level */
};

struct jsonout {
	FILE *to;
	enum jsonout_style style;
	unsigned int depth;
	bool some; /* the open object or array has a member already */
};

/* Opens the object that holds everything; its first member is schema_version. */
void pp_json_begin(struct jsonout *j, FILE *to, enum jsonout_style style);
/* Closes it and ends the line. */
void pp_json_end(struct jsonout *j);

void pp_json_open(struct jsonout *j, const char *key, char bracket);  /* '{' or '[' */
void pp_json_close(struct jsonout *j, char bracket);                  /* '}' or ']' */
void pp_json_text(struct jsonout *j, const char *key, const char *s); /* NULL: null */
/* All 64 bits, though many readers keep only 53 of them. */
void pp_json_number(struct jsonout *j, const char *key, int64_t v);
void pp_json_unsigned(struct jsonout *j, const char *key, uint64_t v);
void pp_json_real(struct jsonout *j, const char *key, double v); /* finite */
void pp_json_null(struct jsonout *j, const char *key);
void pp_json_bool(struct jsonout *j, const char *key, bool v);
/* "0x401000": readers take numbers for doubles. */
void pp_json_address(struct jsonout *j, const char *key, uint64_t v);
/* The next element begins a line: for people, and for grep. */
void pp_json_line(struct jsonout *j);
