/* SPDX-License-Identifier: Apache-2.0 */
/* Strict UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The length of the character at s (a string), and its code point; 0: not UTF-8. */
size_t utf8_decode(const char *s, uint32_t *ret);
