/* SPDX-License-Identifier: Apache-2.0 */
#include "show_diff.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "jsonout.h"
#include "term.h"

enum {
	TEXT = 32,
	MARKDOWN_MAX = 60000,
	MARKDOWN_NAME = 200, /* longer names are cut */
	ANNOTATIONS = 10,    /* GitHub's limit for a step */
};

static bool is_bad(const struct pprof_change *g)
{
	return g->verdict == PPROF_REGRESSED || g->verdict == PPROF_NEW;
}

static bool is_change(const struct pprof_change *g)
{
	return g->verdict != PPROF_SAME && g->verdict != PPROF_NOT_JUDGED;
}

static const char *word_of(enum pprof_verdict v)
{
	switch (v) {
	case PPROF_SAME:
		return "same";
	case PPROF_REGRESSED:
		return "regressed";
	case PPROF_IMPROVED:
		return "improved";
	case PPROF_NEW:
		return "new";
	case PPROF_VANISHED:
		return "vanished";
	case PPROF_RENAMED:
		return "renamed";
	case PPROF_ACCEPTED:
		return "accepted";
	case PPROF_EXPLAINED:
		return "explained";
	case PPROF_NOT_JUDGED:
		return "not judged";
	default:
		return "undecided";
	}
}

static const char *mode_of(const struct pprof_comparison *c)
{
	switch (c->options->exposure) {
	case PPROF_PER_TOTAL:
		return "shares of each profile's total";
	case PPROF_PER_OPERATION:
		return "per operation";
	default:
		return "per run";
	}
}

/* --- figures --------------------------------------------------------------------- */

/* The figures that the verdict is based on: flat, or cum. */
struct figures {
	double base, head, ratio, low, high, p, q, detectable;
};

static struct figures figures_of(const struct pprof_change *g)
{
	if (g->by_cum)
		return (struct figures){g->base_cum, g->head_cum, g->cum.ratio, g->cum.low,
					g->cum.high, g->cum.p,    g->cum.q,     g->cum.detectable};
	return (struct figures){g->base, g->head, g->ratio, g->low,
				g->high, g->p,    g->q,     g->detectable};
}

/* "regressed (cum)" */
static const char *verdict_text(char text[TEXT], const struct pprof_change *g)
{
	snprintf(text, TEXT, "%s%s", word_of(g->verdict), g->by_cum ? " (cum)" : "");
	return text;
}

/* Where shares are compared, the total is no share. */
static const char *value(char text[TEXT], const struct pprof_comparison *c,
			 const struct pprof_change *g, double v)
{
	if (c->options->exposure != PPROF_PER_TOTAL || g == &c->total)
		return pprof_value_text(text, v, c->unit);
	snprintf(text, TEXT, "%.2f%%", v * 100);
	return text;
}

/* " file.go:12" where lines are compared, else "". */
static const char *place(char text[TEXT * 4], const struct pprof_comparison *c,
			 const struct pprof_change *g)
{
	const char *slash = strrchr(g->file, '/');

	text[0] = '\0';
	if (c->options->by == PPROF_BY_LINE && g->file[0])
		snprintf(text, TEXT * 4, " %.90s:%lld", slash ? slash + 1 : g->file,
			 (long long)g->line);
	return text;
}

/* 1.052 → "+5.2%" */
static const char *percent(char text[TEXT], double ratio)
{
	if (!isfinite(ratio) || ratio <= 0)
		snprintf(text, TEXT, "-");
	else if (ratio >= 10)
		snprintf(text, TEXT, "x%.1f", ratio);
	else
		snprintf(text, TEXT, "%+.1f%%", (ratio - 1) * 100);
	return text;
}

static const char *interval(char text[TEXT * 3], const struct figures *v)
{
	char low[TEXT], high[TEXT];

	if (v->ratio <= 0)
		snprintf(text, TEXT * 3, "-");
	else
		snprintf(text, TEXT * 3, "%s to %s", percent(low, v->low), percent(high, v->high));
	return text;
}

static const char *probability(char text[TEXT], double p)
{
	snprintf(text, TEXT, p >= 0.001 ? "%.3f" : "%.0e", p);
	return text;
}

