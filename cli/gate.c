/* SPDX-License-Identifier: Apache-2.0 */
#include "gate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "diff_rules.h"
#include "input.h"
#include "opts.h"
#include "new_file.h"
#include "output.h"
#include "pprof_report.h"
#include "show_diff.h"
#include "term.h"

typedef void (*show_fn)(FILE *f, const struct pprof_comparison *c, const struct diff_words *w);

/* The comparison in words; beside these, exporters show what changed. */
static const struct text {
	const char *name, *suffix;
	show_fn show;
} texts[] = {
	{"text", ".txt", show_diff_text},   {"markdown", ".md", show_diff_markdown},
	{"json", ".json", show_diff_json},  {"junit", ".xml", show_diff_junit},
	{"github", NULL, show_diff_github},
};
enum { NTEXTS = sizeof texts / sizeof *texts };

struct format { /* one of them */
	show_fn show;
	const struct pprof_exporter *exporter;
};

/* --- files ----------------------------------------------------------------------- */

bool gate_take(struct gate_side *s, const char *path)
{
	char **bigger = realloc(s->paths, (s->n + 1) * sizeof *bigger);

	if (bigger)
		s->paths = bigger;
	if (!bigger || !(s->paths[s->n] = strdup(path)))
		return false;
	s->n++;
	return true;
}

static const char *path_of(const struct gate *d, size_t i)
{
	return i < d->base.n ? d->base.paths[i] : d->head.paths[i - d->base.n];
}

static bool load_all(struct gate *d)
{
	size_t n = d->base.n + d->head.n;

	d->profiles = calloc(n + 1, sizeof *d->profiles);
	for (size_t i = 0; d->profiles && i < n; i++) {
		d->profiles[i] = input_load((char *[]){(char *)path_of(d, i)}, 1);
		if (!d->profiles[i])
			return false;
	}
	return d->profiles != NULL;
}

/* --- warnings -------------------------------------------------------------------- */

static void warn(struct gate *d, char *text)
{
	if (d->nwarnings < sizeof d->warnings / sizeof *d->warnings)
		d->warnings[d->nwarnings++] = text;
	else
		free(text);
}

/* Warns where two profiles are hard to compare; they are compared all the same. */
static void warn_of(struct gate *d, const char *key, const char *what)
{
	const char *first = input_comment(d->profiles[0], key);
	size_t n = d->base.n + d->head.n;

	for (size_t i = 1; i < n; i++) {
		const char *other = input_comment(d->profiles[i], key);
		char *text;

		if (!*first || !*other || !strcmp(first, other))
			continue;
		if (asprintf(&text, "%s differs: %s in %s, %s in %s", what, first, path_of(d, 0),
			     other, path_of(d, i)) >= 0)
			warn(d, text);
		return;
	}
}

static void warn_of_periods(struct gate *d)
{
	for (size_t i = 1; i < d->base.n + d->head.n; i++) {
		char *text;

		if (d->profiles[i]->period == d->profiles[0]->period)
			continue;
		if (asprintf(&text, "the sampling period differs: %lld in %s, %lld in %s",
			     (long long)d->profiles[0]->period, path_of(d, 0),
			     (long long)d->profiles[i]->period, path_of(d, i)) >= 0)
			warn(d, text);
		return;
	}
}

/* The same run twice looks like two runs that agree. */
static void warn_of_same_files(struct gate *d)
{
	size_t n = d->base.n + d->head.n;

	for (size_t i = 0; i < n; i++) {
		for (size_t k = i + 1; k < n; k++) {
			char *text;

			if (strcmp(path_of(d, i), path_of(d, k)) != 0)
				continue;
			if (asprintf(&text, "%s is given more than once: each run counts once",
				     path_of(d, i)) >= 0)
				warn(d, text);
			return;
		}
	}
}

static void find_warnings(struct gate *d)
{
	warn_of_same_files(d);
	warn_of(d, "build: go=", "the Go version");
	warn_of(d, "machine: ", "the machine");
	warn_of(d, "build: package=", "the program");
	warn_of_periods(d);
}

/* --- options --------------------------------------------------------------------- */

