/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of calls as JSON, as it is, or in the page: html/ as it is, with the JSON in it packed
 * with gzip and encoded in base64. So no name can end the element that contains it, and a large
 * profile is a small file.
 */
#include "html.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "calltree.h"
#include "gz.h"
#include "markup.h"
#include "processes.h"
#include "report_options.h"

enum { PACKING = 6 }; /* gzip's level */

/* --- base64 ---------------------------------------------------------------------- */

struct base64 {
	FILE *to;
	uint8_t rest[3];
	unsigned nrest;
};

static void base64_three(FILE *to, const uint8_t b[3], unsigned n)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t v = (uint32_t)b[0] << 16 | (uint32_t)b[1] << 8 | b[2];
	char out[4];

	for (unsigned i = 0; i < 4; i++)
		out[i] = i <= n ? digits[v >> (18 - 6 * i) & 63] : '=';
	fwrite(out, 1, sizeof out, to);
}

static int base64_put(void *ctx, const void *bytes, size_t len)
{
	struct base64 *b = ctx;
	const uint8_t *p = bytes;

	for (size_t i = 0; i < len; i++) {
		b->rest[b->nrest++] = p[i];
		if (b->nrest == 3) {
			base64_three(b->to, b->rest, 3);
			b->nrest = 0;
		}
	}
	return ferror(b->to) ? -EIO : 0;
}

static void base64_finish(struct base64 *b)
{
	if (b->nrest > 0) {
		memset(b->rest + b->nrest, 0, 3 - b->nrest);
		base64_three(b->to, b->rest, b->nrest);
	}
}

/* --- JSON ------------------------------------------------------------------------ */

/* Keeps the first failure; nothing is written after it. */
struct out {
	markup_put put;
	void *to;
	int r;
};

static int gz_put(void *ctx, const void *bytes, size_t len)
{
	return pp_gz_out_put(ctx, bytes, len);
}

static int file_put(void *ctx, const void *bytes, size_t len)
{
	return fwrite(bytes, 1, len, ctx) == len ? 0 : -EIO;
}

__attribute__((format(printf, 2, 3))) static void put(struct out *o, const char *format, ...)
{
	char text[128];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	if (o->r == 0)
		o->r = o->put(o->to, text, (size_t)n);
}

static void put_string(struct out *o, const char *s)
{
	if (o->r == 0)
		o->r = pp_json_string(o->put, o->to, s);
}

static void put_types(struct out *o, const struct pprof_profile *p)
{
	put(o, ",\"types\":[");
	for (size_t i = 0; i < p->nsample_types; i++) {
		put(o, i ? ",[" : "[");
		put_string(o, p->strings[p->sample_types[i].type]);
		put(o, ",");
		put_string(o, p->strings[p->sample_types[i].unit]);
		put(o, "]");
	}
	put(o, "]");
}

static void put_about(struct out *o, const struct pprof_profile *p)
{
	char *several = pp_processes(p);

	if (!several && o->r == 0)
		o->r = -ENOMEM;
	put(o, "\"file\":");
	put_string(o, p->nmappings ? p->strings[p->mappings[0].filename] : "");
	put(o, ",\"buildId\":");
	put_string(o, p->nmappings ? p->strings[p->mappings[0].build_id] : "");
	put(o, ",\"processes\":");
	put_string(o, several ? several : "");
	free(several);
	put(o, ",\"time\":%" PRId64 ",\"duration\":%" PRId64 ",\"comments\":[",
	    p->time_nanos / 1000000, p->duration_nanos);
	for (size_t i = 0; i < p->ncomments; i++) {
		put(o, i ? "," : "");
		put_string(o, p->strings[p->comments[i]]);
	}
	put(o, "]");
}

/*
 * One kind of the functions' texts: a list of the distinct ones, and the index in it for each
 * function.
 */
static void put_column(struct out *o, const struct calltree *t, const char *name, bool files)
{
	const char *last = NULL;
	size_t n = 0;

	put(o, ",\"%s\":[", name);
	for (size_t i = 0; i < t->nfuncs; i++) {
		const char *s = files ? t->funcs[i].file : t->funcs[i].object;

		/*
		 * neighbours by name are mostly neighbours in the source; other repeats are listed
		 * again
		 */
		if (!last || strcmp(s, last) != 0) {
			put(o, n++ ? ",[%zu," : "[%zu,", i);
			put_string(o, s);
			put(o, "]");
		}
		last = s;
	}
	put(o, "]");
}