static void put_verdict(FILE *f, const struct pprof_comparison *c)
{
	char least[TEXT];

	switch (c->verdict) {
	case PPROF_UNDECIDED:
		fprintf(f, "inconclusive: %s", c->why);
		break;
	case PPROF_REGRESSED:
		fputs("regression: ", f);
		if (c->total.verdict == PPROF_REGRESSED)
			fputs(c->nregressed ? "the total and " : "the total", f);
		if (c->nregressed)
			fprintf(f, "%zu %s", c->nregressed,
				c->nregressed == 1 ? "function" : "functions");
		break;
	default:
		fputs(c->verdict == PPROF_IMPROVED ? "improved" : "no regression", f);
		if (isfinite(c->total.detectable))
			fprintf(f, "; of the total, %s would have been found",
				percent(least, c->total.detectable));
	}
}

void show_diff_verdict(FILE *f, const struct pprof_comparison *c)
{
	put_verdict(f, c);
	putc('\n', f);
}

/* --- text ------------------------------------------------------------------------ */

/*
 * How much runs differ, on which the intervals are based: by the chance of sampling and, beyond it,
 * by machine and program.
 */
static void put_variation(FILE *f, const struct pprof_comparison *c)
{
	if (c->nbase + c->nhead <= 2) {
		fprintf(f, "one run a side: assumed is that runs vary by %.1f%%\n", c->cv * 100);
		return;
	}
	if (c->total_cv > 0)
		fprintf(f, "the totals of runs vary by %.1f%%; ", c->total_cv * 100);
	if (c->cv > 0)
		fprintf(f, "functions by the chance of sampling, and %.1f%% beyond it\n",
			c->cv * 100);
	else
		fputs("functions by no more than the chance of sampling\n", f);
}

static void text_head(FILE *f, const struct pprof_comparison *c, const struct diff_words *w)
{
	text_put(f, c->type);
	fprintf(f, ", %s: %zu %s (", mode_of(c), c->nbase,
		c->nbase == 1 ? "base profile" : "base profiles");
	text_put(f, w->base);
	fprintf(f, "), %zu head (", c->nhead);
	text_put(f, w->head);
	fprintf(f, ")\njudged: %zu of %zu functions by flat", c->njudged, c->nchanges);
	if (c->njudged_cum)
		fprintf(f, ", %zu of the program's own by cum", c->njudged_cum);
	fprintf(f, ", at %.3g%% tolerance and %.3g%% false discoveries\n",
		c->options->tolerance * 100, c->options->q * 100);
	put_variation(f, c);
	for (size_t i = 0; i < w->nwarnings; i++) {
		fputs("warning: ", f);
		text_put(f, w->warnings[i]);
		putc('\n', f);
	}
}

/* Behind the name: renamed from, explained by, smallest change that would have been found. */
static void text_remarks(FILE *f, const struct pprof_comparison *c, const struct pprof_change *g)
{
	char a[TEXT], at[TEXT * 4];

	if (g->verdict == PPROF_RENAMED || g->verdict == PPROF_EXPLAINED) {
		fputs(g->verdict == PPROF_RENAMED ? ", was " : ", by ", f);
		text_put(f, c->changes[g->other].name);
		text_put(f, place(at, c, &c->changes[g->other]));
	}
	if (g->verdict != PPROF_SAME)
		return;
	if (!g->by_cum && isfinite(g->detectable))
		fprintf(f, " (found from %s", percent(a, g->detectable));
	if (g->cum.judged && isfinite(g->cum.detectable))
		fprintf(f, "%s from %s",
			!g->by_cum && isfinite(g->detectable) ? ", cum" : " (found",
			percent(a, g->cum.detectable));
	if ((!g->by_cum && isfinite(g->detectable)) ||
	    (g->cum.judged && isfinite(g->cum.detectable)))
		putc(')', f);
}

static void text_row(FILE *f, const struct pprof_comparison *c, const struct pprof_change *g)
{
	char a[TEXT], b[TEXT], r[TEXT], i[TEXT * 3], q[TEXT], at[TEXT * 4], w[TEXT];
	struct figures v = figures_of(g);

	fprintf(f, "%10s %10s %9s  %-18s %7s %-15s ", value(a, c, g, v.base),
		value(b, c, g, v.head), percent(r, v.ratio), interval(i, &v),
		g->verdict == PPROF_NOT_JUDGED ? "-" : probability(q, v.q), verdict_text(w, g));
	text_put(f, g->name);
	text_put(f, place(at, c, g));
	text_remarks(f, c, g);
	putc('\n', f);
}

