/* SPDX-License-Identifier: Apache-2.0 */
/* Go processes, one a line. */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cmd.h"
#include "proclist.h"
#include "common_opts.h"
#include "inspect.h"
#include "jsonout.h"
#include "privilege.h"
#include "term.h"

enum { PID, USER, GO, FLAGS, RSS, NAME, READABLE, MODULE, NCOLUMNS };

struct ps_opts {
	bool all, json, quick;
};

static const struct opt ps_opts[] = {
	OPT_FLAG('a', "all", "programs that are not Go too", struct ps_opts, all),
	OPT_JSON("print JSON", struct ps_opts, json),
	OPT_FLAG('q', "quiet", "only process ids, one a line; quick", struct ps_opts, quick),
	OPT_END,
};

static const char *const titles[NCOLUMNS] = {"PID", "USER", "GO",       "FLAGS",
					     "RSS", "NAME", "READABLE", "MODULE"};

struct row {
	char *cells[NCOLUMNS];
};

struct table {
	struct row *rows;
	size_t n, cap;
};

/* --- the table ----------------------------------------------------------------------- */

/* Columns on a terminal: characters, not bytes, of text that text_put prints. */
static size_t columns_of(const char *s)
{
	size_t n = 0, len;

	for (; *s; s += len, n++)
		text_char(s, &len);
	return n;
}

static void put_cut(const char *s, size_t width)
{
	size_t n;

	for (; *s && width > 0; width--, s += n) {
		if (text_char(s, &n))
			fwrite(s, 1, n, stdout);
		else
			putchar('?');
	}
}

/* The terminal's width, or SIZE_MAX where the output is no terminal. */
static size_t terminal_width(void)
{
	const char *env = getenv("COLUMNS");
	struct winsize w;
	long n = env ? strtol(env, NULL, 10) : 0;

	if (!isatty(STDOUT_FILENO))
		return SIZE_MAX;
	if (n > 0)
		return (size_t)n;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0)
		return w.ws_col;
	return 80;
}

static bool is_right(size_t column)
{
	return column == PID || column == RSS;
}

static void put_row(char *const *cells, const size_t *widths, size_t room)
{
	for (size_t c = 0; c < NCOLUMNS; c++) {
		size_t n = columns_of(cells[c]), w = widths[c];

		if (n > w)
			n = w;
		if (c == NCOLUMNS - 1) {
			put_cut(cells[c], room);
			break;
		}
		if (is_right(c))
			printf("%*s", (int)(w - n), "");
		put_cut(cells[c], w);
		printf("%*s", (int)(is_right(c) ? 2 : w - n + 2), "");
	}
	putchar('\n');
}

static void put_table(const struct table *t)
{
	size_t widths[NCOLUMNS], used = 0, total = terminal_width();
	char *head[NCOLUMNS];

	for (size_t c = 0; c < NCOLUMNS; c++) {
		head[c] = (char *)(uintptr_t)titles[c];
		widths[c] = columns_of(titles[c]);
		for (size_t i = 0; i < t->n; i++) {
			size_t n = columns_of(t->rows[i].cells[c]);

			if (n > widths[c])
				widths[c] = n;
		}
		if (c < NCOLUMNS - 1)
			used += widths[c] + 2;
	}
	/* The module is cut first; a row that is still too long stays too long. */
	put_row(head, widths, total > used + 8 ? total - used : 8);
	for (size_t i = 0; i < t->n; i++)
		put_row(t->rows[i].cells, widths, total > used + 8 ? total - used : 8);
}

static void table_fini(struct table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		for (size_t c = 0; c < NCOLUMNS; c++)
			free(t->rows[i].cells[c]);
	}
	free(t->rows);
}

/* --- rows ---------------------------------------------------------------------------- */

static void flags_of(const struct prowl_program *p, char *buf, size_t len)
{
	snprintf(buf, len, "%s%s%s", p->stripped ? "stripped," : "", p->pie ? "PIE," : "",
		 p->cgo ? "cgo," : "");
	if (buf[0])
		buf[strlen(buf) - 1] = '\0';
	else
		snprintf(buf, len, "-");
}

static void readable_of(const struct prowl_process *p, char *buf, size_t len)
{
	prowl_process_obstacle(p, buf, len);
	if (buf[0])
		return;
	snprintf(buf, len, "%s", p->memory_error ? "CPU, not memory" : "yes");
}

/* The main module with its version, or the main package where there is no module. */
static void module_of(const struct prowl_process *p, char *buf, size_t len)
{
	const struct prowl_buildinfo *b = &p->program->build;

	if (b->store && b->main.path[0])
		snprintf(buf, len, "%s%s%s", b->main.path, b->main.version[0] ? " " : "",
			 b->main.version);
	else if (b->store && b->path[0])
		snprintf(buf, len, "%s", b->path);
	else
		snprintf(buf, len, "%.*s", (int)len - 1, p->exe[0] ? p->exe : "-");
}

