/* SPDX-License-Identifier: Apache-2.0 */
#include "printable.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void pp_make_printable(char *s)
{
	char *w = s;

	while (*s) {
		size_t n = control_length(s);

		*w++ = n ? '?' : *s;
		s += n ? n : 1;
	}
	*w = '\0';
}

char *pp_object_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *name;

	if (!*path)
		return strdup("<unknown>");
	return asprintf(&name, "[%s]", slash ? slash + 1 : path) < 0 ? NULL : name;
}
