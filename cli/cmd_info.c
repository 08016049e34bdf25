/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that prowl knows about one process, core file or binary. */
#include <string.h>

#include "cmd.h"
#include "common_opts.h"
#include "inspect.h"
#include "jsonout.h"
#include "privilege.h"
#include "show_figures.h"
#include "term.h"

/* Settings that are shown without -v: those that distinguish builds. */
static const char *const shown[] = {
	"vcs",     "vcs.revision", "vcs.time",       "vcs.modified", "-ldflags", "-tags",
	"-race",   "-buildmode",   "-pgo",           "CGO_ENABLED",  "GOARCH",   "GOAMD64",
	"GOARM64", "GOEXPERIMENT", "DefaultGODEBUG", NULL,
};

/* --- text ---------------------------------------------------------------------------- */

static void line(const char *what, const char *value)
{
	printf("%-14s ", what);
	text_put(stdout, value);
	putchar('\n');
}

static void put_module(const char *what, const struct prowl_module *m)
{
	printf("%-14s ", what);
	text_put(stdout, m->path);
	if (m->version[0]) {
		putchar(' ');
		text_put(stdout, m->version);
	}
	if (m->new_path[0]) {
		fputs(" => ", stdout);
		text_put(stdout, m->new_path);
		putchar(' ');
		text_put(stdout, m->new_version);
	}
	putchar('\n');
}

static bool is_shown(const char *key)
{
	for (const char *const *t = shown; *t; t++) {
		if (!strcmp(*t, key))
			return true;
	}
	return false;
}

static void put_build(const struct prowl_buildinfo *b, bool all)
{
	if (!b->store)
		return;
	if (b->path[0])
		line("package", b->path);
	if (b->main.path[0])
		put_module("module", &b->main);
	printf("%-14s %zu%s\n", "dependencies", b->ndeps,
	       b->ndeps && !all ? " (-v lists them)" : "");
	for (size_t i = 0; all && i < b->ndeps; i++)
		put_module("", &b->deps[i]);
	for (size_t i = 0; i < b->nsettings; i++) {
		if (!all && !is_shown(b->settings[i].key))
			continue;
		printf("%-14s ", "build");
		text_put(stdout, b->settings[i].key);
		putchar('=');
		text_put(stdout, b->settings[i].value);
		putchar('\n');
	}
}

static void put_program(const struct prowl_info *info)
{
	const struct prowl_program *p = &info->program;

	line("go", p->go_version[0] ? p->go_version : "unknown version");
	printf("%-14s %s%s\n", "layout", info->layout,
	       info->layout_guessed ? " (guessed: the program is newer than every known version; "
				      "its checks passed)"
				    : "");
	line("architecture", p->machine);
	printf("%-14s %s, %s, %s, %s\n", "linking", p->dynamic ? "dynamic" : "static",
	       p->pie ? "position independent" : "fixed addresses",
	       p->cgo ? "with C code (cgo)" : "no C code",
	       p->stripped ? "stripped" : "not stripped");
	if (p->build_id[0])
		line("build id", p->build_id);
	if (info->go_build_id[0])
		line("go build id", info->go_build_id);
}

static void put_tables(const struct prowl_info *info)
{
	printf("%-14s %zu\n", "functions", info->functions);
	printf("%-14s 0x%llx-0x%llx (%.1f MB)\n", "go text", (unsigned long long)info->text_lo,
	       (unsigned long long)info->text_hi, (double)(info->text_hi - info->text_lo) / 1e6);
	printf("%-14s 0x%llx\n", "moduledata", (unsigned long long)info->moduledata);
	if (info->bias)
		printf("%-14s 0x%llx\n", "load bias", (unsigned long long)info->bias);
}

static const char *role(const struct prowl_info *info, size_t i)
{
	const struct prowl_go_module *m = &info->modules[i];

	if (m->runtime != i)
		return "plugin of";
	return i == info->main_module ? "described above" : "another runtime";
}