const char *const gate_by_words[] = {"function", "file", "package", "line", NULL};
const char *const gate_mode_words[] = {"absolute", "share", "per-op", NULL};
const char *const gate_fail_words[] = {"any", "total", "function", "never", NULL};

/* A difference as a profile, or as a picture of both sides. */
static bool shows_change(const struct pprof_exporter *e)
{
	return e == pprof_exporter_at(0) || (e->flags & PPROF_EXPORT_COMPARES);
}

const char *gate_format_name(size_t index)
{
	const struct pprof_exporter *e;
	size_t n = NTEXTS;

	if (index < NTEXTS)
		return texts[index].name;
	for (size_t i = 0; (e = pprof_exporter_at(i)); i++) {
		if (shows_change(e) && n++ == index)
			return e->name;
	}
	return NULL;
}

bool gate_take_share(const struct opt *o, void *field, const char *arg)
{
	double v = diff_parse_percent(arg);

	if (!(v > 0)) {
		say_error("--%s wants a share such as 5%%, not '%s'", o->name, arg);
		return false;
	}
	*(double *)field = v;
	return true;
}

bool gate_take_part(const struct opt *o, void *field, const char *arg)
{
	if (!gate_take_share(o, field, arg))
		return false;
	if (*(double *)field < 1)
		return true;
	say_error("--%s wants less than 100%%, not '%s'", o->name, arg);
	return false;
}

bool gate_take_rules(const struct opt *o, void *field, const char *arg)
{
	struct diff_rules **rules = field;

	diff_rules_free(*rules);
	*rules = diff_rules_load(arg);
	return *rules != NULL;
}

bool gate_take_output(const struct opt *o, void *field, const char *arg)
{
	struct gate *d = field;

	if (d->noutputs == sizeof d->outputs / sizeof *d->outputs) {
		say_error("--output can be given %zu times", d->noutputs);
		return false;
	}
	d->outputs[d->noutputs++] = arg;
	return true;
}

static bool read_operations(struct gate *d)
{
	const char *p = d->ops;

	d->operations = calloc(strlen(p) + 1, sizeof *d->operations);
	while (d->operations && *p) {
		char *end;
		double v = strtod(p, &end);

		if (end == p || !(v > 0) || (*end && *end != ',')) {
			say_error("--ops wants positive numbers, separated by commas, not '%s'", p);
			return false;
		}
		d->operations[d->noperations++] = v;
		p = *end ? end + 1 : end;
	}
	if (d->noperations == d->base.n + d->head.n)
		return true;
	say_error("--ops has %zu numbers, but there are %zu profiles", d->noperations,
		  d->base.n + d->head.n);
	return false;
}

static bool check(struct gate *d)
{
	if (!d->base.n || !d->head.n) {
		say_error("there is no profile of %s", d->base.n ? "head" : "base");
		return false;
	}
	if ((d->o.exposure == PPROF_PER_OPERATION) != (d->ops != NULL)) {
		say_error("--mode per-op and --ops belong together");
		return false;
	}
	if (d->ops && !read_operations(d))
		return false;
	d->o.operations = d->operations;
	if (d->rules) {
		if (!(d->o.tolerance > 0) && diff_rules_tolerance(d->rules) > 0)
			d->o.tolerance = diff_rules_tolerance(d->rules);
		d->o.tolerance_of = diff_rules_tolerance_of;
		d->o.ctx = d->rules;
	}
	return true;
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);

	return n > k && !strcmp(s + n - k, end);
}

static bool is_text(const struct gate *d, const char *path, const struct text *t)
{
	return d->format ? !strcmp(d->format, t->name) : t->suffix && ends_with(path, t->suffix);
}

