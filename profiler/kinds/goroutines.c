/* SPDX-License-Identifier: Apache-2.0 */
#include "goroutines.h"

#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "array.h"
#include "clock.h"
#include "comments.h"
#include "gogoroutines.h"
#include "labels.h"
#include "pprof.h"
#include "running_goroutines.h"
#include "runtime.h"
#include "stackset.h"
#include "rtstack.h"

enum { MAX_RUNNING = 4096 };

struct prowl_goroutines {
	struct prowl_runtime *rt;
	struct uw_goroutines *reader;
	struct prowl_labels *labels;
	struct uw_golabels read;
};

struct dump_tally {
	uint32_t stack, labels;
	bool ran;
	int64_t count;
};

/* A dump in progress. */
struct dumping {
	struct prowl_goroutines *h;
	const struct prowl_goroutines_options *o;
	struct prowl_dump *d;
	struct prowl_rtstack stored;
	struct prowl_stackset set; /* of the words of the stacks of the dump */
	bool *matches;             /* by stack */
	size_t cap_matches;
	struct prowl_idmap created; /* gopc → location + 1 */
	struct prowl_idmap sets;    /* pointer to labels → set + 1 */
	size_t cap_stacks, nlocations, cap_locations, cap_g;
	struct prowl_running *running; /* running ones, and their index in the dump */
	uint32_t *running_at;
	size_t nrunning;
	int error; /* of reading running ones again */
	regex_t match;
	uint64_t now;
	/* Goroutines by stack and labels. */
	struct prowl_idmap samples; /* stack and labels → index in tally */
	struct dump_tally *tally;
	size_t ntally, cap_tally;
};

/* --- states --- */

static const char *state_name(const struct uw_golayout *l, unsigned int status, unsigned int reason)
{
	static const char *const names[] = {"idle",      "runnable", "running",
					    "syscall",   "waiting",  "unused",
					    "dead",      "unused",   "copystack",
					    "preempted", "leaked",   "waiting for cgo callback"};
	const char *why = reason < l->wait_reasons_count ? l->wait_reasons[reason] : NULL;

	if ((status == UW_G_WAITING || status == UW_G_LEAKED) && reason && why)
		return why;
	return status < sizeof names / sizeof names[0] ? names[status] : "unknown";
}

const char *prowl_goroutine_state(const struct prowl_goroutines *h, const struct prowl_goroutine *g)
{
	return state_name(h->rt->layout, g->status, g->reason);
}

/* A word of a filter selects a status, or a reason that begins with it at a word boundary. */
static bool word_selects(const char *word, size_t len, const char *name)
{
	return strncasecmp(word, name, len) == 0 && (name[len] == '\0' || name[len] == ' ');
}

static bool wanted_state(const struct dumping *t, const struct uw_goroutine *g)
{
	const struct uw_golayout *l = t->h->rt->layout;
	const char *word = t->o->state;

	while (word) {
		size_t len = strcspn(word, ",");

		if (len && (word_selects(word, len, state_name(l, g->status, g->reason)) ||
			    word_selects(word, len, state_name(l, g->status, 0))))
			return true;
		word = word[len] ? word + len + 1 : NULL;
	}
	return t->o->state == NULL;
}

/* --- stacks --- */

static bool stack_matches(const struct dumping *t, const struct prowl_goroutine_stack *s)
{
	const struct pprof_profile *p = t->d->profile;

	if (!t->o->match)
		return true;
	for (size_t i = 0; i < s->n; i++) {
		uint32_t loc = t->d->locations[s->first + i];
		const struct pprof_line *line = pprof_location_lines(p, loc);

		for (size_t k = 0; k < p->locations[loc].nlines; k++) {
			const char *name = p->strings[p->functions[line[k].function].name];

			if (regexec(&t->match, name, 0, NULL, 0) == 0)
				return true;
		}
	}
	return false;
}

