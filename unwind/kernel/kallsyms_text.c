/* SPDX-License-Identifier: Apache-2.0 */
/* The text of /proc/kallsyms. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kallsyms_parts.h"

enum {
	READ_SIZE = 64 * 1024,
	/* kernel: KSYM_NAME_LEN is 512, MODULE_NAME_LEN 56; a longer line is no symbol. */
	MAX_LINE = 1024,
	/* This many zero addresses in a row at the start mean that all are hidden. */
	HIDDEN_AFTER = 64,
};

static uint8_t rank_of(char type, const char *name, size_t len)
{
	unsigned underscores = 0;
	uint8_t r;

	while (underscores < 3 && underscores < len && name[underscores] == '_')
		underscores++;
	r = (uint8_t)(3 - underscores);
	if (type == 'T' || type == 't')
		r |= 8;
	if (type == 'T' || type == 'W')
		r |= 4;
	return r;
}

/* "ffffffff81000010 T name\t[module]"; false for anything else and for data symbols. */
static bool parse_line(const char *p, const char *end, struct kallsyms_symbol *s)
{
	uint64_t addr = 0;
	const char *tab, *first = p;
	char type;

	for (; p < end; p++) {
		unsigned c = (unsigned char)*p, d = c - '0';

		if (d > 9) {
			d = c - 'a';
			if (d > 5)
				break;
			d += 10;
		}
		addr = addr << 4 | d;
	}
	if (p - first < 8 || p - first > 16 || end - p < 4 || p[0] != ' ' || p[2] != ' ')
		return false;
	type = p[1];
	if (type != 'T' && type != 't' && type != 'W' && type != 'w')
		return false;
	p += 3;
	*s = (struct kallsyms_symbol){.addr = addr, .name = p};
	tab = memchr(p, '\t', (size_t)(end - p));
	s->name_len = (uint32_t)((tab ? tab : end) - p);
	if (tab && end - tab >= 4 && tab[1] == '[' && end[-1] == ']') {
		s->module = tab + 2;
		s->module_len = (uint32_t)(end - 1 - s->module);
	}
	/* Where all else is equal, the kernel's own counts. */
	s->rank = (uint8_t)(rank_of(type, s->name, s->name_len) * 2 + !s->module);
	/* Nothing can be at the last address, which means none elsewhere; names end with a NUL. */
	return s->name_len > 0 && addr != UINT64_MAX && !memchr(first, '\0', (size_t)(end - first));
}

static int parse_lines(const char *p, const char *end, struct kallsyms_sink *sink, size_t *zeros,
		       bool *any)
{
	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		const char *stop = nl ? nl : end;
		struct kallsyms_symbol s;
		int r;

		if (parse_line(p, stop, &s)) {
			if (s.addr == 0) {
				if (++*zeros >= HIDDEN_AFTER && !*any)
					return -EPERM;
			} else {
				*any = true;
				r = sink->symbol(sink, &s);
				if (r < 0)
					return r;
			}
		}
		p = stop + 1;
	}
	return 0;
}

int kallsyms_stream(int fd, struct kallsyms_sink *sink)
{
	char *buf = malloc(READ_SIZE);
	size_t have = 0, zeros = 0;
	bool any = false, eof = false;
	int r = buf ? 0 : -ENOMEM;

	while (r == 0 && !eof) {
		size_t whole;
		char *nl;

		/* The kernel gives at most a page a read. */
		while (have < READ_SIZE) {
			ssize_t n = read(fd, buf + have, READ_SIZE - have);

			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				r = -errno;
			if (n <= 0) {
				eof = true;
				break;
			}
			have += (size_t)n;
		}
		if (r < 0)
			break;
		nl = memrchr(buf, '\n', have);
		whole = eof ? have : nl ? (size_t)(nl + 1 - buf) : 0;
		if (have - whole > MAX_LINE) {
			r = -EBADMSG;
			break;
		}
		r = parse_lines(buf, buf + whole, sink, &zeros, &any);
		if (r == 0 && sink->commit)
			r = sink->commit(sink);
		have -= whole;
		memmove(buf, buf + whole, have);
	}
	free(buf);
	if (r == 0 && !any)
		r = zeros ? -EPERM : -ENODATA;
	return r;
}