/* By --format, else by the end of the file's name, else text. False after saying what is wrong. */
static bool choose_format(const struct gate *d, const char *path, struct format *ret)
{
	static const struct opt all = {.word = gate_format_name};
	const struct pprof_exporter *e;
	char list[128];

	for (size_t i = 0; i < NTEXTS; i++) {
		if (is_text(d, path, &texts[i])) {
			*ret = (struct format){.show = texts[i].show};
			return true;
		}
	}
	e = d->format ? pprof_exporter_named(d->format) : pprof_exporter_for_file(path);
	if (e && shows_change(e)) {
		*ret = (struct format){.exporter = e};
		return true;
	}
	*ret = (struct format){.show = show_diff_text};
	if (d->format)
		say_error("unknown format '%s'; there are %s", d->format,
			  opts_choices(&all, " and ", list, sizeof list));
	return !d->format;
}

enum prowl_code gate_check_outputs(struct gate *d)
{
	if (d->noutputs == 0)
		d->outputs[d->noutputs++] = "-";
	for (size_t i = 0; i < d->noutputs; i++) {
		struct format f;

		if (!choose_format(d, d->outputs[i], &f))
			return PROWL_USAGE;
		if (f.exporter && !output_may_write(f.exporter, d->outputs[i]))
			return PROWL_USAGE;
	}
	return PROWL_OK;
}

/* --- the comparison -------------------------------------------------------------- */

static enum prowl_code exit_of(const struct gate *d, const struct pprof_comparison *c)
{
	bool total = c->total.verdict == PPROF_REGRESSED, function = c->nregressed > 0;

	if (d->fail_on == GATE_FAIL_NEVER)
		return PROWL_OK;
	if (c->verdict == PPROF_UNDECIDED)
		return PROWL_INCONCLUSIVE;
	if (c->verdict != PPROF_REGRESSED)
		return PROWL_OK;
	if ((d->fail_on == GATE_FAIL_TOTAL && !total) ||
	    (d->fail_on == GATE_FAIL_FUNCTION && !function))
		return PROWL_OK;
	return PROWL_REGRESSION;
}

/* GitHub shows it below the run. */
static void add_summary(const struct pprof_comparison *c, const struct diff_words *w)
{
	const char *path = getenv("GITHUB_STEP_SUMMARY");
	FILE *f = path && *path ? fopen(path, "ae") : NULL;

	if (path && *path && !f)
		say_warning("%s, the summary of the step, can't be written: %s", path,
			    strerror(errno));
	if (!f)
		return;
	show_diff_markdown(f, c, w);
	fclose(f);
}

struct words {
	show_fn show;
	const struct pprof_comparison *c;
	const struct diff_words *w;
};

static void put_words(FILE *to, void *ctx)
{
	const struct words *x = ctx;

	x->show(to, x->c, x->w);
}

static enum prowl_code write_words(const struct pprof_comparison *c, const char *path, show_fn show,
				   const struct diff_words *w)
{
	struct words x = {show, c, w};
	int r = new_file_words(path, put_words, &x);

	if (r == 0)
		return PROWL_OK;
	say_error("%s: %s", new_file_is_stdout(path) ? "standard output" : path, strerror(-r));
	return PROWL_FAILED;
}

static bool is_bad(const struct pprof_change *g)
{
	return g->verdict == PPROF_REGRESSED || g->verdict == PPROF_NEW;
}

/* Adds the verdicts as comments: the page shows them above the graph. */
static int add_verdicts(struct pprof_profile *p, const struct pprof_comparison *c)
{
	enum { MOST = 20 };
	int r = 0, added = 0;

	for (size_t i = 0; r == 0 && i <= c->nchanges && added < MOST; i++) {
		char *line;

		if (i > 0 && !is_bad(&c->changes[i - 1]))
			continue;
		line = show_diff_line(c, i);
		r = line ? pprof_comment(p, line) : -ENOMEM;
		free(line);
		added++;
	}
	return r;
}

