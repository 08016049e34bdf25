/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	enum uw_log bit;
} domains[] = {{"walk", UW_LOG_WALK}, {"globals", UW_LOG_GLOBALS}, {"perf", UW_LOG_PERF}};

enum { NDOMAINS = sizeof domains / sizeof domains[0], MAX_LINE = 512 };

/* Set once at the start of the program; as a parameter it would pass through every function. */
static unsigned int wanted;

static unsigned int domain_of(const char *name, size_t len)
{
	unsigned int all = 0;

	for (size_t i = 0; i < NDOMAINS; i++) {
		if (strlen(domains[i].name) == len && memcmp(domains[i].name, name, len) == 0)
			return domains[i].bit;
		all |= domains[i].bit;
	}
	return len == 3 && memcmp(name, "all", 3) == 0 ? all : 0;
}

bool uw_log_parse(const char *text, unsigned int *ret)
{
	bool known = true;

	*ret = 0;
	while (text && *text) {
		size_t len = strcspn(text, ",");
		unsigned int bits = domain_of(text, len);

		known &= bits != 0;
		*ret |= bits;
		text += len + (text[len] == ',');
	}
	return known;
}

const char *uw_log_domains(void)
{
	return "walk, globals, perf";
}

void uw_log_set(unsigned int bits)
{
	wanted = bits;
}

bool uw_log_on(enum uw_log domain)
{
	return wanted & domain;
}

void uw_log(enum uw_log domain, const char *format, ...)
{
	const char *name = "";
	char line[MAX_LINE];
	va_list args;

	if (!uw_log_on(domain))
		return;
	for (size_t i = 0; i < NDOMAINS; i++)
		name = domains[i].bit == domain ? domains[i].name : name;
	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	fprintf(stderr, "prowl %s: %s\n", name, line);
}
