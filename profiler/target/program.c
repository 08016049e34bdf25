/* SPDX-License-Identifier: Apache-2.0 */
#include "program.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch.h"
#include "elf.h"
#include "gobuild.h"
#include "gosym.h"

enum {
	TYPE_DYN = 3,   /* ET_DYN */
	TAG_NEEDED = 1, /* DT_NEEDED */
	MAX_UTF8 = 0x10ffff,
};

/* --- build information --- */

static char nothing[] = "";

static bool hex(const char *s, size_t n, uint32_t *ret)
{
	uint32_t v = 0;

	for (size_t i = 0; i < n; i++) {
		char c = s[i];

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint32_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint32_t)(c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			v = v << 4 | (uint32_t)(c - 'A' + 10);
		else
			return false; /* also at the end of the string */
	}
	*ret = v;
	return true;
}

static char *put_utf8(char *out, uint32_t v)
{
	if (v < 0x80) {
		*out++ = (char)v;
	} else if (v < 0x800) {
		*out++ = (char)(0xc0 | v >> 6);
		*out++ = (char)(0x80 | (v & 0x3f));
	} else if (v < 0x10000) {
		*out++ = (char)(0xe0 | v >> 12);
		*out++ = (char)(0x80 | (v >> 6 & 0x3f));
		*out++ = (char)(0x80 | (v & 0x3f));
	} else {
		*out++ = (char)(0xf0 | v >> 18);
		*out++ = (char)(0x80 | (v >> 12 & 0x3f));
		*out++ = (char)(0x80 | (v >> 6 & 0x3f));
		*out++ = (char)(0x80 | (v & 0x3f));
	}
	return out;
}

/* One escape of an interpreted string; *in is behind the backslash. False: not one of Go's. */
static bool unescape(char **in, char **out)
{
	static const char letters[] = "abfnrtv\\\"'", bytes[] = "\a\b\f\n\r\t\v\\\"'";
	char c = *(*in)++;
	const char *known = c ? strchr(letters, c) : NULL;
	size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
	uint32_t v;

	if (known) {
		*(*out)++ = bytes[known - letters];
		return true;
	}
	if (!digits || !hex(*in, digits, &v) || v > MAX_UTF8 || v == 0)
		return false;
	*in += digits;
	if (digits == 2)
		*(*out)++ = (char)v;
	else
		*out = put_utf8(*out, v);
	return true;
}

/*
 * Unquotes the string that begins at s in place (its value is never longer). Returns the position
 * after the closing quote, or NULL if it is no quoted string.
 */
static char *unquote(char *s)
{
	char quote = *s, *out = s, *in = s + 1;

	while (*in && *in != quote) {
		if (quote == '"' && *in == '\\') {
			in++;
			if (!unescape(&in, &out))
				return NULL;
		} else {
			*out++ = *in++;
		}
	}
	if (!*in)
		return NULL;
	*out = '\0'; /* at the closing quote or before it */
	return in + 1;
}

static bool is_quoted(const char *s)
{
	return *s == '"' || *s == '`';
}

static int add_setting(struct prowl_buildinfo *b, char *text)
{
	struct prowl_setting *settings;
	char *value = is_quoted(text) ? unquote(text) : strchr(text, '=');

	if (!value || *value != '=')
		return 0;
	*value++ = '\0';
	if (is_quoted(value) && !unquote(value))
		return 0;
	settings = realloc(b->settings, (b->nsettings + 1) * sizeof *settings);
	if (!settings)
		return -ENOMEM;
	b->settings = settings;
	settings[b->nsettings++] = (struct prowl_setting){text, value};
	return 0;
}

/* PATH \t VERSION \t SUM */
static void take_module(char *text, char **path, char **version, char **sum)
{
	char **fields[] = {path, version, sum};

	for (size_t i = 0; i < 3 && text; i++) {
		char *tab = strchr(text, '\t');

		if (tab)
			*tab++ = '\0';
		*fields[i] = text;
		text = tab;
	}
}

static struct prowl_module no_module(void)
{
	return (struct prowl_module){nothing, nothing, nothing, nothing, nothing};
}

static int add_line(struct prowl_buildinfo *b, char *kind, struct prowl_module **last)
{
	char *rest = strchr(kind, '\t'), *unused = NULL;

	if (!rest)
		return 0;
	*rest++ = '\0';
	if (!strcmp(kind, "path")) {
		b->path = rest;
	} else if (!strcmp(kind, "mod")) {
		*last = &b->main;
		take_module(rest, &b->main.path, &b->main.version, &b->main.sum);
	} else if (!strcmp(kind, "dep")) {
		struct prowl_module *deps = b->deps, *m;

		if ((b->ndeps & (b->ndeps - 1)) == 0)
			deps = realloc(deps, (b->ndeps ? 2 * b->ndeps : 1) * sizeof *deps);
		if (!deps)
			return -ENOMEM;
		b->deps = deps;
		m = &deps[b->ndeps++];
		*m = no_module();
		take_module(rest, &m->path, &m->version, &m->sum);
		*last = m;
	} else if (!strcmp(kind, "=>") && *last) {
		take_module(rest, &(*last)->new_path, &(*last)->new_version, &unused);
	} else if (!strcmp(kind, "build")) {
		return add_setting(b, rest);
	}
	return 0;
}

