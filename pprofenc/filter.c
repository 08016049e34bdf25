/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filters one profile into another. Samples are selected and cut first, in pprof's order and by its
 * rules, then frames are joined and renamed. Each location is decided on once.
 */
#include "filter_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "failure.h"
#include "filter_parts.h"
#include "frame_names.h"
#include "label_units.h"
#include "model_parts.h"
#include "sized.h"

enum { FOCUS, IGNORE, HIDE, SHOW, SHOW_FROM, TAG_SHOW, TAG_HIDE, NPATTERNS };

/* The matches of each pattern; tag filters and tag frames follow. */
enum { TAG_FOCUS = NPATTERNS, TAG_IGNORE, TAG_ROOT, TAG_LEAF, NOPTIONS };

static const char *const option_names[NOPTIONS] = {
	"focus",   "ignore",   "hide",      "show",    "show_from", "tagshow",
	"taghide", "tagfocus", "tagignore", "tagroot", "tagleaf",
};

enum {
	FOCUSED = 1,
	IGNORED = 2,
	HIDDEN = 4,
	SHOWN_FROM = 8,
	RUNTIME_IN = 16,
	RUNTIME_OUT = 32,
	REMADE = 64,
};

struct pattern {
	struct regex *re;
	uint8_t *known; /* of each string: 0 not tried, 1 no, 2 yes */
};

struct filter {
	const struct pprof_profile *p; /* the input, with frames for tags */
	struct pprof_profile *pruned, *with_tags, *to;
	const struct pprof_filter_options *o;
	struct pprof_diag *diag;
	struct pprof_copier copier;
	struct pattern patterns[NPATTERNS];
	struct tag_filter *tag_focus, *tag_ignore;
	const char **units;
	bool seen[NOPTIONS];
	bool any_hidden;
	uint32_t first_tag;       /* locations from here on are frames of tags */
	uint8_t *flags;           /* of each location */
	struct pprof_line *lines; /* the kept ones, at their locations' first_line in the profile */
	uint32_t *nlines;         /* number of lines kept of each location */
	/*
	 * In the result: the index of each location, and of the same without its outermost frame
	 * where that is the runtime's and joins the caller's. PPROF_NONE: nothing is left.
	 */
	uint32_t *whole, *inner;
	struct pprof_line *made; /* lines of one location of the result */
	size_t cap_made;
	uint32_t *stack;
	size_t cap_stack;
	struct pprof_label *labels;
	size_t cap_labels;
};

/* --- options --------------------------------------------------------------------- */

static const char *option_of(const struct pprof_filter_options *o, int option)
{
	const char *const all[NOPTIONS] = {
		o->focus,    o->ignore,    o->hide,       o->show,     o->show_from, o->tag_show,
		o->tag_hide, o->tag_focus, o->tag_ignore, o->tag_root, o->tag_leaf,
	};

	return all[option] && *all[option] ? all[option] : NULL;
}

/* A failure in an option's value: puts the option's name before the detail. */
static int blame(struct pprof_diag *diag, int option, int r)
{
	char detail[sizeof diag->detail];

	if (!diag)
		return r;
	snprintf(detail, sizeof detail, "%s", diag->detail);
	snprintf(diag->detail, sizeof diag->detail, "%s%s%.70s", option_names[option],
		 *detail ? ": " : "", detail);
	return r;
}

static int compile(struct filter *f)
{
	int r = 0;

	for (int i = 0; r == 0 && i < NPATTERNS; i++) {
		const char *pattern = option_of(f->o, i);

		if (!pattern)
			continue;
		r = pp_regex_new(&f->patterns[i].re, pattern, f->diag);
		if (r < 0)
			return blame(f->diag, i, r);
		f->patterns[i].known = calloc(f->p->nstrings, 1);
		if (!f->patterns[i].known)
			r = -ENOMEM;
	}
	if (r == 0 && option_of(f->o, TAG_FOCUS)) {
		r = pp_tag_filter_new(&f->tag_focus, f->o->tag_focus, f->diag);
		r = r < 0 ? blame(f->diag, TAG_FOCUS, r) : 0;
	}
	if (r == 0 && option_of(f->o, TAG_IGNORE)) {
		r = pp_tag_filter_new(&f->tag_ignore, f->o->tag_ignore, f->diag);
		r = r < 0 ? blame(f->diag, TAG_IGNORE, r) : 0;
	}
	return r;
}

