/* SPDX-License-Identifier: Apache-2.0 */
#include "show_goroutines.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "jsonout.h"
#include "pprof.h"
#include "term.h"

enum { MAX_LABELS = PROWL_LABELS_MAX };
#define MINUTE_NS 60000000000u

/* --- stacks ---------------------------------------------------------------------- */

/* The texts of all stacks of a dump, each made when it is first asked for. */
struct texts {
	const struct prowl_goroutines *h;
	const struct prowl_dump *d;
	char **text;    /* by stack */
	char **created; /* by location */
	bool all;
};

static void texts_init(struct texts *t, const struct prowl_goroutines *h,
		       const struct prowl_dump *d, bool all)
{
	*t = (struct texts){.h = h, .d = d, .all = all};
	t->text = calloc(d->nstacks + 1, sizeof *t->text);
	t->created = calloc(d->profile->nlocations + 1, sizeof *t->created);
}

static void texts_fini(struct texts *t)
{
	for (size_t i = 0; t->text && i < t->d->nstacks; i++)
		free(t->text[i]);
	for (size_t i = 0; t->created && i < t->d->profile->nlocations; i++)
		free(t->created[i]);
	free(t->text);
	free(t->created);
}

/*
 * As in a panic: the program's functions, and those of the runtime that a program may call
 * (runtime/traceback.go, showfuncinfo).
 */
static bool is_shown(const char *name)
{
	if (!strncmp(name, "runtime.", 8))
		return isupper((unsigned char)name[8]) || !strcmp(name, "runtime.gopanic");
	return strchr(name, '.') != NULL || name[0] == '[';
}

static const char *name_of(const struct pprof_profile *p, const struct pprof_line *line)
{
	return p->strings[p->functions[line->function].name];
}

static bool shows_any(const struct texts *t, const struct prowl_goroutine_stack *s)
{
	const struct pprof_profile *p = t->d->profile;

	for (size_t i = 0; i < s->n; i++) {
		uint32_t loc = t->d->locations[s->first + i];

		for (size_t k = 0; k < p->locations[loc].nlines; k++) {
			if (is_shown(name_of(p, &pprof_location_lines(p, loc)[k])))
				return true;
		}
	}
	return false;
}

static void put_place(FILE *f, const struct pprof_profile *p, const struct pprof_line *line,
		      uint64_t offset)
{
	fputs("\n\t", f);
	text_put(f, p->strings[p->functions[line->function].filename]);
	fprintf(f, ":%lld", (long long)line->line);
	if (offset)
		fprintf(f, " +0x%llx", (unsigned long long)offset);
	putc('\n', f);
}

/* Whether the frame below was interrupted at its pc, instead of calling. */
static bool interrupts(const char *name)
{
	return !strcmp(name, "runtime.sigpanic") || !strcmp(name, "runtime.asyncPreempt") ||
	       !strncmp(name, "runtime.debugCall", 17);
}

static void put_location(FILE *f, const struct texts *t, uint32_t loc, bool all, bool exact)
{
	const struct pprof_profile *p = t->d->profile;
	const struct pprof_location *l = &p->locations[loc];
	const struct pprof_line *line = pprof_location_lines(p, loc);

	for (size_t k = 0; k < l->nlines; k++) {
		const char *name = name_of(p, &line[k]);
		uint64_t offset = 0;

		if (!all && !is_shown(name))
			continue;
		if (k + 1 == l->nlines)
			offset = prowl_goroutines_offset(t->h, l->address, name);
		text_put(f, strcmp(name, "runtime.gopanic") ? name : "panic");
		fputs("(...)", f);
		put_place(f, p, &line[k], offset - (offset && exact));
	}
}

static void put_stack(FILE *f, const struct texts *t, const struct prowl_goroutine_stack *s)
{
	const struct pprof_profile *p = t->d->profile;
	bool all = t->all || !shows_any(t, s), exact = false;

	for (size_t i = 0; i < s->n; i++) {
		uint32_t loc = t->d->locations[s->first + i], n = p->locations[loc].nlines;

		put_location(f, t, loc, all, exact);
		exact = n && interrupts(name_of(p, &pprof_location_lines(p, loc)[n - 1]));
	}
}

