/* SPDX-License-Identifier: Apache-2.0 */
#include "err.h"

#include <stdio.h>

enum prowl_code prowl_fail(struct prowl_err *e, enum prowl_code code, const char *fmt, ...)
{
	va_list ap;

	if (e) {
		e->code = code;
		e->hint[0] = '\0';
		va_start(ap, fmt);
		vsnprintf(e->text, sizeof e->text, fmt, ap);
		va_end(ap);
	}
	return code;
}

void prowl_hint(struct prowl_err *e, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return;
	va_start(ap, fmt);
	vsnprintf(e->hint, sizeof e->hint, fmt, ap);
	va_end(ap);
}