/* --- matching -------------------------------------------------------------------- */

static int too_hard(struct filter *f, int option, int r)
{
	if (r != -EINVAL)
		return r;
	fail(f->diag, "the expression takes too long on one of the names", 0, EINVAL);
	return blame(f->diag, option, r);
}

static int matches(struct filter *f, int option, uint32_t string)
{
	struct pattern *k = &f->patterns[option];
	const char *s = f->p->strings[string];
	int r;

	if (!k->known[string]) {
		r = pp_regex_match(k->re, s, strlen(s));
		if (r < 0)
			return too_hard(f, option, r);
		k->known[string] = 1 + r;
	}
	return k->known[string] - 1;
}

static int matches_line(struct filter *f, int option, const struct pprof_line *line)
{
	const struct pprof_function *fn = &f->p->functions[line->function];
	int r = matches(f, option, fn->name);

	return r ? r : matches(f, option, fn->filename);
}

static int matches_mapping(struct filter *f, int option, uint32_t location)
{
	uint32_t m = f->p->locations[location].mapping;

	return m == PPROF_NONE ? 0 : matches(f, option, f->p->mappings[m].filename);
}

/* Whether any kept name of the location, or its file, matches. */
static int matches_location(struct filter *f, int option, uint32_t location)
{
	const struct pprof_line *lines = f->lines + f->p->locations[location].first_line;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < f->nlines[location]; i++)
		r = matches_line(f, option, &lines[i]);
	return r ? r : matches_mapping(f, option, location);
}

/* --- locations: what is left of each --------------------------------------------- */

/* Keeps the lines that match, or the others; all or none where the file matches. */
static int keep_lines(struct filter *f, int option, uint32_t location, bool matching)
{
	struct pprof_line *lines = f->lines + f->p->locations[location].first_line;
	uint32_t kept = 0;
	int r = matches_mapping(f, option, location);

	if (r < 0)
		return r;
	if (r > 0) {
		if (!matching)
			f->nlines[location] = 0;
		return 0;
	}
	for (uint32_t i = 0; i < f->nlines[location]; i++) {
		r = matches_line(f, option, &lines[i]);
		if (r < 0)
			return r;
		if ((r > 0) == matching)
			lines[kept++] = lines[i];
	}
	f->nlines[location] = kept;
	return 0;
}

static int choose_location(struct filter *f, uint32_t location)
{
	uint8_t *flags = &f->flags[location];
	int r = f->patterns[IGNORE].re ? matches_location(f, IGNORE, location) : 0;

	if (r > 0) {
		*flags |= IGNORED;
		f->seen[IGNORE] = true;
	} else if (r == 0) {
		r = f->patterns[FOCUS].re ? matches_location(f, FOCUS, location) : 1;
		if (r > 0) {
			*flags |= FOCUSED;
			f->seen[FOCUS] = true;
		}
	}
	return r < 0 ? r : 0;
}

static int hide_lines(struct filter *f, uint32_t location)
{
	int r = matches_location(f, HIDE, location);

	if (r <= 0)
		return r;
	f->seen[HIDE] = true;
	r = keep_lines(f, HIDE, location, false);
	if (f->nlines[location] == 0)
		f->flags[location] |= HIDDEN;
	return r;
}

static int show_lines(struct filter *f, uint32_t location)
{
	int r = keep_lines(f, SHOW, location, true);

	if (f->nlines[location] == 0)
		f->flags[location] |= HIDDEN;
	else
		f->seen[SHOW] = true;
	return r;
}