int prowl_buildinfo_parse(const char *text, size_t len, struct prowl_buildinfo *ret)
{
	struct prowl_buildinfo b = {.path = nothing, .main = no_module()};
	struct prowl_module *last = NULL;
	char *line;
	int r = 0;

	b.store = malloc(len + 1);
	if (!b.store)
		return -ENOMEM;
	if (len)
		memcpy(b.store, text, len);
	b.store[len] = '\0';
	line = b.store;
	while (line && r == 0) {
		char *next = strchr(line, '\n');

		if (next)
			*next++ = '\0';
		r = add_line(&b, line, &last);
		line = next;
	}
	if (r < 0) {
		prowl_buildinfo_fini(&b);
		return r;
	}
	*ret = b;
	return 0;
}

void prowl_buildinfo_fini(struct prowl_buildinfo *b)
{
	free(b->deps);
	free(b->settings);
	free(b->store);
	*b = (struct prowl_buildinfo){0};
}

const char *prowl_buildinfo_setting(const struct prowl_buildinfo *b, const char *key)
{
	for (size_t i = 0; i < b->nsettings; i++) {
		if (!strcmp(b->settings[i].key, key))
			return b->settings[i].value;
	}
	return NULL;
}

/* --- programs --- */

/* Whether it needs a library: then it has C code, since Go's own linker needs none. */
static bool needs_libraries(const struct uw_elf *elf)
{
	struct uw_section s;
	const uint8_t *p;

	if (!uw_elf_section(elf, ".dynamic", &s))
		return false;
	p = uw_elf_at(elf, s.vaddr, s.size);
	for (uint64_t at = 0; p && at + 16 <= s.size; at += 16) {
		uint64_t tag;

		memcpy(&tag, p + at, sizeof tag);
		if (tag == TAG_NEEDED)
			return true;
		if (tag == 0)
			break;
	}
	return false;
}

bool prowl_elf_has_c(const struct uw_elf *elf)
{
	struct uw_section s;

	/* C objects bring call frame information, Go's own linker writes none. */
	return needs_libraries(elf) ||
	       (uw_elf_section(elf, ".eh_frame", &s) && s.size > sizeof(uint32_t));
}

/* Go's own build id: a note with owner "Go" and type 4. */
static void read_go_build_id(const struct uw_elf *elf, char *buf, size_t len)
{
	struct uw_section s;
	const uint8_t *p;
	uint32_t head[3];
	size_t n;

	if (!uw_elf_section(elf, ".note.go.buildid", &s) || s.size < 16)
		return;
	p = uw_elf_at(elf, s.vaddr, s.size);
	if (!p)
		return;
	memcpy(head, p, sizeof head);
	if (head[0] != 4 || memcmp(p + 12, "Go\0", 4) != 0 || head[2] != 4)
		return;
	n = head[1] < s.size - 16 ? head[1] : s.size - 16;
	snprintf(buf, len, "%.*s", (int)(n < len ? n : len - 1), (const char *)p + 16);
}

static int describe(const struct uw_elf *elf, struct prowl_program *p)
{
	const struct uw_arch *arch = uw_arch_of(elf->machine);
	struct uw_gobuild b;
	struct uw_section s;

	p->elf = true;
	p->stripped = !uw_elf_section(elf, ".symtab", &s);
	p->pie = elf->type == TYPE_DYN && elf->entry != 0;
	p->dynamic = uw_elf_section(elf, ".interp", &s);
	memcpy(p->build_id, elf->build_id, sizeof p->build_id);
	read_go_build_id(elf, p->go_build_id, sizeof p->go_build_id);
	if (arch)
		snprintf(p->machine, sizeof p->machine, "%s", arch->name);
	else
		snprintf(p->machine, sizeof p->machine, "%u", elf->machine);
	if (!uw_gobuild_read(elf, NULL, 0, &b))
		return 0;
	p->go = true;
	p->cgo = prowl_elf_has_c(elf);
	memcpy(p->go_version, b.version, sizeof p->go_version);
	return prowl_buildinfo_parse(b.mod, b.mod_len, &p->build);
}

int prowl_program_describe(const struct uw_elf *elf, const struct uw_go *go,
			   struct prowl_program *ret)
{
	const char *text;
	size_t len;
	int r;

	*ret = (struct prowl_program){0};
	r = describe(elf, ret);
	ret->go = true;
	if (!ret->go_version[0])
		snprintf(ret->go_version, sizeof ret->go_version, "%s", uw_go_version(go));
	if (r < 0 || (ret->build.path && ret->build.path[0]))
		return r;
	text = uw_go_modinfo(go, &len); /* may be of the live process */
	prowl_buildinfo_fini(&ret->build);
	return prowl_buildinfo_parse(text, len, &ret->build);
}

int prowl_program_read(int fd, struct prowl_program *ret)
{
	struct uw_diag diag;
	struct uw_elf *elf;
	int r = uw_elf_open(fd, &elf, &diag);

	*ret = (struct prowl_program){0};
	if (r == -ENOEXEC || r == -ENOTSUP)
		return 0;
	if (r < 0)
		return r;
	r = describe(elf, ret);
	uw_elf_free(elf);
	return r;
}

void prowl_program_fini(struct prowl_program *p)
{
	prowl_buildinfo_fini(&p->build);
}