static const char *stack_text(struct texts *t, uint32_t stack)
{
	size_t len;
	FILE *f;

	if (!t->text)
		return "";
	if (!t->text[stack]) {
		f = open_memstream(&t->text[stack], &len);
		if (f) {
			put_stack(f, t, &t->d->stacks[stack]);
			fclose(f);
		}
	}
	return t->text[stack] ? t->text[stack] : "";
}

/* The function with the go statement, named as Go does: the outermost one, not an inlined one. */
static void make_created(FILE *name, FILE *place, const struct texts *t, uint32_t location)
{
	const struct pprof_profile *p = t->d->profile;
	const struct pprof_location *l = &p->locations[location];
	const struct pprof_line *line = pprof_location_lines(p, location);
	const char *function = name_of(p, &line[l->nlines - 1]);

	fputs("created by ", name);
	text_put(name, function);
	put_place(place, p, &line[0], prowl_goroutines_offset(t->h, l->address, function));
}

/* Two strings, one behind the other: the texts before and after the creator's number. */
static const char *created_text(struct texts *t, uint32_t location)
{
	char *name = NULL, *place = NULL, *both = NULL;
	size_t nname = 0, nplace = 0;
	FILE *f, *g;

	if (!t->created || t->created[location])
		return t->created ? t->created[location] : NULL;
	f = open_memstream(&name, &nname);
	g = open_memstream(&place, &nplace);
	if (f && g)
		make_created(f, g, t, location);
	if (f)
		fclose(f);
	if (g)
		fclose(g);
	if (name && place && (both = malloc(nname + nplace + 2))) {
		memcpy(both, name, nname + 1);
		memcpy(both + nname + 1, place, nplace + 1);
	}
	t->created[location] = both;
	free(name);
	free(place);
	return both;
}

static void put_created(FILE *f, struct texts *t, const struct prowl_goroutine *g)
{
	const char *text;

	if (g->created == PROWL_NO_STACK || g->goid == 1 ||
	    t->d->profile->locations[g->created].nlines == 0)
		return;
	text = created_text(t, g->created);
	if (!text)
		return;
	fputs(text, f);
	if (g->parent)
		fprintf(f, " in goroutine %llu", (unsigned long long)g->parent);
	fputs(text + strlen(text) + 1, f);
}

/* --- one by one ------------------------------------------------------------------ */

static void put_labels(FILE *f, const struct prowl_goroutines *h, uint32_t set)
{
	struct prowl_label labels[MAX_LABELS];
	size_t n = prowl_goroutines_labels(h, set, labels, MAX_LABELS);

	for (size_t i = 0; i < n; i++) {
		fputs(i ? ", " : "{", f);
		text_put(f, labels[i].key);
		fputs(": ", f);
		text_put(f, labels[i].value);
	}
	if (n)
		putc('}', f);
}

static void put_header(FILE *f, const struct prowl_goroutines *h, const struct prowl_goroutine *g)
{
	fprintf(f, "goroutine %llu [%s", (unsigned long long)g->goid, prowl_goroutine_state(h, g));
	if (g->status == 10)
		fputs(" (leaked)", f);
	if (g->scan)
		fputs(" (scan)", f);
	if (g->wait_ns >= MINUTE_NS)
		fprintf(f, ", %llu minutes", (unsigned long long)(g->wait_ns / MINUTE_NS));
	if (g->locked)
		fputs(", locked to thread", f);
	putc(']', f);
	if (g->labels) {
		putc(' ', f);
		put_labels(f, h, g->labels);
	}
	fputs(":\n", f);
}

static const char *no_stack(const struct prowl_goroutine *g)
{
	return g->status == 2 /* running */
		       ? "\tgoroutine running on other thread; stack unavailable\n"
		       : "\tstack unknown: it could not be read as a whole\n";
}

void show_goroutines_text(FILE *f, const struct prowl_goroutines *h, const struct prowl_dump *d,
			  bool all)
{
	struct texts t;

	texts_init(&t, h, d, all);
	for (size_t i = 0; i < d->n; i++) {
		const struct prowl_goroutine *g = &d->g[i];

		if (i)
			putc('\n', f);
		put_header(f, h, g);
		fputs(g->stack == PROWL_NO_STACK ? no_stack(g) : stack_text(&t, g->stack), f);
		if (g->cut)
			fputs("...outer frames left out...\n", f);
		put_created(f, &t, g);
	}
	texts_fini(&t);
}