/* Adds the stack that the set has in addition to the dump. */
static int name_stack(struct dumping *t, const uint64_t *words, size_t n, uint64_t hash)
{
	struct prowl_dump *d = t->d;
	size_t want = d->nstacks + 1;
	struct prowl_goroutine_stack *s;
	int r = prowl_array_reserve(&d->stacks, &t->cap_stacks, want, sizeof *d->stacks), k;

	if (r == 0)
		r = prowl_array_reserve(&t->matches, &t->cap_matches, want, sizeof *t->matches);
	if (r == 0)
		r = prowl_array_reserve(&d->locations, &t->cap_locations, t->nlocations + n,
					sizeof *d->locations);
	if (r < 0)
		return r;
	k = prowl_rtstack_stack(&t->stored, words, n, false, d->locations + t->nlocations);
	if (k < 0)
		return k;
	s = &d->stacks[d->nstacks];
	*s = (struct prowl_goroutine_stack){(uint32_t)t->nlocations, (uint32_t)k, hash};
	t->nlocations += (size_t)k;
	t->matches[d->nstacks++] = stack_matches(t, s);
	return 0;
}

static int stack_of(struct dumping *t, const uint64_t *words, size_t n, uint32_t *ret)
{
	bool is_new;
	int r = prowl_stackset_add(&t->set, words, n, ret, &is_new);

	if (r < 0 || !is_new)
		return r;
	return name_stack(t, words, n, prowl_stackset_hash(&t->set, *ret));
}

/* --- goroutines --- */

static int created_at(struct dumping *t, uint64_t gopc, uint32_t *ret)
{
	uint32_t at = 0;
	int r;

	*ret = PROWL_NO_STACK;
	if (gopc == 0)
		return 0;
	if (prowl_idmap_get(&t->created, gopc, &at)) {
		*ret = at - 1;
		return 0;
	}
	r = prowl_rtstack_stack(&t->stored, &gopc, 1, false, &at);
	if (r < 0)
		return r;
	if (r > 0)
		*ret = at;
	return prowl_idmap_put(&t->created, gopc, *ret + 1);
}

static int labels_of(struct dumping *t, const struct uw_goroutine *g, uint32_t *ret)
{
	struct prowl_goroutines *h = t->h;
	int n;

	*ret = 0;
	if (g->labels == 0)
		return 0;
	if (prowl_idmap_get(&t->sets, g->labels, ret)) {
		t->d->counts.labels_cut += prowl_labels_cut(h->labels, *ret);
		return 0;
	}
	n = uw_golabels_of(h->rt->layout, &h->rt->space.live, g->addr, g->labels, &h->read);
	if (n > 0)
		*ret = prowl_labels_intern(h->labels, &h->read);
	if (n < 0 || (n > 0 && *ret == 0)) {
		t->d->counts.labels_unknown++;
		return 0;
	}
	t->d->counts.labels_cut += prowl_labels_cut(h->labels, *ret);
	return prowl_idmap_put(&t->sets, g->labels, *ret);
}

static uint64_t waited_ns(const struct dumping *t, const struct uw_goroutine *g)
{
	bool waits = g->status == UW_G_WAITING || g->status == UW_G_SYSCALL ||
		     g->status == UW_G_LEAKED;

	return waits && g->waitsince && t->now > g->waitsince ? t->now - g->waitsince : 0;
}

static void count_stack(struct prowl_goroutines_counts *c, const struct uw_goroutine *g)
{
	switch (g->stack) {
	case UW_GOROUTINE_RUNNING:
		c->running++;
		break;
	case UW_GOROUTINE_UNSTABLE:
		c->unstable++;
		break;
	case UW_GOROUTINE_BAD:
		c->bad++;
		break;
	case UW_GOROUTINE_CUT:
		c->cut++;
		break;
	case UW_GOROUTINE_WHOLE:
		break;
	}
}

static int remember_running(struct dumping *t, const struct uw_goroutine *g)
{
	struct prowl_running *bigger;
	uint32_t *at;

	if (t->nrunning == MAX_RUNNING)
		return 0;
	bigger = realloc(t->running, (t->nrunning + 1) * sizeof *bigger);
	if (!bigger)
		return -ENOMEM;
	t->running = bigger;
	at = realloc(t->running_at, (t->nrunning + 1) * sizeof *at);
	if (!at)
		return -ENOMEM;
	t->running_at = at;
	memset(&bigger[t->nrunning], 0, offsetof(struct prowl_running, words));
	bigger[t->nrunning].g = g->addr;
	bigger[t->nrunning].m = g->m;
	bigger[t->nrunning].goid = g->goid;
	at[t->nrunning++] = (uint32_t)t->d->n;
	return 0;
}

