/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON to a stream, two blanks a level. The caller opens and closes objects and arrays in order;
 * commas and line breaks are put by the writer. A key NULL stands for an element of an array.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { JSON_SCHEMA_VERSION = 1 };

struct json {
	FILE *f;
	unsigned int depth;
	bool some; /* the open object or array has a member already */
	bool line; /* all on one line: one of many objects of a stream */
};

/* Opens the object that everything is in; its first member is schema_version. */
void json_begin(struct json *j, FILE *f);
/* The same, on one line. */
void json_begin_line(struct json *j, FILE *f);
/* Closes it and ends the line. */
void json_end(struct json *j);

void json_open(struct json *j, const char *key, char bracket); /* '{' or '[' */
void json_close(struct json *j, char bracket);                 /* '}' or ']' */
/* Bytes that are not UTF-8 become U+FFFD; NULL becomes null. */
void json_string(struct json *j, const char *key, const char *s);
void json_number(struct json *j, const char *key, uint64_t v);
void json_signed(struct json *j, const char *key, int64_t v);
void json_real(struct json *j, const char *key, double v); /* finite */
void json_bool(struct json *j, const char *key, bool v);
/* Addresses: strings such as "0x401000", since readers take numbers for doubles. */
void json_address(struct json *j, const char *key, uint64_t v);
