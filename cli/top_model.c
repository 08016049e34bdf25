/* SPDX-License-Identifier: Apache-2.0 */
#include "top_model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "top_parts.h"

/* --- views ----------------------------------------------------------------------- */

static struct top_view *shown(struct top_model *m)
{
	return m->all ? &m->since_start : &m->recent;
}

const struct top_view *top_model_view(const struct top_model *m)
{
	return m->all ? &m->since_start : &m->recent;
}

size_t top_model_rows(const struct top_model *m, const uint32_t **ret_rows)
{
	*ret_rows = m->order;
	return m->norder;
}

int top_model_new(enum top_sort sort, struct top_model **ret)
{
	struct top_model *m = calloc(1, sizeof *m);
	int r;

	if (!m)
		return -ENOMEM;
	m->sort = sort;
	r = pprof_functions_new(NULL, NULL, &m->recent.functions);
	if (r == 0)
		r = pprof_functions_new(NULL, NULL, &m->since_start.functions);
	if (r < 0) {
		top_model_free(m);
		return r;
	}
	*ret = m;
	return 0;
}

void top_model_free(struct top_model *m)
{
	if (!m)
		return;
	pprof_functions_free(m->recent.functions);
	pprof_functions_free(m->since_start.functions);
	for (size_t i = 0; i < m->nopen; i++)
		free(m->open[i]);
	free(m->open);
	free(m->order);
	free(m->lines);
	free(m->chosen);
	free(m);
}

/* --- rows in order --------------------------------------------------------------- */

struct sorting {
	const struct pprof_function_row *rows;
	enum top_sort by;
};

static int descending(int64_t a, int64_t b)
{
	return (a < b) - (a > b);
}

static int compare(const void *a, const void *b, void *ctx)
{
	const struct sorting *s = ctx;
	const struct pprof_function_row *x = &s->rows[*(const uint32_t *)a];
	const struct pprof_function_row *y = &s->rows[*(const uint32_t *)b];
	int d = 0;

	if (s->by == TOP_BY_FLAT)
		d = descending(x->flat, y->flat);
	if (s->by != TOP_BY_NAME && d == 0)
		d = descending(x->cum, y->cum);
	if (s->by == TOP_BY_CUM && d == 0)
		d = descending(x->flat, y->flat);
	return d ? d : strcmp(x->name, y->name);
}

static bool passes(const struct top_model *m, const struct pprof_function_row *row)
{
	return !m->filter[0] || strcasestr(row->name, m->filter) ||
	       strcasestr(row->file, m->filter);
}

static int put_in_order(struct top_model *m)
{
	const struct pprof_functions *f = shown(m)->functions;
	struct sorting s = {f->rows, m->sort};
	uint32_t *order = malloc((f->nrows + 1) * sizeof *order);
	size_t n = 0;

	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < f->nrows; i++) {
		if (passes(m, &f->rows[i]))
			order[n++] = (uint32_t)i;
	}
	qsort_r(order, n, sizeof *order, compare, &s);
	free(m->order);
	m->order = order;
	m->norder = n;
	return 0;
}

/* --- what is open ---------------------------------------------------------------- */

static size_t find_open(const struct top_model *m, const char *name)
{
	size_t i = 0;

	while (i < m->nopen && strcmp(m->open[i], name) != 0)
		i++;
	return i;
}

bool top_is_open(const struct top_model *m, const char *name)
{
	return find_open(m, name) < m->nopen;
}

static void toggle_open(struct top_model *m, const char *name)
{
	size_t i = find_open(m, name);
	char **bigger, *copy;

	if (i < m->nopen) {
		free(m->open[i]);
		m->open[i] = m->open[--m->nopen];
		return;
	}
	bigger = reallocarray(m->open, m->nopen + 1, sizeof *bigger);
	if (!bigger)
		return;
	m->open = bigger;
	copy = strdup(name);
	if (copy)
		m->open[m->nopen++] = copy;
}

/* --- lines: rows, with callers and callees of the open ones ----------------------- */

static int add_line(struct top_model *m, struct top_line line)
{
	if (m->nlines == m->cap_lines) {
		size_t cap = m->cap_lines ? 2 * m->cap_lines : 256;
		struct top_line *bigger = reallocarray(m->lines, cap, sizeof *bigger);

		if (!bigger)
			return -ENOMEM;
		m->lines = bigger;
		m->cap_lines = cap;
	}
	m->lines[m->nlines++] = line;
	return 0;
}

