/* SPDX-License-Identifier: Apache-2.0 */
/* The model as lines of text. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "top_parts.h"

enum {
	MIN_ALL_COLUMNS = 60, /* below: shares and names only */
	MIN_SHARES = 30,      /* below: one share only */
	WIDE = 110,           /* from here on a file has its folder */
	MIN_FULL_HEAD = 14,   /* lines of the screen */
	MIN_HEAD = 6,
};

static const char *const sort_names[] = {"flat", "cum", "name"};

static const char *const help[] = {
	"up down j k PgUp PgDn g G   choose a row",
	"Enter     callers and callees of the row; on one of these: go to it",
	"s F C N   sort: next, by flat, by cum, by name",
	"a         since the start, or the last seconds",
	"/         show functions and files with this text; Esc: all",
	"f, space  freeze the table; sampling goes on",
	"w         write the profile since the start to a file",
	"q         quit      ^L  draw anew      ?  this",
	"",
	"flat      CPU time in the function itself",
	"cum       in it and what it calls",
	"file:line where most of its own time goes",
};

struct drawing {
	struct top_model *m;
	const struct top_view *v;
	int cols; /* 0: not cut */
	top_put put;
	void *ctx;
	int row; /* the next line */
};

static void put_text(struct drawing *d, enum top_style style, const char *text)
{
	char line[TOP_LINE];

	top_text_fit(line, text, d->cols ? d->cols : TOP_COLUMNS);
	d->put(d->ctx, d->row++, style, line);
}

