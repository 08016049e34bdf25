/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "graph.h"
#include "report_options.h"

/* --- folded ---------------------------------------------------------------------- */

struct folding {
	struct graph g;
	uint32_t *frames; /* of all samples, root first */
	size_t *first;    /* of each sample; one more at the end */
	uint32_t *order;
	uint32_t *rank; /* of nodes, by name */
};

static int name_order(const void *va, const void *vb, void *ctx)
{
	const struct graph *g = ctx;

	return strcmp(g->nodes[*(const uint32_t *)va].name, g->nodes[*(const uint32_t *)vb].name);
}

/*
 * Replaces frames by ranks of names, so that equal names are one frame and the order is that of the
 * text.
 */
static int rank_names(struct folding *f)
{
	struct graph *g = &f->g;
	uint32_t *order = malloc((g->nnodes + 1) * sizeof *order);

	f->rank = malloc((g->nnodes + 1) * sizeof *f->rank);
	if (!order || !f->rank) {
		free(order);
		return -ENOMEM;
	}
	for (size_t i = 0; i < g->nnodes; i++)
		order[i] = i;
	qsort_r(order, g->nnodes, sizeof *order, name_order, g);
	for (size_t i = 0; i < g->nnodes; i++) {
		bool same = i > 0 && name_order(&order[i], &order[i - 1], g) == 0;

		f->rank[order[i]] = same ? f->rank[order[i - 1]] : order[i];
	}
	free(order);
	return 0;
}

static size_t sample_depth(const struct folding *f, size_t index)
{
	const struct pprof_profile *p = f->g.p;
	const uint32_t *stack = pprof_sample_stack(p, index), *nodes;
	size_t depth = 0;

	for (size_t i = 0; i < p->samples[index].nlocations; i++)
		depth += pp_graph_location(&f->g, stack[i], &nodes);
	return depth;
}

static void sample_frames(struct folding *f, size_t index)
{
	const struct pprof_profile *p = f->g.p;
	const uint32_t *stack = pprof_sample_stack(p, index), *nodes;
	uint32_t *to = f->frames + f->first[index];

	for (size_t i = p->samples[index].nlocations; i-- > 0;)
		for (size_t j = pp_graph_location(&f->g, stack[i], &nodes); j-- > 0;)
			*to++ = f->rank[nodes[j]];
}

static int fold(struct folding *f)
{
	size_t n = f->g.p->nsamples;

	f->first = calloc(n + 1, sizeof *f->first);
	f->order = malloc((n + 1) * sizeof *f->order);
	if (!f->first || !f->order || rank_names(f) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		f->order[i] = i;
		f->first[i + 1] = f->first[i] + sample_depth(f, i);
	}
	f->frames = malloc((f->first[n] + 1) * sizeof *f->frames);
	if (!f->frames)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		sample_frames(f, i);
	return 0;
}

static int stack_order(const void *va, const void *vb, void *ctx)
{
	const struct folding *f = ctx;
	uint32_t a = *(const uint32_t *)va, b = *(const uint32_t *)vb;
	const uint32_t *fa = f->frames + f->first[a], *fb = f->frames + f->first[b];
	size_t na = f->first[a + 1] - f->first[a], nb = f->first[b + 1] - f->first[b];

	for (size_t i = 0; i < na && i < nb; i++)
		if (fa[i] != fb[i])
			return strcmp(f->g.nodes[fa[i]].name, f->g.nodes[fb[i]].name);
	return na < nb ? -1 : na > nb;
}

static void print_stack(const struct folding *f, uint32_t sample, int64_t value, FILE *to)
{
	for (size_t i = f->first[sample]; i < f->first[sample + 1]; i++) {
		if (i > f->first[sample])
			fputc(';', to);
		for (const char *s = f->g.nodes[f->frames[i]].name; *s; s++)
			fputc(*s == ';' ? ':' : *s, to);
	}
	fprintf(to, " %" PRId64 "\n", value);
}

static void print_folded(struct folding *f, FILE *to)
{
	const struct pprof_profile *p = f->g.p;

	qsort_r(f->order, p->nsamples, sizeof *f->order, stack_order, f);
	for (size_t i = 0, next; i < p->nsamples; i = next) {
		uint64_t sum = 0;

		for (next = i;
		     next < p->nsamples && stack_order(&f->order[i], &f->order[next], f) == 0;
		     next++)
			sum += (uint64_t)pprof_sample_values(p, f->order[next])[f->g.type];
		if (sum != 0 && f->first[f->order[i] + 1] > f->first[f->order[i]])
			print_stack(f, f->order[i], (int64_t)sum, to);
	}
}

