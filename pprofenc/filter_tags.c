/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "failure.h"
#include "filter_parts.h"
#include "label_units.h"
#include "model_parts.h"
#include "units.h"

/* --- expressions ----------------------------------------------------------------- */

struct bound {
	double value;
	bool set;
};

struct tag_filter {
	char *text; /* holds `key`, `unit` and the patterns */
	const char *key;
	bool is_range;
	struct bound low, high;
	const char *unit; /* of the bounds */
	char *units[2];
	struct regex **patterns;
	size_t npatterns;
};

void pp_tag_filter_free(struct tag_filter *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->npatterns; i++)
		pp_regex_free(f->patterns[i]);
	free(f->patterns);
	free(f->units[0]);
	free(f->units[1]);
	free(f->text);
	free(f);
}

/* Scans a number with an optional unit of letters; returns its end, or NULL. */
static const char *scan_number(const char *s, int64_t *ret_value, char **ret_unit, int *ret_error)
{
	const char *digits = s + (*s == '-' || *s == '+');
	char *end;

	if (!isdigit((unsigned char)*digits))
		return NULL;
	errno = 0;
	*ret_value = strtoll(s, &end, 10);
	if (errno)
		*ret_error = -ERANGE;
	for (s = end; isalpha((unsigned char)*s);)
		s++;
	*ret_unit = strndup(end, (size_t)(s - end));
	if (!*ret_unit)
		*ret_error = -ENOMEM;
	return s;
}

/* 1 when the text is a range: "32kb", ":64kb", "4mb:", "12kb:64mb"; 0 when it isn't. */
static int scan_range(struct tag_filter *f, const char *s)
{
	int64_t low = 0, high = 0;
	bool colon = *s == ':', both;
	struct scale scale;
	int error = 0;

	s = scan_number(s + colon, colon ? &high : &low, &f->units[0], &error);
	if (!s || error)
		return error;
	both = !colon && s[0] == ':' && s[1];
	if (both) {
		s = scan_number(s + 1, &high, &f->units[1], &error);
		if (!s || error)
			return error;
	}
	f->high.set = colon || both || *s == '\0';
	f->low.set = !colon;
	if (!both && !colon && *s == '\0')
		high = low;
	if (!both && !colon && *s == ':')
		s++;
	if (*s)
		return 0;
	scale = pp_units_in(low, f->units[0], f->units[0]);
	f->unit = scale.suffix;
	f->low.value = pp_units_scaled(low, scale);
	scale = pp_units_in(high, f->units[both], both ? f->unit : f->units[0]);
	f->high.value = pp_units_scaled(high, scale);
	return strcmp(scale.suffix, f->unit) == 0;
}

static int add_patterns(struct tag_filter *f, char *list, struct pprof_diag *diag)
{
	size_t n = 1, at = (size_t)(list - f->text);
	int r;

	for (const char *c = list; *c; c++)
		n += *c == ',';
	f->patterns = calloc(n, sizeof(struct regex *));
	if (!f->patterns)
		return fail(diag, "out of memory", 0, ENOMEM);
	while (f->npatterns < n) {
		char *pattern = strsep(&list, ",");

		r = pp_regex_new(&f->patterns[f->npatterns], pattern, diag);
		if (r < 0) {
			if (diag)
				diag->at += at;
			return r;
		}
		f->npatterns++;
		at += strlen(pattern) + 1;
	}
	return 0;
}

static int parse_tag_filter(struct tag_filter *f, struct pprof_diag *diag)
{
	char *value = f->text, *equals = strchr(f->text, '=');
	int r;

	if (equals) {
		*equals = '\0';
		value = equals + 1;
		f->key = *f->text ? f->text : NULL;
	}
	r = scan_range(f, value);
	if (r == -ERANGE)
		return fail(diag, "the number is too large", (uint64_t)(value - f->text), EINVAL);
	if (r < 0)
		return fail(diag, "out of memory", 0, -r);
	f->is_range = r > 0;
	return f->is_range ? 0 : add_patterns(f, value, diag);
}

int pp_tag_filter_new(struct tag_filter **ret_filter, const char *expression,
		      struct pprof_diag *diag)
{
	struct tag_filter *f = calloc(1, sizeof *f);
	int r;