/* Removes the lines outside of the outermost match. */
static int show_from(struct filter *f, uint32_t location)
{
	const struct pprof_line *lines = f->lines + f->p->locations[location].first_line;
	int r = matches_mapping(f, SHOW_FROM, location);

	for (uint32_t i = f->nlines[location]; r == 0 && i-- > 0;) {
		r = matches_line(f, SHOW_FROM, &lines[i]);
		if (r > 0)
			f->nlines[location] = i + 1;
	}
	if (r <= 0)
		return r;
	f->flags[location] |= SHOWN_FROM;
	f->seen[SHOW_FROM] = true;
	return 0;
}

static int decide_location(struct filter *f, uint32_t location)
{
	int r = choose_location(f, location);

	if (r == 0 && f->patterns[HIDE].re)
		r = hide_lines(f, location);
	if (r == 0 && f->patterns[SHOW].re)
		r = show_lines(f, location);
	f->any_hidden |= f->flags[location] & HIDDEN;
	if (r == 0 && f->patterns[SHOW_FROM].re)
		r = show_from(f, location);
	return r;
}

static int decide_locations(struct filter *f)
{
	const struct pprof_profile *p = f->p;
	int r = 0;

	f->flags = calloc(p->nlocations + 1, 1);
	f->nlines = malloc((p->nlocations + 1) * sizeof *f->nlines);
	f->lines = malloc((p->nlines + 1) * sizeof *f->lines);
	f->whole = malloc((p->nlocations + 1) * sizeof *f->whole);
	f->inner = malloc((p->nlocations + 1) * sizeof *f->inner);
	if (!f->flags || !f->nlines || !f->lines || !f->whole || !f->inner)
		return -ENOMEM;
	if (p->nlines > 0)
		memcpy(f->lines, p->lines, p->nlines * sizeof *f->lines);
	for (uint32_t i = 0; r == 0 && i < p->nlocations; i++) {
		f->nlines[i] = p->locations[i].nlines;
		r = decide_location(f, i);
	}
	return r;
}

/* --- locations of the result ----------------------------------------------------- */

static int make_function(struct filter *f, const struct pprof_function *from, const char *name,
			 uint32_t *ret_function)
{
	struct pprof_function fn = {.start_line = from ? from->start_line : 0};
	int r = pprof_string(f->to, name, &fn.name);

	if (r == 0 && from)
		r = pp_copy_string(&f->copier, from->system_name, &fn.system_name);
	if (r == 0 && from)
		r = pp_copy_string(&f->copier, from->filename, &fn.filename);
	if (f->o->granularity == PPROF_FILE || f->o->granularity == PPROF_PACKAGE) {
		/* Several functions share the name, so no single start line is right. */
		fn.system_name = fn.start_line = 0;
		if (f->o->granularity == PPROF_PACKAGE)
			fn.filename = 0;
	}
	return r == 0 ? pprof_function(f->to, &fn, ret_function) : r;
}

static int make_line(struct filter *f, uint32_t location, const struct pprof_line *from,
		     struct pprof_line *to)
{
	const struct pprof_function *fn = from ? &f->p->functions[from->function] : NULL;
	enum pprof_granularity granularity = f->o->granularity;
	char *name;
	int r;

	if (from && granularity == PPROF_FUNCTION)
		return pp_copy_line(&f->copier, from, to);
	if (granularity == PPROF_PACKAGE && location >= f->first_tag)
		granularity = PPROF_FUNCTION; /* a label's value has no package */
	name = pp_frame_name(f->p, location, from, granularity);
	if (!name)
		return -ENOMEM;
	*to = (struct pprof_line){0};
	if (from && f->o->granularity == PPROF_ADDRESS)
		*to = *from;
	else if (from && f->o->granularity == PPROF_LINE)
		to->line = from->line;
	r = make_function(f, fn, name, &to->function);
	free(name);
	return r;
}

static bool is_runtime(const struct filter *f, uint32_t location, const struct pprof_line *line)
{
	const struct pprof_function *fn = &f->p->functions[line->function];

	return f->o->runtime != PPROF_RUNTIME_SHOW && location < f->first_tag &&
	       pp_is_runtime(f->p->strings[fn->name], f->p->strings[fn->filename]);
}