/* Equal stacks with equal labels are one sample. */
static int tally_add(struct dumping *t, const struct prowl_goroutine *g)
{
	bool ran = g->status == UW_G_RUNNING;
	uint64_t key = ((uint64_t)g->stack << 32 | (uint64_t)g->labels << 1 |
			(g->stack == PROWL_NO_STACK && ran)) +
		       1;
	uint32_t at;
	int r = 0;

	t->d->counts.goroutines++;
	if (!prowl_idmap_get(&t->samples, key, &at)) {
		r = prowl_array_reserve(&t->tally, &t->cap_tally, t->ntally + 1, sizeof *t->tally);
		if (r < 0)
			return r;
		at = (uint32_t)t->ntally++;
		t->tally[at].stack = g->stack;
		t->tally[at].labels = g->labels;
		t->tally[at].ran = ran;
		t->tally[at].count = 0;
		r = prowl_idmap_put(&t->samples, key, at);
	}
	t->tally[at].count++;
	return r;
}

static struct prowl_goroutine describe(const struct dumping *t, const struct uw_goroutine *g)
{
	return (struct prowl_goroutine){
		.goid = g->goid,
		.parent = g->parent,
		.wait_ns = waited_ns(t, g),
		.stack = PROWL_NO_STACK,
		.created = PROWL_NO_STACK,
		.status = (uint8_t)g->status,
		.reason = g->reason,
		.runs = g->runs,
		.locked = g->locked,
		.system = g->system,
		.scan = g->scan,
		.cut = g->stack == UW_GOROUTINE_CUT,
	};
}

/* Adds it to the list, or only counts it if neither a list nor a later stack needs it. */
static int add_goroutine(struct dumping *t, const struct uw_goroutine *g,
			 const struct prowl_goroutine *to)
{
	struct prowl_dump *d = t->d;
	int r = 0;

	if (g->stack == UW_GOROUTINE_RUNNING)
		r = remember_running(t, g);
	if (r < 0)
		return r;
	count_stack(&d->counts, g);
	if (!t->o->list && g->stack != UW_GOROUTINE_RUNNING)
		return tally_add(t, to);
	r = prowl_array_reserve(&d->g, &t->cap_g, d->n + 1, sizeof *d->g);
	if (r == 0)
		d->g[d->n++] = *to;
	return r;
}

static int on_goroutine(void *ctx, const struct uw_goroutine *g)
{
	struct dumping *t = ctx;
	struct prowl_goroutine to;
	int r = 0;

	if (g->system && !t->o->system) {
		t->d->counts.system++;
		return 0;
	}
	if (!wanted_state(t, g)) {
		t->d->counts.filtered++;
		return 0;
	}
	to = describe(t, g);
	if (g->nwords)
		r = stack_of(t, g->words, g->nwords, &to.stack);
	if (r == 0 && to.stack != PROWL_NO_STACK && !t->matches[to.stack]) {
		t->d->counts.filtered++;
		return 0;
	}
	if (r == 0 && t->o->list)
		r = created_at(t, g->gopc, &to.created);
	if (r == 0)
		r = labels_of(t, g, &to.labels);
	return r < 0 ? r : add_goroutine(t, g, &to);
}

/* --- running ones --- */

struct settle {
	struct dumping *t;
	struct prowl_goroutine *to;
	bool settled;
	int error;
};

static int on_settled(void *ctx, const struct uw_goroutine *g)
{
	struct settle *s = ctx;

	if (g->goid != s->to->goid) {
		s->settled = true; /* it has ended: its stack is lost */
		return 0;
	}
	if (g->stack != UW_GOROUTINE_WHOLE && g->stack != UW_GOROUTINE_CUT)
		return 0;
	s->error = stack_of(s->t, g->words, g->nwords, &s->to->stack);
	s->to->status = (uint8_t)g->status;
	s->to->reason = g->reason;
	s->to->runs = g->runs;
	s->to->cut = g->stack == UW_GOROUTINE_CUT;
	s->settled = true;
	return 0;
}