/* --- by stack -------------------------------------------------------------------- */

static int cmp_group(const void *a, const void *b)
{
	const struct prowl_goroutine *x = *(const struct prowl_goroutine *const *)a;
	const struct prowl_goroutine *y = *(const struct prowl_goroutine *const *)b;

	if (x->stack != y->stack)
		return x->stack < y->stack ? -1 : 1;
	if (x->labels != y->labels)
		return x->labels < y->labels ? -1 : 1;
	if (x->created != y->created)
		return x->created < y->created ? -1 : 1;
	return (x->goid > y->goid) - (x->goid < y->goid);
}

struct group {
	const struct prowl_goroutine **g;
	size_t n;
};

static int cmp_size(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	if (x->n != y->n)
		return x->n > y->n ? -1 : 1;
	return (x->g[0]->goid > y->g[0]->goid) - (x->g[0]->goid < y->g[0]->goid);
}

static bool same_group(const struct prowl_goroutine *a, const struct prowl_goroutine *b)
{
	return a->stack == b->stack && a->labels == b->labels && a->created == b->created;
}

/* Sorts members, which groups then point into. The number of groups. */
static size_t make_groups(const struct prowl_goroutine **members, size_t n, struct group *groups)
{
	size_t k = 0;

	if (n)
		qsort(members, n, sizeof *members, cmp_group);
	for (size_t i = 0; i < n; i++) {
		if (i && same_group(members[i - 1], members[i]))
			groups[k - 1].n++;
		else
			groups[k++] = (struct group){&members[i], 1};
	}
	if (k)
		qsort(groups, k, sizeof *groups, cmp_size);
	return k;
}

/* The states of a group's members with their numbers, and the longest wait. */
static void put_states(FILE *f, const struct prowl_goroutines *h, const struct group *group)
{
	const char *seen[16];
	size_t counts[16] = {0}, n = 0, other = 0;
	uint64_t wait = 0;

	for (size_t i = 0; i < group->n; i++) {
		const char *state = prowl_goroutine_state(h, group->g[i]);
		size_t k = 0;

		wait = group->g[i]->wait_ns > wait ? group->g[i]->wait_ns : wait;
		while (k < n && strcmp(seen[k], state) != 0)
			k++;
		if (k < n) {
			counts[k]++;
		} else if (n < sizeof seen / sizeof seen[0]) {
			seen[n] = state;
			counts[n++] = 1;
		} else {
			other++;
		}
	}
	for (size_t k = 0; k < n; k++)
		fprintf(f, "%s%s%s%.0zu", k ? ", " : "", seen[k], n > 1 ? " " : "",
			n > 1 ? counts[k] : 0);
	if (other)
		fprintf(f, ", others %zu", other);
	if (wait >= MINUTE_NS)
		fprintf(f, ", up to %llu minutes", (unsigned long long)(wait / MINUTE_NS));
}

static void put_ids(FILE *f, const struct group *group)
{
	enum { SHOWN = 8 };

	for (size_t i = 0; i < group->n && i < SHOWN; i++)
		fprintf(f, "%s%llu", i ? " " : "", (unsigned long long)group->g[i]->goid);
	if (group->n > SHOWN)
		fputs(" ...", f);
}

static void put_group(FILE *f, struct texts *t, const struct group *group)
{
	const struct prowl_goroutine *g = group->g[0];

	fprintf(f, "%zu goroutine%s [", group->n, group->n == 1 ? "" : "s");
	put_states(f, t->h, group);
	putc(']', f);
	if (g->labels) {
		putc(' ', f);
		put_labels(f, t->h, g->labels);
	}
	fputs(": ", f);
	put_ids(f, group);
	putc('\n', f);
	fputs(g->stack == PROWL_NO_STACK ? no_stack(g) : stack_text(t, g->stack), f);
	put_created(f, t, g);
}

