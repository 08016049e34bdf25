/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arch.h"
#include "corefile.h"
#include "gobuild.h"
#include "golayout.h"
#include "procfs.h"
#include "source_perf.h"
#include "space.h"
#include "whatis.h"
#include "who.h"

enum {
	TYPE_DYN = 3,   /* ET_DYN */
	TAG_NEEDED = 1, /* DT_NEEDED */
	RATE = 99,
	MAX_UTF8 = 0x10ffff,
};

/* --- build information -------------------------------------------------------------------------
 */

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

/* One escape of an interpreted string; *in stands behind the backslash. False: not one of Go's. */
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
 * Takes a quoted string that begins at s and leaves its value there, which is never longer. Returns
 * what follows the closing quote, or NULL when it isn't one.
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

/* --- programs ----------------------------------------------------------------------------------
 */

/* Whether a library is asked for: C code, since Go's own linker needs none. */
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

/* --- in full -----------------------------------------------------------------------------------
 */

static enum prowl_code no_memory(struct prowl_err *err)
{
	return prowl_fail(err, PROWL_FAILED, "out of memory");
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

static void take_tables(struct prowl_info *info, const struct uw_go *go, uint64_t bias)
{
	const struct uw_golayout *row = uw_go_layout(go);

	uw_go_text(go, &info->text_lo, &info->text_hi);
	info->bias = bias;
	info->text_lo += bias;
	info->text_hi += bias;
	info->moduledata = uw_go_moduledata(go) + bias;
	info->functions = uw_go_nfuncs(go);
	info->minor = uw_go_minor(go);
	info->layout_guessed = uw_go_guessed(go);
	snprintf(info->layout, sizeof info->layout, "go1.%u.%u", row->minor, row->patch);
}

static enum prowl_code fill_from(struct prowl_info *info, const struct uw_elf *elf,
				 const struct uw_go *go, uint64_t bias, struct prowl_err *err)
{
	if (prowl_program_describe(elf, go, &info->program) < 0)
		return no_memory(err);
	take_tables(info, go, bias);
	read_go_build_id(elf, info->go_build_id, sizeof info->go_build_id);
	return PROWL_OK;
}

static enum prowl_code inspect_elf(struct prowl_info *info, const struct uw_elf *elf,
				   struct prowl_err *err)
{
	struct uw_diag diag = {0};
	struct uw_go *go;
	int r = uw_go_open(elf, NULL, 0, &go, &diag);
	enum prowl_code code;

	if (r < 0)
		return prowl_whatis_refuse(elf, info->path, r, &diag, err);
	code = fill_from(info, elf, go, 0, err);
	uw_go_free(go);
	return code;
}

static enum prowl_code inspect_fd(int fd, struct prowl_info *info, struct prowl_err *err)
{
	struct uw_diag diag = {0};
	struct uw_elf *elf;
	enum prowl_code code;
	int r = uw_elf_open(fd, &elf, &diag);

	if (r == -ENOTSUP)
		return prowl_fail(err, PROWL_UNSUPPORTED,
				  "%s is not a little-endian 64-bit program", info->path);
	if (r == -ENOEXEC)
		return prowl_fail(err, PROWL_UNSUPPORTED, "%s is not a program (no valid ELF file)",
				  info->path);
	if (r < 0)
		return prowl_fail(err, PROWL_FAILED, "%s: %s", info->path, strerror(-r));
	code = inspect_elf(info, elf, err);
	uw_elf_free(elf);
	return code;
}

static struct prowl_info *info_new(const char *path, pid_t pid)
{
	struct prowl_info *info = calloc(1, sizeof *info);