static int by_value(const void *a, const void *b)
{
	const struct top_line *x = a, *y = b;

	return x->value != y->value ? descending(x->value, y->value)
				    : (x->other > y->other) - (x->other < y->other);
}

/* The callers (or callees) of a row, the largest first. */
static int add_calls(struct top_model *m, uint32_t row, enum top_line_kind kind)
{
	const struct pprof_functions *f = shown(m)->functions;
	size_t first = m->nlines;
	int r = 0;

	for (size_t i = 0; r == 0 && i < f->ncalls; i++) {
		const struct pprof_call *c = &f->calls[i];
		bool caller = kind == TOP_CALLER;

		if ((caller ? c->to : c->from) == row)
			r = add_line(m, (struct top_line){.kind = kind,
							  .row = row,
							  .other = caller ? c->from : c->to,
							  .value = c->value});
	}
	qsort(m->lines + first, m->nlines - first, sizeof *m->lines, by_value);
	if (m->nlines - first > TOP_SHOWN_CALLS)
		m->nlines = first + TOP_SHOWN_CALLS;
	return r;
}

static void make_lines(struct top_model *m)
{
	const struct pprof_functions *f = shown(m)->functions;
	int r = 0;

	m->nlines = 0;
	for (size_t i = 0; r == 0 && i < m->norder; i++) {
		uint32_t row = m->order[i];

		r = add_line(m, (struct top_line){.kind = TOP_ROW, .row = row});
		if (r < 0 || m->nopen == 0 || !top_is_open(m, f->rows[row].name))
			continue;
		r = add_calls(m, row, TOP_CALLER);
		if (r == 0)
			r = add_calls(m, row, TOP_CALLEE);
	}
}

/* --- the cursor ------------------------------------------------------------------ */

static void choose(struct top_model *m, size_t line)
{
	size_t row;

	if (m->nlines == 0) {
		m->cursor = 0;
		return;
	}
	m->cursor = line < m->nlines ? line : m->nlines - 1;
	for (row = m->cursor; row > 0 && m->lines[row].kind != TOP_ROW; row--)
		;
	m->below = m->cursor - row;
	free(m->chosen);
	m->chosen = strdup(shown(m)->functions->rows[m->lines[row].row].name);
}

/* The line of a function; nlines: it is not there. */
static size_t line_of(const struct top_model *m, const char *name)
{
	const struct pprof_functions *f = top_model_view(m)->functions;

	for (size_t i = 0; i < m->nlines; i++) {
		if (m->lines[i].kind == TOP_ROW && !strcmp(f->rows[m->lines[i].row].name, name))
			return i;
	}
	return m->nlines;
}

/* Once it was moved, the cursor stays on its function, wherever that goes. */
static void follow(struct top_model *m)
{
	size_t at = m->moved && m->chosen ? line_of(m, m->chosen) : m->nlines;

	if (at == m->nlines) {
		m->cursor = m->cursor < m->nlines ? m->cursor : m->nlines ? m->nlines - 1 : 0;
		if (!m->moved)
			m->cursor = 0;
		return;
	}
	m->cursor = at;
	for (size_t i = 0; i < m->below && at + i + 1 < m->nlines; i++) {
		if (m->lines[at + i + 1].kind == TOP_ROW)
			break;
		m->cursor++;
	}
}

static void rebuild(struct top_model *m)
{
	if (put_in_order(m) == 0)
		make_lines(m);
	else
		m->nlines = m->norder = 0;
	follow(m);
}

static void move(struct top_model *m, long by)
{
	long to = (long)m->cursor + by;

	m->moved = true;
	choose(m, to > 0 ? (size_t)to : 0);
}

static void open_or_go(struct top_model *m)
{
	const struct pprof_functions *f = shown(m)->functions;
	const struct top_line *l;
	size_t at;

	if (m->cursor >= m->nlines)
		return;
	l = &m->lines[m->cursor];
	m->moved = true;
	if (l->kind == TOP_ROW) {
		choose(m, m->cursor);
		toggle_open(m, f->rows[l->row].name);
		make_lines(m);
		follow(m);
		return;
	}
	at = line_of(m, f->rows[l->other].name);
	if (at < m->nlines)
		choose(m, at);
	else
		top_model_message(m, "that function is filtered out");
}

/* --- new tables ------------------------------------------------------------------ */

static void take(struct top_view *to, const struct top_view *from)
{
	if (!from->functions)
		return;
	pprof_functions_free(to->functions);
	*to = *from;
}