static void put_line(struct drawing *d, enum top_style style, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void put_line(struct drawing *d, enum top_style style, const char *fmt, ...)
{
	char text[TOP_LINE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	put_text(d, style, text);
}

/* --- the head -------------------------------------------------------------------- */

static void span(const struct top_model *m, const struct top_facts *f, char text[64])
{
	char time[TOP_NUMBER];

	if (m->all)
		snprintf(text, 64, "since the start (%s)",
			 top_text_time(time, (int64_t)f->span_ns));
	else
		snprintf(text, 64, "last %.1f s", (double)f->span_ns / 1e9);
}

static void head_title(struct drawing *d)
{
	const struct top_facts *f = &d->v->facts;
	char when[64];

	span(d->m, f, when);
	put_line(d, TOP_TITLE, "prowl top: %s, %s, %u Hz, by %s", f->who, when, f->rate,
		 sort_names[d->m->sort]);
}

static void head_samples(struct drawing *d)
{
	const struct top_facts *f = &d->v->facts;
	bool bad = f->lost >= 1 || f->truncated >= 5 || f->unknown >= 5;

	put_line(d, bad ? TOP_WARNING : TOP_PLAIN,
		 "CPU %.1f %% of one core, %" PRIu64
		 " samples; lost %.1f %%, truncated %.1f %%, unknown %.1f %%",
		 f->cpu_percent, f->samples, f->lost, f->truncated, f->unknown);
}

/* "12", or "?" where it is unknown. */
static const char *figure(const struct prowl_figures *f, enum prowl_figure which,
			  char text[TOP_NUMBER * 2])
{
	if (f->known[which])
		snprintf(text, TOP_NUMBER * 2, "%" PRId64, f->value[which]);
	else
		strcpy(text, "?");
	return text;
}

static void head_goroutines(struct drawing *d)
{
	const struct prowl_figures *f = &d->v->facts.figures;
	char n[6][TOP_NUMBER * 2], age[40] = "";

	if (!d->v->facts.has_figures) {
		put_line(d, TOP_PLAIN, "goroutines: %s", d->v->facts.why_no_figures);
		return;
	}
	if (d->v->facts.figures_age_ns > 10000000000u)
		snprintf(age, sizeof age, " (%.0f s ago)",
			 (double)d->v->facts.figures_age_ns / 1e9);
	put_line(d, TOP_PLAIN,
		 "goroutines %s%s: %s running, %s runnable, %s waiting, %s syscall; threads %s",
		 figure(f, PROWL_FIGURE_GOROUTINES, n[0]), age,
		 figure(f, PROWL_FIGURE_RUNNING, n[1]), figure(f, PROWL_FIGURE_RUNNABLE, n[2]),
		 figure(f, PROWL_FIGURE_WAITING, n[3]), figure(f, PROWL_FIGURE_SYSCALL, n[4]),
		 figure(f, PROWL_FIGURE_THREADS, n[5]));
}

static void bytes(const struct prowl_figures *f, enum prowl_figure which, char text[TOP_NUMBER * 2])
{
	double v = (double)f->value[which];

	if (!f->known[which])
		strcpy(text, "?");
	else if (v < 1e9)
		snprintf(text, TOP_NUMBER * 2, "%.1f MB", v / 1e6);
	else
		snprintf(text, TOP_NUMBER * 2, "%.1f GB", v / 1e9);
}

static void head_heap(struct drawing *d)
{
	const struct top_facts *t = &d->v->facts;
	const struct prowl_figures *f = &t->figures;
	char live[TOP_NUMBER * 2], goal[TOP_NUMBER * 2], n[TOP_NUMBER * 2], pause[40] = "";
	char own[64];

	snprintf(own, sizeof own, "prowl %.1f %% CPU, %.0f MB", t->own_percent,
		 (double)t->own_bytes / 1e6);
	if (!t->has_figures) {
		put_line(d, TOP_PLAIN, "%s", own);
		return;
	}
	bytes(f, PROWL_FIGURE_HEAP_LIVE, live);
	bytes(f, PROWL_FIGURE_HEAP_GOAL, goal);
	if (f->npauses)
		snprintf(pause, sizeof pause, ", pause %.2f ms", (double)f->pauses[0] / 1e6);
	put_line(d, TOP_PLAIN, "heap %s live, goal %s; GC %s%s; %s", live, goal,
		 figure(f, PROWL_FIGURE_GC_COUNT, n), pause, own);
}

/* --- rows ------------------------------------------------------------------------ */

/* "folder/file.go:12" where there is room for a folder, else "file.go:12". */
static void file_text(const struct drawing *d, const struct pprof_function_row *r, char *text)
{
	const char *from = strrchr(r->file, '/');
	char line[32] = "";

	if (from && d->cols && d->cols >= WIDE) {
		while (from > r->file && from[-1] != '/')
			from--;
	} else {
		from = from ? from + 1 : r->file;
	}
	if (d->cols == 0)
		from = r->file;
	if (r->line > 0)
		snprintf(line, sizeof line, ":%" PRId64, r->line);
	snprintf(text, TOP_LINE, "%.*s%s", TOP_LINE - 64, from, line);
}

static int file_width(int cols)
{
	return cols < MIN_ALL_COLUMNS ? 0 : cols >= WIDE ? cols / 4 : 17;
}

/* The columns up to the name; returns how many they take. */
static int numbers(const struct drawing *d, char *to, const char *flat, const char *flat_share,
		   const char *cum, const char *cum_share)
{
	if (d->cols == 0 || d->cols >= MIN_ALL_COLUMNS)
		return snprintf(to, TOP_LINE, "%7s %6s %7s %6s  ", flat, flat_share, cum,
				cum_share);
	if (d->cols >= MIN_SHARES)
		return snprintf(to, TOP_LINE, "%6s %6s ", flat_share, cum_share);
	return snprintf(to, TOP_LINE, "%6s ", flat_share);
}

/*
 * A name that is too long for its column loses the folders of its package, then its beginning: the
 * end says most.
 */
static const char *short_name(const char *name, int room)
{
	const char *from = name;
	char line[TOP_LINE];

	if (room <= 0 || top_text_fit(line, name, room + 1) <= room)
		return name;
	for (const char *c = name; *c && *c != '(' && *c != '['; c++) {
		if (*c == '/')
			from = c + 1;
	}
	return *from && *from != '(' && *from != '[' ? from : name;
}

/* A line of the table, of which `file` is the last column. */
static void put_cells(struct drawing *d, enum top_style style, const char *marks, const char *cells,
		      int ncells, const char *name, const char *file)
{
	int wide = d->cols ? file_width(d->cols) : 0;
	int room = d->cols - 2 - ncells - (wide ? wide + 1 : 0);
	char left[TOP_LINE], right[TOP_LINE] = "", line[3 * TOP_LINE];

	if (d->cols == 0) {
		top_text_fit_tail(left, name, TOP_COLUMNS);
		top_text_fit_tail(right, file, TOP_COLUMNS);
		snprintf(line, sizeof line, "%s%s%s%s", cells, left, right[0] ? "  " : "", right);
		d->put(d->ctx, d->row++, style, line);
		return;
	}
	top_text_fill_tail(left, short_name(name, room), room);
	if (wide)
		top_text_fill_tail(right, file, wide);
	snprintf(line, sizeof line, "%s%s%s%s%s", marks, cells, left, wide ? " " : "", right);
	put_text(d, style, line);
}

static void put_heads(struct drawing *d)
{
	char cells[TOP_LINE];
	int n = numbers(d, cells, "flat", "flat%", "cum", "cum%");

	put_cells(d, TOP_HEADS, "  ", cells, n, "function", "file:line");
}

static void put_row(struct drawing *d, const struct top_line *l, bool chosen)
{
	const struct pprof_functions *f = d->v->functions;
	const struct pprof_function_row *r = &f->rows[l->row];
	char flat[TOP_NUMBER], share[TOP_NUMBER], cum[TOP_NUMBER], cum_share[TOP_NUMBER];
	char cells[TOP_LINE], file[TOP_LINE];
	char marks[3] = "  ";
	int n = numbers(d, cells, top_text_time(flat, r->flat),
			top_text_percent(share, r->flat, f->total), top_text_time(cum, r->cum),
			top_text_percent(cum_share, r->cum, f->total));

	marks[0] = chosen ? '>' : ' ';
	marks[1] = top_is_open(d->m, r->name) ? '-' : ' ';
	file_text(d, r, file);
	put_cells(d, chosen ? TOP_CHOSEN : TOP_PLAIN, marks, cells, n, r->name, file);
}

/* A caller or callee, below its row; the time is that of the calls. */
static void put_call(struct drawing *d, const struct top_line *l, bool chosen)
{
	const struct pprof_functions *f = d->v->functions;
	char time[TOP_NUMBER], share[TOP_NUMBER], cells[TOP_LINE], name[TOP_LINE];
	const char *word = l->kind == TOP_CALLER ? "  called by " : "  calls ";
	int n, room;
	bool all = d->cols == 0 || d->cols >= MIN_ALL_COLUMNS;

	top_text_percent(share, l->value, f->total);
	n = numbers(d, cells, "", all || d->cols >= MIN_SHARES ? "" : share,
		    top_text_time(time, l->value), share);
	room = d->cols - 2 - n - (int)strlen(word);
	top_text_fit_tail(name, short_name(f->rows[l->other].name, room), room);
	{
		char line[2 * TOP_LINE + 64];

		snprintf(line, sizeof line, "%c %s%s%s", chosen ? '>' : ' ', cells, word, name);
		put_text(d, chosen ? TOP_CHOSEN : TOP_DETAIL, line);
	}
}

static void put_one(struct drawing *d, size_t line)
{
	const struct top_line *l = &d->m->lines[line];
	bool chosen = line == d->m->cursor && d->cols;

	if (l->kind == TOP_ROW)
		put_row(d, l, chosen);
	else
		put_call(d, l, chosen);
}

static void put_nothing(struct drawing *d)
{
	if (d->v->functions->nrows)
		put_line(d, TOP_PLAIN, "  no function or file has \"%s\"", d->m->filter);
	else if (d->m->over[0])
		put_line(d, TOP_PLAIN, "  no sample was taken");
	else
		put_line(d, TOP_PLAIN, "  no sample yet: the process uses hardly any CPU");
}

static void put_body(struct drawing *d, int room)
{
	struct top_model *m = d->m;

	m->page = (size_t)(room > 0 ? room : 0);
	if (room <= 0)
		return;
	if (m->nlines == 0) {
		put_nothing(d);
		return;
	}
	if (m->scroll > m->cursor)
		m->scroll = m->cursor;
	if (m->cursor >= m->scroll + m->page)
		m->scroll = m->cursor - m->page + 1;
	if (m->scroll + m->page > m->nlines)
		m->scroll = m->nlines > m->page ? m->nlines - m->page : 0;
	for (size_t i = m->scroll; i < m->nlines && i < m->scroll + m->page; i++)
		put_one(d, i);
}

static void put_help(struct drawing *d, int room)
{
	for (size_t i = 0; i < sizeof help / sizeof *help && (int)i < room; i++)
		put_line(d, TOP_PLAIN, "  %s", help[i]);
}

static void put_status(struct drawing *d)
{
	const struct top_model *m = d->m;

	if (m->typing)
		put_line(d, TOP_STATUS, "filter: %s_", m->filter);
	else if (m->message[0])
		put_line(d, TOP_STATUS, "%s", m->message);
	else if (m->over[0])
		put_line(d, TOP_STATUS, "%s: the last table; q quit, w write", m->over);
	else if (m->filter[0])
		put_line(d, TOP_STATUS, "%sfilter \"%s\": %zu of %zu functions; Esc shows all",
			 m->frozen ? "FROZEN  " : "", m->filter, m->norder, d->v->functions->nrows);
	else
		put_line(d, TOP_STATUS,
			 "%sq quit  ? help  s sort  a %s  / filter  f %s  Enter callers  w write",
			 m->frozen ? "FROZEN  " : "", m->all ? "last seconds" : "all",
			 m->frozen ? "go on" : "freeze");
}

static void put_head(struct drawing *d, bool full)
{
	head_title(d);
	head_samples(d);
	if (!full)
		return;
	head_goroutines(d);
	head_heap(d);
}

void top_model_draw(struct top_model *m, int rows, int cols, top_put put, void *ctx)
{
	struct drawing d = {.m = m, .v = top_model_view(m), .cols = cols, .put = put, .ctx = ctx};

	if (rows < 1 || cols < 1)
		return;
	if (rows >= MIN_HEAD)
		put_head(&d, rows >= MIN_FULL_HEAD);
	if (m->help) {
		put_help(&d, rows - d.row - 1);
	} else {
		if (rows >= 4)
			put_heads(&d);
		put_body(&d, rows - d.row - (rows > 1));
	}
	if (rows > 1) {
		d.row = rows - 1;
		put_status(&d);
	}
}

void top_model_print(struct top_model *m, size_t n, top_put put, void *ctx)
{
	struct drawing d = {.m = m, .v = top_model_view(m), .put = put, .ctx = ctx};

	put_head(&d, true);
	put_heads(&d);
	for (size_t i = 0; i < m->nlines && i < n; i++)
		put_one(&d, i);
}