static size_t show_groups(FILE *f, const struct prowl_goroutines *h, const struct prowl_dump *d,
			  bool all, bool (*wanted)(const void *ctx, const struct prowl_goroutine *),
			  const void *ctx)
{
	const struct prowl_goroutine **members = calloc(d->n + 1, sizeof *members);
	struct group *groups = calloc(d->n + 1, sizeof *groups);
	struct texts t;
	size_t n = 0, k = 0;

	texts_init(&t, h, d, all);
	for (size_t i = 0; members && groups && i < d->n; i++) {
		if (!wanted || wanted(ctx, &d->g[i]))
			members[n++] = &d->g[i];
	}
	if (members && groups)
		k = make_groups(members, n, groups);
	for (size_t i = 0; i < k; i++) {
		if (i)
			putc('\n', f);
		put_group(f, &t, &groups[i]);
	}
	texts_fini(&t);
	free(members);
	free(groups);
	return n;
}

void show_goroutines_groups(FILE *f, const struct prowl_goroutines *h, const struct prowl_dump *d,
			    bool all)
{
	show_groups(f, h, d, all, NULL, NULL);
}

/* --- JSON ------------------------------------------------------------------------ */

static void json_line(struct jsonout *j, const char *key, const struct pprof_profile *p,
		      const char *name, const struct pprof_line *line)
{
	pp_json_open(j, key, '{');
	pp_json_text(j, "function", name);
	pp_json_text(j, "file", p->strings[p->functions[line->function].filename]);
	pp_json_number(j, "line", line->line);
	pp_json_close(j, '}');
}

static void json_stack(struct jsonout *j, const struct prowl_dump *d, uint32_t stack)
{
	const struct prowl_goroutine_stack *s = &d->stacks[stack];
	const struct pprof_profile *p = d->profile;

	pp_json_open(j, "frames", '[');
	for (size_t i = 0; i < s->n; i++) {
		uint32_t loc = d->locations[s->first + i];
		const struct pprof_line *line = pprof_location_lines(p, loc);

		for (size_t k = 0; k < p->locations[loc].nlines; k++)
			json_line(j, NULL, p, name_of(p, &line[k]), &line[k]);
	}
	pp_json_close(j, ']');
}

static void json_goroutine(struct jsonout *j, const struct prowl_goroutines *h,
			   const struct prowl_dump *d, const struct prowl_goroutine *g)
{
	struct prowl_label labels[MAX_LABELS];
	size_t n = prowl_goroutines_labels(h, g->labels, labels, MAX_LABELS);

	pp_json_open(j, NULL, '{');
	pp_json_unsigned(j, "id", g->goid);
	pp_json_text(j, "state", prowl_goroutine_state(h, g));
	if (g->status == 10)
		pp_json_bool(j, "leaked", true);
	if (g->wait_ns)
		pp_json_unsigned(j, "wait_ns", g->wait_ns);
	if (g->locked)
		pp_json_bool(j, "locked", true);
	if (g->system)
		pp_json_bool(j, "system", true);
	if (g->parent)
		pp_json_unsigned(j, "parent", g->parent);
	if (n) {
		pp_json_open(j, "labels", '{');
		for (size_t i = 0; i < n; i++)
			pp_json_text(j, labels[i].key, labels[i].value);
		pp_json_close(j, '}');
	}
	if (g->stack != PROWL_NO_STACK)
		json_stack(j, d, g->stack);
	if (g->cut)
		pp_json_bool(j, "cut", true);
	if (g->sampled)
		pp_json_bool(j, "sampled", true);
	if (g->created != PROWL_NO_STACK && d->profile->locations[g->created].nlines) {
		const struct pprof_line *line = pprof_location_lines(d->profile, g->created);
		size_t last = d->profile->locations[g->created].nlines - 1;

		json_line(j, "created_by", d->profile, name_of(d->profile, &line[last]), &line[0]);
	}
	pp_json_close(j, '}');
}

