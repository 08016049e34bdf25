/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Foreign text inside of markup.
 *
 * Replaces characters that the formats forbid, and those that would make a name look like another
 * one: marks that change the direction of writing. Each becomes U+FFFD.
 */
#pragma once

#include <stddef.h>

#include "pprof.h"

/* Bytes of the character at s that must not be shown, 0 when it may be. The text is UTF-8. */
size_t pp_unshowable(const char *s);

/* Takes bytes; returns 0 or a negative errno, which ends the writing. */
typedef int (*markup_put)(void *ctx, const void *bytes, size_t len);

/* As a string of JSON, with its quotes; '<' is escaped, too. */
int pp_json_string(markup_put put, void *ctx, const char *s);

/* As text or an attribute's value in XML; at most `limit` bytes of s, then "…". 0: no limit. */
void pp_xml_text(FILE *to, const char *s, size_t limit);