static int make_runtime_line(struct filter *f, struct pprof_line *to)
{
	struct pprof_function fn = {0};
	int r = pprof_string(f->to, "[runtime]", &fn.name);

	*to = (struct pprof_line){0};
	return r == 0 ? pprof_function(f->to, &fn, &to->function) : r;
}

/* Makes the lines of the location in the result, in f->made. */
static int make_lines(struct filter *f, uint32_t location, size_t *ret_n)
{
	const struct pprof_line *lines = f->lines + f->p->locations[location].first_line;
	uint32_t count = f->nlines[location], skip = f->o->no_inlines && count ? count - 1 : 0;
	bool before = false;
	size_t n = 0;
	int r = pp_array_reserve(&f->made, &f->cap_made, count + 1, sizeof *f->made);

	for (uint32_t i = skip; r == 0 && i < count; i++) {
		bool runtime = is_runtime(f, location, &lines[i]);

		if (runtime && n == 0)
			f->flags[location] |= RUNTIME_IN;
		if (!runtime)
			r = make_line(f, location, &lines[i], &f->made[n++]);
		else if (!before && f->o->runtime == PPROF_RUNTIME_FOLD)
			r = make_runtime_line(f, &f->made[n++]);
		before = runtime;
	}
	if (before)
		f->flags[location] |= RUNTIME_OUT;
	if (r == 0 && f->p->locations[location].nlines == 0 && f->o->granularity == PPROF_ADDRESS)
		r = make_line(f, location, NULL, &f->made[n++]);
	*ret_n = n;
	return r;
}

/* A location of the first n of the lines in f->made. */
static int make_location(struct filter *f, uint32_t location, size_t n, uint32_t *ret_location)
{
	const struct pprof_location *l = &f->p->locations[location];
	bool whole = f->o->granularity == PPROF_FUNCTION || f->o->granularity == PPROF_ADDRESS;
	/* Only the runtime: one place, wherever in it. */
	bool runtime = f->o->runtime == PPROF_RUNTIME_FOLD && n == 1 &&
		       f->flags[location] & RUNTIME_IN && f->flags[location] & RUNTIME_OUT;
	int r = pprof_location(f->to, runtime ? PPROF_NONE : l->mapping,
			       whole && !runtime ? l->address : 0, f->made, n, ret_location);

	if (r == 0 && whole && !runtime)
		f->to->locations[*ret_location].is_folded |= l->is_folded;
	return r;
}

/* When the first kept sample has it, so that unused locations stay out of the result. */
static int remake_location(struct filter *f, uint32_t location)
{
	bool had_lines = f->p->locations[location].nlines > 0;
	size_t n;
	int r;

	if (f->flags[location] & REMADE)
		return 0;
	f->flags[location] |= REMADE;
	f->whole[location] = f->inner[location] = PPROF_NONE;
	r = make_lines(f, location, &n);
	if (r == 0 && (n > 0 || !had_lines))
		r = make_location(f, location, n, &f->whole[location]);
	if (r == 0 && n > 1 && f->flags[location] & RUNTIME_OUT &&
	    f->o->runtime == PPROF_RUNTIME_FOLD)
		r = make_location(f, location, n - 1, &f->inner[location]);
	return r;
}

/* --- samples --------------------------------------------------------------------- */

static bool is_focused(const struct filter *f, const uint32_t *stack, size_t n)
{
	uint8_t any = 0;

	if (!f->patterns[FOCUS].re && !f->patterns[IGNORE].re && !f->patterns[HIDE].re &&
	    !f->patterns[SHOW].re)
		return true;
	for (size_t i = 0; i < n; i++)
		any |= f->flags[stack[i]];
	return any & FOCUSED && !(any & IGNORED);
}