static void put_funcs(struct out *o, const struct calltree *t)
{
	put(o, ",\"names\":[");
	for (size_t i = 0; i < t->nfuncs; i++) {
		put(o, i ? "," : "");
		put_string(o, t->funcs[i].name);
	}
	put(o, "],\"lines\":[");
	for (size_t i = 0; i < t->nfuncs; i++)
		put(o, "%s%" PRId64, i ? "," : "", t->funcs[i].line);
	put(o, "],\"kinds\":[");
	for (size_t i = 0; i < t->nfuncs; i++)
		put(o, "%s%d", i ? "," : "", (int)t->funcs[i].kind);
	put(o, "]");
	put_column(o, t, "files", true);
	put_column(o, t, "objects", false);
}

/* Each node's function, and how many levels it is above a callee of the node before it. */
static void put_nodes(struct out *o, const struct calltree *t)
{
	put(o, ",\"funcs\":[");
	for (size_t i = 1; i < t->nnodes; i++)
		put(o, i > 1 ? ",%u" : "%u", t->nodes[i].func);
	put(o, "],\"ups\":[");
	for (size_t i = 1; i < t->nnodes; i++)
		put(o, i > 1 ? ",%u" : "%u", t->nodes[i - 1].depth + 1 - t->nodes[i].depth);
	put(o, "]");
}

/* The values that are not 0: pairs of the distance to the one before, and the value. */
static void put_values(struct out *o, const struct calltree *t, size_t column)
{
	size_t last = 0, n = 0;

	put(o, "[");
	for (size_t i = 0; i < t->nnodes; i++) {
		int64_t v = t->self[i * t->nvalues + column];

		if (v == 0)
			continue;
		put(o, "%s%zu,%" PRId64, n++ ? "," : "", i - last, v);
		last = i;
	}
	put(o, "]");
}

static void put_columns(struct out *o, const struct calltree *t, size_t first)
{
	put(o, ",\"values\":[");
	for (size_t i = 0; i < t->ntypes; i++) {
		put(o, i ? "," : "");
		put_values(o, t, first + i);
	}
	put(o, "]");
}

static void put_data(struct out *o, const struct calltree *t, size_t type)
{
	put(o, "{\"version\":1,");
	put_about(o, t->p);
	put_types(o, t->p);
	put(o, ",\"type\":%zu", type);
	put_funcs(o, t);
	put_nodes(o, t);
	put_columns(o, t, 0);
	if (t->npruned)
		put(o, ",\"pruned\":%zu", t->npruned);
	if (t->base) {
		put(o, ",\"base\":{");
		put_about(o, t->base);
		put_columns(o, t, t->ntypes);
		put(o, "}");
	}
	put(o, "}");
}

/* The sample type that is shown first, and the tree. */
static int plant_tree(const struct pprof_profile *p, const struct report_options *o,
		      struct calltree *t, size_t *ret_type)
{
	int r = pprof_find_sample_type(p, o->o.sample_type, ret_type);

	return r < 0 ? r : pp_calltree_init(t, p, &o->o);
}

int pprof_report_flame(const struct pprof_profile *p, const struct pprof_report_options *options,
		       FILE *to)
{
	struct out out = {.put = file_put, .to = to};
	struct report_options o;
	struct calltree t;
	size_t type;
	int r = pp_report_options(&o, options);

	if (r == 0)
		r = plant_tree(p, &o, &t, &type);
	if (r < 0)
		return r;
	if (o.o.nodes)
		r = pp_calltree_prune(&t, o.o.nodes);
	if (r == 0) {
		put_data(&out, &t, type);
		put(&out, "\n");
		r = out.r;
	}
	pp_calltree_fini(&t);
	return r < 0 ? r : ferror(to) ? -EIO : 0;
}

/* --- the page -------------------------------------------------------------------- */

static int write_data(const struct calltree *t, size_t type, FILE *to)
{
	struct base64 b = {.to = to};
	struct gz_out *gz;
	struct out o = {.put = gz_put};
	int r = pp_gz_out_new(PACKING, base64_put, &b, &gz);

	if (r < 0)
		return r;
	o.to = gz;
	put_data(&o, t, type);
	r = o.r < 0 ? o.r : pp_gz_out_finish(gz);
	pp_gz_out_free(gz);
	base64_finish(&b);
	return r;
}

int pprof_report_html(const struct pprof_profile *p, const struct pprof_report_options *options,
		      FILE *to)
{
	struct report_options o;
	struct calltree t;
	char *title;
	size_t type;
	int r = pp_report_options(&o, options);

	if (r == 0)
		r = plant_tree(p, &o, &t, &type);
	if (r < 0)
		return r;
	title = pp_title(p);
	fwrite(pp_html_head, 1, pp_html_head_size, to);
	pp_xml_text(to, title ? title : "profile", 200);
	free(title);
	fwrite(pp_html_body, 1, pp_html_body_size, to);
	r = write_data(&t, type, to);
	fwrite(pp_html_tail, 1, pp_html_tail_size, to);
	pp_calltree_fini(&t);
	return r < 0 ? r : ferror(to) ? -EIO : 0;
}