/* Only where there is more than one. */
static void put_modules(const struct prowl_info *info)
{
	for (size_t i = 0; info->nmodules > 1 && i < info->nmodules; i++) {
		const struct prowl_go_module *m = &info->modules[i];

		printf("%-14s ", "go module");
		text_put(stdout, m->path);
		printf(", %s, text 0x%llx-0x%llx, %zu functions: %s", m->go_version,
		       (unsigned long long)m->text_lo, (unsigned long long)m->text_hi, m->functions,
		       role(info, i));
		if (m->runtime != i) {
			putchar(' ');
			text_put(stdout, info->modules[m->runtime].path);
		}
		putchar('\n');
	}
	if (info->nruntimes > 1)
		printf("%-14s %zu; the figures are those of the one described above\n", "runtimes",
		       info->nruntimes);
}

static void put_mappings(const struct prowl_info *info)
{
	for (size_t i = 0; i < info->nmappings; i++) {
		const struct prowl_mapping_info *m = &info->mappings[i];

		printf("%-14s %llx-%llx %8llx ", "mapping", (unsigned long long)m->start,
		       (unsigned long long)m->end, (unsigned long long)m->offset);
		text_put(stdout, m->path[0] ? m->path : "[anonymous]");
		if (m->build_id[0])
			printf(" build id %s", m->build_id);
		putchar('\n');
	}
}

static void put_core(const struct prowl_core_facts *c)
{
	printf("%-14s %zu threads, %.1f MB of memory", "core", c->threads, (double)c->memory / 1e6);
	if (c->signal)
		printf(", ended by signal %d (%s)", c->signal, strsignal(c->signal));
	putchar('\n');
	if (c->missing)
		printf("%-14s cut short: %.1f MB of its memory are missing\n", "",
		       (double)c->missing / 1e6);
	if (!c->proved)
		printf("%-14s has no page of the program to compare its file with\n", "");
	if (c->libs_missing)
		printf("%-14s %zu mapped files can't be opened here\n", "", c->libs_missing);
	if (c->libs_changed)
		printf("%-14s %zu mapped files have changed since they were mapped\n", "",
		       c->libs_changed);
}

/* The inspected target, and the figures of its runtime, or why there are none. */
struct findings {
	struct prowl_info *info;
	bool has_figures;
	struct prowl_figures figures;
	struct prowl_err why;
};

static void put_figures(const struct findings *fs, bool all)
{
	if (fs->has_figures)
		show_figures(&fs->figures, all);
	else if (fs->info->pid)
		line("runtime", fs->why.text);
}

static void put_text(const struct findings *fs, bool all)
{
	const struct prowl_info *info = fs->info;

	line(info->pid ? "program" : "file", info->path);
	if (info->pid)
		printf("%-14s %d (", info->is_core ? "was process" : "process", (int)info->pid);
	if (info->pid) {
		text_put(stdout, info->comm);
		puts(")");
	}
	put_program(info);
	put_build(&info->program.build, all);
	put_tables(info);
	put_modules(info);
	if (info->is_core)
		put_core(&info->core);
	put_figures(fs, all);
	if (!info->nmappings)
		return;
	if (all)
		put_mappings(info);
	else
		printf("%-14s %zu executable (-v lists them)\n", "mappings", info->nmappings);
	if (info->is_core)
		return;
	printf("%-14s %s (", "sampler", info->sampler);
	text_put(stdout, info->sampler_why);
	puts(")");
	printf("%-14s %s\n", "memory",
	       info->memory_error ? strerror(-info->memory_error) : "readable");
}

/* --- JSON ---------------------------------------------------------------------------- */

static void json_module(struct jsonout *j, const char *key, const struct prowl_module *m)
{
	pp_json_open(j, key, '{');
	pp_json_text(j, "path", m->path);
	pp_json_text(j, "version", m->version);
	pp_json_text(j, "sum", m->sum);
	if (m->new_path[0]) {
		pp_json_open(j, "replaced_by", '{');
		pp_json_text(j, "path", m->new_path);
		pp_json_text(j, "version", m->new_version);
		pp_json_close(j, '}');
	}
	pp_json_close(j, '}');
}