int pprof_report_folded(const struct pprof_profile *p, const struct pprof_report_options *options,
			FILE *to)
{
	struct folding f = {0};
	struct report_options o;
	int r = pp_report_options(&o, options);

	if (r < 0)
		return r;
	r = pp_graph_init(&f.g, p, o.o.sample_type);
	if (r < 0)
		return r;
	r = fold(&f);
	if (r == 0) {
		print_folded(&f, to);
		r = ferror(to) ? -EIO : 0;
	}
	pp_graph_fini(&f.g);
	free(f.frames);
	free(f.first);
	free(f.order);
	free(f.rank);
	return r;
}

/* --- the table ------------------------------------------------------------------- */

static int write_pprof(const struct pprof_profile *p, const struct pprof_report_options *options,
		       FILE *to)
{
	uint8_t *bytes;
	size_t len;
	int r = pprof_encode(p, PPROF_LEVEL_DEFAULT, &bytes, &len);

	if (r < 0)
		return r;
	if (fwrite(bytes, 1, len, to) != len)
		r = -EIO;
	free(bytes);
	return r;
}

static int write_pgo(const struct pprof_profile *p, const struct pprof_report_options *options,
		     FILE *to)
{
	struct pprof_profile *made;
	int r = pprof_pgo(p, &made, NULL, NULL);

	if (r < 0)
		return r;
	r = write_pprof(made, options, to);
	pprof_profile_free(made);
	return r;
}

static const char text[] = "text/plain; charset=utf-8", json[] = "application/json",
		  bytes[] = "application/octet-stream";

static const struct pprof_exporter exporters[] = {
	{"pprof", NULL, ".pb.gz", bytes, "the profile itself, as go tool pprof reads it",
	 PPROF_EXPORT_BINARY, write_pprof},
	{"text", "top", ".txt", text, "a table of functions, as go tool pprof -top", 0,
	 pprof_report_top},
	{"tree", NULL, ".tree", text, "functions with their callers and callees", 0,
	 pprof_report_tree},
	{"peek", NULL, ".peek", text, "callers and callees of the functions that match", 0,
	 pprof_report_peek},
	{"traces", NULL, ".traces", text, "every stack with its labels", 0, pprof_report_traces},
	{"folded", NULL, ".folded", text, "a line for each stack, for flame graph programs", 0,
	 pprof_report_folded},
	{"speedscope", NULL, ".speedscope.json", json, "for https://www.speedscope.app", 0,
	 pprof_report_speedscope},
	{"json", NULL, ".json", json, "all of the profile, for scripts", 0, pprof_report_json},
	{"html", NULL, ".html", "text/html; charset=utf-8", "flame graph and tables in one page",
	 PPROF_EXPORT_COMPARES, pprof_report_html},
	{"svg", NULL, ".svg", "image/svg+xml", "a flame graph as a picture", PPROF_EXPORT_COMPARES,
	 pprof_report_svg},
	{"pgo", NULL, ".pgo", bytes, "for go build -pgo", PPROF_EXPORT_BINARY, write_pgo},
	{"flame", NULL, ".flame.json", json, "the tree of calls, as the page of html has it",
	 PPROF_EXPORT_COMPARES, pprof_report_flame},
};
enum { NEXPORTERS = sizeof exporters / sizeof *exporters };

const struct pprof_exporter *pprof_exporter_at(size_t index)
{
	return index < NEXPORTERS ? &exporters[index] : NULL;
}

const struct pprof_exporter *pprof_exporter_named(const char *name)
{
	for (size_t i = 0; i < NEXPORTERS; i++) {
		const struct pprof_exporter *e = &exporters[i];

		if (strcmp(e->name, name) == 0 || (e->alias && strcmp(e->alias, name) == 0))
			return e;
	}
	return NULL;
}

const struct pprof_exporter *pprof_exporter_for_file(const char *path)
{
	const struct pprof_exporter *best = NULL;
	size_t len = strlen(path), longest = 0;

	for (size_t i = 0; i < NEXPORTERS; i++) {
		size_t n = strlen(exporters[i].suffix);

		if (n > longest && n <= len && strcmp(path + len - n, exporters[i].suffix) == 0) {
			best = &exporters[i];
			longest = n;
		}
	}
	return best;
}