static void json_counts(struct jsonout *j, const struct prowl_goroutines_counts *c)
{
	static const struct {
		const char *name;
		size_t at;
	} counts[] = {
		{"goroutines", offsetof(struct prowl_goroutines_counts, goroutines)},
		{"filtered", offsetof(struct prowl_goroutines_counts, filtered)},
		{"system", offsetof(struct prowl_goroutines_counts, system)},
		{"dead", offsetof(struct prowl_goroutines_counts, dead)},
		{"running", offsetof(struct prowl_goroutines_counts, running)},
		{"running_with_stack", offsetof(struct prowl_goroutines_counts, running_sampled)},
		{"unstable", offsetof(struct prowl_goroutines_counts, unstable)},
		{"unreadable", offsetof(struct prowl_goroutines_counts, bad)},
		{"cut", offsetof(struct prowl_goroutines_counts, cut)},
		{"retries", offsetof(struct prowl_goroutines_counts, retries)},
	};

	pp_json_open(j, "counts", '{');
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
		pp_json_unsigned(j, counts[i].name,
				 *(const uint64_t *)((const char *)c + counts[i].at));
	pp_json_close(j, '}');
}

static void json_target(struct jsonout *j, const struct prowl_goroutines *h)
{
	const struct prowl_target *t = prowl_goroutines_target(h);

	pp_json_unsigned(j, "pid", (uint64_t)t->pid);
	pp_json_text(j, "name", t->comm);
	pp_json_text(j, "go_version", t->go_version);
	if (t->nruntimes > 1) {
		pp_json_text(j, "runtime", prowl_goroutines_file(h));
		pp_json_unsigned(j, "runtimes", t->nruntimes);
	}
}

void show_goroutines_json(FILE *f, const struct prowl_goroutines *h, const struct prowl_dump *d)
{
	struct jsonout j;

	pp_json_begin(&j, f, JSONOUT_INDENTED);
	json_target(&j, h);
	json_counts(&j, &d->counts);
	pp_json_open(&j, "goroutines", '[');
	for (size_t i = 0; i < d->n; i++)
		json_goroutine(&j, h, d, &d->g[i]);
	pp_json_close(&j, ']');
	pp_json_end(&j);
}

/* --- leaks ----------------------------------------------------------------------- */

static const struct prowl_goroutine *find(const struct prowl_dump *d, uint64_t goid)
{
	size_t lo = 0, hi = d->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (d->g[mid].goid < goid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < d->n && d->g[lo].goid == goid ? &d->g[lo] : NULL;
}

/* A goroutine that the runtime found to be leaked is still waiting. */
static unsigned int waits_as(const struct prowl_goroutine *g)
{
	return g->status == 10 /* leaked */ ? 4 /* waiting */ : g->status;
}

/*
 * Created after the first dump, in the second one, and in the last one still blocked at the same
 * place without having run: it has waited for at least the second half of the window.
 */
static bool is_suspect(const void *ctx, const struct prowl_goroutine *g)
{
	const struct prowl_dump *dumps = ctx;
	const struct prowl_goroutine *was = find(&dumps[1], g->goid);

	return was && !find(&dumps[0], g->goid) && g->stack != PROWL_NO_STACK &&
	       was->stack != PROWL_NO_STACK &&
	       dumps[1].stacks[was->stack].hash == dumps[2].stacks[g->stack].hash &&
	       waits_as(was) == waits_as(g) && was->runs == g->runs &&
	       g->status != 2 /* running */ && g->status != 1;
}

/* With those that the filters dropped. */
static uint64_t all_of(const struct prowl_dump *d)
{
	return d->counts.goroutines + d->counts.filtered;
}

size_t show_goroutines_leaks(FILE *f, const struct prowl_goroutines *h,
			     const struct prowl_dump dumps[3], bool as_json, bool all)
{
	const struct prowl_dump *last = &dumps[2];
	struct jsonout j;
	size_t n = 0;

	if (!as_json)
		return show_groups(f, h, last, all, is_suspect, dumps);
	pp_json_begin(&j, f, JSONOUT_INDENTED);
	json_target(&j, h);
	pp_json_unsigned(&j, "goroutines_at_start", all_of(&dumps[0]));
	pp_json_unsigned(&j, "goroutines_at_end", all_of(last));
	pp_json_open(&j, "suspects", '[');
	for (size_t i = 0; i < last->n; i++) {
		if (is_suspect(dumps, &last->g[i])) {
			json_goroutine(&j, h, last, &last->g[i]);
			n++;
		}
	}
	pp_json_close(&j, ']');
	pp_json_end(&j);
	return n;
}
