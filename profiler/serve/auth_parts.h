/* SPDX-License-Identifier: Apache-2.0 */
/* The file of the token. */
#pragma once

#include "auth.h"

/* As base64url; false: no random bytes. */
bool auth_random(char *text, size_t nbytes);

/*
 * Reads the token; where there is no file, writes the one that is there, readable by the group.
 */
enum prowl_code auth_token_file(const char *path, gid_t gid, char token[AUTH_TOKEN],
				struct prowl_err *err);