/* Whether the labels keep the sample: 1, 0 or an error. */
static int is_tagged(struct filter *f, size_t sample)
{
	int focus = f->tag_focus ? pp_tag_filter_match(f->tag_focus, f->p, sample, f->units) : 1;
	int ignore = f->tag_ignore ? pp_tag_filter_match(f->tag_ignore, f->p, sample, f->units) : 0;

	if (focus < 0)
		return too_hard(f, TAG_FOCUS, focus);
	if (ignore < 0)
		return too_hard(f, TAG_IGNORE, ignore);
	f->seen[TAG_FOCUS] |= focus > 0;
	f->seen[TAG_IGNORE] |= ignore > 0;
	return focus > 0 && ignore == 0;
}

/* How many locations are kept, counted from the leaf, when all outside of a match are cut. */
static size_t shown_from(const struct filter *f, const uint32_t *stack, size_t n)
{
	while (f->patterns[SHOW_FROM].re && n > 0 &&
	       (!(f->flags[stack[n - 1]] & SHOWN_FROM) || f->flags[stack[n - 1]] & HIDDEN))
		n--;
	return n;
}

/* Puts the sample's locations in the result at the end of f->stack; returns how many. */
static int new_stack(struct filter *f, const uint32_t *stack, size_t n, size_t *ret_kept)
{
	bool runtime = false; /* the caller's innermost frame is the runtime's */
	size_t kept = 0;

	/* From the root, as joining depends on the caller. */
	for (size_t i = n; i-- > 0;) {
		uint8_t *flags = &f->flags[stack[i]];
		uint32_t location;
		bool joins;
		int r;

		if (*flags & HIDDEN)
			continue;
		r = remake_location(f, stack[i]);
		if (r < 0)
			return r;
		joins = runtime && *flags & RUNTIME_OUT && f->o->runtime == PPROF_RUNTIME_FOLD;
		location = joins ? f->inner[stack[i]] : f->whole[stack[i]];
		runtime = *flags & RUNTIME_IN;
		if (location != PPROF_NONE)
			f->stack[n - ++kept] = location;
	}
	*ret_kept = kept;
	return 0;
}

static int label_stays(struct filter *f, uint32_t key)
{
	int show = f->patterns[TAG_SHOW].re ? matches(f, TAG_SHOW, key) : 1;
	int hide = f->patterns[TAG_HIDE].re ? matches(f, TAG_HIDE, key) : 0;

	if (show < 0 || hide < 0)
		return show < 0 ? show : hide;
	f->seen[TAG_SHOW] |= show;
	f->seen[TAG_HIDE] |= hide;
	return show && !hide;
}

static int new_labels(struct filter *f, size_t sample, size_t *ret_n)
{
	const struct pprof_label *labels = pprof_sample_labels(f->p, sample);
	size_t count = f->p->samples[sample].nlabels, n = 0;
	int r = pp_array_reserve(&f->labels, &f->cap_labels, count, sizeof *f->labels);

	for (size_t i = 0; r >= 0 && i < count; i++) {
		r = label_stays(f, labels[i].key);
		if (r > 0)
			r = pp_copy_label(&f->copier, &labels[i], &f->labels[n++]);
	}
	*ret_n = n;
	return r < 0 ? r : 0;
}

static int add_sample(struct filter *f, size_t sample, const uint32_t *stack, size_t n)
{
	const int64_t *values = pprof_sample_values(f->p, sample);
	size_t nlabels;
	int r = new_labels(f, sample, &nlabels);

	if (r < 0)
		return r;
	return f->o->apart ? pprof_sample_append(f->to, stack, n, values, f->labels, nlabels)
			   : pprof_sample_add(f->to, stack, n, values, f->labels, nlabels);
}

static int filter_sample(struct filter *f, size_t sample)
{
	const uint32_t *stack = pprof_sample_stack(f->p, sample);
	size_t n = f->p->samples[sample].nlocations, shown, kept;
	int r = pp_array_reserve(&f->stack, &f->cap_stack, n, sizeof *f->stack);

	if (r < 0 || !is_focused(f, stack, n))
		return r;
	shown = shown_from(f, stack, n);
	if (f->patterns[SHOW_FROM].re && shown == 0)
		return 0;
	r = is_tagged(f, sample);
	if (r <= 0)
		return r;
	r = new_stack(f, stack, shown, &kept);
	if (r < 0 || (kept == 0 && (n > 0 || f->any_hidden)))
		return r;
	return add_sample(f, sample, f->stack + shown - kept, kept);
}