bool top_model_wants_all(const struct top_model *m)
{
	return m->all || m->catch_up;
}

void top_model_update(struct top_model *m, const struct top_view *recent,
		      const struct top_view *all)
{
	if (m->frozen && !m->catch_up) {
		pprof_functions_free(recent->functions);
		pprof_functions_free(all->functions);
		return;
	}
	m->catch_up = false;
	take(&m->recent, recent);
	take(&m->since_start, all);
	rebuild(m);
}

void top_model_message(struct top_model *m, const char *text)
{
	snprintf(m->message, sizeof m->message, "%s", text ? text : "");
}

void top_model_over(struct top_model *m, const char *why)
{
	snprintf(m->over, sizeof m->over, "%s", why);
}

/* --- keys ------------------------------------------------------------------------ */

static size_t last_character(const char *s)
{
	size_t n = strlen(s);

	while (n > 0 && ((unsigned char)s[--n] & 0xc0) == 0x80)
		;
	return n;
}

static void type(struct top_model *m, int key)
{
	size_t n = strlen(m->filter);

	if (key == TOP_KEY_ENTER || key == '\r') {
		m->typing = false;
	} else if (key == TOP_KEY_ESCAPE) {
		m->typing = false;
		strcpy(m->filter, m->old_filter);
	} else if (key == TOP_KEY_BACKSPACE || key == '\b') {
		m->filter[last_character(m->filter)] = '\0';
	} else if (key == 21) { /* ^U */
		m->filter[0] = '\0';
	} else if (key >= ' ' && key < 256 && key != 127 && n + 1 < sizeof m->filter) {
		m->filter[n] = (char)key; /* a byte of UTF-8, too */
		m->filter[n + 1] = '\0';
	}
	rebuild(m);
}

static bool move_key(struct top_model *m, int key)
{
	long page = m->page > 1 ? (long)m->page - 1 : 1;

	switch (key) {
	case TOP_KEY_UP:
	case 'k':
		move(m, -1);
		return true;
	case TOP_KEY_DOWN:
	case 'j':
		move(m, 1);
		return true;
	case TOP_KEY_PAGE_UP:
		move(m, -page);
		return true;
	case TOP_KEY_PAGE_DOWN:
		move(m, page);
		return true;
	case TOP_KEY_HOME:
	case 'g':
		m->moved = false;
		choose(m, 0);
		return true;
	case TOP_KEY_END:
	case 'G':
		move(m, (long)m->nlines);
		return true;
	default:
		return false;
	}
}

static void sort_by(struct top_model *m, enum top_sort by)
{
	m->sort = by;
	rebuild(m);
}

static void begin_filter(struct top_model *m)
{
	m->typing = true;
	strcpy(m->old_filter, m->filter);
	m->filter[0] = '\0';
	rebuild(m);
}

static enum top_action command(struct top_model *m, int key)
{
	switch (key) {
	case 'q':
	case 'Q':
		return TOP_QUIT;
	case 'w':
		return TOP_WRITE;
	case 12: /* ^L */
		return TOP_REPAINT;
	case '?':
	case 'h':
		m->help = true;
		break;
	case ' ':
	case 'f':
		m->frozen = !m->frozen;
		m->catch_up = m->frozen;
		return TOP_UPDATE;
	case 'a':
		m->all = !m->all;
		rebuild(m);
		return TOP_UPDATE;
	case 's':
		sort_by(m, (m->sort + 1) % TOP_SORTS);
		break;
	case 'F':
		sort_by(m, TOP_BY_FLAT);
		break;
	case 'C':
		sort_by(m, TOP_BY_CUM);
		break;
	case 'N':
		sort_by(m, TOP_BY_NAME);
		break;
	case '/':
		begin_filter(m);
		break;
	case TOP_KEY_ESCAPE:
		m->filter[0] = '\0';
		rebuild(m);
		break;
	case TOP_KEY_ENTER:
	case '\r':
		open_or_go(m);
		break;
	default:
		break;
	}
	return TOP_NOTHING;
}

enum top_action top_model_key(struct top_model *m, int key)
{
	if (key == TOP_KEY_NONE)
		return TOP_NOTHING;
	m->message[0] = '\0';
	if (m->typing) {
		type(m, key);
		return TOP_NOTHING;
	}
	if (m->help) {
		m->help = false;
		return key == 'q' || key == 'Q' ? TOP_QUIT : TOP_NOTHING;
	}
	return move_key(m, key) ? TOP_NOTHING : command(m, key);
}