void show_diff_text(FILE *f, const struct pprof_comparison *c, const struct diff_words *w)
{
	size_t plain = 0, left = 0;

	text_head(f, c, w);
	fputs("      base       head    change  95% interval             q verdict         "
	      "function\n",
	      f);
	text_row(f, c, &c->total);
	for (size_t i = 0; i < c->nchanges; i++) {
		const struct pprof_change *g = &c->changes[i];

		if (is_change(g) || plain < w->lines) {
			text_row(f, c, g);
			plain += !is_change(g);
		} else {
			left++;
		}
	}
	if (left)
		fprintf(f, "... and %zu more without a significant change\n", left);
	show_diff_verdict(f, c);
}

/* --- Markdown -------------------------------------------------------------------- */

/* A name in a table cell and a code span: it must not end either, nor the line. */
static void markdown_name(FILE *f, const char *s)
{
	size_t n = 0;

	putc('`', f);
	for (; *s && n < MARKDOWN_NAME; n++) {
		size_t bad = text_control(s);

		if (bad || *s == '`' || *s == '|' || *s == '\n')
			putc(*s == '|' || *s == '`' ? '\'' : '?', f);
		else
			putc(*s, f);
		s += bad ? bad : 1;
		/* Not in the middle of a character. */
		while (n + 1 >= MARKDOWN_NAME && ((unsigned char)*s & 0xc0) == 0x80)
			putc(*s++, f);
	}
	fputs(*s ? "…`" : "`", f);
}

static void markdown_row(FILE *f, const struct pprof_comparison *c, const struct pprof_change *g)
{
	char a[TEXT], b[TEXT], r[TEXT], i[TEXT * 3], q[TEXT], at[TEXT * 4], w[TEXT];
	struct figures v = figures_of(g);

	fputs("| ", f);
	markdown_name(f, g->name);
	if (*place(at, c, g))
		markdown_name(f, at);
	if (g->verdict == PPROF_RENAMED || g->verdict == PPROF_EXPLAINED) {
		fputs(g->verdict == PPROF_RENAMED ? ", was " : ", by ", f);
		markdown_name(f, c->changes[g->other].name);
	}
	fprintf(f, " | %s | %s | %s%s%s | %s | %s | %s |\n", value(a, c, g, v.base),
		value(b, c, g, v.head), is_bad(g) ? "**" : "", percent(r, v.ratio),
		is_bad(g) ? "**" : "", interval(i, &v),
		g->verdict == PPROF_NOT_JUDGED ? "" : probability(q, v.q), verdict_text(w, g));
}

static const char markdown_table[] =
	"| function | base | head | change | 95 % interval | q | |\n|---|--:|--:|--:|:-:|--:|---|\n";

/* Rows of changes, or of the others, while they fit; returns how many didn't. */
static size_t markdown_rows(FILE *f, const struct pprof_comparison *c, bool changes, size_t lines)
{
	size_t left = 0, shown = 0;

	for (size_t i = 0; i < c->nchanges; i++) {
		const struct pprof_change *g = &c->changes[i];

		if (is_change(g) != changes)
			continue;
		/* The position in a stream of bytes in memory; a row takes less than 1,000. */
		if (shown < lines && ftell(f) < MARKDOWN_MAX - 3000) {
			markdown_row(f, c, g);
			shown++;
		} else {
			left++;
		}
	}
	return left;
}