/* --- the whole ------------------------------------------------------------------- */

/* Frames of tags are made first, as expressions may match them. */
static int add_tag_frames(struct filter *f)
{
	const struct pprof_filter_options *o = f->o;
	unsigned seen = 0;
	int r;

	f->first_tag = UINT32_MAX;
	if (!option_of(o, TAG_ROOT) && !option_of(o, TAG_LEAF))
		return 0;
	r = pp_tag_frames(f->p, o->tag_root, o->tag_leaf, o->unit, &f->with_tags, &f->first_tag,
			  &seen);
	f->seen[TAG_ROOT] = seen & 1;
	f->seen[TAG_LEAF] = seen & 2;
	if (r == 0)
		f->p = f->with_tags;
	return r;
}

static int prune(struct filter *f)
{
	int r = f->p->drop_frames ? pp_prune(f->p, &f->pruned) : 0;

	if (f->pruned)
		f->p = f->pruned;
	/* With invalid expressions in the profile itself, all is kept, as in pprof. */
	return r == -EINVAL ? 0 : r;
}

static int begin(struct filter *f)
{
	int r = pprof_profile_new(&f->to);

	if (r == 0)
		r = pp_copier_init(&f->copier, f->p, f->to);
	if (r == 0)
		r = pp_copy_header(&f->copier);
	if (r == 0 && !(f->units = pp_label_units(f->p)))
		r = -ENOMEM;
	return r;
}

static int filter_samples(struct filter *f)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < f->p->nsamples; i++)
		r = filter_sample(f, i);
	return r;
}

static int filter(struct filter *f)
{
	static const struct {
		const char *name;
		int (*run)(struct filter *f);
	} steps[] = {
		{"dropping the profile's own frames", prune},
		{"making frames of labels", add_tag_frames},
		{"compiling expressions", compile},
		{"copying the header", begin},
		{"matching locations", decide_locations},
		{"filtering samples", filter_samples},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof steps / sizeof *steps; i++) {
		r = steps[i].run(f);
		if (r < 0 && r != -EINVAL) /* its diag is filled in already */
			fail_while(f->diag, steps[i].name, r);
	}
	return r;
}

static void filter_fini(struct filter *f)
{
	for (int i = 0; i < NPATTERNS; i++) {
		pp_regex_free(f->patterns[i].re);
		free(f->patterns[i].known);
	}
	pp_tag_filter_free(f->tag_focus);
	pp_tag_filter_free(f->tag_ignore);
	pp_copier_fini(&f->copier);
	free(f->units);
	free(f->flags);
	free(f->lines);
	free(f->nlines);
	free(f->whole);
	free(f->inner);
	free(f->made);
	free(f->stack);
	free(f->labels);
	pprof_profile_free(f->pruned);
	pprof_profile_free(f->with_tags);
	pprof_profile_free(f->to);
}

/* Lists the options that matched nothing. */
static void list_unseen(const struct filter *f)
{
	char *w = f->diag->detail;

	*f->diag = (struct pprof_diag){0};
	for (int i = 0; i < NOPTIONS; i++) {
		if (!option_of(f->o, i) || f->seen[i])
			continue;
		f->diag->what = "matched nothing";
		w += sprintf(w, "%s%s", w > f->diag->detail ? ", " : "", option_names[i]);
	}
}

int pprof_filter(const struct pprof_profile *p, const struct pprof_filter_options *options,
		 struct pprof_profile **ret_profile, struct pprof_diag *diag)
{
	struct pprof_filter_options o;
	struct filter f = {.p = p, .o = &o, .diag = diag};
	int r = pp_sized(&o, sizeof o, options);

	if (r < 0)
		return fail(diag, "the options' size is not right", 0, -r);
	r = filter(&f);
	if (r == 0) {
		if (diag)
			list_unseen(&f);
		*ret_profile = f.to;
		f.to = NULL;
	}
	filter_fini(&f);
	return r;
}
