/* SPDX-License-Identifier: Apache-2.0 */
#include "comments.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "elf.h"
#include "program.h"
#include "runtime.h"

enum { MAX_NOTE = 512 };

static bool has(const struct pprof_profile *p, const char *text)
{
	for (size_t i = 0; i < p->ncomments; i++) {
		if (strcmp(p->strings[p->comments[i]], text) == 0)
			return true;
	}
	return false;
}

/* What is the target's is in it: nothing may look like another line, or move a cursor. */
static void one_line(char *text, unsigned char first_bad)
{
	for (char *c = text; *c; c++) {
		unsigned char u = (unsigned char)*c;

		if (u < ' ' || u == 0x7f || u >= first_bad)
			*c = '?';
	}
}

static int add(struct pprof_profile *p, const char *key, const char *value)
{
	char text[MAX_NOTE];

	if (!value || !value[0])
		return 0;
	snprintf(text, sizeof text, "build: %s=%s", key, value);
	one_line(text, 0x7f);
	return has(p, text) ? 0 : pprof_comment(p, text);
}

static int add_modules(struct pprof_profile *p, const struct uw_go *go)
{
	static const char *const told[] = {"vcs", "vcs.revision", "vcs.time", "vcs.modified"};
	struct prowl_buildinfo b = {0};
	const char *text;
	size_t len;
	int r;

	text = uw_go_modinfo(go, &len);
	r = prowl_buildinfo_parse(text, len, &b);
	if (r == 0 && b.store) {
		r = add(p, "package", b.path);
		if (r == 0)
			r = add(p, "module", b.main.path);
		if (r == 0)
			r = add(p, "version", b.main.version);
		for (size_t i = 0; r == 0 && i < sizeof told / sizeof told[0]; i++)
			r = add(p, told[i], prowl_buildinfo_setting(&b, told[i]));
	}
	prowl_buildinfo_fini(&b);
	return r;
}

int prowl_comments_build(struct pprof_profile *p, const struct uw_go *go, const struct uw_elf *elf)
{
	int r = go ? add(p, "go", uw_go_version(go)) : 0;

	if (r == 0 && go)
		r = add_modules(p, go);
	return r == 0 && elf ? add(p, "id", elf->build_id) : r;
}

int prowl_comment(struct pprof_profile *p, const char *fmt, ...)
{
	char text[MAX_NOTE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	one_line(text, 0xff);
	return pprof_comment(p, text);
}

/* The text behind "model name\t: " in /proc/cpuinfo; arm64 has none. */
static void read_model(char *model, size_t len)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256];

	snprintf(model, len, "unknown CPU");
	while (f && fgets(line, sizeof line, f) && line[0] != '\n') {
		const char *colon = strchr(line, ':');

		if (strncmp(line, "model name", 10) != 0 || !colon)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(model, len, "%s", colon + 1 + strspn(colon + 1, " "));
		break;
	}
	if (f)
		fclose(f);
}

int prowl_comments_machine(struct pprof_profile *p)
{
	struct utsname u;
	char model[128];

	if (uname(&u) < 0)
		return 0;
	read_model(model, sizeof model);
	return prowl_comment(p, "machine: %s, %ld CPUs, %s", model, sysconf(_SC_NPROCESSORS_ONLN),
			     u.machine);
}

int prowl_label_runtime(struct pprof_profile *p, const struct prowl_runtime *rt,
			struct pprof_label *ret)
{
	int r;

	if (rt->target.nruntimes < 2)
		return 0;
	*ret = (struct pprof_label){0};
	r = pprof_string(p, "runtime", &ret->key);
	if (r == 0)
		r = pprof_string(p, prowl_runtime_file(rt), &ret->str);
	return r < 0 ? r : 1;
}

int prowl_comments_runtime(struct pprof_profile *p, struct prowl_runtime *rt)
{
	const struct uw_elf *elf = rt->space.exe ? uw_binary_elf(rt->space.exe) : NULL;
	int r = prowl_comment(p, "target: %s, pid %d, %s", rt->target.comm, (int)rt->target.pid,
			      uw_go_version(rt->go));

	if (r == 0 && rt->target.nruntimes > 1)
		r = prowl_comment(p, "runtime: %s, %s, one of %zu in this process",
				  prowl_runtime_file(rt), uw_go_version(rt->go),
				  rt->target.nruntimes);
	if (r == 0)
		r = prowl_comments_build(p, rt->go, elf);
	if (r == 0 && !rt->target.core)
		r = prowl_comments_machine(p);
	if (r == 0 && rt->target.go_guessed)
		r = prowl_comment(p, "warning: " PROWL_GO_GUESSED, rt->target.go_version);
	return r;
}