static void markdown_all(FILE *f, const struct pprof_comparison *c, const struct diff_words *w)
{
	size_t left;

	fputs(c->verdict == PPROF_REGRESSED   ? "### prowl: regression\n\n"
	      : c->verdict == PPROF_UNDECIDED ? "### prowl: inconclusive\n\n"
					      : "### prowl: no regression\n\n",
	      f);
	fputs("**", f);
	put_verdict(f, c);
	fputs("**\n\n", f);
	markdown_name(f, c->type);
	fprintf(f, ", %s: %zu base, %zu head profiles.\n\n", mode_of(c), c->nbase, c->nhead);
	for (size_t i = 0; i < w->nwarnings; i++) {
		fputs("> warning: ", f);
		markdown_name(f, w->warnings[i]);
		fputs("\n\n", f);
	}
	fputs(markdown_table, f);
	markdown_row(f, c, &c->total);
	left = markdown_rows(f, c, true, SIZE_MAX);
	if (left)
		fprintf(f, "\n%zu more changes are not shown.\n", left);
	fprintf(f,
		"\n<details><summary>%zu functions judged by flat, %zu of the program's own by cum, "
		"at %.3g %% tolerance</summary>\n\n%s",
		c->njudged, c->njudged_cum, c->options->tolerance * 100, markdown_table);
	left = markdown_rows(f, c, false, w->lines);
	if (left)
		fprintf(f, "\n%zu more without a significant change.\n", left);
	fputs("\n</details>\n", f);
}

void show_diff_markdown(FILE *f, const struct pprof_comparison *c, const struct diff_words *w)
{
	char *text = NULL;
	size_t len = 0;
	FILE *m = open_memstream(&text, &len);

	if (m) {
		markdown_all(m, c, w);
		fclose(m);
		fwrite(text, 1, len, f);
	}
	free(text);
}

/* --- JSON ------------------------------------------------------------------------ */

static void json_ratio(struct jsonout *j, const char *key, double v)
{
	if (isfinite(v))
		pp_json_real(j, key, v);
	else
		pp_json_text(j, key, NULL);
}

/* The ratio with its interval; null where base is 0. */
static void json_interval(struct jsonout *j, double ratio, double low, double high)
{
	bool known = ratio > 0;

	json_ratio(j, "ratio", known ? ratio : INFINITY);
	json_ratio(j, "low", known ? low : INFINITY);
	json_ratio(j, "high", known ? high : INFINITY);
}

static void json_test(struct jsonout *j, double p, double q, double detectable)
{
	pp_json_real(j, "p", p);
	pp_json_real(j, "q", q);
	json_ratio(j, "detectable_ratio", detectable);
}

static void json_cum(struct jsonout *j, const struct pprof_cum *v)
{
	pp_json_open(j, "cum", '{');
	pp_json_real(j, "base_events", v->base_events);
	pp_json_real(j, "head_events", v->head_events);
	json_interval(j, v->ratio, v->low, v->high);
	json_test(j, v->p, v->q, v->detectable);
	pp_json_close(j, '}');
}

static void json_change(struct jsonout *j, const char *key, const struct pprof_comparison *c,
			const struct pprof_change *g)
{
	pp_json_open(j, key, '{');
	pp_json_text(j, "name", g->name);
	pp_json_text(j, "file", g->file[0] ? g->file : NULL);
	pp_json_number(j, "line", g->line);
	pp_json_text(j, "verdict", word_of(g->verdict));
	pp_json_real(j, "base", g->base);
	pp_json_real(j, "head", g->head);
	pp_json_real(j, "base_cum", g->base_cum);
	pp_json_real(j, "head_cum", g->head_cum);
	pp_json_real(j, "base_events", g->base_events);
	pp_json_real(j, "head_events", g->head_events);
	json_interval(j, g->ratio, g->low, g->high);
	json_test(j, g->p, g->q, g->detectable);
	json_ratio(j, "tolerance", g->tolerance);
	if (g->verdict == PPROF_RENAMED)
		pp_json_text(j, "was", c->changes[g->other].name);
	if (g->verdict == PPROF_EXPLAINED)
		pp_json_text(j, "explained_by", c->changes[g->other].name);
	pp_json_text(j, "verdict_of", g->by_cum ? "cum" : "flat");
	pp_json_real(j, "blame", g->blame);
	pp_json_bool(j, "own", g->own);
	if (g->cum.judged)
		json_cum(j, &g->cum);
	pp_json_close(j, '}');
}

static void json_side(struct jsonout *j, const char *key, const char *name, const double *totals,
		      size_t n)
{
	pp_json_open(j, key, '{');
	pp_json_text(j, "name", name);
	pp_json_open(j, "totals", '[');
	for (size_t i = 0; i < n; i++)
		pp_json_real(j, NULL, totals[i]);
	pp_json_close(j, ']');
	pp_json_close(j, '}');
}