	if (!info)
		return NULL;
	info->pid = pid;
	info->path = strdup(path);
	if (!info->path) {
		free(info);
		return NULL;
	}
	return info;
}

void prowl_info_free(struct prowl_info *info)
{
	if (!info)
		return;
	for (size_t i = 0; i < info->nmappings; i++)
		free(info->mappings[i].path);
	free(info->mappings);
	for (size_t i = 0; i < info->nmodules; i++)
		free(info->modules[i].path);
	free(info->modules);
	free(info->path);
	prowl_program_fini(&info->program);
	free(info);
}

enum prowl_code prowl_inspect_file(const char *path, struct prowl_info **ret, struct prowl_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct prowl_info *info;
	enum prowl_code code;
	struct stat st;

	if (fd < 0)
		return prowl_fail(err, errno == EACCES ? PROWL_PERMISSION : PROWL_FAILED, "%s: %s",
				  path, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return prowl_fail(err, PROWL_UNSUPPORTED, "%s is not a program (no regular file)",
				  path);
	}
	info = info_new(path, 0);
	if (!info) {
		close(fd);
		return no_memory(err);
	}
	code = inspect_fd(fd, info, err);
	if (code != PROWL_OK) {
		prowl_info_free(info);
		return code;
	}
	*ret = info;
	return PROWL_OK;
}

/* --- a process ---------------------------------------------------------------------------------
 */

static enum prowl_code take_mappings(struct prowl_info *info, struct uw_space *space,
				     struct prowl_err *err)
{
	info->mappings = calloc(space->n ? space->n : 1, sizeof *info->mappings);
	if (!info->mappings)
		return no_memory(err);
	for (size_t i = 0; i < space->n; i++) {
		struct prowl_mapping_info *to = &info->mappings[i];
		struct uw_mapping *m = &space->maps[i];
		const struct uw_elf *elf;

		*to = (struct prowl_mapping_info){
			.start = m->start, .end = m->end, .offset = m->offset};
		to->path = strdup(m->bin && m->bin->path ? m->bin->path : "");
		if (!to->path)
			return no_memory(err);
		info->nmappings++;
		to->has_bias = uw_space_elf(space, m, &elf, &to->bias);
		if (to->has_bias) {
			to->has_elf = true;
			memcpy(to->build_id, elf->build_id, sizeof to->build_id);
		}
	}
	return PROWL_OK;
}

static enum prowl_code take_modules(struct prowl_info *info, struct uw_space *space,
				    struct prowl_err *err)
{
	info->modules = calloc(space->nmods ? space->nmods : 1, sizeof *info->modules);
	if (!info->modules)
		return no_memory(err);
	info->main_module = space->chosen;
	info->nruntimes = uw_space_runtimes(space);
	for (size_t i = 0; i < space->nmods; i++) {
		const struct uw_go_module *m = &space->mods[i];
		struct prowl_go_module *to = &info->modules[i];

		*to = (struct prowl_go_module){.path = strdup(m->bin->path),
					       .text_lo = m->lo,
					       .text_hi = m->hi,
					       .functions = uw_go_nfuncs(m->go),
					       .runtime = m->runtime};
		if (!to->path)
			return no_memory(err);
		snprintf(to->go_version, sizeof to->go_version, "%s", uw_go_version(m->go));
		info->nmodules++;
	}
	return PROWL_OK;
}

/* Asks the one who would know: opens what `profile` would open, and closes it again. */
static void take_sampler(struct prowl_info *info)
{
	struct prowl_perf_options o = {
		.pids = &info->pid, .npids = 1, .period_ns = 1000000000u / RATE};
	const struct prowl_perf_facts *f;
	struct prowl_err why = {0};
	struct prowl_perf *perf;

	if (prowl_perf_open(&o, &perf, &why) != PROWL_OK) {
		strcpy(info->sampler, "none");
		snprintf(info->sampler_why, sizeof info->sampler_why, "%s", why.text);
		return;
	}
	f = prowl_perf_facts(perf);
	info->sampler_works = true;
	snprintf(info->sampler, sizeof info->sampler, "perf cpu-clock, %s",
		 f->whole_cpus ? "whole CPUs" : "per thread");
	if (f->whole_cpus)
		snprintf(info->sampler_why, sizeof info->sampler_why,
			 "the kernel allows events on all %u CPUs: user and kernel frames",
			 f->ncpus);
	else
		snprintf(info->sampler_why, sizeof info->sampler_why,
			 "whole CPUs need CAP_PERFMON (kernel.perf_event_paranoid is %d): %s",
			 f->paranoid, f->kernel ? "user and kernel frames" : "user frames only");
	prowl_perf_close(perf);
}

static enum prowl_code set_path(struct prowl_info *info, const char *path, struct prowl_err *err)
{
	char *copy = strdup(path);