	if (f)
		f->text = strdup(expression);
	if (!f || !f->text) {
		pp_tag_filter_free(f);
		return fail(diag, "out of memory", 0, ENOMEM);
	}
	r = parse_tag_filter(f, diag);
	if (r < 0) {
		pp_tag_filter_free(f);
		return r;
	}
	*ret_filter = f;
	return 0;
}

/* --- matching -------------------------------------------------------------------- */

static bool in_range(const struct tag_filter *f, int64_t value, const char *unit)
{
	struct scale scale = pp_units_in(value, unit, f->unit);
	double v = pp_units_scaled(value, scale);

	return strcmp(scale.suffix, f->unit) == 0 && (!f->low.set || v >= f->low.value) &&
	       (!f->high.set || v <= f->high.value);
}

/* Without a key the expression is matched with "key:value". */
static int match_label(const struct tag_filter *f, const struct regex *re, const char *key,
		       const char *value)
{
	char *both;
	int n, r;

	if (f->key)
		return strcmp(f->key, key) == 0 ? pp_regex_match(re, value, strlen(value)) : 0;
	n = asprintf(&both, "%s:%s", key, value);
	if (n < 0)
		return -ENOMEM;
	r = pp_regex_match(re, both, (size_t)n);
	free(both);
	return r;
}

static int match_pattern(const struct tag_filter *f, const struct regex *re,
			 const struct pprof_profile *p, size_t sample)
{
	const struct pprof_label *labels = pprof_sample_labels(p, sample);
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->samples[sample].nlabels; i++)
		if (labels[i].str)
			r = match_label(f, re, p->strings[labels[i].key],
					p->strings[labels[i].str]);
	return r;
}

static bool match_range(const struct tag_filter *f, const struct pprof_profile *p, size_t sample,
			const char *const *units)
{
	const struct pprof_label *labels = pprof_sample_labels(p, sample);

	for (size_t i = 0; i < p->samples[sample].nlabels; i++) {
		const struct pprof_label *l = &labels[i];

		if (l->str == 0 && (!f->key || strcmp(f->key, p->strings[l->key]) == 0) &&
		    in_range(f, l->num, pp_label_unit(p, l, units)))
			return true;
	}
	return false;
}

/* With a key, one pattern must match; without, all of them. */
int pp_tag_filter_match(const struct tag_filter *f, const struct pprof_profile *p, size_t sample,
			const char *const *units)
{
	int r = f->key ? 0 : 1;

	if (f->is_range)
		return match_range(f, p, sample, units);
	for (size_t i = 0; i < f->npatterns; i++) {
		r = match_pattern(f, f->patterns[i], p, sample);
		if (r < 0 || (r > 0) == (f->key != NULL))
			break;
	}
	return r;
}

/* --- frames of labels ------------------------------------------------------------ */

struct keys {
	char *text;
	char **list;
	size_t n;
};

struct framing {
	const struct pprof_profile *p;
	struct pprof_profile *to;
	struct pprof_copier copier;
	struct keys root, leaf;
	const char *unit;
	uint32_t *stack;
	size_t cap_stack;
	unsigned seen;
};

static int keys_init(struct keys *k, const char *list)
{
	char *rest, *key;

	k->text = strdup(list ? list : "");
	k->list = calloc(strlen(k->text ? k->text : "") + 1, sizeof *k->list);
	if (!k->text || !k->list)
		return -ENOMEM;
	for (rest = k->text; (key = strsep(&rest, ","));)
		if (*key)
			k->list[k->n++] = key;
	return 0;
}

static void keys_fini(struct keys *k)
{
	free(k->text);
	free(k->list);
}

static void put_value(FILE *to, const struct framing *f, const struct pprof_label *l)
{
	char text[UNITS_TEXT];
	struct scale scale;

	if (l->str) {
		fputs(f->p->strings[l->str], to);
		return;
	}
	scale = l->unit ? pp_units_in(l->num, f->p->strings[l->unit], f->unit)
			: pp_units_in(l->num, "", "");
	fputs(pp_units_format(text, l->num, scale), to);
}

