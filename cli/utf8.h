/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 as it must be: no overlong forms, no surrogates, nothing above U+10FFFF. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Bytes of the character at s, which ends with 0, and the character; 0: it is none. */
size_t utf8_decode(const char *s, uint32_t *ret);