static int add_row(void *ctx, const struct prowl_process *p)
{
	struct table *t = ctx;
	char buf[NCOLUMNS][512];
	struct row *r;

	if (t->n == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 32;

		r = realloc(t->rows, cap * sizeof *r);
		if (!r)
			abort();
		t->rows = r;
		t->cap = cap;
	}
	snprintf(buf[PID], sizeof *buf, "%d", (int)p->pid);
	snprintf(buf[USER], sizeof *buf, "%s", p->user);
	snprintf(buf[GO], sizeof *buf, "%s",
		 !p->program->go             ? "-"
		 : p->program->go_version[0] ? p->program->go_version
					     : "unknown");
	buf[GO][strcspn(buf[GO], " ")] = '\0';
	if (p->program->elf)
		flags_of(p->program, buf[FLAGS], sizeof *buf);
	else
		strcpy(buf[FLAGS], "-");
	snprintf(buf[RSS], sizeof *buf, "%.1fM", (double)p->rss / 1048576.0);
	snprintf(buf[NAME], sizeof *buf, "%s", p->comm);
	readable_of(p, buf[READABLE], sizeof *buf);
	module_of(p, buf[MODULE], sizeof *buf);
	r = &t->rows[t->n++];
	for (size_t c = 0; c < NCOLUMNS; c++) {
		r->cells[c] = strdup(buf[c]);
		if (!r->cells[c])
			abort();
	}
	return 0;
}

static int add_pid(void *ctx, const struct prowl_process *p)
{
	printf("%d\n", (int)p->pid);
	return 0;
}

static int add_json(void *ctx, const struct prowl_process *p)
{
	const struct prowl_program *prog = p->program;
	struct jsonout *j = ctx;
	char why[256];

	pp_json_open(j, NULL, '{');
	pp_json_unsigned(j, "pid", (uint64_t)p->pid);
	pp_json_unsigned(j, "uid", p->uid);
	pp_json_text(j, "user", p->user);
	pp_json_text(j, "name", p->comm);
	pp_json_text(j, "exe", p->exe[0] ? p->exe : NULL);
	pp_json_bool(j, "deleted", p->deleted);
	pp_json_bool(j, "other_namespace", p->other_namespace);
	pp_json_unsigned(j, "rss_bytes", p->rss);
	pp_json_unsigned(j, "threads", p->threads);
	pp_json_bool(j, "go", prog->go);
	pp_json_text(j, "go_version", prog->go ? prog->go_version : NULL);
	pp_json_bool(j, "stripped", prog->stripped);
	pp_json_bool(j, "pie", prog->pie);
	pp_json_bool(j, "cgo", prog->cgo);
	pp_json_text(j, "package", prog->build.store ? prog->build.path : NULL);
	pp_json_text(j, "module", prog->build.store ? prog->build.main.path : NULL);
	pp_json_text(j, "module_version", prog->build.store ? prog->build.main.version : NULL);
	prowl_process_obstacle(p, why, sizeof why);
	pp_json_bool(j, "can_profile", !why[0]);
	pp_json_bool(j, "can_read_memory", !p->memory_error);
	pp_json_text(j, "obstacle", why[0] ? why : NULL);
	pp_json_close(j, '}');
	return 0;
}

/* --- the command --------------------------------------------------------------------- */

static enum prowl_code run(void *options, char **words, size_t n)
{
	const struct ps_opts *o = options;
	unsigned int flags = (o->all ? PROWL_LIST_ALL : 0) | (o->quick ? PROWL_LIST_QUICK : 0);
	struct prowl_list_result res;
	struct prowl_err err = {0};
	struct table t = {0};
	struct jsonout j;
	enum prowl_code code;

	prowl_privilege_raise();
	if (o->quick)
		return prowl_list(flags, add_pid, NULL, &res, &err) ? say_failure(&err) : PROWL_OK;
	if (o->json) {
		pp_json_begin(&j, stdout, JSONOUT_INDENTED);
		pp_json_open(&j, "processes", '[');
		code = prowl_list(flags, add_json, &j, &res, &err);
		pp_json_close(&j, ']');
		pp_json_unsigned(&j, "not_readable", res.hidden);
		pp_json_end(&j);
	} else {
		code = prowl_list(flags, add_row, &t, &res, &err);
		if (code == PROWL_OK && t.n)
			put_table(&t);
		else if (code == PROWL_OK)
			say_info("no Go process is running%s",
				 res.hidden ? " that could be looked at" : "");
		table_fini(&t);
	}
	if (code != PROWL_OK)
		return say_failure(&err);
	if (res.hidden)
		say_info("%zu %s can't be looked at (no permission)%s", res.hidden,
			 res.hidden == 1 ? "process" : "processes",
			 geteuid() ? ": root, or CAP_SYS_PTRACE, sees more" : "");
	return PROWL_OK;
}

static enum prowl_code check(void *options, char **words, size_t n)
{
	const struct ps_opts *o = options;

	if (!o->json || !o->quick)
		return PROWL_OK;
	say_error("give either --json or --quiet");
	return PROWL_USAGE;
}

const struct cmd cmd_ps = {
	.name = "ps",
	.usage = "[options]",
	.summary = "list Go processes",
	.text = "READABLE: whether prowl may profile the process and, if not, what is missing;\n"
		"prowl doctor --pid PID prints how to grant it.\n\n"
		"Examples:\n"
		"  prowl ps\n"
		"  prowl ps --json | jq '.processes[].module'\n",
	.opts = ps_opts,
	.size = sizeof(struct ps_opts),
	.check = check,
	.may = PROWL_MAY_READ,
	.run = run,
};