void show_diff_json(FILE *f, const struct pprof_comparison *c, const struct diff_words *w)
{
	struct jsonout j;

	pp_json_begin(&j, f, JSONOUT_INDENTED);
	pp_json_text(&j, "prowl", PROWL_VERSION);
	pp_json_text(&j, "verdict",
		     c->verdict == PPROF_SAME ? "no regression" : word_of(c->verdict));
	pp_json_text(&j, "why", c->why);
	pp_json_text(&j, "type", c->type);
	pp_json_text(&j, "unit", c->unit);
	pp_json_text(&j, "mode", mode_of(c));
	pp_json_text(&j, "method", "moderated quasi-Poisson, Benjamini-Hochberg");
	pp_json_real(&j, "tolerance", c->options->tolerance);
	pp_json_real(&j, "q", c->options->q);
	pp_json_real(&j, "alpha_total", c->options->alpha);
	pp_json_real(&j, "min_share", c->options->min_share);
	pp_json_real(&j, "run_variation", c->cv);
	pp_json_real(&j, "base_variation", c->base_cv);
	pp_json_real(&j, "total_variation", c->total_cv);
	pp_json_unsigned(&j, "judged_by_flat", c->njudged);
	pp_json_unsigned(&j, "judged_by_cum", c->njudged_cum);
	json_side(&j, "base", w->base, c->totals, c->nbase);
	json_side(&j, "head", w->head, c->totals + c->nbase, c->nhead);
	pp_json_open(&j, "warnings", '[');
	for (size_t i = 0; i < w->nwarnings; i++)
		pp_json_text(&j, NULL, w->warnings[i]);
	pp_json_close(&j, ']');
	json_change(&j, "total", c, &c->total);
	pp_json_open(&j, "functions", '[');
	for (size_t i = 0; i < c->nchanges; i++)
		json_change(&j, NULL, c, &c->changes[i]);
	pp_json_close(&j, ']');
	pp_json_end(&j);
}

/* --- JUnit ----------------------------------------------------------------------- */

/* XML excludes U+FFFE and U+FFFF. */
static size_t xml_control(const char *s)
{
	return !strncmp(s, "\xef\xbf\xbe", 3) || !strncmp(s, "\xef\xbf\xbf", 3) ? 3
										: text_control(s);
}

static void xml_text(FILE *f, const char *s)
{
	while (*s) {
		size_t bad = xml_control(s);

		switch (bad ? '?' : *s) {
		case '&':
			fputs("&amp;", f);
			break;
		case '<':
			fputs("&lt;", f);
			break;
		case '>':
			fputs("&gt;", f);
			break;
		case '"':
			fputs("&quot;", f);
			break;
		default:
			putc(bad ? '?' : *s, f);
		}
		s += bad ? bad : 1;
	}
}

static void junit_case(FILE *f, const struct pprof_comparison *c, const struct pprof_change *g)
{
	char a[TEXT], b[TEXT], r[TEXT], i[TEXT * 3], q[TEXT], at[TEXT * 4], w[TEXT];
	struct figures v = figures_of(g);

	fputs("  <testcase classname=\"prowl.diff.", f);
	xml_text(f, c->type);
	fputs("\" name=\"", f);
	xml_text(f, g->name);
	xml_text(f, place(at, c, g));
	fputs("\">", f);
	if (g == &c->total && c->verdict == PPROF_UNDECIDED) {
		fputs("<skipped message=\"inconclusive: ", f);
		xml_text(f, c->why);
		fputs("\"/>", f);
	} else if (is_bad(g) && c->verdict == PPROF_REGRESSED) {
		fprintf(f, "<failure message=\"%s: ", verdict_text(w, g));
		xml_text(f, value(a, c, g, v.base));
		fputs(" to ", f);
		xml_text(f, value(b, c, g, v.head));
		fprintf(f, ", %s (%s), q %s\"/>", percent(r, v.ratio), interval(i, &v),
			probability(q, v.q));
	}
	fputs("</testcase>\n", f);
}