static void json_build(struct jsonout *j, const struct prowl_buildinfo *b)
{
	pp_json_open(j, "build", '{');
	if (b->store) {
		pp_json_text(j, "package", b->path);
		if (b->main.path[0])
			json_module(j, "module", &b->main);
		pp_json_open(j, "settings", '{');
		for (size_t i = 0; i < b->nsettings; i++)
			pp_json_text(j, b->settings[i].key, b->settings[i].value);
		pp_json_close(j, '}');
		pp_json_open(j, "dependencies", '[');
		for (size_t i = 0; i < b->ndeps; i++)
			json_module(j, NULL, &b->deps[i]);
		pp_json_close(j, ']');
	}
	pp_json_close(j, '}');
}

static void json_core(struct jsonout *j, const struct prowl_core_facts *c)
{
	pp_json_open(j, "core", '{');
	pp_json_unsigned(j, "threads", c->threads);
	pp_json_unsigned(j, "signal", (uint64_t)c->signal);
	pp_json_unsigned(j, "memory_bytes", c->memory);
	pp_json_unsigned(j, "missing_bytes", c->missing);
	pp_json_bool(j, "program_compared", c->proved);
	pp_json_unsigned(j, "files_missing", c->libs_missing);
	pp_json_unsigned(j, "files_changed", c->libs_changed);
	pp_json_close(j, '}');
}

static void json_mappings(struct jsonout *j, const struct prowl_info *info)
{
	pp_json_open(j, "mappings", '[');
	for (size_t i = 0; i < info->nmappings; i++) {
		const struct prowl_mapping_info *m = &info->mappings[i];

		pp_json_open(j, NULL, '{');
		pp_json_address(j, "start", m->start);
		pp_json_address(j, "end", m->end);
		pp_json_address(j, "offset", m->offset);
		pp_json_text(j, "path", m->path);
		pp_json_text(j, "build_id", m->build_id);
		if (m->has_bias)
			pp_json_address(j, "bias", m->bias);
		pp_json_close(j, '}');
	}
	pp_json_close(j, ']');
}

static void json_modules(struct jsonout *j, const struct prowl_info *info)
{
	pp_json_open(j, "go_modules", '[');
	for (size_t i = 0; i < info->nmodules; i++) {
		const struct prowl_go_module *m = &info->modules[i];

		pp_json_open(j, NULL, '{');
		pp_json_text(j, "path", m->path);
		pp_json_text(j, "go_version", m->go_version);
		pp_json_address(j, "text_start", m->text_lo);
		pp_json_address(j, "text_end", m->text_hi);
		pp_json_unsigned(j, "functions", m->functions);
		pp_json_text(j, "runtime", info->modules[m->runtime].path);
		pp_json_close(j, '}');
	}
	pp_json_close(j, ']');
}

static void json_sampler(struct jsonout *j, const struct prowl_info *info)
{
	pp_json_open(j, "sampler", '{');
	pp_json_bool(j, "works", info->sampler_works);
	pp_json_text(j, "name", info->sampler);
	pp_json_text(j, "why", info->sampler_why);
	pp_json_close(j, '}');
	pp_json_bool(j, "can_read_memory", !info->memory_error);
}

static void json_runtime(struct jsonout *j, const struct findings *fs)
{
	if (fs->has_figures) {
		json_figures(j, &fs->figures);
		return;
	}
	pp_json_text(j, "runtime", NULL);
	pp_json_text(j, "runtime_unknown_because", fs->why.text);
}