/* Reads a running one again; true when it is no longer running. */
static bool settle(void *ctx, size_t i)
{
	struct dumping *t = ctx;
	struct settle s = {.t = t, .to = &t->d->g[t->running_at[i]]};

	if (uw_goroutines_read(t->h->reader, &t->running[i].g, 1, true, on_settled, &s) < 0)
		return false;
	if (s.error < 0)
		t->error = s.error;
	return s.settled;
}

static int take_running(struct dumping *t)
{
	struct prowl_runtime *rt = t->h->rt;
	int r = 0;

	if (t->nrunning == 0)
		return 0;
	if (rt->target.core)
		prowl_running_core(rt, t->running, t->nrunning);
	else if (t->o->running_ns)
		prowl_running_sample(rt, t->running, t->nrunning, t->o->running_ns, settle, t);
	r = t->error;
	for (size_t i = 0; i < t->nrunning && r == 0; i++) {
		struct prowl_goroutine *g = &t->d->g[t->running_at[i]];

		if (t->running[i].found) {
			r = stack_of(t, t->running[i].words, t->running[i].n, &g->stack);
			g->sampled = !rt->target.core;
		}
		if (g->stack != PROWL_NO_STACK)
			t->d->counts.running_sampled++;
	}
	return r;
}

/* Counts the listed goroutines; the filter match also applies to stacks that arrived late. */
static int finish_list(struct dumping *t)
{
	struct prowl_dump *d = t->d;
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < d->n && r == 0; i++) {
		uint32_t s = d->g[i].stack;

		if (t->o->match && (s == PROWL_NO_STACK || !t->matches[s])) {
			d->counts.filtered++;
			continue;
		}
		d->g[n++] = d->g[i];
		r = tally_add(t, &d->g[i]);
	}
	d->n = t->o->list ? n : 0;
	return r;
}

static int cmp_goid(const void *a, const void *b)
{
	const struct prowl_goroutine *x = a, *y = b;

	return (x->goid > y->goid) - (x->goid < y->goid);
}

/* Usually sorted already: the runtime's list is in the order of creation. */
static void sort_list(struct prowl_dump *d)
{
	for (size_t i = 1; i < d->n; i++) {
		if (d->g[i - 1].goid > d->g[i].goid) {
			qsort(d->g, d->n, sizeof *d->g, cmp_goid);
			return;
		}
	}
}

/* --- the profile --- */

static int marked_location(struct dumping *t, const char *name, uint32_t *ret)
{
	struct pprof_profile *p = t->d->profile;
	struct pprof_line line = {0};
	struct pprof_function f = {0};
	int r = pprof_string(p, name, &f.name);

	f.system_name = f.name;
	if (r == 0)
		r = pprof_function(p, &f, &line.function);
	return r < 0 ? r : pprof_location(p, PPROF_NONE, 0, &line, 1, ret);
}

static int add_sample(struct dumping *t, uint32_t stack, bool ran, uint32_t set, int64_t count)
{
	const struct prowl_dump *d = t->d;
	struct pprof_profile *p = d->profile;
	struct prowl_label labels[UW_LABELS_MAX];
	struct pprof_label to[UW_LABELS_MAX + 1];
	size_t n = prowl_labels_get(t->h->labels, set, labels, UW_LABELS_MAX), k = 0;
	uint32_t unknown;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		to[k] = (struct pprof_label){0};
		r = pprof_string(p, labels[i].key, &to[k].key);
		if (r == 0)
			r = pprof_string(p, labels[i].value, &to[k].str);
		k++;
	}
	if (r == 0)
		r = prowl_label_runtime(p, t->h->rt, &to[k]);
	if (r < 0)
		return r;
	k += (size_t)r;
	if (stack != PROWL_NO_STACK)
		return pprof_sample_add(p, d->locations + d->stacks[stack].first,
					d->stacks[stack].n, &count, to, k);
	r = marked_location(t, ran ? "[running, stack unknown]" : "[stack unknown]", &unknown);
	return r < 0 ? r : pprof_sample_add(p, &unknown, 1, &count, to, k);
}

