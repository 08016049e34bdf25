/* SPDX-License-Identifier: Apache-2.0 */
#include "debug_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "pprof.h"

enum { COLUMNS = 4 };

struct texting {
	const struct pprof_profile *p;
	FILE *to;
	size_t column[COLUMNS]; /* sample types, in the order in which they are printed */
	size_t ncolumns;
};

static int64_t value_of(const struct texting *t, size_t sample, size_t column)
{
	return pprof_sample_values(t->p, sample)[t->column[column]];
}

static int64_t sum_of(const struct texting *t, size_t column)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < t->p->nsamples; i++)
		sum += (uint64_t)value_of(t, i, column);
	return (int64_t)sum;
}

/* --- stacks ------------------------------------------------------------------------ */

/* Names may hold anything: no line of theirs can look like one of ours. */
static void put_name(FILE *to, const char *s)
{
	for (; *s; s++)
		putc((unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s, to);
}

static void put_addresses(const struct texting *t, size_t sample)
{
	const uint32_t *stack = pprof_sample_stack(t->p, sample);

	fputs(" @", t->to);
	for (size_t i = 0; i < t->p->samples[sample].nlocations; i++)
		fprintf(t->to, " 0x%" PRIx64, t->p->locations[stack[i]].address);
	putc('\n', t->to);
}

static void put_labels(const struct texting *t, size_t sample)
{
	const struct pprof_label *labels = pprof_sample_labels(t->p, sample);
	bool some = false;

	for (size_t i = 0; i < t->p->samples[sample].nlabels; i++) {
		if (!labels[i].str)
			continue;
		fputs(some ? ", \"" : "# labels: {\"", t->to);
		put_name(t->to, t->p->strings[labels[i].key]);
		fputs("\":\"", t->to);
		put_name(t->to, t->p->strings[labels[i].str]);
		putc('"', t->to);
		some = true;
	}
	if (some)
		fputs("}\n", t->to);
}

static void put_location(const struct texting *t, uint32_t location)
{
	const struct pprof_location *l = &t->p->locations[location];
	const struct pprof_line *line = pprof_location_lines(t->p, location);

	if (!l->nlines)
		fprintf(t->to, "#\t0x%" PRIx64 "\n", l->address);
	for (size_t i = 0; i < l->nlines; i++) {
		const struct pprof_function *f = &t->p->functions[line[i].function];

		fprintf(t->to, "#\t0x%" PRIx64 "\t", l->address);
		put_name(t->to, t->p->strings[f->name]);
		putc('\t', t->to);
		put_name(t->to, t->p->strings[f->filename]);
		fprintf(t->to, ":%" PRId64 "\n", line[i].line);
	}
}

static void put_frames(const struct texting *t, size_t sample)
{
	const uint32_t *stack = pprof_sample_stack(t->p, sample);

	for (size_t i = 0; i < t->p->samples[sample].nlocations; i++)
		put_location(t, stack[i]);
	putc('\n', t->to);
}

/* --- kinds ------------------------------------------------------------------------- */

static void put_heap(const struct texting *t)
{
	fprintf(t->to,
		"heap profile: %" PRId64 ": %" PRId64 " [%" PRId64 ": %" PRId64 "] @ heapprofile\n",
		sum_of(t, 0), sum_of(t, 1), sum_of(t, 2), sum_of(t, 3));
}

static void put_sample(const struct texting *t, size_t i)
{
	switch (t->ncolumns) {
	case 4:
		fprintf(t->to, "%" PRId64 ": %" PRId64 " [%" PRId64 ": %" PRId64 "]",
			value_of(t, i, 0), value_of(t, i, 1), value_of(t, i, 2), value_of(t, i, 3));
		break;
	case 2:
		fprintf(t->to, "%" PRId64 " %" PRId64, value_of(t, i, 0), value_of(t, i, 1));
		break;
	default:
		fprintf(t->to, "%" PRId64, value_of(t, i, 0));
	}
	put_addresses(t, i);
	if (t->ncolumns == 1)
		put_labels(t, i);
	put_frames(t, i);
}

static bool has_columns(struct texting *t, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (pprof_find_sample_type(t->p, names[i], &t->column[i]) < 0)
			return false;
	t->ncolumns = n;
	return true;
}

static void begin(struct texting *t, const char *kind)
{
	static const char *const heap[] = {"inuse_objects", "inuse_space", "alloc_objects",
					   "alloc_space"};
	static const char *const waits[] = {"delay", "contentions"};

	if (has_columns(t, heap, 4)) {
		put_heap(t);
	} else if (has_columns(t, waits, 2)) {
		/* The values are nanoseconds, which are cycles of a clock of 1 GHz. */
		fprintf(t->to, "--- %s:\ncycles/second=1000000000\n",
			strcmp(kind, "mutex") == 0 ? "mutex" : "contention");
	} else {
		t->ncolumns = 1;
		t->column[0] = 0;
		fprintf(t->to, "%s profile: total %" PRId64 "\n", kind, sum_of(t, 0));
	}
}

/* --- order ------------------------------------------------------------------------- */

/* The largest of the first column that is a size or a time, as Go has them. */
static int by_value(const void *va, const void *vb, void *ctx)
{
	const struct texting *t = ctx;
	size_t a = *(const size_t *)va, b = *(const size_t *)vb;
	size_t column = t->ncolumns == COLUMNS;
	int64_t x = value_of(t, a, column), y = value_of(t, b, column);

	if (x != y)
		return x > y ? -1 : 1;
	return a < b ? -1 : a > b;
}

int debug_text(const struct pprof_profile *p, const char *kind, FILE *to)
{
	struct texting t = {.p = p, .to = to};
	size_t *order = calloc(p->nsamples + 1, sizeof *order);

	if (!order)
		return -ENOMEM;
	if (p->nsample_types) {
		begin(&t, kind);
		for (size_t i = 0; i < p->nsamples; i++)
			order[i] = i;
		qsort_r(order, p->nsamples, sizeof *order, by_value, &t);
		for (size_t i = 0; i < p->nsamples; i++)
			put_sample(&t, order[i]);
	}
	free(order);
	return ferror(to) ? -EIO : 0;
}