	if (!copy)
		return no_memory(err);
	free(info->path);
	info->path = copy;
	return PROWL_OK;
}

/* Of a space that has Go. */
static enum prowl_code describe_space(struct prowl_info *info, struct uw_space *space,
				      struct prowl_err *err)
{
	struct uw_go *go = uw_space_go(space);
	struct uw_binary *bin = space->go_bin;
	enum prowl_code code = set_path(info, bin->path, err);

	if (code == PROWL_OK)
		code = fill_from(info, uw_binary_elf(bin), go, space->go_bias, err);
	if (code == PROWL_OK)
		code = take_modules(info, space, err);
	if (code == PROWL_OK)
		code = take_mappings(info, space, err);
	return code;
}

static enum prowl_code inspect_space(struct prowl_info *info, struct uw_space *space,
				     struct prowl_err *err)
{
	struct prowl_target target = {.pid = info->pid};
	int r = uw_space_load(space);

	if (r < 0) {
		memcpy(target.comm, info->comm, sizeof target.comm);
		return prowl_fail_target(err, &target, "mappings", r);
	}
	if (!uw_space_go(space))
		return prowl_whatis_not_go(space, info->comm, err);
	return describe_space(info, space, err);
}

enum prowl_code prowl_inspect_pid(pid_t pid, struct prowl_info **ret, struct prowl_err *err)
{
	struct uw_binaries files = {0};
	struct prowl_info *info;
	struct uw_space space;
	enum prowl_code code;

	code = prowl_whatis(pid, NULL, err);
	if (code != PROWL_OK)
		return code;
	info = info_new("", pid);
	if (!info)
		return no_memory(err);
	prowl_comm(pid, info->comm, sizeof info->comm);
	uw_space_init(&space, &files, pid);
	code = inspect_space(info, &space, err);
	uw_space_fini(&space);
	uw_binaries_fini(&files);
	if (code != PROWL_OK) {
		prowl_info_free(info);
		return code;
	}
	info->memory_error = prowl_probe_memory(pid);
	take_sampler(info);
	*ret = info;
	return PROWL_OK;
}

/* --- a core file -------------------------------------------------------------------------------
 */

static void take_core(struct prowl_info *info, const struct prowl_corefile *c)
{
	info->is_core = true;
	info->pid = c->core->pid;
	snprintf(info->comm, sizeof info->comm, "%s", c->core->comm);
	info->core = (struct prowl_core_facts){.threads = c->core->nthreads,
					       .signal = c->core->signal,
					       .memory = c->core->memory,
					       .missing = c->core->missing,
					       .libs_missing = c->load.missing,
					       .libs_changed = c->load.changed,
					       .proved = c->load.proved};
}

enum prowl_code prowl_inspect_core(const char *core, const char *exe, struct prowl_info **ret,
				   struct prowl_err *err)
{
	struct prowl_info *info = info_new("", 0);
	struct prowl_corefile file = {0};
	struct uw_binaries files = {0};
	struct uw_space space;
	enum prowl_code code;

	if (!info)
		return no_memory(err);
	uw_space_init(&space, &files, 0);
	code = prowl_corefile_open(core, exe, &space, &file, err);
	if (code == PROWL_OK) {
		take_core(info, &file);
		code = describe_space(info, &space, err);
	}
	uw_space_fini(&space);
	prowl_corefile_close(&file);
	uw_binaries_fini(&files);
	if (code != PROWL_OK) {
		prowl_info_free(info);
		return code;
	}
	*ret = info;
	return PROWL_OK;
}