static int add_samples(struct dumping *t)
{
	int r = 0;

	for (size_t i = 0; i < t->ntally && r == 0; i++)
		r = add_sample(t, t->tally[i].stack, t->tally[i].ran, t->tally[i].labels,
			       t->tally[i].count);
	return r;
}

static void add_comments(struct dumping *t)
{
	struct pprof_profile *p = t->d->profile;
	const struct prowl_goroutines_counts *c = &t->d->counts;
	const struct prowl_runtime *rt = t->h->rt;
	enum uw_goglobal_source source = rt->globals.var[UW_GLOBAL_ALLGS].source;

	prowl_comment(p, "prowl " PROWL_VERSION ": goroutine profile, read from %s",
		      rt->target.core ? "a core file" : "outside");
	prowl_comments_runtime(p, t->h->rt);
	prowl_comment(p, "runtime.allgs found by %s", uw_goglobal_source_name(source));
	prowl_comment(
		p,
		"goroutines: %llu; of the runtime, left out: %llu; filtered out: %llu; dead: %llu",
		(unsigned long long)c->goroutines, (unsigned long long)c->system,
		(unsigned long long)c->filtered, (unsigned long long)c->dead);
	prowl_comment(p, "running: %llu, %llu of them with a stack", (unsigned long long)c->running,
		      (unsigned long long)c->running_sampled);
	prowl_comment(
		p,
		"stacks that never stood still: %llu; that made no sense: %llu; cut: %llu; read "
		"again: %llu times",
		(unsigned long long)c->unstable, (unsigned long long)c->bad,
		(unsigned long long)c->cut, (unsigned long long)c->retries);
	if (c->labels_unknown)
		prowl_comment(
			p,
			"warning: labels of %llu goroutines could not be read, or there are more "
			"than %d different sets",
			(unsigned long long)c->labels_unknown, PROWL_LABELS_MAX_SETS);
	if (c->labels_cut)
		prowl_comment(
			p,
			"warning: %llu goroutines have labels that were cut: " PROWL_LABELS_LIMITS,
			(unsigned long long)c->labels_cut, UW_LABEL_BYTES, UW_LABELS_MAX);
}

static int dump_begin(struct dumping *t)
{
	struct pprof_profile *p;
	int r = pprof_profile_new(&p);

	if (r < 0)
		return r;
	t->d->profile = p;
	p->time_nanos = t->d->when;
	prowl_rtstack_init(&t->stored, p, &t->h->rt->space, t->h->rt->go, false);
	r = pprof_period(p, "goroutine", "count", 1);
	if (r == 0)
		r = pprof_sample_type(p, "goroutine", "count");
	return r < 0 ? r : prowl_rtstack_first_mapping(&t->stored);
}

/* --- what is called --- */

static enum prowl_code cant_read(const struct prowl_goroutines *h, int error, struct prowl_err *err)
{
	return prowl_fail_target(err, &h->rt->target, "goroutines", error);
}

static int read_all(struct dumping *t)
{
	struct prowl_goroutines *h = t->h;
	struct prowl_goroutines_counts *c = &t->d->counts;
	struct uw_goroutines_stats before = *uw_goroutines_stats(h->reader), after;
	uint64_t *gs;
	size_t n;
	int r = uw_goroutines_list(&h->rt->space.live, &h->rt->globals, &gs, &n);

	if (r < 0)
		return r;
	r = uw_goroutines_read(h->reader, gs, n, true, on_goroutine, t);
	free(gs);
	after = *uw_goroutines_stats(h->reader); /* before running ones are read again */
	c->dead = after.dead - before.dead;
	c->retries = after.retries - before.retries;
	return r < 0 ? r : take_running(t);
}

static int dump_all(struct dumping *t)
{
	int r = dump_begin(t);

	if (r == 0)
		r = read_all(t);
	/* Data or an error of another program image is no answer. */
	if (r != -ESRCH && r != -ENOMEM && !prowl_runtime_same(t->h->rt))
		r = -ESTALE;
	if (r < 0)
		return r;
	r = finish_list(t);
	sort_list(t->d);
	if (r == 0)
		r = add_samples(t);
	if (r == 0)
		add_comments(t);
	return r;
}

