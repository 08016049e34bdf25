/* SPDX-License-Identifier: Apache-2.0 */
/* Identifies files that are not profiles, for people who pass the wrong one. */
#pragma once

#include <stddef.h>

/* "it is ..., ...: how to convert it", a static text; NULL where the kind is unknown. */
const char *pp_sniff(const void *bytes, size_t len);
