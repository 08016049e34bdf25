/* SPDX-License-Identifier: Apache-2.0 */
/* What bytes that are no profile are instead: people hand over what they have. */
#pragma once

#include <stddef.h>

/* "it is ..., ...: what to do", a static text; NULL where nothing is known. */
const char *pp_sniff(const void *bytes, size_t len);