void show_diff_junit(FILE *f, const struct pprof_comparison *c, const struct diff_words *w)
{
	size_t failures = 0, skipped = c->verdict == PPROF_UNDECIDED, judged = 0;

	for (size_t i = 0; i < c->nchanges; i++)
		judged += c->changes[i].verdict != PPROF_NOT_JUDGED;

	if (c->verdict == PPROF_REGRESSED)
		failures = c->nregressed + is_bad(&c->total);
	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n", f);
	fprintf(f,
		" <testsuite name=\"prowl diff\" tests=\"%zu\" failures=\"%zu\" errors=\"0\" "
		"skipped=\"%zu\">\n",
		judged + 1, failures, skipped);
	junit_case(f, c, &c->total);
	for (size_t i = 0; i < c->nchanges; i++) {
		if (c->changes[i].verdict != PPROF_NOT_JUDGED)
			junit_case(f, c, &c->changes[i]);
	}
	fputs(" </testsuite>\n</testsuites>\n", f);
}

/* --- GitHub ---------------------------------------------------------------------- */

/* Escapes what ends a text (line ends, %), and in a property also colons and commas. */
static void github_text(FILE *f, const char *s, bool property)
{
	while (*s) {
		size_t bad = text_control(s);

		if (bad)
			putc('?', f);
		else if (*s == '%')
			fputs("%25", f);
		else if (property && *s == ':')
			fputs("%3A", f);
		else if (property && *s == ',')
			fputs("%2C", f);
		else
			putc(*s, f);
		s += bad ? bad : 1;
	}
}

/* The path of a file relative to the checkout. */
static const char *in_workspace(const char *file, const char *workspace)
{
	size_t n = workspace ? strlen(workspace) : 0;

	return n && strncmp(file, workspace, n) == 0 && file[n] == '/' ? file + n + 1 : file;
}

static void github_change(FILE *f, const struct pprof_comparison *c, const struct pprof_change *g,
			  const struct diff_words *w)
{
	char a[TEXT], b[TEXT], r[TEXT], i[TEXT * 3], verdict[TEXT];
	struct figures v = figures_of(g);

	fputs("::error ", f);
	if (g->file[0]) {
		fputs("file=", f);
		github_text(f, in_workspace(g->file, w->workspace), true);
		if (g->line > 0)
			fprintf(f, ",line=%lld", (long long)g->line);
		putc(',', f);
	}
	fputs("title=prowl%3A ", f);
	github_text(f, c->type, true);
	fprintf(f, " %s::", verdict_text(verdict, g));
	github_text(f, g->name, false);
	fputs(": ", f);
	github_text(f, value(a, c, g, v.base), false);
	fputs(" to ", f);
	github_text(f, value(b, c, g, v.head), false);
	fputs(", ", f);
	github_text(f, percent(r, v.ratio), false);
	fputs(" (", f);
	/* The per cent signs are escaped, too. */
	github_text(f, interval(i, &v), false);
	fputs(")\n", f);
}

void show_diff_github(FILE *f, const struct pprof_comparison *c, const struct diff_words *w)
{
	size_t n = 0;

	if (c->verdict == PPROF_REGRESSED) {
		if (is_bad(&c->total))
			github_change(f, c, &c->total, w);
		for (size_t i = 0; i < c->nchanges && n < ANNOTATIONS - 1; i++) {
			if (is_bad(&c->changes[i])) {
				github_change(f, c, &c->changes[i], w);
				n++;
			}
		}
		return;
	}
	fprintf(f, "::%s title=prowl::", c->verdict == PPROF_UNDECIDED ? "warning" : "notice");
	if (c->verdict == PPROF_UNDECIDED)
		fprintf(f, "inconclusive: %s\n", c->why);
	else
		fprintf(f, "no regression in %zu functions by flat, %zu by cum\n", c->njudged,
			c->njudged_cum);
}

/* --- profiles -------------------------------------------------------------------- */

char *show_diff_line(const struct pprof_comparison *c, size_t index)
{
	const struct pprof_change *g = index == 0 ? &c->total : &c->changes[index - 1];
	char a[TEXT], b[TEXT], r[TEXT], i[TEXT * 3], w[TEXT], *text;
	struct figures v = figures_of(g);
	int n;

	n = asprintf(&text, "%s: %s, %s to %s, %s (%s)", g->name, verdict_text(w, g),
		     value(a, c, g, v.base), value(b, c, g, v.head), percent(r, v.ratio),
		     interval(i, &v));
	return n < 0 ? NULL : text;
}