/* The sample's values of the key, texts first, with commas between them. To be freed. */
static char *values_of(const struct framing *f, size_t sample, const char *key)
{
	const struct pprof_label *labels = pprof_sample_labels(f->p, sample);
	size_t len, n = 0;
	char *text = NULL;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		return NULL;
	for (int numbers = 0; numbers < 2; numbers++) {
		for (size_t i = 0; i < f->p->samples[sample].nlabels; i++) {
			if ((labels[i].str == 0) != numbers ||
			    strcmp(f->p->strings[labels[i].key], key) != 0)
				continue;
			if (n++ > 0)
				fputc(',', to);
			put_value(to, f, &labels[i]);
		}
	}
	if (fclose(to) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static int label_frame(struct framing *f, size_t sample, const char *key, unsigned seen,
		       uint32_t *ret_location)
{
	struct pprof_function function = {0};
	struct pprof_line line = {0};
	char *text = values_of(f, sample, key);
	int r;

	if (!text)
		return -ENOMEM;
	if (*text)
		f->seen |= seen;
	r = pprof_string(f->to, text, &function.name);
	free(text);
	if (r == 0)
		r = pprof_string(f->to, key, &function.filename);
	if (r == 0)
		r = pprof_function(f->to, &function, &line.function);
	return r == 0 ? pprof_location(f->to, PPROF_NONE, 0, &line, 1, ret_location) : r;
}

/* The first key is nearest to the root. */
static int label_frames(struct framing *f, size_t sample, const struct keys *k, unsigned seen,
			uint32_t *to)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < k->n; i++)
		r = label_frame(f, sample, k->list[k->n - 1 - i], seen, &to[i]);
	return r;
}

static int frame_sample(struct framing *f, size_t index)
{
	const struct pprof_sample *s = &f->p->samples[index];
	size_t n = f->leaf.n + s->nlocations + f->root.n;
	int r = pp_array_reserve(&f->stack, &f->cap_stack, n, sizeof *f->stack);

	if (r < 0)
		return r;
	for (size_t i = 0; i < s->nlocations; i++)
		f->stack[f->leaf.n + i] = pprof_sample_stack(f->p, index)[i];
	r = label_frames(f, index, &f->root, 1, f->stack + n - f->root.n);
	if (r == 0)
		r = label_frames(f, index, &f->leaf, 2, f->stack);
	if (r == 0)
		r = pp_copy_labels(&f->copier, index);
	if (r < 0)
		return r;
	return pprof_sample_append(f->to, f->stack, n, pprof_sample_values(f->p, index),
				   f->copier.labels, s->nlabels);
}

static int copy_location(struct framing *f, size_t index)
{
	const struct pprof_location *l = &f->p->locations[index];
	uint32_t same;
	int r = pprof_location(f->to, l->mapping, l->address, pprof_location_lines(f->p, index),
			       l->nlines, &same);

	if (r == 0)
		f->to->locations[same].is_folded = l->is_folded;
	return r;
}

/* Functions and locations are all different, so they keep their indices when added in order. */
static int frame_all(struct framing *f, uint32_t *ret_first)
{
	const struct pprof_profile *p = f->p;
	uint32_t same;
	int r = pp_copy_header(&f->copier);

	for (uint32_t i = 0; r == 0 && i < p->nfunctions; i++)
		r = pp_copy_function(&f->copier, i, &same);
	for (size_t i = 0; r == 0 && i < p->nlocations; i++)
		r = copy_location(f, i);
	*ret_first = f->to->nlocations;
	for (size_t i = 0; r == 0 && i < p->nsamples; i++)
		r = frame_sample(f, i);
	return r;
}

int pp_tag_frames(const struct pprof_profile *p, const char *root, const char *leaf,
		  const char *unit, struct pprof_profile **ret_profile, uint32_t *ret_first,
		  unsigned *ret_seen)
{
	struct framing f = {.p = p, .unit = unit ? unit : "auto"};
	int r = pprof_profile_new(&f.to);

	if (r == 0)
		r = pp_copier_init(&f.copier, p, f.to);
	if (r == 0)
		r = keys_init(&f.root, root);
	if (r == 0)
		r = keys_init(&f.leaf, leaf);
	if (r == 0)
		r = frame_all(&f, ret_first);
	pp_copier_fini(&f.copier);
	keys_fini(&f.root);
	keys_fini(&f.leaf);
	free(f.stack);
	if (r < 0) {
		pprof_profile_free(f.to);
		return r;
	}
	*ret_seen = f.seen;
	*ret_profile = f.to;
	return 0;
}