/* Writes the mean runs of both sides: their difference as a profile, or a picture of both. */
static enum prowl_code write_profiles(const struct gate *d, const struct pprof_comparison *c,
				      const char *path, const struct pprof_exporter *f)
{
	const struct pprof_profile *const *p = (const struct pprof_profile *const *)d->profiles;
	struct pprof_report_options o = {.size = sizeof o, .sample_type = d->o.sample_type};
	struct pprof_profile *base = NULL, *head = NULL, *both = NULL;
	struct pprof_diag diag = {0};
	enum prowl_code code = PROWL_FAILED;
	uint64_t size;
	int r = pprof_merge_scaled(p, d->base.n, 1.0 / (double)d->base.n, &base, &diag);

	if (r == 0)
		r = pprof_merge_scaled(p + d->base.n, d->head.n, 1.0 / (double)d->head.n, &head,
				       &diag);
	if (r == 0 && (f->flags & PPROF_EXPORT_BINARY))
		r = pprof_difference(base, head, &both, &diag);
	if (r == 0)
		r = add_verdicts(both ? both : head, c);
	o.base = base;
	if (r < 0)
		say_error("%s: %s %s", path, diag.what ? diag.what : strerror(-r), diag.detail);
	else if (f->flags & PPROF_EXPORT_BINARY)
		code = output_write(both, f, path, &size);
	else
		code = output_write_report(head, f, &o, path, &size);
	pprof_profile_free(base);
	pprof_profile_free(head);
	pprof_profile_free(both);
	return code;
}

static enum prowl_code write_out(const struct gate *d, const struct pprof_comparison *c)
{
	struct diff_words w = {.base = d->base_name ? d->base_name : d->base.paths[0],
			       .head = d->head_name ? d->head_name : d->head.paths[0],
			       .lines = d->lines,
			       .workspace = getenv("GITHUB_WORKSPACE"),
			       .warnings = (const char *const *)d->warnings,
			       .nwarnings = d->nwarnings};
	const char *actions = getenv("GITHUB_ACTIONS");
	bool printed = false, annotated = false;
	enum prowl_code code = PROWL_OK;

	for (size_t i = 0; i < d->noutputs && code == PROWL_OK; i++) {
		const char *path = d->outputs[i];
		struct format f;

		choose_format(d, path, &f); /* gate_check_outputs has refused unknown ones */
		printed |= f.show == show_diff_text && !strcmp(path, "-");
		annotated |= !strcmp(path, "-") && f.show != show_diff_text;
		code = f.show ? write_words(c, path, f.show, &w)
			      : write_profiles(d, c, path, f.exporter);
	}
	/* The file is for machines; a line for people who read the log. */
	if (code == PROWL_OK && !printed)
		show_diff_verdict(stderr, c);
	if (code == PROWL_OK && actions && !strcmp(actions, "true")) {
		if (!annotated)
			show_diff_github(stdout, c, &w);
		add_summary(c, &w);
	}
	return code;
}

static enum prowl_code compare(struct gate *d)
{
	struct pprof_comparison *c;
	struct pprof_diag diag = {0};
	const struct pprof_profile *const *p = (const struct pprof_profile *const *)d->profiles;
	enum prowl_code code;
	int r;

	d->o.size = sizeof d->o;
	r = pprof_compare(p, d->base.n, p + d->base.n, d->head.n, &d->o, &c, &diag);
	if (r < 0) {
		say_error("%s: %s", path_of(d, diag.at), diag.what ? diag.what : strerror(-r));
		return r == -ENODATA ? PROWL_NOTHING : r == -ENOMEM ? PROWL_FAILED : PROWL_USAGE;
	}
	code = write_out(d, c);
	if (code == PROWL_OK)
		code = exit_of(d, c);
	pprof_comparison_free(c);
	return code;
}

static void side_fini(struct gate_side *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->paths[i]);
	free(s->paths);
}

void gate_fini(struct gate *d)
{
	for (size_t i = 0; d->profiles && i < d->base.n + d->head.n; i++)
		pprof_profile_free(d->profiles[i]);
	for (size_t i = 0; i < d->nwarnings; i++)
		free(d->warnings[i]);
	free(d->profiles);
	free(d->operations);
	side_fini(&d->base);
	side_fini(&d->head);
	diff_rules_free(d->rules);
}

enum prowl_code gate_check(struct gate *d)
{
	return check(d) ? gate_check_outputs(d) : PROWL_USAGE;
}

enum prowl_code gate_compare(struct gate *d)
{
	if (!load_all(d))
		return PROWL_FAILED;
	find_warnings(d);
	return compare(d);
}
