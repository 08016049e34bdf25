/* SPDX-License-Identifier: Apache-2.0 */
/* prowl daemon fsck, pin, unpin, export, import: the store itself. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "common_opts.h"
#include "daemon_verbs.h"
#include "input_store.h"
#include "jsonout.h"
#include "new_file.h"
#include "store.h"
#include "term.h"
#include "when.h"

struct care_opts {
	const char *store, *from, *to, *match, *output, *reason;
	bool repair, json;
};

#define CARE_STORE \
	OPT_TEXT(0, "store", "DIR", "the store (default: the daemon's)", struct care_opts, store)
#define CARE_FROM OPT_TEXT(0, "from", "T", "its beginning: -2h, a date", struct care_opts, from)
#define CARE_TO   OPT_TEXT(0, "to", "T", "its end (default: now)", struct care_opts, to)

static bool parse_range(const struct care_opts *o, int64_t *from, int64_t *to)
{
	*to = input_now();
	if (!o->from) {
		say_error("give the range: --from T [--to T]");
		return false;
	}
	if (!input_time("--from", o->from, from) || (o->to && !input_time("--to", o->to, to)))
		return false;
	if (*from < *to)
		return true;
	say_error("--to is not after --from");
	return false;
}

/* --- fsck ------------------------------------------------------------------------ */

static void say_finding(void *ctx, const char *line)
{
	say_warning("%s", line);
}

static void fsck_json(const struct prowl_store_check *c)
{
	struct jsonout j;

	pp_json_begin(&j, stdout, JSONOUT_INDENTED);
	pp_json_unsigned(&j, "files", c->files);
	pp_json_unsigned(&j, "windows", c->windows);
	pp_json_unsigned(&j, "events", c->events);
	pp_json_unsigned(&j, "bytes", c->bytes);
	pp_json_unsigned(&j, "damaged", c->bad);
	pp_json_unsigned(&j, "not_indexed", c->unindexed);
	pp_json_unsigned(&j, "gone", c->gone);
	pp_json_unsigned(&j, "twice", c->twice);
	pp_json_unsigned(&j, "unfinished", c->left);
	pp_json_bool(&j, "index_damaged", c->index_bad);
	pp_json_end(&j);
}

static enum prowl_code run_fsck(void *options, char **words, size_t n)
{
	const struct care_opts *o = options;
	struct prowl_store_check c;
	struct prowl_err err = {0};
	enum prowl_code code;
	struct prowl_store *s = input_open_store(o->store, o->repair, &code);
	bool clean;

	if (!s)
		return code;
	code = prowl_store_fsck(s, say_finding, NULL, &c, &err);
	prowl_store_close(s);
	if (code != PROWL_OK)
		return say_failure(&err);
	clean = !c.bad && !c.unindexed && !c.gone && !c.twice && !c.left && !c.index_bad;
	if (o->json)
		fsck_json(&c);
	else
		printf("%llu files, %llu windows, %llu events, %llu bytes: %s\n",
		       (unsigned long long)c.files, (unsigned long long)c.windows,
		       (unsigned long long)c.events, (unsigned long long)c.bytes,
		       clean ? "clean"
		       : o->repair
			       ? "repaired"
			       : "not clean; --repair moves damaged files to bad/ and makes the "
				 "index anew");
	return clean || o->repair ? PROWL_OK : PROWL_FAILED;
}

static const struct opt fsck_opts[] = {
	CARE_STORE,
	OPT_FLAG(0, "repair", "put it in order; the daemon must not run", struct care_opts, repair),
	OPT_JSON("print JSON", struct care_opts, json),
	COMMON_SAY,
	OPT_END,
};

const struct cmd daemon_fsck = {
	.name = "daemon fsck",
	.usage = "[options]",
	.summary = "check the store: every file, and the index",
	.text = "Exits 1 when something is damaged.\n",
	.opts = fsck_opts,
	.operands = OPERANDS_NONE,
	.size = sizeof(struct care_opts),
	.run = run_fsck,
};

/* --- pins ------------------------------------------------------------------------ */

