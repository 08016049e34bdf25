/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flame graph as a picture: the root above, widths by value, the widest callee to the left. It is
 * whole without a script; the one in it zooms and searches where scripts run.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "calltree.h"
#include "html.h"
#include "markup.h"
#include "processes.h"
#include "report_options.h"
#include "units.h"

enum { WIDTH = 1200, ROW = 18, ABOVE = 62, BELOW = 28, TITLE_LIMIT = 2000, MAX_ROWS = 2000 };

static const double narrowest = 0.1; /* narrower frames are merged with their neighbours */
static const double letter = 7.23;   /* of the font, at its size */

static const char *const kinds[] = {"Go", "Go runtime", "kernel", "C and others", "not code"};

struct child {
	uint32_t node;
	double size;
};

struct picture {
	const struct calltree *t;
	size_t type;
	FILE *to;
	int64_t *net, *old; /* of each node with its callees; old: the base's */
	double *size;       /* the same, negative values counted as positive ones: the width */
	double *x;
	struct child *children; /* of one node at a time */
};

/* --- values ---------------------------------------------------------------------- */

static int64_t plus(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

static int sum_up(struct picture *s)
{
	const struct calltree *t = s->t;

	s->net = calloc(t->nnodes, sizeof *s->net);
	s->old = calloc(t->nnodes, sizeof *s->old);
	s->size = calloc(t->nnodes, sizeof *s->size);
	s->x = calloc(t->nnodes, sizeof *s->x);
	s->children = calloc(t->nnodes, sizeof *s->children);
	if (!s->net || !s->old || !s->size || !s->x || !s->children)
		return -ENOMEM;
	for (size_t i = t->nnodes; i-- > 0;) {
		const int64_t *self = t->self + i * t->nvalues;
		uint32_t up = t->nodes[i].parent;

		s->net[i] = plus(s->net[i], self[s->type]);
		s->size[i] += (double)magnitude(self[s->type]);
		if (t->base)
			s->old[i] = plus(s->old[i], self[t->ntypes + s->type]);
		if (i > 0) {
			s->net[up] = plus(s->net[up], s->net[i]);
			s->old[up] = plus(s->old[up], s->old[i]);
			s->size[up] += s->size[i];
		}
	}
	return 0;
}

static double width_of(const struct picture *s, double size)
{
	return s->size[0] > 0 ? size / s->size[0] * WIDTH : 0;
}

static bool is_shown(const struct picture *s, size_t node)
{
	return width_of(s, s->size[node]) >= narrowest && s->t->nodes[node].depth < MAX_ROWS;
}

static uint32_t count_rows(const struct picture *s)
{
	uint32_t deepest = 0;

	/* one more, for frames that are too narrow below the deepest */
	for (size_t i = 0; i < s->t->nnodes; i++)
		if (is_shown(s, i) && s->t->nodes[i].depth > deepest)
			deepest = s->t->nodes[i].depth;
	return deepest + 2;
}

/* --- words ----------------------------------------------------------------------- */

static const char *unit_of(const struct picture *s)
{
	return s->t->p->strings[s->t->p->sample_types[s->type].unit];
}

static void put_value(const struct picture *s, int64_t v)
{
	char text[UNITS_TEXT];

	pp_xml_text(s->to, pp_units_format(text, v, pp_units_fit(v, unit_of(s))), 0);
}

static void put_share(const struct picture *s, int64_t v)
{
	char text[UNITS_TEXT];
	double whole = s->size[0] < 9e18 ? s->size[0] : 9e18;

	pp_units_percent(text, v, (int64_t)whole);
	fputs(text + strspn(text, " "), s->to);
}

static const char *name_of(const struct picture *s, size_t node)
{
	return node ? s->t->funcs[s->t->nodes[node].func].name : "all";
}

/* Columns of the letters of s; wide ones count twice. */
static int columns(const char *s)
{
	int n = 0;

	for (; *s && n <= WIDTH; s++)
		if (((unsigned char)*s & 0xc0) != 0x80)
			n += (unsigned char)*s < 0x80 ? 1 : 2;
	return n;
}

/* The name without the path of the package: "http.(*T).f" of "net/http.(*T).f". */
static const char *without_path(const char *name)
{
	size_t end = strcspn(name, "[(");

	while (end > 0 && name[end - 1] != '/')
		end--;
	return name[end] ? name + end : name;
}

/* As much of the name as fits. */
static void put_label(const struct picture *s, const char *name, double x, double width,
		      uint32_t row)
{
	int room = (int)((width - 6) / letter), used = 0;
	size_t n = 0;

	if (room < 3)
		return;
	fprintf(s->to, "<text x=\"%.2f\" y=\"%u\">", x + 3, ABOVE + row * ROW + 13);
	if (columns(name) > room)
		name = without_path(name);
	if (columns(name) <= room) {
		pp_xml_text(s->to, name, 0);
	} else {
		while (used <= room - 2) {
			used += (unsigned char)name[n] < 0x80 ? 1 : 2;
			do
				n++;
			while (((unsigned char)name[n] & 0xc0) == 0x80);
		}
		pp_xml_text(s->to, name, n);
	}
	fputs("</text>", s->to);
}

/* --- frames ---------------------------------------------------------------------- */

/* Classes of a comparison: p1 to p3 for more, m1 to m3 for less, d0 for nearly the same. */
static void put_change_class(const struct picture *s, size_t node)
{
	double now = (double)s->net[node], old = (double)s->old[node];
	double most = fmax(fabs(now), fabs(old)), change = most > 0 ? (now - old) / most : 0;
	int much = (int)ceil(fabs(change) * 1.5 * 3 - 0.03);

	if (much <= 0)
		fputs("d0", s->to);
	else
		fprintf(s->to, "%c%d", change > 0 ? 'p' : 'm', much > 3 ? 3 : much);
}

static void put_class(const struct picture *s, size_t node)
{
	const struct tree_func *f = node ? &s->t->funcs[s->t->nodes[node].func] : NULL;

	if (s->t->base)
		put_change_class(s, node);
	else
		fprintf(s->to, "k%d s%u", f ? (int)f->kind : (int)KIND_OTHER,
			f ? s->t->nodes[node].func % 3 : 0);
}

static void put_title(const struct picture *s, size_t node)
{
	pp_xml_text(s->to, name_of(s, node), TITLE_LIMIT);
	fputc('\n', s->to);
	put_value(s, s->net[node]);
	fputs(" (", s->to);
	put_share(s, s->net[node]);
	fputc(')', s->to);
	if (node)
		fprintf(s->to, ", %s", kinds[s->t->funcs[s->t->nodes[node].func].kind]);
	if (s->t->base) {
		int64_t change = (int64_t)((uint64_t)s->net[node] - (uint64_t)s->old[node]);

		fputs("; before ", s->to);
		put_value(s, s->old[node]);
		fputs(change > 0 ? ", change +" : ", change ", s->to);
		put_value(s, change);
	}
}

static void put_rect(const struct picture *s, double x, double width, uint32_t row)
{
	fprintf(s->to, "<rect x=\"%.2f\" y=\"%u\" width=\"%.2f\" height=\"%d\"/>", x,
		ABOVE + row * ROW, width, ROW - 1);
}

static void put_frame(const struct picture *s, size_t node)
{
	double width = width_of(s, s->size[node]);

	fputs("<g class=\"", s->to);
	put_class(s, node);
	fputs("\"><title>", s->to);
	put_title(s, node);
	fputs("</title>", s->to);
	put_rect(s, s->x[node], width, s->t->nodes[node].depth);
	put_label(s, name_of(s, node), s->x[node], width, s->t->nodes[node].depth);
	fputs("</g>\n", s->to);
}

static void put_small(const struct picture *s, size_t n, double x, double size, uint32_t row)
{
	char name[48];

	if (width_of(s, size) < narrowest)
		return;
	snprintf(name, sizeof name, row < MAX_ROWS ? "(%zu small)" : "(%zu deeper)", n);
	fprintf(s->to, "<g class=\"small\"><title>%s\n", name);
	put_share(s, (int64_t)fmin(size, 9e18));
	fputs("</title>", s->to);
	put_rect(s, x, width_of(s, size), row);
	put_label(s, name, x, width_of(s, size), row);
	fputs("</g>\n", s->to);
}

static int widest_first(const void *va, const void *vb)
{
	const struct child *a = va, *b = vb;

	if (a->size != b->size)
		return a->size > b->size ? -1 : 1;
	return a->node < b->node ? -1 : a->node > b->node;
}

/* Places the callees of a shown node. */
static void place_children(const struct picture *s, uint32_t node)
{
	const struct tree_node *nodes = s->t->nodes;
	double x = s->x[node], small = 0;
	size_t n = 0, nsmall = 0;

	for (uint32_t c = node + 1; c < nodes[node].end; c = nodes[c].end)
		s->children[n++] = (struct child){c, s->size[c]};
	qsort(s->children, n, sizeof *s->children, widest_first);
	for (size_t i = 0; i < n; i++) {
		const struct child *c = &s->children[i];

		if (is_shown(s, c->node)) {
			s->x[c->node] = x;
			x += width_of(s, c->size);
		} else if (c->size > 0) {
			small += c->size;
			nsmall++;
		}
	}
	put_small(s, nsmall, x, small, nodes[node].depth + 1);
}

/* --- the picture ----------------------------------------------------------------- */

static void put_head(const struct picture *s, uint32_t height)
{
	const struct pprof_profile *p = s->t->p;
	char *title = pp_title(p);

	fprintf(s->to,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%u\" "
		"viewBox=\"0 0 %d %u\" role=\"img\" aria-labelledby=\"what\">\n<style><![CDATA[\n",
		WIDTH, height, WIDTH, height);
	fwrite(pp_svg_style, 1, pp_svg_style_size, s->to);
	fputs("]]></style>\n<text id=\"what\" class=\"big\" x=\"3\" y=\"20\">", s->to);
	pp_xml_text(s->to, title ? title : "profile", 60);
	free(title);
	fputs(": ", s->to);
	pp_xml_text(s->to, p->strings[p->sample_types[s->type].type], 40);
	fputc(' ', s->to);
	put_value(s, s->net[0]);
	if (p->duration_nanos) {
		char text[UNITS_TEXT];

		fprintf(s->to, " in %s",
			pp_units_format(text, p->duration_nanos,
					pp_units_fit(p->duration_nanos, "nanoseconds")));
	}
	if (s->t->base) {
		fputs("; before ", s->to);
		put_value(s, s->old[0]);
	}
	fputs("</text>\n", s->to);
}

static void put_legend(const struct picture *s)
{
	static const char *const changes[] = {"more (+)", "less (\xe2\x88\x92)"};
	int n = s->t->base ? 2 : 4;

	for (int i = 0; i < n; i++) {
		int x = 3 + 130 * i;

		/* not a g: each g is a frame */
		fprintf(s->to,
			"<a class=\"%s%d\"><rect x=\"%d\" y=\"32\" width=\"12\" height=\"12\"/></a>"
			"<text x=\"%d\" y=\"43\">%s</text>\n",
			s->t->base ? (i ? "m" : "p") : "k", s->t->base ? 3 : i, x, x + 18,
			s->t->base ? changes[i] : kinds[i]);
	}
	fprintf(s->to,
		"<text id=\"words\" x=\"%d\" y=\"43\"></text>"
		"<text id=\"out\" class=\"act gone\" x=\"%d\" y=\"20\">Zoom out</text>"
		"<text id=\"find\" class=\"act gone\" x=\"%d\" y=\"20\">Search</text>\n",
		WIDTH / 2, WIDTH - 140, WIDTH - 60);
}

static void draw(const struct picture *s)
{
	uint32_t height = ABOVE + count_rows(s) * ROW + BELOW;

	put_head(s, height);
	put_legend(s);
	if (s->size[0] == 0)
		fprintf(s->to, "<text x=\"3\" y=\"%d\">The profile has no samples.</text>\n",
			ABOVE + 13);
	for (size_t i = 0; i < s->t->nnodes; i++) {
		if (!is_shown(s, i))
			continue;
		put_frame(s, i);
		place_children(s, i);
	}
	fprintf(s->to, "<text id=\"detail\" x=\"3\" y=\"%u\"></text>\n<script><![CDATA[\n",
		height - 10);
	fwrite(pp_svg_script, 1, pp_svg_script_size, s->to);
	fputs("]]></script>\n</svg>\n", s->to);
}

int pprof_report_svg(const struct pprof_profile *p, const struct pprof_report_options *options,
		     FILE *to)
{
	struct report_options o;
	struct calltree t;
	struct picture s = {.t = &t, .to = to};
	int r = pp_report_options(&o, options);

	if (r == 0)
		r = pprof_find_sample_type(p, o.o.sample_type, &s.type);
	if (r == 0)
		r = pp_calltree_init(&t, p, &o.o);
	if (r < 0)
		return r;
	r = sum_up(&s);
	if (r == 0) {
		draw(&s);
		r = ferror(to) ? -EIO : 0;
	}
	free(s.net);
	free(s.old);
	free(s.size);
	free(s.x);
	free(s.children);
	pp_calltree_fini(&t);
	return r;
}