static void dumping_fini(struct dumping *t)
{
	prowl_rtstack_fini(&t->stored);
	prowl_stackset_fini(&t->set);
	prowl_idmap_fini(&t->created);
	prowl_idmap_fini(&t->sets);
	prowl_idmap_fini(&t->samples);
	free(t->tally);
	free(t->matches);
	free(t->running);
	free(t->running_at);
	if (t->o->match)
		regfree(&t->match);
}

enum prowl_code prowl_goroutines_take(struct prowl_goroutines *h,
				      const struct prowl_goroutines_options *o,
				      struct prowl_dump *ret, struct prowl_err *err)
{
	struct dumping t = {.h = h, .o = o, .d = ret};
	int r;

	*ret = (struct prowl_dump){0};
	if (o->match && regcomp(&t.match, o->match, REG_EXTENDED | REG_NOSUB) != 0)
		return prowl_fail(err, PROWL_USAGE, "'%s' is no regular expression", o->match);
	t.now = h->rt->target.core ? 0 : prowl_now();
	ret->when = h->rt->target.core ? 0 : (int64_t)prowl_clock_ns(CLOCK_REALTIME);
	r = dump_all(&t);
	if (!h->rt->target.core)
		ret->duration_ns = prowl_now() - t.now;
	dumping_fini(&t);
	if (r < 0) {
		prowl_dump_fini(ret);
		return cant_read(h, r, err);
	}
	return PROWL_OK;
}

void prowl_dump_fini(struct prowl_dump *d)
{
	free(d->g);
	free(d->stacks);
	free(d->locations);
	pprof_profile_free(d->profile);
	*d = (struct prowl_dump){0};
}

enum prowl_code prowl_goroutines_open(const struct prowl_who *who, struct prowl_goroutines **ret,
				      struct prowl_err *err)
{
	struct prowl_goroutines *h = calloc(1, sizeof *h);
	enum prowl_code code;
	int r;

	if (!h)
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	code = prowl_runtime_open(who, &h->rt, err);
	if (code != PROWL_OK) {
		free(h);
		return code;
	}
	r = prowl_labels_new(&h->labels);
	if (r == 0)
		r = uw_goroutines_new(&h->rt->space, &h->reader);
	if (r < 0) {
		code = cant_read(h, r, err);
		prowl_goroutines_free(h);
		return code;
	}
	*ret = h;
	return PROWL_OK;
}

enum prowl_code prowl_goroutines_choose(struct prowl_goroutines *h, size_t which,
					struct prowl_err *err)
{
	enum prowl_code code = prowl_runtime_choose(h->rt, which, err);
	int r;

	if (code != PROWL_OK)
		return code;
	uw_goroutines_free(h->reader);
	h->reader = NULL;
	r = uw_goroutines_new(&h->rt->space, &h->reader);
	return r < 0 ? cant_read(h, r, err) : PROWL_OK;
}

void prowl_goroutines_free(struct prowl_goroutines *h)
{
	if (!h)
		return;
	uw_goroutines_free(h->reader);
	prowl_labels_free(h->labels);
	prowl_runtime_free(h->rt);
	free(h);
}

const struct prowl_target *prowl_goroutines_target(const struct prowl_goroutines *h)
{
	return &h->rt->target;
}

const char *prowl_goroutines_file(const struct prowl_goroutines *h)
{
	return prowl_runtime_file(h->rt);
}

size_t prowl_goroutines_labels(const struct prowl_goroutines *h, uint32_t set,
			       struct prowl_label *ret, size_t max)
{
	return prowl_labels_get(h->labels, set, ret, max);
}

uint64_t prowl_goroutines_offset(const struct prowl_goroutines *h, uint64_t address,
				 const char *function)
{
	const struct uw_go_module *mod = uw_space_go_at(&h->rt->space, address);
	struct uw_go_func f;

	if (!mod || !uw_go_func_at(mod->go, address - mod->bias, &f) ||
	    strcmp(uw_go_func_name(mod->go, &f), function) != 0)
		return 0;
	return address - mod->bias - f.entry + 1;
}