static void pins_json(const struct prowl_store_pins *p)
{
	char text[PROWL_WHEN];
	struct jsonout j;

	pp_json_begin(&j, stdout, JSONOUT_INDENTED);
	pp_json_open(&j, "pins", '[');
	for (size_t i = 0; i < p->n; i++) {
		pp_json_open(&j, NULL, '{');
		pp_json_text(&j, "from", prowl_when_text(text, p->rows[i].from));
		pp_json_text(&j, "to", prowl_when_text(text, p->rows[i].to));
		pp_json_text(&j, "reason", p->rows[i].reason);
		pp_json_close(&j, '}');
	}
	pp_json_close(&j, ']');
	pp_json_end(&j);
}

static enum prowl_code list_pins(const struct care_opts *o)
{
	struct prowl_store_pins *p = NULL;
	struct prowl_err err = {0};
	enum prowl_code code;
	struct prowl_store *s = input_open_store(o->store, false, &code);
	char from[PROWL_WHEN], to[PROWL_WHEN];

	if (!s)
		return code;
	code = prowl_store_pins(s, &p, &err);
	if (code != PROWL_OK)
		say_failure(&err);
	else if (o->json)
		pins_json(p);
	for (size_t i = 0; p && !o->json && i < p->n; i++) {
		printf("%s %s ", prowl_when_text(from, p->rows[i].from),
		       prowl_when_text(to, p->rows[i].to));
		text_put(stdout, p->rows[i].reason);
		putchar('\n');
	}
	prowl_store_pins_free(p);
	prowl_store_close(s);
	return code;
}

static enum prowl_code change_pins(const struct care_opts *o, bool pin)
{
	struct prowl_err err = {0};
	enum prowl_code code;
	struct prowl_store *s;
	int64_t from, to;

	if (!parse_range(o, &from, &to))
		return PROWL_USAGE;
	s = input_open_store(o->store, true, &code);
	if (!s)
		return code;
	code = pin ? prowl_store_pin(s, from, to, o->reason, &err)
		   : prowl_store_unpin(s, from, to, &err);
	prowl_store_close(s);
	return code == PROWL_OK ? code : say_failure(&err);
}

static enum prowl_code run_pin(void *options, char **words, size_t n)
{
	const struct care_opts *o = options;

	return o->from || o->to || o->reason ? change_pins(o, true) : list_pins(o);
}

static enum prowl_code run_unpin(void *options, char **words, size_t n)
{
	return change_pins(options, false);
}

static const struct opt pin_opts[] = {
	CARE_STORE,
	CARE_FROM,
	CARE_TO,
	OPT_TEXT(0, "reason", "TEXT", "why, for whoever reads the list", struct care_opts, reason),
	OPT_JSON("the list as JSON", struct care_opts, json),
	COMMON_SAY,
	OPT_END,
};

static const struct opt unpin_opts[] = {
	CARE_STORE, CARE_FROM, CARE_TO, COMMON_SAY, OPT_END,
};

const struct cmd daemon_pin = {
	.name = "daemon pin",
	.usage = "[--from T [--to T]] [options]",
	.summary = "keep a range of time, whatever the bounds; without one, list them",
	.text = "Examples:\n"
		"  prowl daemon pin --from 2026-11-30T08:00Z --to 2026-11-30T09:00Z --reason INC-42\n"
		"  prowl daemon pin\n",
	.opts = pin_opts,
	.operands = OPERANDS_NONE,
	.size = sizeof(struct care_opts),
	.run = run_pin,
};

const struct cmd daemon_unpin = {
	.name = "daemon unpin",
	.usage = "--from T [--to T] [options]",
	.summary = "keep it no longer: all pins that lie in the range",
	.opts = unpin_opts,
	.operands = OPERANDS_NONE,
	.size = sizeof(struct care_opts),
	.run = run_unpin,
};

/* --- pieces ---------------------------------------------------------------------- */