static void put_json(const struct findings *fs)
{
	const struct prowl_info *info = fs->info;
	const struct prowl_program *p = &info->program;
	struct jsonout j;

	pp_json_begin(&j, stdout, JSONOUT_INDENTED);
	pp_json_text(&j, "path", info->path);
	if (info->pid) {
		pp_json_unsigned(&j, "pid", (uint64_t)info->pid);
		pp_json_text(&j, "name", info->comm);
	}
	pp_json_text(&j, "go_version", p->go_version);
	pp_json_text(&j, "layout", info->layout);
	pp_json_bool(&j, "layout_guessed", info->layout_guessed);
	pp_json_text(&j, "architecture", p->machine);
	pp_json_bool(&j, "stripped", p->stripped);
	pp_json_bool(&j, "pie", p->pie);
	pp_json_bool(&j, "cgo", p->cgo);
	pp_json_bool(&j, "dynamic", p->dynamic);
	pp_json_text(&j, "build_id", p->build_id);
	pp_json_text(&j, "go_build_id", info->go_build_id);
	json_build(&j, &p->build);
	pp_json_unsigned(&j, "functions", info->functions);
	pp_json_address(&j, "text_start", info->text_lo);
	pp_json_address(&j, "text_end", info->text_hi);
	pp_json_address(&j, "moduledata", info->moduledata);
	pp_json_address(&j, "bias", info->bias);
	if (info->nmodules)
		json_modules(&j, info);
	if (info->nmappings)
		json_mappings(&j, info);
	if (info->is_core)
		json_core(&j, &info->core);
	else if (info->pid)
		json_sampler(&j, info);
	if (info->pid)
		json_runtime(&j, fs);
	pp_json_end(&j);
}

/* --- the command --------------------------------------------------------------------- */

struct info_opts { /* one of pid, core and the file that is an operand */
	pid_t pid;
	const char *core, *exe, *file;
	bool json, all;
};

static const struct opt info_opts[] = {
	OPT_PID("process to look at", struct info_opts, pid),
	OPT_TEXT(0, "core", "FILE", "core file to look at", struct info_opts, core),
	OPT_TEXT(0, "exe", "FILE",
		 "program that wrote the core file, where the core names another place",
		 struct info_opts, exe),
	OPT_JSON("print JSON (everything, also without -v)", struct info_opts, json),
	OPT_FLAG('v', "verbose", "all dependencies, settings and mappings", struct info_opts, all),
	OPT_END,
};

static enum prowl_code find(const struct info_opts *s, struct findings *fs, struct prowl_err *err)
{
	enum prowl_code code;

	if (s->pid)
		prowl_privilege_raise();
	if (s->pid)
		code = prowl_inspect_pid(s->pid, &fs->info, err);
	else if (s->core)
		code = prowl_inspect_core(s->core, s->exe, &fs->info, err);
	else
		code = prowl_inspect_file(s->file, &fs->info, err);
	if (code != PROWL_OK || s->file)
		return code;
	/* An unreadable runtime is no failure: the rest is known. */
	code = prowl_figures_of(&(struct prowl_who){s->pid, s->core, s->exe}, &fs->figures,
				&fs->why);
	fs->has_figures = code == PROWL_OK;
	return PROWL_OK;
}

static enum prowl_code check(void *options, char **words, size_t n)
{
	struct info_opts *s = options;

	if (!!s->pid + !!s->core + n != 1) {
		say_error("give one: prowl info --pid PID, --core FILE, or FILE");
		return PROWL_USAGE;
	}
	s->file = n ? words[0] : NULL;
	return common_check_exe(s->core, s->exe);
}

static enum prowl_code run(void *options, char **words, size_t n)
{
	const struct info_opts *s = options;
	struct findings fs = {0};
	struct prowl_err err = {0};

	if (find(s, &fs, &err) != PROWL_OK)
		return say_failure(&err);
	if (s->json)
		put_json(&fs);
	else
		put_text(&fs, s->all);
	prowl_info_free(fs.info);
	return PROWL_OK;
}

const struct cmd cmd_info = {
	.name = "info",
	.usage = "[options] --pid PID | --core FILE | FILE",
	.summary = "what is known of a Go process, core file or binary",
	.text = "Version, build information and what the runtime's tables say; of a process also its\n"
		"mappings and how it would be sampled; of a core file its mappings and threads.\n\n"
		"Examples:\n"
		"  prowl info --pid 4242\n"
		"  prowl info --core core.4242\n"
		"  prowl info --json ./server | jq -r '.build.settings[\"vcs.revision\"]'\n",
	.opts = info_opts,
	.operands = OPERANDS_FILES,
	.size = sizeof(struct info_opts),
	.check = check,
	.may = PROWL_MAY_SAMPLE | PROWL_MAY_READ | PROWL_MAY_NAME,
	.run = run,
};