static enum prowl_code export_to(struct prowl_store *s, const struct care_opts *o,
				 const struct prowl_query *q)
{
	struct prowl_err err = {0};
	struct new_file f;
	uint64_t files = 0;
	enum prowl_code code;
	int r = new_file_open(&f, o->output, 0644);

	if (r < 0) {
		say_error("%s: %s", o->output, strerror(-r));
		return PROWL_FAILED;
	}
	code = prowl_store_export(s, q, f.fd, &files, &err);
	r = new_file_close(&f, code == PROWL_OK ? 0 : -ECANCELED);
	if (code != PROWL_OK)
		return say_failure(&err);
	if (r < 0) {
		say_error("%s: %s", o->output, strerror(-r));
		return PROWL_FAILED;
	}
	say_info("%llu files in %s", (unsigned long long)files, o->output);
	return PROWL_OK;
}

static enum prowl_code run_export(void *options, char **words, size_t n)
{
	const struct care_opts *o = options;
	struct prowl_selector *match = NULL;
	struct prowl_query q = {0};
	struct prowl_err err = {0};
	struct prowl_store *s;
	enum prowl_code code;

	if (!o->output) {
		say_error("where to? give -o FILE.tar");
		return PROWL_USAGE;
	}
	if (!parse_range(o, &q.from, &q.to))
		return PROWL_USAGE;
	if (o->match && prowl_selector_new(o->match, &match, &err) != PROWL_OK)
		return say_failure(&err);
	q.match = match;
	s = input_open_store(o->store, false, &code);
	if (s)
		code = export_to(s, o, &q);
	prowl_store_close(s);
	prowl_selector_free(match);
	return code;
}

static enum prowl_code import_from(struct prowl_store *s, const char *path)
{
	struct prowl_err err = {0};
	uint64_t files, known;
	enum prowl_code code;
	int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : dup(STDIN_FILENO);

	if (fd < 0) {
		say_error("%s: %s", path, strerror(errno));
		return PROWL_FAILED;
	}
	code = prowl_store_import(s, fd, &files, &known, &err);
	close(fd);
	if (code != PROWL_OK)
		say_failure(&err);
	say_info("%s: %llu files are new, %llu were there", path, (unsigned long long)files,
		 (unsigned long long)known);
	return code;
}

static enum prowl_code run_import(void *options, char **words, size_t n)
{
	const struct care_opts *o = options;
	struct prowl_store *s;
	enum prowl_code code;

	if (n == 0) {
		say_error("no file: prowl daemon import FILE.tar...");
		return PROWL_USAGE;
	}
	s = input_open_store(o->store, true, &code);
	for (size_t i = 0; s && code == PROWL_OK && i < n; i++)
		code = import_from(s, words[i]);
	prowl_store_close(s);
	return code;
}

static const struct opt export_opts[] = {
	CARE_STORE,
	CARE_FROM,
	CARE_TO,
	OPT_TEXT(0, "match", "SELECTOR", "only files of series that match", struct care_opts,
		 match),
	OPT_TEXT('o', "output", "FILE", "the archive; - is stdout", struct care_opts, output),
	COMMON_SAY,
	OPT_END,
};

static const struct opt import_opts[] = {
	CARE_STORE,
	COMMON_SAY,
	OPT_END,
};

const struct cmd daemon_export = {
	.name = "daemon export",
	.usage = "--from T [--to T] -o FILE.tar [options]",
	.summary = "a piece of the store as an archive",
	.text = "Whole files with windows of that time. The archive, unpacked, is a store.\n\n"
		"Examples:\n"
		"  prowl daemon export --from -2h -o incident.tar\n",
	.opts = export_opts,
	.operands = OPERANDS_NONE,
	.size = sizeof(struct care_opts),
	.run = run_export,
};

const struct cmd daemon_import = {
	.name = "daemon import",
	.usage = "[options] FILE.tar...",
	.summary = "add such an archive to a store",
	.text = "Files that the store has are left alone. No daemon may write there meanwhile.\n\n"
		"Examples:\n"
		"  prowl daemon import --store ./incident incident.tar\n",
	.opts = import_opts,
	.operands = OPERANDS_FILES,
	.size = sizeof(struct care_opts),
	.run = run_import,
};
